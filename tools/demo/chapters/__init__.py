"""The chapters in the order in which they are told; each needs those before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tools.demo.chapters import arrival, audit, carrier, conflict, figures, founding, outage, people, permissions
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
    Chapter("conflict", "Two people change one record at once", conflict.tell),
    Chapter("outage", "Nodes are killed and come back", outage.tell),
    Chapter("carrier", "A number is given to somebody else", carrier.tell),
    Chapter("audit", "The auditor trusts nobody", audit.tell),
    Chapter("figures", "What it took", figures.tell),
)
