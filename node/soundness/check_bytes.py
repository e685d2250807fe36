"""The first phase of a check: every file is known, whole, and has the bytes that were written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from chain.errors import KehuError
from chain.genesis import Genesis
from node.folder.config import Config, Home
from node.keys.files import read_public
from node.soundness.copying import PREFIX
from node.soundness.findings import (
    CHECK_EVIDENCE,
    CHECK_FILE_MISSING,
    CHECK_KEY_LOST,
    CHECK_TORN,
    CHECK_UNKNOWN_FILE,
    CheckReport,
    Weight,
)
from node.soundness.setting_aside import FOLDER, list_aside
from node.storage.beside import is_leftover
from node.storage.leveldb import LevelStore
from node.storage.wal import VOTELOG_MISSING, LogContents, read_log

PAGE_BYTES: Final = 1 << 20
DATABASES: Final = ("chain", "vault", "vault-keys")
KNOWN_FILES: Final = frozenset(
    {"node.toml", "genesis.json", "node.key", "node.key.next", "gateway.key", "members.json", "votes.log"}
)
_OLD_KEY: Final = re.compile(r"node\.key\.[0-9a-f]{8}\.old")
"""A former key, kept when the next one took its place."""
KNOWN_FOLDERS: Final = frozenset(
    {*DATABASES, "secrets", "log", "evidence", "chain.incoming", "chain.whole", "chain.replaced", FOLDER}
)
_LEVELDB: Final = re.compile(r"CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(log|ldb|sst|dbtmp)")

Progress = Callable[[int, int], None]
"""(steps done now, steps in all)."""


def check_names(home: Home, report: CheckReport) -> None:
    """Everything in the folder is known, nothing that a node has is missing."""
    for path in sorted(home.path.iterdir()):
        is_known = path.name in (KNOWN_FOLDERS if path.is_dir() else KNOWN_FILES) or path.name.startswith(PREFIX)
        is_known = is_known or _OLD_KEY.fullmatch(path.name) is not None or is_leftover(path.name)
        if not is_known:
            report.note(path.name, CHECK_UNKNOWN_FILE, path=path.name)
    for name in ("node.toml", "genesis.json", home.key_at_hand.name):
        if not (home.path / name).is_file():
            report.note(name, CHECK_FILE_MISSING, Weight.DAMAGE, path=name)
    if home.key_at_hand != home.node_key:
        report.note(home.node_key.name, CHECK_KEY_LOST, Weight.LACKING)
    for name in DATABASES:
        folder = home.path / name
        if not folder.is_dir():
            report.note(name, CHECK_FILE_MISSING, Weight.LACKING, path=name)
            continue
        for path in sorted(folder.iterdir()):
            if not _LEVELDB.fullmatch(path.name):
                report.note(name, CHECK_UNKNOWN_FILE, path=f"{name}/{path.name}")
    for aside in list_aside(home.path):
        report.note(FOLDER, CHECK_EVIDENCE, **aside.to_value())
    report.files = sum(path.is_file() for path in home.path.rglob("*") if PREFIX not in str(path))


def check_settings(home: Home, report: CheckReport) -> tuple[Config | None, Genesis | None]:
    """Configuration, genesis, the form of key files."""
    config = genesis = None
    try:
        config = home.read_config()
        report.department = config.department
    except KehuError as error:
        report.find("node.toml", error)
    try:
        genesis = home.read_genesis()
        report.chain_id = genesis.chain_id.hex()
    except KehuError as error:
        report.find("genesis.json", error)
    for path in (home.node_key, home.next_key, home.gateway_key):
        if path.exists():
            try:
                read_public(path)
            except KehuError as error:
                report.find(path.name, error)
    if config is not None and not (home.path / config.passphrase_file).is_file():
        report.note("secrets", CHECK_FILE_MISSING, Weight.DAMAGE, path=config.passphrase_file)
    return config, genesis


def check_database(copy: Path, home: Home, report: CheckReport, on_progress: Progress) -> bool:
    """Reads a copied database from end to end; False if it is damaged."""
    total = sum(path.stat().st_size for path in copy.iterdir())
    try:
        store = LevelStore(copy)
        try:
            if store.recovery is not None:
                report.note(copy.name, CHECK_TORN, bytes=store.recovery.dropped_bytes)
            after: bytes | None = b""
            while after is not None:
                after, size, pairs = store.read_through(after, PAGE_BYTES)
                report.bytes, report.pairs = report.bytes + size, report.pairs + pairs
                on_progress(size, total)
        finally:
            store.close()
    except KehuError as error:
        report.find(copy.name, _told_of_the_original(error, copy, home))
        return False
    return True


def _told_of_the_original(error: KehuError, copy: Path, home: Home) -> KehuError:
    """The copy is gone when the report is read; the same file of the node's own folder is what it is about."""
    read, meant = str(copy.parent), str(home.path)
    details = {k: v.replace(read, meant) if isinstance(v, str) else v for k, v in error.details.items()}
    return KehuError(error.spec, **details)


def check_vote_log(home: Home, genesis: Genesis, department: str, report: CheckReport) -> LogContents | None:
    """The vote log's frames."""
    try:
        contents = read_log(home.votes, genesis.chain_id, department)
    except KehuError as error:
        report.find("votes.log", error, Weight.LACKING if error.spec is VOTELOG_MISSING else Weight.DAMAGE)
        return None
    if contents.torn_bytes:
        report.note("votes.log", CHECK_TORN, bytes=contents.torn_bytes)
    return contents
