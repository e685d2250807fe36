"""`kehu check`: whether a stopped node's folder is what it should be. Nothing in it is changed.

Phase 1, bytes: every file is known and whole. Phase 2, meaning, if phase 1 lets it: the chain follows from genesis, the
vault from the chain, the vote log is not behind it, the keys are the department's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from chain.blocks import BlockStore
from chain.crypto import SigningKey
from chain.errors import InvariantError, KehuError
from chain.genesis import Genesis
from chain.ledger import Ledger
from node.config import CONFIG_MISSING, Config, Home
from node.joining import require_known
from node.keys import load_key
from node.opening import read_votes, require_fitting
from node.passphrase import read_passphrase
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
            if (copy / name).is_dir() and check_database(copy / name, report, _part(tell, name))
        }
        if config is None or genesis is None:
            return report
        contents = check_vote_log(home, genesis, config.department, report)
        report.phase = "meaning"
        key = _open_key(home, config, report)
        if "chain" not in intact:
            return report
        records = None if contents is None else list(contents.records)
        with closing(LevelStore(copy / "chain")) as store:  # as long as the ledger's state is asked
            ledger = _check_chain(store, genesis, config.department, records, report, _part(tell, "blocks"))
            if ledger is not None and key is not None:
                with _found("node.key", report):
                    require_known(home, config.department, key, ledger)
            if ledger is not None and key is not None and {"vault", "vault-keys"} <= intact:
                with _found("vault", report):
                    check_vault(copy, ledger, config.department, key, report, _part(tell, "values"))
    report.meaning_checked = ledger is not None
    return report


def _part(tell: Tell, what: str) -> Callable[[int, int], None]:
    return lambda done, total: tell(what, done, total)


@contextmanager
def _found(what: str, report: CheckReport) -> Iterator[None]:
    """Whatever stops a part of the check is a finding."""
    try:
        yield
    except KehuError as error:
        report.find(what, error)
    except (InvariantError, ValueError, LookupError, TypeError) as error:  # what libraries say of others' bytes
        report.note(what, CHECK_ROWS, Weight.DAMAGE, kind=type(error).__name__)


def _open_key(home: Home, config: Config, report: CheckReport) -> SigningKey | None:
    """The node's key, which must open under the passphrase; the gateway's too, where there is one."""
    key = None
    with _found("node.key", report):
        passphrase = read_passphrase(file=home.path / config.passphrase_file)
        key = load_key(home.node_key, passphrase)
        if home.gateway_key.exists():
            with _found("gateway.key", report):
                load_key(home.gateway_key, passphrase)
    return key


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
