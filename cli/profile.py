"""The network folder: what somebody's machine knows of a network.

  genesis.json            what everybody agrees on; the chain id follows from it
  network.json            where the departments' nodes listen, and the carrier simulator, if there is one
  keys/DEPARTMENT/NAME.key    people's keys, sealed
  nodes/DEPARTMENT/       a node's own folder, for the departments that run on this machine
  carrier/                the carrier simulator's folder
  secrets/                what only this machine's user may read

An operator's own machine needs the first three only.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chain.errors import KehuError, define

if TYPE_CHECKING:
    from chain.genesis import Genesis

FORMAT: Final = 1
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

PROFILE_MISSING = define(
    "profile.missing",
    "this is not a network folder: it lacks genesis.json or network.json",
    "name the folder with --network DIR or KEHU_NETWORK, or make one with `kehu network init DIR`",
)
PROFILE_INVALID = define(
    "profile.invalid",
    "network.json is not what `kehu network init` writes",
    "correct the named field, or take the file from a colleague of the same network",
)
PROFILE_DEPARTMENT = define(
    "profile.unknown_department",
    "network.json knows no node of this department",
    "name one of the departments listed, or the node's URL",
)
KEY_NAME_UNKNOWN = define(
    "key.name_unknown",
    "there is no key of this name in the network folder's keys/",
    "make one with `kehu key new NAME --department DEPARTMENT`, or name another with --as",
)
KEY_NAME_AMBIGUOUS = define(
    "key.name_ambiguous",
    "two departments have a key of this name in keys/",
    "write --as DEPARTMENT/NAME",
)
KEY_NAME_MISSING = define(
    "key.name_missing",
    "the command is signed, and nobody was named whose key signs it",
    "add --as NAME, or set KEHU_AS",
)
NAME_INVALID = define(
    "usage.name",
    "a name is 1 to 64 lower-case letters, digits, _ and -, beginning with a letter or digit",
    "use work ids, not people's names",
)


def require_name(text: str, what: str) -> str:
    if not _NAME.fullmatch(text):
        raise KehuError(NAME_INVALID, what=what)
    return text


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A person's key file and whose it is."""

    department: str
    name: str
    path: Path


@dataclass(frozen=True)
class Profile:
    """`nodes`: department -> base URL. `carrier_url`: the simulator's, if the network has one."""

    folder: Path
    name: str
    nodes: dict[str, str]
    carrier_url: str | None

    @classmethod
    def open(cls, folder: Path) -> Profile:
        folder = folder.resolve()
        for file in ("genesis.json", "network.json"):
            if not (folder / file).is_file():
                raise KehuError(PROFILE_MISSING, folder=str(folder), file=file)
        try:
            value = json.loads((folder / "network.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise KehuError(PROFILE_INVALID, folder=str(folder), problem=type(error).__name__) from None
        return cls._from_value(folder, value)

    @classmethod
    def _from_value(cls, folder: Path, value: Any) -> Profile:
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise KehuError(PROFILE_INVALID, field="format", expected=FORMAT)
        nodes, carrier = value.get("nodes"), value.get("carrier")
        is_nodes = isinstance(nodes, dict) and all(isinstance(url, str) for url in nodes.values())
        for field, is_good in (
            ("network", isinstance(value.get("network"), str)),
            ("nodes", is_nodes),
            ("carrier", carrier is None or isinstance(carrier, str)),
        ):
            if not is_good:
                raise KehuError(PROFILE_INVALID, field=field)
        return cls(folder, value["network"], dict(value["nodes"]), carrier)

    def write(self) -> None:
        """Writes network.json anew, all or nothing."""
        from node.storage.durable import write_file

        value = {"format": FORMAT, "network": self.name, "nodes": self.nodes, "carrier": self.carrier_url}
        content = json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n"
        write_file(self.folder / "network.json", content, replace=True, mode=0o644)

    @cached_property
    def genesis(self) -> Genesis:
        from node.folder.config import read_genesis

        return read_genesis(self.folder / "genesis.json")

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    def node_home(self, department: str) -> Path:
        return self.folder / "nodes" / department

    @property
    def carrier_home(self) -> Path:
        return self.folder / "carrier"

    def node_url(self, node: str) -> str:
        """The base URL of a department's node; a URL stands for itself."""
        if node.startswith(("http://", "https://")):
            return node.rstrip("/")
        if node not in self.nodes:
            raise KehuError(PROFILE_DEPARTMENT, department=node, known=",".join(sorted(self.nodes)))
        return self.nodes[node].rstrip("/")

    def key_path(self, department: str, name: str) -> Path:
        return self.keys / require_name(department, "department") / f"{require_name(name, 'key')}.key"

    def find_key(self, name: str) -> KeyFile:
        """The key file of NAME or DEPARTMENT/NAME."""
        department, _, person = name.rpartition("/")
        require_name(person, "key")
        pattern = f"{require_name(department, 'department') if department else '*'}/{person}.key"
        found = sorted(self.keys.glob(pattern))
        if not found:
            raise KehuError(KEY_NAME_UNKNOWN, name=name, folder=str(self.keys))
        if len(found) > 1:
            raise KehuError(KEY_NAME_AMBIGUOUS, name=name, departments=",".join(path.parent.name for path in found))
        return KeyFile(found[0].parent.name, person, found[0])
