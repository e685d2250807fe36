"""What a node reads at start: `node.toml` in its folder. One folder is all `kehu node run` needs.

    department = "sales"
    [listen]
    peer = "127.0.0.1:7001"        # TLS 1.3 between departments
    api = "127.0.0.1:8001"         # HTTP for people and tools
    metrics = "127.0.0.1:9101"     # optional: Prometheus reads /metrics there, and nothing else is there
    [log]                          # optional
    format = "json"                # or "text", for people
    [carrier]                      # optional: without it this node asks no carrier (node/carrier/config.py)
    name = "simulator"
    url = "http://127.0.0.1:9000"
    token_file = "secrets/carrier-token"
    region = "CN"
    [api]                          # optional: bounds of the API (node/api/limits.py)
    connections_max = 512
    [phone]                        # optional: check by schedule the numbers that this department holds
    sweep = true
    interval_s = 3600
    [peers]                        # optional: where a department is reached, if not as genesis says
    finance = "10.0.0.2:7001"

Paths are relative to the folder. Unknown keys are errors, and all errors of a file come in one report.
"""

from __future__ import annotations

import errno
import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chain.errors import KehuError, define
from chain.genesis import Genesis
from node.api.limits import ApiLimits
from node.carrier.config import Carrier, PhoneDuties
from node.logs import Format

CONFIG_MISSING = define(
    "config.missing",
    "the node folder lacks a file it needs",
    "make the folder with `kehu network init` or `kehu node init`, or put the named file there",
)
NODE_ADDRESS = define(
    "node.address",
    "the node can't listen on an address of its configuration",
    "stop whatever listens there, or correct [listen] in node.toml; it must be an address of this machine",
)
CONFIG_INVALID = define(
    "config.invalid",
    "node.toml or genesis.json has a value of the wrong kind, an unknown key, or lacks one",
    "correct the named fields; docs/node.md lists them all",
)

CONFIG_NAME: Final = "node.toml"
CONFIG_BYTES_MAX: Final = 1 << 16
"""Of node.toml; nested keys take time by the square of their depth to parse."""

_ADDRESS: Final = r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.\-_]+):\d{1,5}$"
Address = Field(pattern=_ADDRESS)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Listen(_Strict):
    peer: str = Address
    api: str = Address
    metrics: str | None = Field(default=None, pattern=_ADDRESS)


class Log(_Strict):
    format: Format = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"
    access: bool = False
    """A line per request of the API."""


class Consensus(_Strict):
    view_timeout_ms: int = Field(default=2_000, ge=100, le=60_000)
    view_timeout_max_ms: int = Field(default=10_000, ge=100, le=600_000)
    retransmit_ms: int = Field(default=500, ge=50, le=10_000)
    block_interval_ms: int = Field(default=5, ge=0, le=10_000)
    """The pause between two proposals under traffic; an idle network proposes at once."""


class Limits(_Strict):
    mempool_transactions: int = Field(default=20_000, ge=1)
    sender_transactions: int = Field(default=2_000, ge=1)
    """How many uncommitted transactions one key may have at this node."""
    wait_max_ms: int = Field(default=5_000, ge=100, le=60_000)
    """Clients are told to come again later when what waits here already would take longer than this."""


class Snapshots(_Strict):
    behind_blocks: int = Field(default=2_000, ge=1)
    """A node that is so far behind takes a snapshot instead of the blocks, if one is so far ahead."""
    interval_blocks: int = Field(default=1_000, ge=1)
    """After which blocks a snapshot is offered; the same in all departments, so that pieces come from several."""


class Scrub(_Strict):
    """How the node reads its own files again, to find damage before the bytes are needed."""

    interval_s: float = Field(default=86_400, gt=0)
    """From the end of one round to the next."""
    bytes_per_second: int = Field(default=2 << 20, ge=1 << 12)


class Config(_Strict):
    department: str
    listen: Listen
    carrier: Carrier | None = None
    phone: PhoneDuties = PhoneDuties()
    consensus: Consensus = Consensus()
    limits: Limits = Limits()
    api: ApiLimits = ApiLimits()
    log: Log = Log()
    snapshot: Snapshots = Snapshots()
    scrub: Scrub = Scrub()
    peers: dict[str, str] = {}
    passphrase_file: str = "secrets/passphrase"  # noqa: S105 (a path)


class Home:
    """A node's folder and the names in it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @property
    def config_file(self) -> Path:
        return self.path / CONFIG_NAME

    @property
    def genesis_file(self) -> Path:
        return self.path / "genesis.json"

    @property
    def node_key(self) -> Path:
        return self.path / "node.key"

    @property
    def next_key(self) -> Path:
        return self.path / "node.key.next"

    @property
    def key_at_hand(self) -> Path:
        """node.key; where that was lost, the key that is to follow it."""
        return self.next_key if self.next_key.exists() and not self.node_key.exists() else self.node_key

    @property
    def members(self) -> Path:
        return self.path / "members.json"

    @property
    def gateway_key(self) -> Path:
        return self.path / "gateway.key"

    @property
    def chain(self) -> Path:
        return self.path / "chain"

    @property
    def vault(self) -> Path:
        return self.path / "vault"

    @property
    def vault_keys(self) -> Path:
        return self.path / "vault-keys"

    @property
    def votes(self) -> Path:
        return self.path / "votes.log"

    @property
    def evidence(self) -> Path:
        return self.path / "evidence"

    def read_config(self) -> Config:
        return parse_config(read_file(self.config_file))

    def read_genesis(self) -> Genesis:
        return read_genesis(self.genesis_file)


def parse_config(text: str) -> Config:
    """What node.toml says. Errors: config.invalid, with everything that is wrong."""
    if len(text) > CONFIG_BYTES_MAX:
        problem = f"more than {CONFIG_BYTES_MAX} characters"
        raise KehuError(CONFIG_INVALID, file=CONFIG_NAME, problem=problem)
    try:
        return Config.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise KehuError(CONFIG_INVALID, file=CONFIG_NAME, problem=str(error)) from None
    except ValidationError as error:
        raise KehuError(CONFIG_INVALID, file=CONFIG_NAME, problem=_problems(error)) from None


def read_genesis(path: Path) -> Genesis:
    """The genesis in a JSON file; numbers are whole and keys unique, or the chain id would be another."""
    try:
        value = json.loads(read_file(path), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise KehuError(CONFIG_INVALID, file=path.name, problem=str(error)) from None
    return Genesis.from_value(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def read_file(path: Path) -> str:
    """A text file of the folder. Errors: config.missing, config.invalid."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise KehuError(CONFIG_MISSING, file=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise KehuError(CONFIG_INVALID, file=str(path), problem=type(error).__name__) from None


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())


PORTS: Final = 65_536


def split_address(address: str) -> tuple[str, int]:
    """("host", port) of "host:port"; raises `config.invalid`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) < PORTS:
        raise KehuError(CONFIG_INVALID, file="address", problem=f"{address!r} is not host:port")
    return host.strip("[]"), int(port)


@contextmanager
def listening_on(address: str) -> Iterator[None]:
    """Turns the system's refusal to listen into `node.address`."""
    try:
        yield
    except (OSError, UnicodeError) as error:  # the latter of what no name can be, such as one with two dots in a row
        reason = errno.errorcode.get(getattr(error, "errno", None) or 0, type(error).__name__)
        raise KehuError(NODE_ADDRESS, address=address, reason=reason) from error
