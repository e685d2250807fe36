"""Who is told that a department was removed, and what is believed of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from chain import codec
from chain.errors import KehuError
from chain.state import state_key
from node.members.farewell import Farewells, read_newest, removal
from tools.membership_vectors import ACCEPTED_AT, receipt_proof
from tools.sample_chain import key_of, make_changes

CHAIN, ACCEPTED = make_changes()
PROOFS = [receipt_proof(CHAIN, height) for height in ACCEPTED_AT]


def farewells(**rows: Any) -> Farewells:
    """Of a node at the chain's head, with these rows of `keys` and `memberships` in its state."""
    table = {
        state_key("memberships", str(number)): {"transaction": transaction.id}
        for number, transaction in enumerate(ACCEPTED, 1)
    } | {state_key("keys", key_of(name).public.hex()): row for name, row in rows.items()}
    values = {key: codec.encode(row) for key, row in table.items()}
    ledger: Any = SimpleNamespace(state=values, height=CHAIN.ledger.height, validators=CHAIN.ledger.validators)
    return Farewells(ledger, CHAIN.blocks)


def read(department: str, proofs: list[bytes], epoch: int = 0) -> KehuError | None:
    """What a department's node ends with, if it is told these proofs."""
    told = read_newest(CHAIN.genesis, proofs, epoch)
    return None if told is None else removal(department, told)


async def test_a_former_member_gets_every_change_and_nobody_else_gets_any() -> None:
    told = farewells(
        legal={"kind": "node", "department": "legal", "status": "revoked"},
        li={"kind": "person", "department": "legal", "status": "active"},
    )
    assert list(await told.tell("legal", key_of("legal").public)) == PROOFS
    for department, name in (("legal", "li"), ("sales", "legal"), ("legal", "stranger")):
        assert list(await told.tell(department, key_of(name).public)) == []


def test_a_department_is_removed_if_the_newest_proven_set_does_not_have_it() -> None:
    removed = read("legal", PROOFS, 0)
    assert removed is not None
    assert (removed.code, removed.details["epoch"], removed.details["height"]) == ("membership.removed", 2, 5)


@pytest.mark.parametrize("proofs", [[], [b""], PROOFS[::-1], [PROOFS[1]], [PROOFS[0], PROOFS[1][:-1]]])
def test_what_proves_nothing_removes_nobody(proofs: list[bytes]) -> None:
    assert read("legal", proofs, 0) is None


def test_a_department_of_the_newest_set_is_not_removed() -> None:
    assert read("process", PROOFS, 0) is None
    assert read("sales", PROOFS, 0) is None


def test_proofs_of_a_time_before_the_department_came_remove_nobody() -> None:
    """One faulty department could end every node that joined after a change of membership."""
    assert CHAIN.ledger.validators(CHAIN.ledger.height + 1).key_of("process") is not None
    assert read("process", PROOFS[:1], epoch=2) is None


async def test_a_node_that_began_with_a_snapshot_tells_former_members_once_it_has_the_blocks_of_the_changes() -> None:
    told = farewells(technical={"kind": "node", "department": "technical"})
    held = told._blocks
    first = ACCEPTED_AT[-1] + 1

    class Behind:
        def first(self) -> tuple[int, int]:
            return first, first

        def find(self, id_: bytes) -> object:
            found = held.find(id_)
            return found if found is not None and found.height >= first else None

        def __getattr__(self, name: str) -> Any:
            return getattr(held, name)

    blocks: Any = Behind()
    told._blocks = blocks
    assert list(await told.tell("technical", key_of("technical").public)) == []
    first = 1
    assert list(await told.tell("technical", key_of("technical").public)) == PROOFS
