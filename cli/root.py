"""The root of the command tree. The modules of `cli.commands` add themselves to it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

import typer
from typer.core import TyperGroup

from chain.errors import KehuError, define

COMMAND_LINE: Final = define(
    "usage.command_line",
    "the command line is wrong: an unknown command or option, or an argument that is missing or out of its limits",
    "compare it with --help",
)
_UsageError: Final[Any] = typer.BadParameter.__bases__[0]
"""What typer raises for any such command line; the class has no public name."""


class _Root(TyperGroup):
    """With --json, a command line that is wrong is told as everything else is: one object on stderr."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        words = sys.argv[1:] if args is None else list(args)
        if "--json" not in words:
            return super().main(words, prog_name, complete_var, standalone_mode, windows_expand_args, **extra)
        try:
            code = super().main(words, prog_name, complete_var, False, windows_expand_args, **extra)
        except _UsageError as error:
            from cli.output import print_error

            print_error(KehuError(COMMAND_LINE, problem=type(error).__name__, **_place(error)), is_json=True)
            code = 2
        sys.exit(code or 0)


def _place(error: Any) -> dict[str, str]:
    """Which argument or option it is about, if any: its name, never what was given."""
    parameter = getattr(error, "param", None)
    name = getattr(error, "option_name", None) if parameter is None else parameter.opts[0]
    return {} if name is None else {"parameter": name}


def _typer(purpose: str, kind: type[TyperGroup] | None = None) -> typer.Typer:
    return typer.Typer(
        cls=kind,
        help=purpose,
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
    )


app = _typer("Kehu 客户: departments keep customer records together, and can prove who saw and changed what.", _Root)


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
