"""Every kind of file of a node's folder, damaged in every way: found, and never answered wrongly."""

from __future__ import annotations

import asyncio
import errno
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chain.crypto import SigningKey
from chain.errors import KehuError
from node.folder.config import Home
from node.folder.opening import open_home
from node.keys.files import create_key_file
from node.soundness.check import check_home
from node.soundness.findings import Weight
from node.storage.leveldb import LevelStore
from node.vault.keys import reseal
from tests.node.cluster import CHEAP, PASSPHRASE, Cluster, key_of
from tests.node.soundness_kit import BYTE_DAMAGE, NAME, content, first, flip, live_through, work

pytestmark = pytest.mark.slow


@dataclass
class Worked:
    """`home` is sound; `logged` too, with its newest rows in LevelDB's log; `older` is a copy of it from halfway,
    `other` another department's."""

    home: Path
    logged: Path
    older: Path
    other: Path
    content: tuple[object, ...]


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Worked:
    folder = tmp_path_factory.mktemp("worked")
    cluster = Cluster(folder)
    asyncio.run(work(cluster, folder))
    home = cluster.homes[NAME]
    opened = open_home(home)
    seen = content(opened)
    opened.closing.close()
    return Worked(home.path, folder / "logged", folder / "older", cluster.homes["finance"].path, seen)


@pytest.fixture
def copy(worked: Worked, tmp_path: Path) -> Home:
    shutil.copytree(worked.home, tmp_path / "copy")
    return Home(tmp_path / "copy")


TARGETS: dict[str, Callable[[Path], Path]] = {
    f"{folder} {kind}": lambda home, folder=folder, pattern=pattern: first(home / folder, pattern)  # type: ignore[misc]
    for folder in ("chain", "vault", "vault-keys")
    for kind, pattern in (("table", "*.ldb"), ("log", "*.log"), ("manifest", "MANIFEST-*"), ("current", "CURRENT"))
} | {"vote log": lambda home: home / "votes.log"}


def outcome(home: Home, worked: Worked) -> tuple[str, bool]:
    """What the start and the scrub find, and whether the content is the undamaged one's."""
    found = live_through(home)
    opened = open_home(home)
    try:
        return found, content(opened) == worked.content
    finally:
        opened.closing.close()


def test_a_sound_folder_checks_and_the_check_changes_nothing(worked: Worked) -> None:
    def everything() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in worked.home.rglob("*") if path.is_file()}

    before = everything()
    report = check_home(worked.home)
    assert [finding.to_value() for finding in report.findings] == []
    assert report.meaning_checked
    assert (report.height, report.blocks) == (worked.content[0], worked.content[0])
    assert report.values >= 12
    assert everything() == before


@pytest.mark.parametrize("target", TARGETS)
def test_damage_to_any_file_is_found_or_without_effect(worked: Worked, tmp_path: Path, target: str) -> None:
    """Never a wrong answer: what is not found by check, start or scrub has changed nothing that can be read."""
    seen: Counter[str] = Counter()
    for damage, spoil in BYTE_DAMAGE.items():
        home = Home(tmp_path / damage.replace(" ", "-"))
        shutil.copytree(worked.logged if target.endswith(" log") else worked.home, home.path)
        path = TARGETS[target](home.path)
        spoil(path)
        report = check_home(home.path)
        is_found = bool(report.findings)
        assert not [finding for finding in report.findings if ".check-" in str(finding.to_value())], (target, damage)
        found, is_same = outcome(home, worked)
        assert is_same or found != "nothing found" or is_found, (target, damage)
        assert is_same or is_found, (target, damage, "a check misses it")
        seen[found if not is_same else "without effect"] += 1
        shutil.rmtree(home.path)
    assert seen.total() == len(BYTE_DAMAGE)
    assert seen["without effect"] <= 3, seen
    print(target, dict(seen))


def swapped(source: str, *parts: str) -> Callable[[Home, Worked], None]:
    def swap(home: Home, worked: Worked) -> None:
        for part in parts:
            target, origin = home.path / part, getattr(worked, source) / part
            shutil.rmtree(target) if target.is_dir() else target.unlink()
            shutil.copytree(origin, target) if origin.is_dir() else shutil.copy2(origin, target)

    return swap


def gone(*parts: str) -> Callable[[Home, Worked], None]:
    def take(home: Home, _: Worked) -> None:
        for part in parts:
            target = home.path / part
            shutil.rmtree(target) if target.is_dir() else target.unlink()

    return take


SWAPS: dict[str, tuple[Callable[[Home, Worked], None], str, str]] = {
    # what happens: (what becomes of it at start and under the scrub, what a check says)
    "an older chain": (swapped("older", "chain"), "set aside votelog.ahead_of_chain", "votelog.ahead_of_chain"),
    "an older vote log": (swapped("older", "votes.log"), "set aside votelog.old", "votelog.old"),
    "an older vault": (swapped("older", "vault"), "nothing found", "check.values_missing"),
    "older keys": (swapped("older", "vault-keys"), "values", "check.values_unsound"),
    "older keys and vault": (swapped("older", "vault", "vault-keys"), "nothing found", "check.values_missing"),
    "everything older": (swapped("older", "chain", "vault", "vault-keys", "votes.log"), "nothing found", ""),
    "another's chain": (swapped("other", "chain"), "nothing found", ""),
    "another's vault": (swapped("other", "vault"), "values", "check.values_unsound"),
    "another's keys": (swapped("other", "vault-keys"), "set aside vault.locked", "vault.locked"),
    "another's vault and keys": (swapped("other", "vault", "vault-keys"), "set aside vault.locked", "vault.locked"),
    "another's vote log": (swapped("other", "votes.log"), "refused votelog.foreign", "votelog.foreign"),
    "another's node key": (swapped("other", "node.key"), "refused node.wrong_key", "node.wrong_key"),
    "another's configuration": (swapped("other", "node.toml"), "refused node.wrong_key", "node.wrong_key"),
    "no chain": (gone("chain"), "set aside votelog.ahead_of_chain", "check.file_missing"),
    "no vault": (gone("vault"), "nothing found", "check.file_missing"),
    "no vault keys": (gone("vault-keys"), "set aside vault.keys_missing", "check.file_missing"),
    "no vote log": (gone("votes.log"), "nothing found", "votelog.missing"),
    "nothing but settings": (gone("chain", "vault", "vault-keys", "votes.log"), "nothing found", "votelog.missing"),
    "no node key": (gone("node.key"), "refused key.file_missing", "check.file_missing"),
    "no genesis": (gone("genesis.json"), "refused config.missing", "config.missing"),
    "no configuration": (gone("node.toml"), "refused config.missing", "config.missing"),
}


@pytest.mark.parametrize("swap", SWAPS)
def test_what_was_swapped_put_back_or_taken_away_is_found(worked: Worked, copy: Home, swap: str) -> None:
    spoil, becomes, check = SWAPS[swap]
    spoil(copy, worked)
    report = check_home(copy.path)
    codes = [finding.error.code for finding in report.findings]
    assert check in codes if check else not codes, codes
    try:
        found = live_through(copy)
    except KehuError as error:
        found = f"refused {error.code}"
    assert found == becomes


@pytest.mark.parametrize("name", ["node.key", "genesis.json", "node.toml"])
def test_damage_to_what_nobody_else_has_refuses_the_start(worked: Worked, tmp_path: Path, name: str) -> None:
    """Or the file says the same as before, as when a comment is hit."""
    before = open_home(Home(worked.home))
    settings = (before.config, before.genesis, before.node_key.seed)
    before.closing.close()
    refused = 0
    for damage, spoil in BYTE_DAMAGE.items():
        home = Home(tmp_path / damage.replace(" ", "-"))
        shutil.copytree(worked.home, home.path)
        spoil(home.path / name)
        try:
            opened = open_home(home)
        except KehuError:
            assert check_home(home.path).has(Weight.DAMAGE), damage
            refused += 1
            continue
        opened.closing.close()
        assert name == "node.toml" or (opened.config, opened.genesis, opened.node_key.seed) == settings, damage
    assert refused >= 5


def test_a_check_refuses_a_folder_whose_node_runs(worked: Worked, copy: Home) -> None:
    opened = open_home(copy)
    with pytest.raises(KehuError, match=r"storage\.in_use"):
        check_home(copy.path)
    opened.closing.close()
    assert not check_home(copy.path).findings


def test_rows_that_no_block_gives_are_found(worked: Worked, copy: Home) -> None:
    """Sound bytes, wrong meaning: each kind of row changed, taken away, or added."""
    opened = open_home(copy)
    rows = {}
    for prefix in (b"b/", b"c/", b"r/", b"i/", b"t/", b"s/"):
        rows[prefix] = list(opened.chain_store.scan(prefix))[-1]
    opened.closing.close()
    for prefix, (key, value) in rows.items():
        for puts, deletes in (
            ({key: value[:-1] + b"\x00\x00"}, []),
            ({}, [key]),
            ({prefix + b"zz/\xff\xff": b"x"}, []),
        ):
            home = Home(copy.path.parent / "edited")
            shutil.copytree(copy.path, home.path)
            store = LevelStore(home.chain)
            store.write(puts, deletes)
            store.close()
            report = check_home(home.path)
            assert report.has(Weight.DAMAGE), (prefix, puts, deletes)
            shutil.rmtree(home.path)


def test_rows_that_an_earlier_release_stored_and_nobody_reads_are_passed_over(worked: Worked, copy: Home) -> None:
    store = LevelStore(copy.chain)
    store.write({b"h/customers/c1\x00" + bytes(8): b"x"})
    store.close()
    report = check_home(copy.path)
    assert not report.findings
    assert report.transactions > 0


def next_key(home: Home) -> SigningKey:
    key = key_of("node sales 2")
    create_key_file(home.next_key, "node", NAME, PASSPHRASE, key.seed, CHEAP)
    return key


def test_a_key_that_is_lost_is_no_damage_where_the_one_that_follows_it_stands_ready(copy: Home) -> None:
    next_key(copy)
    assert not check_home(copy.path).findings
    copy.node_key.unlink()
    report = check_home(copy.path)
    codes = {finding.error.code for finding in report.findings}
    assert codes == {"check.key_lost", "node.wrong_key", "vault.locked"}
    assert (report.has(Weight.DAMAGE), report.has(Weight.LACKING), report.meaning_checked) == (False, True, True)
    copy.next_key.write_bytes(copy.next_key.read_bytes()[:-9])
    assert check_home(copy.path).has(Weight.DAMAGE)


def test_a_vault_that_is_sealed_under_the_next_key_already_is_whole(copy: Home) -> None:
    """A power cut while the key was being taken up."""
    following, present = next_key(copy), key_of(f"node {NAME}")
    reseal(copy.vault_keys, copy.read_genesis().chain_id, present.seed, following.seed)
    report = check_home(copy.path)
    assert (report.findings, report.values > 0) == ([], True)


def test_what_a_kill_left_of_a_file_that_was_being_written_goes_at_the_next_start(copy: Home) -> None:
    names = (".node.key.0badcafe", "secrets/.passphrase.0badcafe")
    left = [copy.path / f"{name}.kehu-unfinished" for name in names]
    for path in left:
        path.write_bytes(b"a passphrase")
    assert not check_home(copy.path).findings
    open_home(copy).closing.close()
    assert not [path for path in left if path.exists()]


def test_a_folder_that_cannot_be_written_is_checked_too(
    copy: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot of the disk, mounted read-only."""
    flip(0.5)(first(copy.chain, "*.ldb"))
    found = [finding.to_value() for finding in check_home(copy.path).findings]
    make, open_ = tempfile.mkdtemp, Path.open

    def mkdtemp(prefix: str, dir: Path = tmp_path) -> str:  # noqa: A002 - as the library calls it
        if dir == copy.path:
            raise OSError(errno.EROFS, "Read-only file system")
        return make(prefix=prefix, dir=dir)

    def open_file(path: Path, mode: str = "r", **named: Any) -> Any:
        if path.parent.parent == copy.path and mode not in ("r", "rb"):
            raise OSError(errno.EROFS, "Read-only file system")
        return open_(path, mode, **named)

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    monkeypatch.setattr(Path, "open", open_file)
    assert [finding.to_value() for finding in check_home(copy.path).findings] == found != []
    assert not list(tmp_path.glob("kehu-check-*"))
