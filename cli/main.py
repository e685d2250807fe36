"""`kehu`: all commands in one tree. A run builds only the branch that it is about: the whole takes longer to build
than most commands to run."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from typing import Any, Final

import typer

from cli.exits import Exit
from cli.root import app

MODULES: Final[dict[str, tuple[str, ...]]] = {
    "audit": ("audit",),
    "export": ("export",),
    "backup": ("backup", "restore"),
    "check": ("check",),
    "doctor": ("doctor",),
    "permissions": ("grant", "revoke", "limit-grants", "assign", "unassign", "assignments", "grants"),
    "reassign": ("reassign",),
    "policy": ("policy",),
    "invitation": ("invite", "uninvite", "enrol"),
    "login": ("login",),
    "proof": ("prove", "verify"),
    "status": ("status",),
    "why": ("why",),
    "network": ("network",),
    "node": ("node",),
    "member": ("member",),
    "protocol": ("protocol",),
    "carrier": ("carrier",),
    "gateway": ("gateway",),
    "key": ("key",),
    "people": ("people",),
    "customer": ("customer",),
    "customer_import": ("customer",),
    "customer_read": ("customer",),
    "own": ("own",),
    "phone": ("phone",),
    "log": ("log",),
    "tx": ("tx",),
    "org": ("org", "dept"),
    "relation": ("relation", "customer"),
    "project": ("project",),
    "project_map": ("project",),
    "participation": ("participation",),
    "progress": ("progress", "demand"),
    "payment": ("payment",),
    "feedback": ("feedback",),
    "erasure": ("erasure", "customer"),
    "evidence": ("evidence",),
    "vault": ("vault",),
}
"""Which modules of `cli.commands` add what to the root: a command or a group."""


def tree(name: str = "") -> typer.Typer:
    """The root with the command or group `name`; with all of them if there is none of this name."""
    wanted = [module for module, names in MODULES.items() if name in names]
    for module in wanted or MODULES:
        import_module(f"cli.commands.{module}")
    return app


class _Unheard(FileIO):
    """Where words go that may reach nobody: a reader that has left, or a disk that is full, is no other outcome, and
    the exit code still tells it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _open_streams() -> None:
    """Streams that whoever started the command has closed lead nowhere; else the next file that is opened would get the
    number of one of them, and the command would end at its first word."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - to the end of the process
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, TextIOWrapper):  # not what was opened above
        errors = BufferedWriter(_Unheard(sys.stderr.fileno(), "wb", closefd=False))
        sys.stderr = TextIOWrapper(errors, encoding=sys.stderr.encoding, errors=sys.stderr.errors, line_buffering=True)


def main() -> None:
    """The console script. What nobody foresaw is a defect: a traceback, and an exit code of its own."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a locale that lacks a character must not end a command
            stream.reconfigure(encoding="utf-8" if "--json" in sys.argv else None, errors="backslashreplace")
    try:
        tree(*sys.argv[1:2])()
    except Exception:
        traceback.print_exc()
        sys.stderr.write("This is a defect of Kehu. Please report it with the lines above.\n")
        sys.exit(Exit.DEFECT)


if __name__ == "__main__":
    main()
