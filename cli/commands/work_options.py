"""Arguments and options that the commands of organisations and projects share."""

from __future__ import annotations

from typing import Annotated

import typer

Fields = Annotated[list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="Its texts, each sealed by itself.")]
Id = Annotated[str | None, typer.Option("--id", metavar="ID", help="The new record's id (default: a random one).")]
Expect = Annotated[
    int | None,
    typer.Option(
        "--expect", metavar="VERSION", min=1, help="The version your change is made from (default: the present one)."
    ),
]
Organisation = Annotated[str, typer.Argument(metavar="ORGANISATION", help="The organisation's id.")]
Department = Annotated[str, typer.Argument(metavar="DEPARTMENT", help="The client department's id.")]
Relation = Annotated[str, typer.Argument(metavar="RELATION", help="The relation's id.")]
Project = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's id.")]
Participation = Annotated[str, typer.Argument(metavar="PARTICIPATION", help="The participation's id.")]
Weight = Annotated[int | None, typer.Option("--weight", metavar="N", min=0, max=100, help="How much it weighs.")]
OfProject = Annotated[str | None, typer.Option("--project", metavar="PROJECT", help="The project it belongs to.")]
