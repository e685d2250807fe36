"""Normal operation: rules O1 to O6 of docs/spec/consensus.md."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.block import BLOCK_BYTES_MAX
from chain.certificate import Certificate
from chain.errors import InvariantError
from consensus import evidence
from consensus.effects import (
    Accuse,
    Broadcast,
    BuildProposal,
    Decide,
    FetchBlocks,
    Persist,
    Send,
    SetTimer,
    ValidateProposal,
)
from consensus.events import NothingToPropose, ProposalBuilt, ProposalValidated, WorkAvailable, WorkDone
from consensus.messages import PrePrepare, Status, VoteMessage
from consensus.votes import CommitRecord, PrepareRecord, decode_record
from tests.consensus.cluster import CHAIN_ID, Cluster, block_id_of, only, without_phase


def test_one_block_is_decided_by_all_with_the_same_certificate_content() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    assert cluster.heights() == [1, 1, 1, 1]
    assert len({bench.blocks[0][0] for bench in cluster}) == 1


@pytest.mark.parametrize("n", [4, 5, 6, 7, 9])
def test_a_thousand_fault_free_blocks_need_no_view_change_and_leave_silence_b44(n: int) -> None:
    cluster = Cluster(n)
    for _ in range(1000 if n == 4 else 50):
        cluster.work()
        cluster.deliver()
    assert cluster.heights() == [1000 if n == 4 else 50] * n
    assert all(bench.replica.view == 0 for bench in cluster)
    assert all(bench.timers == {} for bench in cluster)
    assert cluster.queue == []


def test_an_idle_replica_sets_no_timer_and_says_nothing() -> None:
    cluster = Cluster()
    assert all(bench.timers == {} for bench in cluster)
    assert cluster[1].step(WorkDone()) == ()


def test_work_starts_the_timers_and_its_end_stops_them() -> None:
    bench = Cluster()[1]
    bench.work()
    assert set(bench.timers) == {"view", "retransmit"}
    bench.step(WorkDone())
    assert bench.timers == {}


def test_the_primary_sends_a_prepare_of_its_own_beside_its_pre_prepare() -> None:
    cluster = Cluster()
    cluster[0].work()
    assert len(cluster[0].said(PrePrepare)) == 1
    assert len(cluster[0].votes_said("prepare")) == 1


def test_every_vote_is_persisted_in_the_same_step_before_it_is_sent() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    for bench in cluster:
        durable: set[tuple[str, int, bytes]] = set()
        for effect in bench.effects:
            if isinstance(effect, Persist):
                record = decode_record(effect.record)
                assert isinstance(record, PrepareRecord | CommitRecord)
                durable.add((record.kind, record.vote.height, record.vote.block_id))
            elif isinstance(effect, Broadcast) and isinstance(effect.message, VoteMessage):
                vote = effect.message.vote
                assert (vote.phase, vote.height, vote.block_id) in durable


def test_nothing_to_propose_is_asked_again_after_new_work_only() -> None:
    cluster = Cluster()
    bench = cluster[0]
    bench.perform = lambda effect: None  # type: ignore[method-assign]
    assert BuildProposal(1, 0, bytes(32)) in bench.step(WorkAvailable())
    assert not any(isinstance(effect, BuildProposal) for effect in bench.step(NothingToPropose(1, 0)))
    assert BuildProposal(1, 0, bytes(32)) in bench.step(WorkAvailable())


def test_work_that_comes_while_a_block_is_built_is_not_forgotten() -> None:
    bench = Cluster()[0]
    bench.perform = lambda effect: None  # type: ignore[method-assign]
    bench.step(WorkAvailable())
    bench.step(WorkAvailable())
    assert BuildProposal(1, 0, bytes(32)) in bench.step(NothingToPropose(1, 0))


def test_a_block_built_for_a_past_view_is_not_proposed() -> None:
    bench = Cluster()[0]
    bench.perform = lambda effect: None  # type: ignore[method-assign]
    bench.step(WorkAvailable())
    assert bench.step(ProposalBuilt(1, 4, block_id_of(b"x"), b"x")) == ()


def test_a_body_over_the_limit_from_our_own_builder_stops_the_node() -> None:
    bench = Cluster()[0]
    bench.perform = lambda effect: None  # type: ignore[method-assign]
    bench.step(WorkAvailable())
    with pytest.raises(InvariantError):
        bench.step(ProposalBuilt(1, 0, bytes(32), bytes((8 << 20) + 1)))


def test_a_backup_takes_proposals_from_the_primary_only() -> None:
    cluster = Cluster()
    cluster[3].receive(cluster.names[1], cluster.pre_prepare(1, 1, 0, b"mine"))
    assert cluster[3].offences() == [(cluster.names[1], evidence.NOT_PRIMARY)]
    assert cluster[3].votes_said("prepare") == []


def test_signer_must_be_the_sender_b37() -> None:
    cluster = Cluster()
    vote = cluster.vote("prepare", 1, 1, 0, bytes(32))
    cluster[0].receive(cluster.names[3], vote)
    claimed = VoteMessage(replace(cluster.vote("prepare", 3, 1, 0, bytes(32)).vote, department=cluster.names[1]))
    cluster[0].receive(cluster.names[3], claimed)
    cluster[0].receive(cluster.names[3], cluster.pre_prepare(0, 1, 0, b"x"))
    cluster[2].receive(cluster.names[3], cluster.pre_prepare(0, 1, 0, b"x"))
    assert cluster[0].offences() == [(cluster.names[3], evidence.NOT_SENDER)]
    assert cluster[2].offences() == [(cluster.names[3], evidence.NOT_SENDER)]
    assert cluster[0].replica._state.at.log.votes == {}


def test_a_forged_vote_is_not_counted_and_its_sender_accused_b37() -> None:
    cluster = Cluster()
    cluster[0].work()
    cluster.queue.clear()
    proposed = cluster[0].votes_said("prepare")[0]
    forged = VoteMessage(replace(proposed, department=cluster.names[1]))
    for _ in range(5):
        cluster[0].receive(cluster.names[1], forged)
    assert cluster[0].offences() == [(cluster.names[1], evidence.SIGNATURE)]
    assert cluster[0].votes_said("commit") == []


def test_one_signer_repeated_is_one_vote_b36() -> None:
    cluster = Cluster()
    cluster[0].work()
    block_id = cluster[0].votes_said("prepare")[0].block_id
    for _ in range(5):
        cluster[0].receive(cluster.names[1], cluster.vote("prepare", 1, 1, 0, block_id))
        cluster[0].receive(cluster.names[1], cluster.vote("commit", 1, 1, 0, block_id))
    assert cluster[0].votes_said("commit") == []
    cluster[0].receive(cluster.names[2], cluster.vote("prepare", 2, 1, 0, block_id))
    assert len(cluster[0].votes_said("commit")) == 1


@pytest.mark.parametrize(("n", "quorum"), [(4, 3), (5, 4), (6, 4), (7, 5), (9, 6)])
def test_a_quorum_is_what_the_validator_set_says_for_every_n_b16(n: int, quorum: int) -> None:
    cluster = Cluster(n)
    cluster[0].work()
    block_id = cluster[0].votes_said("prepare")[0].block_id
    for who in range(1, quorum - 1):
        cluster[0].receive(cluster.names[who], cluster.vote("prepare", who, 1, 0, block_id))
        assert cluster[0].votes_said("commit") == []
    cluster[0].receive(cluster.names[quorum - 1], cluster.vote("prepare", quorum - 1, 1, 0, block_id))
    assert len(cluster[0].votes_said("commit")) == 1
    for who in range(1, quorum - 1):
        cluster[0].receive(cluster.names[who], cluster.vote("commit", who, 1, 0, block_id))
        assert cluster[0].blocks == []
    cluster[0].receive(cluster.names[quorum - 1], cluster.vote("commit", quorum - 1, 1, 0, block_id))
    assert len(cluster[0].blocks) == 1


def test_votes_of_different_views_do_not_add_up() -> None:
    cluster = Cluster()
    cluster[0].work()
    block_id = cluster[0].votes_said("prepare")[0].block_id
    cluster[0].receive(cluster.names[1], cluster.vote("commit", 1, 1, 0, block_id))
    cluster[0].receive(cluster.names[2], cluster.vote("commit", 2, 1, 1, block_id))
    cluster[0].receive(cluster.names[3], cluster.vote("commit", 3, 1, 2, block_id))
    assert cluster[0].blocks == []


def test_a_prepare_signature_is_no_commit() -> None:
    cluster = Cluster()
    vote = cluster.vote("prepare", 1, 1, 0, bytes(32)).vote
    cluster[0].receive(cluster.names[1], VoteMessage(replace(vote, phase="commit")))
    assert cluster[0].offences() == [(cluster.names[1], evidence.SIGNATURE)]


@pytest.mark.parametrize("phase", ["prepare", "commit"])
def test_two_votes_for_different_blocks_are_evidence(phase: str) -> None:
    cluster = Cluster()
    one, other = (cluster.vote(phase, 1, 1, 0, bytes([which]) * 32) for which in (1, 2))
    cluster[0].receive(cluster.names[1], one)
    effects = cluster[0].receive(cluster.names[1], other)
    assert [effect.offence for effect in effects] == [evidence.VOTE_EQUIVOCATION]  # type: ignore[union-attr]
    effects[0].evidence.verify(cluster.validators, CHAIN_ID, cluster.check)  # type: ignore[union-attr]


def test_a_vote_against_a_certificate_of_the_same_member_is_evidence() -> None:
    cluster = Cluster()
    certificate = Certificate.of(cluster.vote("commit", who, 1, 0, bytes([1]) * 32).vote for who in (1, 2, 3))
    cluster[0].receive(cluster.names[3], cluster.vote("commit", 3, 1, 0, bytes([2]) * 32))
    effects = cluster[0].receive(cluster.names[1], Status(1, 0, True, False, False, certificate))
    accusations = [effect for effect in effects if isinstance(effect, Accuse)]
    assert [(each.department, each.offence) for each in accusations] == [(cluster.names[3], evidence.VOTE_EQUIVOCATION)]
    assert accusations[0].evidence is not None
    accusations[0].evidence.verify(cluster.validators, CHAIN_ID, cluster.check)


def test_two_proposals_in_one_view_are_evidence_and_the_first_one_counts() -> None:
    cluster = Cluster()
    one, other = cluster.pre_prepare(0, 1, 0, b"one"), cluster.pre_prepare(0, 1, 0, b"other")
    cluster[1].receive(cluster.names[0], one)
    cluster[1].receive(cluster.names[0], other)
    assert cluster[1].offences() == [(cluster.names[0], evidence.PROPOSAL_EQUIVOCATION)]
    assert [vote.block_id for vote in cluster[1].votes_said("prepare")] == [one.block_id]


def test_an_invalid_proposal_gets_no_vote_and_costs_the_primary_its_view_b08() -> None:
    cluster = Cluster()
    cluster.invalid_bodies.add(f"{cluster.names[0]} 1 0".encode())
    cluster.work()
    cluster.deliver()
    assert all((cluster.names[0], evidence.PROPOSAL_INVALID) in cluster[who].offences() for who in (1, 2, 3))
    assert [bench.replica.view for bench in cluster] == [1, 1, 1, 1]
    assert cluster.heights() == [1, 1, 1, 1]


def test_where_every_members_proposal_is_refused_views_follow_each_other_no_faster_than_their_time() -> None:
    cluster = Cluster()
    cluster.invalid_bodies |= {f"{cluster.names[view % 4]} 1 {view}".encode() for view in range(6)}
    cluster.work()
    cluster.deliver()
    assert [bench.replica.view for bench in cluster] == [4, 4, 4, 4]
    cluster.fire("view")
    cluster.deliver()
    assert [bench.replica.view for bench in cluster] == [5, 5, 5, 5]
    assert cluster.heights() == [0, 0, 0, 0]
    cluster.fire("view")
    cluster.deliver()
    assert cluster.heights() == [1, 1, 1, 1]
    cluster.work()
    cluster.deliver()
    assert [bench.replica.view for bench in cluster] == [6, 6, 6, 6]


def test_a_body_that_is_not_of_the_block_is_not_voted_for() -> None:
    cluster = Cluster()
    cluster[1].receive(cluster.names[0], replace(cluster.pre_prepare(0, 1, 0, b"x"), body=b"y"))
    assert cluster[1].votes_said("prepare") == []
    assert cluster[1].offences() == [(cluster.names[0], evidence.PROPOSAL_INVALID)]


def test_commits_decide_before_the_prepares_have_come() -> None:
    cluster = Cluster()
    cluster.work()
    names = cluster.names
    cluster.deliver(lambda _s, receiver, m: receiver != names[3] or not _is_phase(m, "prepare"))
    assert cluster.heights() == [1, 1, 1, 1]
    assert cluster[3].votes_said("commit") == []


def test_a_decided_block_without_a_body_is_fetched() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver(lambda _s, receiver, m: receiver != cluster.names[3] or not isinstance(m, PrePrepare))
    fetches = [effect for effect in cluster[3].effects if isinstance(effect, FetchBlocks)]
    assert fetches == [FetchBlocks(1, 1, cluster.names[:3])]
    cluster[3].sync_from(cluster[0])
    assert cluster.heights() == [1, 1, 1, 1]


def test_nothing_is_decided_without_a_quorum_of_commits() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver(without_phase("commit"))
    assert cluster.heights() == [0, 0, 0, 0]
    assert all(len(bench.votes_said("commit")) == 1 for bench in cluster)


def test_messages_of_the_next_height_wait_until_it_begins() -> None:
    cluster = Cluster()
    cluster[3].holds_appends = True
    cluster.work()
    cluster.deliver()
    cluster.work()
    cluster.deliver()
    assert cluster.heights() == [2, 2, 2, 0]
    decided = next(effect for effect in cluster[3].effects if isinstance(effect, Decide))
    cluster[3].holds_appends = False
    cluster[3].append(decided)
    assert cluster.heights() == [2, 2, 2, 2]


def test_who_is_sixteen_heights_behind_goes_on_with_the_others_after_one_answer() -> None:
    """While a node fetches blocks the others decide more; it needs no further question for those."""
    cluster = Cluster()
    cluster[3].is_up = False
    cluster.work()
    cluster.deliver()
    cluster[3].is_up = True
    for _ in range(cluster[3].replica._state.config.height_window):
        cluster.work()
        cluster.deliver(lambda _s, receiver, m: receiver != cluster.names[3] or isinstance(m, PrePrepare | VoteMessage))
    assert cluster.heights() == [17, 17, 17, 0]
    cluster[3].effects.clear()
    assert cluster[3].replica.height_to_fetch() == 16
    cluster[3].blocks.append(cluster[0].blocks[0])
    cluster[3].report()
    assert cluster.heights() == [17, 17, 17, 17]
    assert not [effect for effect in cluster[3].effects if isinstance(effect, FetchBlocks)]
    assert cluster[3].votes_said("prepare") == []


def test_up_to_where_has_to_be_asked_is_what_f_plus_one_are_beyond_until_a_proposal_is_here() -> None:
    cluster = Cluster()
    asked = []
    for who, height in ((0, 1 << 40), (1, 30)):
        cluster[3].receive(cluster.names[who], cluster.vote("prepare", who, height, 0, bytes(32)))
        asked.append(cluster[3].replica.height_to_fetch())
    cluster[3].receive(cluster.names[0], cluster.pre_prepare(0, 1, 0, b"body"))
    assert [*asked, cluster[3].replica.height_to_fetch()] == [0, 29, 0]


def test_backup_rejects_pre_prepare_outside_window() -> None:
    cluster = Cluster()
    for height in range(2, 50):
        cluster[3].receive(cluster.names[0], cluster.pre_prepare(0, height, 0, bytes([height])))
    state = cluster[3].replica._state
    assert sorted(height for height, _ in state.future.slots[cluster.names[0]]) == list(range(2, 18))
    cluster[3].receive(cluster.names[0], cluster.pre_prepare(0, 1, 1 << 20, b"far view"))
    assert state.at.log.pre_prepares == {}


def test_a_member_fills_its_own_slots_only_scenario_22() -> None:
    cluster = Cluster()
    state = cluster[3].replica._state
    for view in range(100):
        for height in (*range(1, 20), 1 << 40):
            for phase in ("prepare", "commit"):
                cluster[3].receive(cluster.names[1], cluster.vote(phase, 1, height, view, bytes([view]) * 32))
    assert len(state.at.log.votes[cluster.names[1]]) == 2 * state.config.views_kept
    assert len(state.future.slots[cluster.names[1]]) == 2 * state.config.height_window
    assert state.future.claimed_heights == {cluster.names[1]: 1 << 40}


def test_what_is_kept_of_a_members_later_heights_is_bounded_in_bytes_and_holds_what_a_correct_one_says() -> None:
    cluster = Cluster()
    (correct, faulty), state = cluster.names[:2], cluster[3].replica._state

    def kept(name: str) -> list[tuple[int, str]]:
        return sorted(state.future.slots[name])

    full, largest = bytes(BLOCK_BYTES_MAX), bytes(state.config.body_bytes_max)
    for height in (2, 3):
        cluster[3].receive(correct, cluster.pre_prepare(0, height, 0, full))
        cluster[3].receive(faulty, cluster.pre_prepare(1, height, 1, largest))
        for phase in ("prepare", "commit"):
            cluster[3].receive(correct, cluster.vote(phase, 0, height, 0, bytes(32)))
    votes = [(height, phase) for height in (2, 3) for phase in ("commit", "prepare")]
    assert kept(correct) == sorted([*votes, (2, "pre-prepare"), (3, "pre-prepare")])
    assert kept(faulty) == [(2, "pre-prepare")]
    cluster[3].receive(faulty, cluster.vote("prepare", 1, 3, 0, bytes(32)))
    cluster[3].receive(faulty, cluster.pre_prepare(1, 2, 5, b"a higher view gives room again"))
    cluster[3].receive(faulty, cluster.pre_prepare(1, 3, 5, largest))
    assert kept(faulty) == [(2, "pre-prepare"), (3, "pre-prepare"), (3, "prepare")]


def test_a_stranger_is_not_listened_to() -> None:
    cluster = Cluster()
    assert cluster[0].receive("stranger", cluster.vote("prepare", 1, 1, 0, bytes(32))) == ()
    assert cluster[0].receive(cluster.names[0], cluster.vote("prepare", 0, 1, 0, bytes(32))) == ()


def test_an_answer_about_a_past_height_changes_nothing() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    assert cluster[1].step(ProposalValidated(1, 0, cluster[1].blocks[0][0], False, "late")) == ()


def test_a_stopped_backup_does_not_slow_the_others() -> None:
    cluster = Cluster(6)
    cluster[4].is_up = cluster[5].is_up = False
    for _ in range(20):
        cluster.work()
        cluster.deliver()
    assert cluster.heights()[:4] == [20] * 4
    assert cluster[0].replica.view == 0


def test_timers_are_set_anew_for_each_height() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver(only())
    before = dict(cluster[1].timers)
    cluster[1].step(WorkAvailable())
    assert cluster[1].timers == before
    assert {effect.delay_ms for effect in cluster[1].effects if isinstance(effect, SetTimer)} == {2_000, 500}


def test_validation_is_told_that_a_fresh_proposal_is_not_prepared() -> None:
    cluster = Cluster()
    cluster.work()
    cluster.deliver()
    asked = [effect for effect in cluster[1].effects if isinstance(effect, ValidateProposal)]
    assert [effect.is_prepared for effect in asked] == [False]
    assert not any(isinstance(effect, Send) and isinstance(effect.message, PrePrepare) for effect in cluster[0].effects)


def _is_phase(message: object, phase: str) -> bool:
    return isinstance(message, VoteMessage) and message.vote.phase == phase
