"""What people and programs see: tables, one JSON object, errors with their cure, progress on a terminal.

Text that comes from others (names, notes, a node's error) is shown as text: control characters are made visible,
so that no value moves the cursor or colours the screen, and nothing is read as markup. Rich counts Chinese
characters as two columns, so tables stay straight.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from chain.errors import CATALOGUE, KehuError, shown_details
from cli.exits import Exit, exit_of
from cli.layout import GAP, column_widths, plain, shown_as

if TYPE_CHECKING:
    from rich.console import Console

PIPE_COLUMNS: Final = 200
"""The width of a table that goes into a file or a pipe; a cell that is longer is folded, never cut."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found: `data` is the --json object, `show` prints the same for people."""

    data: dict[str, Any]
    show: Callable[[Screen], None]
    exit: Exit = Exit.OK


@dataclass(slots=True)
class Screen:
    """Where an answer is printed for people."""

    stream: TextIO
    _console: Console | None = field(default=None, repr=False)

    @property
    def console(self) -> Console:
        if self._console is None:
            from rich.console import Console

            width = None if self.stream.isatty() else PIPE_COLUMNS
            self._console = Console(file=self.stream, highlight=False, markup=False, emoji=False, width=width)
            self._console.on_broken_pipe = _reader_left  # type: ignore[method-assign]
        return self._console

    def line(self, text: str) -> None:
        self.console.print(plain(text), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
        """A table; each cell is shown as text. Where its words do not fit beside each other, rows become lists."""
        cells = [[shown_as(name, cell) for name, cell in zip(columns, row, strict=True)] for row in rows]
        if title is not None:
            self.line(title)
        if not cells:
            self.line("Nothing.")
            return
        widths = column_widths([columns, *cells], self.console.width)
        if widths is None:
            self._list(columns, cells)
        else:
            self._table(columns, cells, widths)

    def _table(self, columns: Sequence[str], cells: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0))
        for column, width in zip(columns, widths, strict=True):
            table.add_column(Text(column), overflow="fold", width=width)
        for row in cells:
            table.add_row(*map(Text, row))
        self.console.print(table)

    def _list(self, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        for row in cells:
            self.line("")
            self.facts(zip(columns, row, strict=True))
        self.line("")

    def facts(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Names and values below each other."""
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        grid.add_column()
        grid.add_column(overflow="fold")
        for name, value in pairs:
            grid.add_row(Text(name, style="bold"), Text(shown_as(name, value)))
        self.console.print(grid)


def _reader_left() -> None:
    """Rich would end the process with 1, which is the exit code of a refusal."""
    raise BrokenPipeError


def json_ready(value: Any) -> Any:
    """`value` with bytes as hex, so that anything of the canonical encoding can be shown."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    return value


def print_answer(answer: Answer, *, is_json: bool) -> None:
    if is_json:
        print_json(answer.data, sys.stdout)
    else:
        answer.show(Screen(sys.stdout))


def print_json(value: Any, stream: TextIO) -> None:
    stream.write(json.dumps(json_ready(value), ensure_ascii=False, indent=2) + "\n")


def problem_of(error: KehuError) -> dict[str, Any]:
    """The error as a problem: code, cause, cure, details, and the exit code that goes with it."""
    spec = CATALOGUE.get(error.code, error.spec)
    return {
        "code": error.code,
        "cause": error.spec.cause or spec.cause,
        "cure": error.spec.cure or spec.cure,
        "details": shown_details(error),
        "exit": int(exit_of(error)),
    }


def print_error(error: KehuError, *, is_json: bool) -> None:
    """To stderr: one JSON object, or four short lines."""
    problem = problem_of(error)
    if is_json:
        print_json(problem, sys.stderr)
        return
    lines = [f"error  {problem['code']}", f"cause  {problem['cause']}"]
    lines += [f"       {name} = {shown_as(name, value)}" for name, value in problem["details"].items()]
    lines.append(f"cure   {problem['cure']}")
    sys.stderr.write("".join(plain(line) + "\n" for line in lines))


def print_note(text: str) -> None:
    """A remark for people, to stderr."""
    sys.stderr.write(plain(text) + "\n")


class Advance(Protocol):
    """Moves a progress bar on by `steps`; `total` says how many there will be, once that is known."""

    def __call__(self, steps: int, total: int | None = None) -> None: ...


@contextmanager
def progress(label: str, total: int | None, *, is_wanted: bool = True) -> Iterator[Advance]:
    """A progress bar on stderr when that is a terminal; gives the function that moves it on."""
    if not is_wanted or not sys.stderr.isatty():
        yield stand_still
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(plain(label).replace("[", "\\["), total=total)

        def advance(steps: int, total: int | None = None) -> None:
            bar.update(task, advance=steps, total=total)

        yield advance


def stand_still(steps: int, total: int | None = None) -> None:
    """Nobody is watching."""
