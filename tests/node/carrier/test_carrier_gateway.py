"""The gateway against the simulator: what it signs, what it refuses to sign, and that nothing personal leaves."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from chain import codec
from chain.attestation import Attestation, identifier_digest_of, phone_digest_of
from chain.crypto import SigningKey, digest
from chain.errors import KehuError
from node.carrier.gateway import Attested, Gateway
from node.carrier.lookup import LookupConfig
from node.carrier.platform import PlatformTable

NUMBER, SECOND, NATIONAL = "+8613800138000", "+8613912345678", "13800138000"
CHAIN, KEY = digest("genesis", b"test"), SigningKey(digest("test", b"gateway"))
PHONE_SALT, IDENTIFIER_SALT = digest("test", b"phone salt"), digest("test", b"identifier salt")
NOW_MS = 1_732_200_000_000


class Nonces:
    """A reproducible stand-in for the operating system's random source."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, count: int) -> bytes:
        self.drawn += 1
        return hashlib.sha256(b"%d" % self.drawn).digest()[:count]


async def gateway_of(carrier: Any, gateway_id: str = "gateway-1", **settings: Any) -> Gateway:
    platforms = PlatformTable(await carrier.lookup(**settings))
    return Gateway(gateway_id, KEY, platforms, CHAIN, lambda: NOW_MS, Nonces())


async def ask(gateway: Gateway, number: str = NUMBER, customer: str = "c-1", **changes: Any) -> Attested:
    given = {
        "phone_digest": phone_digest_of(CHAIN, customer, PHONE_SALT, number),
        "identifier_salt": IDENTIFIER_SALT,
        "phone_salt": PHONE_SALT,
    } | changes
    return await gateway.attest(customer, number, **given)


async def test_a_found_identifier_is_attested_by_its_digest_and_handed_to_the_caller(carrier: Any) -> None:
    attested = await ask(await gateway_of(carrier))
    attestation = attested.attestation
    identifier = carrier.simulator.book.identifier_of(NUMBER)
    assert attested.identifier == identifier
    assert attestation.identifier_digest == identifier_digest_of(CHAIN, "c-1", IDENTIFIER_SALT, identifier)
    assert (attestation.customer, attestation.outcome, attestation.carrier) == ("c-1", "found", "mobile-1")
    assert (attestation.gateway, attestation.time_ms) == ("gateway-1", NOW_MS)
    assert attestation.phone_digest == phone_digest_of(CHAIN, "c-1", PHONE_SALT, NUMBER)
    assert attestation.is_valid(KEY.public, CHAIN)


async def test_the_same_subscriber_gives_the_same_digest_and_a_new_one_another(carrier: Any) -> None:
    gateway = await gateway_of(carrier)
    first, again = [(await ask(gateway)).attestation for _ in range(2)]
    await carrier.admin.act("reassign", NUMBER)
    after = (await ask(gateway)).attestation
    assert first.identifier_digest == again.identifier_digest != after.identifier_digest
    assert after.outcome == "found"
    assert len({first.nonce, again.nonce, after.nonce}) == 3


async def test_none_is_attested_for_a_suspended_number(carrier: Any) -> None:
    await carrier.admin.act("suspend", NUMBER)
    attested = await ask(await gateway_of(carrier))
    assert (attested.attestation.outcome, attested.attestation.identifier_digest) == ("none", None)
    assert (attested.identifier, attested.reason) == (None, None)
    assert attested.attestation.is_valid(KEY.public, CHAIN)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "fail"}, "server_error"),
        ({"kind": "time_out"}, "time_out"),
        ({"kind": "malformed", "variant": "contradiction"}, "malformed"),
        ({"kind": "malformed", "variant": "disconnect"}, "unreachable"),
        ({"kind": "fail", "status": 429}, "rate_limited"),
    ],
)
async def test_a_platform_in_trouble_is_attested_as_no_answer_with_the_reason_for_the_caller(
    carrier: Any, fault: dict[str, Any], reason: str
) -> None:
    await carrier.admin.add_fault(**fault)
    deadline_ms = 150 if reason == "time_out" else 30_000
    attested = await ask(await gateway_of(carrier, deadline_ms=deadline_ms, rate_pause_ms=60_000))
    assert (attested.attestation.outcome, attested.reason) == ("no_answer", reason)
    assert attested.attestation.identifier_digest is None
    assert attested.attestation.is_valid(KEY.public, CHAIN)


async def test_an_attestation_does_not_hold_for_another_customer_or_number(carrier: Any) -> None:
    attestation = (await ask(await gateway_of(carrier))).attestation
    others = [
        replace(attestation, customer="c-2"),
        replace(attestation, phone_digest=phone_digest_of(CHAIN, "c-1", PHONE_SALT, SECOND)),
        replace(attestation, phone_digest=phone_digest_of(CHAIN, "c-2", PHONE_SALT, NUMBER), customer="c-2"),
    ]
    assert not any(other.is_valid(KEY.public, CHAIN) for other in others)


@pytest.mark.parametrize(
    "changes",
    [
        {"phone_digest": phone_digest_of(CHAIN, "c-1", PHONE_SALT, SECOND)},
        {"phone_digest": phone_digest_of(CHAIN, "c-2", PHONE_SALT, NUMBER)},
        {"phone_digest": phone_digest_of(digest("genesis", b"other"), "c-1", PHONE_SALT, NUMBER)},
        {"phone_salt": IDENTIFIER_SALT},
    ],
)
async def test_a_gateway_neither_asks_nor_signs_for_a_digest_of_something_else(
    carrier: Any, changes: dict[str, Any]
) -> None:
    with pytest.raises(KehuError) as caught:
        await ask(await gateway_of(carrier), **changes)
    assert caught.value.code == "carrier.phone_mismatch"
    assert NATIONAL not in str(caught.value)
    assert (await carrier.admin.show(NUMBER))["asked"] == 0


@pytest.mark.parametrize(
    ("number", "changes", "code"),
    [
        (NATIONAL, {}, "phone.malformed"),
        (NUMBER, {"phone_salt": bytes(31)}, "codec.shape"),
        (NUMBER, {"identifier_salt": bytes(31)}, "codec.shape"),
    ],
)
async def test_a_malformed_question_is_refused_before_the_platform_is_asked(
    carrier: Any, number: str, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(KehuError) as caught:
        await ask(await gateway_of(carrier), number, **changes)
    assert caught.value.code == code
    assert "requests" not in await carrier.admin.counters()


async def test_the_attestation_holds_no_number_identifier_or_salt(carrier: Any) -> None:
    attested = await ask(await gateway_of(carrier))
    assert attested.identifier is not None
    sent = codec.encode(attested.attestation.to_value())
    secrets = [NATIONAL.encode(), attested.identifier.encode(), PHONE_SALT, IDENTIFIER_SALT]
    assert not any(secret in sent for secret in secrets)
    assert attested.identifier not in repr(attested)
    assert Attestation.from_value(codec.decode(sent, 1024)) == attested.attestation


@pytest.mark.parametrize("where", ["customer", "gateway", "carrier"])
async def test_an_id_made_of_the_number_is_not_signed_and_not_shown(carrier: Any, where: str) -> None:
    settings = {"name": f"for-{NATIONAL}"} if where == "carrier" else {}
    gateway = await gateway_of(carrier, NUMBER if where == "gateway" else "gateway-1", **settings)
    with pytest.raises(KehuError) as caught:
        await ask(gateway, customer=f"c-{NUMBER}" if where == "customer" else "c-1")
    assert caught.value.code == "carrier.attestation_personal"
    assert NATIONAL not in str(caught.value)


async def test_an_id_made_of_the_identifier_or_a_salt_is_not_signed(carrier: Any) -> None:
    identifier = carrier.simulator.book.identifier_of(NUMBER)
    with pytest.raises(KehuError, match="found=identifier"):
        await ask(await gateway_of(carrier), customer=f"c-{identifier}")
    salt = b"thirty-two bytes of plain text.."
    with pytest.raises(KehuError, match="found=phone salt"):
        await ask(
            await gateway_of(carrier, salt.decode()),
            phone_salt=salt,
            phone_digest=phone_digest_of(CHAIN, "c-1", salt, NUMBER),
        )


def test_the_settings_of_a_look_up_do_not_show_their_token() -> None:
    assert "secret-token" not in repr(LookupConfig("mobile-1", "http://127.0.0.1:1", "secret-token"))
