"""A customer's way in to the projects they take part in: which of them the administration has let them see."""

from __future__ import annotations

from typing import Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import PURPOSE, Args, methods
from contracts.deciding.own import is_customer, own_projects
from contracts.deciding.permissions import Case
from contracts.deciding.subjects import require_person_or_customer
from contracts.errors import KEYS_WRONG_KIND
from contracts.reading.accesses import record_access

TABLE: Final = "projects"


def list_own(context: CallContext, view: View, args: Args) -> codec.Value:
    """Ids of the sender's own projects of which they may read anything; each gets its row of accesses."""
    sender = require_person_or_customer(context, view)
    if not is_customer(sender):
        raise KehuError(KEYS_WRONG_KIND, expected="customer", actual=sender.role)
    case = Case(view, sender, "read", TABLE, args["purpose"], context.time_ms)
    shown = [project for project in own_projects(view, sender.id) if case.decide(project, None).allowed]
    for project in shown:
        record_access(context, view, sender, TABLE, project, "own", args["purpose"], {})
    return {"customer": sender.id, "projects": shown}


METHODS: Final = methods(("access.own_projects", list_own, {"purpose": PURPOSE}))
