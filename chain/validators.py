"""The departments whose nodes decide, and how many of them it takes.

With n departments, f = (n-1)//3 may be faulty and a quorum is q = (n+f)//2 + 1: any two quorums share at
least one correct department, and n - f correct ones are always a quorum. The often used 2f+1 is unsafe for
n = 5, 6, 8, 9 (there two quorums can meet in faulty departments only). Source: Castro and Liskov, OSDI 1999,
section 4, for n = 3f+1; the general form is the majority of n and f together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from chain import codec
from chain.crypto import digest, require_key
from chain.errors import KehuError, define

VALIDATORS_INVALID = define(
    "validators.invalid",
    "a validator set needs at least four departments with distinct names and keys",
    "name four or more departments, each once, each with a key of its own",
)

DEPARTMENTS_MIN = 4


def faults_tolerated(n: int) -> int:
    """f: how many of `n` departments may be faulty in any way."""
    return (n - 1) // 3


def quorum_of(n: int) -> int:
    """q: how many distinct departments a certificate needs. The only place where this is computed."""
    return (n + faults_tolerated(n)) // 2 + 1


@dataclass(frozen=True, slots=True)
class Validator:
    department: str
    key: bytes


@dataclass(frozen=True)
class ValidatorSet:
    """The members in order of department id. `epoch` counts the sets of one chain, from 0."""

    epoch: int
    members: tuple[Validator, ...]

    def __post_init__(self) -> None:
        names = [member.department for member in self.members]
        keys = {member.key for member in self.members}
        if len(names) < DEPARTMENTS_MIN or names != sorted(set(names)) or len(keys) != len(names):
            raise KehuError(VALIDATORS_INVALID, departments=",".join(names))
        for member in self.members:
            require_key(member.key)

    @cached_property
    def n(self) -> int:
        return len(self.members)

    @cached_property
    def f(self) -> int:
        return faults_tolerated(self.n)

    @cached_property
    def quorum(self) -> int:
        return quorum_of(self.n)

    @cached_property
    def departments(self) -> tuple[str, ...]:
        return tuple(member.department for member in self.members)

    @cached_property
    def _keys(self) -> dict[str, bytes]:
        return {member.department: member.key for member in self.members}

    def key_of(self, department: str) -> bytes | None:
        return self._keys.get(department)

    def primary(self, view: int) -> str:
        """The department that proposes in `view` (Castro and Liskov, section 4: p = v mod n)."""
        return self.members[view % self.n].department

    @cached_property
    def digest(self) -> bytes:
        return digest("validators", codec.encode(self.to_value()))

    def to_value(self) -> codec.Value:
        return [self.epoch, [[member.department, member.key] for member in self.members]]

    @classmethod
    def from_value(cls, value: codec.Value) -> ValidatorSet:
        epoch, members = codec.fields(value, "validators", codec.is_uint, codec.is_list)
        pairs = [codec.fields(item, "validator", codec.is_text, codec.is_bytes) for item in members]
        return cls(epoch, tuple(Validator(department, key) for department, key in pairs))


def scheduled_at(schedule: dict[str, Any], height: int) -> ValidatorSet:
    """Who decides block `height`, by a value of `validators/schedule` ({"sets": [[activation height, set], ...]})."""
    return _shared([value for activation, value in schedule["sets"] if activation <= height][-1])


def last_scheduled(schedule: dict[str, Any]) -> tuple[int, ValidatorSet]:
    """The newest set and the height that it decides first, which may lie ahead."""
    activation, value = schedule["sets"][-1]
    return activation, _shared(value)


def _shared(value: codec.Value) -> ValidatorSet:
    """Every message asks who the members are, and they hardly ever change: one set for one value."""
    return _read_set(codec.encode_flat(value))


@lru_cache(maxsize=64)
def _read_set(raw: bytes) -> ValidatorSet:
    return ValidatorSet.from_value(codec.decode(raw, len(raw)))
