"""The journal beside a CSV file: which row became which customer, so that an import can be taken up again.

It holds no personal value: a row is named by an HMAC-SHA256 of its fields under a key that stays in the network
folder's secrets/, so the journal alone can't be searched for a name or a number. One JSON object per line; the
first names the chain. What is planned is on the disk before it is sent, so that a row never gets two customers.

  {"journal": 1, "chain": HEX}
  {"row": HEX, "customer": ID}                              planned: this row will be this customer
  {"row": HEX, "transaction": HEX, "expires": HEIGHT}       about to be sent
  {"row": HEX, "done": HEIGHT}                              committed
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from chain import codec
from chain.errors import KehuError, define
from node.storage.durable import storage_failures, sync_folder, write_file, write_fully

FORMAT: Final = 1

JOURNAL_OTHER_CHAIN = define(
    "import.journal_other_chain",
    "the journal beside the file is another network's",
    "name another one with --journal, or move it away if the import into that network is over",
)
JOURNAL_DAMAGED = define(
    "import.journal_damaged",
    "the journal has a line that is none of its own",
    "restore it from a backup; without it, rows that went in already would go in twice. If the file was never a "
    "journal, name another one with --journal",
)
JOURNAL_BUSY = define(
    "import.journal_busy",
    "another import is using this journal",
    "wait until it is done",
)


@dataclass(slots=True)
class Entry:
    """What is known of one row. `done`: the height of its block."""

    customer: str
    transaction: bytes | None = None
    expires: int | None = None
    done: int | None = None


def ensure_secret(path: Path) -> bytes:
    """The 32 secret bytes in `path`, drawn when there are none."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileExistsError):
        write_file(path, secrets.token_hex(32).encode() + b"\n", replace=False)
    return bytes.fromhex(path.read_text(encoding="ascii"))


def row_digest(secret: bytes, fields: dict[str, str]) -> str:
    return hmac.new(secret, codec.encode(fields), hashlib.sha256).hexdigest()


class Journal:
    """`entries`: row digest -> what is known. Opened by one process at a time."""

    def __init__(self, path: Path, chain_id: bytes) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        sync_folder(path.parent)
        try:
            self._lock()
            self._load(chain_id)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def _lock(self) -> None:
        import fcntl

        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KehuError(JOURNAL_BUSY, journal=str(self.path)) from None

    def _load(self, chain_id: bytes) -> None:
        raw = self.path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]  # a line that a power cut left unfinished was never relied on
        lines = whole.splitlines()
        head = {"journal": FORMAT, "chain": chain_id.hex()}
        if lines:
            self._take_all(lines, chain_id)
        elif not _text([head]).startswith(raw.rstrip(b"\0")):  # zeros: a power cut in the first line
            raise KehuError(JOURNAL_DAMAGED, journal=str(self.path), line=1)
        os.ftruncate(self._descriptor, len(whole))  # only now: what is no journal is somebody's file
        os.lseek(self._descriptor, 0, os.SEEK_END)
        if not lines:
            self._append([head])

    def _take_all(self, lines: list[bytes], chain_id: bytes) -> None:
        try:
            head = json.loads(lines[0])
            if head["chain"] != chain_id.hex():
                raise KehuError(JOURNAL_OTHER_CHAIN, journal=str(self.path), expected=chain_id, actual=head["chain"])
            for number, line in enumerate(lines[1:], 2):
                self._take(json.loads(line), number)
        except (ValueError, KeyError, TypeError):
            raise KehuError(JOURNAL_DAMAGED, journal=str(self.path)) from None

    def _take(self, line: dict[str, Any], number: int) -> None:
        if "customer" in line:
            self.entries[line["row"]] = Entry(line["customer"])
            return
        entry = self.entries.get(line["row"])
        if entry is None:
            raise KehuError(JOURNAL_DAMAGED, journal=str(self.path), line=number)
        if "done" in line:
            entry.done = line["done"]
        else:
            entry.transaction, entry.expires = bytes.fromhex(line["transaction"]), line["expires"]

    def record(self, lines: Iterable[dict[str, Any]]) -> None:
        """Appends lines, durable on return, and takes them in."""
        lines = list(lines)
        if lines:
            self._append(lines)
            for line in lines:
                self._take(line, 0)

    def _append(self, lines: list[dict[str, Any]]) -> None:
        with storage_failures(self.path, "write journal"):
            end = os.lseek(self._descriptor, 0, os.SEEK_END)
            try:
                write_fully(self._descriptor, _text(lines))
                os.fsync(self._descriptor)
            except OSError:
                with suppress(OSError):  # else what another request still writes would follow half a line
                    os.ftruncate(self._descriptor, end)
                    os.lseek(self._descriptor, end, os.SEEK_SET)
                raise


def _text(lines: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()
