"""The look-up client against the simulator: only a clear answer counts, and everything else is no answer."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, get_args

import pytest

from chain.errors import InvariantError, KehuError
from node.carrier.lookup import IdentifierLookup, LookupConfig
from node.carrier.platform import Answer, PlatformTable
from node.carrier.simulator.faults import Variant

NUMBER, SECOND = "+8613800138000", "+8613912345678"
SHORT_MS = 150
"""A deadline for look-ups that are to miss it."""


async def test_an_active_number_is_found_with_the_identifier_the_carrier_holds(carrier: Any) -> None:
    lookup = await carrier.lookup()
    shown = await carrier.admin.show(NUMBER)
    assert await lookup.look_up(NUMBER) == Answer.found(shown["identifier"])


@pytest.mark.parametrize("action", ["suspend", "return"])
async def test_a_number_without_a_subscriber_is_none(carrier: Any, action: str) -> None:
    lookup = await carrier.lookup()
    await carrier.admin.act(action, NUMBER)
    assert await lookup.look_up(NUMBER) == Answer.none()
    assert await lookup.look_up(SECOND) == Answer.none()


async def test_a_reassigned_number_is_found_with_another_identifier(carrier: Any) -> None:
    lookup = await carrier.lookup()
    before = await lookup.look_up(NUMBER)
    await carrier.admin.act("reassign", NUMBER)
    after = await lookup.look_up(NUMBER)
    assert after.outcome == "found"
    assert after.identifier != before.identifier


async def test_a_slow_answer_within_the_deadline_is_an_answer(carrier: Any) -> None:
    lookup = await carrier.lookup()
    await carrier.admin.add_fault(kind="slow", delay_ms=50)
    assert (await lookup.look_up(NUMBER)).outcome == "found"
    assert (await carrier.admin.counters())["slow"] == 1


@pytest.mark.parametrize("fault", [{"kind": "time_out"}, {"kind": "slow", "delay_ms": 60_000}])
async def test_an_answer_after_the_deadline_is_no_answer(carrier: Any, fault: dict[str, Any]) -> None:
    await carrier.admin.add_fault(**fault)
    for number in (NUMBER, SECOND):
        lookup = await carrier.lookup(deadline_ms=SHORT_MS)
        assert await lookup.look_up(number) == Answer.no_answer("time_out")


@pytest.mark.parametrize(
    ("status", "reason"),
    [(500, "server_error"), (503, "server_error"), (400, "refused"), (404, "refused"), (302, "refused")],
)
async def test_an_error_status_is_no_answer_even_for_a_number_without_subscriber(
    carrier: Any, status: int, reason: str
) -> None:
    lookup = await carrier.lookup()
    await carrier.admin.add_fault(kind="fail", status=status)
    for number in (NUMBER, SECOND):
        answer = await lookup.look_up(number)
        assert (answer.outcome, answer.reason) == ("no_answer", reason)


async def test_a_wrong_address_and_a_wrong_token_are_no_answer(carrier: Any) -> None:
    elsewhere = await carrier.lookup(url=carrier.url + "/old")
    stranger = await carrier.lookup(token="wrong")
    assert await elsewhere.look_up(SECOND) == Answer.no_answer("refused")
    assert await stranger.look_up(SECOND) == Answer.no_answer("refused")


@pytest.mark.parametrize("variant", sorted(set(get_args(Variant)) - {"disconnect"}))
async def test_a_malformed_answer_is_no_answer_and_never_none(carrier: Any, variant: str) -> None:
    lookup = await carrier.lookup()
    await carrier.admin.add_fault(kind="malformed", variant=variant)
    for number in (NUMBER, SECOND):
        assert await lookup.look_up(number) == Answer.no_answer("malformed")


async def test_a_lost_connection_is_tried_again(carrier: Any) -> None:
    lookup = await carrier.lookup(retries=2)
    await carrier.admin.add_fault(kind="malformed", variant="disconnect", requests=2)
    assert (await lookup.look_up(NUMBER)).outcome == "found"
    assert (await carrier.admin.show(NUMBER))["asked"] == 3


async def test_lost_connections_are_tried_again_a_bounded_number_of_times(carrier: Any) -> None:
    lookup = await carrier.lookup(retries=2)
    await carrier.admin.add_fault(kind="malformed", variant="disconnect")
    assert await lookup.look_up(NUMBER) == Answer.no_answer("unreachable")
    assert (await carrier.admin.show(NUMBER))["asked"] == 3


async def test_a_question_that_is_tried_again_keeps_the_pace_too(carrier: Any) -> None:
    lookup = await carrier.lookup(retries=2, per_second=20.0)
    await carrier.admin.add_fault(kind="malformed", variant="disconnect", requests=2)
    began = asyncio.get_running_loop().time()
    assert (await lookup.look_up(NUMBER)).outcome == "found"
    assert asyncio.get_running_loop().time() - began >= 2 / 20
    assert (await carrier.admin.show(NUMBER))["asked"] == 3


async def test_a_question_whose_turn_to_be_tried_again_comes_too_late_is_given_up(carrier: Any) -> None:
    lookup = await carrier.lookup(retries=2, per_second=0.01)
    await carrier.admin.add_fault(kind="malformed", variant="disconnect")
    assert await lookup.look_up(NUMBER) == Answer.no_answer("unreachable")
    assert (await carrier.admin.show(NUMBER))["asked"] == 1


async def test_an_error_status_is_not_tried_again(carrier: Any) -> None:
    lookup = await carrier.lookup(retries=2)
    await carrier.admin.add_fault(kind="fail", requests=1)
    assert (await lookup.look_up(NUMBER)).outcome == "no_answer"
    assert (await carrier.admin.show(NUMBER))["asked"] == 1


async def test_a_platform_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, but nobody listens
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with IdentifierLookup(LookupConfig("mobile-1", url, "t", retry_pause_ms=1)) as lookup:
            assert await lookup.look_up(NUMBER) == Answer.no_answer("unreachable")


async def test_a_platform_that_speaks_no_http_gives_no_answer() -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-carrier\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with IdentifierLookup(LookupConfig("mobile-1", url, "t", retry_pause_ms=1)) as lookup:
            assert (await lookup.look_up(NUMBER)).outcome == "no_answer"


async def test_a_rate_limit_longer_than_the_deadline_is_no_answer_and_later_look_ups_stay_away(carrier: Any) -> None:
    lookup = await carrier.lookup()
    await carrier.admin.limit_rate(0.01, burst=1)
    assert (await lookup.look_up(NUMBER)).outcome == "found"
    for _ in range(3):
        answer = await lookup.look_up(NUMBER)
        assert (answer.outcome, answer.reason) == ("no_answer", "rate_limited")
        assert answer.retry_after_ms is not None
        assert 30_000 < answer.retry_after_ms <= 100_000
    counters = await carrier.admin.counters()
    assert (counters["requests"], counters["rate_limited"]) == (2, 1)


async def test_a_rate_limit_that_ends_within_the_deadline_is_waited_for(carrier: Any) -> None:
    lookup = await carrier.lookup(deadline_ms=60_000)
    await carrier.admin.limit_rate(2.0, burst=1)
    answers = [await lookup.look_up(NUMBER) for _ in range(2)]
    assert [answer.outcome for answer in answers] == ["found", "found"]
    assert (await carrier.admin.counters())["rate_limited"] == 1


async def test_a_status_429_without_a_time_holds_back_for_the_configured_pause(carrier: Any) -> None:
    lookup = await carrier.lookup(rate_pause_ms=60_000)
    await carrier.admin.add_fault(kind="fail", status=429, requests=1)
    assert await lookup.look_up(NUMBER) == Answer.no_answer("rate_limited", 60_000)
    assert (await lookup.look_up(NUMBER)).reason == "rate_limited"
    assert (await carrier.admin.counters())["requests"] == 1


async def test_faults_hit_their_number_their_count_and_their_share(carrier: Any) -> None:
    lookup = await carrier.lookup()

    async def outcomes(number: str, count: int) -> list[str]:
        return [(await lookup.look_up(number)).outcome for _ in range(count)]

    await carrier.admin.add_fault(kind="fail", number=NUMBER, requests=2)
    assert await outcomes(SECOND, 1) == ["none"]
    assert await outcomes(NUMBER, 3) == ["no_answer", "no_answer", "found"]
    await carrier.admin.add_fault(kind="fail", share=0.25)
    assert (await outcomes(NUMBER, 8)).count("no_answer") == 2
    await carrier.admin.clear_faults()
    assert await outcomes(NUMBER, 4) == ["found"] * 4


async def test_many_look_ups_at_once_are_each_answered_for_their_own_number(carrier: Any) -> None:
    numbers = [f"+86139{tail:08d}" for tail in range(10_000_000, 10_000_060)]
    await carrier.admin.activate_many(numbers)
    lookup = await carrier.lookup(concurrency=4)
    answers = await asyncio.gather(*map(lookup.look_up, numbers))
    held = [carrier.simulator.book.identifier_of(number) for number in numbers]
    assert [answer.identifier for answer in answers] == held


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "explode"},
        {"kind": "slow"},
        {"kind": "fail", "delay_ms": 10},
        {"kind": "fail", "status": 200},
        {"kind": "fail", "share": 0},
        {"kind": "fail", "requests": 0},
        {"kind": "fail", "unknown": 1},
    ],
)
async def test_a_fault_order_that_makes_no_sense_is_refused(carrier: Any, order: dict[str, Any]) -> None:
    with pytest.raises(KehuError, match=r"simulator\.request_malformed"):
        await carrier.admin.add_fault(**order)


def test_an_answer_cannot_contradict_itself_or_show_the_identifier() -> None:
    with pytest.raises(InvariantError):
        Answer("none", identifier="abcdefgh")
    with pytest.raises(InvariantError):
        Answer("found")
    with pytest.raises(InvariantError):
        Answer("no_answer")
    assert "abcdefgh" not in repr(Answer.found("abcdefgh"))


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    held_ms = 0

    async def look_up(self, _number: str, _since_ms: int) -> Answer:
        return Answer.none()


def test_the_longest_prefix_chooses_the_platform() -> None:
    china, mobile, rest = Named("china"), Named("mobile"), Named("rest")
    table = PlatformTable(rest, {"+86": china, "+86138": mobile})
    assert table.platform_of("+8613800138000") is mobile
    assert table.platform_of("+8613912345678") is china
    assert table.platform_of("+442079460018") is rest


def test_a_number_that_no_platform_covers_is_an_error_without_the_number() -> None:
    with pytest.raises(KehuError) as caught:
        PlatformTable(None, {"+86": Named("china")}).platform_of("+442079460018")
    assert caught.value.code == "carrier.no_platform"
    assert "2079460018" not in str(caught.value)
    with pytest.raises(KehuError):
        PlatformTable(None, {"86": Named("china")})
