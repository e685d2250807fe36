"""The frame around every command: common options, running, printing, the exit code.

A command is a plain function `(run, own options...) -> Answer` (or a coroutine of one). `command` adds the
options that its `Needs` call for, and turns what happens into output and an exit code in one place.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from chain.errors import KehuError, define
from cli.exits import Exit, exit_of
from cli.output import Answer, print_answer, print_error
from cli.run import Run

INTERRUPTED = define(
    "command.interrupted",
    "the command was interrupted; what it had done by then stays, and what it had sent may still be committed",
    "give the same command again for a sweep, an export, a backup or an audit; after a change look first what became "
    "of it",
)
FILE_REFUSED = define(
    "machine.file_refused",
    "this machine does not let the command use a file",
    "check the name, the folder, the rights and the room on the disk",
)
_OF_THE_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG})

Body = Callable[..., Answer | Coroutine[Any, Any, Answer]]


class Needs(IntEnum):
    """What a command works with: nothing, a network folder, a node, or a node and somebody's key."""

    NOTHING = 0
    NETWORK = 1
    NODE = 2
    KEY = 3


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """What docs/cli.md promises beside the options. `json_keys`: the keys of the --json object."""

    json_keys: tuple[str, ...]
    exits: tuple[Exit, ...]


def _option(kind: Any, *flags: str, **settings: Any) -> Any:
    return Annotated[kind, typer.Option(*flags, **settings)]


_COMMON: Final[tuple[tuple[Needs, str, Any, Any], ...]] = (
    (
        Needs.NETWORK,
        "network",
        _option(
            Path | None,
            "--network",
            envvar="KEHU_NETWORK",
            metavar="DIR",
            help="The network folder (default: this one).",
        ),
        None,
    ),
    (
        Needs.NODE,
        "node",
        _option(
            str | None,
            "--node",
            envvar="KEHU_NODE",
            metavar="NODE",
            help="The node to ask: a department or a URL (default: the key's department's).",
        ),
        None,
    ),
    (
        Needs.KEY,
        "as_",
        _option(
            str | None,
            "--as",
            envvar="KEHU_AS",
            metavar="NAME",
            help="Whose key signs: a file in keys/ of the network folder.",
        ),
        None,
    ),
    (
        Needs.KEY,
        "passphrase_file",
        _option(
            Path | None,
            "--passphrase-file",
            envvar="KEHU_PASSPHRASE_FILE",
            metavar="FILE",
            help="The key's passphrase: the file's first line (default: a prompt).",
        ),
        None,
    ),
    (
        Needs.KEY,
        "passphrase_fd",
        _option(
            int | None,
            "--passphrase-fd",
            metavar="N",
            help="The key's passphrase: the first line of an open descriptor.",
        ),
        None,
    ),
    (Needs.NOTHING, "is_json", _option(bool, "--json", help="One JSON object on stdout."), False),
)


def command(
    app: typer.Typer,
    name: str,
    *,
    example: str,
    json_keys: tuple[str, ...],
    needs: Needs,
    exits: tuple[Exit, ...] = (),
) -> Callable[[Body], Body]:
    """Registers `body` under `name`. `example` is a command line that --help shows."""

    def register(body: Body) -> Body:
        signature = inspect.signature(body, eval_str=True)
        common = [
            inspect.Parameter(parameter, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for least, parameter, annotation, default in _COMMON
            if needs >= least
        ]
        own = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in list(signature.parameters.values())[1:]
        ]

        def entry(**given: Any) -> None:
            run = Run(**{item.name: given.pop(item.name) for item in common})
            raise typer.Exit(int(perform(body, run, given)))

        entry.__name__ = body.__name__
        entry.__doc__ = body.__doc__
        entry.__signature__ = signature.replace(parameters=[*own, *common])  # type: ignore[attr-defined]
        entry.__annotations__ = {}
        entry.kehu = CommandSpec(json_keys, exits)  # type: ignore[attr-defined]
        app.command(name, help=_help_of(body, example))(entry)
        return body

    return register


def _help_of(body: Body, example: str) -> str:
    return f"{inspect.cleandoc(body.__doc__ or '')}\n\n\b\nExample:\n  {example}"


def perform(body: Body, run: Run, given: dict[str, Any]) -> Exit:
    """Runs a command and prints what came of it."""
    try:
        answer = body(run, **given)
        if not isinstance(answer, Answer):
            answer = asyncio.run(_awaited(answer))
    except KehuError as error:
        print_error(error, is_json=run.is_json)
        return exit_of(error)
    except OSError as error:
        if error.filename is None and error.errno not in _OF_THE_DISK:
            raise
        problem = os.strerror(error.errno or 0) if error.errno in _OF_THE_DISK else type(error).__name__
        refused = KehuError(FILE_REFUSED, file=str(error.filename or "-"), problem=problem)
        print_error(refused, is_json=run.is_json)
        return exit_of(refused)
    except KeyboardInterrupt:
        print_error(KehuError(INTERRUPTED), is_json=run.is_json)
        return Exit.INTERRUPTED
    return _print(answer, run)


async def _awaited(answer: Coroutine[Any, Any, Answer]) -> Answer:
    asyncio.get_running_loop().set_exception_handler(_on_loop_error)
    return await answer


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An interruption may come just when the loop has looked whether a future is done, which it then has cancelled
    (CPython 3.11): nothing is wrong, and stderr is for what became of the command."""
    if not isinstance(context.get("exception"), asyncio.InvalidStateError):
        loop.default_exception_handler(context)


def _print(answer: Answer, run: Run) -> Exit:
    """What the command did is done, whatever becomes of its words; a reader that has seen enough is no failure."""
    try:
        print_answer(answer, is_json=run.is_json)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - else Python tries again at its end
        refused = KehuError(FILE_REFUSED, file="standard output", problem=os.strerror(error.errno or 0))
        print_error(refused, is_json=run.is_json)
        return exit_of(refused)
    return answer.exit
