"""Relations between customers: who reports to, assists, influences, supports or is at odds with whom.

superiors/<customer>           {relation, to}: whom the customer reports to, one person at most
relation_index/<from>.<kind>.<to>  {relation}: the active relation of this kind between the two
"""

from __future__ import annotations

from typing import Final

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.state import View
from contracts.base import DIGESTS_OR_NONE, RECORD, VERSION, Args, methods
from contracts.deciding.policy import REPORTS_TO, WITHIN, load_policy
from contracts.deciding.subjects import require_person
from contracts.projects.membership import (
    RELATIONS_MAX,
    add_entry,
    add_entry_once,
    require_level,
    require_room,
    tie,
    untie,
)
from contracts.records import Record, load_record
from contracts.work_errors import (
    RELATION_CYCLE,
    RELATION_EXISTS,
    RELATION_KIND,
    RELATION_OTHER_ORGANISATION,
    RELATION_SECOND_SUPERIOR,
    RELATION_SELF,
)
from contracts.writing import (
    CLOSED,
    WEIGHT,
    WORD,
    begin_change,
    finish_change,
    new_facts,
    register_record,
    require_writer,
    written,
)

TABLE: Final = "relations"
_PAIRS: Final = "relation_index"
_SUPERIORS: Final = "superiors"


def register(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, one, other, kind = require_person(context, view), args["from"], args["to"], args["kind"]
    if one == other:
        raise KehuError(RELATION_SELF, customer=one)
    places = [load_record(view, "customers", customer).get("organisation") for customer in (one, other)]
    _require_kind(view, kind, places)
    _require_new(context, view, one, kind, other)
    facts = new_facts(**{"from": one, "to": other, "kind": kind, "weight": args["weight"]})
    record = register_record(context, view, sender, TABLE, args, facts)
    for customer in (one, other):
        require_room(context, view, customer, TABLE)
    _enter(view, args["relation"], record, places)
    require_writer(context, view, sender, TABLE, args)
    return written(TABLE, args["relation"], record)


def _require_kind(view: View, kind: str, places: list[str | None]) -> None:
    kinds = load_policy(view)["relation_kinds"]
    if kind not in kinds:
        raise KehuError(RELATION_KIND, kind=kind, expected=", ".join(sorted(kinds)))
    if kinds[kind] == WITHIN and (places[0] is None or places[0] != places[1]):
        raise KehuError(RELATION_OTHER_ORGANISATION, kind=kind, expected=places[0], actual=places[1])


def _require_new(context: CallContext, view: View, one: str, kind: str, other: str) -> None:
    """That the relation is not there, does not close a circle of superiors and makes no endless line of them."""
    row = view.get(_PAIRS, f"{one}.{kind}.{other}")
    if row is not None:
        raise KehuError(RELATION_EXISTS, relation=row["relation"])
    if kind != REPORTS_TO:
        return
    row = view.get(_SUPERIORS, one)
    if row is not None:
        raise KehuError(RELATION_SECOND_SUPERIOR, customer=one, relation=row["relation"], superior=row["to"])
    above: str | None = other
    level = 0
    while above is not None:
        if above == one:
            raise KehuError(RELATION_CYCLE, customer=one, superior=other)
        level += 1
        require_level(context, level, one)
        row = view.get(_SUPERIORS, above)
        above = None if row is None else row["to"]


def _enter(view: View, relation: str, record: Record, places: list[str | None]) -> None:
    one, other, kind = record["from"], record["to"], record["kind"]
    view.put(_PAIRS, f"{one}.{kind}.{other}", {"relation": relation})
    if kind == REPORTS_TO:
        view.put(_SUPERIORS, one, {"relation": relation, "to": other})
    for customer, opposite in ((one, other), (other, one)):
        tie(view, "customers", customer, "relations", relation, opposite, RELATIONS_MAX)
        add_entry(view, "customers", customer, TABLE, relation)
    for organisation in places:
        if organisation is not None:
            add_entry_once(view, "organisations", organisation, TABLE, relation)


def update(context: CallContext, view: View, args: Args) -> codec.Value:
    """Weight and note; whom it joins and how stays: that is another relation."""
    sender, record = begin_change(context, view, TABLE, args)
    return finish_change(context, view, sender, TABLE, args, record, {"weight": args["weight"]})


def close(context: CallContext, view: View, args: Args) -> codec.Value:
    sender, record = begin_change(context, view, TABLE, args)
    leave(view, args["relation"], record)
    return finish_change(context, view, sender, TABLE, args, record, {"status": CLOSED})


def leave(view: View, relation: str, record: Record) -> None:
    """The two customers are free for another relation of this kind."""
    view.delete(_PAIRS, f"{record['from']}.{record['kind']}.{record['to']}")
    if record["kind"] == REPORTS_TO:
        view.delete(_SUPERIORS, record["from"])
    for customer in (record["from"], record["to"]):
        untie(view, "customers", customer, "relations", relation)


METHODS: Final = methods(
    (
        "relations.register",
        register,
        {"relation": RECORD, "from": RECORD, "to": RECORD, "kind": WORD, "weight": WEIGHT, "fields": DIGESTS_OR_NONE},
    ),
    ("relations.update", update, {"relation": RECORD, "version": VERSION, "weight": WEIGHT, "fields": DIGESTS_OR_NONE}),
    ("relations.close", close, {"relation": RECORD, "version": VERSION}),
)
