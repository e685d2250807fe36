"""Records as the command line handles them: values in under fresh salts, values out once they are checked."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.errors import KehuError, define
from chain.records import SALT_BYTES
from chain.transaction import Call
from cli.asking import read_stdin
from cli.client import NodeClient
from cli.verify import Committed, Disclosed, check_fields
from node.vault.values import VaultValue

FIELD_MALFORMED = define(
    "usage.field", "a field is written FIELD=VALUE, each once", "quote values with spaces: 'note=after the holidays'"
)
FIELDS_FILE = define(
    "usage.fields_file",
    "the fields file is not one JSON object of names and texts",
    'write {"name": "…", "phone": "…"} in UTF-8; - reads it from stdin',
)


def seal_fields(
    chain_id: bytes, table: str, record: str, fields: Mapping[str, str], salts: Mapping[str, bytes] | None = None
) -> tuple[dict[str, bytes], list[VaultValue]]:
    """Digests for the chain and values for the vault; a field without a salt in `salts` gets a fresh one."""
    given = salts or {}
    values = [
        VaultValue(table, record, field, given.get(field) or secrets.token_bytes(SALT_BYTES), text)
        for field, text in fields.items()
    ]
    return {value.field: value.digest(chain_id) for value in values}, values


def read_fields(given: list[str], file: Path | None) -> dict[str, str]:
    """FIELD=VALUE from the command line over those of a JSON file. Errors show no value. Errors: usage.*."""
    fields: dict[str, str] = {}
    for position, text in enumerate(given):
        field, equals, value = text.partition("=")
        if not equals or not field or field in fields:
            raise KehuError(FIELD_MALFORMED, position=position)
        fields[field] = value
    return {**_read_fields_file(file), **fields} if file is not None else fields


def _read_fields_file(file: Path) -> dict[str, str]:
    try:
        text = read_stdin() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
        value = json.loads(text)
    except (OSError, ValueError) as error:
        raise KehuError(FIELDS_FILE, problem=type(error).__name__) from None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise KehuError(FIELDS_FILE, problem="not an object of texts")
    return value


@dataclass(frozen=True, slots=True)
class RecordShown:
    """One record as its reader gets it: public facts, and each field shown, refused or missing. `values`: those shown,
    with their salts."""

    record: str
    version: int
    facts: dict[str, Any]
    fields: dict[str, Disclosed]
    values: tuple[VaultValue, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether there were fields to show and every one was refused."""
        return bool(self.fields) and all(field.state == "refused" for field in self.fields.values())

    @property
    def has_missing(self) -> bool:
        return any(field.state == "missing" for field in self.fields.values())

    def fields_json(self) -> dict[str, Any]:
        return {name: field.to_json() for name, field in self.fields.items()}


async def read_record(
    client: NodeClient, table: str, record: str, fields: list[str], purpose: str, as_of: int | None = None
) -> tuple[Committed, RecordShown]:
    """Puts the read on the ledger, then fetches and checks what was allowed. `as_of`: the height of the version to be
    read, None for now. Errors: proof.value_mismatch."""
    args: dict[str, Any] = {"table": table, "record": record, "fields": fields, "purpose": purpose}
    if as_of is not None:
        args["as_of"] = as_of
    committed = await client.execute([Call("access.read", args)])
    return committed, (await disclose(client, committed, [committed.result()]))[0]


async def disclose(client: NodeClient, committed: Committed, records: list[dict[str, Any]]) -> list[RecordShown]:
    """The records of an access result with their values, which are fetched only if something was allowed and is still
    the present value."""
    answers = (field for record in records for field in record["fields"].values())
    is_any = any(field["allowed"] and field.get("current", True) for field in answers)
    values = await client.values(committed.transaction_id) if is_any else []
    return [_shown(client, record, values) for record in records]


def _shown(client: NodeClient, record: dict[str, Any], values: list[VaultValue]) -> RecordShown:
    fields = check_fields(client.genesis, record, values)
    name = (record["table"], record["record"])
    checked = [
        value
        for value in values
        if (value.table, value.record) == name and value.field in fields and fields[value.field].state == "shown"
    ]
    return RecordShown(record["record"], record["version"], record.get("facts", {}), fields, tuple(checked))
