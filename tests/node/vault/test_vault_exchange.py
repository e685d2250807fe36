"""Vaults among departments: held before proposed, fetched by who is entitled later, given to nobody else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chain import codec
from chain.errors import KehuError
from chain.transaction import Call, Transaction
from node.peers.transport import PEER_TIMEOUT
from node.vault.release import decode_answers, encode_wanted
from node.vault.values import FieldId
from tests.node.peer_kit import until
from tests.node.vault_network import HASTY, TIMING, Network, network, staged_code

REGISTERED = ("name", "phone", "position")
ALL = (*REGISTERED, "identifier")
NOT_ENTITLED = "technical"


async def refusal(net: Network, pair: tuple[Transaction, list], via: str = "sales") -> KehuError:
    with pytest.raises(KehuError) as raised:
        await net.nodes[via].exchange.safeguard(*pair)
    return raised.value


async def ask(net: Network, asker: str, holder: str, text: str, field: str = "name") -> str:
    """The code that `holder` answers `asker` with, for one value."""
    wanted = [(FieldId("customers", "c1", field), net.digest("c1", field, text))]
    raw = await net.nodes[asker].links.request(holder, "vault.fetch", encode_wanted(wanted), 5.0)
    ((code, value),) = decode_answers(raw, 1)
    assert (value is None) == (code != "ok")
    return code


# Before a transaction is proposed


async def test_values_are_durable_at_enough_entitled_departments_before_the_transaction_is_proposed(
    tmp_path: Path,
) -> None:
    async with network(tmp_path) as net:
        transaction, values = net.registration()
        await net.nodes["sales"].exchange.safeguard(transaction, values)
        holders = [name for name, node in net.nodes.items() if transaction.id in node.staged()]
        assert "sales" in holders
        assert "administration" in holders  # the only one entitled to the identifier
        assert NOT_ENTITLED not in holders
        held = net.nodes["administration"].vault.get_staged(transaction.id)
        assert sorted(value.field for value in held) == sorted(ALL)
        assert all(net.nodes[name].live() == {} for name in net.nodes)


async def test_each_department_is_sent_only_the_fields_that_it_may_hold(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        transaction, values = net.registration()
        await net.nodes["sales"].exchange.safeguard(transaction, values)
        finance = net.nodes["finance"]
        await until(lambda: transaction.id in finance.staged())
        assert sorted(value.field for value in finance.vault.get_staged(transaction.id)) == sorted(REGISTERED)
        assert {to for _, to, _ in net.requests} == {"administration", "finance"}


async def test_committed_values_are_live_at_every_entitled_department_and_nowhere_else(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        assert (await net.submit(net.registration())).is_ok
        await net.holds("administration", *ALL)
        await net.holds("finance", *REGISTERED)
        await net.holds("sales", *REGISTERED)  # the author isn't entitled to the identifier and gave it up
        assert net.nodes[NOT_ENTITLED].live() == {}
        assert net.nodes["finance"].live()["name"] == "张三"
        assert all(node.staged() == [] for node in net.nodes.values())


async def test_many_transactions_of_one_request_go_to_each_department_together(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        pairs = [net.registration(f"c{number}") for number in range(40)]
        assert await net.nodes["sales"].exchange.safeguard_all(pairs) == [None] * 40
        await until(lambda: len(net.nodes["finance"].staged()) == 40)
        assert sorted(net.requests) == [
            ("sales", "administration", "vault.stage"),
            ("sales", "finance", "vault.stage"),
        ]


async def test_one_department_that_is_down_does_not_keep_others_from_working(tmp_path: Path) -> None:
    async with network(tmp_path, down=["finance"]) as net:
        assert (await net.submit(net.registration())).is_ok


async def test_a_department_that_is_away_is_named_in_the_log_once_and_again_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kehu")
    async with network(tmp_path) as net:
        await net.stop("finance")
        for number in range(5):
            await net.nodes["sales"].exchange.safeguard(*net.registration(f"c{number}"))
        await until(lambda: net.requests.count(("sales", "finance", "vault.stage")) > 10)
        await net.start("finance")
        await until(lambda: len(net.nodes["finance"].staged()) == 5)
    lines = [record.getMessage() for record in caplog.records if "finance takes" in record.getMessage()]
    assert [line.partition(":")[0] for line in lines] == ["finance takes no values", "finance takes values again"]


async def test_too_few_holders_refuse_the_transaction_and_leave_nothing_at_the_author(tmp_path: Path) -> None:
    async with network(tmp_path, HASTY, down=["administration"]) as net:
        pair = net.registration()
        error = await refusal(net, pair)
        assert error.code == "vault.not_enough_holders"
        assert error.details["waited_for"] == "administration"
        assert net.nodes["sales"].staged() == []
        assert net.nodes["sales"].vault.status()["live_values"] == 0


async def test_a_refused_transaction_is_safe_to_send_again_when_holders_are_back(tmp_path: Path) -> None:
    async with network(tmp_path, HASTY, down=["administration"]) as net:
        pair = net.registration()
        await refusal(net, pair)
        net.timing = TIMING
        await net.restart("sales")
        await net.start("administration")
        assert (await net.submit(pair)).is_ok
        await net.holds("sales", *REGISTERED)


async def test_a_failure_does_not_take_a_pending_transactions_values_away(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        transaction, values = net.registration()
        await net.nodes["sales"].exchange.safeguard(transaction, values)
        net.timing = HASTY
        await net.restart("sales")
        await net.stop("administration")
        await net.stop("finance")
        error = await refusal(net, (transaction, values))
        assert error.code == "vault.not_enough_holders"
        assert net.nodes["sales"].staged() == [transaction.id]


async def test_the_policy_says_how_many_must_hold(tmp_path: Path) -> None:
    policy = {"policy": {"vault_holders_min": 3}}
    async with network(tmp_path, HASTY, down=["finance"], **policy) as net:
        error = await refusal(net, net.registration())
        assert (error.code, error.details["required"], error.details["waited_for"]) == (
            "vault.not_enough_holders",
            3,
            "finance",
        )


async def test_a_transaction_without_one_of_its_values_is_refused(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        transaction, values = net.registration()
        for lacking in values:
            error = await refusal(net, (transaction, [value for value in values if value is not lacking]))
            assert (error.code, error.details["field"]) == ("vault.value_missing", lacking.field)
        assert net.nodes["sales"].staged() == []


async def test_a_value_that_the_transaction_does_not_commit_to_is_refused(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        transaction, values = net.registration()
        for stranger in (
            net.value("c1", "name", "李四"),
            net.value("c2", "name", "张三"),
            net.value("c1", "note", "x"),
        ):
            error = await refusal(net, (transaction, [*values, stranger]))
            assert error.code == "vault.other_value"
            assert "李四" not in str(error)


async def test_a_new_record_that_the_contract_refuses_gets_the_contracts_error(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        error = await refusal(net, net.registration(sender="rui"), via="finance")
        assert error.code == "permission.denied"
        assert net.nodes["finance"].staged() == []


async def test_a_transaction_without_values_waits_for_nobody(tmp_path: Path) -> None:
    async with network(tmp_path, down=["administration", "finance"]) as net:
        read = Call("access.read", {"table": "customers", "record": "c1", "fields": ["*"], "purpose": "sale"})
        await net.nodes["sales"].exchange.safeguard(net.transaction("li", read), [])
        assert net.requests == []


# After the block


async def test_after_a_block_the_look_at_every_record_rests_as_long_as_it_works(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        giving_way = net.nodes["finance"].exchange.refill.giving_way
        long_ago_s = asyncio.get_running_loop().time() - 60
        assert giving_way.rest_s(long_ago_s) == 0
        await net.submit(net.registration())
        assert giving_way.rest_s(long_ago_s) >= 60


async def test_the_values_of_a_failed_transaction_are_destroyed_everywhere(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.holds("sales", *REGISTERED)
        first, second = net.update(1, position="主任"), net.update(1, position="处长")
        for pair in (first, second):
            await net.nodes["sales"].exchange.safeguard(*pair)
        receipts = await net.append([first[0], second[0]], "sales")
        assert [receipt.code for receipt in receipts] == ["ok", "record.version_conflict"]
        for name in ("administration", "finance", "sales"):
            await until(lambda name=name: net.nodes[name].live().get("position") == "主任")
            await until(lambda name=name: net.nodes[name].staged() == [])  # one may come to the third after the block
            loser = net.digest("c1", "position", "处长")
            assert not net.nodes[name].vault.has((FieldId("customers", "c1", "position"), loser))


async def test_a_superseded_value_is_destroyed_everywhere(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.submit(net.update(1, position="主任"))
        old = (FieldId("customers", "c1", "position"), net.digest("c1", "position", "经理"))
        for name in ("administration", "finance", "sales"):
            await until(lambda name=name: net.nodes[name].live().get("position") == "主任")
            assert not net.nodes[name].vault.has(old)
        assert await ask(net, "finance", "sales", "经理", "position") == "vault.superseded"


async def test_values_of_a_transaction_that_expired_are_destroyed(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        transaction, values = net.registration()
        short = net.transaction("li", *transaction.calls, expires=2)
        await net.nodes["sales"].exchange.safeguard(short, values)
        await until(lambda: net.nodes["finance"].staged() == [short.id])
        for _ in range(2):
            await net.commit("li", Call("access.login", {}), via="sales")
        assert all(node.staged() == [] for node in net.nodes.values())
        assert all(node.live() == {} for node in net.nodes.values())


async def test_values_that_come_after_their_block_are_live_at_once(tmp_path: Path) -> None:
    async with network(tmp_path, down=["finance"]) as net:
        transaction, values = net.registration()
        await net.submit((transaction, values))
        await net.restart("sales")
        net.liars[("sales", "vault.fetch")] = net.liars[("administration", "vault.fetch")] = lambda _: b""
        await net.start("finance")
        assert await staged_code(net, (transaction, values[:3]), "sales", "finance") == "ok"
        assert sorted(net.nodes["finance"].live()) == sorted(REGISTERED)
        assert net.nodes["finance"].staged() == []


async def test_a_replay_of_old_values_does_not_bring_a_superseded_one_back(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        transaction, values = net.registration()
        await net.submit((transaction, values))
        await net.submit(net.update(1, position="主任"))
        await staged_code(net, (transaction, values[:3]), "sales", "finance")
        assert net.nodes["finance"].live()["position"] == "主任"
        assert net.nodes["finance"].staged() == []


async def test_what_was_staged_after_its_block_brings_nothing_superseded_back_when_it_expires(tmp_path: Path) -> None:
    """A transaction that is sent again while its block is made."""
    async with network(tmp_path) as net:
        made, values = net.registration()
        short = net.transaction("li", *made.calls, expires=4)
        await net.submit((short, values))
        await net.submit(net.update(1, position="主任"))
        sales = net.nodes["sales"]
        sales.vault.stage(short.id, values, short.expires_height)
        for _ in range(2):
            await net.commit("li", Call("access.login", {}), via="sales")
        assert sales.staged() == []
        old = (FieldId("customers", "c1", "position"), net.digest("c1", "position", "经理"))
        assert not sales.vault.has(old)
        assert sales.live()["position"] == "主任"


# Later entitlement


async def test_a_department_that_was_down_fetches_and_the_release_is_on_the_record(tmp_path: Path) -> None:
    async with network(tmp_path, down=["finance"]) as net:
        await net.submit(net.registration())
        await net.restart("sales")  # so that it no longer tries to send
        await net.start("finance")
        await net.holds("finance", *REGISTERED)
        release = net.row("releases", "customers.c1.1")
        assert release is not None
        assert (release["to"], release["fields"], release["version"]) == ("finance", sorted(REGISTERED), 1)
        assert release["from"] in {"administration", "sales"}
        assert net.row("releases", "customers.c1.2") is None


async def test_a_department_to_which_a_customer_is_assigned_fetches_what_it_may_hold(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.boss("permissions.assign", table="customers", record="c1", subject="department:technical")
        await net.holds("technical", *REGISTERED)


async def test_a_granted_field_is_fetched_alone(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.boss("permissions.grant", **grant(scope="record:c1", fields=["identifier"]))
        await net.holds("technical", "identifier")
        assert net.row("releases", "customers.c1.1")["from"] == "administration"  # type: ignore[index]


async def test_a_grant_on_a_whole_table_fetches_record_by_record(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        for number in range(1, 31):
            await net.submit(net.registration(f"c{number}", name=f"客户 {number}"))
        await net.boss("permissions.grant", **grant(scope="all", fields=["name"]))
        technical = net.nodes["technical"]
        await until(
            lambda: (
                [technical.live(f"c{number}") for number in range(1, 31)]
                == [{"name": f"客户 {number}"} for number in range(1, 31)]
            )
        )


def grant(**changes: object) -> dict[str, object]:
    return {
        "grant": "g-1",
        "subject": "department:technical",
        "actions": ["read"],
        "table": "customers",
        "purpose": "*",
        "expires_ms": None,
    } | changes


async def test_who_is_not_entitled_gets_nothing_and_no_release_is_recorded(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.holds("administration", *ALL)
        assert await ask(net, "technical", "administration", "张三") == "vault.not_entitled"
        assert await ask(net, "finance", "administration", "subscriber of c1", "identifier") == "vault.not_entitled"
        assert await ask(net, "finance", "administration", "张三") == "ok"
        assert net.row("releases", "customers.c1.1")["to"] == "finance"  # type: ignore[index]
        assert net.row("releases", "customers.c1.2") is None


async def test_nothing_leaves_when_the_release_can_not_be_recorded(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())

        async def refuse(*_: object, **__: object) -> None:
            raise KehuError(PEER_TIMEOUT, department="administration")

        net.commit = refuse  # type: ignore[method-assign, assignment]
        with pytest.raises(KehuError) as raised:
            await ask(net, "finance", "administration", "张三")
        assert raised.value.details["reason"] == "peer.timeout"


async def test_an_expired_grant_releases_nothing(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.stop("technical")
        await net.boss("permissions.grant", **grant(scope="record:c1", fields=["*"], expires_ms=net.time_ms + 60_000))
        net.time_ms += 120_000
        await net.start("technical")
        assert await ask(net, "technical", "administration", "张三") == "vault.not_entitled"
        assert net.nodes["technical"].live() == {}


async def test_a_holder_that_lies_is_found_out_and_the_next_is_asked(tmp_path: Path) -> None:
    async with network(tmp_path, down=["finance"]) as net:
        await net.submit(net.registration())
        await net.restart("sales")
        await net.holds("sales", *REGISTERED)
        other = net.value("c1", "name", "李四").to_value()
        for holder in ("administration", "sales"):
            net.liars[(holder, "vault.fetch")] = lambda raw: codec.encode(
                [["ok", other]] * len(codec.decode(raw, 1 << 20))
            )
        await net.start("finance")
        await until(
            lambda: {to for _, to, kind in net.requests if kind == "vault.fetch"} == {"administration", "sales"}
        )
        assert net.nodes["finance"].live() == {}
        del net.liars[("sales", "vault.fetch")]
        await net.holds("finance", *REGISTERED)


async def test_a_lost_vault_is_refilled_from_the_holders(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        for number in range(1, 26):
            await net.submit(net.registration(f"c{number}"))
        await net.holds("finance", *REGISTERED, record="c25")
        await net.stop("finance")
        (tmp_path / "finance").rename(tmp_path / "lost")
        await net.start("finance")
        for number in range(1, 26):
            await net.holds("finance", *REGISTERED, record=f"c{number}")
        idle = {"missing": 0, "surplus": 0, "is_walking": False}
        await until(lambda: net.nodes["finance"].exchange.status().items() >= idle.items())
        released = sum(1 for number in range(1, 26) if net.row("releases", f"customers.c{number}.1"))
        assert released == 25, "each release is on the record"


# Entitlement that ends


async def test_a_department_that_lost_its_entitlement_destroys_the_values(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.boss("permissions.assign", table="customers", record="c1", subject="department:technical")
        await net.holds("technical", *REGISTERED)
        await net.boss("permissions.unassign", table="customers", record="c1", subject="department:technical")
        await net.holds("technical")


async def test_the_last_copies_are_not_destroyed_before_others_hold_them(tmp_path: Path) -> None:
    async with network(tmp_path, down=["finance"]) as net:
        await net.submit(net.registration())
        await net.holds("sales", *REGISTERED)
        before = len(net.requests)
        await net.boss("permissions.unassign", table="customers", record="c1", subject="person:li")
        await until(lambda: sum(kind == "vault.held" for *_, kind in net.requests[before:]) >= 4)
        assert sorted(net.nodes["sales"].live()) == sorted(REGISTERED)
        await net.start("finance")
        await net.holds("finance", *REGISTERED)
        await net.holds("sales")


# Restarts


async def test_what_was_staged_is_settled_or_destroyed_at_the_start_by_what_the_chain_says(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        await net.submit(net.registration())
        await net.holds("finance", *REGISTERED)
        won, lost, open_ = net.update(1, position="主任"), net.update(1, note="来电优先"), net.update(2, email="a@b.cn")
        for pair in (won, lost, open_):
            await net.nodes["sales"].exchange.safeguard(*pair)
        finance = net.nodes["finance"]
        await until(lambda: len(finance.staged()) == 3)
        finance.exchange.on_block = _crash  # type: ignore[method-assign]
        with pytest.raises(SystemExit):
            await net.append([won[0], lost[0]], "sales")
        await net.stop("finance")
        for node in net.nodes.values():
            await net.catch_up(node)
        finance = await net.start("finance")
        await until(lambda: finance.live().get("position") == "主任")
        assert finance.staged() == [open_[0].id]
        assert sorted(finance.live()) == sorted(REGISTERED)


async def _crash(_: object) -> None:
    raise SystemExit("the power went after the block was appended")
