"""Why the network does or does not progress: each finding from facts, and the facts from real nodes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from chain import codec
from chain.crypto import SigningKey
from node.peers.network import PeerNetwork
from node.peers.transport import Identity
from node.peers.transport import Peer as Address
from node.why import collector
from node.why.facts import Change, Disk, Facts, Peer, Standing, Timer
from node.why.findings import CODES, OPERATORS, diagnose, time_of
from node.why.standing import StandingBook, read_standing
from tests.node.cluster import Cluster, eventually, running

NOW = 1_763_770_200_000
MEMBERS = ("administration", "finance", "sales", "technical")
LEVEL = Standing(17, 0, True, False, "ok", 0, NOW)
PEERS = tuple(Peer(name, None, NOW, None, LEVEL) for name in MEMBERS if name != "sales")
WELL = Facts(NOW, "sales", MEMBERS, 3, 17, NOW - 60_000, 0, "administration", peers=PEERS)


def peers(**changed: Peer) -> tuple[Peer, ...]:
    return tuple(changed.get(peer.department, peer) for peer in PEERS)


def gone(department: str, minutes: int, error: str | None = None) -> Peer:
    return Peer(department, NOW - minutes * 60_000, None, error, None)


def standing(department: str, **changes: object) -> Peer:
    return Peer(department, None, NOW, None, replace(LEVEL, **changes))  # type: ignore[arg-type]


def codes(facts: Facts) -> list[str]:
    return [finding.code for finding in diagnose(facts)]


def headline(facts: Facts) -> str:
    return diagnose(facts)[0].text


def test_a_peer_is_not_behind_by_what_came_after_it_was_asked() -> None:
    facts = replace(WELL, peers=peers(finance=standing("finance", height=13, own_height=13)))
    assert "peer.behind" not in {finding.code for finding in diagnose(facts)}


def test_a_network_in_order_has_its_headline_and_nothing_else() -> None:
    assert codes(WELL) == ["network.progresses"]
    assert headline(WELL).startswith("Network progresses: block 17 at ")


def test_too_few_departments_are_named_with_the_minute_since_when() -> None:
    facts = replace(WELL, peers=peers(finance=gone("finance", 4), technical=gone("technical", 2)))
    since = [time_of(NOW - minutes * 60_000, NOW) for minutes in (4, 2)]
    assert headline(facts) == (
        f"Stands still: 2 of 4 departments are missing (finance since {since[0]}, technical since {since[1]}); "
        "3 votes are needed and 2 can be had"
    )
    assert codes(facts) == ["network.no_quorum", "peer.missing", "peer.missing"]


def test_one_that_is_missing_does_not_stop_it_unless_another_does_not_vote() -> None:
    facts = replace(WELL, peers=peers(finance=gone("finance", 4)))
    assert headline(facts).startswith("Network progresses, with 1 of 4 departments missing")
    facts = replace(WELL, peers=peers(finance=gone("finance", 4), technical=standing("technical", is_observer=True)))
    assert codes(facts) == ["network.no_quorum", "peer.missing", "peer.observes"]
    assert "technical is not voting" in headline(facts)


STALLED = replace(WELL, waiting_since_ms=NOW - 30_000, timers=(Timer("view", NOW + 1_500), Timer("later", NOW + 9_000)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "administration, the primary of view 0, has proposed nothing; next timer: view in 1.5 s"),
        (
            {"has_proposal": True, "prepared_by": ("sales", "technical")},
            "is not prepared; 2 of 3 needed (sales, technical), lacking: administration, finance",
        ),
        (
            {"has_proposal": True, "prepared_by": MEMBERS, "committed_by": ("sales",)},
            "is prepared and not committed; 1 of 3 needed (sales), lacking: administration, finance, technical",
        ),
        (
            {"is_view_active": False, "view": 2, "asked_for": (("finance", 1), ("sales", 2))},
            "view 2 is asked for; 1 of 3 needed (sales), lacking: administration, finance, technical",
        ),
    ],
)
def test_a_standstill_with_a_quorum_names_the_votes_that_are_there_and_lacking(
    changes: dict[str, object], said: str
) -> None:
    facts = replace(STALLED, **changes)  # type: ignore[arg-type]
    assert codes(facts)[0] == "network.stalled"
    assert "Stands still for 30.0 s at height 18" in headline(facts)
    assert said in headline(facts)


@pytest.mark.parametrize(
    ("code", "facts"),
    [
        ("network.changes_primary", replace(WELL, is_view_active=False, view=1)),
        ("node.catches_up", replace(WELL, is_catching_up=True)),
        ("node.observes", replace(WELL, is_observer=True, votes_from_height=20)),
        ("peer.wrong_key", replace(WELL, peers=peers(finance=gone("finance", 4, "peer.wrong_key")))),
        ("peer.behind", replace(WELL, peers=peers(finance=standing("finance", height=3)))),
        ("peer.disk", replace(WELL, peers=peers(finance=standing("finance", disk="full")))),
        ("clock.differs", replace(WELL, peers=peers(finance=standing("finance", offset_ms=-3_600_000)))),
        ("clock.behind_chain", replace(WELL, block_time_ms=WELL.now_ms + WELL.clock_skew_ms_max + 1)),
        ("disk.full", replace(WELL, disks=(Disk("chain", 1 << 20, 1 << 40),))),
        ("disk.low", replace(WELL, disks=(Disk("chain", 1 << 29, 1 << 40),))),
        ("vault.missing", replace(WELL, vault_missing=3)),
        ("vault.unconfirmed", replace(WELL, vault_unconfirmed=1)),
        ("mempool.waiting", replace(WELL, mempool_transactions=2, overtaken_blocks=1)),
        ("requests.refused", replace(WELL, refused={"mempool.full": 3})),
        ("peer.accused", replace(WELL, accusations={"finance vote.equivocation": 1})),
    ],
)
def test_every_other_finding_comes_from_its_fact(code: str, facts: Facts) -> None:
    assert code in codes(facts)


def test_clocks_that_differ_within_the_half_and_disks_with_room_are_no_finding() -> None:
    facts = replace(WELL, peers=peers(finance=standing("finance", offset_ms=WELL.clock_skew_ms_max // 2)))
    facts = replace(facts, block_time_ms=WELL.now_ms + WELL.clock_skew_ms_max)
    assert codes(replace(facts, disks=(Disk("chain", 1 << 31, 1 << 40),))) == ["network.progresses"]


def test_the_document_lists_every_code_with_its_meaning_and_whom_it_is_told_to() -> None:
    text = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)` \| (?:still|act|note) \| (anybody|operators) \| (.*) \|$", text, re.MULTILINE)
    assert {code: meaning for code, _, meaning in rows} == CODES
    assert {code for code, whom, _ in rows if whom == "operators"} == OPERATORS


def test_a_clock_is_compared_at_the_middle_of_the_round_trip() -> None:
    answer = codec.encode_flat([2, 5_000, 17, 0, True, False, "low", 1, 2])
    found = read_standing(answer, 1_000, 1_200)
    assert (found.offset_ms, found.height, found.disk, found.speaks) == (3_900, 17, "low", (1, 2))


async def all_linked(cluster: Cluster) -> None:
    await eventually(lambda: all(len(node.peers.connected) == 3 for node in cluster.nodes.values()))


async def test_two_of_four_stopped_is_what_a_real_node_says(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.commit(cluster.login("li"), via="sales")
        await all_linked(cluster)
        await cluster.stop("administration", "finance")
        node = cluster.nodes["sales"]
        await eventually(
            lambda: sorted(node.why(is_operator=False)["facts"]["missing"]) == ["administration", "finance"]
        )
        said = node.why(is_operator=False)
        assert said["findings"][0]["code"] == "network.no_quorum"
        assert "2 of 4 departments are missing (administration since" in said["headline"]
        await cluster.submit([cluster.login("wang")], "sales")
        await eventually(lambda: node.why(is_operator=False)["facts"]["timers"])
        assert "disks" not in said["facts"]
        await cluster.start("administration", "finance")
        await cluster.ready()
        await eventually(lambda: node.why(is_operator=False)["findings"][0]["code"] == "network.progresses")


async def test_disks_clocks_and_refusals_are_told_to_operators_only(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await all_linked(cluster)
        node, other = cluster.nodes["sales"], cluster.nodes["finance"]
        node.collector.free = lambda _path: (1 << 20, 1 << 40)
        other.collector.book._clock_ms = lambda: NOW - 86_400_000
        await node.submit([b"garbage"], [])
        await node.collector.book.ask_all()
        await cluster.nodes["after_sales"].collector.book.ask_all()
        told = {finding["code"]: finding["details"] for finding in node.why(is_operator=True)["findings"]}
        assert told["clock.differs"]["department"] == "finance"
        assert told["disk.full"]["what"] in ("chain", "vault")
        assert told["requests.refused"]["by_code"]
        public = {finding["code"] for finding in node.why(is_operator=False)["findings"]}
        assert public.isdisjoint(OPERATORS)
        said = {finding["code"] for finding in cluster.nodes["after_sales"].why(is_operator=True)["findings"]}
        assert "peer.disk" in said


async def test_somebody_with_another_key_in_a_departments_place_is_named(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.stop("finance")
        port = cluster.peer_ports["finance"]
        impostor = _impostor(cluster)
        await impostor.start("127.0.0.1", port)
        try:
            node = cluster.nodes["administration"]
            await eventually(
                lambda: "peer.wrong_key" in {item["code"] for item in node.why(is_operator=True)["findings"]}
            )
        finally:
            await impostor.close()


def _impostor(cluster: Cluster) -> PeerNetwork:
    members = cluster.genesis.validators.members
    table = {
        member.department: Address(member.key, "127.0.0.1", cluster.peer_ports[member.department]) for member in members
    }
    return PeerNetwork(Identity("finance", SigningKey(bytes(32)), cluster.chain_id), lambda: table, lambda *_: None)


def test_who_will_be_left_behind_is_named_before_the_height_and_after_it() -> None:
    spoken = dict.fromkeys(MEMBERS, (1, 2))
    coming = replace(WELL, change=Change(2, 25), spoken=spoken)
    assert codes(coming) == ["network.progresses"]
    one = replace(coming, spoken={**spoken, "finance": (1, 1)})
    assert codes(one) == ["network.progresses", "peer.left_behind"]
    assert diagnose(one)[1].text.startswith(
        "The node of finance speaks up to version 1 of the protocol, and from height 25"
    )
    down = replace(one, peers=peers(finance=gone("finance", 1)))
    assert "The node of finance spoke, when last heard, up to version 1" in diagnose(down)[2].text
    two = replace(coming, spoken={**spoken, "finance": (1, 1), "sales": (1, 1)})
    assert sorted(codes(two)[1:]) == ["network.left_behind", "node.left_behind", "peer.left_behind"]
    over = replace(WELL, protocol=2, spoken={**spoken, "finance": (1, 1)}, peers=peers(finance=gone("finance", 1)))
    assert codes(over) == ["network.progresses", "peer.missing", "peer.left_behind"]
    assert "goes on once upgraded" in diagnose(over)[2].text


async def test_what_was_said_over_a_link_that_has_ended_is_not_told_as_if_it_counted() -> None:
    """An upgraded node was shown with its former software until it was asked again, seconds later."""
    linked, newest = ["finance"], 1

    async def answer(*_request: object) -> bytes:
        return codec.encode_flat([2, NOW, 17, 0, True, False, "ok", 1, newest])

    book = StandingBook(answer, lambda: linked, lambda: LEVEL, lambda: NOW)
    await book.ask_all()
    assert book.spoken_now() == {"finance": (1, 1)}
    linked.clear()
    assert book.spoken_now() == {}
    assert book.spoken == {"finance": (1, 1)}, "kehu doctor says it of one that stopped"
    linked.append("finance")
    newest = 2
    book.on_up("finance")
    assert book.spoken_now() == {}
    assert book.linked_anew.is_set()
    await book.ask_all()
    assert book.spoken_now() == {"finance": (1, 2)}


async def test_a_node_is_asked_as_soon_as_it_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "INTERVAL_S", 3_600.0)
    async with running(tmp_path) as cluster:
        node = cluster.nodes["sales"]

        def known() -> set[str]:
            return {row["department"] for row in node.protocol()["nodes"] if row["speaks"] is not None}

        await eventually(lambda: known() == set(cluster.nodes))
        await cluster.stop("finance")
        await eventually(lambda: "finance" not in known())
        await cluster.start("finance")
        await eventually(lambda: "finance" in known())
