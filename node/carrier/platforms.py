"""The platforms of a node, made from its configuration: clients in their dialects, and the table of ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chain.errors import KehuError
from node.carrier.camara import NumberRecycling, RecyclingConfig
from node.carrier.config import Carrier, PlatformSettings
from node.carrier.lookup import IdentifierLookup, LookupConfig
from node.carrier.oauth import Credentials
from node.carrier.platform import PlatformTable
from node.folder.config import CONFIG_INVALID, CONFIG_MISSING

Client = IdentifierLookup | NumberRecycling


class Platforms:
    """Made inside a running event loop. Errors: config.missing and config.invalid, about all secret files at once."""

    def __init__(self, carrier: Carrier, folder: Path) -> None:
        require_secrets(carrier, folder)
        settings = [carrier, *carrier.ranges]
        self.clients: list[Client] = [_client_of(item, folder) for item in settings]
        by_prefix = {item.prefix: client for item, client in zip(carrier.ranges, self.clients[1:], strict=True)}
        self.table = PlatformTable(self.clients[0], by_prefix)

    def status(self) -> list[dict[str, Any]]:
        """Public facts, JSON values."""
        return [{"name": one.name, "dialect": one.dialect, "held_ms": one.held_ms} for one in self.clients]

    async def close(self) -> None:
        for client in self.clients:
            await client.close()


def require_secrets(carrier: Carrier, folder: Path) -> None:
    """Errors: config.missing and config.invalid, about all secret files at once."""
    paths = sorted({name for item in (carrier, *carrier.ranges) for name in _files_of(item)})
    missing = [name for name in paths if not (folder / name).is_file()]
    if missing:
        raise KehuError(CONFIG_MISSING, file=", ".join(missing))
    unfit = [name for name in paths if _problem_of(folder / name)]
    if unfit:
        raise KehuError(CONFIG_INVALID, file=", ".join(unfit), problem="no line of visible ASCII that can be read")


def _files_of(settings: PlatformSettings) -> list[str]:
    files = (settings.token_file, settings.client_id_file, settings.client_secret_file)
    return [name for name in files if name is not None]


def _problem_of(path: Path) -> bool:
    try:
        read_secret(path)
    except (OSError, ValueError):
        return True
    return False


def read_secret(path: Path) -> str:
    """The first line of a file. Errors: OSError; ValueError unless it is visible ASCII, fit for a header."""
    text = path.read_text(encoding="ascii").partition("\n")[0].strip()
    if not text or not text.isprintable() or " " in text:
        raise ValueError("not a secret")
    return text


def _client_of(settings: PlatformSettings, folder: Path) -> Client:
    limits: dict[str, Any] = {"deadline_ms": settings.timeout_ms, "per_second": settings.per_second}
    if settings.dialect == "identifier":
        token = read_secret(folder / str(settings.token_file))
        return IdentifierLookup(LookupConfig(settings.name, settings.url, token, **limits))
    id_file, secret_file = folder / str(settings.client_id_file), folder / str(settings.client_secret_file)

    def read_credentials() -> Credentials:
        return Credentials(read_secret(id_file), read_secret(secret_file))

    return NumberRecycling(
        RecyclingConfig(
            settings.name,
            settings.url,
            str(settings.token_url),
            read_credentials,
            settings.utc_offset_minutes,
            **limits,
        )
    )
