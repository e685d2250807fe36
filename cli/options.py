"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]


def work_id(text: str) -> str:
    """The work id in `text`, which may be written as a grant's subject."""
    return text.removeprefix("person:")


Person = Annotated[str, typer.Argument(metavar="PERSON", help="A work id.", parser=work_id)]
PersonOption = Annotated[
    str | None, typer.Option("--person", metavar="PERSON", help="What this one did.", parser=work_id)
]
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
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="NAME=VALUE",
        help="A field's beginning; or status=, state=, role=, overdue=, assigned=PERSON, stage=DEPARTMENT; repeat it.",
    ),
]
FiltersFile = Annotated[
    Path | None,
    typer.Option("--filters", metavar="FILE", help="Filters as a JSON object, - for stdin: off the command line."),
]
Sort = Annotated[
    str | None, typer.Option("--sort", metavar="NAME", help="A field, a fact, due, registered (default), or id.")
]
Descending = Annotated[bool, typer.Option("--descending", help="The other way round.")]
After = Annotated[
    str | None, typer.Option("--after", metavar="NEXT", help="Go on after what the page before named as next.")
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100, help="How many at most.")]
TransactionId = Annotated[str, typer.Argument(metavar="ID", help="64 hex digits.")]
PURPOSE_DEFAULT = "work"
