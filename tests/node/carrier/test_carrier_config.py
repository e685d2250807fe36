"""[carrier] of node.toml: ranges and dialects, all errors of a file in one report, and the clients made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chain.errors import KehuError
from node.carrier.camara import NumberRecycling
from node.carrier.lookup import IdentifierLookup
from node.carrier.platforms import Platforms
from node.folder.config import Config, Home

BASE = """
department = "sales"
[listen]
peer = "127.0.0.1:7001"
api = "127.0.0.1:8001"
"""
CARRIER = """
[carrier]
name = "移动"
url = "http://127.0.0.1:9000"
token_file = "secrets/token"
per_second = 20
"""
RANGE = """
[[carrier.ranges]]
prefix = "+86138"
name = "recycling"
dialect = "number-recycling"
url = "https://api.example/camara"
token_url = "https://auth.example/oauth2/token"
client_id_file = "secrets/id"
client_secret_file = "secrets/secret"
"""


def read(folder: Path, text: str) -> Config:
    (folder / "node.toml").write_text(BASE + text, encoding="utf-8")
    return Home(folder).read_config()


def problem(folder: Path, text: str) -> str:
    with pytest.raises(KehuError) as caught:
        read(folder, text)
    assert caught.value.code == "config.invalid"
    return str(caught.value.details["problem"])


def write_secrets(folder: Path, **changes: str) -> None:
    (folder / "secrets").mkdir()
    for name, text in ({"token": "t-1\n", "id": "kehu\n", "secret": "s-1\nrest"} | changes).items():
        (folder / "secrets" / name).write_text(text, encoding="utf-8")


async def test_ranges_have_their_own_platform_and_the_longest_prefix_decides(tmp_path: Path) -> None:
    write_secrets(tmp_path)
    wider = RANGE.replace("+86138", "+86").replace('recycling"\ndialect', 'wide"\ndialect')
    carrier = read(tmp_path, CARRIER + RANGE + wider).carrier
    assert carrier is not None
    platforms = Platforms(carrier, tmp_path)
    chosen = [platforms.table.platform_of(number) for number in ("+8613800138000", "+8613912345678", "+442079460018")]
    assert [type(one) for one in chosen] == [NumberRecycling, NumberRecycling, IdentifierLookup]
    assert [one.name for one in chosen] == ["recycling", "wide", "移动"]
    assert platforms.status()[0] == {"name": "移动", "dialect": "identifier", "held_ms": 0}
    await platforms.close()


def test_what_was_written_before_ranges_existed_is_still_read(tmp_path: Path) -> None:
    carrier = read(tmp_path, '[carrier]\nurl = "http://127.0.0.1:9000"\ntoken_file = "secrets/token"\n').carrier
    assert carrier is not None
    assert (carrier.dialect, carrier.ranges, carrier.region) == ("identifier", [], "CN")
    assert read(tmp_path, "").carrier is None
    assert read(tmp_path, "").phone.sweep is False


def test_all_errors_come_in_one_report(tmp_path: Path) -> None:
    text = """
[carrier]
name = ""
url = "ftp://platform.example"
dialect = "number-recycling"
token_file = "x"
utc_offset_minutes = 2000
region = "China"
surplus = 1
[[carrier.ranges]]
prefix = "86138"
url = "https://api.example/"
per_second = 0
[phone]
interval_s = 0
"""
    found = problem(tmp_path, text)
    for name in ("name", "url", "token_file", "token_url", "client_id_file", "client_secret_file", "utc_offset_minutes",
                 "region", "surplus", "ranges.0.prefix", "ranges.0.url", "ranges.0.token_file",
                 "ranges.0.per_second"):  # fmt: skip
        assert f"carrier.{name}: " in found, name
    assert "phone.interval_s: " in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CARRIER + RANGE + RANGE, "a prefix stands twice: +86138"),
        (CARRIER.replace("token_file", "token_url"), "carrier.token_url"),
        (CARRIER + RANGE.replace("number-recycling", "sms"), "carrier.ranges.0.dialect"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in problem(tmp_path, text)


async def test_all_missing_secret_files_are_named_at_once(tmp_path: Path) -> None:
    carrier = read(tmp_path, CARRIER + RANGE).carrier
    assert carrier is not None
    with pytest.raises(KehuError) as caught:
        Platforms(carrier, tmp_path)
    assert (caught.value.code, caught.value.details["file"]) == (
        "config.missing",
        "secrets/id, secrets/secret, secrets/token",
    )


@pytest.mark.parametrize("text", ["", "\n", "两个字\n", "two words\n", "\x07\n"])
async def test_a_secret_that_fits_in_no_header_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    write_secrets(tmp_path, secret=text, token=text)
    carrier: Any = read(tmp_path, CARRIER + RANGE).carrier
    with pytest.raises(KehuError) as caught:
        Platforms(carrier, tmp_path)
    assert (caught.value.code, caught.value.details["file"]) == ("config.invalid", "secrets/secret, secrets/token")
    assert not text.strip() or text.strip() not in str(caught.value)
