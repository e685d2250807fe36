"""The world of `test_api_reveals`: records of several tables whose every value is a secret that can be recognised, and
somebody who hears everything that the API says to them, byte for byte."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from chain.attestation import FOUND, phone_digest_of, sign_attestation
from chain.records import field_digest
from chain.transaction import Call
from contracts.deciding.policy import default_policy
from contracts.people.invitations import INVITATION_PURPOSE, invitation_digest, invitation_key, invitation_payload
from contracts.records import RECORD_ARGUMENTS
from node.vault.store import Vault
from node.vault.values import VaultValue
from tests.node.api.conftest import Answer, Api
from tests.node.api.fake_node import DEPARTMENTS, PEOPLE, TIME_MS, FakeNode, key_of

SALT: Final = bytes(32)
CUSTOMER: Final = "c1"
"""A customer with a key of their own, who takes part in p1."""
ASKERS: Final = PEOPLE | {CUSTOMER: ("administration", "customer")}
CUSTOMERS: Final = {"c1": "li", "c2": "wang", "c3": "qian"}
"""Customer -> whose."""
FIELDS: Final = {
    "customers": ("name", "phone", "identifier", "note"),
    "organisations": ("name", "note"),
    "projects": ("name", "goal"),
    "demands": ("text",),
    "progress": ("text",),
    "payments": ("amount", "note"),
}
"""Table -> the fields that its records have here."""
RECORDS: Final = {
    "customers": tuple(CUSTOMERS),
    "organisations": ("o1",),
    "projects": ("p1",),
    "demands": ("n1", "n2"),
    "progress": ("r1",),
    "payments": ("y1",),
}
MEMBERS: Final = {
    ("projects", "p1", "demands"): ("n1",),
    ("projects", "p1", "payments"): ("y1",),
    ("projects", "p1", "progress"): ("r1",),
    ("customers", "c1", "demands"): ("n1",),
    ("organisations", "o1", "customers"): ("c1",),
    ("organisations", "o1", "projects"): ("p1",),
}
"""(table of the owner, owner, table of the members) -> members."""
CHANGED: Final = {"customers": "note", "projects": "goal"}
"""Table -> the field of its first record that was changed after the height `before`."""
SEARCHED: Final = {"customers": ("name", "phone"), "projects": ("name",), "demands": ("text",), "progress": ("text",)}
ALL: Final = [
    (table, record, field) for table, fields in FIELDS.items() for record in RECORDS[table] for field in fields
]

Value = tuple[str, str, str]
"""Table, record, field."""


def secret(table: str, record: str, field: str, *, is_old: bool = False) -> str:
    """Nothing else in the world holds these texts, and none is part of another."""
    if field == "phone":
        return f"+861380000900{record[1:]}"
    return f"secret-{'old' if is_old else 'new'}-{table}-{field}-of-{record}-end"


def start_of(field: str) -> str:
    """With which every secret of a field begins, so that only permission keeps records apart."""
    return "+861380000900" if field == "phone" else "secret-"


class _Shelved:
    """A real vault where the fake node keeps its values."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def put(self, chain_id: bytes, value: VaultValue) -> None:
        self._vault.put_live([(value, value.digest(chain_id))])

    def get(self, table: str, record: str, field: str, digest: bytes) -> VaultValue | None:
        return self._vault.get(table, record, field, digest)

    @property
    def values(self) -> dict[str, VaultValue]:
        """The customers' numbers, as the look-up of duplicates asks for them."""
        return {
            one: VaultValue("customers", one, "phone", SALT, secret("customers", one, "phone")) for one in CUSTOMERS
        }


@contextmanager
def node_with_a_vault() -> Iterator[FakeNode]:
    with tempfile.TemporaryDirectory() as folder:
        node = FakeNode(commits_at_once=True)
        vault = Vault.open(Path(folder), node.genesis.chain_id, key_of("node sales"))
        node.shelf = _Shelved(vault)  # type: ignore[assignment]
        try:
            yield node
        finally:
            vault.close()


def stock(node: FakeNode, policy: list[Any], grants: list[Any], assigned: list[tuple[str, str, str]]) -> int:
    """The height before p1 and c1 were changed."""
    for customer, sender in CUSTOMERS.items():
        _register_customer(node, customer, sender)
    _begin_work(node)
    _enrol_customer(node)
    before = node.ledger.height
    _make(node, "qian", "projects.update", "projects", "p1", ("goal",), version=_version(node, "projects", "p1"))
    _make(node, "li", "customers.update", "customers", "c1", ("note",), version=_version(node, "customers", "c1"))
    for number, terms in enumerate(grants):
        purpose = "*" if "change" in terms["actions"] else terms["purpose"]
        node.enact("boss", Call("permissions.grant", {"grant": f"g{number}", **terms, "purpose": purpose}))
    for table, record, subject in dict.fromkeys(assigned):
        args = {"table": table, "record": record, "subject": subject}
        if subject not in _assigned(node, table, record):
            node.enact("boss", Call("permissions.assign", args))
    node.enact("boss", Call("permissions.set_policy", {"policy": default_policy(DEPARTMENTS) | {"rules": policy}}))
    return before


def _assigned(node: FakeNode, table: str, record: str) -> Any:
    from chain.state import View
    from contracts.deciding.entitlements import assignments

    return assignments(View(node.ledger.state.get), table, record)


def _version(node: FakeNode, table: str, record: str) -> int:
    from chain.state import View

    row = View(node.ledger.state.get).get(table, record)
    assert row is not None
    return int(row["version"])


def _digests(node: FakeNode, table: str, record: str, fields: tuple[str, ...], *, is_old: bool = False) -> Any:
    """Puts the secrets into the vault."""
    chain_id, found = node.genesis.chain_id, {}
    for field in fields:
        text = secret(table, record, field, is_old=is_old)
        node.shelf.put(chain_id, VaultValue(table, record, field, SALT, text))
        found[field] = field_digest(chain_id, table, record, field, SALT, text)
    return found


def _make(
    node: FakeNode, sender: str, call: str, table: str, record: str, fields: tuple[str, ...], **facts: Any
) -> None:
    is_old = "version" not in facts and record == RECORDS[table][0]
    old = tuple(field for field in fields if is_old and CHANGED.get(table) == field)
    digests = _digests(node, table, record, tuple(field for field in fields if field not in old))
    digests |= _digests(node, table, record, old, is_old=True)
    node.enact(sender, Call(call, {RECORD_ARGUMENTS[table]: record, "fields": digests, **facts}))


def _begin_work(node: FakeNode) -> None:
    _make(node, "li", "organisations.register", "organisations", "o1", FIELDS["organisations"])
    place = {"customer": "c1", "version": 1, "organisation": "o1", "client_department": None}
    node.enact("li", Call("customers.place", place))
    _make(node, "li", "projects.register", "projects", "p1", FIELDS["projects"], organisation="o1")
    part = {"role": "sponsor", "right": "decides", "weight": None, "stance": "supports", "fields": {}}
    node.enact("li", Call("participations.register", {"participation": "t1", "project": "p1", "customer": "c1"} | part))
    _make(node, "li", "demands.register", "demands", "n1", FIELDS["demands"], customer="c1", project="p1")
    _make(node, "wang", "demands.register", "demands", "n2", FIELDS["demands"], customer="c2", project=None)
    note = field_digest(node.genesis.chain_id, "handovers", "h1", "note", SALT, "note")
    handover = {"handover": "h1", "project": "p1", "version": 1, "to": "finance", "fields": {"note": note}}
    node.enact("li", Call("handovers.make", handover))
    _make(node, "qian", "progress.record", "progress", "r1", FIELDS["progress"], project="p1")
    due = {"project": "p1", "currency": "CNY", "due_ms": TIME_MS}
    _make(node, "qian", "payments.register", "payments", "y1", FIELDS["payments"], **due)


def _register_customer(node: FakeNode, record: str, sender: str) -> None:
    """A valid customer, so that contact can give the number out."""
    fields = tuple(field for field in FIELDS["customers"] if record != "c1" or field != "note")
    digests = _digests(node, "customers", record, fields)
    if record == "c1":
        digests |= _digests(node, "customers", record, ("note",), is_old=True)
    attestation = sign_attestation(
        key_of("gateway"),
        node.genesis.chain_id,
        customer=record,
        phone_digest=phone_digest_of(node.genesis.chain_id, record, SALT, secret("customers", record, "phone")),
        outcome=FOUND,
        identifier_digest=digests.pop("identifier"),
        carrier="carrier",
        time_ms=node.now_ms(),
        gateway="g1",
        nonce=record.encode() * 8,
    )
    args = {"customer": record, "fields": digests, "attestation": attestation.to_value(), "temporary": False}
    node.enact(sender, Call("customers.register", args))


def _enrol_customer(node: FakeNode) -> None:
    key, code = invitation_key(CUSTOMER, b"twenty secret bytes!"), node.now_ms() + 1_000_000
    digest = invitation_digest(CUSTOMER, key.public)
    node.enact("boss", Call("customers.invite", {"customer": CUSTOMER, "digest": digest, "expires_ms": code}))
    payload = invitation_payload(CUSTOMER, key_of(CUSTOMER).public)
    proof = key.sign(INVITATION_PURPOSE, node.genesis.chain_id, payload)
    args = {"customer": CUSTOMER, "invitation": key.public.hex(), "proof": proof}
    transaction = node.transaction(CUSTOMER, Call("customers.redeem_invitation", args))
    node.pending[transaction.id], node.department = transaction, "administration"
    node.commit()


class Asker:
    """Everything that the API said to somebody. `paths`: what was asked, as the route table writes it."""

    def __init__(self, api: Api, person: str) -> None:
        self.api, self.person = api, person
        self.heard: list[bytes] = []
        api.node.department = ASKERS[person][0]

    async def signed(self, method: str, path: str, body: Any = None) -> Answer:
        raw = None if body is None else json.dumps(body).encode()
        answer = await self.api.signed(method, path, raw, key=key_of(self.person))
        self.heard.append(answer.body)
        return answer

    async def execute(self, name: str, args: dict[str, Any]) -> Answer:
        """Submits a call and asks for its values; the answer to the submission."""
        transaction = self.api.node.transaction(self.person, Call(name, args))
        body = {"transactions": [base64.b64encode(transaction.raw).decode()]}
        answer = await self.api.post("/v1/transactions", body)
        self.heard.append(answer.body)
        assert answer.json["transactions"][0]["receipt"]["code"] == "ok", answer.body
        await self.signed("GET", f"/v1/transactions/{transaction.id.hex()}/values")
        return answer

    def seen(self) -> set[Value]:
        everything = b"".join(self.heard)
        assert b"secret-old-" not in everything, "a value that was changed since is shown"
        return {one for one in ALL if secret(*one).encode() in everything}
