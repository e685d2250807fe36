"""Staging in rounds: who shares a write, and what becomes of those who wait when there is no room or no disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from node.storage.durable import STORAGE_IO, StorageFailure
from node.vault import staged
from node.vault.rounds import REST_MAX_S, StagingRounds
from node.vault.staged import Staging
from node.vault.store import Vault
from tests.node.peer_kit import until
from tests.node.vault_kit import opened, transaction_id, value_of


def staging(number: int, source: str = "", text: str = "王芳") -> Staging:
    return Staging(id_of(number), [value_of(text, record=f"c{number}")], 9, source)


def id_of(number: int) -> bytes:
    return transaction_id(str(number))


class Disk:
    """Where the vault's work is done: counts it, and can be held up."""

    def __init__(self) -> None:
        self.writes: list[int] = []
        self.is_free = asyncio.Event()
        self.is_free.set()
        self.failure: Exception | None = None

    async def __call__(self, work: Callable[[Sequence[Staging]], Any], stagings: Sequence[Staging]) -> Any:
        self.writes.append(len(stagings))
        await self.is_free.wait()
        if self.failure is not None:
            raise self.failure
        return work(stagings)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with opened(tmp_path) as made:
        yield made


async def test_who_comes_while_nothing_is_written_is_written_at_once(vault: Vault) -> None:
    disk = Disk()
    rounds = StagingRounds(vault, disk)
    assert await rounds.stage([staging(1)]) == [None]
    assert disk.writes == [1]
    assert vault.staged() == {id_of(1): 9}


async def test_who_comes_during_a_write_shares_the_next_one(vault: Vault) -> None:
    disk = Disk()
    rounds = StagingRounds(vault, disk)
    disk.is_free.clear()
    first = asyncio.create_task(rounds.stage([staging(1)]))
    await until(lambda: disk.writes == [1])
    others = [asyncio.create_task(rounds.stage([staging(number, "sales")])) for number in (2, 3, 4)]
    await until(lambda: len(rounds._waiting) == 3)
    disk.is_free.set()
    assert await asyncio.gather(first, *others) == [[None]] * 4
    assert disk.writes == [1, 3]
    assert len(vault.staged()) == 4


async def test_a_long_write_is_followed_by_a_bounded_rest(vault: Vault) -> None:
    loop = asyncio.get_running_loop()
    rounds = StagingRounds(vault, Disk())
    rounds._free_s = begun = loop.time() + REST_MAX_S
    assert await rounds.stage([staging(1)]) == [None]
    assert loop.time() >= begun
    assert rounds._free_s <= loop.time() + REST_MAX_S


async def test_only_those_for_whom_there_is_no_room_are_refused(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "STAGED_BYTES_MAX", 500)
    rounds = StagingRounds(vault, Disk())
    answers = await asyncio.gather(
        rounds.stage([staging(1, "sales"), staging(2, "sales", "王" * 150)]), rounds.stage([staging(3, "finance")])
    )
    assert [[error and error.code for error in answer] for answer in answers] == [[None, "vault.staged_full"], [None]]
    assert set(vault.staged()) == {id_of(1), id_of(3)}


async def test_room_is_counted_over_all_of_a_round(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "STAGED_BYTES_MAX", 200)
    errors = await StagingRounds(vault, Disk()).stage([staging(number, "sales") for number in range(4)])
    assert [error and error.code for error in errors] == [None, None, "vault.staged_full", "vault.staged_full"]


async def test_a_failed_disk_is_the_error_of_everybody_who_waited_for_it(vault: Vault) -> None:
    disk = Disk()
    rounds = StagingRounds(vault, disk)
    disk.failure = StorageFailure(STORAGE_IO, path="vault")
    both = await asyncio.gather(rounds.stage([staging(1)]), rounds.stage([staging(2)]), return_exceptions=True)
    assert both == [disk.failure, disk.failure]


async def test_who_is_cancelled_keeps_nobody_else_from_being_written(vault: Vault) -> None:
    disk = Disk()
    rounds = StagingRounds(vault, disk)
    disk.is_free.clear()
    gone, other = (asyncio.create_task(rounds.stage([staging(number)])) for number in (1, 2))
    await until(lambda: disk.writes == [2])
    gone.cancel()
    disk.is_free.set()
    assert await other == [None]
    assert len(vault.staged()) == 2  # it was under way, and goes when its transaction expires


async def test_closing_cancels_who_waits(vault: Vault) -> None:
    disk = Disk()
    rounds = StagingRounds(vault, disk)
    disk.is_free.clear()
    first = asyncio.create_task(rounds.stage([staging(1)]))
    await until(lambda: disk.writes == [1])
    second = asyncio.create_task(rounds.stage([staging(2)]))
    await until(lambda: len(rounds._waiting) == 1)
    await rounds.close()
    for task in (first, second):
        with pytest.raises(asyncio.CancelledError):
            await task
