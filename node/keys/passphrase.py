"""Where a passphrase comes from: a prompt, a file or a descriptor.

Never an argument (every process sees it) and never the environment (children and crash reports inherit it).
"""

from __future__ import annotations

import getpass
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from chain.errors import KehuError, define

PASSPHRASE_BYTES_MAX: Final = 1024

PASSPHRASE_MISSING = define(
    "passphrase.missing",
    "no passphrase was given, or it is empty",
    "name one source, of those in the command's --help: --passphrase-file FILE, --passphrase-fd N, or a terminal",
)
PASSPHRASE_FILE_OPEN = define(
    "passphrase.file_open",
    "everybody on the machine may read the passphrase file",
    "run `chmod 600` (or 640) on it and choose a new passphrase if strangers had access",
)
PASSPHRASE_UNREADABLE = define(
    "passphrase.unreadable",
    "the passphrase source can't be read, is not UTF-8 or its first line is longer than 1024 bytes",
    "check the path or the descriptor; the passphrase is the first line. What was typed is read in the terminal's own "
    "encoding: set it to UTF-8, and LANG to a locale of UTF-8",
)
PASSPHRASE_MISMATCH = define(
    "passphrase.mismatch", "the two passphrases typed differ", "type the same passphrase twice"
)


def read_passphrase(
    *,
    prompt: str | None = None,
    file: Path | None = None,
    fd: int | None = None,
    confirm: bool = False,
    ask: Callable[[str], str] = getpass.getpass,
) -> str:
    """The passphrase from the one source named. `confirm` asks twice (prompt only)."""
    if sum(source is not None for source in (prompt, file, fd)) != 1:
        raise KehuError(PASSPHRASE_MISSING, sources=sum(source is not None for source in (prompt, file, fd)))
    if file is not None:
        passphrase = _from_file(file)
    elif fd is not None:
        passphrase = _from_descriptor(fd, f"descriptor {fd}")
    else:
        passphrase = _typed(ask, f"{prompt}: ")
        if confirm and passphrase != _typed(ask, f"{prompt} (again): "):
            raise KehuError(PASSPHRASE_MISMATCH)
    if not passphrase:
        raise KehuError(PASSPHRASE_MISSING, problem="empty")
    return passphrase


def _typed(ask: Callable[[str], str], prompt: str) -> str:
    try:
        typed = ask(prompt)
        typed.encode()  # Python makes lone surrogates of bytes that are not of the locale's encoding
    except EOFError:
        raise KehuError(PASSPHRASE_MISSING, problem="end of input") from None
    except UnicodeError:
        raise KehuError(PASSPHRASE_UNREADABLE, source="terminal", problem="not of this locale's encoding") from None
    return typed


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o007:
                raise KehuError(PASSPHRASE_FILE_OPEN, path=str(path), mode=oct(mode))
            return _from_descriptor(file.fileno(), str(path))
    except OSError as error:
        raise KehuError(PASSPHRASE_UNREADABLE, source=str(path), problem=type(error).__name__) from None


def _from_descriptor(descriptor: int, source: str) -> str:
    """The first line; a pipe may deliver it in pieces. The descriptor stays the caller's to close."""
    line = b""
    try:
        while b"\n" not in line and len(line) <= PASSPHRASE_BYTES_MAX:
            piece = os.read(descriptor, PASSPHRASE_BYTES_MAX)
            if not piece:
                break
            line += piece
        first = line.split(b"\n", 1)[0].removesuffix(b"\r")
        if len(first) > PASSPHRASE_BYTES_MAX:
            raise KehuError(PASSPHRASE_UNREADABLE, source=source, problem="too long")
        return first.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise KehuError(PASSPHRASE_UNREADABLE, source=source, problem=type(error).__name__) from None
