"""A department's own machine: the folder of a node that is to join, and the next key of one that takes part."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.crypto import SigningKey
from chain.errors import KehuError
from chain.genesis import Genesis
from cli.client import ID_MALFORMED
from cli.founding import claim, gateway_id, possession_of
from cli.introduction import Introduction
from contracts.base import is_record_id
from node.folder.config import Home, parse_config, split_address
from node.keys.files import create_key_file, load_key, read_public
from node.keys.passphrase import read_passphrase
from node.members.joining import FORMAT
from node.storage.durable import storage_failures, write_file
from node.storage.wal import VoteLog


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new department's node stands: `peer` and `api` as others reach it, and where it listens, if elsewhere.
    `passphrase_file`: a secret that is there already; without one, a passphrase is drawn into the folder's secrets/."""

    department: str
    name: str
    peer: str
    api: str
    listen_peer: str | None = None
    listen_api: str | None = None
    metrics: str | None = None
    passphrase_file: Path | None = None


def make_node_folder(folder: Path, place: Place, introduction: Introduction) -> dict[str, Any]:
    """The folder with keys, configuration, genesis and introduction; gives what the change of membership needs.

    Errors: config.invalid, network.folder_not_empty, passphrase.*, storage.io.
    """
    settings = _settings(place)
    parse_config(settings)
    split_address(place.peer)
    passphrase = None if place.passphrase_file is None else read_passphrase(file=place.passphrase_file)
    home, genesis = Home(folder), introduction.genesis
    claim(home.path)
    if passphrase is None:
        with storage_failures(folder, "make folder"):
            (home.path / "secrets").mkdir(mode=0o700)
        passphrase = secrets.token_urlsafe(24)
        _write(home.path / "secrets" / "passphrase", passphrase.encode() + b"\n", 0o600)
    key = SigningKey(secrets.token_bytes(32))
    create_key_file(home.node_key, "node", place.department, passphrase, key.seed)
    _write(home.genesis_file, introduction.genesis_bytes, 0o644)
    _write(home.config_file, settings.encode(), 0o644)
    introduce(home, introduction.members, introduction.nodes)
    VoteLog.create(home.votes, genesis.chain_id, place.department).close()
    return {**_request(place.department, key, genesis), "name": place.name, "address": place.peer}


def _settings(place: Place) -> str:
    """The text of node.toml."""
    lines = [f"department = {json.dumps(place.department)}"]
    if place.passphrase_file is not None:
        lines.append(f"passphrase_file = {json.dumps(str(place.passphrase_file.resolve()), ensure_ascii=False)}")
    lines += ["", "[listen]"]
    addresses = {
        "peer": place.listen_peer or place.peer,
        "api": place.listen_api or place.api,
        "metrics": place.metrics,
    }
    lines += [f"{name} = {json.dumps(address)}" for name, address in addresses.items() if address is not None]
    return "\n".join([*lines, ""])


def introduce(home: Home, members: list[dict[str, Any]], nodes: Mapping[str, str]) -> None:
    """Writes members.json anew."""
    value = {"format": FORMAT, "members": members, "nodes": dict(nodes)}
    content = json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n"
    with storage_failures(home.members, "write file"):
        write_file(home.members, content, replace=True, mode=0o644)


def newest_members(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of an answer to GET /v1/membership: the set that is, or is about to be, active."""
    members: list[dict[str, Any]] = (told["next"] or told)["members"]
    return members


def make_next_key(folder: Path, genesis: Genesis) -> dict[str, Any]:
    """Makes node.key.next under the node's own passphrase, also where node.key was lost. Errors: key.*, config and
    passphrase codes."""
    home = Home(folder)
    config = home.read_config()
    old = read_public(home.node_key).public.hex() if home.node_key.exists() else None
    passphrase = read_passphrase(file=home.path / config.passphrase_file)
    key = SigningKey(secrets.token_bytes(32))
    create_key_file(home.next_key, "node", config.department, passphrase, key.seed)
    return {**_request(config.department, key, genesis), "old": old}


def own_rotation(folder: Path, genesis: Genesis) -> tuple[str, SigningKey, dict[str, Any]]:
    """The department, its node's present key and what it sends to change over to node.key.next, which is made unless
    an earlier try left it. Errors: config, key and passphrase codes."""
    home = Home(folder)
    config = home.read_config()
    department, passphrase = config.department, read_passphrase(file=home.path / config.passphrase_file)
    present = load_key(home.node_key, passphrase)
    if not home.next_key.exists():
        make_next_key(folder, genesis)
    following = load_key(home.next_key, passphrase)
    possession = possession_of(following, genesis.chain_id, department)
    return department, present, {"key": following.public.hex(), "possession": possession}


def make_gateway_key(folder: Path, genesis: Genesis, gateway: str | None) -> dict[str, Any]:
    """Makes gateway.key under the node's own passphrase, and what its enrolment needs. Without a name it is the one
    that a network's first gateways have. Errors: usage.id, key.file_exists, config and passphrase codes."""
    home = Home(folder)
    config = home.read_config()
    name = gateway_id(config.department) if gateway is None else gateway
    if not is_record_id(name):
        raise KehuError(ID_MALFORMED)
    passphrase = read_passphrase(file=home.path / config.passphrase_file)
    key = SigningKey(secrets.token_bytes(32))
    create_key_file(home.gateway_key, "gateway", name, passphrase, key.seed)
    possession = possession_of(key, genesis.chain_id, name).hex()
    return {"department": config.department, "gateway": name, "key": key.public.hex(), "possession": possession}


def _request(department: str, key: SigningKey, genesis: Genesis) -> dict[str, Any]:
    possession = possession_of(key, genesis.chain_id, department).hex()
    return {"department": department, "key": key.public.hex(), "possession": possession}


def _write(path: Path, content: bytes, mode: int) -> None:
    with storage_failures(path, "write file"):
        write_file(path, content, replace=False, mode=mode)
