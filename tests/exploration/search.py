"""A breadth-first search through every order in which a small network can do things.

Four members, one height, views 0 to 2. A network is four replica states and the set of all messages ever sent; any of
them may reach its receivers at any time, again and again, or never: loss, delay, reordering and duplication are one
thing here. Two reductions, neither of which hides a behaviour:

- votes of one phase, view and block arrive together, and only when they make a quorum: fewer have no effect;
- a message that changes nothing and causes nothing is not delivered.

A Byzantine member may vote for anything in any view, differently to each; propose two blocks where it is primary; ask
for any view, with any genuine certificate or none; and open its views with any quorum of genuine VIEW-CHANGEs. It may
do so as often as it likes.

Breadth first reaches every state within some number of moves; `dive` goes on from there, at random, to the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

from chain.certificate import Certificate
from consensus.messages import Message, NewView, PrePrepare, Status, ViewChange, VoteMessage
from tests.exploration.liar import Liar
from tests.exploration.locals import (
    NAMES,
    VALIDATORS,
    Local,
    N,
    certified,
    fired,
    first_local,
    local_key,
    message_key,
    received,
    step,
    synced,
    with_work,
)

VIEWS = 3
KINDS = (
    *(f"{phase} {view}" for phase in ("prepare", "commit") for view in range(VIEWS)),
    *(kind.kind for kind in (PrePrepare, ViewChange, NewView, Status)),
    "sync",
    "timer",
)
"""What a dive may leave out."""
COMPLETION_ROUNDS = 16
CHECK_EVERY = 97
"""One state in this many is completed fairly, and every state in which nothing but timers is left."""
Network = tuple[tuple[int, ...], int]
"""(number of each correct member's state, the messages sent as a set of bits)."""
Move = tuple[int, object]
"""(who, key of what it does)."""


@dataclass(slots=True)
class Result:
    states: int = 0
    locals_count: int = 0
    steps: int = 0
    """How often the real core was stepped."""
    completed: int = 0
    is_exhausted: bool = False
    """Whether there was nothing left to explore."""
    decided_views: set[int] = field(default_factory=set)
    deepest: int = 0
    dives: int = 0


def bits_of(numbers: Iterable[int]) -> int:
    bits = 0
    for number in numbers:
        bits |= 1 << number
    return bits


def numbers_in(bits: int) -> list[int]:
    numbers = []
    while bits:
        lowest = bits & -bits
        numbers.append(lowest.bit_length() - 1)
        bits ^= lowest
    return numbers


class Search:
    """`byzantine`: the member that lies, or None for four correct ones. `views`: how many of them there are."""

    def __init__(self, byzantine: int | None = None, views: int = VIEWS) -> None:
        self.byzantine, self.views = byzantine, views
        self.correct = [who for who in range(N) if who != byzantine]
        self.locals: list[Local] = []
        self.numbers: dict[object, int] = {}
        self.messages: list[tuple[int, int, Message]] = []
        """(sender, receiver, message)."""
        self.message_numbers: dict[object, int] = {}
        self.outcomes: dict[tuple[int, int, object], tuple[int, int]] = {}
        self.addressed = [0] * N
        """The messages to each member, as bits."""
        self.telling = 0
        """Messages that a liar can build on: PRE-PREPAREs and VIEW-CHANGEs, as bits."""
        self.told: dict[object, int] = {}
        self.result = Result()

    # Numbers

    def number(self, who: int, local: Local) -> int:
        key = (who, *local_key(local))
        if key not in self.numbers:
            self.numbers[key] = len(self.locals)
            self.locals.append(local)
        return self.numbers[key]

    def message_number(self, sender: int, receiver: int, message: Message) -> int:
        key = (sender, receiver, message_key(message))
        if key not in self.message_numbers:
            self.message_numbers[key] = len(self.messages)
            self.messages.append((sender, receiver, message))
            bit = 1 << self.message_numbers[key]
            self.addressed[receiver] |= bit
            if isinstance(message, PrePrepare | ViewChange) and sender != self.byzantine:
                self.telling |= bit
        return self.message_numbers[key]

    def keep(self, who: int, local: Local, sent: tuple[tuple[int, Message], ...]) -> tuple[int, int]:
        wanted = [(receiver, message) for receiver, message in sent if receiver != self.byzantine]
        return self.number(who, local), bits_of(self.message_number(who, to, message) for to, message in wanted)

    def outcome(self, who: int, before: int, key: object) -> tuple[int, int]:
        """What becomes of a replica by a move, from memory if it was made before."""
        memory = (who, before, key)
        if memory not in self.outcomes:
            self.result.steps += 1
            local = self.locals[before]
            match key:
                case ("timer", name):
                    made = step(local, who, fired(local, str(name)))
                case ("sync", certificate):
                    made = synced(local, certificate), ()  # type: ignore[arg-type]
                case tuple(numbers):
                    chosen = (self.messages[number] for number in numbers)
                    made = step(local, who, [received(sender, message) for sender, _, message in chosen])
                case _:
                    raise TypeError(key)
            self.outcomes[memory] = self.keep(who, *made)
        return self.outcomes[memory]

    # Moves

    def first(self) -> Network:
        numbers, sent = [], 0
        for who in self.correct:
            number, said = self.keep(who, *with_work(first_local(who), who))
            numbers.append(number)
            sent |= said
        return tuple(numbers), sent

    def moves(self, network: Network) -> Iterator[Move]:
        """Everything that may happen next, timers last."""
        numbers, sent = network
        available = sent | self.lies(network)
        for who, before in zip(self.correct, numbers, strict=True):
            mine = numbers_in(available & self.addressed[who])
            yield from ((who, key) for key in self.deliveries(self.locals[before], mine))
            certificate = self.catch_up(who, before, network)
            if certificate is not None:
                yield who, ("sync", certificate)
        for who, before in zip(self.correct, numbers, strict=True):
            local = self.locals[before]
            if "view" in local.replica._state.timers and local.replica.view < self.views - 1:
                yield who, ("timer", "view")

    def deliveries(self, local: Local, mine: list[int]) -> Iterator[tuple[int, ...]]:
        votes: dict[tuple[str, int, bytes], list[int]] = {}
        is_over = local.decided is not None
        for number in mine:
            message = self.messages[number][2]
            if not isinstance(message, VoteMessage):
                if not is_over or isinstance(message, ViewChange):
                    yield (number,)
            elif not is_over:
                vote = message.vote
                votes.setdefault((vote.phase, vote.view, vote.block_id), []).append(number)
        known = local.replica._state.at.log
        for (phase, view, block_id), numbers in votes.items():
            own = known.vote_of(local.replica._state.me, phase, view)  # type: ignore[arg-type]
            has_own = own is not None and own.block_id == block_id
            if len(numbers) + has_own >= VALIDATORS.quorum:
                yield tuple(numbers)

    def catch_up(self, who: int, before: int, network: Network) -> Certificate | None:
        local = self.locals[before]
        if local.decided is not None or local.replica._state.fetch_to_height < 1:
            return None
        others = (self.locals[number] for number in network[0])
        return next((other.certificate for other in others if other.certificate is not None), None)

    def after(self, network: Network, move: Move) -> Network:
        who, key = move
        numbers, sent = network
        place = self.correct.index(who)
        number, said = self.outcome(who, numbers[place], key)
        if number == numbers[place] and not said & ~sent:
            return network
        return (*numbers[:place], number, *numbers[place + 1 :]), sent | said

    # Lies

    def lies(self, network: Network) -> int:
        """What the Byzantine member can say now, as bits."""
        if self.byzantine is None:
            return 0
        shown = tuple(map(certified, self.certificates(network)))
        key = (network[1] & self.telling, shown, tuple(self.bodies(network)))
        if key not in self.told:
            self.told[key] = self.new_lies(self.byzantine, network)
        return self.told[key]

    def new_lies(self, liar: int, network: Network) -> int:
        heard = [self.messages[number][2] for number in numbers_in(network[1] & self.telling)]
        told = Liar(liar, self.views).says(heard, self.certificates(network), self.bodies(network))
        return bits_of(self.message_number(liar, to, message) for message in told for to in self.correct)

    def bodies(self, network: Network) -> list[bytes]:
        return sorted({body for number in network[0] for body in self.locals[number].replica._state.at.bodies.values()})

    def certificates(self, network: Network) -> list[Certificate | None]:
        """One genuine prepared certificate of each view and block, and none."""
        shown: dict[tuple[int, bytes], Certificate] = {}
        for number in network[0]:
            prepared = self.locals[number].replica._state.at.prepared
            if prepared is not None:
                shown.setdefault((prepared.view, prepared.block_id), prepared)
        return [None, *(shown[key] for key in sorted(shown))]

    # The search

    def run(self, states_max: int) -> Result:
        first = self.first()
        seen, frontier = {first}, deque([(first, 0)])
        while frontier and len(seen) < states_max:
            network, depth = frontier.popleft()
            is_busy = False
            for move in self.moves(network):
                reached = self.after(network, move)
                is_busy |= reached != network and move[1] != ("timer", "view")
                if reached not in seen:
                    seen.add(reached)
                    self.check(reached)
                    frontier.append((reached, depth + 1))
                    if len(seen) % CHECK_EVERY == 0:
                        self.complete(reached)
            if not is_busy:
                self.complete(network)
            self.result.deepest = depth
        self.result.states, self.result.locals_count = len(seen), len(self.locals)
        self.result.is_exhausted = not frontier
        return self.result

    def dive(self, dives: int) -> Result:
        """From the start to the end, one random move after another.

        In each dive some kinds of messages never reach some members (swarm testing: Groce et al., ISSTA 2012); what
        happens only when a COMMIT is missed by three would otherwise hardly ever happen.
        """
        rng = Random(dives)
        for _ in range(dives):
            network, lost = self.first(), self.losses(rng)
            while True:
                possible = [move for move in self.moves(network) if (move[0], self.kind_of(move)) not in lost]
                reached = [after for after in (self.after(network, move) for move in possible) if after != network]
                if not reached:
                    break
                network = rng.choice(reached)
                self.check(network)
            self.complete(network)
            self.result.dives += 1
        return self.result

    def losses(self, rng: Random) -> set[tuple[int, str]]:
        """Mostly COMMITs miss some members, and whether anybody helps them to the block is one throw of a coin."""
        lost: set[tuple[int, str]] = set()
        for kind in KINDS:
            if rng.random() < (0.6 if kind.startswith("commit") else 0.1):
                lost |= {(who, kind) for who in self.correct if rng.random() < 0.7}
        if rng.random() < 0.5:
            lost |= {(who, kind) for who in self.correct for kind in ("status", "sync")}
        return lost

    def kind_of(self, move: Move) -> str:
        match move[1]:
            case ("sync" | "timer" as what, _):
                return str(what)
            case (int(number), *_):
                message = self.messages[number][2]
                phase = f"{message.vote.phase} {message.vote.view}" if isinstance(message, VoteMessage) else ""
                return phase or message.kind
        raise TypeError(move)

    def check(self, network: Network) -> None:
        """Agreement."""
        certificates = [self.locals[number].certificate for number in network[0]]
        found = {certificate.block_id for certificate in certificates if certificate is not None}
        if len(found) > 1:
            raise AssertionError(f"two blocks are decided at one height: {self.story(network)}")
        self.result.decided_views |= {certificate.view for certificate in certificates if certificate is not None}

    def complete(self, network: Network) -> None:
        """B18: if from here on everything arrives and timers fire, every correct member decides."""
        self.result.completed += 1
        for turn in range(COMPLETION_ROUNDS):
            network = self.settled(network)
            if all(self.locals[number].decided is not None for number in network[0]):
                self.check(network)
                return
            timer = "view" if turn % 2 else "retransmit"
            for who in self.correct:
                network = self.after(network, (who, ("timer", timer)))
        raise AssertionError(f"stuck: {self.story(network)}")

    def settled(self, network: Network) -> Network:
        """Everything that was sent has arrived; the Byzantine member is silent."""
        liar, self.byzantine = self.byzantine, None
        is_moving = True
        while is_moving:
            before = network
            for move in self.moves(network):
                if move[1] != ("timer", "view"):
                    network = self.after(network, move)
            is_moving = network != before
        self.byzantine = liar
        return network

    def story(self, network: Network) -> str:
        parts = []
        for who, number in zip(self.correct, network[0], strict=True):
            local = self.locals[number]
            replica, at = local.replica, local.replica._state.at
            where = f"{NAMES[who]} view {replica.view} active {replica.is_active} prepared {at.prepared is not None}"
            parts.append(f"{where} decided {local.decided.hex()[:8] if local.decided else None}")
        return "; ".join(parts)
