"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]
Person = Annotated[str, typer.Argument(metavar="PERSON", help="A work id.")]
Purpose = Annotated[str, typer.Option("--purpose", metavar="WORD", help="Why; it goes on the record.")]
Region = Annotated[
    str | None, typer.Option("--region", metavar="CC", help="Country of numbers without +, two letters (CN).")
]
FieldsFile = Annotated[
    Path | None,
    typer.Option(
        "--fields", metavar="FILE", help="The fields as a JSON object, - for stdin: keeps values off the command line."
    ),
]
TransactionId = Annotated[str, typer.Argument(metavar="ID", help="64 hex digits.")]
PURPOSE_DEFAULT = "work"
