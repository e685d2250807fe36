"""An audit and an export say what they could not look at, and never that all is well with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chain.audit import SignatureCheck
from chain.errors import KehuError
from chain.export import ExportWriter
from chain.transaction import Transaction
from cli.audit_pool import CHUNK_SIGNATURES, SignaturePool
from cli.audit_sources import AUDIT_SOURCE_UNREACHABLE
from cli.auditing import AuditReport, run_audit
from cli.commands.audit import _genesis, _headline
from cli.commands.export import _copy, _require_heights
from cli.output import stand_still
from node.storage.durable import StorageFailure
from node.storage.unfinished import unfinished
from tests.cli.test_auditing import EXPORT, STORY, BytesSource, frame_of, grown
from tools.sample_chain import Notes, make_story


def audit(data: bytes, checkpoint: Path | None = None) -> AuditReport:
    return run_audit(BytesSource(data), contracts=Notes(), checkpoint=checkpoint, jobs=1)


def code_of(report: AuditReport) -> str:
    assert report.finding is not None
    assert not report.is_clean
    assert not report.is_complete
    return report.finding.code


def test_an_export_without_heights_that_ends_above_the_audit_is_a_part() -> None:
    writer = ExportWriter()
    report = audit(writer.start(STORY.genesis.raw, 5_001) + writer.end())
    assert code_of(report) == "audit.part"
    assert report.finding is not None
    assert (report.finding.expected, report.finding.actual, report.height) == ("1", "5001", 0)
    assert "no heights" in _headline(report.finding.to_value())


@pytest.mark.parametrize("end", [True, False])
def test_an_export_that_ends_below_the_checkpoint_was_not_looked_at(tmp_path: Path, end: bool) -> None:
    """Its blocks may be anybody's: none of them is compared with what was audited."""
    checkpoint = tmp_path / "audit.checkpoint"
    assert audit(grown().export(), checkpoint).height == 9
    before = checkpoint.read_bytes()
    report = audit(EXPORT if end else EXPORT[: frame_of(4)], checkpoint)
    assert code_of(report) == "audit.behind"
    assert report.finding is not None
    assert (report.finding.expected, report.finding.actual) == ("9", "4" if end else "3")
    assert "Nothing was checked" in _headline(report.finding.to_value())
    assert checkpoint.read_bytes() == before


def test_an_export_without_heights_that_ends_at_the_checkpoint_has_nothing_new(tmp_path: Path) -> None:
    checkpoint = tmp_path / "audit.checkpoint"
    audit(EXPORT, checkpoint)
    assert audit(STORY.export(from_height=5), checkpoint).is_clean


@pytest.mark.parametrize(
    ("network", "node", "expected"),
    [
        (None, "finance", b"folder"),
        (Path("net"), None, b"folder"),
        (None, None, None),
        (None, "http://127.0.0.1:1", None),
        (Path("net"), "https://127.0.0.1:1", b"folder"),
    ],
)
def test_a_folder_that_says_where_a_department_is_says_too_which_genesis_it_must_have(
    network: Path | None, node: str | None, expected: bytes | None
) -> None:
    profile = SimpleNamespace(genesis=SimpleNamespace(raw=b"folder"))
    run: Any = SimpleNamespace(network=network, profile=profile)
    assert _genesis(run, None, node) == expected


def test_a_checkpoint_that_can_not_be_written_is_refused_before_the_audit(tmp_path: Path) -> None:
    source = BytesSource(EXPORT)
    with pytest.raises(KehuError) as caught:
        run_audit(source, contracts=Notes(), checkpoint=tmp_path / "missing" / "audit.checkpoint", jobs=1)
    assert (caught.value.code, source.asked_from) == ("checkpoint.no_place", None)


def test_a_full_disk_under_the_checkpoint_is_an_error_with_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageFailure, match="ENOSPC"):
        audit(EXPORT, tmp_path / "audit.checkpoint")


def test_an_audit_whose_process_was_ended_from_outside_says_so() -> None:
    checks: list[SignatureCheck] = [(1, "transaction", 0, bytes(32), bytes(100), bytes(64))] * CHUNK_SIGNATURES
    with SignaturePool(2) as pool:
        pool.submit(checks)
        executor = pool._executor
        assert executor is not None
        for process in list(executor._processes.values()):
            os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(KehuError, match=r"machine\.worker_lost"):
            check_often(pool, checks)


class BreaksOff(BytesSource):
    """A node that stops in the middle of its export."""

    def chunks(self, from_height: int) -> Generator[bytes, None, None]:
        yield from super().chunks(from_height)
        raise KehuError(AUDIT_SOURCE_UNREACHABLE, source=self.name, reason="ended early")


def test_an_audit_whose_node_stops_in_the_middle_goes_on_from_there(tmp_path: Path) -> None:
    checkpoint = tmp_path / "audit.checkpoint"
    with pytest.raises(KehuError, match=r"audit_source\.unreachable"):
        run_audit(BreaksOff(EXPORT[: frame_of(4)]), contracts=Notes(), checkpoint=checkpoint, jobs=1)
    report = audit(STORY.export(from_height=4), checkpoint)
    assert (report.resumed_from, report.height, report.is_clean) == (3, 4, True)


def test_a_node_that_stops_behind_a_forged_signature_does_not_hide_it(tmp_path: Path) -> None:
    checkpoint, chain = tmp_path / "audit.checkpoint", make_story()
    good = chain.batch(chain.put("x"), chain.put("y"))
    one, other = good.transactions
    chain.append(chain.batch(Transaction.from_bytes(one.raw[:-64] + other.signature)))
    source = BreaksOff(chain.export()[:-1])
    report = run_audit(source, contracts=Notes(), checkpoint=checkpoint, jobs=1)
    assert code_of(report) == "signature.invalid"
    assert not checkpoint.exists()


STARTED = """
import signal, sys
from chain.crypto import SigningKey, signed_message
from cli.audit_pool import CHUNK_SIGNATURES, SignaturePool
key, message = SigningKey(bytes(32)), signed_message("commit", bytes(32), b"")
check = (1, "commit", -1, key.public, message, key.sign("commit", bytes(32), b""))
pool = SignaturePool(jobs=3)
pool.submit([check] * CHUNK_SIGNATURES)
pool.drain()
print("started", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_audit_that_is_ended_from_outside_leaves_no_process_behind(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", STARTED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(number)
        rest, _ = process.communicate(timeout=30)  # an end of what all of them have open comes with the last one's end
    assert (rest, process.returncode) == ("", -number)


def test_an_audit_that_can_start_no_process_says_so() -> None:
    """As in the moment in which the pool finds out that its processes have ended."""
    checks: list[SignatureCheck] = [(1, "transaction", 0, bytes(32), bytes(100), bytes(64))] * CHUNK_SIGNATURES
    with SignaturePool(2) as pool:
        pool._executor = executor = pool._pool()
        executor.shutdown(wait=True)

        def refused(*_given: object) -> None:
            raise OSError("handle is closed")

        executor.submit = refused  # type: ignore[assignment]
        with pytest.raises(KehuError, match=r"machine\.worker_lost"):
            pool.submit(checks)


def check_often(pool: SignaturePool, checks: list[SignatureCheck]) -> None:
    for _ in range(1_000):
        pool.submit(checks)
        pool.drain()


async def copied(data: bytes, folder: Path) -> dict[str, Any]:
    async def pieces() -> AsyncIterator[bytes]:
        yield data

    with unfinished(folder / "chain.kehu") as output:
        return await _copy(pieces(), output, stand_still, STORY.genesis.raw)


@pytest.mark.parametrize(
    ("begins", "first", "until", "last", "field"),
    [
        (1, 1, 4, None, None),
        (1, 1, 3, None, None),
        (2, 2, 4, 4, None),
        (5, 5, 4, None, None),
        (2, 1, 4, None, "first"),
        (5, 1, 4, None, "first"),
        (1, 1, 9, None, "last"),
        (1, 1, 9, 9, "last"),
        (1, 1, 3, 3, "last"),
    ],
)
async def test_an_export_of_other_heights_than_were_asked_for_is_not_kept(
    begins: int, first: int, until: int, last: int | None, field: str | None, tmp_path: Path
) -> None:
    found = await copied(STORY.export(begins), tmp_path)
    if field is None:
        _require_heights(found, first, until, last)
        assert found["last"] == 4
        return
    with pytest.raises(KehuError, match=r"export\.other_heights") as caught:
        _require_heights(found, first, until, last)
    assert caught.value.details["field"] == field
