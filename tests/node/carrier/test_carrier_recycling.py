"""Number Recycling against the simulator: two clear answers, and every error of the definition is no answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest

from chain.attestation import DAY_MS
from chain.errors import KehuError
from node.carrier.camara import PATH, REASONS, RecyclingConfig
from node.carrier.client import PlatformClient
from node.carrier.oauth import Credentials
from node.carrier.platform import Answer
from node.carrier.simulator.faults import Variant
from node.carrier.simulator.recycling import CHECK_PATH

NUMBER, SECOND = "+8613800138000", "+8613912345678"
SHORT_MS = 150
DEFINITION = Path(__file__).parents[4] / "shared" / "data" / "camara"
SIGNED_UP, REGISTERED, CANCELLED, GIVEN_ON = (
    date(2023, 10, 9), date(2023, 12, 22), date(2024, 2, 25), date(2024, 9, 21),
)  # fmt: skip
"""The dates of the definition's two scenarios."""


def day_number(day: date) -> int:
    return day.toordinal() - date(1970, 1, 1).toordinal()


def at_noon(day: date) -> int:
    """A moment of that day in China."""
    return day_number(day) * DAY_MS + 4 * 3_600_000


@pytest.fixture
async def held(carrier: Any) -> Any:
    """A carrier whose `SECOND` is user A's since the definition's day."""
    await carrier.admin.act("activate", SECOND, SIGNED_UP)
    return carrier


@pytest.mark.parametrize("asked", [SIGNED_UP, REGISTERED])
async def test_a_subscriber_who_stayed_is_the_same_since(held: Any, asked: date) -> None:
    platform = await held.recycling()
    assert await platform.look_up(SECOND, at_noon(asked)) == Answer.same(day_number(asked))


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [(REGISTERED, "changed"), (date(2024, 5, 1), "changed"), (GIVEN_ON, "same"), (date(2024, 11, 2), "same")],
)
async def test_a_number_given_to_somebody_else_has_changed_since_before(held: Any, asked: date, outcome: str) -> None:
    await held.admin.act("return", SECOND, CANCELLED)
    await held.admin.act("activate", SECOND, GIVEN_ON)
    answer = await (await held.recycling()).look_up(SECOND, at_noon(asked))
    assert (answer.outcome, answer.since_day) == (outcome, day_number(asked))


async def test_a_number_that_nobody_has_has_changed(held: Any) -> None:
    platform = await held.recycling()
    await held.admin.act("return", SECOND, CANCELLED)
    for number in (SECOND, "+8613700000000"):
        assert (await platform.look_up(number, at_noon(REGISTERED))).outcome == "changed"


async def test_days_are_those_of_the_platform_s_calendar(held: Any) -> None:
    """23:00 UTC on the eve is 07:00 of the day itself in China."""
    eve_ms = (day_number(SIGNED_UP) - 1) * DAY_MS + 23 * 3_600_000
    china, utc = await held.recycling(), await held.recycling(utc_offset_minutes=0)
    assert await china.look_up(SECOND, eve_ms) == Answer.same(day_number(SIGNED_UP))
    assert await utc.look_up(SECOND, eve_ms) == Answer.changed(day_number(SIGNED_UP) - 1)


async def test_a_suspended_number_still_has_its_subscriber(held: Any) -> None:
    await held.admin.act("suspend", SECOND)
    assert (await (await held.recycling()).look_up(SECOND, at_noon(REGISTERED))).outcome == "same"


async def test_a_ported_number_is_no_answer_in_either_dialect(held: Any) -> None:
    await held.admin.act("port-out", SECOND)
    assert await (await held.recycling()).look_up(SECOND, at_noon(REGISTERED)) == Answer.no_answer("not_served")
    assert await (await held.lookup()).look_up(SECOND) == Answer.no_answer("refused")
    await held.admin.act("port-in", SECOND)
    assert (await (await held.recycling()).look_up(SECOND, at_noon(REGISTERED))).outcome == "same"


@pytest.mark.parametrize("asked", [date(1999, 1, 1), date(2999, 1, 1)])
async def test_a_day_that_the_platform_does_not_look_back_to_is_no_answer(held: Any, asked: date) -> None:
    assert await (await held.recycling()).look_up(SECOND, at_noon(asked)) == Answer.no_answer("out_of_range")


@pytest.mark.parametrize(("error", "reason"), [*REASONS.items()])
async def test_every_error_of_the_definition_is_no_answer(held: Any, error: tuple[int, str], reason: str) -> None:
    platform = await held.recycling()
    await held.admin.add_fault(kind="fail", status=error[0], code=error[1])
    for number in (SECOND, "+8613700000000"):
        assert await platform.look_up(number, at_noon(REGISTERED)) == Answer.no_answer(reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (500, "INTERNAL", "server_error"),
        (501, "NOT_IMPLEMENTED", "server_error"),
        (503, "UNAVAILABLE", "server_error"),
        (504, "TIMEOUT", "server_error"),
        (404, "NOT_FOUND", "refused"),
        (405, None, "refused"),
        (409, "CONFLICT", "refused"),
        (302, None, "refused"),
        (422, "SOMETHING_NEW", "refused"),
    ],
)
async def test_an_error_the_table_does_not_have_goes_by_its_status(
    held: Any, status: int, code: str | None, reason: str
) -> None:
    await held.admin.add_fault(kind="fail", status=status, **({"code": code} if code else {}))
    answer = await (await held.recycling()).look_up(SECOND, at_noon(REGISTERED))
    assert (answer.outcome, answer.reason) == ("no_answer", reason)


def test_the_table_has_every_error_of_the_definition() -> None:
    path = DEFINITION / "number-recycling.yaml"
    if not path.is_file():
        pytest.skip("the CAMARA definition is not on this machine")
    text = path.read_text(encoding="utf-8")
    responses = text[text.index("\n  responses:\n") :]
    found = []
    for section in re.split(r"\n    Generic(?=\d)", responses)[1:]:
        codes = re.search(r"code:\n +enum:\n((?: +- [A-Z_]+\n)+)", section)
        found += [(int(section[:3]), code) for code in re.findall(r"- ([A-Z_]+)", codes[1] if codes else "")]
    assert len(found) >= 7
    assert set(found) <= set(REASONS)


def test_path_and_fields_are_those_of_the_definition() -> None:
    assert CHECK_PATH == PATH
    path = DEFINITION / "number-recycling.yaml"
    if not path.is_file():
        pytest.skip("the CAMARA definition is not on this machine")
    text = path.read_text(encoding="utf-8")
    for name in ("/check:", "phoneNumber:", "specifiedDate:", "phoneNumberRecycled:", "number-recycling:check"):
        assert name in text


@pytest.mark.parametrize("variant", sorted(set(get_args(Variant)) - {"disconnect"}))
async def test_a_malformed_answer_is_neither_same_nor_changed(held: Any, variant: str) -> None:
    platform = await held.recycling()
    await held.admin.add_fault(kind="malformed", variant=variant)
    for number in (SECOND, "+8613700000000"):
        assert await platform.look_up(number, at_noon(REGISTERED)) == Answer.no_answer("malformed")


async def test_an_answer_after_the_deadline_is_no_answer(held: Any) -> None:
    await held.admin.add_fault(kind="time_out")
    platform = await held.recycling(deadline_ms=SHORT_MS)
    assert await platform.look_up(SECOND, at_noon(REGISTERED)) == Answer.no_answer("time_out")


async def test_the_rate_limit_is_honoured(held: Any) -> None:
    platform = await held.recycling()
    await held.admin.limit_rate(0.01, burst=1)
    assert (await platform.look_up(SECOND, at_noon(REGISTERED))).outcome == "same"
    for _ in range(2):
        assert (await platform.look_up(SECOND, at_noon(REGISTERED))).reason == "rate_limited"
    assert (await held.admin.counters())["rate_limited"] == 1
    assert platform.held_ms > 30_000


# Tokens


async def ask(platform: Any) -> str:
    answer = await platform.look_up(SECOND, at_noon(REGISTERED))
    return str(answer.reason or answer.outcome)


async def test_one_token_serves_many_questions_at_once(held: Any) -> None:
    platform = await held.recycling()
    assert await asyncio.gather(*(ask(platform) for _ in range(20))) == ["same"] * 20
    assert (await held.admin.counters())["tokens"] == 1


async def test_an_expired_token_is_fetched_anew_before_it_is_used(held: Any) -> None:
    platform = await held.recycling()
    await held.admin.set_tokens(0)
    assert await ask(platform) == "unauthenticated"
    await held.admin.set_tokens(600)
    assert await ask(platform) == "same"
    counters = await held.admin.counters()
    assert counters["tokens"] == 3


async def test_a_token_that_was_taken_back_is_replaced_within_the_question(held: Any) -> None:
    platform = await held.recycling()
    assert await ask(platform) == "same"
    await held.admin.set_tokens(600)
    assert await ask(platform) == "same"
    counters = await held.admin.counters()
    assert (counters["tokens"], counters["unauthorized"]) == (2, 1)


async def test_a_wrong_secret_is_no_answer_and_a_corrected_file_is_read_without_a_restart(held: Any) -> None:
    secrets = ["wrong", held.simulator.client_secret]
    platform = await held.recycling(read_credentials=lambda: Credentials(held.simulator.client_id, secrets.pop(0)))
    assert await ask(platform) == "unauthenticated"
    assert await ask(platform) == "same"


async def test_a_secret_that_cannot_be_read_is_no_answer(held: Any) -> None:
    def fail() -> Credentials:
        raise OSError("gone")

    assert await ask(await held.recycling(read_credentials=fail)) == "unauthenticated"


async def test_a_token_without_the_scope_is_denied(held: Any) -> None:
    assert await ask(await held.recycling(scope="sim-swap:check")) == "denied"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "fail", "status": 500}, "server_error"),
        ({"kind": "fail", "status": 400, "code": "invalid_scope"}, "unauthenticated"),
        ({"kind": "fail", "status": 403}, "denied"),
        ({"kind": "fail", "status": 429}, "rate_limited"),
        ({"kind": "fail", "status": 302}, "refused"),
        ({"kind": "malformed", "variant": "html"}, "malformed"),
        ({"kind": "malformed", "variant": "empty"}, "malformed"),
        ({"kind": "malformed", "variant": "wrong_type"}, "malformed"),
        ({"kind": "malformed", "variant": "disconnect"}, "unreachable"),
    ],
)
async def test_trouble_with_the_token_is_no_answer(held: Any, fault: dict[str, Any], reason: str) -> None:
    platform = await held.recycling(rate_pause_ms=60_000)
    await held.admin.add_fault(part="tokens", **fault)
    assert await ask(platform) == reason
    assert "same" not in await held.admin.counters()


@pytest.mark.parametrize(
    "said",
    [
        {"access_token": "t", "token_type": "mac"},
        {"access_token": "", "token_type": "Bearer"},
        {"access_token": "a b", "token_type": "Bearer"},
        {"access_token": "a\r\nX: y", "token_type": "Bearer"},
        {"access_token": 7, "token_type": "Bearer"},
        {"access_token": "t", "token_type": "Bearer", "expires_in": "600"},
        {"access_token": "t", "token_type": "Bearer", "expires_in": -1},
        {"access_token": "t"},
        [],
    ],
)
async def test_a_token_answer_that_is_none_is_malformed(
    held: Any, said: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = await held.recycling()
    say_of_tokens(monkeypatch, lambda _: said)
    assert await ask(platform) == "malformed"


async def test_a_token_whose_life_is_longer_than_any_clock_is_a_token(
    held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a token server says is not to end the sweep that asked, and the node with it."""
    platform = await held.recycling()
    say_of_tokens(monkeypatch, lambda said: said | {"expires_in": 10**400})
    assert await ask(platform) == "same"


def say_of_tokens(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], object]) -> None:
    """The token endpoint's answers, read as `change` makes them."""
    kept = PlatformClient.post

    async def post(self: Any, url: str, *arguments: Any, **body: Any) -> Any:
        reply = await kept(self, url, *arguments, **body)
        if not url.endswith("/oauth2/token"):
            return reply
        return replace(reply, body=json.dumps(change(json.loads(reply.body))).encode())

    monkeypatch.setattr(PlatformClient, "post", post)


# The simulator's own manners


async def check(carrier: Any, body: object, token: str | None = None) -> tuple[int, str | None, str | None]:
    """(status, code, x-correlator) of one check as anybody could send it."""
    async with aiohttp.ClientSession() as session:
        if token is None:
            basic = Credentials(carrier.simulator.client_id, carrier.simulator.client_secret).basic()
            form = {"grant_type": "client_credentials", "scope": "number-recycling:check"}
            async with session.post(
                carrier.url + "/oauth2/token", data=form, headers={"Authorization": basic}
            ) as response:
                token = (await response.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}", "x-correlator": "kehu-1"}
        async with session.post(carrier.url + PATH, json=body, headers=headers) as response:
            said = await response.json()
            return response.status, said.get("code"), response.headers.get("x-correlator")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"phoneNumber": SECOND, "specifiedDate": "2023-12-22"}, (200, None)),
        ({"specifiedDate": "2023-12-22"}, (422, "MISSING_IDENTIFIER")),
        ({"phoneNumber": SECOND}, (400, "INVALID_ARGUMENT")),
        ({"phoneNumber": "13912345678", "specifiedDate": "2023-12-22"}, (400, "INVALID_ARGUMENT")),
        ({"phoneNumber": SECOND, "specifiedDate": "22.12.2023"}, (400, "INVALID_ARGUMENT")),
        ({"phoneNumber": SECOND, "specifiedDate": "2023-12-22", "more": 1}, (400, "INVALID_ARGUMENT")),
        ({"phoneNumber": SECOND, "specifiedDate": "1999-12-22"}, (400, "OUT_OF_RANGE")),
    ],
)
async def test_the_simulator_answers_as_the_definition_says(held: Any, body: object, expected: Any) -> None:
    assert await check(held, body) == (*expected, "kehu-1")


async def test_the_simulator_takes_none_but_its_own_tokens(held: Any) -> None:
    body = {"phoneNumber": SECOND, "specifiedDate": "2023-12-22"}
    for token in ("", "nonsense", held.simulator.lookup_token):
        assert (await check(held, body, token))[:2] == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "time_out", "code": "OUT_OF_RANGE"},
        {"kind": "fail", "part": "tokens", "number": NUMBER},
        {"kind": "fail", "code": "<b>"},
    ],
)
async def test_a_fault_order_that_makes_no_sense_is_refused(held: Any, order: dict[str, Any]) -> None:
    with pytest.raises(KehuError, match=r"simulator\.request_malformed"):
        await held.admin.add_fault(**order)


def test_settings_and_credentials_do_not_show_the_secret() -> None:
    config = RecyclingConfig(
        "mobile-2", "http://127.0.0.1:1", "http://127.0.0.1:1/t", lambda: Credentials("id", "geheim")
    )
    assert "geheim" not in f"{config!r} {config.read_credentials()!r}"


# Pace


async def test_questions_keep_the_pace_that_is_configured(held: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    platform = await held.recycling(per_second=4.0)
    monkeypatch.setattr("node.carrier.client.asyncio.sleep", sleep)
    for _ in range(4):
        assert await ask(platform) == "same"
    assert sum(slept) > 0
    assert max(slept) == pytest.approx(slept[-1])
    assert all(0 <= pause <= 1.0 for pause in slept)  # four turns before the last: three questions, and the token's


async def test_what_is_asked_for_a_token_takes_a_turn_and_the_question_itself_does_not_wait_for_it(
    held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    platform = await held.recycling(per_second=0.01)
    monkeypatch.setattr("node.carrier.client.asyncio.sleep", sleep)
    for _ in range(2):
        assert await ask(platform) == "same"
    assert slept[0] == 0
    assert 100 < slept[1] <= 200
