"""A node that lost its vote log says so on the record; the blocks that carry this are what it waits for."""

from __future__ import annotations

from typing import Final

from chain import codec
from chain.execution import CallContext
from chain.state import View
from contracts.base import HEIGHT, Args, methods, next_number, stamp
from contracts.deciding.subjects import require_kind

REPORT_CALL: Final = "votes.report_loss"


def report_loss(context: CallContext, view: View, args: Args) -> codec.Value:
    """By a department's node, about itself. Writes vote_losses/DEPARTMENT.N."""
    department = require_kind(context, view, "node").department
    number = next_number(view, f"vote_losses.{department}")
    view.put("vote_losses", f"{department}.{number}", {"votes_from": args["votes_from"], **stamp(context)})
    return {"department": department, "number": number, "votes_from": args["votes_from"]}


METHODS: Final = methods((REPORT_CALL, report_loss, {"votes_from": HEIGHT}))
