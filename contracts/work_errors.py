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
TREE_TOO_DEEP = define(
    "tree.too_deep",
    "a client department, or a customer in a line of superiors, would lie below more others than the limit",
    "choose a parent or a superior further up",
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

# Changes of membership
GOVERNANCE_CHANGE = define(
    "governance.change",
    "the change of membership lacks a part, or has one of the wrong form; an address is host:port or IP:port alone",
    "compare it with docs/spec/membership.md",
)
GOVERNANCE_EFFECT = define(
    "governance.effect",
    "the signed effect (departments, faults tolerated, quorum, set, activation) is not what the change would do now",
    "look at it again with `kehu member show` and sign what it says",
)
GOVERNANCE_BUSY = define(
    "governance.busy",
    "another change of membership is open or not active yet; there is one at a time",
    "wait until it is active, or withdraw it: `kehu member list`",
)
GOVERNANCE_UNKNOWN = define(
    "governance.unknown", "there is no such proposal", "name one of the proposals that there are"
)
GOVERNANCE_EXISTS = define("governance.exists", "this id was given to a proposal before", "choose another id")
GOVERNANCE_OVER = define(
    "governance.over",
    "the proposal is not open any more: it was accepted or withdrawn",
    "look at it, or make a new one",
)
GOVERNANCE_APPROVED = define(
    "governance.approved",
    "the department has approved this proposal already; each counts once",
    "have another department approve it",
)
GOVERNANCE_APPROVER = define(
    "governance.approver",
    "the sender may not approve changes of membership for a department",
    "have an operator approve, or one of those whom the policy names for the department",
)
GOVERNANCE_DEPARTMENT = define(
    "governance.department",
    "the department is there already, was there before, is not there, or may not be taken away",
    "choose another id for a new department; the administration stays, its key and address may change",
)
GOVERNANCE_PROTOCOL = define(
    "governance.protocol",
    "versions of the protocol follow each other one by one, and this is not the one after the newest",
    "propose the version that `expected` names; `kehu protocol show` says which one counts",
)
GOVERNANCE_TOO_FEW = define(
    "governance.too_few",
    "fewer departments would be left than agreement, or the policy's copies of values, need",
    "add a department first, or lower vault_holders_min",
)
GOVERNANCE_SOLE_VALUES = define(
    "governance.sole_values",
    "some tables' values may be held by no other department, and the policy forbids to lose them",
    "give another department a rule for all records of these tables, and wait until its vault is complete",
)
GOVERNANCE_TOO_SOON = define(
    "governance.too_soon",
    "the node's key was changed a short while ago",
    "wait until the height named, or have the departments agree on the change",
)
GOVERNANCE_TOO_MANY = define(
    "governance.too_many",
    "the node has changed its own key as often as a node may without the others",
    "have the departments agree on the change: `kehu member rotate-key`",
)
GOVERNANCE_NOTHING_DUE = define(
    "governance.nothing_due", "no accepted change waits for its height", "nothing is left to do"
)
