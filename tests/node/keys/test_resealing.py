"""Another passphrase for a node's folder: no moment in which no file holds what opens the keys."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chain.errors import KehuError
from node.folder.config import Home
from node.keys.files import create_key_file, load_key
from node.keys.passphrase import read_passphrase
from node.keys.resealing import reseal_home
from tests.node.cluster import CHEAP
from tests.node.killing import killed_at

OLD = "correct horse"
SEEDS = {"node.key": bytes(range(32)), "node.key.next": bytes(range(1, 33)), "gateway.key": bytes(range(2, 34))}


def folder(path: Path, *names: str) -> tuple[Home, Path]:
    """A node's folder with these keys, and its passphrase file."""
    secret = path / "secrets" / "passphrase"
    secret.parent.mkdir(mode=0o700, parents=True)
    secret.write_text(f"{OLD}\n", encoding="utf-8")
    secret.chmod(0o600)
    for name in names:
        create_key_file(path / name, "node", "sales", OLD, SEEDS[name], CHEAP)
    return Home(path), secret


def require_all_open(home: Home, passphrase: str, *names: str) -> None:
    assert {name: load_key(home.path / name, passphrase).seed for name in names} == {one: SEEDS[one] for one in names}


def everywhere(path: Path, *names: str) -> Iterator[tuple[Home, Path]]:
    """A folder in which a passphrase that is drawn was being set, for every place at which that can be cut off."""
    for count in itertools.count():
        home, secret = folder(path / str(count), *names)
        if not killed_at(count, partial(reseal_home, home, secret, OLD, None)):
            assert count > 8
            return
        yield home, secret


def test_a_drawn_passphrase_is_in_a_file_before_any_key_needs_it_wherever_the_power_goes(tmp_path: Path) -> None:
    for home, secret in everywhere(tmp_path, *SEEDS):
        reseal_home(home, secret, read_passphrase(file=secret), None)
        new = read_passphrase(file=secret)
        assert new != OLD
        require_all_open(home, new, *SEEDS)
        assert [path.name for path in secret.parent.iterdir()] == ["passphrase"]
        assert sorted(path.name for path in home.path.iterdir()) == sorted([*SEEDS, "secrets"])


def test_an_interrupted_change_is_ended_before_another_passphrase_is_set(tmp_path: Path) -> None:
    for home, secret in everywhere(tmp_path, "node.key", "gateway.key"):
        reseal_home(home, secret, read_passphrase(file=secret), "battery staple")
        assert read_passphrase(file=secret) == "battery staple"
        require_all_open(home, "battery staple", "node.key", "gateway.key")


def test_where_only_the_next_key_is_left_that_one_is_sealed_anew(tmp_path: Path) -> None:
    home, secret = folder(tmp_path / "home", "node.key.next")
    assert reseal_home(home, secret, OLD, "new").keys == ["node.key.next"]
    require_all_open(home, "new", "node.key.next")
    empty, secret = folder(tmp_path / "empty")
    with pytest.raises(KehuError, match=r"key\.file_missing"):
        reseal_home(empty, secret, OLD, None)


def test_a_wrong_passphrase_and_a_place_that_cannot_be_written_change_nothing(tmp_path: Path) -> None:
    home, secret = folder(tmp_path / "home", "node.key", "gateway.key")
    before = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}
    with pytest.raises(KehuError, match=r"key\.passphrase_wrong"):
        reseal_home(home, secret, "wrong", None)
    with pytest.raises(KehuError, match=r"storage\.io"):
        reseal_home(home, home.path / "gone" / "passphrase", OLD, None)
    assert {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()} == before


def test_the_files_stay_readable_to_whoever_read_them(tmp_path: Path) -> None:
    """Root sets it, and the node's user and group are to read it afterwards."""
    home, secret = folder(tmp_path / "home", "node.key")
    secret.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(home.node_key, 4711, 4712)
        os.chown(secret, 0, 4712)
    before = [(path.stat().st_uid, path.stat().st_gid, path.stat().st_mode) for path in (home.node_key, secret)]
    reseal_home(home, secret, OLD, None)
    assert [(path.stat().st_uid, path.stat().st_gid, path.stat().st_mode) for path in (home.node_key, secret)] == before


def test_a_link_to_the_passphrase_within_the_folder_still_leads_to_it(tmp_path: Path) -> None:
    home, secret = folder(tmp_path / "home", "node.key")
    link = home.path / "passphrase"
    link.symlink_to(secret)
    reseal_home(home, link, OLD, "new")
    assert (link.is_symlink(), read_passphrase(file=link), read_passphrase(file=secret)) == (True, "new", "new")
