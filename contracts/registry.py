"""The contract table: every call by its name, and the state before the first block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chain import codec
from chain.errors import KehuError
from chain.execution import BlockFacts, CallContext, Contracts
from chain.genesis import Genesis
from chain.protocol import FIRST
from chain.state import View
from chain.transaction import Call, Transaction
from contracts.base import ADMINISTRATION, Method, shown_name
from contracts.deciding import explanations, grants
from contracts.deciding.subjects import home_of
from contracts.departments import evidence, governance, vault, vote_losses
from contracts.departments.activation import activate_due
from contracts.departments.features import CALLS
from contracts.erasing import erasure, holds, retention
from contracts.errors import CALL_UNKNOWN
from contracts.genesis import write_genesis
from contracts.people import customers, gateways, invitations, people, phone_identity
from contracts.projects import (
    demands,
    feedback,
    organisations,
    own_projects,
    participations,
    payments,
    progress,
    projects,
    relations,
)
from contracts.reading import access, contact, history, logs, matches, members, searches
from contracts.reading.journals import write_journals

METHODS: Final[Mapping[str, Method]] = {
    **people.METHODS,
    **gateways.METHODS,
    **customers.METHODS,
    **invitations.METHODS,
    **own_projects.METHODS,
    **phone_identity.METHODS,
    **grants.METHODS,
    **access.METHODS,
    **explanations.METHODS,
    **logs.METHODS,
    **searches.METHODS,
    **matches.METHODS,
    **history.METHODS,
    **contact.METHODS,
    **vault.METHODS,
    **erasure.METHODS,
    **holds.METHODS,
    **retention.METHODS,
    **organisations.METHODS,
    **relations.METHODS,
    **projects.METHODS,
    **participations.METHODS,
    **progress.METHODS,
    **demands.METHODS,
    **payments.METHODS,
    **feedback.METHODS,
    **members.METHODS,
    **governance.METHODS,
    **evidence.METHODS,
    **vote_losses.METHODS,
}


class ContractTable:
    """What chain.execution takes as `Contracts`."""

    def write_genesis(self, view: View, genesis: Genesis) -> None:
        write_genesis(view, genesis)
        write_journals(view)

    def home_of(self, view: View, transaction: Transaction) -> str | None:
        """Whose key is unknown belongs nowhere yet; customers who come in with it come in at the administration's."""
        if any(call.name == invitations.REDEEM for call in transaction.calls):
            return ADMINISTRATION
        return home_of(view, transaction.key)

    def begin_block(self, facts: BlockFacts, view: View) -> None:
        activate_due(view, facts.height)

    def call(self, context: CallContext, view: View, call: Call) -> codec.Value:
        method = METHODS.get(call.name)
        if method is None or context.protocol < CALLS.get(call.name, FIRST):
            raise KehuError(CALL_UNKNOWN, call=shown_name(call.name))
        return method(context, view, call.args)

    def end_block(self, view: View) -> None:
        write_journals(view)


def require_arguments(call: Call) -> None:
    """For whoever makes a call and wants to know before it is sent. Errors: call.unknown, call.arguments."""
    method = METHODS.get(call.name)
    if method is None:
        raise KehuError(CALL_UNKNOWN, call=shown_name(call.name))
    method.require_arguments(call.args)


def contract_table() -> Contracts:
    return ContractTable()
