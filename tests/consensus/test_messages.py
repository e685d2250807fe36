"""The wire: golden vectors, round trips, and everything that is not a message."""

from __future__ import annotations

import json
from random import Random

import pytest

from chain import codec
from chain.crypto import verify
from chain.errors import KehuError
from consensus import evidence
from consensus.events import MessageReceived
from consensus.messages import decode_message
from consensus.votes import decode_record
from tests.consensus import vectors
from tests.consensus.cluster import Cluster

LIMIT = 1 << 20
MESSAGES = vectors.messages()
RECORDS = vectors.records()


def test_the_golden_vectors_are_what_the_code_writes() -> None:
    assert json.loads(vectors.PATH.read_text(encoding="utf-8")) == vectors.build()


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_read_as_it_was_written(name: str) -> None:
    data = MESSAGES[name].to_bytes()
    assert decode_message(data, LIMIT) == MESSAGES[name]
    assert decode_message(data, LIMIT).to_bytes() == data


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_read_as_it_was_written(name: str) -> None:
    assert decode_record(RECORDS[name].to_bytes()) == RECORDS[name]


def test_every_signature_in_the_vectors_verifies_for_its_purpose_and_no_other() -> None:
    stored = json.loads(vectors.PATH.read_text(encoding="utf-8"))
    chain_id = bytes.fromhex(stored["chain_id"])
    keys = [bytes.fromhex(key) for key in stored["keys"].values()]
    purposes = ("pre-prepare", "prepare", "commit", "view-change", "new-view")
    for signed in stored["payloads"].values():
        payload, signature = bytes.fromhex(signed["payload"]), bytes.fromhex(signed["signature"])
        good = [(p, key) for p in purposes for key in keys if verify(key, p, chain_id, payload, signature)]
        assert [purpose for purpose, _ in good] == [signed["purpose"]]
        assert not any(verify(key, signed["purpose"], bytes(32), payload, signature) for key in keys)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_missing_null_or_of_another_type_is_refused_b42(name: str) -> None:
    """Each element of the message, at any depth, is left out or replaced; what is read back must be canonical."""
    value = codec.decode(MESSAGES[name].to_bytes(), LIMIT)
    refused = 0
    for position in range(len(value)):
        for wrong in (None, -1, 1 << 63, "x", b"x", [], {}, True, [None]):
            changed = [*value[:position], wrong, *value[position + 1 :]]
            data = codec.encode(changed)
            try:
                assert decode_message(data, LIMIT).to_bytes() == data
            except KehuError:
                refused += 1
        with pytest.raises(KehuError):
            decode_message(codec.encode([*value[:position], *value[position + 1 :]]), LIMIT)
    assert refused >= 5 * len(value)


def test_mutated_messages_never_raise_in_a_replica() -> None:
    rng, cluster = Random(7), Cluster()
    sources = [message.to_bytes() for message in MESSAGES.values()]
    for _ in range(4000):
        data = bytearray(rng.choice(sources))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        cluster[0].step(MessageReceived(cluster.names[1], bytes(data[: rng.randint(1, len(data) + 20)])))
    assert cluster[0].replica.view == 0
    assert len(cluster[0].offences()) <= 12


def test_a_body_over_the_limit_is_refused_before_anything_else() -> None:
    message = MESSAGES["pre-prepare"]
    with pytest.raises(KehuError):
        decode_message(message.to_bytes(), 3)
    cluster = Cluster()
    big = cluster.pre_prepare(0, 1, 0, bytes((8 << 20) + 1))
    cluster[1].receive(cluster.names[0], big)
    assert cluster[1].offences() == [(cluster.names[0], evidence.MALFORMED)]
