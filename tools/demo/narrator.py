"""What the reader of the demonstration sees: chapters, steps, commands, what each step has proven, figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TextIO

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WIDTH_WITHOUT_TERMINAL: Final = 110
COMMANDS_SHOWN_MAX: Final = 3
_INDENT: Final = 6


class Narrator:
    """Prints to one stream; colours and width are the terminal's, if it is one."""

    def __init__(self, stream: TextIO) -> None:
        width = None if stream.isatty() else WIDTH_WITHOUT_TERMINAL
        self.console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)

    def chapter(self, number: int, title: str) -> None:
        self.console.print()
        self.console.rule(Text(f" {number}  {title} ", style="bold"), align="left")

    def step(self, number: str, title: str) -> None:
        self.console.print()
        self._hang(Text(number.ljust(5), style="bold cyan"), Text(title, style="bold"), 1)

    def commands(self, shown: Sequence[str]) -> None:
        """The first few of the commands that were run."""
        for line in shown[:COMMANDS_SHOWN_MAX]:
            self._hang(Text("$"), Text(line), _INDENT, style="dim")
        if len(shown) > COMMANDS_SHOWN_MAX:
            self._hang(Text(" "), Text(f"... and {len(shown) - COMMANDS_SHOWN_MAX} more of this kind"), _INDENT, "dim")

    def says(self, text: str) -> None:
        self._hang(Text("-"), Text(text), _INDENT)

    def proven(self, text: str, seconds: float) -> None:
        line = Text(text)
        line.append(f"  ({seconds:.1f} s)", style="dim")
        self._hang(Text("✓", style="bold green"), line, _INDENT)

    def line(self, text: str = "", style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Chinese characters take two columns; Rich counts them so."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(Text(column), overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self.console.print(Padding(table, (0, 0, 0, _INDENT)))

    def failed(self, facts: Sequence[tuple[str, str]]) -> None:
        self.console.print()
        self.line("This step does not hold", style="bold red")
        for name, text in facts:
            self._hang(Text(name.ljust(9), style="bold"), Text(text), 2)

    def _hang(self, mark: Text, text: Text, indent: int, style: str = "") -> None:
        """`mark`, and `text` beside it with a hanging indent."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(mark, text, style=style)
        self.console.print(Padding(grid, (0, 0, 0, indent)))
