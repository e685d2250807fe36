"""How the validators came about, as an offer shows it: whoever takes a snapshot offers it to newcomers afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chain import codec
from chain.batch import Batch
from chain.block import Header, block_id
from chain.blocks import BlockStore
from chain.certificate import Certificate, sign_vote
from chain.errors import KehuError
from chain.ledger import Ledger
from chain.light import prove_state
from chain.protocol import NEWEST
from chain.snapshot import Offer, ScheduleLink
from chain.state import State, state_key
from chain.store import MemoryStore
from chain.transaction import Call
from chain.validators import ValidatorSet
from contracts.deciding.subjects import POSSESSION_PURPOSE, possession_payload
from contracts.registry import contract_table
from node.folder.config import Home, Snapshots
from node.snapshot.incoming import install
from node.snapshot.offers import OFFERS_KIND, PIECE_KIND, SHORT_OFFERS, SnapshotOffers
from node.snapshot.past import answer_past
from node.snapshot.sync import SnapshotSync
from node.storage.leveldb import LevelStore
from tests.node.cluster import DEPARTMENTS, eventually
from tests.node.node_kit import CHAIN, GENESIS, Chain, batch_of, certify, key_of, transact

HEIGHT, OWN_HEIGHT = 60, 20


def own_key_change(chain: Chain) -> Batch:
    """The sales node's, by its old key."""
    new = key_of("node sales 2")
    payload = possession_payload("sales", new.public.hex())
    args = {"proposal": "p1", "key": new.public.hex(), "possession": new.sign(POSSESSION_PURPOSE, CHAIN, payload)}
    call = Call("governance.rotate", args)
    return batch_of(transact(call, sender="node sales", expires=chain.ledger.height + 9), department="sales")


class Network:
    """All have `chain`, in which a key was changed early; `ledger` and `blocks` know that, and not much more."""

    def __init__(self, folder: Path) -> None:
        (folder / "others").mkdir()
        self.chain = Chain(folder / "others")
        self.ledger, self.blocks = Ledger.open(GENESIS, contract_table(), MemoryStore())
        self._append(own_key_change(self.chain))
        while self.chain.ledger.height < HEIGHT:
            self._append(batch_of(transact(sender="boss", expires=self.chain.ledger.height + 9)))
        self.offers = SnapshotOffers(self.chain.ledger, self.chain.blocks, 10, lambda: 0.0)
        self.home = Home(folder / "own")
        self.home.path.mkdir()

    def _append(self, batch: Batch) -> None:
        executed = self.chain.build(batch)
        epoch = self.chain.ledger.validators(executed.block.header.height).epoch
        members = [name for name in DEPARTMENTS if name != "sales"]
        certificate = certify(executed.block, members=members, epoch=epoch)
        for blocks, ledger in ((self.chain.blocks, self.chain.ledger), (self.blocks, self.ledger)):
            if ledger is self.chain.ledger or executed.block.header.height <= OWN_HEIGHT:
                blocks.append(executed, certificate)
                ledger.advance(executed, certificate)

    async def take(self, links: tuple[ScheduleLink, ...]) -> BlockStore:
        """The chain after a snapshot, of whose block the first department says that these are the links."""

        async def request(department: str, kind: str, payload: bytes, _timeout_s: float) -> bytes:
            if kind == PIECE_KIND:
                return await self.offers.answer_piece(department, payload)
            if kind != OFFERS_KIND:
                return answer_past(self.chain.blocks, self.chain.ledger.height, payload)
            raw = await self.offers.answer_offers(department, payload)
            if department != DEPARTMENTS[0]:
                return raw
            offer = Offer.from_bytes(codec.decode(raw, 1 << 24)[0])
            return codec.encode_flat([replace(offer, links=links).to_bytes()])

        settings, failures = Snapshots(behind_blocks=20), list[BaseException]()
        sync = SnapshotSync(
            self.home, "finance", self.ledger, self.blocks, settings, request, lambda: None, failures.append
        )
        assert sync.takes_over(HEIGHT)
        await eventually(lambda: not sync.is_running)
        assert not failures
        assert install(self.home)
        return BlockStore(LevelStore(self.home.chain))


@pytest.mark.parametrize("is_other", [False, True])
async def test_what_a_faulty_department_says_of_links_that_the_node_knows_goes_into_no_offer_of_its_own(
    tmp_path: Path, *, is_other: bool
) -> None:
    """Nobody verifies these when the snapshot is taken; a newcomer, who begins at genesis, needs all of them."""
    network = Network(tmp_path)
    (link,) = network.chain.blocks.links()
    taken = await network.take((replace(link, schedule=b"\x80"),) if is_other else ())
    head = network.chain.ledger.head
    assert head.certificate is not None
    offer = Offer(head.header.to_bytes(), head.certificate, taken.links())
    genesis = Ledger.at_genesis(GENESIS, contract_table())[0].state.get(state_key("validators", "schedule"))
    assert genesis is not None
    assert offer.verify(genesis, 0, CHAIN).height == HEIGHT


def changed(count: int) -> tuple[Offer, bytes]:
    """An offer behind so many changes of six departments' keys, and the schedule of genesis. Signed by the first set
    throughout: what a department's key is makes no difference to sizes."""
    names = ("administration", "after_sales", "finance", "process", "sales", "technical")
    members = [[name, key_of(f"node {name}").public] for name in names]
    sets: list[codec.Value] = [[0, [0, members]]]
    genesis, links = codec.encode({"sets": sets}), list[ScheduleLink]()
    for number in range(1, count + 1):
        sets = [*sets, [10 * number, [0, members]]]
        raw = codec.encode({"sets": sets})
        state = State({state_key("validators", "schedule"): raw})
        header = header_at(10 * number - 8, state.root, ValidatorSet.from_value([0, members]).digest)
        id_ = block_id(header.to_bytes())
        votes = [
            sign_vote(key_of(f"node {name}"), CHAIN, "commit", 0, header.height, 0, id_, name) for name in names[:4]
        ]
        proof = prove_state(state, header, Certificate.of(votes), "validators", "schedule")
        links.append(ScheduleLink(proof, raw))
    newest = links[-1].proof
    return Offer(newest.header_bytes, newest.certificate, tuple(links)), genesis


def header_at(height: int, state_root: bytes, validators: bytes) -> Header:
    zeros = bytes(32)
    return Header(NEWEST, CHAIN, height, zeros, height, "sales", zeros, zeros, state_root, validators, zeros)


def test_after_hundreds_of_changes_of_members_a_snapshot_can_still_be_offered() -> None:
    """With whole schedules the offer would be larger than one may be: they grow with the square of their number."""
    offer, genesis = changed(200)
    taken = Offer.from_bytes(offer.to_bytes())
    assert taken == offer
    assert taken.verify(genesis, 0, CHAIN).height == offer.header.height
    with pytest.raises(KehuError, match=r"codec\.too_large"):
        Offer.from_bytes(offer.to_bytes(is_short=False))


def test_an_offer_of_an_earlier_release_is_read_and_one_for_it_has_whole_schedules() -> None:
    offer, genesis = changed(20)
    _, _, links = codec.decode(offer.to_bytes(is_short=False), 1 << 22)
    assert [schedule for _, schedule in links] == [link.schedule for link in offer.links]
    assert Offer.from_bytes(offer.to_bytes(is_short=False)).verify(genesis, 0, CHAIN).height == offer.header.height


@pytest.mark.parametrize("added", [[], [[1, [0, []]]], b"", [b"x"]])
def test_a_link_that_adds_something_else_proves_nothing(added: codec.Value) -> None:
    offer, genesis = changed(3)
    header, certificate, links = codec.decode(offer.to_bytes(), 1 << 22)
    links[1][1] = added
    with pytest.raises(KehuError):
        Offer.from_bytes(codec.encode([header, certificate, links])).verify(genesis, 0, CHAIN)


def test_links_that_would_come_to_more_than_they_may_are_refused() -> None:
    """With a few bytes each they would all be as large as the first."""
    offer, _ = changed(2)
    header, certificate, links = codec.decode(offer.to_bytes(), 1 << 22)
    proof, large = links[0][0], codec.encode({"sets": [[0, "x" * 100] for _ in range(20_000)]})
    raw = codec.encode([header, certificate, [[proof, large], *([proof, []] for _ in range(900))]])
    with pytest.raises(KehuError, match=r"codec\.too_large"):
        Offer.from_bytes(raw)


@pytest.mark.parametrize("first", [[], [[0, [0, []]]]])
def test_the_first_link_has_a_whole_schedule(first: codec.Value) -> None:
    offer, _ = changed(1)
    header, certificate, links = codec.decode(offer.to_bytes(), 1 << 22)
    with pytest.raises(KehuError, match=r"codec\.shape"):
        Offer.from_bytes(codec.encode([header, certificate, [[links[0][0], first]]]))


async def test_who_asks_as_earlier_releases_do_is_told_whole_schedules(tmp_path: Path) -> None:
    network = Network(tmp_path)
    for request, is_short in ((SHORT_OFFERS, True), (codec.encode([]), False)):
        told = codec.decode(await network.offers.answer_offers("sales", request), 1 << 24)
        assert told == [Offer.from_bytes(row).to_bytes(is_short=is_short) for row in told]
