"""The second phase for the vault: each value opens, is the chain's, and is one that the department is to hold."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from chain.crypto import SigningKey
from chain.errors import KehuError
from chain.ledger import Ledger
from contracts.erasing.endings import ERASED
from contracts.records import RECORD_TABLES
from node.soundness.check_bytes import Progress
from node.soundness.findings import CHECK_ERASED, CHECK_HELD, CHECK_MISSING, CHECK_VALUES, CheckReport, Weight
from node.vault.duty import Duties
from node.vault.keys import VAULT_LOCKED
from node.vault.rows import LIVE, parse_live_key
from node.vault.seal import RecordId, Wanted
from node.vault.store import Vault

_PAGE = 256


def check_vault(
    copy: Path, ledger: Ledger, department: str, keys: Sequence[SigningKey], report: CheckReport, tell: Progress
) -> None:
    """`copy` holds copies of vault/ and vault-keys/, sealed under one of `keys`: a node that takes up its next key
    first seals the vault under it. Errors: vault.*, storage.*"""
    vault = _open(copy, ledger.genesis.chain_id, keys)
    try:
        unsound = _open_all(vault, report, tell)
        _compare_with_chain(vault, ledger, department, report, unsound)
    finally:
        vault.close()


def _open(copy: Path, chain_id: bytes, keys: Sequence[SigningKey]) -> Vault:
    for key in keys[:-1]:
        try:
            return Vault.open(copy, chain_id, key)
        except KehuError as error:
            if error.spec is not VAULT_LOCKED:
                raise
    return Vault.open(copy, chain_id, keys[-1])


def _open_all(vault: Vault, report: CheckReport, tell: Progress) -> int:
    """Opens every value; how many did not open. The copy's vault sets those aside."""
    total, unsound = vault.status()["live_values"], 0
    records: set[RecordId] = set()
    vault.on_unsound = records.update
    after: bytes | None = b""
    while after is not None:
        after, found = vault.look_through(after, _PAGE)
        unsound += found
        tell(min(_PAGE, total), total)
    for transaction_id in vault.staged():
        vault.get_staged(transaction_id)
    report.values = total - unsound
    if unsound:
        report.note("vault", CHECK_VALUES, Weight.DAMAGE, values=unsound, records=sorted(map(_name, records))[:100])
    return unsound


def _compare_with_chain(vault: Vault, ledger: Ledger, department: str, report: CheckReport, unsound: int) -> None:
    duties = Duties(department, ledger, lambda: time.time_ns() // 1_000_000)
    live: defaultdict[RecordId, list[Wanted]] = defaultdict(list)
    for key, _ in vault.stores[0].scan(LIVE):
        record = parse_live_key(key)
        live[record] = vault.live(record.table, record.record)
    superseded = surplus = 0
    for table in RECORD_TABLES:
        for record in duties.records(table):
            duty, here = duties.of(record), live.pop(record, [])
            held = {name.field for name, digest in here if duty.current.get(name.field) == digest}
            superseded += len(here) - len(held)
            surplus += len(held - set(duty.entitled))
            lacking = set(duty.entitled) - held
            if lacking:
                report.missing[record.table, record.record] = len(lacking)
    erased = [record for record in live if _is_erased(duties, record)]
    if erased:
        report.note("vault", CHECK_ERASED, Weight.DAMAGE, records=sorted(map(_name, erased))[:100])
    strangers = sum(len(values) for record, values in live.items() if record not in set(erased))
    if superseded or surplus or strangers:
        report.note("vault", CHECK_HELD, superseded=superseded, not_entitled=surplus, of_no_record=strangers)
    if report.missing:
        report.note("vault", CHECK_MISSING, Weight.LACKING, values=report.missing.total(), unsound=unsound)


def _is_erased(duties: Duties, record: RecordId) -> bool:
    row = duties.view().get(record.table, record.record)
    return row is not None and ERASED in row


def _name(record: RecordId) -> str:
    return f"{record.table}.{record.record}"
