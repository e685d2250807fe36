"""A department's own machine: the folder of a node that is to join, and the next key of one that takes part."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.crypto import SigningKey
from chain.genesis import Genesis
from cli.founding import possession_of
from node.config import Home
from node.joining import FORMAT
from node.keys import create_key_file, read_public
from node.passphrase import read_passphrase
from node.storage.durable import storage_failures, write_file
from node.storage.wal import VoteLog


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new department's node stands."""

    department: str
    name: str
    peer: str
    api: str


def make_node_folder(folder: Path, genesis_file: Path, genesis: Genesis, place: Place, told: dict[str, Any]) -> Any:
    """The folder with keys, configuration, genesis and introduction; what the change of membership needs. Nothing is
    written over. Errors: key.file_exists, storage.io."""
    home = Home(folder)
    with storage_failures(folder, "make folder"):
        (home.path / "secrets").mkdir(mode=0o700, parents=True, exist_ok=True)
    passphrase = secrets.token_urlsafe(24)
    _write(home.path / "secrets" / "passphrase", passphrase.encode() + b"\n", 0o600)
    key = SigningKey(secrets.token_bytes(32))
    create_key_file(home.node_key, "node", place.department, passphrase, key.seed)
    _write(home.genesis_file, genesis_file.read_bytes(), 0o644)
    settings = f'department = "{place.department}"\n\n[listen]\npeer = "{place.peer}"\napi = "{place.api}"\n'
    _write(home.config_file, settings.encode(), 0o644)
    introduce(home, told)
    VoteLog.create(home.votes, genesis.chain_id, place.department).close()
    return {**_request(place.department, key, genesis), "name": place.name, "address": place.peer}


def introduce(home: Home, told: dict[str, Any]) -> None:
    """Writes members.json anew."""
    members = (told["next"] or told)["members"]
    content = json.dumps({"format": FORMAT, "members": members}, ensure_ascii=False, indent=2).encode() + b"\n"
    with storage_failures(home.members, "write file"):
        write_file(home.members, content, replace=True, mode=0o644)


def make_next_key(folder: Path, genesis: Genesis) -> dict[str, Any]:
    """Makes node.key.next under the node's own passphrase. Errors: key.file_exists, config and passphrase codes."""
    home = Home(folder)
    config = home.read_config()
    passphrase = read_passphrase(file=home.path / config.passphrase_file)
    key = SigningKey(secrets.token_bytes(32))
    create_key_file(home.next_key, "node", config.department, passphrase, key.seed)
    return {**_request(config.department, key, genesis), "old": read_public(home.node_key).public.hex()}


def _request(department: str, key: SigningKey, genesis: Genesis) -> dict[str, Any]:
    possession = possession_of(key, genesis.chain_id, department).hex()
    return {"department": department, "key": key.public.hex(), "possession": possession}


def _write(path: Path, content: bytes, mode: int) -> None:
    with storage_failures(path, "write file"):
        write_file(path, content, replace=False, mode=mode)
