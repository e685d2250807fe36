"""The root of the command tree; `cli.main` fills it."""

from __future__ import annotations

import typer

from cli.command import group

app = group("Kehu 客户: departments keep customer records together, and can prove who saw and changed what.")


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
