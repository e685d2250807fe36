"""Damaged parts of a node's folder are set aside, never deleted: HOME/damaged/TIME/ holds them and why.json.

Once a part is away the node goes on as if it had never had it, which is safe for four of them: the chain comes again
from the other departments, each block certified; values come again from other holders; without a vote log the node
observes. Configuration, genesis and keys are nobody else's to give: damage to them refuses the start.

A disk that damages the same part again and again is not to be trusted: after `TRIES_MAX` times in `TRIES_MS` the node
stops for good (`node.damaged_again`).

Set-aside record keys would open values that are erased later, so those alone don't stay: `destroy_keys` takes them
away with the next erasure.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from chain.errors import KehuError, define, shown_details
from node.storage.durable import StorageFailure, storage_failures, sync_folder, write_file

TRIES_MAX: Final = 3
TRIES_MS: Final = 24 * 3_600_000
FOLDER: Final = "damaged"
CHAIN, VAULT, VAULT_KEYS, VOTES = "chain", "vault", "vault-keys", "votes.log"

DAMAGED_AGAIN = define(
    "node.damaged_again",
    "the same part of the folder was found damaged as often in a day as the node puts up with",
    "look at the disk and at damaged/ in the node's folder; replace the disk, take damaged/ away, then start again",
)

log = logging.getLogger("kehu.soundness")


@dataclass(frozen=True, slots=True)
class Aside:
    """One time that something was set aside: `parts` are names in the node's folder."""

    name: str
    time_ms: int
    parts: tuple[str, ...]
    code: str
    problem: str

    def to_value(self) -> dict[str, Any]:
        return {"name": self.name, "time_ms": self.time_ms, "parts": list(self.parts), "code": self.code}


def parts_hit(home: Path, error: KehuError) -> tuple[str, ...]:
    """Which parts have to go, by an error of opening, reading or scrubbing; () where setting aside cures nothing."""
    if error.code in ("votelog.corrupt", "votelog.ahead_of_chain", "votelog.old"):
        return (VOTES,)
    if error.code == "vault.keys_missing":
        return (VAULT,)
    if error.code in ("vault.locked", "vault.damaged"):
        return (VAULT, VAULT_KEYS)
    if error.code in ("storage.state_mismatch", "storage.incomplete"):
        return (CHAIN,)
    if error.code == "storage.corrupt":
        path = str(error.details.get("path", ""))
        by_path = {
            str(home / CHAIN): (CHAIN,),
            str(home / VAULT): (VAULT,),
            str(home / VAULT_KEYS): (VAULT, VAULT_KEYS),
        }
        return by_path.get(path, ())
    return ()


def set_aside(home: Path, parts: Sequence[str], error: KehuError) -> Aside:
    """Moves `parts` of the stopped node's folder to a folder of their own. Errors: node.damaged_again, storage.io."""
    time_ms = time.time_ns() // 1_000_000
    _require_tries_left(home, parts, time_ms, error)
    name = datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S.") + f"{time_ms % 1000:03}Z"
    target = home / FOLDER / name
    evidence = Aside(name, time_ms, tuple(parts), error.code, error.spec.cause)
    with storage_failures(target, "set aside"):
        target.mkdir(mode=0o700, parents=True)
        why = {**evidence.to_value(), "cause": error.spec.cause, "details": shown_details(error)}
        content = json.dumps(why, ensure_ascii=False, indent=2).encode(errors="backslashreplace")
        write_file(target / "why.json", content, replace=False)
        for part in parts:
            if (home / part).exists():
                _move(home / part, target / part)
        for folder in (target, target.parent, home):
            sync_folder(folder)
    log.error("%s: %s set aside in damaged/%s; fetched again or rebuilt from here on", error, ", ".join(parts), name)
    return evidence


def _move(part: Path, target: Path) -> None:
    """A link, to another disk say, goes on leading there: an erasure has to find the keys behind it."""
    if part.is_symlink():
        target.symlink_to(part.resolve())
        part.unlink()
    else:
        part.rename(target)


def heal(home: Path, error: KehuError) -> bool:
    """Sets aside what `error` is about; False where that would cure nothing. Errors as of `set_aside`."""
    parts = parts_hit(home, error)
    if parts:
        set_aside(home, parts, error)
    return bool(parts)


def list_aside(home: Path) -> list[Aside]:
    """What was set aside, oldest first. What can't be read there is passed over."""
    found = []
    for why in sorted((home / FOLDER).glob("*/why.json")):
        try:
            value = json.loads(why.read_text(encoding="utf-8"))
            parts = tuple(str(part) for part in value["parts"])
            found.append(Aside(why.parent.name, int(value["time_ms"]), parts, str(value["code"]), value["cause"]))
        except (OSError, ValueError, KeyError, TypeError):
            log.warning("damaged/%s can't be read", why.parent.name)
    return found


def destroy_keys(home: Path) -> int:
    """Takes record keys that were set aside off the disk; how many folders of them went."""
    folders = sorted((home / FOLDER).glob(f"*/{VAULT_KEYS}"))
    for folder in folders:
        with storage_failures(folder, "destroy keys"):
            if folder.is_symlink():
                shutil.rmtree(folder.resolve())
                folder.unlink()
            else:
                shutil.rmtree(folder)
            sync_folder(folder.parent)
        log.warning("the keys in damaged/%s are destroyed: a record was erased", folder.parent.name)
    return len(folders)


def _require_tries_left(home: Path, parts: Sequence[str], now_ms: int, error: KehuError) -> None:
    recent = [one for one in list_aside(home) if now_ms - one.time_ms < TRIES_MS]
    for part in parts:
        tries = sum(part in one.parts for one in recent)
        if tries >= TRIES_MAX:
            raise StorageFailure(DAMAGED_AGAIN, part=part, times=tries, limit=TRIES_MAX, last=error.code)
