"""One test for each numbered rule of docs/spec/consensus.md, in its order; the name begins with the rule's number."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

from chain.certificate import sign_vote
from chain.validators import ValidatorSet
from consensus import evidence
from consensus.effects import (
    BuildProposal,
    Decide,
    FetchBlocks,
    ObserverChanged,
    Persist,
    ValidateProposal,
    ViewEntered,
)
from consensus.events import Appended, PeerConnected, WorkDone
from consensus.messages import (
    Complaint,
    NewView,
    PrePrepare,
    ProposalReply,
    ProposalRequest,
    Status,
    ViewChange,
    VoteMessage,
)
from consensus.votes import decode_record
from tests.consensus.cluster import CHAIN_ID, Cluster, block_id_of, without_phase
from tests.consensus.test_new_view import new_view, prepared_everywhere, view_change
from tests.consensus.test_validator_change import after_a_change
from tests.simulation.cheap_crypto import CheapSigner, key_of, keys_of, validators_of

SPECIFICATION = Path(__file__).parents[2] / "docs" / "spec" / "consensus.md"


def rules_of_the_specification() -> list[str]:
    return re.findall(r"^- \*\*([A-Z]\d+) ", SPECIFICATION.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_rule_of_the_specification_has_its_test_here() -> None:
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    tested = [match[1].upper() for name in names if (match := re.match(r"test_([a-z]\d+)_", name))]
    assert tested == rules_of_the_specification()
    assert len(tested) >= 26


def test_every_rule_that_the_code_cites_is_in_the_specification() -> None:
    rules = set(rules_of_the_specification())
    for path in sorted((SPECIFICATION.parents[2] / "consensus").glob("*.py")):
        cited = re.findall(r"\b([ONVRPTM]\d)\b", path.read_text(encoding="utf-8"))
        assert set(cited) <= rules, path.name


def test_o1_the_primary_of_view_v_is_member_v_mod_n_and_proposes_when_there_is_work() -> None:
    for n in (4, 7):
        cluster = Cluster(n)
        assert [cluster.validators.primary(view) for view in range(n + 1)] == [*cluster.names, cluster.names[0]]
        cluster.work()
        built = [[e for e in bench.effects if isinstance(e, BuildProposal)] for bench in cluster]
        assert [len(each) for each in built] == [1] + [0] * (n - 1)


def test_o2_of_two_proposals_in_one_view_the_first_counts_and_both_are_evidence() -> None:
    cluster = Cluster()
    one, other = cluster.pre_prepare(0, 1, 0, b"one"), cluster.pre_prepare(0, 1, 0, b"other")
    effects = [*cluster[1].receive(cluster.names[0], one), *cluster[1].receive(cluster.names[0], other)]
    assert [vote.block_id for vote in cluster[1].votes_said("prepare")] == [one.block_id]
    effects[-1].evidence.verify(cluster.validators, CHAIN_ID, cluster.check)  # type: ignore[union-attr]


def test_o3_a_backup_validates_the_primarys_proposal_and_leaves_it_when_it_is_invalid() -> None:
    cluster = Cluster()
    cluster.invalid_bodies.add(b"bad")
    cluster[1].receive(cluster.names[0], cluster.pre_prepare(0, 1, 0, b"bad"))
    assert any(isinstance(effect, ValidateProposal) for effect in cluster[1].effects)
    assert cluster[1].votes_said("prepare") == []
    assert (cluster[1].replica.view, cluster[1].replica.is_active) == (1, False)


def test_o4_a_prepare_is_durable_with_its_body_before_it_goes_to_all() -> None:
    cluster = Cluster()
    effects = cluster[1].receive(cluster.names[0], cluster.pre_prepare(0, 1, 0, b"x"))
    kinds = [type(effect).__name__ for effect in effects]
    assert [kind for kind in kinds if kind != "SetTimer"] == ["ValidateProposal", "Persist", "Broadcast"]
    assert decode_record(cluster[1].records[0]).body == b"x"  # type: ignore[union-attr]
    cluster[0].work()
    assert (len(cluster[0].said(PrePrepare)), len(cluster[0].votes_said("prepare"))) == (1, 1)


def test_o5_a_quorum_of_prepares_for_the_block_it_prepared_makes_a_replica_commit() -> None:
    cluster = Cluster()
    cluster[0].work()
    block_id = cluster[0].votes_said("prepare")[0].block_id
    for who, voted, commits in ((1, bytes(32), 0), (2, block_id, 0), (3, block_id, 1)):
        cluster[0].receive(cluster.names[who], cluster.vote("prepare", who, 1, 0, voted))
        assert len(cluster[0].votes_said("commit")) == commits


def test_o6_a_quorum_of_commits_of_any_view_decides_and_without_the_body_catch_up_begins() -> None:
    cluster = Cluster()
    cluster[0].work()
    block_id = cluster[0].votes_said("prepare")[0].block_id
    for bench in (cluster[0], cluster[3]):
        for who in (1, 2, 0 if bench is cluster[3] else 3):
            bench.receive(cluster.names[who], cluster.vote("commit", who, 1, 7, block_id))
    assert [e.block_id for e in cluster[0].effects if isinstance(e, Decide)] == [block_id]
    assert [e.to_height for e in cluster[3].effects if isinstance(e, FetchBlocks)] == [1]


def test_o7_without_a_proposal_a_backup_takes_the_block_that_f_plus_one_others_prepare() -> None:
    cluster = Cluster()
    body, bench = b"shown to the others", cluster[3]
    bench.work()
    bench.fire("retransmit")
    for who, asks in ((0, 0), (1, 0), (2, 1)):
        bench.receive(cluster.names[who], cluster.vote("prepare", who, 1, 0, block_id_of(body)))
        assert len(bench.said(ProposalRequest)) == asks
    bench.receive(cluster.names[2], ProposalReply(1, block_id_of(body), body))
    assert [vote.block_id for vote in bench.votes_said("prepare")] == [block_id_of(body)]


def test_v1_when_its_time_is_up_a_replica_asks_for_the_next_view_and_shows_what_it_prepared() -> None:
    cluster, block_id = prepared_everywhere()
    effects = cluster[2].fire("view")
    said = cluster[2].said(ViewChange)
    assert [(m.view, m.prepared.block_id) for m in said] == [(1, block_id)]  # type: ignore[union-attr]
    kinds = [type(effect) for effect in effects]
    assert kinds.index(Persist) < len(kinds) - 1
    cluster[2].receive(cluster.names[0], cluster.pre_prepare(0, 1, 0, b"late"))
    assert all(vote.block_id == block_id for vote in cluster[2].votes_said("prepare"))


def test_v2_an_invalid_prepared_certificate_is_as_none_and_its_author_is_accused() -> None:
    cluster, block_id = prepared_everywhere()
    forged = replace(cluster.certificate("prepare", 1, 0, block_id, range(3)), block_id=bytes(32))
    cluster[3].receive(cluster.names[1], view_change(cluster, 1, 2, forged))
    assert cluster[3].offences() == [(cluster.names[1], evidence.VIEW_CHANGE_CERTIFICATE)]
    assert cluster[3].replica._state.at.log.view_changes[cluster.names[1]].view == 2
    cluster[3].receive(cluster.names[1], view_change(cluster, 1, 1))
    assert cluster[3].replica._state.at.log.view_changes[cluster.names[1]].view == 2


def test_v3_f_plus_one_others_beyond_its_view_take_a_replica_along_and_f_do_not() -> None:
    for n, f in ((4, 1), (7, 2), (10, 3)):
        cluster = Cluster(n)
        for who in range(1, f + 1):
            cluster[0].receive(cluster.names[who], view_change(cluster, who, 4))
        assert cluster[0].replica.view == 0
        cluster[0].receive(cluster.names[f + 1], view_change(cluster, f + 1, 6))
        assert (cluster[0].replica.view, cluster[0].replica.is_active) == (4, False)


def test_v4_the_time_of_an_asked_for_view_runs_only_when_a_quorum_has_asked() -> None:
    cluster = Cluster()
    cluster[3].work()
    cluster[3].fire("view")
    cluster[3].receive(cluster.names[1], view_change(cluster, 1, 1))
    assert "view" not in cluster[3].timers
    cluster[3].receive(cluster.names[2], view_change(cluster, 2, 3))
    assert "view" in cluster[3].timers


def test_v5_a_primary_that_asked_for_a_higher_view_itself_is_not_waited_for() -> None:
    cluster = Cluster()
    cluster[3].work()
    cluster[3].fire("view")
    cluster[3].receive(cluster.names[2], view_change(cluster, 2, 1))
    cluster[3].receive(cluster.names[1], view_change(cluster, 1, 2))
    assert (cluster[3].replica.view, cluster[3].replica.is_active) == (2, False)


def test_n1_the_primary_opens_a_view_with_a_quorum_and_the_block_of_the_highest_certificate() -> None:
    cluster = Cluster()
    certificates = [cluster.certificate("prepare", 1, view, bytes([view]) * 32, range(3)) for view in (0, 1)]
    primary = cluster[2]
    primary.receive(cluster.names[0], view_change(cluster, 0, 2, certificates[0]))
    assert primary.said(NewView) == []
    primary.receive(cluster.names[3], view_change(cluster, 3, 2, certificates[1]))
    opened = primary.said(NewView)[0]
    assert (opened.view, opened.block_id) == (2, bytes([1]) * 32)  # type: ignore[union-attr]
    assert len(opened.view_changes) == 3  # type: ignore[union-attr]


def test_n2_a_primary_without_the_body_asks_the_signers_and_not_again_one_who_lied() -> None:
    cluster = Cluster()
    primary = cluster[1]
    certificate = cluster.certificate("prepare", 1, 0, block_id_of(b"x"), (0, 2, 3))
    for who in (0, 2):
        primary.receive(cluster.names[who], view_change(cluster, who, 1, certificate))
    asked = [receiver for _, receiver, message in cluster.queue if isinstance(message, ProposalRequest)]
    assert asked == [cluster.names[0], cluster.names[2], cluster.names[3]]
    primary.receive(cluster.names[0], ProposalReply(1, block_id_of(b"x"), b"wrong"))
    assert (cluster.names[0], evidence.BODY_INVALID) in primary.offences()
    primary.receive(cluster.names[2], ProposalReply(1, block_id_of(b"x"), b"x"))
    assert [vote.block_id for vote in primary.votes_said("prepare")] == [block_id_of(b"x")]


def test_n3_a_new_view_proves_itself_or_is_refused() -> None:
    cluster = Cluster()
    changes = tuple(view_change(cluster, who, 1) for who in (0, 1, 2))
    cluster[3].receive(cluster.names[1], new_view(cluster, 1, bytes(32), *changes))
    assert cluster[3].offences() == [(cluster.names[1], evidence.NEW_VIEW_INVALID)]
    cluster[3].receive(cluster.names[0], new_view(cluster, 1, None, *changes))
    assert (cluster[3].replica.view, cluster[3].replica.is_active) == (1, True)


def test_r1_a_height_begins_active_in_the_view_that_decided_its_parent() -> None:
    cluster = Cluster()
    cluster[0].is_up = False
    cluster.work()
    cluster.fire("view")
    cluster.deliver()
    assert {(b.replica.height, b.replica.view, b.replica.is_active) for b in cluster if b.is_up} == {(2, 1, True)}
    cluster[2].boot()
    assert (cluster[2].replica.view, cluster[2].replica.is_active) == (1, True)


def test_r2_a_status_goes_out_when_a_link_comes_up_and_is_answered() -> None:
    cluster = Cluster()
    cluster[1].step(PeerConnected(cluster.names[2]))
    assert cluster.queue == [(cluster.names[1], cluster.names[2], Status(0, 0, True, False, True, None))]
    cluster.deliver()
    assert cluster[2].said(Status)[-1] == Status(0, 0, True, False, False, None)


def test_r3_a_commit_certificate_in_a_status_decides() -> None:
    cluster = Cluster()
    cluster[1].receive(cluster.names[0], cluster.pre_prepare(0, 1, 0, b"x"))
    certificate = cluster.certificate("commit", 1, 0, block_id_of(b"x"), range(3))
    cluster[1].receive(cluster.names[3], Status(1, 0, True, False, False, certificate))
    assert len(cluster[1].blocks) == 1
    far = cluster.certificate("commit", 9, 0, bytes(32), range(3))
    cluster[1].receive(cluster.names[3], Status(9, 0, True, False, False, far))
    assert [e.to_height for e in cluster[1].effects if isinstance(e, FetchBlocks)] == [9]


def test_r4_only_who_has_said_nothing_at_a_height_takes_up_a_higher_view_of_its_parent() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    higher = cluster.certificate("commit", 1, 3, cluster[0].blocks[0][0], range(3))
    status = Status(1, 3, True, False, False, higher)
    cluster[2].work()
    cluster[2].fire("view")
    for who in (1, 2):
        cluster[who].receive(cluster.names[3], status)
    assert [cluster[who].replica.view for who in (1, 2)] == [3, 1]


def test_r5_one_at_the_same_height_is_given_what_it_lacks() -> None:
    cluster = Cluster()
    cluster[0].work()
    cluster.queue.clear()
    cluster[0].receive(cluster.names[2], Status(0, 0, True, False, True, None))
    sent = [type(message) for _, receiver, message in cluster.queue if receiver == cluster.names[2]]
    assert sent == [Status, PrePrepare, VoteMessage]


def test_r6_heights_that_f_plus_one_members_are_beyond_are_fetched() -> None:
    cluster = Cluster()
    for who, height in ((1, 5), (2, 6)):
        cluster[0].receive(cluster.names[who], cluster.vote("prepare", who, height, 0, bytes(32)))
    cluster[0].fire("retransmit")
    assert [(e.from_height, e.to_height) for e in cluster[0].effects if isinstance(e, FetchBlocks)] == [(1, 4)]


def test_r7_a_replica_without_its_log_votes_again_from_three_heights_beyond_what_a_quorum_of_others_shows() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    bench = cluster[3]
    bench.boot(has_log=False)
    for who in (0, 1):
        bench.receive(cluster.names[who], Status(1, 0, True, False, False, cluster[0].blocks[0][2]))
    assert ObserverChanged(is_observer=True, votes_from_height=4) not in bench.effects
    bench.receive(cluster.names[2], Status(1, 0, True, False, False, cluster[0].blocks[0][2]))
    assert ObserverChanged(is_observer=True, votes_from_height=4) in bench.effects
    bench.effects.clear()
    for _ in range(3):
        cluster.work()
        cluster.deliver()
    assert {vote.height for vote in bench.votes_said("prepare")} == {4}


def test_r8_blocks_of_the_others_bring_an_observer_back_without_a_word_of_its_own() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    bench = cluster[3]
    bench.boot(has_log=False)
    cluster.deliver()
    bench.effects.clear()
    for height in (2, 3, 4):
        assert bench.replica.is_observer == (height < 4)
        cluster.work()
        cluster.deliver()
        assert cluster.heights() == [height] * 4
    assert {vote.height for vote in bench.votes_said("prepare")} == {4}
    assert not bench.replica.is_observer


def test_m1_a_quorum_is_counted_in_the_set_of_the_height() -> None:
    cluster = Cluster()
    changed = after_a_change(cluster, validators_of(6, 1))
    bench = cluster[0]
    three = [cluster.names[0], cluster.names[1], cluster.names[2]]
    assert changed.quorum == len(three) + 1
    for name in changed.departments[1:4]:
        vote = sign_vote(CheapSigner(keys_of(6)[name]), CHAIN_ID, "commit", 1, 2, 0, bytes(32), name)
        bench.receive(name, VoteMessage(vote))
    assert bench.replica._state.at.commit_certificate is None
    old = sign_vote(CheapSigner(keys_of(6)["sales"]), CHAIN_ID, "commit", 0, 2, 0, bytes(32), "sales")
    bench.receive("sales", VoteMessage(old))
    assert bench.replica._state.at.commit_certificate is None
    new = sign_vote(CheapSigner(keys_of(6)["sales"]), CHAIN_ID, "commit", 1, 2, 0, bytes(32), "sales")
    bench.receive("sales", VoteMessage(new))
    assert bench.replica._state.at.commit_certificate is not None


def test_m2_only_who_is_in_the_set_with_the_key_it_holds_votes() -> None:
    cluster = Cluster()
    own = cluster.validators.members[0]
    other_key = replace(own, key=key_of(own.department, 1).public)
    after_a_change(cluster, ValidatorSet(1, (other_key, *cluster.validators.members[1:])))
    bench = cluster[0]
    bench.work()
    assert not bench.replica._state.is_member
    assert bench.said(PrePrepare) == bench.said(VoteMessage) == []
    assert bench.timers == {}
    cluster = Cluster()
    after_a_change(cluster, validators_of(4, 1))
    cluster[0].work()
    assert len(cluster[0].said(VoteMessage)) == 1


def test_m3_what_belongs_to_the_former_set_is_forgotten() -> None:
    cluster = Cluster()
    late(cluster, 1_600)
    bench = cluster[1]
    gone = cluster.names[3]
    bench.receive(gone, Complaint(2, 0))
    assert bench.replica._state.watch.debt_ms > 0
    smaller = tuple(member for member in validators_of(5).members if member.department != gone)
    cluster.work()
    cluster.deliver()
    block_id, _, certificate = bench.blocks[-1]
    state = bench.replica._state
    state.head = replace(state.head, height=state.head.height - 1)
    bench.step(Appended(len(bench.blocks), block_id, certificate, ValidatorSet(1, smaller), False))
    assert (state.watch.debt_ms, state.watch.complaints) == (0, {})
    assert gone not in state.future.claimed_heights
    bench.receive(gone, Complaint(3, 0))
    assert state.watch.complaints == {}


def test_m4_the_new_set_begins_in_the_view_of_the_parent() -> None:
    cluster = Cluster()
    changed = after_a_change(cluster, validators_of(6, 1), view=5)
    assert cluster[0].replica.view == 5
    entered = [effect for effect in cluster[0].effects if isinstance(effect, ViewEntered)]
    assert entered[-1] == ViewEntered(2, 5, changed.departments[5], True)


def test_t1_the_time_of_a_view_doubles_and_is_capped_and_runs_only_with_work() -> None:
    cluster = Cluster()
    assert cluster[1].timers == {}
    cluster[1].work()
    waits = []
    for view in range(1, 5):
        waits.append(cluster[1].timers["view"][1])
        cluster[1].fire("view")
        for who in (0, 2, 3):
            cluster[1].receive(cluster.names[who], view_change(cluster, who, view))
    assert waits == [2_000, 4_000, 8_000, 10_000]
    cluster[2].work()
    cluster[2].step(WorkDone())
    assert cluster[2].timers == {}


def test_t2_what_was_said_last_is_said_again() -> None:
    cluster = Cluster()
    cluster[1].receive(cluster.names[0], cluster.pre_prepare(0, 1, 0, b"x"))
    cluster.queue.clear()
    cluster[1].fire("retransmit")
    said = [message for _, receiver, message in cluster.queue if receiver == cluster.names[2]]
    assert [type(message) for message in said] == [Status, VoteMessage]
    assert said[1] == cluster[1].said(VoteMessage)[0]


def test_p1_waiting_counts_from_the_work_to_the_proposal() -> None:
    cluster = Cluster()
    cluster.now_ms = 1_000
    cluster[1].work()
    assert cluster[1].replica._state.watch.waiting_since_ms == 1_000
    cluster.now_ms = 1_700
    cluster[1].receive(cluster.names[0], cluster.pre_prepare(0, 1, 0, b"x"))
    assert cluster[1].replica._state.watch.accepted_ms == 1_700
    cluster[0].work()
    assert cluster[0].replica._state.watch.waiting_since_ms is None


def late(cluster: Cluster, waited_ms: int) -> None:
    cluster.work()
    cluster.now_ms += waited_ms
    cluster.deliver()


def test_p2_lateness_beyond_what_is_allowed_adds_up_to_a_complaint() -> None:
    cluster = Cluster()
    late(cluster, 1_600)
    assert cluster[1].replica._state.watch.debt_ms == 1_600 - 500
    late(cluster, 100)
    assert cluster[1].replica._state.watch.debt_ms == 1_600 - 500 - 400
    late(cluster, 1_900)
    assert cluster[1].said(Complaint) == [Complaint(4, 0)]


def test_p3_f_plus_one_complaints_are_reason_to_leave() -> None:
    for n, f in ((4, 1), (7, 2)):
        cluster = Cluster(n)
        for who in range(1, f + 1):
            cluster[0].receive(cluster.names[who], Complaint(1, 0))
        assert cluster[0].replica.view == 0
        cluster[0].receive(cluster.names[f + 1], Complaint(1, 0))
        assert cluster[0].replica.view == 1


def test_p4_when_all_primaries_have_been_left_more_time_is_allowed() -> None:
    cluster = Cluster()
    for _ in range(8):
        late(cluster, 1_800)
    assert cluster[1].replica._state.watch.views_left == 4
    late(cluster, 1_800)
    assert cluster[1].replica._state.watch.debt_ms == 1_800 - 1_000


def test_p5_blocks_that_pass_over_what_waits_are_reason_to_complain_after_eight_of_a_view() -> None:
    cluster = Cluster()
    for height in range(1, 10):
        assert not any(bench.said(Complaint) for bench in cluster)
        for bench in cluster:
            bench.overtaken = height + 20
        late(cluster, 10)
    assert [bool(bench.said(Complaint)) for bench in cluster] == [False, True, True, True]
    assert [bench.replica.view for bench in cluster] == [1] * 4


def test_votes_of_a_phase_are_lost_and_made_good() -> None:
    """T2 on a whole network: all COMMITs are lost once."""
    cluster = Cluster()
    cluster.work()
    cluster.deliver(without_phase("commit"))
    cluster.fire("retransmit")
    cluster.deliver()
    assert cluster.heights() == [1, 1, 1, 1]
