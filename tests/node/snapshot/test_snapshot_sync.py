"""Taking a snapshot from departments of which some lie, stall or vanish."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from chain import codec
from chain.errors import KehuError
from chain.ledger import Ledger
from chain.snapshot import PIECE_ENTRIES_MAX, Offer
from chain.store import MemoryStore
from contracts.registry import contract_table
from node.folder.config import Home, Snapshots
from node.peers.transport import PEER_TIMEOUT
from node.snapshot.incoming import install, whole_folder
from node.snapshot.offers import KEPT_MAX, OFFERS_KIND, PIECE_KIND, SnapshotOffers
from node.snapshot.past import PAST_KIND, PastBlocks, answer_past
from node.snapshot.sync import SnapshotSync
from node.storage.leveldb import LevelStore
from tests.node.cluster import DEPARTMENTS, eventually
from tests.node.node_kit import GENESIS, Chain, certify

HEIGHT = 70
Answer = Callable[[str, bytes], Awaitable[bytes]]


class Network:
    """`chain` is what everybody has; `liars` answer in their own way, or let `honest` answer."""

    def __init__(self, folder: Path) -> None:
        (folder / "others").mkdir()
        self.chain = Chain(folder / "others")
        for _ in range(HEIGHT):
            self.chain.append()
        self.offers = SnapshotOffers(self.chain.ledger, self.chain.blocks, 10, lambda: 0.0)
        self.home = Home(folder / "own")
        self.home.path.mkdir()
        self.ledger, self.blocks = Ledger.open(GENESIS, contract_table(), MemoryStore())
        self.liars: dict[str, Answer] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.failures: list[BaseException] = []
        self.whole = 0

    async def honest(self, kind: str, payload: bytes) -> bytes:
        if kind == OFFERS_KIND:
            return await self.offers.answer_offers("sales", payload)
        if kind == PIECE_KIND:
            return await self.offers.answer_piece("sales", payload)
        assert kind == PAST_KIND
        return answer_past(self.chain.blocks, self.chain.ledger.height, payload)

    async def request(self, department: str, kind: str, payload: bytes, _timeout_s: float) -> bytes:
        self.asked[department, kind] += 1
        return await self.liars.get(department, self.honest)(kind, payload)

    def sync(self) -> SnapshotSync:
        return SnapshotSync(
            self.home, "sales", self.ledger, self.blocks, Snapshots(behind_blocks=20), self.request, self._note,
            self.failures.append,
        )  # fmt: skip

    def _note(self) -> None:
        self.whole += 1

    def installed(self) -> Ledger:
        assert install(self.home)
        assert not install(self.home)
        store = LevelStore(self.home.chain)
        try:
            return Ledger.open(GENESIS, contract_table(), store)[0]
        finally:
            store.close()


async def run(network: Network) -> SnapshotSync:
    sync = network.sync()
    assert sync.takes_over(HEIGHT)
    await eventually(lambda: not sync.is_running)
    assert not network.failures
    return sync


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    # The office of these tests is small: with such pieces its state still has several.
    monkeypatch.setattr("chain.snapshot.PIECE_ENTRIES_MAX", 20)
    assert PIECE_ENTRIES_MAX > 20
    return Network(tmp_path)


def is_like(ledger: Ledger, chain: Chain) -> bool:
    own = (ledger.height, ledger.head.block_id, ledger.state.root, ledger.recent.pairs())
    other = chain.ledger
    return own == (other.height, other.head.block_id, other.state.root, other.recent.pairs())


async def test_a_snapshot_gives_state_head_and_replay_protection(network: Network) -> None:
    sync = await run(network)
    assert network.whole == 1
    assert sync.takes_over(HEIGHT)  # until the folder is opened anew, nothing else may move this node's chain
    assert is_like(network.installed(), network.chain)
    assert all(network.asked[name, PIECE_KIND] for name in DEPARTMENTS if name != "sales")


def wrong_pieces(network: Network) -> Answer:
    async def answer(kind: str, payload: bytes) -> bytes:
        real = await network.honest(kind, payload)
        return codec.encode(["values", []]) if kind == PIECE_KIND else real

    return answer


def endless(network: Network) -> Answer:
    async def answer(kind: str, payload: bytes) -> bytes:
        real = await network.honest(kind, payload)
        return codec.encode(["parts", [bytes([n + 1]) * 32 for n in range(16)]]) if kind == PIECE_KIND else real

    return answer


def stalling_at_the_end(network: Network) -> Answer:
    answered = Counter[str]()

    async def answer(kind: str, payload: bytes) -> bytes:
        answered[kind] += 1
        if kind == PAST_KIND or (kind == PIECE_KIND and answered[kind] > 2):
            raise KehuError(PEER_TIMEOUT, department="x", kind=kind)
        return await network.honest(kind, payload)

    return answer


def boasting(network: Network) -> Answer:
    async def answer(kind: str, payload: bytes) -> bytes:
        real = await network.honest(kind, payload)
        if kind != OFFERS_KIND:
            return real
        offer = Offer.from_bytes(codec.decode(real, 1 << 24)[0])
        row = codec.decode(offer.header_bytes, 1024)
        row[2] = 10**9
        return codec.encode_flat([Offer(codec.encode_flat(row), offer.certificate, ()).to_bytes()])

    return answer


def wrong_blocks(network: Network) -> Answer:
    async def answer(kind: str, payload: bytes) -> bytes:
        if kind == PAST_KIND:
            payload = codec.encode_flat([40, 0])
        return await network.honest(kind, payload)

    return answer


def garbage(_network: Network) -> Answer:
    async def answer(_kind: str, _payload: bytes) -> bytes:
        return b"\xc1" * 40

    return answer


LIES = (wrong_pieces, endless, stalling_at_the_end, boasting, wrong_blocks, garbage)


@pytest.mark.parametrize("lie", LIES)
async def test_one_honest_department_is_enough(network: Network, lie: Callable[[Network], Answer]) -> None:
    """More liars than the network tolerates: they can delay, not deceive."""
    network.liars = {"administration": lie(network), "after_sales": lie(network)}
    sync = await run(network)
    assert network.whole == 1
    assert is_like(network.installed(), network.chain)
    # A liar of pieces is dropped at its first lie.
    if lie in (wrong_pieces, endless):
        assert sync.dropped["administration"] == 1
        assert network.asked["administration", PIECE_KIND] == 1


def alone_and_higher(network: Network, times: int) -> Answer:
    """Offers a certified block that the others don't, and then gives nothing of it."""
    executed = network.chain.build()
    header, links = executed.block.header.to_bytes(), network.chain.blocks.links()
    offer = Offer(header, certify(executed.block), links).to_bytes()

    async def answer(kind: str, _payload: bytes) -> bytes:
        if kind == OFFERS_KIND:
            return codec.encode_flat([offer] * times)
        raise KehuError(PEER_TIMEOUT, department="x", kind=kind)

    return answer


def one_piece_a_round(network: Network) -> Answer:
    """A bad link: of three pieces that are asked for, two do not come, so each round ends behind the first one."""
    asked = Counter[str]()

    async def answer(kind: str, payload: bytes) -> bytes:
        asked[kind] += 1
        if kind == PIECE_KIND and asked[kind] % 3 != 1:
            raise KehuError(PEER_TIMEOUT, department="x", kind=kind)
        return await network.honest(kind, payload)

    return answer


async def test_the_one_giver_of_a_block_has_rounds_enough_though_a_higher_one_is_offered_and_never_given(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken was thrown away at every third round, and with more than three to take it never ended."""
    monkeypatch.setattr("node.snapshot.sync.REST_S", 0.0)
    network.liars = {
        "administration": one_piece_a_round(network),
        "after_sales": nobody_home,
        "finance": alone_and_higher(network, 1),
    }
    sync = network.sync()
    for _ in range(100):
        if network.whole:
            break
        assert sync.takes_over(HEIGHT)
        await eventually(lambda: not sync.is_running)
    assert network.whole == 1
    assert is_like(network.installed(), network.chain)


async def nobody_home(kind: str, _payload: bytes) -> bytes:
    raise KehuError(PEER_TIMEOUT, department="x", kind=kind)


async def test_who_offers_the_same_several_times_is_one_giver(network: Network) -> None:
    network.liars = {"finance": alone_and_higher(network, KEPT_MAX)}
    sync = await run(network)
    assert network.whole == 1
    assert is_like(network.installed(), network.chain)
    assert not sync.dropped


async def test_who_offers_a_higher_block_than_all_others_and_gives_nothing_is_chosen_once(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nobody offers what another one does, as after a start of all nodes."""
    monkeypatch.setattr("node.snapshot.sync.REST_S", 0.0)
    network.liars = {"administration": garbage(network), "finance": alone_and_higher(network, 1)}
    sync = await run(network)
    assert (network.whole, sync.status()["height"], sync.dropped["finance"]) == (0, HEIGHT + 1, 1)
    assert sync.takes_over(HEIGHT)
    await eventually(lambda: not sync.is_running)
    assert network.whole == 1
    assert is_like(network.installed(), network.chain)


async def test_when_everybody_lies_nothing_is_taken_and_the_node_goes_on_by_blocks(network: Network) -> None:
    network.liars = {name: wrong_pieces(network) for name in DEPARTMENTS}
    sync = await run(network)
    assert network.whole == 0
    assert not whole_folder(network.home).exists()
    assert not sync.takes_over(HEIGHT)


async def test_a_node_that_is_not_far_behind_takes_no_snapshot(network: Network) -> None:
    assert not network.sync().takes_over(19)


async def test_a_stopped_node_goes_on_where_it_was(network: Network) -> None:
    left = 4

    async def few(kind: str, payload: bytes) -> bytes:
        nonlocal left
        left -= kind == PIECE_KIND
        if left < 0:
            await asyncio.Event().wait()
        return await network.honest(kind, payload)

    network.liars = dict.fromkeys(DEPARTMENTS, few)
    first = network.sync()
    assert first.takes_over(HEIGHT)
    await eventually(lambda: left < 0 and first.status()["phase"] == "state" and len(network.asked) >= 6)
    await first.stop()
    before = sum(count for (_, kind), count in network.asked.items() if kind == PIECE_KIND)
    network.liars, network.asked = {}, Counter()
    await run(network)
    again = sum(count for (_, kind), count in network.asked.items() if kind == PIECE_KIND)
    network.asked = Counter()
    assert is_like(network.installed(), network.chain)
    whole = Network(network.home.path)
    await run(whole)
    every = sum(count for (_, kind), count in whole.asked.items() if kind == PIECE_KIND)
    assert before > 0
    assert again < every


async def test_a_large_block_comes_in_slices(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.snapshot.past.ANSWER_BYTES_MAX", 100)
    await run(network)
    assert is_like(network.installed(), network.chain)


async def test_whoever_gives_an_old_block_byte_by_byte_is_asked_once(network: Network) -> None:
    """Each byte was a question more, for as long as a snapshot may take, and nothing else was asked meanwhile."""
    asked = 0

    async def first_byte(_kind: str, _payload: bytes, _timeout_s: float) -> bytes:
        nonlocal asked
        asked += 1
        assert asked == 1
        return codec.encode_flat([[], 1 << 20, b"\x92"])

    past = PastBlocks.below(network.chain.blocks.block(HEIGHT))
    with pytest.raises(KehuError, match=r"codec\."):
        await past.fetch(first_byte, 1)
