"""The story's thread: what chapters share, and how a step is opened, checked and closed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.demo.cast import CAST, Person
from tools.demo.kehu import Json, Kehu, Ran, UnexpectedError
from tools.demo.narrator import Narrator
from tools.demo.sheet import Sheet


class StepFailedError(Exception):
    """A step does not hold."""

    def __init__(self, step: str, what: str, expected: object, actual: object) -> None:
        super().__init__(f"{step}: {what}: expected {expected!s}, got {actual!s}")
        self.step, self.what, self.expected, self.actual = step, what, expected, actual


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer who came in with the file: the id on the chain, and what stood in the row."""

    id: str
    row: int
    fields: dict[str, str]


@dataclass
class Client:
    """A client of the story by ids on the chain; its people are customers who came in with the file."""

    organisation: str
    board: str
    buying: str
    head: Customer
    buyer: Customer
    user: Customer
    project: str = ""
    part: str = ""
    demand: str = ""
    height: int = 0


@dataclass
class Story:
    """`facts` is what came out, in words that are the same each time the story is told, however it was disturbed."""

    folder: Path
    kehu: Kehu
    narrator: Narrator
    chance: random.Random
    sheet: Sheet
    people: tuple[Person, ...] = CAST
    customers: list[Customer] = field(default_factory=list)
    client: Client | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: list[tuple[str, str, float]] = field(default_factory=list)
    chapter: int = 0
    _step: int = 0
    _commands: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kehu.on_run = self._note_command

    @property
    def network(self) -> Path:
        return self.kehu.network

    def open_chapter(self, title: str) -> None:
        self.chapter += 1
        self._step = 0
        self.narrator.chapter(self.chapter, title)

    @contextmanager
    def step(self, title: str, proves: str) -> Iterator[Step]:
        """One step: what is done in the block, then, if all of it holds, what that proves."""
        self._step += 1
        step = Step(f"{self.chapter}.{self._step}")
        self.narrator.step(step.number, title)
        self._commands.clear()
        begun = time.monotonic()
        try:
            yield step
        except UnexpectedError as error:
            raise StepFailedError(f"{step.number} {title}", error.what, error.expected, error.actual) from error
        seconds = time.monotonic() - begun
        self.narrator.commands(self._commands)
        for text in step.said:
            self.narrator.says(text)
        for columns, rows in step.tables:
            self.narrator.table(columns, rows)
        self.narrator.proven(proves, seconds)
        self.seconds.append((step.number, title, seconds))

    def person(self, department: str) -> Person:
        """The first person of a department."""
        return next(person for person in self.people if person.department == department)

    def pick(self, why: str) -> Customer:
        """A customer for one purpose, drawn once; nobody is drawn for two."""
        taken = set(self.facts.setdefault("picked", {}).values())
        if why not in self.facts["picked"]:
            free = [customer.row for customer in self.customers if customer.row not in taken]
            self.facts["picked"][why] = self.chance.choice(free)
        row = self.facts["picked"][why]
        return next(customer for customer in self.customers if customer.row == row)

    def require_client(self) -> Client:
        """The client of the project; chapters that need it come after that one."""
        if self.client is None:
            raise UnexpectedError("the client", "a chapter that has told of it", None)
        return self.client

    def agreeing(self, count: int) -> dict[str, Json]:
        """The nodes by department, once `count` of them answer with the same newest block."""
        nodes: dict[str, Json] = {}

        def look() -> tuple[bool, object]:
            answer = self.kehu("network", "status", exits=(0, 9))
            nodes.update({node["department"]: node for node in answer["nodes"]})
            ready = [node for node in nodes.values() if node["is_ready"]]
            seen = {node["department"]: (node["height"], node["block_id"]) for node in ready}
            return len(ready) == count and len(set(seen.values())) == 1, seen

        wait_for(f"{count} nodes with the same newest block", look)
        return nodes

    def _note_command(self, ran: Ran) -> None:
        self._commands.append(ran.shown)


@dataclass
class Step:
    """What is said and checked within one step."""

    number: str
    said: list[str] = field(default_factory=list)
    tables: list[tuple[tuple[str, ...], list[tuple[object, ...]]]] = field(default_factory=list)

    def says(self, text: str) -> None:
        self.said.append(text)

    def shows(self, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
        self.tables.append((columns, list(rows)))

    def equal(self, what: str, expected: object, actual: object) -> None:
        if expected != actual:
            raise UnexpectedError(what, expected, actual)

    def holds(self, what: str, is_so: bool, actual: object) -> None:
        """For what is not an equality; `actual` is shown if it is not so."""
        if not is_so:
            raise UnexpectedError(what, "that it is so", actual)


def wait_for(what: str, look: Callable[[], tuple[bool, object]], timeout_s: float = 60.0) -> None:
    """Until `look` says yes; `look` gives (is it so, what was seen)."""
    deadline = time.monotonic() + timeout_s
    while True:
        is_so, seen = look()
        if is_so:
            return
        if time.monotonic() > deadline:
            raise UnexpectedError(what, f"within {timeout_s:.0f} s", seen)
        time.sleep(0.1)
