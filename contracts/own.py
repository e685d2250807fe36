"""What is a customer's own: the one limit on everything that somebody of the role `customer` may see.

A customer's id as a person is the id of the customer record, so nothing has to be looked up to know who they are.
"""

from __future__ import annotations

from chain.state import View
from contracts.subjects import CUSTOMER, Subject

OWN: dict[str, str] = {"customers": "the record itself"}
"""Tables of which some records are a customer's own."""


def is_customer(subject: Subject) -> bool:
    return subject.kind == "person" and subject.role == CUSTOMER


def is_own(_view: View, customer: str, table: str, record: str | None) -> bool:
    """Whether the record is this customer's own; never one that does not exist yet."""
    return table == "customers" and record == customer
