"""The errors of organisations, relations, projects and what is kept about them, and of looking at the past.

They belong to contracts.errors, and stand apart for their number.
"""

from __future__ import annotations

from chain.errors import define

RECORD_CLOSED = define(
    "record.closed", "the record is closed and takes no further changes", "register a new one, if work goes on"
)
RECORD_IN_USE = define(
    "record.in_use",
    "something that is still open or active hangs on this record",
    "close or move what `by` names first",
)
RECORD_LIMIT = define(
    "record.limit", "the record would have more of these than the limit", "close or merge what is no longer needed"
)
RECORD_NOT_YET = define(
    "record.not_yet",
    "the record was not there, or in no organisation, at that height",
    "ask for a later height; the history shows when the record came",
)
ACCESS_FUTURE = define(
    "access.future", "the height asked about is not committed yet", "ask for a height at or below the limit"
)
ACCESS_NO_VERSIONS = define(
    "access.no_versions",
    "past versions are kept of the tables that the map of a project shows, and not of this one",
    "read the present record, or its history",
)
ACCESS_NO_MEMBERS = define(
    "access.no_members",
    "records of this table do not belong to records of that one",
    "compare the two tables with docs/spec/contracts.md",
)

# Organisations, relations, projects
TREE_CYCLE = define(
    "tree.cycle", "a client department would come to lie below itself", "choose a parent outside of its own branch"
)
TREE_OTHER_ORGANISATION = define(
    "tree.other_organisation",
    "the client department belongs to another organisation",
    "choose one of the named organisation",
)
RELATION_SELF = define("relation.self", "a relation joins two customers, and these are one", "name two customers")
RELATION_KIND = define(
    "relation.kind_unknown", "the policy has no such kind of relation", "choose one of those the policy names"
)
RELATION_EXISTS = define("relation.exists", "this very relation is there and active", "update it, or close it first")
RELATION_SECOND_SUPERIOR = define(
    "relation.second_superior",
    "the customer reports to somebody already, and a person has one superior",
    "close that relation first, in the same transaction if you like",
)
RELATION_CYCLE = define(
    "relation.cycle", "a customer would come to report to somebody who reports to them", "correct the reporting line"
)
RELATION_OTHER_ORGANISATION = define(
    "relation.other_organisation",
    "this kind of relation is within one organisation, and the two are not both placed in the same one",
    "place the customers first, or choose a kind that may cross organisations",
)
PROJECT_OTHER_ORGANISATION = define(
    "project.other_organisation",
    "the customer does not belong to the organisation of the project",
    "place the customer in the project's organisation first, or name another project",
)
PROJECT_NOT_OWNER = define(
    "project.not_owner",
    "only the department that has the project in its hands may hand it over or close it",
    "ask that department, or have an administrator correct the stage",
)
PROJECT_NOT_NEIGHBOUR = define(
    "project.not_neighbour",
    "a project is handed to a neighbour in the policy's order only, forward or back",
    "hand it to one of the neighbours",
)
PROJECT_STAGE_UNKNOWN = define(
    "project.stage_unknown",
    "projects do not travel through this department",
    "choose one of those in the policy's order",
)
PROJECT_SAME_STAGE = define("project.same_stage", "the project is at this stage already", "nothing is left to do")
PARTICIPATION_EXISTS = define(
    "participation.exists", "the customer takes part in this project already", "update that participation"
)
PROGRESS_OWN = define(
    "progress.own_department",
    "progress is confirmed or answered by the other departments, and this was recorded by your own",
    "ask another department",
)
DEMAND_STATE = define(
    "demand.state",
    "a demand cannot go from its present state to this one",
    "open -> accepted or rejected; accepted -> done or rejected; done or rejected -> open",
)
PAYMENT_STATE = define(
    "payment.state", "the payment is paid or cancelled already", "record a further payment, if there is one"
)
FEEDBACK_AUTHOR = define(
    "feedback.author",
    "feedback comes from the customer, or from the administration on the customer's behalf",
    "have the administration record it",
)
FEEDBACK_STATE = define("feedback.state", "the feedback has been resolved already", "nothing is left to do")
