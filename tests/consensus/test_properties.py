"""Properties that hold for any input: hypothesis looks for one that breaks them."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain import codec
from chain.errors import KehuError
from consensus.effects import FetchBlocks, SetTimer
from consensus.events import MessageReceived, TimerFired, WorkAvailable, WorkDone
from consensus.messages import Complaint, Status, ViewChange, decode_message
from tests.consensus import vectors
from tests.consensus.cluster import CHAIN_ID, Bench, Cluster

LIMIT = 1 << 20
SETTINGS = settings(max_examples=60, suppress_health_check=list(HealthCheck))
uints = st.one_of(st.integers(0, 4), st.integers(0, (1 << 64) - 1))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=8) | st.binary(max_size=70),
    lambda inner: st.lists(inner, max_size=9),
    max_leaves=30,
)
kinds = st.sampled_from([message.kind for message in vectors.messages().values()])


@SETTINGS
@given(st.binary(max_size=300))
def test_bytes_are_a_message_in_one_spelling_or_none(data: bytes) -> None:
    try:
        message = decode_message(data, LIMIT)
    except KehuError:
        return
    assert message.to_bytes() == data


@SETTINGS
@given(kinds, st.lists(values, max_size=10))
def test_lists_of_a_known_kind_are_a_message_in_one_spelling_or_none_b42(kind: str, rest: list[object]) -> None:
    data = codec.encode([kind, *rest])
    bench = Cluster()[0]
    bench.step(MessageReceived(bench.cluster.names[1], data))
    try:
        assert decode_message(data, LIMIT).to_bytes() == data
    except KehuError:
        assert len(bench.offences()) == 1


def some_event(cluster: Cluster, bench: Bench, draw: st.DataObject) -> object:
    names = [name for name in cluster.names if name != bench.name]
    sender = draw.draw(st.sampled_from(names))
    who = cluster.names.index(sender)
    height, view, block_id = (
        draw.draw(uints),
        draw.draw(uints),
        draw.draw(st.sampled_from([bytes(32), bytes([1]) * 32])),
    )
    match draw.draw(st.integers(0, 8)):
        case 0:
            message = cluster.vote(draw.draw(st.sampled_from(["prepare", "commit"])), who, height, view, block_id)
        case 1:
            message = cluster.pre_prepare(who, height, view, draw.draw(st.sampled_from([b"a", b"b"])))
        case 2:
            message = ViewChange.signed(cluster[who].signer, CHAIN_ID, 0, height, view, None, sender)
        case 3:
            message = Status(height, view, draw.draw(st.booleans()), draw.draw(st.booleans()), True, None)
        case 4:
            message = Complaint(height, view)
        case 5:
            return WorkAvailable()
        case 6:
            return WorkDone()
        case _:
            timer = draw.draw(st.sampled_from(["view", "retransmit"]))
            return TimerFired(timer, bench.timers.get(timer, (0, 0))[0])
    return MessageReceived(sender, message.to_bytes())


@SETTINGS
@given(st.data())
def test_no_events_in_any_order_make_a_replica_contradict_itself_or_run_backwards(draw: st.DataObject) -> None:
    cluster = Cluster()
    bench, said, height, view = cluster[draw.draw(st.integers(0, 3))], {}, 1, 0
    for _ in range(draw.draw(st.integers(1, 25))):
        event = some_event(cluster, bench, draw)
        cluster.now_ms += draw.draw(st.integers(0, 5_000))
        effects = bench.step(event)  # type: ignore[arg-type]
        cluster.queue.clear()
        for phase in ("prepare", "commit"):
            for vote in bench.votes_said(phase):
                assert said.setdefault((phase, vote.height, vote.view), vote.block_id) == vote.block_id
        replica = bench.replica
        assert (replica.height, replica.view) >= (height, view if replica.height == height else 0)
        height, view = replica.height, replica.view
        tokens = [effect.token for effect in effects if isinstance(effect, SetTimer)]
        assert tokens == sorted(set(tokens))
        assert len(effects) <= 40


@SETTINGS
@given(st.data())
def test_the_same_events_have_the_same_effects(draw: st.DataObject) -> None:
    one, other = Cluster(), Cluster()
    for _ in range(draw.draw(st.integers(1, 15))):
        event = some_event(one, one[1], draw)
        one.now_ms = other.now_ms = one.now_ms + draw.draw(st.integers(0, 3_000))
        assert one[1].step(event) == other[1].step(event)  # type: ignore[arg-type]


def test_effects_are_in_a_fixed_order_b39() -> None:
    """Departments to fetch from are named in order, whatever the hash of a string is today."""
    cluster = Cluster(9)
    for who in range(1, 9):
        cluster[0].receive(cluster.names[who], cluster.vote("prepare", who, 9, 0, bytes(32)))
    cluster[0].fire("retransmit")
    fetches = [effect for effect in cluster[0].effects if isinstance(effect, FetchBlocks)]
    assert [fetch.departments for fetch in fetches] == [tuple(sorted(cluster.names[1:]))]
