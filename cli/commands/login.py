"""`kehu login`: coming in, on the record."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.calling import call
from cli.command import Needs, command
from cli.exits import SIGNED
from cli.output import Answer
from cli.root import app
from cli.run import Run


@command(
    app,
    "login",
    needs=Needs.KEY,
    example="kehu login --as li-wei",
    json_keys=("person", "department", "role", "login", "time_ms", "transaction", "height"),
    exits=SIGNED,
)
async def login(
    run: Run,
    purpose: Annotated[
        str | None, typer.Option("--purpose", metavar="WORD", help="Why; it goes on the record.")
    ] = None,
) -> Answer:
    """Log in at your department's node: shows that your key works, and puts it on the ledger."""
    return await call(run, "access.login", {} if purpose is None else {"purpose": purpose})
