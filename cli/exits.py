"""What the command's exit code says. The numbers are part of the contract in docs/cli.md.

A code follows from the error's code, and from who said no: what a node or the contracts refuse is 1, unless it
is a conflict, the carrier's or nobody's to know.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from chain.errors import KehuError


class Exit(IntEnum):
    OK = 0
    REFUSED = 1
    """A contract, a permission or a node said no; nothing was changed."""
    USAGE = 2
    """The command line or a value on it is wrong; nothing was sent."""
    CONFLICT = 3
    """Somebody else changed the record first; nothing was changed."""
    UNKNOWN = 4
    """No node could be reached, or nobody knows yet what became of a transaction."""
    UNVERIFIED = 5
    """A proof, a value or a chain does not check: don't rely on what was shown."""
    KEY = 6
    """The key file or its passphrase."""
    CARRIER = 7
    """The carrier gave no answer."""
    MACHINE = 8
    """Files, folders, ports or processes on this machine."""
    PARTIAL = 9
    """Done, but something was left out: faulty rows, nodes that did not come up."""
    DEFECT = 70
    """A defect of Kehu; please report it."""
    INTERRUPTED = 130


SIGNED: Final = (Exit.REFUSED, Exit.USAGE, Exit.UNKNOWN, Exit.UNVERIFIED, Exit.KEY, Exit.MACHINE)
"""What every command that signs a transaction may end with."""


class RemoteRefusal(KehuError):  # noqa: N818 - it is a refusal
    """What a node's problem document or a failed receipt said. `answers`: where the node refused the
    transactions and not the request as a whole, what it says of each."""

    answers: list[Any] | None = None


_CONFLICTS: Final = frozenset({"record.version_conflict"})
_INTERRUPTED: Final = frozenset({"command.interrupted", "import.interrupted"})
_UNKNOWN: Final = frozenset(
    {
        "node.unreachable",
        "node.answer_malformed",
        "transaction.unknown_outcome",
        "audit_source.unreachable",
    }
)
_FAILED_ON_THE_WAY: Final = frozenset({"node.fault", "node.outcome_unknown", "http.timeout"})
_REFUSED: Final = frozenset(
    {"simulator.admin_refused", "evidence.unknown", "record.absent", "record.absent_proven", "record.duplicate"}
)
_KEY: Final = ("key.file_", "key.passphrase_", "key.name_", "passphrase.", "backup.passphrase_")
_UNVERIFIED: Final = (
    "proof.", "certificate.", "audit.", "block.", "evidence.", "export.", "signature.", "codec.", "backup.",
)  # fmt: skip
_USAGE: Final = ("phone.", "usage.", "import.", "vault.value_", "call.arguments", "search.query")
_MACHINE: Final = (
    "machine.",
    "profile.",
    "proof_file.",
    "network.",
    "config.",
    "storage.",
    "genesis.",
    "checkpoint.",
    "audit_source.",
    "protocol.",
    "simulator.",
    "restore.",
)


def is_uncertain(error: RemoteRefusal) -> bool:
    """Whether a node that says this may have let the transaction in nevertheless: it, its disk or the connection failed
    on the way."""
    return error.code in _FAILED_ON_THE_WAY or error.code.startswith("storage.")


def exit_of(error: KehuError) -> Exit:
    """The exit code of an error."""
    code = error.code
    if code in _INTERRUPTED:
        return Exit.INTERRUPTED
    if code in _CONFLICTS:
        return Exit.CONFLICT
    if code in _UNKNOWN or (isinstance(error, RemoteRefusal) and is_uncertain(error)):
        return Exit.UNKNOWN
    if code.startswith("carrier."):
        return Exit.CARRIER
    if isinstance(error, RemoteRefusal) or code in _REFUSED:
        return Exit.REFUSED
    for prefixes, exit_ in (
        (_KEY, Exit.KEY),
        (_UNVERIFIED, Exit.UNVERIFIED),
        (_USAGE, Exit.USAGE),
        (_MACHINE, Exit.MACHINE),
    ):
        if code.startswith(prefixes):
            return exit_
    return Exit.REFUSED
