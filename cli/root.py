"""The root of the command tree. The modules of `cli.commands` add themselves to it."""

from __future__ import annotations

import typer


def _typer(purpose: str) -> typer.Typer:
    return typer.Typer(
        help=purpose,
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
    )


app = _typer("Kehu 客户: departments keep customer records together, and can prove who saw and changed what.")


def group(name: str, purpose: str) -> typer.Typer:
    """A group of commands under the root."""
    made = _typer(purpose)
    app.add_typer(made, name=name)
    return made


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            release = version("kehu")
        except PackageNotFoundError:
            release = "(run from its sources, not installed)"
        typer.echo(f"kehu {release}")
        raise typer.Exit


@app.callback()
def root(
    _is_version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the release."
    ),
) -> None:
    """Kehu 客户: departments keep customer records together, and can prove who saw and changed what."""
