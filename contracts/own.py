"""What is a customer's own: the one limit on everything that somebody of the role `customer` may see.

A customer's id as a person is the id of the customer record, so nothing has to be looked up to know who they are.
"""

from __future__ import annotations

from typing import Final

from chain.state import View
from contracts.subjects import CUSTOMER, Subject


def is_customer(subject: Subject) -> bool:
    return subject.kind == "person" and subject.role == CUSTOMER


def is_own(_view: View, customer: str, table: str, record: str | None) -> bool:
    """Whether the record is this customer's own; never one that does not exist yet."""
    return table == "customers" and record == customer


_BY_RECORD: Final = ("customers", "invitations", "people")
_BY_RECORD_AND_NUMBER: Final = ("answers", "logins")


def is_own_entry(view: View, customer: str, table: str, key: str) -> bool:
    """Whether an entry of the state is about this customer only, so that they may have it with its proof.

    Who worked on a record stands in other tables; `access.history` tells customers which departments did.
    """
    if table in _BY_RECORD:
        return key == customer
    if table in _BY_RECORD_AND_NUMBER:
        return key.rpartition(".")[0] == customer
    return is_own(view, customer, table, key)
