"""Making a network on this machine: keys, genesis, one folder per department, the folder people work from.

Every node's keys are sealed under a passphrase of its own, drawn here and kept in the node's secrets/ (mode 0600),
so that a node starts unattended. The administrator's passphrase is the person's and is kept nowhere.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chain.crypto import SigningKey
from chain.errors import KehuError, define
from chain.genesis import Genesis
from chain.protocol import NEWEST
from cli.addresses import Addresses, in_containers, on_one_machine
from cli.profile import Profile, require_name
from contracts.base import ADMINISTRATION
from contracts.deciding.policy import default_policy
from contracts.deciding.subjects import ADMINISTRATOR, POSSESSION_PURPOSE, possession_payload
from contracts.departments.changes import is_name
from node.carrier.simulator.process import CLIENT_ID_FILE, CLIENT_SECRET_FILE, LOOKUP_TOKEN_FILE, ensure_token
from node.folder.config import Home
from node.keys.files import create_key_file
from node.storage.durable import storage_failures, write_file
from node.storage.wal import VoteLog

DEPARTMENTS: Final = {
    "administration": "管理",
    "sales": "销售",
    "finance": "财务",
    "process": "流程",
    "technical": "技术",
    "after_sales": "售后",
}
CARRIER_NAME: Final = "simulator"
_DEPARTMENT: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MOUNTED: Final = "/run/secrets"
"""Where a container finds its secrets (docker/compose.yaml)."""

NETWORK_EXISTS = define(
    "network.folder_not_empty",
    "the folder exists and is not empty; a network is never written over",
    "name a new folder, or move the old one away yourself",
)
NETWORK_DEPARTMENTS = define(
    "usage.departments",
    "a network needs four or more departments, each ID or ID=NAME once, and one of them is administration",
    "repeat --department for each; ids are lower-case letters, digits and _",
)


NETWORK_NAME = define(
    "usage.network_name",
    "a network and its departments have names of 1 to 64 printable characters that are not all blanks",
    "give --name a text, and --department ID=NAME another",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make. `departments`: id -> name. `base_port` None: any free row of ports.

    `is_containers`: for docker/compose.yaml; secrets lie apart from the nodes' folders then, to be mounted.
    """

    folder: Path
    network: str
    departments: dict[str, str]
    administrator: str
    host: str
    base_port: int | None
    is_containers: bool = False


def read_departments(given: list[str]) -> dict[str, str]:
    """ID or ID=NAME, each once; none at all means the default six. Errors: usage.departments."""
    if not given:
        return dict(DEPARTMENTS)
    departments: dict[str, str] = {}
    for text in given:
        id_, _, name = text.partition("=")
        if not _DEPARTMENT.fullmatch(id_) or id_ in departments:
            raise KehuError(NETWORK_DEPARTMENTS, problem="an id is malformed or stands twice")
        departments[id_] = name or DEPARTMENTS.get(id_, id_)
    if ADMINISTRATION not in departments or len(departments) < 4:
        raise KehuError(NETWORK_DEPARTMENTS, departments=",".join(departments))
    return departments


def found_network(plan: Plan, passphrase: str) -> Profile:
    """Makes the whole folder. Errors: network.*, usage.*, storage.io, key.file_invalid."""
    require_name(plan.administrator, "administrator")
    for name in (plan.network, *plan.departments.values()):
        if not (is_name(name) and name.strip()):
            raise KehuError(NETWORK_NAME)
    claim(plan.folder)
    arrange = in_containers if plan.is_containers else on_one_machine
    addresses = arrange(list(plan.departments), plan.host, plan.base_port)
    urls = {id_: place.url for id_, place in addresses.places.items()}
    profile = Profile(plan.folder.resolve(), plan.network, urls, addresses.carrier_url)
    administrator = _make_administrator(profile, plan.administrator, passphrase)
    profile.carrier_home.mkdir(mode=0o700)
    credentials = {
        name: ensure_token(profile.carrier_home / file)
        for name, file in (
            ("carrier-token", LOOKUP_TOKEN_FILE),
            ("carrier-client-id", CLIENT_ID_FILE),
            ("carrier-client-secret", CLIENT_SECRET_FILE),
        )
    }
    keys = {id_: _make_keys(profile, id_, _secrets_folder(plan, profile, id_), credentials) for id_ in plan.departments}
    genesis = _genesis_bytes(plan, addresses, administrator, keys)
    _write(profile.folder / "genesis.json", genesis, 0o644)
    for id_ in plan.departments:
        home = Home(profile.node_home(id_))
        _write(home.genesis_file, genesis, 0o644)
        _write(home.config_file, _node_toml(plan, addresses, id_), 0o644)
        # An empty log says "has never voted"; a node without one has to observe first.
        VoteLog.create(home.votes, profile.genesis.chain_id, id_).close()
    profile.write()
    return profile


def _make_administrator(profile: Profile, name: str, passphrase: str) -> SigningKey:
    path = profile.key_path(ADMINISTRATION, name)
    path.parent.mkdir(mode=0o700, parents=True)
    key = SigningKey(secrets.token_bytes(32))
    create_key_file(path, "person", name, passphrase, key.seed)
    return key


def claim(folder: Path) -> None:
    """Makes a folder, or takes one that is empty. Errors: network.folder_not_empty, storage.io."""
    with storage_failures(folder, "make folder"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise KehuError(NETWORK_EXISTS, folder=str(folder))


def _secrets_folder(plan: Plan, profile: Profile, department: str) -> Path:
    return profile.folder / "secrets" / department if plan.is_containers else profile.node_home(department) / "secrets"


def _make_keys(
    profile: Profile, department: str, secrets_folder: Path, credentials: dict[str, str]
) -> tuple[SigningKey, SigningKey]:
    """A department's folder and its secrets; gives its node key and its gateway key."""
    home = Home(profile.node_home(department))
    for folder in (home.path, secrets_folder):
        folder.mkdir(mode=0o700, parents=True)
    passphrase = secrets.token_urlsafe(24)
    _write(secrets_folder / "passphrase", passphrase.encode() + b"\n", 0o600)
    for name, secret in credentials.items():
        _write(secrets_folder / name, secret.encode() + b"\n", 0o600)
    node, gateway = SigningKey(secrets.token_bytes(32)), SigningKey(secrets.token_bytes(32))
    create_key_file(home.node_key, "node", department, passphrase, node.seed)
    create_key_file(home.gateway_key, "gateway", gateway_id(department), passphrase, gateway.seed)
    return node, gateway


def gateway_id(department: str) -> str:
    """The id of a department's own gateway."""
    return f"gateway-{department}"


def _genesis_bytes(
    plan: Plan, addresses: Addresses, administrator: SigningKey, keys: dict[str, tuple[SigningKey, SigningKey]]
) -> bytes:
    departments = [
        {"id": id_, "name": name, "key": keys[id_][0].public.hex(), "address": addresses.places[id_].peer}
        for id_, name in plan.departments.items()
    ]
    gateways = [
        {"id": gateway_id(id_), "department": id_, "key": keys[id_][1].public.hex()} for id_ in plan.departments
    ]
    person = {
        "id": plan.administrator,
        "department": ADMINISTRATION,
        "role": ADMINISTRATOR,
        "key": administrator.public.hex(),
    }
    value = {
        "version": 1,
        "network": plan.network,
        "time_ms": time.time_ns() // 1_000_000,
        "departments": departments,
        "people": [person],
        "gateways": gateways,
        "policy": default_policy(list(plan.departments)),
        "limits": {},
        "protocol": NEWEST,
    }
    Genesis.from_value(value)
    return json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n"


def _node_toml(plan: Plan, addresses: Addresses, department: str) -> bytes:
    place = addresses.places[department]
    metrics = f'metrics = "{place.listen_metrics}"\n' if place.listen_metrics else ""
    folder = _MOUNTED if plan.is_containers else "secrets"
    return f"""\
department = "{department}"
passphrase_file = "{folder}/passphrase"

[listen]
peer = "{place.listen_peer}"
api = "{place.listen_api}"
{metrics}
[carrier]
name = "{CARRIER_NAME}"
url = "{addresses.carrier_from_nodes}"
token_file = "{folder}/carrier-token"
""".encode()


def _write(path: Path, content: bytes, mode: int) -> None:
    with storage_failures(path, "write file"):
        write_file(path, content, replace=False, mode=mode)


def possession_of(key: SigningKey, chain_id: bytes, person: str) -> bytes:
    """The proof that whoever enrols `key` for `person` holds its secret half."""
    return key.sign(POSSESSION_PURPOSE, chain_id, possession_payload(person, key.public.hex()))
