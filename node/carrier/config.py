"""[carrier] of node.toml: which platform speaks for which numbers, in which dialect, with which credentials.

    [carrier]                               # the platform for numbers that no range below covers
    name = "mobile"                         # as attestations name it
    url = "https://platform.example"
    token_file = "secrets/carrier-token"    # dialect = "identifier", the default
    per_second = 20.0                       # optional: requests a second that the contract with the carrier allows

    [[carrier.ranges]]                      # the longest prefix decides
    prefix = "+86138"
    name = "recycling"
    dialect = "number-recycling"
    url = "https://api.example"
    token_url = "https://auth.example/oauth2/token"
    client_id_file = "secrets/camara-id"
    client_secret_file = "secrets/camara-secret"
    utc_offset_minutes = 480                # of the platform's calendar

Secrets are the first line of their files; paths are relative to the node's folder.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Dialect = Literal["identifier", "number-recycling"]

_DIALECT_OF: Final[dict[str, Dialect]] = {
    "token_file": "identifier",
    "token_url": "number-recycling",
    "client_id_file": "number-recycling",
    "client_secret_file": "number-recycling",
}
_URL: Final = r"^https?://[^\s/?#]+(/[^\s?#]*[^\s?#/])?$"
_TOKEN_URL: Final = r"^https?://[^\s#]+$"  # noqa: S105 - a pattern
_FILE_LENGTH: Final = 512


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlatformSettings(_Strict):
    """One platform. The url has no slash at its end."""

    name: str = Field(default="carrier", min_length=1, max_length=64)
    dialect: Dialect = "identifier"
    url: str = Field(pattern=_URL)
    token_file: str | None = Field(default=None, min_length=1, max_length=_FILE_LENGTH, validate_default=True)
    token_url: str | None = Field(default=None, pattern=_TOKEN_URL, validate_default=True)
    client_id_file: str | None = Field(default=None, min_length=1, max_length=_FILE_LENGTH, validate_default=True)
    client_secret_file: str | None = Field(default=None, min_length=1, max_length=_FILE_LENGTH, validate_default=True)
    utc_offset_minutes: int = Field(default=480, ge=-720, le=840)
    timeout_ms: int = Field(default=3_000, ge=10, le=60_000)
    per_second: float | None = Field(default=None, gt=0, le=10_000)

    @field_validator(*_DIALECT_OF)
    @classmethod
    def _belongs_to_the_dialect(cls, given: str | None, info: ValidationInfo) -> str | None:
        dialect = info.data.get("dialect")
        if dialect is None:  # has its own error in the same report
            return given
        is_needed = _DIALECT_OF[str(info.field_name)] == dialect
        if is_needed and given is None:
            raise ValueError(f"the dialect {dialect} needs it")
        if given is not None and not is_needed:
            raise ValueError(f"the dialect {dialect} has no use for it")
        return given


class RangeSettings(PlatformSettings):
    """The platform of the numbers that begin with `prefix`, in E.164."""

    prefix: str = Field(pattern=r"^\+[1-9][0-9]{0,14}$")


class Carrier(PlatformSettings):
    region: str = Field(default="CN", pattern=r"^[A-Z]{2}$")
    ranges: list[RangeSettings] = Field(default=[], max_length=1_000)

    @field_validator("ranges")
    @classmethod
    def _has_each_prefix_once(cls, ranges: list[RangeSettings]) -> list[RangeSettings]:
        counts = Counter(item.prefix for item in ranges)
        twice = sorted(prefix for prefix, count in counts.items() if count > 1)
        if twice:
            raise ValueError(f"a prefix stands twice: {', '.join(twice)}")
        return ranges


class PhoneDuties(_Strict):
    """[phone] of node.toml: the sweep that the node does by itself, over the customers whose numbers it holds."""

    sweep: bool = False
    interval_s: int = Field(default=3_600, ge=1, le=7 * 86_400)
    """From the end of one sweep to the start of the next."""
    concurrency: int = Field(default=4, ge=1, le=64)
    """How many customers at once; the pace is the platforms' `per_second`."""
