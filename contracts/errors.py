"""The errors of the contracts: why a call was refused, and what to do about it.

An error stops its transaction, which then changed nothing; the code stands in the receipt. A refused *read* is
not an error: it succeeds, stays on the record, and carries one of these codes in its result.
"""

from __future__ import annotations

from chain.errors import define

# Calls
CALL_UNKNOWN = define(
    "call.unknown", "no contract has a call of this name", "compare the name with docs/spec/contracts.md"
)
CALL_ARGUMENTS = define(
    "call.arguments",
    "an argument of the call is missing, unknown, of another kind or out of its limits",
    "compare the named argument with docs/spec/contracts.md",
)
CALL_POSITION = define(
    "call.position",
    "a call whose result has many rows must be the first of its transaction, or the receipt could grow too large",
    "send each list or history call in a transaction of its own",
)

# Senders
KEYS_UNKNOWN = define(
    "keys.unknown", "nobody is enrolled with the key that signed this", "have an administrator enrol the key"
)
KEYS_REVOKED = define(
    "keys.revoked",
    "the key that signed this is revoked",
    "use your current key, or have an administrator set a new one",
)
KEYS_TAKEN = define(
    "keys.taken", "the key is or was enrolled already; a key is used for one person, node or gateway only, once",
    "make a fresh key",
)  # fmt: skip
KEYS_POSSESSION = define(
    "keys.possession",
    "the proof that the new key's holder has its secret half does not verify",
    'sign encode([id, key as hex]) with the new key, purpose "key-possession", for this chain',
)
KEYS_WRONG_KIND = define(
    "keys.wrong_kind",
    "this kind of key (person, node, gateway) may not do this",
    "sign with a key of the kind that docs/spec/contracts.md names for the call",
)
NODE_WRONG_NODE = define(
    "node.wrong_node",
    "a node's own transaction came in through another department's node",
    "submit it through the node that signed it",
)

# People, departments, gateways
DEPARTMENT_UNKNOWN = define(
    "department.unknown", "the network has no department of this id", "list the departments: `kehu network status`"
)
PEOPLE_UNKNOWN = define("people.unknown", "nobody has this work id", "list the people: `kehu people list`")
PEOPLE_EXISTS = define("people.exists", "this work id was given out before", "choose another work id")
PEOPLE_REVOKED = define(
    "people.revoked", "this person has been revoked", "enrol the person anew under another work id, if that is meant"
)
PEOPLE_WRONG_NODE = define(
    "people.wrong_node",
    "a person acts through the own department's node only; this came in through another's",
    "connect to your department's node",
)
PEOPLE_CUSTOMER = define(
    "people.customer",
    "a customer's values stand in the customer's record, and end with it; the table of people has none of them",
    "use customers.update",
)
PEOPLE_ROLE = define(
    "people.role",
    "the role administrator belongs to people of the administration, and to nobody else",
    "choose another role or department",
)
PEOPLE_LAST_ADMINISTRATOR = define(
    "people.last_administrator",
    "afterwards nobody could administer the network: this is the last administrator with an active key",
    "enrol another administrator first",
)
GATEWAY_UNKNOWN = define("gateway.unknown", "no gateway has this id", "list the gateways: `kehu network status`")
GATEWAY_EXISTS = define("gateway.exists", "this gateway id was given out before", "choose another gateway id")
GATEWAY_REVOKED = define("gateway.revoked", "this gateway has been revoked already", "nothing is left to do")

# Invitations of customers
INVITATION_UNKNOWN = define(
    "invitation.unknown",
    "this customer was never invited to enrol a key",
    "have an administrator invite them: `kehu invite CUSTOMER`",
)
INVITATION_OVER = define(
    "invitation.over",
    "the invitation was redeemed or withdrawn; each counts once",
    "have an administrator invite the customer again",
)
INVITATION_EXPIRED = define(
    "invitation.expired", "the invitation has expired", "have an administrator invite the customer again"
)
INVITATION_WRONG = define(
    "invitation.wrong",
    "the code is not that of the customer's open invitation, or it was not used for this key",
    "type the code as it was given; a newer invitation makes older ones void",
)
INVITATION_PERIOD = define(
    "invitation.period",
    "an invitation expires after now and within 90 days",
    "choose another expiry",
)
PERMISSION_CUSTOMER = define(
    "permission.customer",
    "a customer's key reads what is the customer's own and sends feedback; this call is for people who work here",
    "ask the department that you work with",
)

# Permissions
PERMISSION_DENIED = define(
    "permission.denied",
    "no rule of the policy, assignment or live grant allows this",
    "ask the administration for a grant or an assignment",
)
PERMISSION_ADMINISTRATOR = define(
    "permission.administrator_only", "only an administrator may do this", "ask the administration"
)
POLICY_INVALID = define(
    "policy.invalid",
    "a part of the policy is missing, unknown, of another kind or out of its limits",
    "compare the named part with docs/spec/contracts.md",
)
GRANT_EXISTS = define("grant.exists", "this grant id was used before", "choose another grant id")
GRANT_UNKNOWN = define("grant.unknown", "there is no grant of this id", "list the grants: `kehu grants`")
GRANT_REVOKED = define("grant.revoked", "this grant has been revoked already", "nothing is left to do")
GRANT_EXPIRED = define(
    "grant.expired", "the grant would have expired before it began", "choose an expiry after the present block's time"
)
GRANT_TOO_LONG = define(
    "grant.too_long",
    "the network limits for how long a grant may be given, and this one would last longer, or without end",
    "give it again with an expiry within `duration_ms_max` from now (`kehu grant --expires`)",
)
GRANT_PURPOSE = define(
    "grant.purpose",
    "changes carry no purpose, so a grant to change for one purpose would never apply",
    'grant changes for every purpose ("*"), and the other actions by a grant of their own',
)
GRANT_SCOPE_EMPTY = define(
    "grant.scope", "no record of this table is ever in this scope",
    'grant "all" of it; the tables whose records are assigned or belong to projects are in docs/spec/contracts.md',
)  # fmt: skip
GRANT_TABLE = define(
    "grant.table", "one record or single fields can be granted of one table only",
    "name the table, or grant every field of all records, of the assigned ones or of one project's",
)  # fmt: skip
GRANT_LIMIT = define(
    "grant.limit", "a subject, scope or record would have more grants than the limit",
    "revoke grants that are no longer needed, or grant to the department",
)  # fmt: skip
ASSIGNMENT_EXISTS = define(
    "assignment.exists", "the record is assigned to this subject already", "nothing is left to do"
)
ASSIGNMENT_UNKNOWN = define(
    "assignment.unknown", "the record is not assigned to this subject", "`kehu assignments RECORD` shows to whom it is"
)
ASSIGNMENT_LIMIT = define(
    "assignment.limit", "the record would be assigned to more subjects than the limit",
    "assign it to a department instead of many people",
)  # fmt: skip

# Records
TABLE_UNKNOWN = define(
    "record.table_unknown", "there is no such table of records", "choose one of those docs/spec/contracts.md names"
)
RECORD_UNKNOWN = define(
    "record.unknown",
    "the table has no record of this id",
    "check the id: the list and search commands of the table show what you may see",
)
RECORD_EXISTS = define("record.exists", "a record of this id was registered before", "choose another id, or update it")
FIELD_UNKNOWN = define(
    "record.field_unknown",
    "the policy knows no such personal field in this table",
    "use one of the fields the policy names for the table; `--help` of the command that adds records names them",
)
FIELD_MISSING = define("record.field_missing", "a field that every such record has is missing", "add the named field")
FIELD_ABSENT = define("record.field_absent", "the record has no value for this field", "nothing is there to be read")
VERSION_CONFLICT = define(
    "record.version_conflict",
    "somebody changed the record after the version this change was made from",
    "read the record again, look at what changed, and repeat the change on its present version",
)
NOT_LISTABLE = define(
    "access.not_listable", "records of this table can't be listed by sequence", "name the record and read it"
)

# Erasure
RECORD_ERASED = define(
    "record.erased",
    "the record was erased: its values and the keys they lay under are destroyed, and only a tombstone is left",
    "nothing can bring it back; `kehu erasure status RECORD` shows when and why. A new record needs a new id",
)
ERASURE_UNKNOWN = define("erasure.unknown", "no erasure of this record was ordered", "check table and record")
ERASURE_NOT_AWAITED = define(
    "erasure.not_awaited",
    "this department has confirmed the erasure already, or had no node when it was ordered",
    "nothing is left to do",
)
ERASURE_HELD = define(
    "erasure.held",
    "a legal hold lies on the record, so nothing may erase it",
    "release the hold first, if the reason for it is gone: `kehu erasure release RECORD`",
)
ERASURE_HOLD_EXISTS = define("erasure.hold_exists", "a legal hold lies on the record already", "nothing is left to do")
ERASURE_NOT_HELD = define("erasure.not_held", "no legal hold lies on the record", "nothing is left to do")
ERASURE_NOT_DUE = define(
    "erasure.not_due",
    "the policy has no retention period for the table, or the record's has not ended by the block's time",
    "wait for the time it names, or have an administrator order the erasure",
)
ERASURE_PERSON_ACTIVE = define(
    "erasure.person_active",
    "the person still works here; without the name colleagues could not tell whose work id it is",
    "revoke the person first: `kehu people revoke PERSON`",
)

LOG_QUERY = define(
    "access.log_query",
    "a log is asked for by a record with its table, by a person, or both; logins have no record",
    "name table and record together, and none for logins",
)
SEARCH_UNKNOWN = define(
    "search.unknown",
    "there is no open search of this person and number: it never was, or it has been answered",
    "search again",
)
SEARCH_OLD = define(
    "search.old", "the search was signed too long ago; what may be shown may have changed since", "search again"
)
SEARCH_OTHER_NODE = define(
    "search.other_node",
    "a search is answered by the node of the department through which it came in",
    "search through your own department's node",
)

# Phone identity
PHONE_NO_IDENTIFIER = define(
    "phone.no_identifier",
    "no carrier's answer confirms a subscriber of the number, and the caller did not choose a temporary customer",
    "ask the carrier again, or record the customer as temporary (--temporary)",
)
PHONE_IDENTIFIER = define(
    "phone.identifier_unattested",
    "the identifier given is not the one that the attestation commits to",
    "leave the identifier out or give the attestation's; an identifier comes from a gateway only",
)
PHONE_ONLY_CHANGE_PHONE = define(
    "phone.only_by_change_phone",
    "number and identifier change only together and with the carrier's answer",
    "use customers.change_phone",
)
PHONE_UNCHANGED = define(
    "phone.unchanged",
    "the new number is the present one",
    "give the customer's new number; whether the present one is still theirs, `kehu phone check` asks",
)
PHONE_ANSWER_NEEDED = define(
    "phone.answer_needed",
    "the customer's old number belongs to somebody else now; a new one is taken only with the carrier's answer to it",
    "have a gateway ask the carrier about the new number, and send its attestation along",
)
PHONE_RECHECK_NEEDED = define(
    "phone.recheck_needed",
    "the last clear answer about the number is older than the policy allows before contact",
    "have the number checked again, then repeat the request",
)
PHONE_INVALID = define(
    "phone.invalid", "the number no longer reaches this customer", "obtain the customer's new number by another way"
)
PHONE_TEMPORARY = define(
    "phone.temporary",
    "the customer is temporary: no carrier has confirmed a subscriber of the number yet",
    "have the number checked again later",
)

# Attestations
ATTESTATION_UNSIGNED = define(
    "attestation.unsigned",
    "the attestation's signature is not that of its gateway for this chain",
    "ask the gateway again; if it recurs, inspect the gateway's key",
)
ATTESTATION_UNKNOWN_GATEWAY = define(
    "attestation.unknown_gateway", "no gateway of the attestation's id is enrolled", "have an administrator enrol it"
)
ATTESTATION_REVOKED_GATEWAY = define(
    "attestation.revoked_gateway", "the attestation's gateway has been revoked", "ask another gateway"
)
ATTESTATION_OLD = define(
    "attestation.old", "the attestation is older than the policy allows at the block's time", "ask the gateway again"
)
ATTESTATION_FUTURE = define(
    "attestation.future", "the attestation is from further ahead of the block's time than the policy allows",
    "set the gateway's clock",
)  # fmt: skip
ATTESTATION_REUSED = define(
    "attestation.reused",
    "this attestation, or a later one of the same gateway about this customer, has been used already",
    "ask the gateway again",
)
ATTESTATION_OTHER_CUSTOMER = define(
    "attestation.other_customer", "the attestation is about another customer", "ask the gateway about this customer"
)
ATTESTATION_OTHER_NUMBER = define(
    "attestation.other_number",
    "the attestation is about another number than the record's present one (or under another salt)",
    "ask the gateway about the present number with the present salt",
)
ATTESTATION_OTHER_DAY = define(
    "attestation.other_day",
    "the carrier was asked about another day than the one since which the number is known to be the customer's",
    "ask the gateway again: it takes the day from the customer's record (trusted_ms)",
)

# Vault
VAULT_NOT_HOLDER = define(
    "vault.not_holder", "a department can only release values that it is entitled to hold", "ask an entitled holder"
)
VAULT_NOT_ENTITLED = define(
    "vault.not_entitled",
    "the department that should receive the values is not entitled to hold them",
    "grant or assign the record to it first",
)

# Evidence
EVIDENCE_KNOWN = define(
    "evidence.known",
    "equivocation of this department at this height, in this view and of this kind is on the record already",
    "nothing is left to do: `kehu evidence show NAME`",
)
EVIDENCE_LIMIT = define(
    "evidence.limit",
    "there is as much evidence against this department on the record as is kept",
    "act on what is there: have the department removed from the network, or its key rotated",
)
EVIDENCE_HEIGHT = define(
    "evidence.height",
    "the state does not say which departments decided the height that the evidence is about",
    "check the evidence against the validator set of its height: docs/spec/evidence.md",
)
