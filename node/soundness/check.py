"""`kehu check`: whether a stopped node's folder is what it should be. Nothing in it is changed.

Phase 1, bytes: every file is known and whole. Phase 2, meaning, if phase 1 lets it: the chain follows from genesis, the
vault from the chain, the vote log is not behind it, the keys are the department's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from chain.blocks import BlockStore
from chain.crypto import SigningKey
from chain.errors import ErrorSpec, InvariantError, KehuError
from chain.genesis import Genesis
from chain.ledger import Ledger
from node.folder.config import CONFIG_MISSING, Config, Home
from node.folder.opening import read_votes, require_fitting
from node.keys.files import load_key
from node.keys.passphrase import read_passphrase
from node.members.joining import NODE_WRONG_KEY, require_known
from node.soundness.check_bytes import (
    DATABASES,
    check_database,
    check_names,
    check_settings,
    check_vote_log,
)
from node.soundness.check_chain import check_chain
from node.soundness.check_vault import check_vault
from node.soundness.copying import copied, stopped
from node.soundness.findings import CHECK_ROWS, CheckReport, Weight
from node.storage.leveldb import LevelStore
from node.vault.keys import VAULT_LOCKED

Tell = Callable[[str, int, int], None]
"""(what is being looked at, steps done now, steps in all)."""


def check_home(folder: Path, tell: Tell = lambda _what, _done, _total: None) -> CheckReport:
    """Errors: config.missing (no such folder), storage.in_use (a node runs in it), storage.io. The rest is findings."""
    home = Home(folder)
    if not home.path.is_dir():
        raise KehuError(CONFIG_MISSING, file=str(home.path))
    report = CheckReport(str(home.path))
    with stopped(home), copied(home) as copy:
        check_names(home, report)
        config, genesis = check_settings(home, report)
        intact = {
            name
            for name in DATABASES
            if (copy / name).is_dir() and check_database(copy / name, home, report, _part(tell, name))
        }
        if config is None or genesis is None:
            return report
        contents = check_vote_log(home, genesis, config.department, report)
        report.phase = "meaning"
        keys = _open_keys(home, config, report)
        if "chain" not in intact:
            return report
        records = None if contents is None else list(contents.records)
        with closing(LevelStore(copy / "chain")) as store:  # as long as the ledger's state is asked
            ledger = _check_chain(store, genesis, config.department, records, report, _part(tell, "blocks"))
            if ledger is not None and keys:
                is_lost = home.key_at_hand != home.node_key
                with _found(home.key_at_hand.name, report, NODE_WRONG_KEY if is_lost else None):
                    _require_one_known(home, config.department, keys, ledger)
                if {"vault", "vault-keys"} <= intact:
                    with _found("vault", report, VAULT_LOCKED if is_lost else None):
                        check_vault(copy, ledger, config.department, keys, report, _part(tell, "values"))
    report.meaning_checked = ledger is not None
    return report


def _part(tell: Tell, what: str) -> Callable[[int, int], None]:
    return lambda done, total: tell(what, done, total)


@contextmanager
def _found(what: str, report: CheckReport, expected: ErrorSpec | None = None) -> Iterator[None]:
    """Whatever stops a part of the check is a finding; `expected` is no damage."""
    try:
        yield
    except KehuError as error:
        report.find(what, error, Weight.LACKING if error.spec is expected else Weight.DAMAGE)
    except (InvariantError, ValueError, LookupError, TypeError) as error:  # what libraries say of others' bytes
        report.note(what, CHECK_ROWS, Weight.DAMAGE, kind=type(error).__name__)


def _open_keys(home: Home, config: Config, report: CheckReport) -> list[SigningKey]:
    """The key at hand and the one that is to follow it, if the former opens; all that there are must, the gateway's
    too."""
    keys: dict[Path, SigningKey] = {}
    with _found("secrets", report):
        passphrase = read_passphrase(file=home.path / config.passphrase_file)
        paths = [home.key_at_hand, *(path for path in (home.next_key, home.gateway_key) if path.exists())]
        for path in dict.fromkeys(paths):
            with _found(path.name, report):
                keys[path] = load_key(path, passphrase)
    keys.pop(home.gateway_key, None)
    return list(keys.values()) if home.key_at_hand in keys else []


def _require_one_known(home: Home, department: str, keys: Sequence[SigningKey], ledger: Ledger) -> None:
    """The next start takes up the key that is to follow, if the department is known by that one."""
    for key in keys[1:]:
        with suppress(KehuError):
            return require_known(home, department, key, ledger)
    return require_known(home, department, keys[0], ledger)


def _check_chain(
    store: LevelStore,
    genesis: Genesis,
    department: str,
    records: list[bytes] | None,
    report: CheckReport,
    tell: Callable[[int, int], None],
) -> Ledger | None:
    with _found("chain", report):
        ledger = check_chain(store, genesis, report, tell)
        if records is not None:
            with _found("votes.log", report):
                require_fitting(department, ledger.height, BlockStore(store), read_votes(records))
        return ledger
    return None
