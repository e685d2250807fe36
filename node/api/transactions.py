"""Submitting transactions and learning what became of them.

A transaction is never reported as failed while it may still commit: when the time is up the answer is "pending".
Sending it again is safe and gives the same id, its receipt or "pending". The answer is a 200 as soon as one
transaction was taken; when all were refused it is the first one's problem document, with all of them in it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from chain import codec, light
from chain.errors import KehuError, define
from chain.receipt import Receipt
from contracts.records import NEVER_EMPTY
from node.api.bodies import read_body
from node.api.context import Context, answer, context_of, read_model
from node.api.facade import Admission, Committed
from node.api.models import (
    WAIT_MS_DEFAULT,
    Problem,
    ReceiptAnswer,
    SubmitAnswer,
    SubmitBody,
    TransactionAnswer,
    ValueBody,
)
from node.api.pace import take_for_transactions
from node.api.policy import BINARY, JSON, MSGPACK, Parameter, Policy, Route
from node.api.problems import REQUEST_ID, problem_of, problem_response
from node.api.queries import read_choice, read_digest, read_uint
from node.vault.values import VaultValue, decode_values

TRANSACTION_NOT_COMMITTED = define(
    "transaction.not_committed",
    "this transaction is in no block that this node has",
    "ask again once it is committed; if it is unknown, send it again",
)
HTTP_BASE64 = define(
    "http.base64", "a transaction in the request is not base64", "encode the envelope's bytes with standard base64"
)
HTTP_TOO_MANY_TRANSACTIONS = define(
    "http.too_many_transactions",
    "the request has more transactions than the node takes at once",
    "send them in several requests",
)
VALUE_EMPTY = define(
    "vault.value_empty",
    "a field that a record may not be without is given an empty value",
    "give it a text; docs/api.md names the fields that may not be emptied",
)
VALUE_PHONE = define(
    "vault.value_phone",
    "a customer's number is given in another form than E.164",
    "write + and the country code, and nothing but digits: +8613800138000",
)
_E164: Final = re.compile(r"\+[1-9][0-9]{1,14}", re.ASCII)
_ALREADY_HERE: Final = frozenset({"transaction.duplicate", "mempool.duplicate"})


async def submit(request: web.Request) -> web.Response:
    """JSON, or for programs in a hurry a canonical msgpack list."""
    context = context_of(request)
    context.node.require_room()  # before the body is read: to say no is cheap
    if request.content_type == MSGPACK:
        return await _submit_list(request)
    body = await read_model(request, SubmitBody)
    _require_few(context, body.transactions)
    envelopes = [_envelope(text, index) for index, text in enumerate(body.transactions)]
    values = [_value(item) for item in body.values]
    return await _submit(request, context, envelopes, values, body.timeout_ms if body.wait == "committed" else 0)


async def _submit_list(request: web.Request) -> web.Response:
    context = context_of(request)
    wait = read_choice(request, "wait", ("admitted", "committed"))
    timeout_ms = read_uint(request, "timeout_ms", WAIT_MS_DEFAULT)
    raw = await read_body(request, context.limits.body_s, context.limits.body_bytes_max)
    (items,) = codec.fields(
        [codec.decode(raw, context.limits.body_bytes_max)], "transactions", codec.list_of(_is_submitted)
    )
    _require_few(context, items)
    envelopes = [item if type(item) is bytes else item[0] for item in items]
    values = [value for item in items if type(item) is list for value in decode_values(item[1])]
    return await _submit(request, context, envelopes, values, timeout_ms if wait == "committed" else 0)


def _require_texts(values: Sequence[VaultValue]) -> None:
    """What no contract can see. Errors: vault.value_empty, vault.value_phone."""
    for value in values:
        if value.field in NEVER_EMPTY.get(value.table, ()) and not value.value.strip():
            raise KehuError(VALUE_EMPTY, table=value.table, record=value.record, field=value.field)
        if (value.table, value.field) == ("customers", "phone") and not _E164.fullmatch(value.value):
            raise KehuError(VALUE_PHONE, table=value.table, record=value.record, field=value.field)


def _is_submitted(item: codec.Value) -> bool:
    """An envelope, or [envelope, encoded values], as values travel between departments."""
    return type(item) is bytes or (type(item) is list and len(item) == 2 and all(type(part) is bytes for part in item))


def _require_few(context: Context, envelopes: Sequence[object]) -> None:
    """Before anything is made of them. Errors: http.too_many_transactions."""
    if not 1 <= len(envelopes) <= context.limits.transactions_max:
        raise KehuError(HTTP_TOO_MANY_TRANSACTIONS, transactions=len(envelopes), limit=context.limits.transactions_max)


async def _submit(
    request: web.Request,
    context: Context,
    envelopes: Sequence[bytes],
    values: Sequence[VaultValue],
    wait_ms: int,
) -> web.Response:
    _require_texts(values)
    take_for_transactions(context.pace, context.node, envelopes, context.clock())
    admissions = await context.node.submit(envelopes, values)
    wait_s = min(wait_ms, context.limits.wait_ms_max) / 1000
    answers = await _outcomes(context, admissions, wait_s)
    errors = [admission.error for admission in admissions if admission.error is not None]
    if errors and all(item.status == "refused" for item in answers):
        more = {"transactions": [item.model_dump(exclude_unset=True) for item in answers]}
        return problem_response(errors[0], request[REQUEST_ID], context.limits.retry_after_s, more)
    return answer(SubmitAnswer(transactions=list(answers)))


async def _outcomes(context: Context, admissions: Sequence[Admission], wait_s: float) -> list[TransactionAnswer]:
    """What became of each within `wait_s`; a transaction that was here before is looked up."""
    found: dict[bytes, Committed | str] = {
        id_: context.node.find(id_)
        for admission in admissions
        if (id_ := admission.transaction_id) is not None and not _is_refused(admission)
    }
    open_ids = [id_ for id_, known in found.items() if isinstance(known, str)]
    if open_ids and wait_s > 0:
        found.update(await context.node.wait_all(open_ids, wait_s))
    return [_outcome(admission, found) for admission in admissions]


def _is_refused(admission: Admission) -> bool:
    return admission.error is not None and admission.error.code not in _ALREADY_HERE


def _outcome(admission: Admission, found: Mapping[bytes, Committed | str]) -> TransactionAnswer:
    id_ = admission.transaction_id
    if id_ is None or _is_refused(admission):
        shown = None if id_ is None else id_.hex()
        return TransactionAnswer(id=shown, status="refused", error=_problem(admission.error))
    known = found[id_]
    return TransactionAnswer(id=id_.hex(), status="pending") if isinstance(known, str) else _committed(id_, known)


def _problem(error: KehuError | None) -> Problem:
    """An envelope without an id has an error, or the node broke its promise."""
    if error is None:
        raise TypeError("an admission has neither an id nor an error")
    return Problem(**problem_of(error))


def _committed(id_: bytes, committed: Committed) -> TransactionAnswer:
    return TransactionAnswer(
        id=id_.hex(),
        status="committed",
        height=committed.height,
        index=committed.index,
        receipt=receipt_answer(committed.receipt),
    )


def receipt_answer(receipt: Receipt) -> ReceiptAnswer:
    return ReceiptAnswer(
        code=receipt.code,
        failed_call=receipt.failed_call,
        results=[to_json(result) for result in receipt.results],
        details={name: to_json(value) for name, value in receipt.details.items()},
    )


def to_json(value: codec.Value) -> Any:
    """A canonical value for reading: bytes as hex. The proof has the bytes themselves."""
    if type(value) is bytes:
        return value.hex()
    if type(value) is list:
        return [to_json(item) for item in value]
    if type(value) is dict:
        return {name: to_json(item) for name, item in value.items()}
    return value


def _envelope(text: str, index: int) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise KehuError(HTTP_BASE64, transaction=index) from None


def _value(item: ValueBody) -> VaultValue:
    return VaultValue(item.table, item.record, item.field, bytes.fromhex(item.salt), item.value)


async def show_transaction(request: web.Request) -> web.Response:
    id_ = read_digest(request, "id")
    found = context_of(request).node.find(id_)
    if isinstance(found, str):
        return answer(TransactionAnswer(id=id_.hex(), status=found))
    return answer(_committed(id_, found))


async def show_proof(request: web.Request) -> web.Response:
    """The receipt with its path to a certified header: `chain.light.ReceiptProof`."""
    node = context_of(request).node
    id_ = read_digest(request, "id")
    found = node.find(id_)
    if isinstance(found, str):
        raise KehuError(TRANSACTION_NOT_COMMITTED, transaction=id_, status=found)
    certificate = node.blocks.certificate(found.height)
    if certificate is None:
        raise KehuError(TRANSACTION_NOT_COMMITTED, transaction=id_, height=found.height)
    header = node.blocks.block(found.height).header
    proof = light.prove_receipt(header, certificate, node.blocks.receipt_bytes(found.height), found.index)
    return web.Response(body=proof.to_bytes(), content_type=BINARY)


ROUTES: Final = (
    Route(
        "POST",
        "/v1/transactions",
        Policy.ENVELOPE,
        submit,
        "Submit transactions with the values they commit to; wait for admission or commitment",
        SubmitAnswer,
        SubmitBody,
        body_types=(JSON, MSGPACK),
        parameters=(
            Parameter("wait", "string", "with application/msgpack: admitted or committed"),
            Parameter("timeout_ms", "integer", "with application/msgpack: how long to wait for commitment"),
        ),
    ),
    Route("GET", "/v1/transactions/{id}", Policy.PUBLIC, show_transaction, "What became of it", TransactionAnswer),
    Route(
        "GET",
        "/v1/transactions/{id}/proof",
        Policy.PUBLIC,
        show_proof,
        "The receipt with its proof (docs/spec/receipts.md)",
        answer_type=BINARY,
    ),
)
