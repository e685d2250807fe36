"""The JSON of the API, in and out. openapi.json is made from these classes.

Bytes are lower-case hex, envelopes base64. Unknown members are refused, nothing is coerced, and what was sent never
stands in an error.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

WAIT_MS_DEFAULT = 10_000

Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Height = Annotated[int, Field(ge=0)]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Problem(Model):
    """RFC 9457. `code` is stable; `details` carries ids, limits and compared values, never a personal one."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    cure: str
    details: dict[str, Any]
    request: str | None = None


class ValueBody(Model):
    """A personal value with the salt of its digest; it goes to the vaults and never to the chain."""

    table: Name
    record: Name
    field: Name
    salt: Hex32
    value: Annotated[str, Field(max_length=16 << 10)]


class SubmitBody(Model):
    """`wait`: answer once admitted, or once committed or `timeout_ms` is over, whichever comes first."""

    transactions: Annotated[list[str], Field(min_length=1)]
    values: list[ValueBody] = []
    wait: Literal["admitted", "committed"] = "committed"
    timeout_ms: Annotated[int, Field(ge=0)] = WAIT_MS_DEFAULT


class ReceiptAnswer(Model):
    """`code` is "ok" or why the transaction changed nothing; then `failed_call` counts its calls from 0."""

    code: str
    failed_call: int | None
    results: list[Any]
    details: dict[str, Any]


class TransactionAnswer(Model):
    """committed: in a block, with its receipt (which may say that it changed nothing). pending: it may still
    commit, ask again. refused: this node did not take it, `error` says why. unknown: this node has not seen it."""

    id: Hex32 | None
    status: Literal["committed", "pending", "refused", "unknown"]
    height: Height | None = None
    index: int | None = None
    receipt: ReceiptAnswer | None = None
    error: Problem | None = None


class SubmitAnswer(Model):
    transactions: list[TransactionAnswer]


class ValuesAnswer(Model):
    """What a committed access call was allowed to see; check each digest against the receipt."""

    transaction: Hex32
    values: list[ValueBody]


class FilterBody(Model):
    """field: the value of the personal field `name` begins with `text`. fact: the public fact `name` is `text`.
    assigned: the record is assigned to the subject `text`. stage: it is reached through a project in the hands of the
    department `text`. overdue: it is a payment that is overdue (`text` "true") or not ("false") at the time of the
    block that has the search. Of the latter three `name` is empty."""

    kind: Literal["field", "fact", "assigned", "stage", "overdue"]
    name: Annotated[str, Field(max_length=64)]
    text: Annotated[str, Field(max_length=256)]


class SortBody(Model):
    """id: by the record's id; `name` is empty."""

    kind: Literal["field", "fact", "id"]
    name: Annotated[str, Field(max_length=64)]


class QueryBody(Model):
    """All filters must fit. `after`: the record after which the page begins."""

    where: Annotated[list[FilterBody], Field(max_length=8)]
    sort: SortBody
    descending: bool
    after: Annotated[str, Field(max_length=64)] | None


class SearchBody(Model):
    """`search`: the number that access.search gave; `salt` and `query`: what its digest was made from."""

    search: Annotated[int, Field(ge=1)]
    salt: Hex32
    query: QueryBody


class SearchAnswer(Model):
    """`transaction`: the node's, in which what was found stands; its proof and values are asked for as of a read.
    `next`: pass it as `after` of the next search; null at the end."""

    transaction: Hex32
    height: Height
    next: str | None


class CallBody(Model):
    name: Annotated[str, Field(max_length=64)]
    args: dict[str, Any]


class PreviewBody(Model):
    """Changes of permissions (permissions.*) that are to be tried out, in order."""

    calls: Annotated[list[CallBody], Field(min_length=1, max_length=16)]


class DifferenceBody(Model):
    """The person would gain or lose the action on the field of so many records."""

    person: str
    department: str
    table: str
    action: str
    field: str
    gained: int
    lost: int


class PreviewAnswer(Model):
    """`people`: how many were looked at; `left_out`: how many more the change may concern."""

    height: Height
    people: int
    left_out: int
    differences: list[DifferenceBody]


class AttestBody(Model):
    """A number about to be recorded, with the salt that its record will have: 32 secret random bytes."""

    customer: Name
    phone: Annotated[str, Field(min_length=1, max_length=64)]
    phone_salt: Hex32


class AttestAnswer(Model):
    """`attestation`: canonical bytes of the value that customers.register takes, one attestation or a list of several
    gateways'. `outcome`: what most of them say. The identifier that was found is personal: the node brings it with the
    transaction that brings this. `reason`: why this node's own platform gave no answer."""

    attestation: str
    outcome: Literal["found", "none", "same", "changed", "no_answer"]
    reason: str | None


class CheckBody(Model):
    """`max_age_ms`: an answer younger than this is good enough; if left out, the carrier is asked in any case."""

    customer: Name
    max_age_ms: Annotated[int, Field(ge=0)] | None = None


class CheckAnswer(BaseModel):
    """What the node found out about a recorded number; the record's public status."""

    model_config = ConfigDict(extra="allow")
    customer: str


class DueItem(Model):
    """`sequence`: the place in the order of registration. `checked_ms`: of the last clear answer, `asked_ms`: of the
    last question, whether or not it was answered."""

    customer: str
    sequence: int
    status: str
    checked_ms: int | None
    asked_ms: int | None


class DueAnswer(Model):
    """`next`: pass it as `after` for the page that follows, which may be empty; null at the end. `sweep_age_ms`: the
    policy's, beyond which an answer is old."""

    items: list[DueItem]
    next: int | None
    sweep_age_ms: int


class DuplicatesBody(Model):
    """Numbers in E.164, about to be recorded. `purpose`: why; it goes on the record with what is found."""

    phones: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(min_length=1, max_length=100)]
    purpose: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]


class DuplicatesAnswer(Model):
    """For each number, in order, at most five customers that have it and whose phone the asker may read."""

    customers: list[list[str]]


class HealthAnswer(Model):
    status: Literal["ok", "ready", "not ready"]


class StatusAnswer(Model):
    """`node`: what the node says of its own work: peers, view, queues. Public facts only."""

    network: str
    chain_id: Hex32
    department: str
    height: Height
    block_id: Hex32
    block_time_ms: int
    state_root: Hex32
    now_ms: int
    node: dict[str, Any]


class FindingAnswer(Model):
    """`code` is stable (docs/doctor.md); `level`: still, act or note."""

    code: str
    level: Literal["still", "act", "note"]
    text: str
    details: dict[str, Any]


class WhyAnswer(Model):
    """Why the network does or does not progress. The first finding is the headline."""

    headline: str
    findings: list[FindingAnswer]
    facts: dict[str, Any]


class MembershipAnswer(Model):
    """Who decides the next height, and what changes: public facts (docs/spec/membership.md). `next`: the set that is
    accepted and not active yet. `changes`: by epoch, the transaction whose receipt holds the set."""

    height: int
    epoch: int
    n: int
    f: int
    quorum: int
    members: list[dict[str, Any]]
    next: dict[str, Any] | None
    proposal: dict[str, Any] | None
    changes: list[dict[str, Any]]


class NodeSpeaks(Model):
    """`speaks`: the oldest and the newest version of the protocol that the department's software speaks, as its node
    last told this one; null if it has told nothing yet."""

    department: str
    speaks: list[int] | None


class ProtocolAnswer(Model):
    """Which version of the rules counts at the next height; `next`: the one agreed on that does not count yet (version,
    activation_height); what software speaks, this node's (`department`) first (docs/spec/protocol.md)."""

    height: int
    version: int
    next: dict[str, int] | None
    department: str
    speaks: list[int]
    quorum: int
    nodes: list[NodeSpeaks]


class GenesisAnswer(Model):
    """`chain_id` is the digest of the canonical bytes of `genesis`; compare it with the one you were told."""

    chain_id: Hex32
    genesis: dict[str, Any]


class StateAnswer(Model):
    """One value of the committed state. `raw`: its canonical bytes (null: absent). `proof`: chain.light.StateProof."""

    table: str
    key: str
    height: Height
    value: dict[str, Any] | None
    raw: str | None
    proof: str | None = None


class ListItem(Model):
    """A record's id and public facts; field digests are left out."""

    id: str
    facts: dict[str, Any]


class ListAnswer(Model):
    """`next`: pass it as `after` for the page that follows; null at the end."""

    height: Height
    items: list[ListItem]
    next: str | None
