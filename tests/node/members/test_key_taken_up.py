"""A node takes up its next key, and is killed at any step of it: the next start ends what was begun."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chain.crypto import SigningKey
from node.folder.config import Home
from node.keys.files import create_key_file, load_key, read_public
from node.members.joining import take_next_key
from node.storage.leveldb import LevelStore
from tests.node.cluster import CHEAP, PASSPHRASE
from tests.node.killing import STEPS
from tests.node.vault_kit import CHAIN, NODE_KEY, get, opened, value_of

NEXT_KEY = SigningKey(bytes(range(32)))
VALUE = value_of("张三丰")


def folder(path: Path) -> Home:
    with opened(path) as vault:
        vault.put_live([(VALUE, VALUE.digest(CHAIN))])
    home = Home(path)
    create_key_file(home.node_key, "node", "sales", PASSPHRASE, NODE_KEY.seed, CHEAP)
    create_key_file(home.next_key, "node", "sales", PASSPHRASE, NEXT_KEY.seed, CHEAP)
    return home


def start(home: Home) -> None:
    """As `choose_key` does once the chain names the next key."""
    if home.next_key.exists():
        take_next_key(home, load_key(home.key_at_hand, PASSPHRASE), PASSPHRASE, CHAIN)


class Kill(BaseException):
    pass


def cut_short(count: int, home: Home) -> bool:
    """A start that ends at its step number `count`; False: it came to its end."""
    calls = itertools.count()

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            if next(calls) == count:
                raise Kill
            return call(*arguments, **named)

        return run

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (*STEPS, (LevelStore, "write"), (LevelStore, "compact")):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        try:
            start(home)
        except Kill:
            return True
    return False


def test_wherever_it_is_killed_the_vault_opens_under_the_key_that_is_there_after_the_next_start(
    tmp_path: Path,
) -> None:
    for count in itertools.count():
        home = folder(tmp_path / str(count))
        was_killed = cut_short(count, home)
        start(home)
        assert load_key(home.node_key, PASSPHRASE).seed == NEXT_KEY.seed
        assert not home.next_key.exists()
        (old,) = home.path.glob("node.key.*.old")
        assert read_public(old).public == NODE_KEY.public
        with opened(home.path, NEXT_KEY) as vault:
            assert get(vault, VALUE) == VALUE
        if not was_killed:
            assert count >= 5
            return
