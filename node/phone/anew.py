"""The present number does not come in as a new one.

Whoever has a carrier asked about it is told so there (node.phone.question). But a temporary customer's number may come
without any answer, and contracts see digests and can't tell: the next answer would make whoever has the number now the
customer. So the node through which it comes looks into its vault before it lets the transaction in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from chain.errors import KehuError
from chain.state import View
from chain.transaction import Transaction
from node.phone.question import TABLE, Questions
from node.vault.values import VaultValue

CHANGE_PHONE: Final = "customers.change_phone"
FIELD: Final = "phone"

Pair: TypeAlias = tuple[Transaction, Sequence[VaultValue]]
Safeguard = Callable[[Sequence[Pair]], Awaitable[Sequence[KehuError | None]]]
"""As node.intake.admission has it."""


class NewNumbers:
    """`view()` gives the committed state."""

    def __init__(self, chain_id: bytes, questions: Questions, view: Callable[[], View]) -> None:
        self._chain_id, self._questions, self._view = chain_id, questions, view

    async def safeguard_all(self, pairs: Sequence[Pair], safeguard: Safeguard) -> list[KehuError | None]:
        """`safeguard` for the transactions whose numbers are new; phone.unchanged, or what else speaks against one, for
        the others."""
        refusals = [self._refusal(transaction, values) for transaction, values in pairs]
        good = [pair for pair, refusal in zip(pairs, refusals, strict=True) if refusal is None]
        answers = iter(await safeguard(good) if good else ())
        return [next(answers) if refusal is None else refusal for refusal in refusals]

    def _refusal(self, transaction: Transaction, values: Sequence[VaultValue]) -> KehuError | None:
        changed = [call.args.get("customer") for call in transaction.calls if call.name == CHANGE_PHONE]
        if not changed:
            return None
        try:
            for value in values:
                if (value.table, value.field) == (TABLE, FIELD) and value.record in changed:
                    digest = value.digest(self._chain_id)
                    self._questions.require_new_number(self._view(), value.record, digest, value.value)
        except KehuError as error:
            return error
        return None
