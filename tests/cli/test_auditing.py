"""Running an audit over files and over HTTP: in parallel, resumed, stopped, and over damaged copies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chain import codec
from chain.checkpoint import checkpoint_chunks, read_checkpoint
from chain.errors import KehuError
from chain.state import State
from cli.audit_sources import FileSource, HttpSource
from cli.auditing import AuditProgress, AuditReport, run_audit
from tools.sample_chain import Notes, SampleChain, make_genesis, make_story

STORY = make_story()
EXPORT = STORY.export()


class BytesSource:
    """An export in memory, in chunks of 700 bytes; remembers from where it was asked."""

    name = "memory"
    target_height: int | None = None

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked_from: int | None = None

    def chunks(self, from_height: int) -> Generator[bytes, None, None]:
        self.asked_from = from_height
        for at in range(0, len(self.data), 700):
            yield self.data[at : at + 700]


def audit(data: bytes, **options: Any) -> AuditReport:
    return run_audit(BytesSource(data), **{"contracts": Notes(), "jobs": 1, **options})


def without_time(report: AuditReport) -> dict[str, Any]:
    value = report.to_value()
    return {name: value[name] for name in value if name not in ("seconds", "source", "resumed_from", "jobs")}


def grown() -> SampleChain:
    chain = make_story()
    for number in range(5):
        chain.append(chain.batch(*(chain.put(f"more{number}-{i}") for i in range(30)), department="finance"))
    return chain


def test_a_good_export_file_is_found_good(tmp_path: Path) -> None:
    path = tmp_path / "chain.kehu"
    path.write_bytes(EXPORT)
    seen: list[AuditProgress] = []
    report = run_audit(FileSource(path), contracts=Notes(), jobs=1, on_progress=seen.append)
    assert report.is_clean
    assert (report.height, report.block_id) == (4, STORY.ledger.head.block_id)
    assert report.state_root == STORY.ledger.state.root
    assert [progress.height for progress in seen] == [1, 2, 3, 4]
    assert seen[-1].transactions == report.counts.transactions == 28
    value = json.loads(json.dumps(report.to_value()))
    assert value["clean"] is True
    assert value["by_department"]["technical"]["transactions"] == 20


def test_a_flipped_byte_anywhere_is_found_and_never_named_beyond_its_height() -> None:
    frames_begin = EXPORT.index(STORY.genesis.raw) + len(STORY.genesis.raw)
    begins = [EXPORT.index(STORY.blocks.block_bytes(height)) for height in range(1, 5)]
    for position in [*range(0, len(EXPORT), 37), *range(len(EXPORT) - 45, len(EXPORT))]:
        changed = bytearray(EXPORT)
        changed[position] ^= 0x01
        report = audit(bytes(changed))
        assert report.finding is not None, position
        assert not report.is_clean
        if position >= frames_begin:
            at_most = sum(begin <= position for begin in begins) + 1
            assert max(1, at_most - 1) <= report.finding.height <= at_most, position


@pytest.mark.parametrize("cut", [1, 46, 47, 500, 5_000])
def test_a_truncated_export_is_found_after_everything_before_was_checked(cut: int) -> None:
    report = audit(EXPORT[:-cut])
    assert report.finding is not None
    assert report.finding.code == "export.truncated"
    assert report.finding.height == report.height + 1


def frame_of(height: int) -> int:
    """Where the frame of a height begins in the export."""
    block = STORY.blocks.block_bytes(height)
    return EXPORT.index(block) - (len(codec.encode([height, block])) - len(block)) - 4


@pytest.mark.parametrize("offset", [0, 2, 100])
def test_a_file_that_was_cut_behind_a_block_is_a_part_of_which_the_heights_are_named(offset: int) -> None:
    report = audit(EXPORT[: frame_of(4) + offset])
    assert report.finding is not None
    assert (report.finding.code, report.finding.details) == ("export.truncated", {"first": 1, "last": 3})
    assert (report.height, report.is_clean) == (3, False)


def test_an_export_that_begins_later_is_a_part_and_not_damaged(tmp_path: Path) -> None:
    chain, checkpoint = grown(), tmp_path / "audit.checkpoint"
    finding = audit(chain.export(from_height=6)).finding
    assert finding is not None
    assert (finding.code, finding.expected, finding.actual) == ("audit.part", "1", "6")
    assert finding.details == {"first": 6, "last": 9}
    assert audit(EXPORT, checkpoint=checkpoint).height == 4
    report = audit(chain.export(from_height=6), checkpoint=checkpoint)
    assert report.finding is not None
    assert (report.finding.code, report.finding.height, report.height) == ("audit.part", 5, 4)
    cut = audit(chain.export(from_height=6)[:-1]).finding
    assert cut is not None
    assert cut.code == "audit.part"


def test_the_genesis_that_the_auditor_brings_decides() -> None:
    assert audit(EXPORT, genesis=STORY.genesis.raw).is_clean
    finding = audit(EXPORT, genesis=make_genesis(network="other").raw).finding
    assert finding is not None
    assert (finding.height, finding.check, finding.code) == (0, "genesis", "audit.genesis")
    assert finding.actual == STORY.genesis.chain_id.hex()


def test_the_first_of_two_wrong_things_is_named_also_when_the_later_is_found_sooner() -> None:
    """A forged signature at height 2 waits in a chunk while the replay already stumbles over height 4."""
    chain = make_story()
    good = chain.batch(chain.put("x"), chain.put("y"))
    forged = type(good.transactions[0]).from_bytes(good.transactions[0].raw[:-64] + good.transactions[1].signature)
    chain.append(chain.batch(forged))
    chain.append(chain.batch(chain.put("z")))
    data = bytearray(chain.export())
    last = chain.blocks.receipt_bytes(6)[0]
    data[data.rindex(last) + len(last) - 1] ^= 0x01
    finding = audit(bytes(data)).finding
    assert finding is not None
    assert (finding.height, finding.check, finding.transaction_index) == (5, "signatures", 0)


def test_two_processes_report_what_one_reports() -> None:
    chain = SampleChain()
    for number in range(4):
        chain.append(chain.batch(*(chain.put(f"{number}-{i}") for i in range(400))))
    good = chain.export()
    assert without_time(audit(good, jobs=2)) == without_time(audit(good, jobs=1))
    victim = chain.blocks.block(3).batches[0].transactions[7]
    bad = good.replace(victim.signature, bytes(32) + victim.signature[32:])
    one, two = audit(bad, jobs=1), audit(bad, jobs=2)
    assert one.finding == two.finding
    assert one.finding is not None
    assert one.finding.height == 3


def test_a_resumed_audit_equals_a_full_one(tmp_path: Path) -> None:
    checkpoint, chain = tmp_path / "audit.checkpoint", grown()
    first = audit(EXPORT, checkpoint=checkpoint)
    assert first.resumed_from is None
    source = BytesSource(chain.export(from_height=5))
    resumed = run_audit(source, contracts=Notes(), checkpoint=checkpoint, jobs=1)
    assert source.asked_from == 5
    assert resumed.resumed_from == 4
    assert without_time(resumed) == without_time(audit(chain.export()))
    assert resumed.is_clean
    from_whole_file = audit(chain.export(), checkpoint=checkpoint)
    assert from_whole_file.resumed_from == 9
    assert without_time(from_whole_file) == without_time(resumed)


def test_an_audit_that_is_stopped_goes_on_where_it_stopped(tmp_path: Path) -> None:
    checkpoint, chain = tmp_path / "audit.checkpoint", grown()
    heights: list[int] = []
    stopped = audit(
        chain.export(),
        checkpoint=checkpoint,
        on_progress=lambda progress: heights.append(progress.height),
        should_stop=lambda: bool(heights) and heights[-1] == 3,
    )
    assert not stopped.is_complete
    assert stopped.finding is None
    assert stopped.height == 3
    resumed = audit(chain.export(), checkpoint=checkpoint)
    assert resumed.resumed_from == 3
    assert without_time(resumed) == without_time(audit(chain.export()))


def test_a_replayed_transaction_after_the_checkpoint_is_still_known(tmp_path: Path) -> None:
    checkpoint, chain = tmp_path / "audit.checkpoint", SampleChain()
    again = chain.put("once")
    chain.append(chain.batch(again))
    audit(chain.export(), checkpoint=checkpoint)
    chain.append(chain.batch(again, chain.put("b")))
    report = audit(chain.export(), checkpoint=checkpoint)
    assert report.is_clean
    assert report.counts.failed_by_code == {"transaction.duplicate": 1}


def test_an_audit_with_a_finding_leaves_the_checkpoint_as_it_was(tmp_path: Path) -> None:
    checkpoint, chain = tmp_path / "audit.checkpoint", grown()
    audit(EXPORT, checkpoint=checkpoint)
    before = checkpoint.read_bytes()
    data = bytearray(chain.export())
    data[-3_000] ^= 1
    assert audit(bytes(data), checkpoint=checkpoint).finding is not None
    assert checkpoint.read_bytes() == before


def test_a_damaged_checkpoint_is_refused_wherever_it_is_damaged(tmp_path: Path) -> None:
    checkpoint = tmp_path / "audit.checkpoint"
    audit(EXPORT, checkpoint=checkpoint)
    whole = checkpoint.read_bytes()
    for position in range(0, len(whole), 41):
        checkpoint.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(KehuError) as caught:
            audit(EXPORT, checkpoint=checkpoint)
        assert caught.value.code == "checkpoint.damaged"
    for cut in (b"", whole[:40], whole[:-1]):
        checkpoint.write_bytes(cut)
        with pytest.raises(KehuError) as caught:
            audit(EXPORT, checkpoint=checkpoint)
        assert caught.value.code == "checkpoint.damaged"


def test_a_checkpoint_whose_state_or_certificate_is_wrong_is_refused_though_its_digest_is_right() -> None:
    chain = make_story()
    chain.ledger.state = State({**dict(chain.ledger.state.items()), b"notes/a": b"\x80"})
    from chain.audit import Auditor

    def restored() -> Auditor:
        data = b"".join(checkpoint_chunks(Auditor(chain.ledger)))
        return read_checkpoint(data).restore(chain.genesis, Notes())

    with pytest.raises(KehuError) as caught:
        restored()
    assert (caught.value.code, caught.value.details["field"]) == ("checkpoint.damaged", "state_root")
    chain = make_story()
    certificate = chain.ledger.head.certificate
    assert certificate is not None
    chain.ledger.head = replace(
        chain.ledger.head, certificate=replace(certificate, signatures=certificate.signatures[:2])
    )
    with pytest.raises(KehuError) as caught:
        restored()
    assert caught.value.code == "certificate.no_quorum"


def test_a_checkpoint_of_another_chain_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "audit.checkpoint"
    other = SampleChain(make_genesis(network="other"))
    other.append(other.batch(other.put("a")))
    audit(other.export(), checkpoint=checkpoint)
    with pytest.raises(KehuError) as caught:
        audit(EXPORT, checkpoint=checkpoint)
    assert caught.value.code == "checkpoint.other_chain"


def test_two_chains_with_one_genesis_are_a_fork(tmp_path: Path) -> None:
    checkpoint = tmp_path / "audit.checkpoint"
    audit(EXPORT, checkpoint=checkpoint)
    other = SampleChain()
    for number in range(6):
        other.append(other.batch(other.put(f"fork{number}")))
    finding = audit(other.export(), checkpoint=checkpoint).finding
    assert finding is not None
    assert (finding.height, finding.code) == (4, "audit.fork")
    finding = audit(other.export(from_height=5), checkpoint=checkpoint).finding
    assert finding is not None
    assert (finding.height, finding.field) == (5, "parent_id")


def test_a_file_that_is_not_there_is_an_error_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(KehuError) as caught:
        run_audit(FileSource(tmp_path / "missing"), contracts=Notes(), jobs=1)
    assert caught.value.code == "audit_source.unreadable"


@pytest.fixture
def node_url() -> Iterator[str]:
    """A node's two requests that an audit makes, served from a thread with a loop of its own."""

    async def status(_request: web.Request) -> web.Response:
        return web.json_response({"height": 4})

    async def export(request: web.Request) -> web.StreamResponse:
        from_height = int(request.query["from"])
        if from_height > 5:
            return web.Response(status=404)
        response = web.StreamResponse()
        await response.prepare(request)
        data = STORY.export(from_height)
        for at in range(0, len(data), 1_000):
            await response.write(data[at : at + 1_000])
        return response

    loop, ready, address = asyncio.new_event_loop(), threading.Event(), []

    async def start() -> web.AppRunner:
        app = web.Application()
        app.add_routes([web.get("/v1/status", status), web.get("/v1/export", export)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address.append(runner.addresses[0])
        ready.set()
        return runner

    def serve() -> None:
        runner = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait()
    yield f"http://127.0.0.1:{address[0][1]}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_a_node_is_audited_over_http_and_again_from_where_it_was(node_url: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "audit.checkpoint"
    seen: list[AuditProgress] = []
    report = run_audit(
        HttpSource(node_url + "/"), contracts=Notes(), jobs=1, checkpoint=checkpoint, on_progress=seen.append
    )
    assert report.is_clean
    assert without_time(report) == without_time(audit(EXPORT))
    assert {progress.target_height for progress in seen} == {4}
    again = run_audit(HttpSource(node_url), contracts=Notes(), jobs=1, checkpoint=checkpoint)
    assert (again.is_clean, again.resumed_from, again.height) == (True, 4, 4)


def test_a_node_that_refuses_or_is_not_there_is_an_error_with_a_cure(node_url: str) -> None:
    class Further(HttpSource):
        def chunks(self, from_height: int) -> Generator[bytes, None, None]:
            return super().chunks(99)

    for source, code in (
        (Further(node_url), "audit_source.refused"),
        (HttpSource("http://127.0.0.1:1"), "audit_source.unreachable"),
    ):
        with pytest.raises(KehuError) as caught:
            run_audit(source, contracts=Notes(), jobs=1)
        assert caught.value.code == code


def test_the_first_interrupt_stops_in_good_order_and_the_handler_is_given_back(tmp_path: Path) -> None:
    before, checkpoint = signal.getsignal(signal.SIGINT), tmp_path / "audit.checkpoint"

    def press(progress: AuditProgress) -> None:
        if progress.height == 2:
            os.kill(os.getpid(), signal.SIGINT)

    report = audit(EXPORT, checkpoint=checkpoint, on_progress=press)
    assert (report.is_complete, report.finding, report.height) == (False, None, 2)
    assert read_checkpoint(checkpoint.read_bytes()).height == 2
    assert signal.getsignal(signal.SIGINT) is before
