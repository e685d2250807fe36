"""How a node follows the departments: links to new ones, none to those that went, its own key, its own standing.

a member            votes; sends `governance.advance` while an accepted change waits and nobody has work
not (yet, any more) observes: asks its peers for blocks, takes in no transactions, says nothing binding
key due             the folder is opened again, with the key by which the next height knows the department
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from chain import codec
from chain.blocks import BlockStore, ExecutedBlock
from chain.errors import KehuError, define
from chain.ledger import Ledger
from chain.state import View
from chain.transaction import Call
from chain.validators import ValidatorSet
from contracts.departments.activation import PROPOSALS, governance
from contracts.departments.changes import effect_of, present_protocol
from contracts.departments.governance import OPEN, counted_approvals
from node.folder.config import Home
from node.keys.files import read_public
from node.members.farewell import MEMBERSHIP_REMOVED, Farewells, read_newest, removal
from node.members.joining import Member, read_members, remember_members
from node.peers.network import PeerNetwork
from node.replica.catch_up import REQUEST_KIND, REQUEST_TIMEOUT_S, CatchUp, decode_response

PAUSE_S: Final = 0.5
LONELY_ROUNDS: Final = 10
"""After so many pauses without a quorum, or without a block that others speak of, a node asks whether it was removed,
and again as often."""
_ONE: Final = 1

NODE_NOT_MEMBER = define(
    "node.not_member",
    "the node's department does not take part in the agreement: it is not active yet, or was removed",
    "wait until its membership is active, or go to another department's node",
)

log = logging.getLogger("kehu.membership")


class Membership:
    """`commit_own` sends calls under the node's key; `fail` ends the node; a snapshot is worth it for who is
    `far_blocks` behind; `claimed` is the highest height that any other department speaks of."""

    def __init__(
        self,
        home: Home,
        department: str,
        key: bytes,
        ledger: Ledger,
        blocks: BlockStore,
        peers: PeerNetwork,
        commit_own: Callable[[Sequence[Call]], Awaitable[object]],
        far_blocks: int,
        claimed: Callable[[], int],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._home, self._department, self._key, self._ledger = home, department, key, ledger
        self._peers, self._commit_own, self._far_blocks, self._fail = peers, commit_own, far_blocks, fail
        self._claimed, self._last_height = claimed, ledger.height
        self._lonely_rounds = self._outside_rounds = 0
        peers.identity.farewell, peers.identity.on_farewell = Farewells(ledger, blocks).tell, self._on_farewell
        self._known = self._standing()
        self.reopen: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _standing(self) -> tuple[bytes, bytes]:
        ledger = self._ledger
        return ledger.validators(ledger.height + 1).digest, ledger.newest_validators()[1].digest

    @property
    def is_member(self) -> bool:
        """Whether the next height is this node's to vote on."""
        return self._ledger.validators(self._ledger.height + 1).key_of(self._department) == self._key

    def require_member(self) -> None:
        """Errors: node.not_member."""
        if not self.is_member:
            raise KehuError(NODE_NOT_MEMBER, department=self._department, height=self._ledger.height)

    async def on_block(self, executed: ExecutedBlock) -> None:
        """Follows an appended block, in order with the agreement."""
        standing = self._standing()
        is_moved = any(key.startswith(b"departments/") for key in executed.writes)
        if standing == self._known and not is_moved:
            return
        was_member, self._known = self._known[0] != standing[0], standing
        self._peers.refresh()
        members = self._ledger.validators(self._ledger.height + 1)
        log.info("from height %d on: %s", self._ledger.height + 1, ", ".join(members.departments))
        if was_member and not self.is_member:
            self._on_other_key(members.key_of(self._department))

    def _on_other_key(self, expected: bytes | None) -> None:
        if expected is None:
            log.warning("%s does not take part from height %d on", self._department, self._ledger.height + 1)
        elif self._is_next(expected):
            if not self.reopen.done():
                self.reopen.set_result(None)
        else:
            log.error("the network knows %s by a key that is not in this folder", self._department)

    async def run(self, catch_up: CatchUp) -> None:
        while True:
            await asyncio.sleep(PAUSE_S)
            if not self.is_member:
                self._end_if_removed(await self._follow(catch_up))
            elif self._is_change_due():
                await self._advance()
            await self._ask_after_itself(catch_up)

    def _end_if_removed(self, is_followed: bool) -> None:
        """Its own chain says so, also after a restart, and nobody has a later block for it. Who is new has no row yet;
        who was removed and taken in again is given the blocks that say so."""
        present, newest = self._ledger.validators(self._ledger.height + 1), self._ledger.newest_validators()[1]
        row = View(self._ledger.state.get).get("departments", self._department)
        is_in_none = present.key_of(self._department) is None is newest.key_of(self._department)
        self._outside_rounds = 0 if is_followed or row is None or not is_in_none else self._outside_rounds + 1
        if self._outside_rounds >= LONELY_ROUNDS:
            height = self._ledger.height + 1
            self._fail(KehuError(MEMBERSHIP_REMOVED, department=self._department, height=height, epoch=present.epoch))

    async def _ask_after_itself(self, catch_up: CatchUp) -> None:
        """A member without a quorum for a while may have been removed: the others no longer dial, so it does. Or the
        others' keys have changed: then one department that it still knows has the blocks that say so. A link does not
        say that the other is there for it: who stays where it is while anybody speaks of a later height asks too."""
        height = self._ledger.height
        is_left, self._last_height = height == self._last_height and self._claimed() > height, height
        is_alone = len(self._peers.connected) + 1 < self._ledger.validators(height + 1).quorum
        self._lonely_rounds = self._lonely_rounds + 1 if self.is_member and (is_alone or is_left) else 0
        if self._lonely_rounds >= LONELY_ROUNDS:
            self._lonely_rounds = 0
            await self._follow(catch_up)
            await self._peers.knock()

    def _on_farewell(self, proofs: Sequence[bytes]) -> None:
        told = read_newest(self._ledger.genesis, proofs, self._ledger.newest_validators()[1].epoch)
        if told is None or self.reopen.done():
            return
        removed, key = removal(self._department, told), told[1].key_of(self._department)
        if removed is not None and self.is_member:
            self._fail(removed)
        elif key != self._key and self._is_next(key):
            log.warning("the departments agreed on the key that lies ready while this node was away: it takes it")
            remember_members(self._home, self._reached(told[1]))
            self.reopen.set_result(None)

    def _is_next(self, key: bytes | None) -> bool:
        return key is not None and self._home.next_key.exists() and read_public(self._home.next_key).public == key

    def _reached(self, newest: ValidatorSet) -> dict[str, Member]:
        """The members of a proven set with their addresses, as far as this node knows these."""
        view, before = View(self._ledger.state.get), read_members(self._home)
        found = {}
        for member in newest.members:
            row = view.get("departments", member.department) or {}
            known = before.get(member.department)
            address = known.address if known is not None else row.get("address")
            if address is not None:
                found[member.department] = Member(member.key, address)
        return found

    async def _follow(self, catch_up: CatchUp) -> bool:
        """Members don't hear strangers, so who is none asks by itself: whether some are far ahead (which a snapshot may
        make good), else whether they have the next block. Whether anybody has."""
        if catch_up.is_running:
            return True
        height = self._ledger.height
        holders = await self._holders(self._peers.connected, height + 1)
        if holders:  # all of them are asked: the first may only say that it has something
            is_far = await self._holders(holders, height + self._far_blocks)
            catch_up.start(height + (self._far_blocks if is_far else 1), holders)
        return bool(holders)

    async def _holders(self, departments: Sequence[str], height: int) -> tuple[str, ...]:
        answers = await asyncio.gather(*(self._has_block(department, height) for department in departments))
        return tuple(department for department, has in zip(departments, answers, strict=True) if has)

    async def _has_block(self, department: str, height: int) -> bool:
        question = codec.encode_flat([height, _ONE])
        try:
            return bool(
                decode_response(await self._peers.request(department, REQUEST_KIND, question, REQUEST_TIMEOUT_S))
            )
        except (KehuError, OSError, TimeoutError):
            return False

    def _is_change_due(self) -> bool:
        return governance(View(self._ledger.state.get))["pending"] is not None

    async def _advance(self) -> None:
        try:
            await self._commit_own([Call("governance.advance", {})])
        except KehuError as error:
            log.info("no block for the change that waits: %s", error.code)


def describe(ledger: Ledger) -> dict[str, Any]:
    """What `GET /v1/membership` says: public facts of the committed state."""
    view, height = View(ledger.state.get), ledger.height
    present, (activation, newest) = ledger.validators(height + 1), ledger.newest_validators()
    current = governance(view)
    name = current["open"] or current["pending"]
    changes = []
    for epoch in range(1, newest.epoch + 1):
        row = view.get("memberships", str(epoch)) or {}
        changes.append({"epoch": epoch, **row, "transaction": bytes(row.get("transaction", b"")).hex()})
    return {
        "height": height,
        "epoch": present.epoch,
        "n": present.n,
        "f": present.f,
        "quorum": present.quorum,
        "members": [_row(view, member.department, member.key) for member in present.members],
        "next": None if newest.epoch == present.epoch else {
            "epoch": newest.epoch,
            "activation_height": activation,
            "members": [_row(view, member.department, member.key) for member in newest.members],
        },
        "proposal": None if name is None else {"proposal": name, **plain(_proposal(view, name))},
        "changes": changes,
    }  # fmt: skip


def _proposal(view: View, name: str) -> dict[str, Any]:
    """Its row; of an open one, with the approvals that count now."""
    row = view.get(PROPOSALS, name) or {}
    if row["status"] != OPEN:
        return row
    try:
        effect = effect_of(view, row["change"])
    except KehuError:  # a change of the policy has ruled it out: it can only be withdrawn
        return row
    return {**row, "approvals": counted_approvals(row, effect, present_protocol(view))}


def _row(view: View, department: str, key: bytes) -> dict[str, Any]:
    row = view.get("departments", department) or {}
    address = row.get("address") or address_to_be(view, department)
    return {"department": department, "name": row.get("name"), "key": key.hex(), "address": address}


def address_to_be(view: View, department: str) -> str | None:
    """Where the department that an accepted change brings in is reached."""
    pending = governance(view)["pending"]
    change = {} if pending is None else (view.get(PROPOSALS, pending) or {})["change"]
    is_its = change.get("by", change.get("department")) == department
    return change.get("address") if is_its else None


def plain(value: Any) -> Any:
    """Bytes as hex, all the way down."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
