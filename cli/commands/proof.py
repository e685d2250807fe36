"""`kehu prove`, `kehu verify`: what the departments agreed on, to be shown to others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.exits import SIGNED, Exit
from cli.files import require_new_file
from cli.layout import time_text
from cli.options import Purpose
from cli.output import Answer, Screen
from cli.root import app
from cli.run import Run

if TYPE_CHECKING:
    from cli.proof_file import Proven

STATE_ENTRY = define("usage.state_entry", "an entry of the state is written TABLE/KEY", "write customers/c-1f…")
FILE_UNREADABLE = define(
    "proof_file.unreadable", "the proof file can't be read, or is larger than 16 MiB", "check its name and rights"
)


@command(
    app,
    "prove",
    needs=Needs.KEY,
    example="kehu prove c-1f… proof.kehu --field name --as c-1f…",
    json_keys=("file", "bytes", "table", "record", "fields", "entries", "transaction", "height"),
    exits=SIGNED,
)
async def prove(
    run: Run,
    record: Annotated[str, typer.Argument(metavar="RECORD", help="The record's id.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    table: Annotated[str, typer.Option("--table", metavar="TABLE", help="The record's table.")] = "customers",
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="FIELD", help="A value to show; repeat it (default: all).")
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="TABLE/KEY", help="An entry of the state, or that there is none; repeat it."),
    ] = None,
    purpose: Purpose = "proof",
) -> Answer:
    """Read a record and write what was read to a file that proves it to anybody who has the genesis: `kehu verify`.

    The file holds the values of the fields you name, in the clear, and nothing of the others. Exit code 1 if you may
    read none of them; then there is no file.
    """
    from cli.proof_file import Entry, Read, pack, verify_proof_file
    from cli.records import read_record

    wanted = [_state_entry(text) for text in state or []]
    require_new_file(file)
    async with run.client() as client:
        committed, shown = await read_record(client, table, record, list(field or ["*"]), purpose)
        proof, values = await client.receipt_proof(committed.transaction_id), shown.values
        entries = [Entry(*entry, *(await client.state_proof(*entry))) for entry in wanted]
        genesis, known = client.genesis, client.known
    data: dict[str, Any] = {
        "file": None if shown.is_refused else str(file),
        "bytes": 0,
        "table": table,
        "record": record,
        "fields": shown.fields_json(),
        "entries": [f"{entry.table}/{entry.key}" for entry in entries],
        "transaction": committed.transaction_id,
        "height": committed.height,
    }
    if not shown.is_refused:
        raw = pack(known, genesis.chain_id, (Read(proof, values),), tuple(entries)).to_bytes()
        verify_proof_file(genesis, raw)  # what does not check here would not check anywhere
        data["bytes"] = write_new(file, raw)
    states = {name: item["state"] for name, item in data["fields"].items()}
    facts = {**data, "fields": ", ".join(f"{name} {is_}" for name, is_ in states.items()), "entries": len(entries)}
    return Answer(data, lambda screen: screen.facts(facts.items()), Exit.REFUSED if shown.is_refused else Exit.OK)


def _state_entry(text: str) -> tuple[str, str]:
    table, slash, key = text.partition("/")
    if not table or not slash or not key:
        raise KehuError(STATE_ENTRY, text=text)
    return table, key


def write_new(file: Path, raw: bytes) -> int:
    from node.storage.durable import storage_failures, write_file

    with storage_failures(file, "write proof"):
        write_file(file, raw, replace=False)
    return len(raw)


@command(
    app,
    "verify",
    needs=Needs.NOTHING,
    example="kehu verify proof.kehu --genesis genesis.json",
    json_keys=("file", "network", "chain_id", "records", "entries", "evidence"),
    exits=(Exit.UNVERIFIED, Exit.MACHINE),
)
def verify(
    _run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `kehu prove` or `kehu evidence export` wrote.")],
    genesis: Annotated[
        Path, typer.Option("--genesis", metavar="FILE", help="The network's genesis file, from somebody you trust.")
    ],
) -> Answer:
    """Check a proof or evidence file against the keys in a genesis file; no node, no network and no key is needed.

    What a proof shows was agreed on by a quorum of the network's departments at the height shown, and says nothing of
    later. Evidence shows that a department's key signed two things of which a correct node signs one.
    Exit code 5 if anything does not check; then nothing is shown.
    """
    from cli.evidence import is_evidence_file, verify_evidence_file
    from cli.proof_file import Proven, verify_proof_file
    from node.folder.config import read_genesis

    trusted, raw = read_genesis(genesis), _read_file(file)
    evidence = verify_evidence_file(trusted, raw) if is_evidence_file(raw) else None
    proven = verify_proof_file(trusted, raw) if evidence is None else Proven((), ())
    data = {
        "file": str(file),
        "network": trusted.network,
        "chain_id": trusted.chain_id,
        "evidence": evidence,
        "records": [_record_json(record) for record in proven.records],
        "entries": [
            {
                "table": entry.table,
                "key": entry.key,
                "is_present": entry.value is not None,
                "value": entry.value,
                "height": entry.header.height,
                "time_ms": entry.header.time_ms,
            }
            for entry in proven.entries
        ],
    }
    return Answer(data, lambda screen: _show(screen, data, proven))


def _read_file(file: Path) -> bytes:
    from cli.proof_file import FILE_BYTES_MAX

    try:
        with file.open("rb") as stream:
            raw = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise KehuError(FILE_UNREADABLE, file=str(file), problem=type(error).__name__) from None
    if len(raw) > FILE_BYTES_MAX:
        raise KehuError(FILE_UNREADABLE, file=str(file), bytes=len(raw), limit=FILE_BYTES_MAX)
    return raw


def _record_json(record: Any) -> dict[str, Any]:
    return {
        "table": record.table,
        "record": record.record,
        "version": record.version,
        "facts": record.facts,
        "fields": record.fields,
        "transaction": record.transaction_id,
        "height": record.header.height,
        "time_ms": record.header.time_ms,
    }


def _show(screen: Screen, data: dict[str, Any], proven: Proven) -> None:
    screen.facts((key.replace("_", " "), data[key]) for key in ("network", "chain_id"))
    for record in proven.records:
        at = f"version {record.version}, block {record.header.height}, {time_text(record.header.time_ms)}"
        screen.table(("field", "value"), record.fields.items(), title=f"{record.table}/{record.record}: {at}")
    rows = [
        (f"{entry.table}/{entry.key}", entry.header.height, time_text(entry.header.time_ms), _entry_text(entry.value))
        for entry in proven.entries
    ]
    if rows:
        screen.table(("entry", "block", "time", "state"), rows)
    if data["evidence"] is not None:
        screen.facts(data["evidence"].items())
        screen.line(
            f"Proven: {data['evidence']['department']} signed two of one kind, which a correct node never does."
        )
    screen.line("Everything checks.")


def _entry_text(value: dict[str, Any] | None) -> str:
    from cli.layout import shown

    if value is None:
        return "absent"
    plain = {name: item for name, item in value.items() if not isinstance(item, (dict, list))}
    return ", ".join(f"{name}={shown(item)}" for name, item in plain.items())
