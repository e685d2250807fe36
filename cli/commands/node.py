"""`kehu node`: one department's node, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.command import Needs, command, group
from cli.exits import Exit
from cli.output import Answer
from cli.run import Run

app = group("Run a department's node.")


@command(
    app,
    "run",
    needs=Needs.NOTHING,
    example="kehu node run /var/lib/kehu",
    json_keys=("home", "exit"),
    exits=(Exit.KEY, Exit.MACHINE),
)
def run_home(_run: Run, home: Annotated[Path, typer.Argument(metavar="HOME", help="The node's folder.")]) -> Answer:
    """Run a node until SIGTERM. Its folder is all it needs."""
    from node.process import run_node

    code = run_node(home)
    text = "stopped in order" if code == 0 else "stopped; its log says why"
    answer = {"home": str(home), "exit": code}
    return Answer(answer, lambda screen: screen.line(f"The node {text}."), Exit.MACHINE if code else Exit.OK)
