"""Running an audit: takes frames from a source, replays them here, and checks signatures on all cores.

`chain.audit` says what is right; this module only moves the work: frames in order through one replay, signatures
in chunks through a pool of processes, a checkpoint now and then so that a later audit goes on from there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chain.audit import Auditor
from chain.block import Block
from chain.checkpoint import Checkpoint, checkpoint_chunks, read_checkpoint
from chain.errors import KehuError, define
from chain.execution import Contracts
from chain.export import EXPORT_TRUNCATED, ExportBlock, ExportEnd, ExportGenesis, ExportReader
from chain.findings import AuditCounts, AuditFinding, first
from chain.genesis import Genesis
from cli.audit_pool import SignaturePool, interrupt_flag
from cli.audit_sources import AuditSource
from node.storage.unfinished import unfinished

CHECKPOINT_EVERY_S: Final = 60.0
_NO_FINDINGS: Final = ("audit_source.", "checkpoint.", "storage.", "protocol.", "machine.")
"""Errors that say nothing about the chain."""
_NO_FURTHER: Final = ("audit_source.", "protocol.")
"""Those after which all that was taken before still counts."""

AUDIT_GENESIS = define(
    "audit.genesis",
    "the export begins with another genesis than the one the auditor brought",
    "you are looking at another network, or at a forged one: compare the chain ids with the other departments",
)
AUDIT_FORK = define(
    "audit.fork",
    "at the height of the checkpoint this chain has another block than the one audited before",
    "two chains with one genesis: keep both exports, and ask every department for its own",
)
AUDIT_BEHIND = define(
    "audit.behind",
    "the export ends before the height that the checkpoint has come to; nothing of it was checked",
    "audit an export that goes further, or this one from its beginning, without --resume",
)
CHECKPOINT_PLACE = define(
    "checkpoint.no_place",
    "the audit's checkpoint can't be written there",
    "name a file in a folder that is there and that you may write to",
)
AUDIT_PART = define(
    "audit.part",
    "the export is a part of the chain that begins later than the audit has to go on; nothing of it was checked",
    "audit an export from the expected height on, or give --resume the checkpoint of an audit up to the height before",
)


@dataclass(frozen=True, slots=True)
class AuditProgress:
    """How far the replay is. `target_height` is known where the source says it."""

    height: int
    transactions: int
    target_height: int | None


@dataclass(frozen=True)
class AuditReport:
    """What an audit found. `is_complete`: the source was read to its last frame; a run that was interrupted or
    that found something is not. `counts` include what an earlier audit counted whose checkpoint this one took."""

    source: str
    network: str
    chain_id: bytes
    height: int
    block_id: bytes
    state_root: bytes
    time_ms: int
    resumed_from: int | None
    is_complete: bool
    counts: AuditCounts
    finding: AuditFinding | None
    seconds: float
    jobs: int

    @property
    def is_clean(self) -> bool:
        return self.is_complete and self.finding is None

    def to_value(self) -> dict[str, Any]:
        """As a map for JSON; the names are part of the contract of `kehu audit --json`."""
        return {
            "source": self.source,
            "network": self.network,
            "chain_id": self.chain_id.hex(),
            "height": self.height,
            "block_id": self.block_id.hex(),
            "state_root": self.state_root.hex(),
            "time_ms": self.time_ms,
            "resumed_from": self.resumed_from,
            "complete": self.is_complete,
            "clean": self.is_clean,
            "finding": self.finding.to_value() if self.finding else None,
            "seconds": round(self.seconds, 3),
            "jobs": self.jobs,
            **self.counts.to_value(),
        }


def run_audit(
    source: AuditSource,
    *,
    contracts: Contracts | None = None,
    genesis: bytes | None = None,
    checkpoint: Path | None = None,
    jobs: int | None = None,
    on_progress: Callable[[AuditProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> AuditReport:
    """Audits everything `source` gives; what is wrong with the chain is in the report, never raised.

    contracts: the contract table, by default the release's own. genesis: canonical genesis bytes from somewhere
    the auditor trusts; the export must begin with them. checkpoint: a file to go on from, and to write when done,
    every minute, when interrupted and when the source breaks off; it may be missing. jobs: processes in all, by
    default one per core: this one replays, the others check signatures; 1 does both here. should_stop: asked after
    every block. Ctrl-C stops in good order (a second one at once).

    Errors: audit_source.* where the source can't be read, checkpoint.* where the checkpoint is of no use, protocol.*
    where the chain goes on by rules that this software does not speak: nothing is said about it then.
    """
    if contracts is None:
        from contracts.registry import contract_table

        contracts = contract_table()
    if checkpoint is not None and not os.access(checkpoint.parent, os.W_OK):  # not only after hours of work
        raise KehuError(CHECKPOINT_PLACE, file=str(checkpoint))
    known = read_checkpoint(checkpoint.read_bytes()) if checkpoint and checkpoint.exists() else None
    with interrupt_flag() as is_interrupted, SignaturePool(jobs) as pool:
        run = _Run(source, contracts, genesis, known, checkpoint, pool)
        run.on_progress = on_progress
        run.is_stopped = lambda: is_interrupted() or (should_stop is not None and should_stop())
        return run.report()


class _Run:
    """One audit on its way."""

    def __init__(
        self,
        source: AuditSource,
        contracts: Contracts,
        genesis: bytes | None,
        known: Checkpoint | None,
        checkpoint: Path | None,
        pool: SignaturePool,
    ) -> None:
        self.source = source
        self.contracts = contracts
        self.genesis = genesis
        self.known = known
        self.checkpoint = checkpoint
        self.pool = pool
        self.on_progress: Callable[[AuditProgress], None] | None = None
        self.is_stopped: Callable[[], bool] = lambda: False
        self.auditor: Auditor | None = None
        self.finding: AuditFinding | None = None
        self.is_complete = False
        self.heights: tuple[int, int] | None = None
        """The first and the newest height that the source gave."""
        self._started = self._written = time.perf_counter()

    def report(self) -> AuditReport:
        try:
            self._read()
        except KehuError as error:
            if error.code.startswith(_NO_FURTHER):
                self._keep(error)
            else:
                raise
        self.finding = first(self.finding or self._apart(), self.pool.drain())
        if self.finding is None:
            self._write_checkpoint()
        else:
            self.is_complete = False
        head = self.auditor.ledger.head if self.auditor else None
        return AuditReport(
            source=self.source.name,
            network=self.auditor.ledger.genesis.network if self.auditor else "",
            chain_id=self.auditor.ledger.genesis.chain_id if self.auditor else b"",
            height=head.height if head else 0,
            block_id=head.block_id if head else b"",
            state_root=head.header.state_root if head else b"",
            time_ms=head.header.time_ms if head else 0,
            resumed_from=self.known.height if self.known else None,
            is_complete=self.is_complete,
            counts=self.auditor.counts if self.auditor else AuditCounts(),
            finding=self.finding,
            seconds=time.perf_counter() - self._started,
            jobs=self.pool.jobs,
        )

    def _keep(self, error: KehuError) -> None:
        """What was checked until the audit could not go on: a source that never lasts a minute would else be begun
        with again and again. Raises `error`, unless what there was by then is wrong."""
        self.finding = self.pool.drain()
        if self.finding is None:
            self._write_checkpoint()
            raise error

    def _read(self) -> None:
        """Everything the source gives, up to its end, the first finding or an interruption."""
        reader = ExportReader()
        from_height = self.known.height + 1 if self.known else 1
        with closing(self.source.chunks(from_height)) as chunks:
            try:
                for chunk in chunks:
                    for item in reader.feed(chunk):
                        self._take(item)
                        if self.finding is not None or self.is_stopped():
                            return
                reader.close()
            except KehuError as error:
                if error.code.startswith(_NO_FINDINGS):
                    raise
                if error.spec is EXPORT_TRUNCATED:
                    self.finding = self._apart() or (self._behind(self.heights[1]) if self.heights else None)
                if self.finding is None:
                    place = max(reader.place, self.auditor.height + 1) if self.auditor else reader.place
                    self.finding = AuditFinding.of(self._with_heights(error), place, "export")

    def _with_heights(self, error: KehuError) -> KehuError:
        """Of an export that ends too early, which heights it has: it may be a part that somebody cut on purpose."""
        if error.spec is not EXPORT_TRUNCATED or self.heights is None:
            return error
        return KehuError(EXPORT_TRUNCATED, first=self.heights[0], last=self.heights[1])

    def _apart(self) -> AuditFinding | None:
        """That the source begins behind the height from which the audit goes on."""
        if self.auditor is None or self.heights is None or self.heights[0] <= self.auditor.height + 1:
            return None
        begin, end = self.heights
        height = self.auditor.height + 1
        error = KehuError(AUDIT_PART, field="height", expected=height, actual=begin, first=begin, last=end)
        return AuditFinding.of(error, height, "export")

    def _behind(self, last: int) -> AuditFinding | None:
        """That the source, which has come to its last height, ends where the audit has been before."""
        if self.known is None or last >= self.known.height:
            return None
        error = KehuError(AUDIT_BEHIND, field="height", expected=self.known.height, actual=last)
        return AuditFinding.of(error, last + 1, "export")

    def _end(self, last: int) -> None:
        """What follows from the source's own word for its last height."""
        self.is_complete = True
        self.finding = self._apart() or self._behind(last)
        if self.finding is None and self.auditor is not None and last > self.auditor.height:  # it has no height at all
            height = self.auditor.height + 1
            error = KehuError(AUDIT_PART, field="height", expected=height, actual=last + 1)
            self.finding = AuditFinding.of(error, height, "export")

    def _take(self, item: ExportGenesis | ExportBlock | ExportEnd) -> None:
        if isinstance(item, ExportGenesis):
            self._begin(item.raw)
        elif isinstance(item, ExportEnd):
            self._end(item.height)
        elif self.auditor is not None:
            self.heights = (item.height if self.heights is None else self.heights[0], item.height)
            if self._apart() is None:
                self._take_block(self.auditor, item)

    def _begin(self, raw: bytes) -> None:
        try:
            if self.genesis is not None and raw != self.genesis:
                ours, theirs = Genesis.from_bytes(self.genesis), Genesis.from_bytes(raw)
                raise KehuError(AUDIT_GENESIS, expected=ours.chain_id, actual=theirs.chain_id)
            if self.known is None:
                self.auditor = Auditor.at_genesis(raw, self.contracts)
            else:
                self.auditor = self.known.restore(Genesis.from_bytes(raw), self.contracts)
        except KehuError as error:
            if error.code.startswith(("checkpoint.", "protocol.")):
                raise
            self.finding = AuditFinding.of(error, 0, "genesis")

    def _take_block(self, auditor: Auditor, frame: ExportBlock) -> None:
        if self.known is not None and frame.height <= self.known.height:
            self._compare_known(self.known, frame)
            return
        step = auditor.step(frame)
        self.finding = first(self.pool.submit(step.signatures), step.finding)
        if self.finding is not None:
            return
        if self.on_progress is not None:
            progress = AuditProgress(auditor.height, auditor.counts.transactions, self.source.target_height)
            self.on_progress(progress)
        if time.perf_counter() - self._written > CHECKPOINT_EVERY_S:
            self.finding = self.pool.drain()
            if self.finding is None:
                self._write_checkpoint()

    def _compare_known(self, known: Checkpoint, frame: ExportBlock) -> None:
        """An export file begins before the checkpoint: it must be the same chain there."""
        if frame.height < known.height:
            return
        try:
            actual = Block.from_bytes(frame.block).id
            if actual != known.block_id:
                raise KehuError(AUDIT_FORK, expected=known.block_id, actual=actual)
        except KehuError as error:
            self.finding = AuditFinding.of(error, frame.height, "block")

    def _write_checkpoint(self) -> None:
        if self.checkpoint is not None and self.auditor is not None:
            with unfinished(self.checkpoint) as output:
                for chunk in checkpoint_chunks(self.auditor):
                    output.write(chunk)
                output.sync()
                output.finish(replace=True)  # the one before, which this goes beyond
            self._written = time.perf_counter()
