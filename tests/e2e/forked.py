"""`kehu` as a process of its own for each command, forked from a server that has most of it imported: a command takes
half as long to run as it does to start. Who starts Kehu for real: the demo, the tour of the README, the tests of
`kehu` as a process.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from pkgutil import iter_modules
from typing import Final

import cli
from cli.main import main
from tools.demo.kehu import COMMAND_TIMEOUT_S, Kehu

SERVER: Final = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [f"cli.{module.name}" for module in iter_modules(cli.__path__) if module.name != "commands"]
)
"""A module of commands adds them to the tree of those that the run builds, so each run imports its own."""


class ForkedKehu(Kehu):
    def execute(self, arguments: list[str], given: str | None) -> tuple[int, str, str]:
        if self.release is not None:
            return super().execute(arguments, given)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.joinpath("0").write_text(given or "", encoding="utf-8")
            command = SERVER.Process(target=_run, args=(arguments, self.environment(), folder))
            command.start()
            command.join(COMMAND_TIMEOUT_S)
            if command.is_alive():
                command.kill()
                raise TimeoutError(arguments)
            out, err, code = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("1", "2", "exit"))
            return int(code), out, err


def _run(arguments: list[str], environment: dict[str, str], folder: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for stream, flags in enumerate((os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT)):
        opened = os.open(folder / str(stream), flags, 0o600)
        os.dup2(opened, stream)
        os.close(opened)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.BufferedWriter(io.FileIO(stream, "w", closefd=False)), encoding="utf-8")
        for stream in (1, 2)
    )
    sys.argv = ["kehu", *arguments]
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
