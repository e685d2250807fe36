"""The chapters in the order in which they are told; each needs those before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tools.demo.chapters import (
    arrival,
    audit,
    carrier,
    conflict,
    erasure,
    figures,
    founding,
    outage,
    own,
    people,
    permissions,
    project,
)  # fmt: skip
from tools.demo.story import Story


@dataclass(frozen=True, slots=True)
class Chapter:
    name: str
    title: str
    tell: Callable[[Story], None]


CHAPTERS: Final = (
    Chapter("founding", "Six departments found a network", founding.tell),
    Chapter("people", "People get keys, are enrolled and log in", people.tell),
    Chapter("arrival", "Sales brings its customers in", arrival.tell),
    Chapter("permissions", "The administration grants and revokes", permissions.tell),
    Chapter("project", "A project travels through the departments", project.tell),
    Chapter("own", "A customer looks at what is theirs", own.tell),
    Chapter("conflict", "Two people change one record at once", conflict.tell),
    Chapter("outage", "Nodes are killed and come back", outage.tell),
    Chapter("carrier", "A number is given to somebody else", carrier.tell),
    Chapter("erasure", "A customer is forgotten", erasure.tell),
    Chapter("audit", "The auditor trusts nobody", audit.tell),
    Chapter("figures", "What it took", figures.tell),
)
