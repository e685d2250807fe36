"""`kehu` as a process of its own for each command, forked from a server that has most of it imported, and so are the
nodes that it starts: both take half as long to run as they do to load. Who starts Kehu for real: the demo, the tour of
the README, the upgrade, the tests of `kehu` as a process.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import iter_modules
from typing import BinaryIO, Final

import cli
from cli import processes
from cli.main import main
from cli.processes import launch
from node.keys.files import ScryptCost, create_key_file
from node.process import run_node
from tools.demo.kehu import COMMAND_TIMEOUT_S, Kehu

SERVER: Final = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["node.process", *(f"cli.{module.name}" for module in iter_modules(cli.__path__) if module.name != "commands")]
)
"""A module of commands adds them to the tree of those that the run builds, so each run imports its own."""

CHEAP: Final = ScryptCost(n=1 << 10)
"""Of the keys that these commands make: they guard nothing, and every command and node that opens one pays it."""
EXIT_BROKEN: Final = 70
"""Of a node that was not even begun."""


@dataclass
class ForkedKehu(Kehu):
    """`has_forked_nodes`: not where somebody looks at the command lines of nodes."""

    has_forked_nodes: bool = field(default=True, kw_only=True)

    def execute(self, arguments: list[str], given: str | None) -> tuple[int, str, str]:
        if self.release is not None:
            return super().execute(arguments, given)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.joinpath("0").write_text(given or "", encoding="utf-8")
            command = SERVER.Process(target=_run, args=(arguments, self.environment(), folder, self.has_forked_nodes))
            command.start()
            command.join(COMMAND_TIMEOUT_S)
            if command.is_alive():
                command.kill()
                raise TimeoutError(arguments)
            out, err, code = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("1", "2", "exit"))
            return int(code), out, err


def _run(arguments: list[str], environment: dict[str, str], folder: Path, has_forked_nodes: bool) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for stream, flags in enumerate((os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT)):
        opened = os.open(folder / str(stream), flags, 0o600)
        os.dup2(opened, stream)
        os.close(opened)
    _open_streams()
    sys.argv = ["kehu", *arguments]
    create_key_file.__defaults__ = (CHEAP,)
    if has_forked_nodes:
        processes.launch = _launch
    code: object = 1
    try:
        main()
        code = 0
    except SystemExit as asked:
        code = asked.code or 0
        raise
    finally:
        # Not by the exit code of the process: a thread that starts another command reaps this one too, and whoever
        # asks second is told 255.
        folder.joinpath("exit").write_text(str(code), encoding="utf-8")


def _open_streams() -> None:
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.BufferedWriter(io.FileIO(stream, "w", closefd=False)), encoding="utf-8")
        for stream in (1, 2)
    )


def _launch(arguments: Sequence[str], log: BinaryIO, kept: int) -> int:
    """As `cli.processes.launch`; a node goes on from this process instead of loading everything anew."""
    if arguments[0] != "node":
        return launch(arguments, log, kept)
    if pid := os.fork():
        return pid
    code = EXIT_BROKEN
    try:
        os.setsid()
        _become(log, kept)
        _open_streams()
        code = run_node(Path(arguments[1]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become(log: BinaryIO, kept: int) -> None:
    """Nothing of the command is left but what its process would give to a child: streams, `kept`, the environment."""
    own = processes.environment()
    os.environ.clear()
    os.environ.update(own)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream, opened in enumerate((nothing, log.fileno(), log.fileno())):
        os.dup2(opened, stream)
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
