"""What every contract stands on: argument checks, ids, counters.

A call's arguments are checked against a table before its function runs: each present, of its kind, within its
limits, and no others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from chain import codec
from chain.errors import KehuError
from chain.execution import CallContext
from chain.genesis import is_hex_key
from chain.state import View
from contracts.errors import CALL_ARGUMENTS, CALL_POSITION

ADMINISTRATION: Final = "administration"
"""The one department whose id the contracts know: its administrators grant, enrol and correct."""

FIELDS_MAX: Final = 32
"""Personal fields of one record, and fields named in one call."""
EVERY: Final = "*"
"""All tables, records, fields or purposes, where a rule or grant names them."""
ACTIONS: Final = ("read", "change", "contact", "export")

Args: TypeAlias = dict[str, Any]
Run: TypeAlias = Callable[[CallContext, View, Args], codec.Value]


@dataclass(frozen=True, slots=True)
class Argument:
    """`expected` says in an error what `check` wants."""

    expected: str
    check: codec.Check
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """One call: what it takes and what it does. Called like a function of (context, view, args)."""

    name: str
    run: Run
    arguments: Mapping[str, Argument]

    def __call__(self, context: CallContext, view: View, args: Args) -> codec.Value:
        self.require_arguments(args)
        return self.run(context, view, args)

    def require_arguments(self, args: Args) -> None:
        """What can be said of a call without looking at the state. Errors: call.arguments."""
        for name in sorted(args):
            if name not in self.arguments:
                raise KehuError(CALL_ARGUMENTS, call=self.name, argument=shown_name(name), problem="unknown")
        for name, argument in self.arguments.items():
            if name not in args:
                if not argument.is_optional:
                    raise KehuError(CALL_ARGUMENTS, call=self.name, argument=name, problem="missing")
            elif not argument.check(args[name]):
                raise KehuError(CALL_ARGUMENTS, call=self.name, argument=name, expected=argument.expected)


def methods(*entries: tuple[str, Run, Mapping[str, Argument]]) -> dict[str, Method]:
    """A contract's part of the table: name -> method."""
    return {name: Method(name, run, arguments) for name, run, arguments in entries}


def shown_name(name: str) -> str:
    """A name from outside as an error may show it: short and plain, or not at all."""
    return name if re.fullmatch(r"[a-z0-9_.]{1,48}", name) else "(not a plain name)"


def matches(pattern: str) -> codec.Check:
    compiled = re.compile(pattern)
    return lambda value: type(value) is str and compiled.fullmatch(value) is not None


def one_of(*choices: str) -> codec.Check:
    return lambda value: type(value) is str and value in choices


def optional(argument: Argument) -> Argument:
    """The argument may be left out or nil."""
    return Argument(f"{argument.expected}, or nothing", codec.optional(argument.check), is_optional=True)


def nullable(argument: Argument) -> Argument:
    """The argument must be there and may be nil."""
    return Argument(f"{argument.expected}, or nil", codec.optional(argument.check))


is_department_id: Final = matches(r"[a-z][a-z0-9_]{0,31}")
is_record_id: Final = matches(r"[a-z0-9][a-z0-9_-]{0,63}")
is_field_name: Final = matches(r"[a-z][a-z0-9_]{0,31}")
is_subject: Final = matches(r"department:[a-z][a-z0-9_]{0,31}|person:[a-z0-9][a-z0-9_-]{0,63}")
is_purpose: Final = matches(r"[a-z0-9_-]{1,64}")


def is_field_list(value: codec.Value) -> bool:
    """Distinct field names, or ["*"]."""
    if type(value) is not list or not 1 <= len(value) <= FIELDS_MAX:
        return False
    return value == [EVERY] or (all(map(is_field_name, value)) and len(set(value)) == len(value))


def is_digest_map(value: codec.Value) -> bool:
    if type(value) is not dict or len(value) > FIELDS_MAX:
        return False
    return all(is_field_name(name) and codec.is_digest(item) for name, item in value.items())


def is_action_list(value: codec.Value) -> bool:
    """Distinct actions, at least one."""
    return (
        type(value) is list
        and 1 <= len(value) == len({item for item in value if type(item) is str})
        and all(item in ACTIONS for item in value)
    )


def is_within(low: int, high: int) -> codec.Check:
    return lambda value: type(value) is int and low <= value <= high


NOWHERE: Final = "-"
"""In the place of a record's id, where an access is recorded that was about no single one."""
TEXT_ID: Final = "[a-z0-9][a-z0-9_-]{0,63}"
RECORD: Final = Argument(f"an id {TEXT_ID}", is_record_id)
RECORD_OR_EVERY: Final = Argument('a record id or "*"', lambda value: value == EVERY or is_record_id(value))
FIELD: Final = Argument("the name of a field", is_field_name)
TABLE: Final = Argument("the name of a table", is_field_name)
TABLE_OR_EVERY: Final = Argument('the name of a table or "*"', lambda value: value == EVERY or is_field_name(value))
DEPARTMENT: Final = Argument("a department id [a-z][a-z0-9_]{0,31}", is_department_id)
SUBJECT: Final = Argument('"person:ID" or "department:ID"', is_subject)
KEY: Final = Argument("a public key, 64 lower-case hex digits", is_hex_key)
POSSESSION: Final = Argument("a signature of 64 bytes by the new key", codec.is_signature)
DIGESTS: Final = Argument(
    f"a map of 1 to {FIELDS_MAX} field names to 32-byte digests", lambda value: is_digest_map(value) and len(value) > 0
)
DIGESTS_OR_NONE: Final = Argument(f"a map of at most {FIELDS_MAX} field names to 32-byte digests", is_digest_map)
FIELDS: Final = Argument(f'1 to {FIELDS_MAX} distinct field names, or ["*"]', is_field_list)
ACTION_LIST: Final = Argument(f"distinct actions of {', '.join(ACTIONS)}", is_action_list)
PURPOSE: Final = Argument("a short word [a-z0-9_-]{1,64}", is_purpose)
REASON: Final = Argument("a reason: a short word [a-z0-9_-]{1,64}", is_purpose)
COUNT: Final = Argument("a number, from 0", is_within(0, 1 << 32))
VERSION: Final = Argument("a version, from 1", is_within(1, 1 << 62))
FLAG: Final = Argument("true or false", lambda value: type(value) is bool)
AFTER: Final = Argument("the number to go on after, from 0", is_within(0, 1 << 62))
HEIGHT: Final = Argument("a height, from 0", is_within(0, 1 << 62))
LIMIT: Final = Argument("a number of rows, 1 to 100", is_within(1, 100))
ATTESTATIONS: Final = Argument("an attestation (docs/spec/attestation.md) or a list of up to 16", codec.is_list)


def next_number(view: View, counter: str) -> int:
    """Counts `counter` up and gives the new value, the first being 1."""
    number = count_of(view, counter) + 1
    view.put("counters", counter, {"value": number})
    return number


def count_of(view: View, counter: str) -> int:
    row = view.get("counters", counter)
    return 0 if row is None else int(row["value"])


def stamp(context: CallContext) -> dict[str, Any]:
    """When and by which transaction a row was made."""
    return {"height": context.height, "time_ms": context.time_ms, "transaction": context.transaction_id}


LONG_RESULTS_MAX: Final = 1
"""How many first calls of a transaction may have results of many rows. One such result (at most 0.3 MB) and 99 reads
of 32 fields (7 KB each) stay below the size of a receipt (chain.receipt.RECEIPT_BYTES_MAX)."""


def require_early(context: CallContext) -> None:
    """For calls with long results. Errors: call.position."""
    if context.call_index >= LONG_RESULTS_MAX:
        raise KehuError(CALL_POSITION, position=context.call_index, limit=LONG_RESULTS_MAX)
