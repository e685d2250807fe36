"""The carrier simulator over real HTTP: the life of a number, its data file, and its guards."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chain.errors import KehuError
from node.carrier.simulator.admin import SimulatorAdmin
from node.carrier.simulator.book import NumberBook
from node.carrier.simulator.faults import RateLimit

NUMBER, SECOND, THIRD = "+8613800138000", "+8613912345678", "+8618611112222"


async def post(carrier: Any, path: str, body: object, token: str | None = None) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a raw request with the look-up token, or another."""
    headers = {"Authorization": f"Bearer {token or carrier.simulator.lookup_token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(carrier.url + path, json=body) as response,
    ):
        return response.status, await response.json(content_type=None)


async def test_an_active_number_is_found_and_an_unknown_one_is_none(carrier: Any) -> None:
    status, answer = await post(carrier, "/v1/lookup", {"number": NUMBER})
    assert (status, answer["outcome"]) == (200, "found")
    assert len(answer["identifier"]) == 32
    assert await post(carrier, "/v1/lookup", {"number": SECOND}) == (200, {"outcome": "none"})


async def test_a_suspended_number_is_none_until_it_is_resumed_with_the_same_identifier(carrier: Any) -> None:
    before = await post(carrier, "/v1/lookup", {"number": NUMBER})
    await carrier.admin.act("suspend", NUMBER)
    assert await post(carrier, "/v1/lookup", {"number": NUMBER}) == (200, {"outcome": "none"})
    await carrier.admin.act("resume", NUMBER)
    assert await post(carrier, "/v1/lookup", {"number": NUMBER}) == before


async def test_a_returned_number_is_none_and_its_next_subscriber_has_another_identifier(carrier: Any) -> None:
    _, before = await post(carrier, "/v1/lookup", {"number": NUMBER})
    await carrier.admin.act("return", NUMBER)
    assert await post(carrier, "/v1/lookup", {"number": NUMBER}) == (200, {"outcome": "none"})
    await carrier.admin.act("activate", NUMBER)
    _, after = await post(carrier, "/v1/lookup", {"number": NUMBER})
    assert after["outcome"] == "found"
    assert after["identifier"] != before["identifier"]


async def test_reassigning_gives_another_identifier_each_time(carrier: Any) -> None:
    shown = [await carrier.admin.show(NUMBER)]
    shown += [await carrier.admin.act("reassign", NUMBER) for _ in range(3)]
    assert len({line["identifier"] for line in shown}) == 4
    assert [line["subscribers"] for line in shown] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("before", "action", "state"),
    [
        ([], "suspend", "unknown"),
        ([], "resume", "unknown"),
        ([], "return", "unknown"),
        ([], "reassign", "unknown"),
        (["activate"], "activate", "active"),
        (["activate"], "resume", "active"),
        (["activate", "suspend"], "suspend", "suspended"),
        (["activate", "suspend"], "activate", "suspended"),
        (["activate", "return"], "resume", "returned"),
    ],
)
async def test_an_action_that_the_state_does_not_allow_is_a_conflict_and_changes_nothing(
    carrier: Any, before: list[str], action: str, state: str
) -> None:
    for step in before:
        await carrier.admin.act(step, SECOND)
    status, answer = await post(
        carrier, f"/admin/v1/numbers/{action}", {"number": SECOND}, carrier.simulator.admin_token
    )
    assert (status, answer["code"]) == (409, "simulator.action_refused")
    assert answer["details"] == {"action": action, "state": state}
    assert (await carrier.admin.show(SECOND))["state"] == state


async def test_bulk_activation_leaves_taken_numbers_alone_and_takes_national_form(carrier: Any) -> None:
    before = await carrier.admin.show(NUMBER)
    numbers = [f"139{tail:08d}" for tail in range(10_000_000, 10_000_300)]
    assert await carrier.admin.activate_many([NUMBER, *numbers]) == {"activated": 300, "already": 1}
    assert await carrier.admin.activate_many(numbers) == {"activated": 0, "already": 300}
    assert (await carrier.admin.show(NUMBER))["identifier"] == before["identifier"]
    assert (await carrier.admin.show(numbers[7]))["state"] == "active"


async def test_a_bulk_with_one_faulty_number_activates_none(carrier: Any) -> None:
    with pytest.raises(KehuError, match=r"phone\.unassigned"):
        await carrier.admin.activate_many([SECOND, "12345678901"])
    assert (await carrier.admin.show(SECOND))["state"] == "unknown"


async def test_a_restart_keeps_numbers_identifiers_and_tokens(start_carrier: Callable[..., Any]) -> None:
    first = await start_carrier()
    await first.admin.activate_many([NUMBER, SECOND, THIRD])
    await first.admin.act("suspend", SECOND)
    await first.admin.act("reassign", THIRD)
    before = [await first.admin.show(number) for number in (NUMBER, SECOND, THIRD)]
    await first.stop()
    second = await start_carrier(seed=None)
    assert second.simulator.lookup_token == first.simulator.lookup_token
    assert [await second.admin.show(number) for number in (NUMBER, SECOND, THIRD)] == before
    assert (await second.admin.act("reassign", THIRD))["subscribers"] == 3


def test_identifiers_depend_on_the_seed_and_not_on_the_order(tmp_path: Path) -> None:
    one = NumberBook.open(tmp_path / "one.json", "demo")
    two = NumberBook.open(tmp_path / "two.json", "demo")
    other = NumberBook.open(tmp_path / "other.json", "another")
    one.activate_many([NUMBER, SECOND], 1)
    two.apply("activate", SECOND, 1)
    two.apply("activate", NUMBER, 2)
    other.activate_many([NUMBER], 1)
    assert one.identifier_of(NUMBER) == two.identifier_of(NUMBER)
    assert len({one.identifier_of(NUMBER), one.identifier_of(SECOND), other.identifier_of(NUMBER)}) == 3


def test_books_without_a_seed_differ(tmp_path: Path) -> None:
    books = [NumberBook.open(tmp_path / name) for name in ("one.json", "two.json")]
    assert len({book.apply("activate", NUMBER, 1).identifier for book in books}) == 2


def test_a_data_file_of_another_seed_is_refused(tmp_path: Path) -> None:
    NumberBook.open(tmp_path / "numbers.json", "demo")
    with pytest.raises(KehuError) as caught:
        NumberBook.open(tmp_path / "numbers.json", "another")
    assert caught.value.code == "simulator.seed_mismatch"


GOOD_ROW = ["active", 1, "a" * 32, 20_000]


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"format": 99, "seed": "s", "numbers": {}}),
        json.dumps({"format": 2, "seed": "s", "numbers": []}),
        json.dumps({"format": 2, "seed": "s", "numbers": {"13800138000": GOOD_ROW}}),
        json.dumps({"format": 2, "seed": "s", "numbers": {NUMBER: ["sleeping", 1, "a", 1]}}),
        json.dumps({"format": 2, "seed": "s", "numbers": {NUMBER: ["active", 1, "a"]}}),
    ],
)
def test_a_damaged_data_file_is_refused_and_left_as_it_is(tmp_path: Path, document: str) -> None:
    path = tmp_path / "numbers.json"
    path.write_text(document, encoding="utf-8")
    with pytest.raises(KehuError) as caught:
        NumberBook.open(path)
    assert caught.value.code == "simulator.file_malformed"
    assert NUMBER not in str(caught.value)
    assert path.read_text(encoding="utf-8") == document


def test_a_change_that_cannot_be_written_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = NumberBook.open(tmp_path / "numbers.json", "demo")

    def fail(*_arguments: object, **_named: object) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr("node.carrier.simulator.book.write_file", fail)
    with pytest.raises(OSError, match="no space"):
        book.apply("activate", NUMBER, 1)
    assert book.identifier_of(NUMBER) is None


async def test_data_and_tokens_are_for_their_owner_only(carrier: Any, tmp_path: Path) -> None:
    assert carrier.simulator.lookup_token != carrier.simulator.admin_token
    for name in ("numbers.json", "lookup.token", "admin.token"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("token", ["", "wrong", "\u00fcber"])
async def test_a_wrong_token_opens_nothing(carrier: Any, token: str) -> None:
    for path in ("/v1/lookup", "/admin/v1/numbers/suspend", "/admin/v1/faults", "/admin/v1/numbers/activate-many"):
        status, answer = await post(carrier, path, {"number": NUMBER}, token or "x")
        assert (status, answer["code"]) == (401, "simulator.unauthorized")
    assert (await carrier.admin.show(NUMBER))["state"] == "active"


async def test_each_token_opens_its_own_part_only(carrier: Any) -> None:
    status, _ = await post(carrier, "/v1/lookup", {"number": NUMBER}, carrier.simulator.admin_token)
    assert status == 401
    async with SimulatorAdmin(carrier.url, carrier.simulator.lookup_token) as admin:
        with pytest.raises(KehuError, match="status=401"):
            await admin.act("suspend", NUMBER)


async def test_health_needs_no_token(carrier: Any) -> None:
    async with aiohttp.ClientSession() as session, session.get(carrier.url + "/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "simulator.request_malformed"),
        ([], "simulator.request_malformed"),
        ({"number": 13800138000}, "simulator.request_malformed"),
        ({"number": NUMBER, NUMBER: 1}, "simulator.request_malformed"),
        ({"number": NUMBER, "padding": "x" * 2000}, "simulator.request_malformed"),
        ({"number": "13800138000"}, "phone.malformed"),
        ({"number": "+8612345678901"}, "phone.unassigned"),
    ],
)
async def test_a_malformed_look_up_is_a_400_that_does_not_echo_it(carrier: Any, body: object, code: str) -> None:
    status, answer = await post(carrier, "/v1/lookup", body)
    assert (status, answer["code"]) == (400, code)
    assert "13800138000" not in json.dumps(answer)
    assert "12345678901" not in json.dumps(answer)


async def test_the_rate_limit_answers_429_with_the_seconds_to_wait(carrier: Any) -> None:
    await carrier.admin.limit_rate(0.1, burst=2)
    headers = {"Authorization": f"Bearer {carrier.simulator.lookup_token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        statuses = []
        for _ in range(3):
            async with session.post(carrier.url + "/v1/lookup", json={"number": NUMBER}) as response:
                statuses.append(response.status)
                wait = response.headers.get("Retry-After")
    assert statuses == [200, 200, 429]
    assert wait is not None
    assert 1 <= int(wait) <= 10


def test_the_token_bucket_refills_with_time_and_never_above_its_burst() -> None:
    now = 0.0
    limit = RateLimit(2.0, 3, clock=lambda: now)
    assert [limit.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    now = 0.5
    assert [limit.take(), limit.take()] == [0.0, 0.5]
    now = 1000.0
    assert [limit.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


async def test_counters_say_how_look_ups_ended(carrier: Any) -> None:
    for number in (NUMBER, NUMBER, SECOND):
        await post(carrier, "/v1/lookup", {"number": number})
    await post(carrier, "/v1/lookup", {"number": NUMBER}, "wrong")
    assert await carrier.admin.counters() == {"found": 2, "none": 1, "requests": 4, "unauthorized": 1}
    assert (await carrier.admin.show(NUMBER))["asked"] == 2
