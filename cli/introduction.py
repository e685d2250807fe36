"""What a department that is to join gets from one that takes part: a file with genesis, members and where nodes are.

Nothing in it is secret, and nothing in it has to be trusted but the chain id, which follows from genesis: people
compare its fingerprint by another way, as on the telephone. Members and addresses serve to find the others; what comes
from them is verified from genesis on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from chain.errors import KehuError, define
from chain.genesis import Genesis
from cli.profile import Profile
from node.storage.durable import storage_failures, write_file

FORMAT: Final = 1
FINGERPRINT_DIGITS: Final = 32
_GROUP: Final = 4

INTRODUCTION_INVALID = define(
    "usage.introduction",
    "the file is not what `kehu network introduce` writes",
    "ask a department that takes part for a new one",
)
INTRODUCTION_FINGERPRINT = define(
    "usage.fingerprint",
    "the introduction is of another network than the fingerprint says",
    "compare with a department that takes part, by telephone; if theirs differs from the file's, somebody exchanged it",
)
INTRODUCTION_FOLDER = define(
    "network.other",
    "the network folder belongs to another network than the introduction",
    "name a new folder with --network DIR",
)


def fingerprint_of(chain_id: str) -> str:
    """The first 128 bits of a chain id (hex) in groups, as people read them to each other."""
    return "-".join(chain_id[at : at + _GROUP] for at in range(0, FINGERPRINT_DIGITS, _GROUP))


@dataclass(frozen=True, slots=True)
class Introduction:
    """`members`: rows of GET /v1/membership; `nodes`: department -> base URL of its API."""

    genesis: Genesis
    members: list[dict[str, Any]]
    nodes: dict[str, str]

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.genesis.chain_id.hex())

    @classmethod
    def read(cls, file: Path) -> Self:
        """Errors: usage.introduction, genesis.invalid."""
        try:
            value = json.loads(file.read_text(encoding="utf-8-sig"))
            if value["format"] != FORMAT:
                raise ValueError("format")
            genesis, members, nodes = value["genesis"], value["members"], value["nodes"]
            is_whole = isinstance(members, list) and all(isinstance(url, str) for url in nodes.values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise KehuError(INTRODUCTION_INVALID, file=str(file), problem=type(error).__name__) from None
        if not is_whole:
            raise KehuError(INTRODUCTION_INVALID, file=str(file), field="members")
        return cls(Genesis.from_value(genesis), members, dict(nodes))

    def write(self, file: Path) -> None:
        value = {"format": FORMAT, "fingerprint": self.fingerprint, "members": self.members, "nodes": self.nodes}
        value["genesis"] = self.genesis.value
        with storage_failures(file, "write file"):
            write_file(file, _json(value), replace=True, mode=0o644)

    def require(self, fingerprint: str) -> None:
        """Errors: usage.fingerprint."""
        given = "".join(fingerprint.split()).replace("-", "").lower()
        if given != self.fingerprint.replace("-", ""):
            raise KehuError(INTRODUCTION_FINGERPRINT, given=fingerprint, file=self.fingerprint)

    @property
    def genesis_bytes(self) -> bytes:
        return _json(self.genesis.value)

    def profile_in(self, folder: Path) -> Profile:
        """The network folder that is there, or is to be made. Errors: network.other."""
        if not (folder / "network.json").exists():
            return Profile(folder, self.genesis.network, dict(self.nodes), None)
        profile = Profile.open(folder)
        if profile.genesis.chain_id != self.genesis.chain_id:
            raise KehuError(INTRODUCTION_FOLDER, folder=str(folder))
        return profile

    def enter(self, profile: Profile, department: str, url: str) -> None:
        """Writes the network folder, with one department more. Errors: storage.io."""
        genesis = profile.folder / "genesis.json"
        with storage_failures(profile.folder, "write folder"):
            profile.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not genesis.exists():
                write_file(genesis, self.genesis_bytes, replace=False, mode=0o644)
        profile.nodes[department] = url
        profile.write()


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n"
