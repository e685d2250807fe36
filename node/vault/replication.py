"""Holding a transaction's values in enough places before the transaction is proposed: the author's side.

The author's node stages the values while it sends to every other entitled department those that it may hold. It goes
on once each value is durable here and at as many departments as the policy's `vault_holders_min` says (its own counts
if it is entitled, and all that are entitled are enough); the rest is sent in the background.

If too few answer in time the transaction is refused and the author's copy destroyed. What others have staged is
destroyed there when the transaction expires; it is not called back, because a call back could overtake a second try.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from chain import codec
from chain.errors import KehuError, define
from chain.transaction import Transaction
from node.gathering import Gathering
from node.vault.commitments import digests_of
from node.vault.duty import Duties
from node.vault.planning import Plan
from node.vault.rounds import StagingRounds
from node.vault.shares import (
    OK,
    REQUEST_BYTES_MAX,
    STAGE,
    Parcel,
    Peers,
    Share,
    checked_share,
    chunks_of,
    parcels_for,
    staging_of,
)
from node.vault.store import Vault
from node.vault.values import VaultValue

log = logging.getLogger("kehu.vault")

VAULT_NOT_ENOUGH_HOLDERS = define(
    "vault.not_enough_holders",
    "too few of the departments that may hold the transaction's values confirmed them in time; it was not admitted",
    "send it again, which is safe, when more departments' nodes are up (`kehu network status`); "
    "the policy's vault_holders_min says how many it takes",
)
VAULT_VALUE_MISSING = define(
    "vault.value_missing",
    "the transaction commits to a value that did not come with it; nobody could ever read it",
    "send each value, with its salt, in the same request as the transaction; the identifier of a number is the node's "
    "to bring for a few minutes, so have the number asked about anew",
)


@dataclass(frozen=True, slots=True)
class ReplicationTiming:
    deadline_s: float = 10.0
    retry_first_s: float = 0.1
    retry_max_s: float = 1.0


class _Tally:
    """Which departments have confirmed which transactions; `complete` is set when nothing is lacking."""

    def __init__(self, shares: Sequence[Share], own: str, minimum: int) -> None:
        self.complete = asyncio.Event()
        self._minimum = minimum
        self._holders = {share.id: set(share.holders) for share in shares}
        self._confirmed: dict[bytes, set[str]] = {share.id: {own} for share in shares}
        self._open = {share.id for share in shares}
        self._look_at(list(self._open))

    def confirm(self, department: str, transaction_ids: Iterable[bytes]) -> None:
        looked_at = list(transaction_ids)
        for transaction_id in looked_at:
            self._confirmed[transaction_id].add(department)
        self._look_at(looked_at)

    def _look_at(self, transaction_ids: Iterable[bytes]) -> None:
        self._open.difference_update([one for one in transaction_ids if one in self._open and not self.lacking(one)])
        if not self._open:
            self.complete.set()

    def lacking(self, transaction_id: bytes) -> tuple[str, ...]:
        """Entitled departments that have not confirmed, as long as one value has too few; else none."""
        confirmed = self._confirmed[transaction_id]
        for entitled in sorted(self._holders[transaction_id]):
            if len(confirmed.intersection(entitled)) < min(self._minimum, len(entitled)):
                return tuple(department for department in entitled if department not in confirmed)
        return ()


Pair: TypeAlias = tuple[Transaction, Sequence[VaultValue]]


class Replication:
    def __init__(
        self, duties: Duties, vault: Vault, rounds: StagingRounds, peers: Peers, timing: ReplicationTiming
    ) -> None:
        self._duties, self._vault, self._rounds, self._peers, self._timing = duties, vault, rounds, peers, timing
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: Gathering[Pair, KehuError | None] = Gathering()
        self._unable: set[str] = set()
        """Departments whose node could not be asked when it was last tried."""

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._waiting.close()

    async def safeguard(self, pairs: Sequence[Pair]) -> list[KehuError | None]:
        """Makes each transaction's values durable here and where the policy wants them; one answer per pair. What is
        asked for in the same turn of the event loop goes together. Where there is an error, this node keeps nothing of
        the transaction.

        Errors: vault.not_enough_holders, vault.value_missing, vault.other_value, vault.too_many_values,
        vault.staged_full, and what the contract says that refuses a transaction whose record is not there.
        """
        needed = [pair for pair in pairs if pair[1] or digests_of(pair[0])]
        if not needed:
            return [None] * len(pairs)
        if not self._waiting:
            asyncio.get_running_loop().call_soon(lambda: self._spawn(self._waiting.answer(self._replicate)))
        answers = await self._waiting.ask(needed)
        errors = {transaction.id: error for (transaction, _), error in zip(needed, answers, strict=True)}
        return [errors.get(transaction.id) for transaction, _ in pairs]

    async def _replicate(self, pairs: Sequence[Pair]) -> list[KehuError | None]:
        plans = await self._duties.plan([transaction for transaction, _ in pairs], self._duties.department)
        errors: dict[bytes, KehuError] = {}
        shares: dict[bytes, Share] = {}
        for (transaction, values), plan in zip(pairs, plans, strict=True):
            try:
                shares[transaction.id] = self._share(plan, values)
            except KehuError as error:
                errors[transaction.id] = error
        errors |= await self._hold([share for share in shares.values() if share.values])
        return [errors.get(transaction.id) for transaction, _ in pairs]

    def _share(self, plan: Plan | KehuError, values: Sequence[VaultValue]) -> Share:
        if isinstance(plan, KehuError):
            raise plan
        share = checked_share(plan, values, self._duties.chain_id)
        for name, digest in plan.required:
            if (name, digest) not in share.wanted:
                raise KehuError(VAULT_VALUE_MISSING, **name._asdict(), digest=digest)
        return share

    async def _hold(self, shares: Sequence[Share]) -> dict[bytes, KehuError]:
        """Stages here and elsewhere; the errors by transaction."""
        if not shares:
            return {}
        staged_before = self._vault.staged_among([share.id for share in shares])
        spreading = asyncio.ensure_future(self._spread(shares))
        try:
            staged = await self._rounds.stage([staging_of(share) for share in shares])
        except BaseException:
            spreading.cancel()
            raise
        errors = {share.id: error for share, error in zip(shares, staged, strict=True) if error is not None}
        if len(errors) == len(shares):
            spreading.cancel()
        else:
            errors = await spreading | errors
        if errors:
            await asyncio.to_thread(self._vault.discard, *(key for key in errors if key not in staged_before))
        return errors

    async def _spread(self, shares: Sequence[Share]) -> dict[bytes, KehuError]:
        """Sends to all who may hold something and waits until enough have it; what lacks then, by transaction."""
        own, required = self._duties.department, self._duties.holders_min()
        tally = _Tally(shares, own, required)
        everybody = {name for entitled in {one for share in shares for one in share.holders} for name in entitled}
        tasks = [self._spawn(self._send(department, shares, tally)) for department in sorted(everybody - {own})]
        try:
            async with asyncio.timeout(self._timing.deadline_s):
                await tally.complete.wait()
        except (TimeoutError, asyncio.CancelledError) as end:
            for task in tasks:
                task.cancel()
            if not isinstance(end, TimeoutError):
                raise
        return {
            share.id: KehuError(
                VAULT_NOT_ENOUGH_HOLDERS, transaction=share.id, required=required, waited_for=",".join(lacking)
            )
            for share in shares
            if (lacking := tally.lacking(share.id))
        }

    async def _send(self, department: str, shares: Sequence[Share], tally: _Tally) -> None:
        """Sends until the department has confirmed everything that it may hold, or the deadline has passed."""
        left = {parcel.id: parcel for parcel in parcels_for(department, shares)}
        pause_s = self._timing.retry_first_s
        try:
            async with asyncio.timeout(self._timing.deadline_s):
                while left:
                    for chunk in chunks_of(list(left.values())):
                        confirmed = await self._send_chunk(department, chunk)
                        tally.confirm(department, confirmed)
                        for transaction_id in confirmed:
                            del left[transaction_id]
                    if left:
                        await asyncio.sleep(pause_s)
                        pause_s = min(2 * pause_s, self._timing.retry_max_s)
        except TimeoutError:
            if department not in self._unable:
                log.warning("%s did not confirm the values of %d transactions in time", department, len(left))

    async def _send_chunk(self, department: str, chunk: Sequence[Parcel]) -> set[bytes]:
        """The ids that the department confirmed."""
        payload = codec.encode_flat([[parcel.envelope, parcel.values] for parcel in chunk])
        try:
            raw = await self._peers.request(department, STAGE, payload, self._timing.deadline_s)
            (answers,) = codec.fields([codec.decode(raw, REQUEST_BYTES_MAX)], "stage answers", codec.is_list)
            pairs = [codec.fields(item, "stage answer", codec.is_digest, codec.is_text) for item in answers]
        except KehuError as error:
            if department not in self._unable:  # said once, and not for every request until it is back
                self._unable.add(department)
                log.info("%s takes no values: %s", department, error)
            return set()
        if department in self._unable:
            self._unable.remove(department)
            log.info("%s takes values again", department)
        codes = {pair[0]: pair[1] for pair in pairs}
        confirmed = {parcel.id for parcel in chunk if codes.get(parcel.id) == OK}
        refused = [parcel.id for parcel in chunk if parcel.id not in confirmed]
        if refused:
            first = refused[0]
            log.info("%s does not hold the values of %d transactions, of %s for %s", department, len(refused),
                     first.hex(), codes.get(first, "no reason given"))  # fmt: skip
        return confirmed

    def _spawn(self, job: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
