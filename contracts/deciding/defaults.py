"""The default policy's tables, rules and kinds for organisations, projects and what is kept about them.

The product's table of departments, row by row. Scope "project" means: in the department's hands, or assigned to it or
the person, directly or through a customer or project.
"""

from __future__ import annotations

from typing import Final

WORK_TABLES: Final = {
    "organisations": ["name", "address", "note"],
    "client_departments": ["name", "note"],
    "relations": ["note"],
    "projects": ["name", "goal", "note"],
    "participations": ["note"],
    "handovers": ["note"],
    "progress": ["text"],
    "progress_answers": ["text"],
    "demands": ["text", "answer"],
    "payments": ["amount", "paid", "note"],
    "feedback": ["text", "resolution"],
}
"""Table -> its confidential fields. The contracts need them all; a policy may add more."""

RELATION_KINDS: Final = {
    "reports_to": "organisation",
    "assists": "organisation",
    "influences": "anywhere",
    "supports": "anywhere",
    "at_odds_with": "anywhere",
}
"""Kind -> "organisation" if both ends have to be in one organisation, else "anywhere"."""

_READ: Final = ("read",)
_WRITE: Final = ("read", "change")
_ALL: Final = "all"
_PROJECT: Final = "project"

WORK_RULES: Final = (
    # Sales find clients and begin projects.
    ("sales", ("organisations", "client_departments"), _WRITE, _ALL),
    ("sales", ("relations", "projects", "participations", "handovers", "demands"), _WRITE, _PROJECT),
    ("sales", ("progress",), _READ, _PROJECT),
    ("sales", ("progress_answers",), _WRITE, _PROJECT),
    # Finance follow the payments of every project.
    (
        "finance",
        ("organisations", "client_departments", "relations", "participations", "demands", "payments", "progress"),
        _WRITE,
        _ALL,
    ),
    ("finance", ("projects", "handovers", "progress_answers"), _READ, _ALL),
    ("finance", ("projects", "handovers", "progress_answers"), _WRITE, _PROJECT),
    # Process see to the projects in their hands.
    ("process", ("organisations", "client_departments", "relations", "participations"), _READ, _PROJECT),
    ("process", ("projects", "handovers", "demands", "progress", "progress_answers"), _WRITE, _PROJECT),
    # Technical and after-sales serve: their results are answers to progress.
    *(
        rule
        for department in ("technical", "after_sales")
        for rule in (
            (department, ("organisations", "client_departments", "progress"), _READ, _PROJECT),
            (
                department,
                ("relations", "projects", "participations", "handovers", "demands", "progress_answers"),
                _WRITE,
                _PROJECT,
            ),
        )
    ),
)
"""(department, tables, actions, scope), each for all fields."""
