"""How the validators came about, as an offer shows it: whoever takes a snapshot offers it to newcomers afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chain import codec
from chain.batch import Batch
from chain.blocks import BlockStore
from chain.ledger import Ledger
from chain.snapshot import Offer, ScheduleLink
from chain.state import state_key
from chain.store import MemoryStore
from chain.transaction import Call
from contracts.deciding.subjects import POSSESSION_PURPOSE, possession_payload
from contracts.registry import contract_table
from node.folder.config import Home, Snapshots
from node.snapshot.incoming import install
from node.snapshot.offers import OFFERS_KIND, PIECE_KIND, SnapshotOffers
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
