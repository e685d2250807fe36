"""A node's state reads as one that is all in memory, however little is kept at hand and wherever the store stands."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, integers, lists, none, sampled_from

from chain import codec, trie
from chain import state as state_module
from chain.blocks import state_puts
from chain.errors import KehuError
from chain.execution import BlockFacts, CallContext, execute
from chain.state import State, View
from chain.store import MemoryStore
from chain.stored_state import CURRENT, STORAGE_STATE, RowCache, StateUnreadableError, StoredState
from chain.transaction import Call
from tools.sample_chain import SampleChain

KEYS = [f"{table}/{key}".encode() for table in ("a", "ab", "b") for key in range(6)]
Writes = Mapping[bytes, bytes | None]
BLOCKS = lists(
    dictionaries(sampled_from(KEYS), integers(0, 3).map(lambda n: codec.encode({"n": n})) | none(), max_size=6),
    max_size=8,
)


def append(store: MemoryStore, height: int, writes: Writes) -> None:
    puts: dict[bytes, bytes] = {}
    for key, value in writes.items():
        puts.update(state_puts(key, value, height))
    store.write(puts, [CURRENT + key for key, value in writes.items() if value is None])


def grown(count: int) -> tuple[MemoryStore, StoredState]:
    store = MemoryStore()
    append(store, 0, {f"notes/n{number}".encode(): codec.encode({"n": 0}) for number in range(count)})
    return store, StoredState(store, bytes_max=2_000)


@given(BLOCKS, integers(0, 8), integers(0, 2_000))
def test_it_reads_as_a_state_in_memory_also_while_a_block_is_being_appended(
    blocks: list[Writes], small_max: int, bytes_max: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_module, "_SMALL_KEYS_MAX", small_max)
        store = MemoryStore()
        stored, plain = StoredState(store, bytes_max=bytes_max), State()
        for height, writes in enumerate(blocks):
            before = [plain.get(key) for key in KEYS]
            after = stored.preview(writes)
            append(store, height, writes)
            assert [stored.get(key) for key in KEYS] == before, "the store is ahead, the state is not"
            stored.apply(writes, after)
            plain.apply(writes, plain.preview(writes))
            assert stored.root == plain.root
            assert len(stored) == len(plain)
            assert [stored.get(key) for key in KEYS] == [plain.get(key) for key in KEYS]
        assert list(stored.items()) == list(plain.items())
        for table in ("a", "ab", "b", "c"):
            assert list(stored.scan(table)) == list(plain.scan(table))
            assert list(stored.keys(table, "2")) == list(plain.keys(table, "2"))
        assert list(StoredState(store).items()) == list(plain.items())


def test_values_of_a_large_table_that_a_block_is_about_to_change_are_still_the_old_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_module, "_SMALL_KEYS_MAX", 10)
    store, state = grown(100)
    before = list(state.items())
    append(store, 1, {b"notes/n5": codec.encode({"n": 1}), b"notes/new": codec.encode({"n": 1})})
    assert list(state.items()) == before
    assert [key for key, _ in state.scan("notes")] == sorted(f"n{number}" for number in range(100))


def test_a_pin_reads_what_stood_there_whatever_was_written_or_taken_away_since() -> None:
    draw = random.Random(7)
    store, state = grown(300)
    before, pin = dict(state.items()), state.pin()
    for height in range(1, 21):
        writes: Writes = {
            f"notes/n{draw.randrange(600)}".encode(): draw.choice([None, codec.encode({"n": height})])
            for _ in range(30)
        }
        after = state.preview(writes)
        append(store, height, writes)
        state.apply(writes, after)
    found = {key: pin.get(key) for key in {*pin.all_keys(), *pin.gone}}
    assert {key: value for key, value in found.items() if value is not None} == before
    assert trie.digest_of(pin.trie) != state.root


def test_a_value_that_is_not_the_certified_one_is_never_given_out() -> None:
    store, state = grown(20)
    store.write({CURRENT + b"notes/n3": codec.encode({"n": 9})})
    assert state.get(b"notes/n3") == codec.encode({"n": 0}), "it is among the key's earlier values"
    store, state = grown(20)
    append(store, 0, {b"notes/n3": codec.encode({"n": 9})})
    with pytest.raises(StateUnreadableError) as caught:
        state.get(b"notes/n3")
    assert caught.value.failure.spec is STORAGE_STATE


class FailingStore(MemoryStore):
    def get(self, key: bytes) -> bytes | None:
        if key == CURRENT + b"notes/a":
            raise KehuError(STORAGE_STATE)
        return super().get(key)

    def scan_back(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        raise KehuError(STORAGE_STATE)


def test_a_store_that_fails_under_a_contract_is_no_refusal_by_the_contract() -> None:
    chain = SampleChain()
    chain.append(chain.batch(chain.put("a")))
    store = FailingStore()
    store.write(dict(chain.store.scan(b"")))
    state = StoredState(store)
    facts = BlockFacts(1, chain.genesis.chain_id, 2, 1, 100)

    class Reading:
        def write_genesis(self, view: View, genesis: object) -> None: ...

        def begin_block(self, facts: BlockFacts, view: View) -> None: ...

        def call(self, context: CallContext, view: View, call: Call) -> codec.Value:
            return view.get("notes", "a")

    with pytest.raises(StateUnreadableError):
        execute(View(state.get), Reading(), facts, [chain.batch(chain.put("b"))], ())


class InterruptedStore(MemoryStore):
    """Calls `meanwhile` once, after the next read and before whoever reads has the value."""

    meanwhile: Callable[[], None] | None = None

    def get(self, key: bytes) -> bytes | None:
        value = super().get(key)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return value


@pytest.mark.parametrize("written", [1, 60])
@pytest.mark.parametrize("after", [codec.encode({"n": 1}), None])
def test_a_thread_that_was_reading_while_a_block_came_does_not_hide_what_the_block_wrote(
    after: bytes | None, written: int
) -> None:
    """`written`: rows of the block; sixty are more than a generation of those used lately has room for."""
    store, key = InterruptedStore(), b"notes/n7"
    store.write(dict(grown(200)[0].scan(b"")))
    state = StoredState(store, bytes_max=20_000)
    others: Writes = {f"notes/n{number}".encode(): codec.encode({"n": 2}) for number in range(100, 99 + written)}
    writes: Writes = {key: after, **others}

    def come() -> None:
        node = state.preview(writes)
        append(store, 1, writes)
        state.apply(writes, node)

    store.meanwhile = come
    assert state.get(key) == codec.encode({"n": 0}), "it began to read before the block"
    assert state.get(key) == after
    assert {key: state.get(key) for key in writes} == writes


def test_what_is_asked_for_again_stays_at_hand_and_memory_is_bounded() -> None:
    cache = RowCache(100_000)
    cache.put(b"often", b"x")
    for number in range(10_000):
        cache.put(f"seldom {number}".encode(), bytes(100))
        assert cache.get(b"often") == b"x"
    held = sum(cache.get(f"seldom {number}".encode()) is not None for number in range(10_000))
    assert 100 < held < 400
    assert 50_000 <= cache.held_bytes <= 101_000
    assert cache.get(b"seldom 9999") == bytes(100)
    cache.put(b"often", b"y")
    assert cache.get(b"often") == b"y"
