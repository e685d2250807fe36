"""Scopes: which records of a table a rule of the policy or a grant is about.

  all            every record                                                           rules and grants
  assigned       those assigned to the person (rules) or to the grant's subject         rules and grants
  department     those assigned to the person's department or to the person             rules
  project        those, and what is reached through a project in the department's       rules
                 hands or through a customer or project so assigned (contracts.deciding.reach)
  project:ID     what is reached through this project, itself included                  grants
  record:ID      this one record                                                        grants

A rule speaks of whoever works in a department, so its scopes go by ties that come and go. A grant speaks of one subject
and may also name one project or record. What belongs to a project is the same for both.
"""

from __future__ import annotations

from typing import Final

from contracts.base import TEXT_ID, Argument, matches

ALL: Final = "all"
ASSIGNED: Final = "assigned"
DEPARTMENT_SCOPE: Final = "department"
PROJECT: Final = "project"
RECORD: Final = "record"
RULE_SCOPES: Final = (ALL, ASSIGNED, DEPARTMENT_SCOPE, PROJECT)

GRANT_SCOPE: Final = Argument(
    f'"{ALL}", "{ASSIGNED}", "{PROJECT}:ID" or "{RECORD}:ID"',
    matches(f"{ALL}|{ASSIGNED}|(?:{PROJECT}|{RECORD}):{TEXT_ID}"),
)


def project_scope(project: str) -> str:
    return f"{PROJECT}:{project}"


def record_scope(record: str) -> str:
    return f"{RECORD}:{record}"


def split_scope(scope: str) -> tuple[str, str]:
    """A grant's scope as its kind and the id it names, "" if it names none."""
    kind, _, named = scope.partition(":")
    return kind, named


def missing_ties(scope: str, subject: str, person: str, department: str) -> list[str]:
    """For a record that is not in the scope: the ties of which any would bring it in. "assignment:SUBJECT", "stage:ID"
    (of a project through which it is reached), "project:ID" (it does not belong to), "record:ID" (it is not).

    subject: the grant's, or for a rule the person; person and department: subjects."""
    kind, named = split_scope(scope)
    if named:
        return [scope]
    if kind == ASSIGNED:
        return [f"assignment:{subject}"]
    both = [f"assignment:{person}", f"assignment:{department}"]
    return [*both, f"stage:{department.partition(':')[2]}"] if kind == PROJECT else both
