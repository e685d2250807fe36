"""What is a customer's own: the one limit on everything that somebody of the role `customer` may see.

A customer's id as a person is the id of the customer record, so nothing has to be looked up to know who they are.
"""

from __future__ import annotations

from typing import Final

from chain.state import View
from contracts.deciding.subjects import CUSTOMER, Subject
from contracts.projects.membership import ties_of


def is_customer(subject: Subject) -> bool:
    return subject.kind == "person" and subject.role == CUSTOMER


def own_projects(view: View, customer: str) -> list[str]:
    """The projects that the customer takes part in, in order of id."""
    return sorted(ties_of(view, "customers", customer)["projects"])


def is_own(view: View, customer: str, table: str, record: str | None) -> bool:
    """Whether the record is this customer's own; never one that does not exist yet.

    Own are the customer record, the projects the customer takes part in with their progress and the answers to it, and
    the customer's feedback. What part departments think somebody has in a project is theirs.
    """
    if record is None:
        return False
    if table == "customers":
        return record == customer
    if table == "projects":
        return record in own_projects(view, customer)
    if table in _OF_PROJECTS:
        row = view.get(table, record)
        return row is not None and row["project"] in own_projects(view, customer)
    if table == "feedback":
        row = view.get(table, record)
        return row is not None and row["customer"] == customer
    return False


_OF_PROJECTS: Final = ("progress", "progress_answers")
_BY_RECORD: Final = ("customers", "invitations", "people")
_BY_RECORD_AND_NUMBER: Final = ("answers", "logins")


def is_own_entry(customer: str, table: str, key: str) -> bool:
    """Whether an entry of the state is about this customer only, so that they may have it with its proof.

    Who worked on a record stands in other tables; `access.history` tells customers which departments did.
    """
    if table in _BY_RECORD:
        return key == customer
    return table in _BY_RECORD_AND_NUMBER and key.rpartition(".")[0] == customer
