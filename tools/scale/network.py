"""Departments, the distance between them, and the clients that keep them busy."""

from __future__ import annotations

import hashlib
import statistics
from dataclasses import dataclass

from chain.crypto import SigningKey, digest
from chain.validators import Validator, ValidatorSet
from tests.simulation.cheap_crypto import CheapSigner, CheapVerifier
from tools.scale.costs import Costs
from tools.scale.department import Department, Request, numbers_in
from tools.scale.host import Agenda

STEPS_MAX = 5_000_000
"""A simulation that takes more does not end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`bottleneck` is the part of a host that is busiest, or "round trips" where every host waits for messages."""

    departments: int
    delay_ms: float
    per_second: float
    latency_ms: float
    """Of a single transaction in an idle network, median."""
    bottleneck: str
    busy: float
    """How much of the time that part of the busiest host works."""
    block_transactions: float


class Network:
    def __init__(self, count: int, delay_ms: float, costs: Costs) -> None:
        names = [f"d{index:02}" for index in range(count)]
        keys = {name: SigningKey(hashlib.sha256(name.encode()).digest()) for name in names}
        self.delay_us = delay_ms * 1_000
        self.chain_id = digest("genesis", b"scale")
        self.genesis_id = digest("block", b"scale")
        self.validators = ValidatorSet(0, tuple(Validator(name, keys[name].public) for name in names))
        self.check = CheapVerifier(keys.values())
        self.agenda = Agenda()
        self.requests: dict[int, Request] = {}
        self.ordered: set[int] = set()
        self.blocks: dict[int, int] = {}
        self.done = 0
        self._refill = 0
        self.departments = {name: Department(self, name, CheapSigner(keys[name]), costs) for name in names}
        for department in self.departments.values():
            department.start()

    @property
    def now(self) -> float:
        return self.agenda.now

    def holders(self, author: Department, count: int) -> list[Department]:
        names = list(self.departments)
        at = names.index(author.name)
        return [self.departments[names[(at + step) % len(names)]] for step in range(1, min(count, len(names) - 1) + 1)]

    def size_of(self, body: bytes) -> int:
        """Transactions in a block."""
        return self.transactions_of(numbers_in(body))

    def transactions_of(self, numbers: list[int]) -> int:
        return sum(self.requests[number].transactions for number in numbers)

    # Clients

    def submit(self, author: str, transactions: int) -> Request:
        request = Request(len(self.requests), author, transactions, self.now)
        self.requests[request.number] = request
        self.departments[author].admit(request)
        return request

    def gossip(self, author: Department, request: Request) -> None:
        author.keep(request)
        size = request.transactions * author.costs.transaction_bytes
        for department in self.departments.values():
            if department is not author:
                left = author.host.send(author.host.compute(self.now, author.costs.send_us), size)
                self.agenda.at(left + self.delay_us, department.learn, request)

    def appended(self, department: Department, number: int, at: float) -> None:
        request = self.requests[number]
        if department.name == request.author and request.done is None:
            request.done = at
            self.done += 1
            if self._refill:
                self.agenda.at(at, self.submit, request.author, self._refill)

    # Runs

    def latency_ms(self, times: int) -> float:
        """Median over `times` single transactions, one after the other, from the departments in turn."""
        names, taken = list(self.departments), []
        for index in range(times):
            request = self.submit(names[index % len(names)], 1)
            self._run_until_done(index + 1)
            taken.append(((request.done or 0) - request.sent) / 1_000)
        return statistics.median(taken)

    def saturate(self, lanes: int, per_request: int, requests: int) -> Outcome:
        """`lanes` clients per department, each with one request under way; rates are of the second half."""
        self._refill = per_request
        for name in self.departments:
            for _ in range(lanes):
                self.submit(name, per_request)
        self._run_until_done(requests // 2)
        begun, begun_done, heights = self.now, self.done, self._height()
        for department in self.departments.values():
            department.host.busy_us = dict.fromkeys(department.host.busy_us, 0.0)
        self._run_until_done(requests)
        passed, blocks = self.now - begun, self._height() - heights
        part, busy = self._bottleneck(passed)
        rate = (self.done - begun_done) * per_request / (passed / 1e6)
        size = (self.done - begun_done) * per_request / max(1, blocks)
        return Outcome(len(self.departments), self.delay_us / 1_000, rate, 0.0, part, busy, size)

    def _height(self) -> int:
        return max(department.height for department in self.departments.values())

    def _bottleneck(self, passed: float) -> tuple[str, float]:
        part, busy = max(
            (
                found
                for department in self.departments.values()
                for found in department.host.utilisation(passed).items()
            ),
            key=lambda found: found[1],
        )
        return (part if busy >= 0.75 else "round trips"), busy

    def _run_until_done(self, requests: int) -> None:
        for _ in range(STEPS_MAX):
            if self.done >= requests:
                return
            self.agenda.step()
        raise RuntimeError("the simulated network makes no progress")


def simulate(count: int, delay_ms: float, costs: Costs, *, per_request: int, lanes: int, requests: int) -> Outcome:
    """Saturated throughput and, in a network of its own, unloaded latency."""
    latency = Network(count, delay_ms, costs).latency_ms(9)
    outcome = Network(count, delay_ms, costs).saturate(lanes, per_request, requests)
    return Outcome(
        count, delay_ms, outcome.per_second, latency, outcome.bottleneck, outcome.busy, outcome.block_transactions
    )
