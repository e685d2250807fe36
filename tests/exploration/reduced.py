"""The same search over far fewer states: every network that differs in anything that matters is still there.

What is left out, and why that hides nothing (tests/exploration/test_reduction.py compares it with the plain search):

1. *A replica is its essence.* Two states of a replica are one if nothing that follows can tell them apart (essence).
2. *Dead messages are forgotten.* Messages stay on their way for ever, since they may come late or never; those that can
   do nothing any more to their receiver are dropped, so networks that differ only in them are one.
3. *What is merely noted is noted later.* Handlers only note what arrives and rules look at what is known, so a message
   that triggers no rule yet may as well arrive just before the one that does. So votes arrive as a quorum where it is
   waited for, VIEW-CHANGEs alone or in pairs (f+1 others move a replica; a quorum is two others and itself), and a
   PRE-PREPARE when it can be accepted.
4. *An answer that costs nothing is given at once.* A step that leaves the replica as it was and only sends something is
   taken before anything else: what it sends may still never arrive, so every behaviour without it is kept.
5. *Who moves does not matter, only what is known.* A network is four small numbers, one for each member's *seat*: its
   state and the messages on their way to it. Steps of two members commute because each changes its own seat and only
   adds messages to others', so the order in which they were made is in no state; both orders meet in one number.

What a seat can do is computed once with the real core and looked up ever after.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import combinations

from chain.certificate import Certificate
from consensus.messages import Message, PrePrepare, ViewChange, VoteMessage
from tests.exploration.essence import essence, is_dead, visible
from tests.exploration.liar import Liar
from tests.exploration.locals import (
    CHAIN_ID,
    CHECK,
    VALIDATORS,
    Local,
    first_local,
    with_work,
)
from tests.exploration.search import CHECK_EVERY, VIEWS, Result, Search, bits_of, numbers_in

SEAT_BITS = 24
COMPLETION_STEPS_MAX = 48
"""Rounds of deliveries and timers within which everybody has decided, from anywhere."""
Seats = tuple[int, ...]
"""One number for each correct member, and last what the liar has heard."""
Posts = tuple[tuple[int, int], ...]
"""(place of the receiver, messages as bits)."""
Fair = tuple[tuple[int, ...], tuple[int, ...], int]
"""States, messages on their way, and which timer fires next: a network whose future is fair, and so the only one."""


class ReducedSearch(Search):
    def __init__(self, byzantine: int | None = None, views: int = VIEWS) -> None:
        super().__init__(byzantine, views)
        self.liar = None if byzantine is None else Liar(byzantine, views)
        self.seats: list[tuple[int, int, int]] = []
        """(place, state, messages on their way)."""
        self.seat_numbers: dict[tuple[int, int, int], int] = {}
        self.moves_from: list[list[tuple[int, Posts]] | None] = []
        self.busy: set[int] = set()
        """Seats at which something is bound to happen, whatever the liar does and no timer fires."""
        self.posted: dict[tuple[int, int], int] = {}
        self.judged: dict[int, list[int]] = {}
        """Of a state: messages judged, and those of them that are not dead, as bits."""
        self.lies_told: dict[int, Posts] = {0: ()}
        self.good: dict[Fair, int] = {}
        self.seen: set[int] = set()

    # States, messages, seats

    def number(self, who: int, local: Local) -> int:
        key = (who, *essence(local))
        if key not in self.numbers:
            if local.certificate is not None:
                local.certificate.require("commit", 1, local.decided or b"")
                local.certificate.verify(VALIDATORS, CHAIN_ID, CHECK)
            self.numbers[key] = len(self.locals)
            self.locals.append(local)
        return self.numbers[key]

    def keep(self, who: int, local: Local, sent: tuple[tuple[int, Message], ...]) -> tuple[int, int]:
        wanted = ((to, message) for to, message in sent if to != self.byzantine or is_telling(message))
        return self.number(who, local), bits_of(self.message_number(who, to, message) for to, message in wanted)

    def alive(self, state: int, bits: int) -> int:
        judged = self.judged.setdefault(state, [0, 0])
        for number in numbers_in(bits & ~judged[0]):
            sender, _, message = self.messages[number]
            judged[0] |= 1 << number
            if not (self.is_beyond(message) or is_dead(self.locals[state], sender, message, sender == self.byzantine)):
                judged[1] |= 1 << number
        return bits & judged[1]

    def is_beyond(self, message: Message) -> bool:
        view = message.vote.view if isinstance(message, VoteMessage) else getattr(message, "view", 0)
        return view >= self.views

    def seat(self, place: int, state: int, bits: int) -> int:
        key = (place, state, self.alive(state, bits))
        if key not in self.seat_numbers:
            self.seat_numbers[key] = len(self.seats)
            self.seats.append(key)
            self.moves_from.append(None)
        return self.seat_numbers[key]

    def post(self, seats: list[int], posts: Posts) -> None:
        """The messages are on their way; the liar has them already."""
        for place, bits in posts:
            before = seats[place]
            if place == len(self.correct):
                if bits & ~before:
                    seats[place] = before | bits
                    self.post(seats, self.lies_after(before | bits))
                continue
            key = (before, bits)
            if key not in self.posted:
                _, state, waiting = self.seats[before]
                self.posted[key] = self.seat(place, state, waiting | bits)
            seats[place] = self.posted[key]

    def posts_of(self, sent: int) -> Posts:
        places = [*self.correct] if self.byzantine is None else [*self.correct, self.byzantine]
        parts = ((place, sent & self.addressed[who]) for place, who in enumerate(places))
        return tuple((place, bits) for place, bits in parts if bits)

    # Lies

    def lies_after(self, heard: int) -> Posts:
        """What the liar can say once it has heard these messages. It learns more, never less."""
        if heard not in self.lies_told and self.liar is not None:
            messages = [self.messages[number][2] for number in numbers_in(heard)]
            bodies = sorted({message.body for message in messages if isinstance(message, PrePrepare)})
            said = [message for message in messages if not isinstance(message, VoteMessage)]
            told = self.liar.says(said, self.provable(self.liar, messages), bodies)
            numbers = (self.message_number(self.liar.who, to, message) for message in told for to in self.correct)
            self.lies_told[heard] = self.posts_of(bits_of(numbers))
        return self.lies_told[heard]

    def provable(self, liar: Liar, messages: Iterable[Message]) -> list[Certificate | None]:
        """A prepared certificate of each view and block for which a quorum votes with the liar's help, and none."""
        votes: dict[tuple[int, bytes], dict[str, VoteMessage]] = {}
        for message in messages:
            if isinstance(message, VoteMessage):
                votes.setdefault((message.vote.view, message.vote.block_id), {})[message.vote.department] = message
        found: list[Certificate | None] = [None]
        for (view, block_id), genuine in sorted(votes.items()):
            own = liar.vote("prepare", view, block_id)
            if len(genuine) + 1 >= VALIDATORS.quorum:
                all_votes = [message.vote for message in genuine.values()][: VALIDATORS.quorum - 1]
                found.append(Certificate.of([*all_votes, own.vote]))
        return found

    # Moves

    def start(self) -> Seats:
        made = [self.keep(who, *with_work(first_local(who), who)) for who in self.correct]
        seats = [self.seat(place, state, 0) for place, (state, _) in enumerate(made)]
        heard = [] if self.byzantine is None else [0]
        seats += heard
        if heard:
            self.lies_told.pop(0, None)
            self.post(seats, self.lies_after(0))
        for _, sent in made:
            self.post(seats, self.posts_of(sent))
        return tuple(seats)

    def moves_of(self, seat: int) -> list[tuple[int, Posts]]:
        known = self.moves_from[seat]
        if known is not None:
            return known
        place, state, bits = self.seats[seat]
        found: dict[tuple[int, Posts], None] = {}
        for after, sent, is_due in self.outcomes_of(self.correct[place], state, bits):
            if after != state or sent:
                found[self.seat(place, after, bits), self.posts_of(sent)] = None
            if after != state and is_due:
                self.busy.add(seat)
        self.moves_from[seat] = made = list(found)
        return made

    def outcomes_of(self, who: int, state: int, bits: int) -> Iterator[tuple[int, int, bool]]:
        """(state after, messages sent, whether it is bound to happen: correct members' messages arrive in the end)."""
        local = self.locals[state]
        numbers = numbers_in(bits)
        votes = [number for number in numbers if isinstance(self.messages[number][2], VoteMessage)]
        others = [number for number in numbers if not isinstance(self.messages[number][2], VoteMessage)]
        for group, is_due in self.quorums(local, votes):
            yield *self.outcome(who, state, group), is_due
        unmoved = []
        for number in others:
            after, sent = self.outcome(who, state, (number,))
            if sent or self.is_moved(state, after):
                yield after, sent, self.is_genuine(number)
            elif after != state and isinstance(self.messages[number][2], ViewChange):
                unmoved.append(number)
        for pair in combinations(unmoved, 2):
            if self.messages[pair[0]][0] != self.messages[pair[1]][0]:
                after, sent = self.outcome(who, state, pair)
                if sent or self.is_moved(state, after):
                    yield after, sent, all(map(self.is_genuine, pair))
        if "view" in local.replica._state.timers and local.replica.view < self.views - 1 and local.decided is None:
            yield *self.outcome(who, state, ("timer", "view")), False

    def is_genuine(self, number: int) -> bool:
        return self.messages[number][0] != self.byzantine

    def is_moved(self, before: int, after: int) -> bool:
        return before != after and visible(self.locals[before]) != visible(self.locals[after])

    def quorums(self, local: Local, votes: list[int]) -> Iterator[tuple[tuple[int, ...], bool]]:
        """Votes where they are waited for: PREPAREs for what it prepared, COMMITs for anything."""
        at = local.replica._state.at
        groups: dict[tuple[str, int, bytes], list[int]] = {}
        for number in votes:
            vote = self.messages[number][2].vote  # type: ignore[union-attr]
            groups.setdefault((vote.phase, vote.view, vote.block_id), []).append(number)
        for (phase, view, block_id), numbers in groups.items():
            own = at.log.vote_of(local.replica._state.me, phase, view)  # type: ignore[arg-type]
            has_own = own is not None and own.block_id == block_id
            is_awaited = phase == "commit" or (has_own and view == at.view and at.is_active)
            if is_awaited and len(numbers) + has_own >= VALIDATORS.quorum:
                yield tuple(numbers), sum(map(self.is_genuine, numbers)) + has_own >= VALIDATORS.quorum

    def certificate_at(self, seat: int) -> Certificate | None:
        return self.locals[self.seats[seat][1]].certificate

    def is_fetching(self, state: int) -> bool:
        local = self.locals[state]
        return local.decided is None and local.replica._state.fetch_to_height >= 1

    def successors(self, seats: Seats) -> list[tuple[int, Seats]]:
        """(place of who moved, network)."""
        reached: list[tuple[int, Seats]] = []
        for place in range(len(self.correct)):
            seat = seats[place]
            for after, posts in self.moves_from[seat] or self.moves_of(seat):
                changed = list(seats)
                changed[place] = after
                if posts:
                    self.post(changed, posts)
                other = tuple(changed)
                if after == seat and other != seats:
                    return [(place, other)]
                if other != seats:
                    reached.append((place, other))
            if self.is_fetching(self.seats[seat][1]):
                reached += self.catch_ups(seats, place)
        return reached

    def catch_ups(self, seats: Seats, place: int) -> list[tuple[int, Seats]]:
        _, state, bits = self.seats[seats[place]]
        shown = {(c.view, c.block_id): c for c in map(self.certificate_at, seats[: len(self.correct)]) if c is not None}
        reached = []
        for certificate in shown.values():
            after, _ = self.outcome(self.correct[place], state, ("sync", certificate))
            reached.append((place, (*seats[:place], self.seat(place, after, bits), *seats[place + 1 :])))
        return reached

    # The search

    def run(self, states_max: int) -> Result:
        """Breadth first; see `is_quiet` for what is completed fairly."""
        first = self.start()
        seen, frontier = self.seen, deque([(first, 0)])
        seen.add(packed(first))
        while frontier and len(seen) < states_max:
            seats, depth = frontier.popleft()
            self.result.deepest = depth
            reached = self.successors(seats)
            for place, other in reached:
                key = packed(other)
                if key in seen:
                    continue
                seen.add(key)
                frontier.append((other, depth + 1))
                if self.locals[self.seats[other[place]][1]].decided is not None:
                    self.agree(other)
                if len(seen) % CHECK_EVERY == 0:
                    self.complete_fairly(other)
            if not reached or self.is_quiet(seats):
                self.complete_fairly(seats)
        self.result.states, self.result.locals_count = len(seen), len(self.locals)
        self.result.is_exhausted = not frontier
        return self.result

    def is_quiet(self, seats: Seats) -> bool:
        """Nothing happens any more unless a timer fires or the liar acts.

        From every other network a step that is bound to happen leads to another one of this search, and there are
        no circles. So once the search is exhausted and each quiet network ends well, each network does.
        """
        mine = seats[: len(self.correct)]
        if any(seat in self.busy for seat in mine):
            return False
        has_decided = any(self.certificate_at(seat) is not None for seat in mine)
        return not (has_decided and any(self.is_fetching(self.seats[seat][1]) for seat in mine))

    def agree(self, seats: Seats) -> None:
        states = tuple(self.seats[seat][1] for seat in seats[: len(self.correct)])
        self.check((states, 0))

    # B18

    def complete_fairly(self, seats: Seats) -> None:
        """The liar falls silent, everything arrives and timers fire: everybody decides, within a bound."""
        self.result.completed += 1
        mine = [self.seats[seat] for seat in seats[: len(self.correct)]]
        told = bits_of(n for n in numbers_in(self.from_liar(mine)) if self.messages[n][0] == self.byzantine)
        fair: Fair = tuple(state for _, state, _ in mine), tuple(bits & ~told for *_, bits in mine), 0
        path: list[Fair] = []
        while fair not in self.good and not self.is_done(fair):
            path.append(fair)
            if len(path) > COMPLETION_STEPS_MAX:
                raise AssertionError(f"stuck: {self.story((fair[0], 0))}")
            fair = self.fair_step(fair)
        steps = self.good.setdefault(fair, 0)
        for each in reversed(path):
            steps += 1
            self.good[each] = steps
        if steps > COMPLETION_STEPS_MAX:
            raise AssertionError(f"{steps} rounds until all decide: {self.story((path[0][0], 0))}")

    def from_liar(self, mine: list[tuple[int, int, int]]) -> int:
        return 0 if self.byzantine is None else mine[0][2] | mine[1][2] | mine[2][2]

    def is_done(self, fair: Fair) -> bool:
        if any(self.locals[state].decided is None for state in fair[0]):
            return False
        self.check((fair[0], 0))
        return True

    def fair_step(self, fair: Fair) -> Fair:
        """All that is on its way arrives, and blocks asked for; if nothing is, the next timer fires at all."""
        states, waiting, timer = list(fair[0]), list(fair[1]), fair[2]
        before = tuple(states)
        is_quiet = not any(waiting)
        for place, who in enumerate(self.correct):
            bits, waiting[place] = waiting[place], 0
            if bits:
                states[place], sent = self.outcome(who, states[place], tuple(numbers_in(bits)))
                self.put(waiting, sent)
            certificates = [c for c in (self.locals[state].certificate for state in states) if c is not None]
            if certificates and self.is_fetching(states[place]):
                states[place], _ = self.outcome(who, states[place], ("sync", certificates[0]))
        if is_quiet and before == tuple(states):
            for place, who in enumerate(self.correct):
                states[place], sent = self.outcome(who, states[place], ("timer", ("retransmit", "view")[timer]))
                self.put(waiting, sent)
            timer = 1 - timer
        return tuple(states), tuple(waiting), timer

    def put(self, waiting: list[int], sent: int) -> None:
        for place, who in enumerate(self.correct):
            waiting[place] |= sent & self.addressed[who]


def packed(seats: Seats) -> int:
    """One number; what the liar has heard, the last part, is of any size and so comes first."""
    number = 0
    for seat in reversed(seats):
        number = number << SEAT_BITS | seat
    return number


def is_telling(message: Message) -> bool:
    """What a liar can build on."""
    if isinstance(message, VoteMessage):
        return message.vote.phase == "prepare"
    return isinstance(message, PrePrepare | ViewChange)
