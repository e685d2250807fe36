"""Submitting (scenario 28): "pending" is never "failed", sending again is safe, and a full node says when to come."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence

import pytest

from chain import codec
from chain.transaction import Call, Transaction, sign_transaction
from node.intake.waiting import Committed
from tests.node.api.conftest import Api
from tests.node.api.fake_node import FakeNode, key_of


def body_of(*transactions: Transaction, **more: object) -> dict[str, object]:
    return {"transactions": [base64.b64encode(item.raw).decode() for item in transactions], **more}


async def test_when_the_time_is_up_the_answer_is_pending_and_the_transaction_commits_later(api: Api) -> None:
    transaction = api.node.transaction("li")
    answer = await api.post("/v1/transactions", body_of(transaction, timeout_ms=1))
    assert answer.status == 200
    assert answer.json["transactions"] == [{"id": transaction.id.hex(), "status": "pending"}]
    path = f"/v1/transactions/{transaction.id.hex()}"
    assert (await api.request("GET", path)).json["status"] == "pending"
    api.node.commit()
    assert (await api.request("GET", path)).json["status"] == "committed"


async def test_sending_again_gives_pending_then_the_same_receipt_and_one_execution(api: Api) -> None:
    transaction = api.node.transaction("li")
    for _ in range(2):
        answer = await api.post("/v1/transactions", body_of(transaction, wait="admitted"))
        assert answer.json["transactions"][0]["status"] == "pending"
    assert len(api.node.pending) == 1
    api.node.commit()
    for _ in range(2):
        again = (await api.post("/v1/transactions", body_of(transaction))).json["transactions"][0]
        assert (again["status"], again["height"], again["receipt"]["code"]) == ("committed", 1, "ok")
    assert api.node.pending == {}


async def test_a_waiting_client_hears_as_soon_as_the_block_is_there(api: Api) -> None:
    transaction = api.node.transaction("li")
    waiting = asyncio.create_task(api.post("/v1/transactions", body_of(transaction, timeout_ms=30_000)))
    await api.node.admitted.wait()
    api.node.commit()
    assert (await waiting).json["transactions"][0]["status"] == "committed"


async def test_a_failed_transaction_is_committed_with_a_receipt_that_says_why(api: Api) -> None:
    api.node.commits_at_once = True
    transaction = api.node.transaction("li", Call("permissions.revoke", {"grant": "g1"}))
    answer = (await api.post("/v1/transactions", body_of(transaction))).json["transactions"][0]
    assert (answer["status"], answer["receipt"]["code"]) == ("committed", "permission.administrator_only")
    assert answer["receipt"]["failed_call"] == 0


async def test_an_id_that_nobody_has_seen_is_unknown_and_has_no_proof(api: Api) -> None:
    path = f"/v1/transactions/{'ab' * 32}"
    assert (await api.request("GET", path)).json == {"id": "ab" * 32, "status": "unknown"}
    answer = await api.request("GET", f"{path}/proof")
    assert (answer.status, answer.code) == (404, "transaction.not_committed")


async def test_a_full_node_answers_429_and_when_to_come_again(api: Api) -> None:
    api.node.is_full = True
    answer = await api.post("/v1/transactions", body_of(api.node.transaction("li")))
    assert (answer.status, answer.code) == (429, "mempool.full")
    assert answer.headers["Retry-After"] == "1"
    assert answer.json["details"] == {"held": 1, "limit": 1}


async def test_a_busy_node_says_so_before_it_reads_the_body_and_the_connection_goes_on(api: Api) -> None:
    api.node.is_busy = True
    for _ in range(2):
        answer = await api.post("/v1/transactions", "x" * (1 << 19))
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (429, "mempool.busy", "7")
    api.node.is_busy, api.node.commits_at_once = False, True
    assert (await api.post("/v1/transactions", body_of(api.node.transaction("li")))).status == 200


async def test_one_bad_transaction_among_good_ones_is_refused_alone(api: Api) -> None:
    good = api.node.transaction("li")
    forged = Transaction.from_bytes(codec.encode([api.node.transaction("wang").body, bytes(64)]))
    answer = await api.post("/v1/transactions", body_of(good, forged, wait="admitted"))
    assert answer.status == 200
    first, second = answer.json["transactions"]
    assert first["status"] == "pending"
    assert (second["status"], second["id"]) == ("refused", forged.id.hex())
    assert second["error"]["code"] == "signature.invalid"


async def test_when_all_are_refused_the_answer_is_the_first_problem_with_all_of_them_in_it(api: Api) -> None:
    foreign = sign_transaction(key_of("li"), bytes(32), bytes(16), 9, [Call("access.login", {})])
    body = {"transactions": [base64.b64encode(raw).decode() for raw in (foreign.raw, b"garbage")]}
    answer = await api.post("/v1/transactions", body)
    assert (answer.status, answer.code) == (400, "transaction.wrong_chain")
    assert [item["error"]["code"] for item in answer.json["transactions"]] == [
        "transaction.wrong_chain",
        "codec.malformed",
    ]
    assert [item["id"] for item in answer.json["transactions"]] == [foreign.id.hex(), None]


async def test_the_refusal_of_a_single_transaction_names_it_so_it_is_told_from_one_of_the_request(api: Api) -> None:
    foreign = sign_transaction(key_of("li"), bytes(32), bytes(16), 9, [Call("access.login", {})])
    answer = await api.post("/v1/transactions", body_of(foreign))
    assert (answer.status, answer.code) == (400, "transaction.wrong_chain")
    (refused,) = answer.json["transactions"]
    assert (refused["id"], refused["status"]) == (foreign.id.hex(), "refused")
    assert refused["error"]["code"] == "transaction.wrong_chain"


@pytest.mark.parametrize("number", [0, 1_001])
async def test_a_request_has_between_one_and_a_thousand_transactions(api: Api, number: int) -> None:
    raw = codec.encode([b"x"] * number)
    answer = await api.request("POST", "/v1/transactions", raw, {"Content-Type": "application/msgpack"})
    assert (answer.status, answer.code) == (400, "http.too_many_transactions")
    assert answer.json["details"] == {"limit": 1_000, "transactions": number}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\xc0", "codec.shape"),
        (b"\xc1", "codec.malformed"),
        (codec.encode({"transactions": []}), "codec.shape"),
        (codec.encode(["text"]), "codec.shape"),
        (codec.encode([[b"x"]]), "codec.shape"),
        (codec.encode([[b"x", "text"]]), "codec.shape"),
        (codec.encode([[b"x", b"\xc0"]]), "codec.shape"),
        (codec.encode([[b"x", codec.encode([["customers", "c1", "name", bytes(32)]])]]), "codec.shape"),
        (codec.encode([[b"x", codec.encode([["customers", "c1", "name", b"", "x"]])]]), "vault.value_invalid"),
        (codec.encode([b"x"]) + b"\x00", "codec.malformed"),
        (b"\xdc\x00\x01\xc4\x01x", "codec.malformed"),
        (b"\x91" * 100, "codec.malformed"),
        (b"\xdd\xff\xff\xff\xff", "codec.malformed"),
    ],
)
async def test_a_list_of_envelopes_that_is_not_canonical_is_refused(api: Api, raw: bytes, code: str) -> None:
    answer = await api.request("POST", "/v1/transactions", raw, {"Content-Type": "application/msgpack"})
    assert (answer.status, answer.code) == (400, code)
    assert api.node.pending == {}


async def test_the_wait_is_bounded_whatever_the_client_asks(api: Api) -> None:
    waited: list[float] = []

    async def wait_all(_ids: Sequence[bytes], timeout_s: float) -> Mapping[bytes, Committed]:
        waited.append(timeout_s)
        return {}

    api.node.wait_all = wait_all  # type: ignore[method-assign]
    await api.post("/v1/transactions", body_of(api.node.transaction("li"), timeout_ms=10**9))
    raw = codec.encode([api.node.transaction("li").raw])
    await api.request("POST", "/v1/transactions?timeout_ms=50", raw, {"Content-Type": "application/msgpack"})
    assert waited == [30.0, 0.05]


async def test_a_defect_of_the_node_shows_a_code_and_no_internals(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.node.fault = RuntimeError("王小明 +8613800138000")
    answer = await api.post("/v1/transactions", body_of(api.node.transaction("li")))
    assert (answer.status, answer.code) == (500, "node.fault")
    for text in (answer.body.decode(), caplog.text):
        assert "王小明" not in text
        assert "13800138000" not in text
    assert "RuntimeError at " in caplog.text
    assert json.loads(answer.body)["request"] in caplog.text


async def test_api_and_node_agree_that_a_fake_node_is_a_node() -> None:
    from node.api.facade import NodeFacade

    node: NodeFacade = FakeNode()
    assert node.department == "sales"


@pytest.mark.parametrize(("field", "text", "status"), [("name", " ", 400), ("name", "王", 200), ("note", "", 200)])
async def test_a_value_that_a_record_may_not_be_without_is_not_taken_empty(
    api: Api, field: str, text: str, status: int
) -> None:
    transaction = api.node.transaction("li")
    value = {"table": "customers", "record": "c1", "field": field, "salt": "00" * 32, "value": text}
    answer = await api.post("/v1/transactions", body_of(transaction, values=[value], wait="admitted"))
    assert answer.status == status
    if status == 400:
        assert answer.code == "vault.value_empty"
        assert api.node.pending == {}


@pytest.mark.parametrize(
    "text", ["13800138000", "+86 138 0013 8000", "+8613800138000 ", "008613800138000", "＋8613800138000"]
)
async def test_a_number_is_taken_in_one_form_only(api: Api, text: str) -> None:
    """In another, no gateway could ask about it and nobody would find the customer by it."""
    transaction = api.node.transaction("li")
    value = {"table": "customers", "record": "c1", "field": "phone", "salt": "00" * 32, "value": text}
    answer = await api.post("/v1/transactions", body_of(transaction, values=[value], wait="admitted"))
    assert (answer.status, answer.code) == (400, "vault.value_phone")
    assert api.node.pending == {}
    value["value"] = "+8613800138000"
    answer = await api.post("/v1/transactions", body_of(transaction, values=[value], wait="admitted"))
    assert answer.status == 200
