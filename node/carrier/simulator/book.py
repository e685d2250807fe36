"""What the simulated carrier knows: for each number its state, its subscriber's identifier, and since what day.

Every change is durable before it is seen: the file is replaced as a whole, all or nothing.
Identifiers are derived from the seed, the number and the count of its subscribers, so the same seed and the same
story give the same identifiers in whatever order numbers are activated.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from chain.errors import KehuError, define
from node.carrier.numbers import is_e164
from node.storage.durable import write_file

State = Literal["active", "suspended", "returned", "ported"]
Action = Literal["activate", "suspend", "resume", "return", "reassign", "port-out", "port-in"]

FORMAT: Final = 2
_IDENTIFIER_BYTES: Final = 20  # 32 characters of base32, no padding

ACTION_REFUSED = define(
    "simulator.action_refused",
    "the number's present state does not allow this action",
    "look at the number first; activate takes unknown and returned numbers, resume suspended ones",
)
FILE_MALFORMED = define(
    "simulator.file_malformed",
    "the simulator's data file is not one that it wrote",
    "name another file with --data, or move this one away to start empty",
)
SEED_MISMATCH = define(
    "simulator.seed_mismatch",
    "the data file was made with another seed",
    "leave --seed out to go on with the file's own, or name another file with --data",
)

# action -> (states it starts from; None is a number nobody ever had, state it leads to, is there a new subscriber)
_RULES: Final[dict[Action, tuple[tuple[State | None, ...], State, bool]]] = {
    "activate": ((None, "returned"), "active", True),
    "suspend": (("active",), "suspended", False),
    "resume": (("suspended",), "active", False),
    "return": (("active", "suspended"), "returned", False),
    "reassign": (("active", "suspended", "returned"), "active", True),
    "port-out": (("active", "suspended"), "ported", False),
    "port-in": (("ported",), "active", False),
}
ACTIONS: Final[tuple[Action, ...]] = tuple(_RULES)


@dataclass(frozen=True, slots=True)
class Line:
    """One number: `subscribers` counts those it ever had; `identifier` is the latest one's.

    since_day: the day on which the latest one got the number, as days since 1970-01-01 in the carrier's calendar.
    """

    state: State
    subscribers: int
    identifier: str
    since_day: int


class NumberBook:
    """The numbers of the carrier, on disk in one JSON file that only this process writes."""

    def __init__(self, path: Path, seed: str, lines: Mapping[str, Line]) -> None:
        self.path = path
        self.seed = seed
        self._lines = dict(lines)

    @classmethod
    def open(cls, path: Path, seed: str | None = None) -> NumberBook:
        """The book kept at `path`, or a new one there; without a seed a new book draws its own.

        Errors: simulator.file_malformed, simulator.seed_mismatch.
        """
        if path.exists():
            found, lines = _read(path)
            if seed is not None and seed != found:
                raise KehuError(SEED_MISMATCH, file=path.name)
            return cls(path, found, lines)
        path.parent.mkdir(parents=True, exist_ok=True)
        book = cls(path, seed if seed is not None else secrets.token_hex(16), {})
        book._commit({})
        return book

    def __len__(self) -> int:
        return len(self._lines)

    def line(self, number: str) -> Line | None:
        return self._lines.get(number)

    def identifier_of(self, number: str) -> str | None:
        """The subscriber's identifier; None for a number that is suspended, returned or unknown."""
        line = self._lines.get(number)
        return line.identifier if line is not None and line.state == "active" else None

    def is_ported(self, number: str) -> bool:
        """Whether another operator has the number now, so that this one has nothing to say about it."""
        line = self._lines.get(number)
        return line is not None and line.state == "ported"

    def has_changed(self, number: str, day: int) -> bool:
        """Whether the subscriber changed after `day`, or nobody had the number on it: CAMARA's two examples."""
        line = self._lines.get(number)
        return line is None or line.state == "returned" or line.since_day > day

    def apply(self, action: Action, number: str, day: int) -> Line:
        """The number's line after `action` on `day`, durable on return. Errors: simulator.action_refused."""
        line = self._next(action, number, day)
        self._commit({number: line})
        return line

    def activate_many(self, numbers: Iterable[str], day: int) -> int:
        """Activates those that nobody has, in one write; returns how many. Taken numbers stay as they are."""
        fresh = sorted(number for number in set(numbers) if self._is_free(number))
        self._commit({number: self._next("activate", number, day) for number in fresh})
        return len(fresh)

    def _is_free(self, number: str) -> bool:
        line = self._lines.get(number)
        return line is None or line.state == "returned"

    def _next(self, action: Action, number: str, day: int) -> Line:
        before = self._lines.get(number)
        state = before.state if before else None
        starts, leads_to, is_new = _RULES[action]
        if state not in starts:
            raise KehuError(ACTION_REFUSED, action=action, state=state or "unknown")
        if before is not None and not is_new:
            return replace(before, state=leads_to)
        subscribers = before.subscribers + 1 if before else 1
        return Line(leads_to, subscribers, self._identifier(number, subscribers), day)

    def _identifier(self, number: str, subscribers: int) -> str:
        derived = hmac.digest(self.seed.encode(), f"{number}/{subscribers}".encode(), hashlib.sha256)
        return base64.b32encode(derived[:_IDENTIFIER_BYTES]).decode().lower()

    def _commit(self, changes: Mapping[str, Line]) -> None:
        lines = {**self._lines, **changes}
        _write(self.path, self.seed, lines)
        self._lines = lines


def _write(path: Path, seed: str, lines: Mapping[str, Line]) -> None:
    rows = {number: list(astuple(line)) for number, line in sorted(lines.items())}
    document = json.dumps({"format": FORMAT, "seed": seed, "numbers": rows}, indent=0)
    write_file(path, document.encode(), replace=True)


def _read(path: Path) -> tuple[str, dict[str, Line]]:
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT or not isinstance(document["seed"], str):
            raise KehuError(FILE_MALFORMED, file=path.name, expected=FORMAT)
        lines = {number: _line(number, row) for number, row in document["numbers"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise KehuError(FILE_MALFORMED, file=path.name, problem=type(error).__name__) from None
    return document["seed"], lines


def _line(number: str, row: Any) -> Line:
    state, subscribers, identifier, since_day = row
    is_good = state in get_args(State) and type(identifier) is str
    if not is_good or type(subscribers) is not int or type(since_day) is not int or not is_e164(number):
        raise ValueError("row")
    return Line(state, subscribers, identifier, since_day)
