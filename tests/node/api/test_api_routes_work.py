"""What the routes answer when everything is as it should be."""

from __future__ import annotations

import base64

from chain import codec
from chain.audit import Auditor, check_signatures
from chain.export import ExportBlock, ExportGenesis, read_export
from chain.findings import first
from chain.genesis import Genesis
from chain.light import ReceiptProof, StateProof
from chain.transaction import Call, Transaction
from contracts.registry import contract_table
from node.vault.values import VaultValue, encode_values
from tests.node.api.conftest import Api
from tests.node.api.fake_node import key_of


def as_text(*transactions: Transaction) -> list[str]:
    return [base64.b64encode(transaction.raw).decode() for transaction in transactions]


async def test_status_and_genesis_are_public_and_fit_together(api: Api) -> None:
    status = (await api.request("GET", "/v1/status")).json
    genesis = (await api.request("GET", "/v1/genesis")).json
    assert Genesis.from_value(genesis["genesis"]).chain_id.hex() == genesis["chain_id"] == status["chain_id"]
    assert status["department"] == "sales"
    assert status["state_root"] == api.node.ledger.state.root.hex()
    assert status["node"] == {"peers": 3}


async def test_health_says_that_the_process_lives_and_readiness_that_it_takes_part(api: Api) -> None:
    assert (await api.request("GET", "/healthz")).json == {"status": "ok"}
    assert (await api.request("GET", "/readyz")).json == {"status": "ready"}
    api.node.is_ready = False
    answer = await api.request("GET", "/readyz")
    assert (answer.status, answer.json) == (503, {"status": "not ready"})
    assert answer.headers["Retry-After"] == "1"
    assert (await api.request("GET", "/healthz")).status == 200


async def test_a_transaction_that_commits_while_the_client_waits_comes_with_its_receipt(api: Api) -> None:
    api.node.commits_at_once = True
    transaction = api.node.transaction("li")
    (answer,) = (await api.post("/v1/transactions", {"transactions": as_text(transaction)})).json["transactions"]
    assert answer["status"] == "committed"
    assert answer["id"] == transaction.id.hex()
    assert (answer["height"], answer["index"], answer["receipt"]["code"]) == (1, 0, "ok")
    assert answer["receipt"]["results"][0]["person"] == "li"
    shown = await api.request("GET", f"/v1/transactions/{transaction.id.hex()}")
    assert shown.json == answer


async def test_values_reach_the_node_with_their_transaction(api: Api) -> None:
    value = {"table": "customers", "record": "c1", "field": "name", "salt": "07" * 32, "value": "王小明"}
    transaction = api.node.transaction("li")
    body = {"transactions": as_text(transaction), "values": [value], "wait": "admitted"}
    assert (await api.post("/v1/transactions", body)).json["transactions"][0]["status"] == "pending"
    assert api.node.values == [VaultValue("customers", "c1", "name", b"\x07" * 32, "王小明")]


async def test_a_canonical_list_of_envelopes_is_the_fast_path(api: Api) -> None:
    transactions = [api.node.transaction("li"), api.node.transaction("wang")]
    answer = await api.request(
        "POST",
        "/v1/transactions?wait=admitted",
        codec.encode([transaction.raw for transaction in transactions]),
        {"Content-Type": "application/msgpack"},
    )
    assert [item["id"] for item in answer.json["transactions"]] == [item.id.hex() for item in transactions]
    assert list(api.node.pending) == [item.id for item in transactions]


async def test_a_canonical_list_carries_values_beside_their_envelopes(api: Api) -> None:
    given = {"name": "王小明", "phone": "+8613800138000"}
    values = [VaultValue("customers", "c1", field, b"\x07" * 32, text) for field, text in given.items()]
    with_values, without = api.node.transaction("li"), api.node.transaction("wang")
    body = codec.encode([[with_values.raw, encode_values(values)], without.raw])
    answer = await api.request("POST", "/v1/transactions?wait=admitted", body, {"Content-Type": "application/msgpack"})
    assert [item["id"] for item in answer.json["transactions"]] == [with_values.id.hex(), without.id.hex()]
    assert api.node.values == values


async def test_a_receipt_proof_verifies_against_genesis_alone(api: Api) -> None:
    transaction = api.node.transaction("li")
    await api.node.submit([transaction.raw], [])
    api.node.commit()
    answer = await api.request("GET", f"/v1/transactions/{transaction.id.hex()}/proof")
    genesis = api.node.genesis
    _, receipt = ReceiptProof.from_bytes(answer.body).verify(genesis.validators, genesis.chain_id)
    assert (receipt.transaction_id, receipt.code) == (transaction.id, "ok")


async def test_state_values_present_and_absent_come_with_proofs(api: Api) -> None:
    api.node.enact("li")
    genesis = api.node.genesis
    for person in ("li", "nobody"):
        shown = (await api.signed("GET", f"/v1/state/people/{person}?proof=1")).json
        raw = None if shown["raw"] is None else bytes.fromhex(shown["raw"])
        proof = StateProof.from_bytes(bytes.fromhex(shown["proof"]))
        proof.verify(genesis.validators, genesis.chain_id, "people", person, raw)
        assert (raw is None) == (person == "nobody")


async def test_a_proof_of_the_genesis_state_is_refused_since_nothing_certifies_it(api: Api) -> None:
    answer = await api.signed("GET", "/v1/state/people/li?proof=1")
    assert (answer.status, answer.code) == (409, "state.not_certified")
    assert (await api.signed("GET", "/v1/state/people/li")).json["value"]["role"] == "operator"


async def test_lists_are_paged_to_the_end_and_leave_field_digests_out(api: Api) -> None:
    seen: list[str] = []
    path = "/v1/people?limit=2"
    while path:
        page = (await api.signed("GET", path)).json
        assert len(page["items"]) <= 2
        assert all("fields" not in item["facts"] for item in page["items"])
        seen += [item["id"] for item in page["items"]]
        path = f"/v1/people?limit=2&after={page['next']}" if page["next"] else ""
    assert seen == ["boss", "li", "qian", "rui", "wang"]


async def test_blocks_and_the_export_replay_to_the_same_root(api: Api) -> None:
    for _ in range(3):
        api.node.enact("li")
    items = list(read_export([(await api.request("GET", "/v1/export")).body]))
    assert isinstance(items[0], ExportGenesis)
    auditor = Auditor.at_genesis(items[0].raw, contract_table())
    blocks = [item for item in items if isinstance(item, ExportBlock)]
    assert [block.height for block in blocks] == [1, 2, 3]
    block = await api.request("GET", "/v1/blocks/2")
    assert ExportBlock.from_value(codec.decode(block.body, 1 << 20)) == blocks[1]
    part = list(read_export([(await api.request("GET", "/v1/export?from=2&to=2")).body]))
    assert part[1] == blocks[1]
    for frame in blocks:
        step = auditor.step(frame)
        assert first(check_signatures(step.signatures), step.finding) is None
    assert auditor.ledger.head.block_id == api.node.ledger.head.block_id
    assert auditor.ledger.state.root == api.node.ledger.state.root


async def test_an_export_from_beyond_the_head_is_empty_and_complete(api: Api) -> None:
    assert len(list(read_export([(await api.request("GET", "/v1/export")).body]))) == 2
    api.node.enact("li")
    assert len(list(read_export([(await api.request("GET", "/v1/export?from=2")).body]))) == 2


def read_of(customer: str) -> Call:
    asked = {"table": "customers", "record": customer, "fields": ["name", "phone"], "purpose": "follow-up"}
    return Call("access.read", asked)


async def test_values_go_to_the_key_that_read_and_match_the_digests_on_the_record(api: Api) -> None:
    api.node.register("li", "c1", name="王小明", phone="+8613800138000")
    path = f"/v1/transactions/{api.node.enact('li', read_of('c1')).hex()}"
    answer = await api.signed("GET", f"{path}/values")
    receipt = (await api.request("GET", path)).json["receipt"]
    values = {item["field"]: item for item in answer.json["values"]}
    assert {name: item["value"] for name, item in values.items()} == {"name": "王小明", "phone": "+8613800138000"}
    for name, item in values.items():
        shown = VaultValue("customers", "c1", name, bytes.fromhex(item["salt"]), item["value"])
        decided = receipt["results"][0]["fields"][name]
        assert (decided["allowed"], decided["digest"]) == (True, shown.digest(api.node.genesis.chain_id).hex())
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_colleague_who_knows_the_id_of_a_read_gets_nothing_by_it(api: Api) -> None:
    api.node.register("li", "c1", name="王小明", phone="+8613800138000")
    path = f"/v1/transactions/{api.node.enact('li', read_of('c1')).hex()}/values"
    refused = await api.signed("GET", path, key=key_of("wang"))
    assert (refused.status, refused.code) == (403, "access.not_yours")
    assert "王小明".encode() not in refused.body


async def test_a_read_that_the_departments_refused_gives_no_values(api: Api) -> None:
    api.node.register("li", "c1", name="王小明", phone="+8613800138000")
    path = f"/v1/transactions/{api.node.enact('wang', read_of('c1')).hex()}/values"
    assert (await api.signed("GET", path, key=key_of("wang"))).json["values"] == []


async def test_values_are_not_shown_before_the_read_is_on_the_record_nor_long_after(api: Api) -> None:
    api.node.register("li", "c1", name="王小明", phone="+8613800138000")
    read = api.node.transaction("li", read_of("c1"))
    path = f"/v1/transactions/{read.id.hex()}/values"
    await api.node.submit([read.raw], [])
    early = await api.signed("GET", path)
    assert (early.status, early.code) == (409, "access.not_committed")
    api.node.commit()
    assert len((await api.signed("GET", path)).json["values"]) == 2
    api.node.clock.now_ms += 11 * 60_000
    late = await api.signed("GET", path)
    assert (late.status, late.code) == (410, "access.too_old")


async def test_an_attestation_comes_back_as_the_value_that_a_call_takes_and_without_the_identifier(api: Api) -> None:
    body = b'{"customer":"c1","phone":"+8613800138000","phone_salt":"%s"}' % (b"01" * 32)
    answer = (await api.signed("POST", "/v1/phone/attest", body)).json
    assert (answer["outcome"], sorted(answer)) == ("found", ["attestation", "outcome", "reason"])
    assert codec.decode(bytes.fromhex(answer["attestation"]), 4096)[1] == "c1"
    checked = (await api.signed("POST", "/v1/phone/check", b'{"customer":"c1","max_age_ms":5}')).json
    assert checked == {"customer": "c1", "status": "valid", "was_asked": False}


async def test_every_answer_has_a_request_id_of_its_own(api: Api) -> None:
    first, second = [(await api.request("GET", path)) for path in ("/healthz", "/nowhere")]
    assert first.headers["Kehu-Request"] != second.headers["Kehu-Request"]
    assert second.json["request"] == second.headers["Kehu-Request"]
