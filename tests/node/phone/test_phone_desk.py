"""The phone desk: real contracts and a real gateway; the platform and the vault are the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chain.attestation import Attestation
from chain.crypto import Signer
from chain.errors import CATALOGUE, KehuError
from chain.transaction import Call
from contracts.deciding.policy import default_policy
from node.carrier.config import PhoneDuties
from node.carrier.gateway import Gateway
from node.carrier.platform import Answer, PlatformTable
from node.intake.waiting import Committed
from node.phone.desk import PhoneDesk
from node.phone.kept import KeptIdentifiers
from node.phone.panel import Panel
from node.phone.question import Questions
from node.phone.sweep import Sweeper
from node.vault.values import VaultValue
from tests.contracts.office import DAY_MS, Office, key_of, salt_of

PHONE = "+8613800000001"


class Platform:
    name = "carrier-1"
    held_ms = 0

    def __init__(self) -> None:
        self.answer = Answer.found("subscriber-1")
        self.asked: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def look_up(self, number: str, since_ms: int) -> Answer:
        self.asked.append(number)
        self.meanwhile()
        return self.answer


class Desk:
    """The administration's desk. Own transactions become blocks of the office, values lie in `held`."""

    def __init__(self) -> None:
        self.office = Office()
        self.platform = Platform()
        self.held: dict[bytes, VaultValue] = {}
        self.committed: list[tuple[Call, list[VaultValue]]] = []
        chain_id, key = self.office.chain_id, key_of("gateway g1")
        gateway = Gateway("g1", key, PlatformTable(self.platform), chain_id, self.clock, bytes)
        questions = Questions(self, lambda count: b"s" * count)  # type: ignore[arg-type]
        panel = Panel("administration", gateway, questions, self.office.ledger, None, self.clock)
        self.kept = KeptIdentifiers(chain_id, self.office.view, self.clock)
        self.desk = PhoneDesk(
            "administration", gateway, key, "CN", chain_id, questions, panel, self.kept, self.office.view, self,
            self.clock,
        )  # type: ignore[arg-type]  # fmt: skip

    def clock(self) -> int:
        """Half a second after the last block."""
        return self.office.time_ms + 500

    def get(self, table: str, record: str, field: str, digest: bytes) -> VaultValue | None:
        return self.held.get(digest)

    def hold(self, value: VaultValue) -> None:
        self.held[value.digest(self.office.chain_id)] = value

    def register(self, *, is_valid: bool, phone: str = PHONE) -> None:
        """Customer c1, whose number lies in the vault."""
        office = self.office
        self.hold(VaultValue("customers", "c1", "phone", salt_of(f"c1 phone {phone}"), phone))
        if is_valid:
            self.hold(VaultValue("customers", "c1", "identifier", salt_of("c1"), "subscriber-1"))
            office.register("c1", phone=phone)
        else:
            fields = office.fields("c1", name="张三", phone=phone)
            office.ok("li", "customers.register", customer="c1", fields=fields, attestation=None, temporary=True)

    async def commit(self, signer: Signer, calls: list[Call], values: Sequence[VaultValue] = ()) -> Committed:
        assert signer.public == key_of("gateway g1").public
        receipt = self.office.send("gateway g1", *calls, via="administration")
        if not receipt.is_ok:
            raise KehuError(CATALOGUE[receipt.code], **receipt.details)
        self.committed.append((calls[0], list(values)))
        for value in values:
            self.hold(value)
        return Committed(self.office.ledger.height, 0, receipt)

    async def check(self, person: str = "boss", max_age_ms: int | None = None) -> Any:
        return await self.desk.check(key_of(person).public, "c1", max_age_ms)

    async def attest(self, person: str = "boss", phone: str = PHONE) -> Any:
        return await self.desk.attest(key_of(person).public, "c1", phone, bytes(32))

    def kept_behind(self, answer: Any) -> str | None:
        """The identifier that an answer's transaction will bring."""
        kept = self.kept.find(Attestation.from_value(answer.attestation).identifier_digest or b"")
        return None if kept is None else kept.value


async def test_a_number_in_national_form_is_asked_about_and_attested_in_e164() -> None:
    desk = Desk()
    answer = await desk.attest(phone="138 0000 0001")
    assert desk.platform.asked == [PHONE]
    attestation = Attestation.from_value(answer.attestation)
    assert (attestation.customer, attestation.outcome, attestation.gateway) == ("c1", "found", "g1")
    assert desk.kept_behind(answer) == "subscriber-1"
    assert "subscriber-1" not in repr(answer)


async def test_who_may_not_record_customers_may_not_ask_and_nobody_is_asked() -> None:
    desk = Desk()
    for person in ("rui", "nobody"):
        with pytest.raises(KehuError):
            await desk.attest(person)
    assert desk.platform.asked == []


async def test_a_malformed_number_is_refused_without_being_shown() -> None:
    desk = Desk()
    with pytest.raises(KehuError, match=r"phone\.malformed") as caught:
        await desk.attest(phone="13800x00001")
    assert "13800" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "code"), [("gateway g1", "keys.wrong_kind"), ("node sales", "keys.wrong_kind"), ("nobody", "keys.unknown")]
)
async def test_only_a_persons_key_may_ask(key: str, code: str) -> None:
    desk = Desk()
    desk.register(is_valid=True)
    with pytest.raises(KehuError) as caught:
        await desk.check(key)
    assert caught.value.code == code


async def test_a_revoked_key_may_not_ask() -> None:
    desk = Desk()
    desk.register(is_valid=True)
    desk.office.ok("boss", "people.revoke_key", key=key_of("clerk").public.hex())
    with pytest.raises(KehuError, match=r"keys\.revoked"):
        await desk.check("clerk")


async def test_a_first_answer_makes_a_temporary_customer_valid_and_brings_the_identifier() -> None:
    desk = Desk()
    desk.register(is_valid=False)
    facts = await desk.check()
    assert (facts["status"], facts["was_asked"], facts["outcome"]) == ("valid", True, "found")
    ((call, values),) = desk.committed
    assert call.name == "phone.record"
    assert [(value.field, value.value) for value in values] == [("identifier", "subscriber-1")]
    digest, _ = desk.office.row("customers", "c1")["fields"]["identifier"]
    assert values[0].digest(desk.office.chain_id) == digest


async def test_a_second_answer_uses_the_recorded_salt_and_brings_no_value() -> None:
    desk = Desk()
    desk.register(is_valid=True)
    facts = await desk.check()
    assert (facts["status"], facts["outcome"]) == ("valid", "found")
    assert [values for _, values in desk.committed] == [[]]


async def test_another_subscriber_makes_the_customer_invalid() -> None:
    desk = Desk()
    desk.register(is_valid=True)
    desk.platform.answer = Answer.found("subscriber-2")
    facts = await desk.check()
    assert facts["status"] == "invalid"
    assert all("subscriber" not in str(value) for value in facts.values())


async def test_no_answer_is_put_on_the_record_with_its_reason() -> None:
    desk = Desk()
    desk.register(is_valid=True)
    desk.platform.answer = Answer.no_answer("time_out")
    facts = await desk.check()
    assert (facts["outcome"], facts["no_answer_reason"]) == ("no_answer", "time_out")
    assert len(desk.committed) == 1


async def test_a_young_answer_is_not_asked_for_again() -> None:
    desk = Desk()
    desk.register(is_valid=True)
    first = await desk.check()
    again = await desk.check(max_age_ms=60_000)
    assert again["was_asked"] is False
    assert again["checked_ms"] == first["checked_ms"]
    assert len(desk.platform.asked) == 1
    desk.office.time_ms += 60_000
    assert (await desk.check(max_age_ms=60_000))["was_asked"] is True


async def test_a_check_that_another_departments_overtook_tells_what_that_one_brought() -> None:
    """A confirmation moves the day since which a platform is asked: an answer on its way is about another day then."""
    desk = Desk()
    desk.platform.answer = Answer.same(desk.clock() // DAY_MS)
    desk.register(is_valid=False)
    assert (await desk.check())["status"] == "valid"
    since_day = desk.office.row("customers", "c1")["trusted_ms"] // DAY_MS
    desk.platform.answer = Answer.same(since_day)
    desk.office.time_ms += 8 * DAY_MS

    def bring_another() -> None:
        other = desk.office.attest("c1", outcome="same", gateway="g2", since_day=since_day).to_value()
        desk.office.ok("gateway g2", "phone.record", attestation=other)

    desk.platform.meanwhile = bring_another
    facts = await desk.check()
    assert (facts["status"], facts["was_asked"]) == ("valid", False)
    assert facts["checked_ms"] // DAY_MS == since_day + 8
    assert len(desk.platform.asked) == 2


async def test_who_asks_while_the_platform_is_being_asked_gets_its_answer() -> None:
    """Two who want to contact a customer at once, or one who tries again, cost one question."""
    desk, is_asked, may_answer = Desk(), asyncio.Event(), asyncio.Event()
    desk.register(is_valid=True)
    look_up = desk.platform.look_up

    async def look_up_slowly(number: str, since_ms: int) -> Answer:
        answer = await look_up(number, since_ms)
        is_asked.set()
        await may_answer.wait()
        return answer

    desk.platform.look_up = look_up_slowly  # type: ignore[method-assign]
    checks = [asyncio.ensure_future(desk.check()) for _ in range(3)]
    await is_asked.wait()
    may_answer.set()
    assert [(check["status"], check["was_asked"]) for check in await asyncio.gather(*checks)] == [
        ("valid", True), ("valid", False), ("valid", False),
    ]  # fmt: skip
    assert len(desk.platform.asked) == 1
    assert (await desk.check())["was_asked"] is True


async def test_a_number_that_is_not_in_this_vault_can_not_be_asked_about() -> None:
    desk = Desk()
    desk.register(is_valid=True)
    identifiers = {key: value for key, value in desk.held.items() if value.field == "identifier"}
    for held in ({}, identifiers):
        desk.held = dict(held)
        with pytest.raises(KehuError, match=r"phone\.not_held"):
            await desk.check()
    assert desk.platform.asked == []
    assert desk.committed == []


async def test_who_may_contact_a_customer_for_one_purpose_may_have_the_number_checked_for_it() -> None:
    desk = Desk()
    desk.register(is_valid=True)
    policy = default_policy()
    policy["rules"][0]["actions"] = ["read"]  # the administration's
    desk.office.ok("boss", "permissions.set_policy", policy=policy)
    with pytest.raises(KehuError, match=r"permission\.denied"):
        await desk.check("clerk")
    desk.office.grant("g1", "person:clerk", actions=["contact"], fields=["phone"], purpose="support")
    desk.office.time_ms += 8 * DAY_MS
    contact = {"customer": "c1", "purpose": "support"}
    assert desk.office.ok("clerk", "access.contact", **contact)["code"] == "phone.recheck_needed"
    due = await desk.desk.due(key_of("clerk").public, 0, 10)
    assert [one.customer for one in due.items] == ["c1"]
    assert (await desk.check("clerk"))["status"] == "valid"
    assert desk.office.ok("clerk", "access.contact", **contact)["outcome"] == "released"
    assert desk.office.ok("clerk", "access.contact", **contact | {"purpose": "sale"})["code"] == "permission.denied"


async def test_who_has_nothing_to_do_with_the_customer_may_not_have_it_checked() -> None:
    desk = Desk()
    desk.register(is_valid=True)
    with pytest.raises(KehuError):
        await desk.check("wang")  # sales, but the customer is another operator's
    assert desk.platform.asked == []


async def test_an_unknown_customer_is_an_error_of_its_own() -> None:
    with pytest.raises(KehuError, match=r"record\.unknown"):
        await Desk().check()


# The recorded number once more


@pytest.mark.parametrize("reason", [None, "reassigned"])
async def test_a_number_that_is_typed_again_does_not_make_its_new_subscriber_the_customer(reason: str | None) -> None:
    """The contract sees another digest, since the salt is another; the desk sees the number."""
    desk = Desk()
    desk.register(is_valid=True)
    desk.platform.answer = Answer.found("subscriber-2")
    if reason is not None:
        assert (await desk.check())["reason"] == reason
    asked = len(desk.platform.asked)
    with pytest.raises(KehuError, match=r"phone\.unchanged") as caught:
        await desk.attest(phone="138 0000 0001")
    assert "0000" not in str(caught.value)
    assert len(desk.platform.asked) == asked


async def test_a_reassigned_number_without_an_identifier_is_not_recorded_again_either() -> None:
    desk = Desk()
    desk.platform.answer = Answer.same(desk.clock() // DAY_MS)
    desk.register(is_valid=False)
    assert (await desk.check())["status"] == "valid"
    desk.platform.answer = Answer.changed(desk.clock() // DAY_MS)
    assert (await desk.check())["reason"] == "reassigned"
    with pytest.raises(KehuError, match=r"phone\.unchanged"):
        await desk.attest()


async def test_of_a_customer_who_is_erased_no_carrier_is_asked_and_no_identifier_kept() -> None:
    desk, order = Desk(), {"table": "customers", "record": "c1", "reason": "asked"}
    desk.register(is_valid=True)
    desk.platform.meanwhile = lambda: desk.office.ok("boss", "erasure.order", **order)
    for asked in (1, 1):  # while the platform is asked, and afterwards
        with pytest.raises(KehuError, match=r"record\.erased"):
            await desk.attest(phone="+8613800000009")
        assert (len(desk.platform.asked), len(desk.kept)) == (asked, 0)


async def test_a_vault_that_lacks_the_present_number_can_not_tell_whether_another_is_new() -> None:
    """Of a department that was assigned the customer just now, say: a reassigned number would be valid again."""
    desk = Desk()
    desk.register(is_valid=True)
    desk.platform.answer = Answer.found("subscriber-2")
    assert (await desk.check())["reason"] == "reassigned"
    held, desk.held = desk.held, {}
    for phone in (PHONE, "+8613800000009"):
        with pytest.raises(KehuError, match=r"phone\.not_held"):
            await desk.attest(phone=phone)
    assert len(desk.platform.asked) == 1
    desk.held = held
    assert desk.kept_behind(await desk.attest(phone="+8613800000009")) == "subscriber-2"


async def test_a_temporary_customers_number_may_be_recorded_anew() -> None:
    desk = Desk()
    desk.register(is_valid=False)
    assert desk.kept_behind(await desk.attest()) == "subscriber-1"


async def test_another_number_of_the_customer_is_asked_about() -> None:
    desk = Desk()
    desk.register(is_valid=True)
    assert desk.kept_behind(await desk.attest(phone="+8613800000002")) == "subscriber-1"


async def test_the_nodes_sweeps_ask_ever_less_about_a_number_that_gets_no_answer() -> None:
    desk, hour_ms = Desk(), 3_600_000
    desk.register(is_valid=True)
    desk.platform.answer = Answer.no_answer("not_served")
    sweeper = Sweeper(desk.desk, PhoneDuties(sweep=True), desk.clock, lambda: True)
    began_ms = desk.office.time_ms
    asked_at: list[int] = []
    for hour in range(28 * 24):
        before = len(desk.platform.asked)
        desk.office.time_ms = began_ms + 7 * DAY_MS + hour * hour_ms
        await sweeper.sweep()
        asked_at += [hour] * (len(desk.platform.asked) - before)
    assert asked_at[:4] == [0, 1, 2, 4]
    assert len(asked_at) < 14, "a week of ever longer waits, and then once a week"
    assert asked_at[-1] - asked_at[-2] <= 7 * 24 + 1
    desk.platform.answer = Answer.found("subscriber-1")
    desk.office.time_ms += 7 * DAY_MS
    await sweeper.sweep()
    assert desk.office.row("customers", "c1")["status"] == "valid"
    assert sweeper.status()["counts"] == {"valid": 1}
