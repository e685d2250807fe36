"""The files that a person made or copied, read before any store is opened: configuration, genesis, passphrase, keys.

Whoever sets a node up has often more than one thing wrong. What can be checked is checked, and comes in one report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from pydantic import BaseModel

from chain.crypto import SigningKey
from chain.errors import KehuError, define
from chain.genesis import Genesis
from node.api.limits import ApiLimits
from node.folder.config import CONFIG_INVALID, Config, Home, split_address
from node.keys.files import load_key
from node.keys.passphrase import read_passphrase

CONFIG_SEVERAL = define(
    "config.several",
    "several things in the node's folder are wrong",
    "correct all that the report names; each has its own code in docs/errors.md",
)

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class HomeFiles:
    config: Config
    genesis: Genesis
    node_key: SigningKey
    gateway_key: SigningKey | None


class _Report:
    """Collects the errors of steps that don't depend on each other."""

    def __init__(self, errors: list[KehuError]) -> None:
        self._errors = errors

    def attempt(self, step: Callable[[], Made]) -> Made | None:
        try:
            return step()
        except KehuError as error:
            self._errors.append(error)
            return None


@dataclass(frozen=True, slots=True)
class FilesRead:
    """What could be read of `HomeFiles`, the passphrase, and what was wrong."""

    config: Config | None
    genesis: Genesis | None
    passphrase: str | None
    node_key: SigningKey | None
    gateway_key: SigningKey | None
    errors: list[KehuError]


def read_home(home: Home) -> HomeFiles:
    """Errors: config, key and passphrase codes; `config.several` with all of them if there is more than one."""
    read = try_home(home)
    if len(read.errors) == 1:
        raise read.errors[0]
    if read.errors:
        raise KehuError(CONFIG_SEVERAL, problems=[str(error) for error in read.errors])
    if read.config is None or read.genesis is None or read.node_key is None:
        raise KehuError(CONFIG_INVALID, file=str(home.path), problem="a file gave nothing and no error")
    return HomeFiles(read.config, read.genesis, read.node_key, read.gateway_key)


def try_home(home: Home) -> FilesRead:
    """All that can be read, and every error. Raises none."""
    errors: list[KehuError] = []
    report = _Report(errors)
    config, genesis = report.attempt(home.read_config), report.attempt(home.read_genesis)
    passphrase = node_key = gateway_key = None
    if config is not None:
        if genesis is not None:
            report.attempt(lambda: _check_addresses(config, genesis))
        passphrase = report.attempt(lambda: read_passphrase(file=home.path / config.passphrase_file))
        if passphrase is not None:
            opened_by = passphrase
            node_key = report.attempt(lambda: load_key(home.key_at_hand, opened_by))
            if home.gateway_key.exists():
                gateway_key = report.attempt(lambda: load_key(home.gateway_key, opened_by))
    return FilesRead(config, genesis, passphrase, node_key, gateway_key, errors)


def _check_addresses(config: Config, genesis: Genesis) -> None:
    strangers = sorted(set(config.peers) - set(genesis.addresses))
    if strangers:
        problem = f"not in the network: {', '.join(strangers)}"
        raise KehuError(CONFIG_INVALID, file="node.toml", field="peers", problem=problem)
    for address in (*config.peers.values(), *genesis.addresses.values(), config.listen.peer, config.listen.api):
        split_address(address)


def origins(config: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """(key, value, "node.toml" or "default") of every value, in the order of docs/node.md. Secrets stand in files of
    their own, so that their paths can be told."""
    for name in type(config).model_fields:
        value, key = getattr(config, name), f"{prefix}{name}"
        if isinstance(value, BaseModel):
            yield from origins(value, f"{key}.")
        elif isinstance(value, ApiLimits):
            for item in fields(value):
                given = getattr(value, item.name)
                yield f"{key}.{item.name}", given, "default" if given == item.default else "node.toml"
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            for index, item in enumerate(value):
                yield from origins(item, f"{key}.{index}.")
        else:
            yield key, value, "node.toml" if name in config.model_fields_set else "default"
