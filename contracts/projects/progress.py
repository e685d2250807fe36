"""Progress of projects: recorded by one department, confirmed, answered or disputed by the others, each with its time.

Who records and who answers, the policy says. An answer is a record of its own, so nobody writes into another's.
"""

from __future__ import annotations

from typing import Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import DIGESTS, DIGESTS_OR_NONE, RECORD, Args, Argument, methods, one_of
from contracts.deciding.subjects import require_person
from contracts.projects.membership import add_entry
from contracts.records import load_record
from contracts.work_errors import PROGRESS_OWN
from contracts.writing import load_open, register_record, require_writer, written

TABLE: Final = "progress"
ANSWERS: Final = "progress_answers"
CONFIRMED: Final = "confirmed"
VERDICTS: Final = (CONFIRMED, "answered", "disputed")


def record_progress(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, project = require_person(context, view), args["project"]
    stage = load_open(view, "projects", project)["stage"]
    facts = {"project": project, "stage": stage}
    record = register_record(context, view, sender, TABLE, args, facts, needed=("text",))
    require_writer(context, view, sender, TABLE, args)
    add_entry(view, "projects", project, TABLE, args["progress"])
    return {**written(TABLE, args["progress"], record), "project": project, "stage": stage}


def answer(context: CallContext, view: View, args: Args) -> codec.Value:
    """A confirmation may stand without a text; an answer or a dispute may not."""
    sender = require_person(context, view)
    progress = load_record(view, TABLE, args["progress"])
    if sender.department == progress["registered"]["department"]:
        raise KehuError(PROGRESS_OWN, progress=args["progress"], department=sender.department)
    project = progress["project"]
    load_open(view, "projects", project)
    facts = {"progress": args["progress"], "project": project, "verdict": args["verdict"]}
    needed = () if args["verdict"] == CONFIRMED else ("text",)
    record = register_record(context, view, sender, ANSWERS, args, facts, needed=needed)
    require_writer(context, view, sender, ANSWERS, args)
    add_entry(view, "projects", project, ANSWERS, args["progress_answer"])
    return {**written(ANSWERS, args["progress_answer"], record), **facts}


METHODS: Final = methods(
    ("progress.record", record_progress, {"progress": RECORD, "project": RECORD, "fields": DIGESTS}),
    (
        "progress_answers.give",
        answer,
        {
            "progress_answer": RECORD,
            "progress": RECORD,
            "verdict": Argument(f"one of {', '.join(VERDICTS)}", one_of(*VERDICTS)),
            "fields": DIGESTS_OR_NONE,
        },
    ),
)
