"""Several gateways, one of which is wrong: its answer is left out, and those of the others count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from chain import codec
from chain.attestation import FOUND, SAME, Attestation, Outcome, identifier_digest_of, sign_attestation
from chain.errors import KehuError
from contracts.deciding.policy import default_policy
from node.carrier.platform import Answer
from node.intake.waiting import Committed
from node.phone.panel import Panel
from tests.contracts.office import DAY_MS, Office, key_of
from tests.node.phone.test_phone_desk import Desk

HOUR_MS = 3_600_000
GATEWAYS = {"sales": "g2", "finance": "g3"}


@dataclass(frozen=True)
class Said:
    """What another department's gateway answers: `late_ms` by its clock, with `identifier` beside the attestation."""

    outcome: Outcome = FOUND
    identifier: str | None = "subscriber-1"
    late_ms: int = 0
    days_before: int = 0


class Others:
    """The other departments' nodes: `said` of each, signed by their enrolled gateways."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.said = dict.fromkeys(GATEWAYS, Said())
        self.again: dict[str, bytes] = {}

    def handle(self, kind: str, handler: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        """Nobody asks this department."""

    async def request(self, department: str, kind: str, payload: bytes, timeout_s: float) -> bytes:
        if department in self.again:
            return self.again[department]
        customer, phone_digest, salt, *_ = codec.fields(codec.decode(payload, 4_096), "question", *[lambda _: True] * 5)
        said, chain_id, time_ms = self.said[department], self.office.chain_id, self.office.time_ms + 500
        is_found = said.outcome == FOUND
        attestation = sign_attestation(
            key_of(f"gateway {GATEWAYS[department]}"),
            chain_id,
            customer=customer,
            phone_digest=phone_digest,
            outcome=said.outcome,
            identifier_digest=identifier_digest_of(chain_id, customer, salt, "subscriber-1") if is_found else None,
            carrier="carrier-2",
            time_ms=time_ms + said.late_ms,
            gateway=GATEWAYS[department],
            nonce=bytes(16),
            since_day=None if is_found else time_ms // DAY_MS - said.days_before,
        )
        return codec.encode([attestation.to_value(), said.identifier if is_found else None, None])


class Bureau(Desk):
    """The administration's desk in a network that requires two gateways. Finance is asked before sales."""

    def __init__(self) -> None:
        super().__init__()
        policy = default_policy()
        policy["phone"]["gateways_required"] = 2
        self.office.ok("boss", "permissions.set_policy", policy=policy)
        possession = self.office.possession("g3", "gateway g3")
        self.office.ok("boss", "gateways.enrol", gateway="g3", department="finance", **possession)
        self.others = Others(self.office)
        desk = self.desk
        desk._panel = Panel(
            "administration", desk._gateway, desk._questions, self.office.ledger, self.others, self.clock
        )  # fmt: skip
        self.register(is_valid=False)


@pytest.mark.parametrize(
    "wrong",
    [
        Said(late_ms=HOUR_MS),
        Said(late_ms=-HOUR_MS),
        Said(SAME, days_before=5),
        Said(identifier=None),
        Said(identifier="subscriber-2"),
    ],
)
async def test_an_answer_that_would_not_count_is_left_out_and_another_gateway_asked(wrong: Said) -> None:
    """A gateway whose clock is wrong, or that lies, does not keep the others' answers from the record."""
    bureau = Bureau()
    bureau.others.said["finance"] = wrong
    checked = await bureau.check()
    assert (checked["status"], checked["gateways"]) == ("valid", ["g1", "g2"])
    ((_, values),) = bureau.committed
    assert [(value.field, value.value) for value in values] == [("identifier", "subscriber-1")]


async def test_an_answer_that_was_given_before_is_left_out() -> None:
    bureau = Bureau()
    bureau.others.said["sales"] = Said(SAME)
    assert (await bureau.check())["gateways"] == ["g1", "g3"]
    bureau.others.again["finance"] = codec.encode([_last_of(bureau, "g3").to_value(), "subscriber-1", None])
    bureau.others.said["sales"] = Said()
    assert (await bureau.check())["gateways"] == ["g1", "g2"]


async def test_two_departments_that_ask_the_same_gateways_at_once_both_hear_what_came_of_it() -> None:
    bureau = Bureau()
    commit, office = bureau.commit, bureau.office

    async def commit_later(*args: Any) -> Committed:
        said = [office.attest("c1", gateway=gateway).to_value() for gateway in ("g1", "g3")]
        office.ok("gateway g3", "phone.record", attestation=said)
        return await commit(*args)

    bureau.commit = commit_later  # type: ignore[method-assign]
    checked = await bureau.check()
    assert (checked["status"], checked["was_asked"]) == ("valid", False)
    assert checked["checked_ms"] == office.row("customers", "c1")["checked_ms"]


async def test_a_gateway_whose_clock_was_set_back_is_told_so() -> None:
    bureau = Bureau()
    await bureau.check()
    bureau.clock = lambda: bureau.office.time_ms - 1_000  # type: ignore[method-assign]
    bureau.desk._gateway._clock = bureau.clock
    with pytest.raises(KehuError, match=r"attestation\.reused"):
        await bureau.check()


def _last_of(bureau: Bureau, gateway: str) -> Attestation:
    call, _ = bureau.committed[-1]
    (found,) = [one for one in map(Attestation.from_value, call.args["attestation"]) if one.gateway == gateway]
    return found


@pytest.mark.parametrize("kept", [None, "subscriber-2"])
async def test_no_customer_gets_an_identifier_whose_value_nobody_has(kept: str | None) -> None:
    """Without it nobody could ever ask about the number again."""
    bureau = Bureau()
    bureau.platform.answer = Answer.no_answer("time_out")
    bureau.others.said["finance"] = Said(identifier=kept)
    assert (await bureau.check())["status"] == "temporary"
    assert "identifier" not in bureau.office.row("customers", "c1")["fields"]
    bureau.others.said["finance"] = Said()
    assert (await bureau.check())["status"] == "valid"
    assert (await bureau.check())["was_asked"] is True
