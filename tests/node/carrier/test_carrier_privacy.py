"""A canary number goes every way through simulator, client and gateway; no log line may hold it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp
import pytest

from chain.attestation import phone_digest_of
from chain.crypto import SigningKey, digest
from chain.errors import KehuError
from node.carrier.gateway import Gateway
from node.carrier.numbers import parse_number
from node.carrier.platform import PlatformTable

CANARY, NATIONAL = "+8613977775555", "13977775555"
CHAIN, SALT = digest("genesis", b"test"), digest("test", b"salt")


async def send_raw(carrier: Any, request: bytes) -> bytes:
    port = int(carrier.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """All that any handler could have written, tracebacks and arguments included."""
    formatter = logging.Formatter("%(name)s %(message)s")
    return "\n".join(f"{formatter.format(record)} {record.args!r}" for record in caplog.records)


async def test_good_and_bad_answers_leave_no_number_or_identifier_in_any_log(
    carrier: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = SigningKey(digest("test", b"gateway"))
    phone_digest = phone_digest_of(CHAIN, "c-1", SALT, CANARY)
    await carrier.admin.act("activate", CANARY)
    identifier = carrier.simulator.book.identifier_of(CANARY)
    faults: list[dict[str, Any]] = [{}, {"kind": "fail"}, {"kind": "time_out"}, {"kind": "malformed"}]
    for fault in (*faults, {"kind": "fail", "status": 429}):
        deadline_ms = 150 if fault.get("kind") == "time_out" else 30_000
        platform = await carrier.lookup(deadline_ms=deadline_ms, rate_pause_ms=60_000)
        gateway = Gateway("gateway-1", key, PlatformTable(platform), CHAIN, lambda: 0, bytes)
        await carrier.admin.clear_faults()
        if fault:
            await carrier.admin.add_fault(number=CANARY, **fault)
        await gateway.attest("c-1", CANARY, phone_digest, SALT, phone_salt=SALT)
    text = logged(caplog)
    assert "POST /v1/lookup 200" in text
    assert "gave no answer: server_error" in text
    assert NATIONAL not in text
    assert identifier not in text


async def test_a_number_in_a_url_or_a_header_or_a_broken_request_is_not_logged(
    carrier: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with aiohttp.ClientSession() as session:
        for path in (f"/v1/identifiers/{CANARY}", f"/v1/lookup?number={CANARY}", f"/admin/v1/numbers/{CANARY}"):
            async with session.get(carrier.url + path) as response:
                assert response.status in (404, 405)
    await send_raw(carrier, f"GET /{CANARY} HTTP/9.9.9\r\n\r\n".encode())
    await send_raw(carrier, f"GET / HTTP/1.1\r\nHost: x\r\n{CANARY} : \x00bad\r\n\r\n".encode())
    await send_raw(carrier, f"{NATIONAL} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    text = logged(caplog)
    assert "unmatched 404" in text
    assert text.count("unmatched 400") == 3
    assert "AssertionError" not in text
    assert NATIONAL not in text


async def test_an_unexpected_failure_is_logged_with_its_place_and_without_its_message(
    carrier: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)

    def fail(number: str) -> str:
        raise RuntimeError(f"cannot find {number}")

    monkeypatch.setattr(carrier.simulator.book, "identifier_of", fail)
    lookup = await carrier.lookup()
    assert (await lookup.look_up(CANARY)).reason == "server_error"
    text = logged(caplog)
    assert "RuntimeError at " in text
    assert "test_carrier_privacy.py:" in text
    assert NATIONAL not in text


def test_a_refused_number_is_not_in_the_traceback_s_messages() -> None:
    with pytest.raises(KehuError) as caught:
        parse_number(NATIONAL + "0")
    shown: BaseException | None = caught.value
    while shown is not None:
        assert NATIONAL not in str(shown)
        shown = shown.__cause__ or shown.__context__
