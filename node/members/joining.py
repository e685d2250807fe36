"""With which key a node starts, and whom it knows before its own chain tells it.

    node.key          the node's key
    node.key.next     beside it: the key that a change of membership names
    members.json      what a running node said about the members: for a node that begins or was away for long

Once the chain knows the department by the next key, that file takes the place of node.key and the vault's secret is
sealed under it; the old key stays as node.key.HEX8.old. A node whose key was lost starts with the next key once the
chain or members.json names it; what the lost key had sealed does not open any more, and the vault is set aside.
members.json is believed for links only: what comes over them is verified from genesis on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chain.crypto import SigningKey
from chain.errors import KehuError, define
from chain.genesis import is_department_id, is_hex_key
from chain.ledger import Ledger
from chain.state import state_key
from contracts.departments.changes import is_address
from node.folder.config import CONFIG_INVALID, Home
from node.keys.files import load_key, read_public
from node.storage.durable import storage_failures, sync_folder, write_file
from node.vault.keys import reseal

FORMAT: Final = 1

NODE_WRONG_KEY = define(
    "node.wrong_key",
    "the key in the node's folder is not the one by which the network knows the department",
    "use the folder that was made for this department; a new key needs a change of membership",
)


@dataclass(frozen=True, slots=True)
class Member:
    key: bytes
    address: str


def read_members(home: Home) -> dict[str, Member]:
    """members.json, or nothing. Errors: config.invalid."""
    if not home.members.exists():
        return {}
    try:
        value = json.loads(home.members.read_text(encoding="utf-8"))
        if value["format"] != FORMAT:
            raise ValueError("format")
        return dict(map(_member, value["members"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = type(error).__name__
        raise KehuError(CONFIG_INVALID, file=home.members.name, problem=problem) from None


def remember_members(home: Home, members: Mapping[str, Member]) -> None:
    """Writes into members.json whom the network has now, and where they are reached."""
    told = json.loads(home.members.read_text(encoding="utf-8")) if home.members.exists() else {"nodes": {}}
    rows = [{"department": name, "key": one.key.hex(), "address": one.address} for name, one in members.items()]
    content = json.dumps({**told, "format": FORMAT, "members": rows}, ensure_ascii=False, indent=2).encode() + b"\n"
    with storage_failures(home.members, "write file"):
        write_file(home.members, content, replace=True, mode=0o644)


def _member(item: dict[str, Any]) -> tuple[str, Member]:
    if not (is_department_id(item["department"]) and is_hex_key(item["key"]) and is_address(item["address"])):
        raise ValueError("member")
    return item["department"], Member(bytes.fromhex(item["key"]), item["address"])


def is_known_to(ledger: Ledger, department: str) -> bool:
    """Whether the department is or was part of the network by this chain."""
    return ledger.state.get(state_key("departments", department)) is not None


def choose_key(
    home: Home, department: str, present: SigningKey, passphrase: str, ledger: Ledger, members: dict[str, Member]
) -> SigningKey:
    """The key to start with; puts node.key.next in its place if it is due. Errors: node.wrong_key, config.invalid."""
    expected = ledger.validators(ledger.height + 1).key_of(department)
    told = members[department].key if department in members else None
    following = read_public(home.next_key).public if home.next_key.exists() else None
    if following is not None and following in (expected, told):
        return take_next_key(home, present, passphrase, ledger.genesis.chain_id)
    require_known(home, department, present, ledger)
    return present


def require_known(home: Home, department: str, present: SigningKey, ledger: Ledger) -> None:
    """Raises unless the department takes part under this key, or did, or was told to begin (members.json)."""
    expected, members = ledger.validators(ledger.height + 1).key_of(department), read_members(home)
    told = members[department].key if department in members else None
    if present.public in (expected, told) or _is_former(home, expected):
        return
    if expected is not None:
        raise KehuError(NODE_WRONG_KEY, department=department, expected=expected, actual=present.public)
    if not members and not is_known_to(ledger, department):
        raise KehuError(CONFIG_INVALID, file="node.toml", problem=f"department {department!r} is not in the network")


def _former_key(home: Home, key: bytes) -> Path:
    return home.path / f"{home.node_key.name}.{key.hex()[:8]}.old"


def _is_former(home: Home, expected: bytes | None) -> bool:
    """Whether it is this folder's own former key: the chain was lost, and the block that changed it comes again."""
    return (
        expected is not None and (old := _former_key(home, expected)).exists() and read_public(old).public == expected
    )


def take_next_key(home: Home, present: SigningKey, passphrase: str, chain_id: bytes) -> SigningKey:
    """node.key.next becomes node.key. A power cut in between is made good by the next start."""
    following = load_key(home.next_key, passphrase)
    reseal(home.vault_keys, chain_id, present.seed, following.seed)
    old = _former_key(home, present.public)
    with storage_failures(home.node_key, "rename key file"):
        if home.node_key.exists() and not old.exists():
            old.hardlink_to(home.node_key)
        home.next_key.replace(home.node_key)
        sync_folder(home.path)
    return following
