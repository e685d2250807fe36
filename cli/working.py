"""What the commands of organisations and projects share: writing a record, reading what belongs to it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chain.errors import KehuError, define
from cli.calling import answered
from cli.exits import Exit
from cli.output import Answer
from cli.run import Run

if TYPE_CHECKING:
    from cli.client import NodeClient
    from cli.records import RecordShown

WRITTEN = ("table", "record", "version", "transaction", "height")
"""The JSON keys of every command that writes one record."""
PAGE = 100
READS_AT_ONCE = 4

NOT_THERE = define(
    "record.absent_proven",
    "the chain has no such record; its absence is proven",
    "check the id: the group's list command shows what there is",
)

NOTHING_TO_CHANGE = define(
    "usage.nothing_to_change",
    "nothing was given that would change",
    "write FIELD=VALUE, --fields FILE, or an option that sets something; --help names them",
)
FIELD_NEEDED = define(
    "usage.field_needed",
    "a text that is needed was not given, or is empty",
    "add FIELD=VALUE, as in --help's example; or --fields FILE. Fields that are not needed may be emptied by FIELD=",
)


def new_id(prefix: str) -> str:
    """A random id: ids stand on the chain, so they say nothing about what they name."""
    return f"{prefix}-{secrets.token_hex(6)}"


async def present(client: NodeClient, table: str, record: str) -> dict[str, Any]:
    """The record's facts as they are now, proven. Errors: record.absent_proven."""
    row, height = await client.state(table, record)
    if row is None:
        raise KehuError(NOT_THERE, table=table, record=record, height=height)
    return row


async def write(
    run: Run,
    call: str,
    table: str,
    record: str,
    args: Mapping[str, Any],
    fields: Mapping[str, str] | None = None,
    extra: Sequence[str] = (),
) -> Answer:
    """As `write_with`, after a look at the texts. Errors: usage.field_needed."""
    require_texts(table, fields or {})
    async with run.client() as client:
        return await write_with(client, call, table, record, args, fields, extra)


async def write_with(
    client: NodeClient,
    call: str,
    table: str,
    record: str,
    args: Mapping[str, Any],
    fields: Mapping[str, str] | None = None,
    extra: Sequence[str] = (),
) -> Answer:
    """Makes one call that writes `record`: `args` as they are, `fields` sealed. `extra`: further keys of the result."""
    from chain.transaction import Call
    from cli.records import seal_fields
    from contracts.records import RECORD_ARGUMENTS

    sent: dict[str, Any] = {RECORD_ARGUMENTS[table]: record, **args}
    values: list[Any] = []
    if fields is not None:
        sent["fields"], values = seal_fields(client.genesis.chain_id, table, record, fields)
    committed = await client.execute([Call(call, sent)], values)
    result = committed.result()
    return answered(committed, {key: result[key] for key in ("table", "record", "version", *extra)})


async def change(
    run: Run,
    call: str,
    table: str,
    record: str,
    expect: int | None,
    fields: Mapping[str, str] | None = None,
    keep: Mapping[str, Any] | None = None,
    extra: Sequence[str] = (),
) -> Answer:
    """Makes one call that changes `record` from the version `expect`, or else from the present one. `keep`: facts that
    the call sets anew; those that are None stay as they are."""
    require_texts(table, fields or {})
    if fields is not None:
        require_change(fields, *(keep or {}).values())
    async with run.client() as client:
        row = await present(client, table, record)
        version = row["version"] if expect is None else expect
        facts = {name: row[name] if value is None else value for name, value in (keep or {}).items()}
        return await write_with(client, call, table, record, {"version": version, **facts}, fields, extra)


def given_fields(given: list[str] | None, file: Path | None, needed: str | None = None) -> dict[str, str]:
    """Errors: usage.*; usage.field_needed if `needed` is not among them, or is empty."""
    from cli.records import read_fields

    fields = read_fields(given or [], file)
    if needed is not None and not fields.get(needed, "").strip():
        raise KehuError(FIELD_NEEDED, field=needed)
    return fields


def require_change(fields: Mapping[str, str], *facts: object) -> None:
    """Errors: usage.nothing_to_change."""
    if not fields and all(fact is None for fact in facts):
        raise KehuError(NOTHING_TO_CHANGE)


def require_texts(table: str, fields: Mapping[str, str]) -> None:
    """Errors: usage.field_needed for one that may not be emptied."""
    from contracts.records import NEVER_EMPTY

    for field in NEVER_EMPTY.get(table, ()):
        if not fields.get(field, "-").strip():
            raise KehuError(FIELD_NEEDED, field=field)


# Reading what belongs to a record


@dataclass(frozen=True, slots=True)
class Members:
    """All pages of one kind of members, and the transactions that put the reading on the record. `code` is "ok", or
    why the reader is shown none."""

    records: list[RecordShown]
    transactions: list[bytes]
    height: int
    code: str


@dataclass(frozen=True, slots=True)
class Question:
    """Which members of which record, as of which height (None: now)."""

    of: str
    record: str
    table: str
    fields: tuple[str, ...] = ("*",)
    as_of: int | None = None


async def read_members(client: NodeClient, question: Question, purpose: str) -> Members:
    """Page by page, each a read on the record."""
    from chain.transaction import Call
    from cli.records import disclose

    records: list[RecordShown] = []
    transactions: list[bytes] = []
    after: int | None = 0
    height, code = 0, "ok"
    while after is not None:
        args = {
            "of": question.of,
            "record": question.record,
            "table": question.table,
            "as_of": question.as_of,
            "after": after,
            "limit": PAGE,
            "fields": list(question.fields),
            "purpose": purpose,
        }
        committed = await client.execute([Call("access.members", args)])
        result = committed.result()
        records += await disclose(client, committed, result["records"])
        transactions.append(committed.transaction_id)
        height, code, after = committed.height, result["code"], result["next"]
    return Members(records, transactions, height, code)


async def read_all(client: NodeClient, questions: Sequence[Question], purpose: str) -> list[Members]:
    """The answers in order; a few questions at a time."""
    gate = asyncio.Semaphore(READS_AT_ONCE)

    async def ask(question: Question) -> Members:
        async with gate:
            return await read_members(client, question, purpose)

    return list(await asyncio.gather(*map(ask, questions)))


def exit_of(records: Sequence[RecordShown], code: str) -> Exit:
    if code != "ok":
        return Exit.REFUSED
    return Exit.PARTIAL if any(record.has_missing for record in records) else Exit.OK
