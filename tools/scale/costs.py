"""What things cost on a department's host. Processor times come from `make profile`, the rest is measured or stated."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.bench.bound import verifies_per_second

MEASURED: Final = Path(__file__).with_name("profile.json")
"""The profile that counts where none is given: `python -m tools.bench.profile --json`."""
_VERIFY: Final = "verify"
_EXECUTE: Final = ("execute", "permission check", "state tree", "receipts")
_APPEND: Final = ("storage", "LevelDB's thread", "mempool", "vault comparing", "search index")
_SYNCS: Final = 30


@dataclass(frozen=True, slots=True)
class Costs:
    """us of processor time per transaction and node, unless the name says otherwise."""

    verify_us: float
    ingest_us: float
    """HTTP, decoding, values and their holders, batches: all that is not one of the others."""
    execute_us: float
    append_us: float
    message_us: float = 150.0
    """Of the receiver, per consensus message: decoding, one verification, the replica's step."""
    send_us: float = 15.0
    """Of the sender, per message and receiver: sealing and the socket."""
    sync_ms: float = 1.0
    """Until something small is durable."""
    transaction_bytes: int = 650
    """On the wire, once as a batch and once more in the proposal."""
    values_bytes: int = 300
    holders: int = 3
    """Departments that have the values before the transaction is proposed, the author's among them."""
    cores: int = 2
    """Of a host: one for the event loop, the others for verification."""
    gigabit_per_s: float = 1.0
    interval_ms: float = 5.0
    """Between two proposals under traffic."""

    @property
    def all_us(self) -> float:
        return self.verify_us + self.ingest_us + self.execute_us + self.append_us


def costs_of(profile: Mapping[str, Any], **stated: float) -> Costs:
    """From what `tools.bench.profile --json` printed; `stated` replaces the defaults of the other fields."""
    parts: Mapping[str, float] = profile["parts_us"]
    execute = sum(parts.get(name, 0.0) for name in _EXECUTE)
    append = sum(parts.get(name, 0.0) for name in _APPEND)
    rest = sum(parts.values()) - execute - append - parts[_VERIFY]
    return dataclasses.replace(Costs(parts[_VERIFY], rest, execute, append), **stated)


def read_profile(path: Path = MEASURED) -> Mapping[str, Any]:
    profile: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return profile


def measured_here() -> dict[str, float]:
    """Time for a small write to be durable, and a message's verification, on this machine now."""
    verify_us = 1e6 * (os.cpu_count() or 1) / verifies_per_second(0.5)
    with tempfile.TemporaryDirectory(prefix="kehu-scale-") as folder, (Path(folder) / "log").open("wb") as log:
        begun = time.monotonic()
        for _ in range(_SYNCS):
            log.write(bytes(512))
            log.flush()
            os.fsync(log.fileno())
        sync_ms = (time.monotonic() - begun) * 1_000 / _SYNCS
    return {"sync_ms": round(sync_ms, 2), "message_us": round(verify_us + 60, 1)}
