"""Four real nodes with gateways at a real simulator: several that agree, both dialects, and sweeps by themselves."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chain import codec
from chain.attestation import Attestation
from chain.errors import KehuError
from chain.transaction import Call, Transaction
from contracts.deciding.policy import default_policy
from contracts.people.attestations import attestations_of
from node.carrier.simulator import Simulator, SimulatorConfig, make_simulator, serving
from node.keys.files import create_key_file
from node.phone.panel import ATTEST
from node.vault.values import VaultValue
from tests.node.cluster import CHEAP, DEPARTMENTS, PASSPHRASE, Cluster, eventually, key_of

pytestmark = pytest.mark.slow

NUMBER, DATED = "+8613800138000", "+8613912345678"
"""The second is in the range of the dialect with dates."""
CARRIER = """
[carrier]
name = "look-up"
url = "{url}"
token_file = "secrets/token"
[[carrier.ranges]]
prefix = "+86139"
name = "recycling"
dialect = "number-recycling"
url = "{url}"
token_url = "{url}/oauth2/token"
client_id_file = "secrets/client-id"
client_secret_file = "secrets/client-secret"
"""
SWEEP = """
[phone]
sweep = true
interval_s = 1
"""


class Bureau:
    """The cluster and its carrier, whose calendar `day` moves on."""

    def __init__(self, cluster: Cluster, simulator: Simulator) -> None:
        self.cluster, self.simulator = cluster, simulator

    async def set_phone_policy(self, **phone: int) -> None:
        policy = default_policy(DEPARTMENTS)
        policy["phone"] |= phone
        call = Call("permissions.set_policy", {"policy": policy})
        await self.cluster.commit(self.cluster.sign("boss", call), via="administration")
        await self.cluster.agree()

    def row(self, customer: str, table: str = "customers") -> dict[str, Any]:
        value = self.cluster.any.view().get(table, customer)
        assert value is not None
        return value

    async def drafted(
        self, customer: str, number: str, *, temporary: bool = False
    ) -> tuple[Transaction, list[VaultValue], list[Attestation]]:
        """As the command does: the node's gateway is asked, and what was heard goes into the call."""
        salt = secrets.token_bytes(32)
        heard = await self.cluster.nodes["sales"].attest_phone(key_of("li").public, customer, number, salt)
        values = [
            *self.cluster.values(customer, name="诸葛亮"),
            VaultValue("customers", customer, "phone", salt, number),
        ]
        args = {
            "customer": customer,
            "fields": self.cluster.digests(values),
            "attestation": heard.attestation,
            "temporary": temporary,
        }
        return self.cluster.sign("li", Call("customers.register", args)), values, attestations_of(heard.attestation)

    async def register(self, customer: str, number: str, *, temporary: bool = False) -> list[Attestation]:
        transaction, values, heard = await self.drafted(customer, number, temporary=temporary)
        await self.cluster.commit(transaction, via="sales", values=values)
        await self.cluster.agree()
        return heard

    async def check(self, customer: str, person: str = "li", via: str = "sales") -> dict[str, Any]:
        checked = dict(await self.cluster.nodes[via].check_phone(key_of(person).public, customer, None))
        await self.cluster.agree()
        return checked


@asynccontextmanager
async def bureau_of(folder: Path, more: str = "") -> AsyncIterator[Bureau]:
    async with AsyncExitStack() as stack:
        simulator = make_simulator(SimulatorConfig("127.0.0.1", 0, folder / "carrier" / "numbers.json", "seed"))
        url = await stack.enter_async_context(serving(simulator, "127.0.0.1", 0))
        cluster = Cluster(folder, CARRIER.format(url=url) + more)
        for name, home in cluster.homes.items():
            seed = key_of(f"gateway {name}").seed
            create_key_file(home.gateway_key, "gateway", f"gateway-{name}", PASSPHRASE, seed, CHEAP)
            given = {
                "token": simulator.lookup_token,
                "client-id": simulator.client_id,
                "client-secret": simulator.client_secret,
            }
            for file, text in given.items():
                (home.path / "secrets" / file).write_text(text + "\n")
        stack.push_async_callback(cluster.stop)
        await cluster.start()
        await cluster.ready()
        simulator.book.activate_many([NUMBER, DATED], simulator.today() - 100)
        yield Bureau(cluster, simulator)


async def test_two_departments_gateways_agree_on_a_new_customer_and_on_every_later_answer(tmp_path: Path) -> None:
    async with bureau_of(tmp_path) as bureau:
        await bureau.set_phone_policy(gateways_required=2)
        heard = await bureau.register("c1", NUMBER)
        assert [one.gateway for one in heard] == ["gateway-sales", "gateway-administration"]
        assert len({one.identifier_digest for one in heard}) == 1
        assert bureau.row("c1")["status"] == "valid"
        digest, _ = bureau.row("c1")["fields"]["identifier"]
        nodes = [bureau.cluster.nodes[department] for department in ("sales", "administration")]
        for node in nodes:  # who recorded the customer has never had it
            await eventually(lambda node=node: node._opened.vault.get("customers", "c1", "identifier", digest))
        await eventually(lambda: len(nodes[0]._phones.kept) == 0)
        assert [bureau.row(f"c1.{n}", "answers")["agreed"] for n in (1, 2)] == [False, True]
        bureau.simulator.book.apply("reassign", NUMBER, bureau.simulator.today())
        checked = await bureau.check("c1")
        assert (checked["status"], checked["reason"]) == ("invalid", "reassigned")
        assert checked["gateways"] == ["gateway-sales", "gateway-administration"]
        assert bureau.row("c1.4", "answers")["asked_by"] == "person:li"
        assert bureau.cluster.nodes["administration"].status()["phone"]["asked_by_others"] == 2
        assert bureau.cluster.nodes["after_sales"].status()["phone"]["asked_by_others"] == 0


async def test_a_department_that_does_not_answer_is_replaced_and_with_too_few_nothing_changes(tmp_path: Path) -> None:
    async with bureau_of(tmp_path) as bureau:
        await bureau.set_phone_policy(gateways_required=2)
        await bureau.register("c1", NUMBER)
        await bureau.set_phone_policy(gateways_required=3)
        bureau.simulator.book.apply("suspend", NUMBER, 0)
        await bureau.cluster.stop("administration")
        checked = await bureau.check("c1")
        assert checked["gateways"] == ["gateway-sales", "gateway-finance"]
        assert (checked["outcome"], checked["status"]) == ("none", "valid")
        assert bureau.row("c1.4", "answers")["agreed"] is False
        await bureau.cluster.start("administration")
        await bureau.cluster.ready()
        assert (await bureau.check("c1"))["reason"] == "unavailable"


async def test_a_gateway_speaks_only_where_both_departments_are_entitled(tmp_path: Path) -> None:
    async with bureau_of(tmp_path) as bureau:
        await bureau.register("c1", NUMBER)
        current = bureau.row("c1")["fields"]["phone"][0]
        salt = bytes(32)

        async def ask(asker: str, asked: str, *request: Any) -> str:
            peers = bureau.cluster.nodes[asker].peers
            try:
                raw = await peers.request(asked, ATTEST, codec.encode(list(request)), 10.0)
            except KehuError as error:
                return str(error.details["reason"])
            return Attestation.from_value(codec.decode(raw, 4096)[0]).outcome

        assert await ask("sales", "finance", "c1", current, salt, None, None) == "found"
        assert await ask("after_sales", "finance", "c1", current, salt, None, None) == "vault.not_entitled"
        assert await ask("sales", "after_sales", "c1", current, salt, None, None) == "vault.not_entitled"
        assert await ask("sales", "finance", "c1", bytes(32), salt, None, None) == "attestation.other_number"
        assert await ask("sales", "finance", "c1", current, salt, NUMBER, salt) == "phone.unchanged"
        assert await ask("sales", "finance", "c9", current, salt, NUMBER, salt) == "carrier.phone_mismatch"
        assert await ask("sales", "finance", "c9", current, salt, None, None) == "record.unknown"
        assert await ask("sales", "finance", "c1", current, b"short", None, None) == "codec.shape"


async def test_a_customer_in_a_range_with_dates_is_valid_without_an_identifier_and_then_reassigned(
    tmp_path: Path,
) -> None:
    async with bureau_of(tmp_path) as bureau:
        (heard,) = await bureau.register("c2", DATED)
        assert (heard.outcome, heard.carrier, heard.since_day) == ("same", "recycling", bureau.simulator.today())
        row = bureau.row("c2")
        assert (row["status"], "identifier" in row["fields"]) == ("valid", False)
        assert (await bureau.check("c2"))["status"] == "valid"
        bureau.simulator.book.apply("port-out", DATED, 0)
        ported = await bureau.check("c2")
        assert (ported["status"], ported["outcome"], ported["no_answer_reason"]) == ("valid", "no_answer", "not_served")
        bureau.simulator.book.apply("port-in", DATED, 0)
        bureau.simulator.book.apply("reassign", DATED, bureau.simulator.today() + 1)
        gone = await bureau.check("c2")
        assert (gone["status"], gone["reason"], gone["outcome"]) == ("invalid", "reassigned", "changed")


async def test_nodes_sweep_by_themselves_over_what_they_hold(tmp_path: Path) -> None:
    async with bureau_of(tmp_path, SWEEP) as bureau:
        await bureau.register("c1", NUMBER)
        await bureau.register("c2", DATED)
        bureau.simulator.book.apply("reassign", NUMBER, 0)
        await bureau.set_phone_policy(sweep_age_ms=1_000)
        await eventually(lambda: bureau.row("c1")["reason"] == "reassigned" and bureau.row("c2")["answers"] > 2)
        answers = [bureau.row(f"c2.{n}", "answers") for n in range(2, bureau.row("c2")["answers"] + 1)]
        assert {answer["asked_by"] for answer in answers} == {None}
        assert {answer["status"] for answer in answers} == {"valid"}
        asked = {answer["gateway"] for answer in answers}
        assert asked <= {"gateway-sales", "gateway-finance", "gateway-administration"}
        status = bureau.cluster.nodes["sales"].status()["phone"]
        assert status["sweep"]["started_ms"] is not None
        assert [platform["dialect"] for platform in status["platforms"]] == ["identifier", "number-recycling"]
        await eventually(lambda: bureau.row("c2")["answers"] > len(answers) + 2)  # who was asking about c1 has heard
        reassigned_answers = bureau.row("c1")["answers"]
        await eventually(lambda: bureau.row("c2")["answers"] > len(answers) + 4)
        assert bureau.row("c1")["answers"] == reassigned_answers


async def test_asking_about_the_recorded_number_as_a_new_one_is_refused(tmp_path: Path) -> None:
    """Another salt for the identifier would make the same subscriber look like somebody else."""
    async with bureau_of(tmp_path) as bureau:
        await bureau.register("c1", NUMBER)
        node = bureau.cluster.nodes["sales"]
        digest = bureau.row("c1")["fields"]["phone"][0]
        phone = node._opened.vault.get("customers", "c1", "phone", digest)
        assert phone is not None
        with pytest.raises(KehuError, match=r"phone\.unchanged"):
            await node.attest_phone(key_of("li").public, "c1", NUMBER, phone.salt)


async def test_an_identifier_that_the_node_has_forgotten_is_not_recorded_without_its_value(tmp_path: Path) -> None:
    """As after a restart: then the number is asked about again."""
    async with bureau_of(tmp_path) as bureau:
        node = bureau.cluster.nodes["sales"]
        transaction, values, _ = await bureau.drafted("c1", NUMBER)
        node._phones.kept._kept.clear()
        (refused,) = await node.submit([transaction.raw], values)
        assert refused.error is not None
        assert (refused.error.code, refused.error.details["field"]) == ("vault.value_missing", "identifier")
        await bureau.register("c1", NUMBER)
        assert bureau.row("c1")["status"] == "valid"


async def test_the_present_number_is_not_recorded_as_a_new_one_by_having_nobody_asked(tmp_path: Path) -> None:
    """As a temporary customer's, whoever has the number by now would count as the customer from the next answer on."""
    async with bureau_of(tmp_path) as bureau:
        await bureau.register("c1", NUMBER)

        async def record_anew(number: str) -> None:
            values = [VaultValue("customers", "c1", "phone", secrets.token_bytes(32), number)]
            args = {"customer": "c1", "version": 1, "fields": bureau.cluster.digests(values)}
            call = Call("customers.change_phone", {**args, "attestation": None, "temporary": True})
            await bureau.cluster.commit(bureau.cluster.sign("li", call), via="sales", values=values)

        with pytest.raises(KehuError, match=r"phone\.unchanged"):
            await record_anew(NUMBER)
        assert bureau.row("c1")["status"] == "valid"
        await record_anew(DATED)
        await bureau.cluster.agree()
        assert bureau.row("c1")["status"] == "temporary"
