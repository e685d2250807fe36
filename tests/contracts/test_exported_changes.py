"""Who has only an export follows the departments through every kind of change: the receipts in it say who decides."""

from __future__ import annotations

import io
from typing import Any

import pytest

from chain import codec
from chain.export import ExportBlock, export_chunks
from tests.contracts.office import Office
from tests.contracts.test_governance import addition, agree, four, node, pass_until
from tools.verifier.export import verify_export
from tools.verifier.primitives import VerificationError


@pytest.fixture
def kept() -> tuple[Office, list[ExportBlock]]:
    """An office, and what it appends."""
    office, frames = four(), []
    advance = office.ledger.advance

    def keep(executed: Any, certificate: Any) -> None:
        receipts = codec.encode_flat(executed.receipt_bytes)
        frames.append(ExportBlock(executed.block.header.height, executed.block.raw, certificate.to_bytes(), receipts))
        advance(executed, certificate)

    office.ledger.advance = keep  # type: ignore[method-assign]
    return office, frames


def exported(office: Office, frames: list[ExportBlock]) -> io.BytesIO:
    return io.BytesIO(b"".join(export_chunks(office.genesis.raw, frames)))


def test_departments_that_came_moved_rotated_and_went_are_followed_by_their_receipts(
    kept: tuple[Office, list[ExportBlock]],
) -> None:
    office, frames = kept
    agree(office, addition(office))
    agree(office, {"kind": "move", "department": "sales", "address": "10.0.0.9:7001"}, "p2")
    own = office.ok("node finance", "governance.rotate", proposal="r1", **node(office, "finance", "node finance 2"))
    pass_until(office, own["activation_height"])
    agree(office, {"kind": "remove", "department": "after_sales"}, "p3")
    office.ok("boss", "access.login")
    found = verify_export(exported(office, frames))
    assert (found.height, found.block_id) == (office.ledger.height, office.ledger.head.block_id)
    assert office.ledger.validators(found.height).epoch == 3


def test_an_export_whose_acceptance_was_taken_out_is_refused_where_the_new_departments_begin(
    kept: tuple[Office, list[ExportBlock]],
) -> None:
    """A block less is a gap; receipts without it have another root."""
    office, frames = kept
    agree(office, addition(office))
    office.ok("boss", "access.login")
    verify_export(exported(office, frames))
    at = next(frame.height for frame in frames if b"accepted_set" in frame.receipts)
    receipts = codec.encode_flat([codec.encode([bytes(32), "ok", None, [], {}])])
    frames[at - 1] = ExportBlock(at, frames[at - 1].block, frames[at - 1].certificate, receipts)
    with pytest.raises(VerificationError, match="receipts root"):
        verify_export(exported(office, frames))
