"""Scenarios as text: commands, and below each one everything that the replicas did because of it.

    network 4                          # first of all: so many members
    work [NAME ...]                    # there is something to propose (at everybody, if nobody is named)
    deliver [KIND] [from A] [to B]     # messages under way that match, and what follows from them that matches too
    drop [KIND] [from A] [to B]        # loses the messages under way that match
    fire TIMER [NAME ...]              # that timer runs out (wherever it runs)
    wait MS                            # time passes
    stop NAME, start NAME, start NAME without log
    sync NAME from OTHER               # catch-up brought the blocks

KIND is pre-prepare, prepare, commit, view-change, new-view, status, proposal-request, proposal-reply or complaint.
Blocks are called A, B ... in the order in which they appear. `python -m tests.consensus.scenario --write` writes the
expectations anew: do that when behaviour is meant to change, and review the difference.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from chain.certificate import Certificate
from consensus.effects import (
    Accuse,
    Broadcast,
    BuildProposal,
    CancelTimer,
    Decide,
    Effect,
    FetchBlocks,
    ForgetVotes,
    ObserverChanged,
    Persist,
    Send,
    SetTimer,
    ValidateProposal,
    ViewEntered,
)
from consensus.messages import Complaint, Message, NewView, PrePrepare, Status, ViewChange, VoteMessage
from consensus.votes import PrepareRecord, decode_record
from tests.consensus.cluster import Bench, Cluster

FOLDER = Path(__file__).parent / "scenarios"
COMMAND = "> "


def kind_of(message: Message) -> str:
    return message.vote.phase if isinstance(message, VoteMessage) else message.kind


class Scenario:
    """Runs commands one after the other; `say` yields lines of text."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.blocks: dict[bytes, str] = {}

    def run(self, text: str) -> str:
        """The text with what really happens below each command."""
        lines: list[str] = []
        for line in text.splitlines():
            if line.startswith("#") or (not line and (not lines or lines[-1].startswith("#"))):
                lines.append(line)
            elif line.startswith(COMMAND):
                lines.append(line)
                lines += [f"    {said}" for said in self.obey(line.removeprefix(COMMAND).split())]
        return "\n".join(lines) + "\n"

    def obey(self, words: list[str]) -> Iterator[str]:
        match words:
            case ["network", n]:
                self.cluster = Cluster(int(n))
            case ["work", *names]:
                for bench in self.named(names):
                    yield from self.effects_of(bench, bench.work)
            case ["deliver", *filters]:
                yield from self.deliver(filters)
            case ["drop", *filters]:
                kept = [entry for entry in self.cluster.queue if not matches(entry, filters)]
                yield f"{len(self.cluster.queue) - len(kept)} lost"
                self.cluster.queue = kept
            case ["fire", timer, *names]:
                for bench in self.named(names):
                    if timer in bench.timers:
                        yield from self.effects_of(bench, lambda bench=bench: bench.fire(timer))
            case ["wait", ms]:
                self.cluster.now_ms += int(ms)
            case ["stop", name]:
                self.cluster[name].is_up = False
            case ["start", name, *without]:
                bench = self.cluster[name]
                yield from self.effects_of(bench, lambda: bench.boot(has_log=not without))
            case ["sync", name, "from", other]:
                bench = self.cluster[name]
                yield from self.effects_of(bench, lambda: bench.sync_from(self.cluster[other]))
            case _:
                raise ValueError(" ".join(words))

    def named(self, names: list[str]) -> list[Bench]:
        return [bench for bench in self.cluster if bench.is_up and (not names or bench.name in names)]

    def deliver(self, filters: list[str]) -> Iterator[str]:
        queue = self.cluster.queue
        while True:
            entry = next((entry for entry in queue if matches(entry, filters)), None)
            if entry is None:
                return
            queue.remove(entry)
            sender, receiver, message = entry
            if self.cluster[receiver].is_up and self.cluster[sender].is_up:
                yield f"{receiver} <- {sender}: {self.described(message)}"
                bench = self.cluster[receiver]
                said = list(self.effects_of(bench, lambda b=bench, s=sender, m=message: b.receive(s, m)))
                yield from (f"    {line.removeprefix(receiver + ': ')}" for line in said)

    def effects_of(self, bench: Bench, action: object) -> Iterator[str]:
        before = len(bench.effects)
        action()  # type: ignore[operator]
        for effect in bench.effects[before:]:
            yield f"{bench.name}: {self.told(effect)}"

    # Words

    def block(self, block_id: bytes | None) -> str:
        if block_id is None:
            return "no block"
        return self.blocks.setdefault(block_id, chr(ord("A") + len(self.blocks)))

    def certificate(self, certificate: Certificate | None) -> str:
        if certificate is None:
            return "no certificate"
        names = ",".join(name for name, _ in certificate.signatures)
        return f"{certificate.phase} certificate h{certificate.height} v{certificate.view} " \
               f"{self.block(certificate.block_id)} by {names}"  # fmt: skip

    def described(self, message: Message) -> str:
        match message:
            case VoteMessage(vote):
                return f"{vote.phase} h{vote.height} v{vote.view} {self.block(vote.block_id)}"
            case PrePrepare():
                return f"pre-prepare h{message.height} v{message.view} {self.block(message.block_id)}"
            case ViewChange():
                return f"view-change h{message.height} v{message.view} with {self.certificate(message.prepared)}"
            case NewView():
                names = ",".join(change.department for change in message.view_changes)
                return f"new-view h{message.height} v{message.view} {self.block(message.block_id)} by {names}"
            case Status():
                flags = [flag for flag in ("is_active", "has_proposal", "wants_reply") if getattr(message, flag)]
                said = f"status h{message.height} v{message.view} {' '.join(flags)}"
                return f"{said}; {self.certificate(message.certificate)}"
            case Complaint():
                return f"complaint h{message.height} v{message.view}"
            case _:
                return f"{message.kind} h{message.height} {self.block(message.block_id)}"

    def told(self, effect: Effect) -> str:
        match effect:
            case Persist(_, data):
                record = decode_record(data)
                return f"persist {record.kind}" + (" and body" if isinstance(record, PrepareRecord) else "")
            case Send(department, message):
                return f"send {department} {self.described(message)}"
            case Broadcast(message):
                return f"broadcast {self.described(message)}"
            case SetTimer(timer, _, delay_ms):
                return f"set timer {timer} {delay_ms} ms"
            case CancelTimer(timer):
                return f"cancel timer {timer}"
            case BuildProposal(height, view, _):
                return f"build a proposal h{height} v{view}"
            case ValidateProposal():
                again = ", prepared before" if effect.is_prepared else ""
                return f"validate h{effect.height} v{effect.view} {self.block(effect.block_id)}{again}"
            case Decide():
                return (
                    f"DECIDE h{effect.height} {self.block(effect.block_id)} by {self.certificate(effect.certificate)}"
                )
            case FetchBlocks():
                return f"fetch h{effect.from_height} to h{effect.to_height} from {','.join(effect.departments)}"
            case ForgetVotes(height):
                return f"forget votes to h{height}"
            case Accuse():
                return f"accuse {effect.department} of {effect.offence}: {effect.detail}"
            case ViewEntered():
                state = "active" if effect.is_active else "asked for"
                return f"view h{effect.height} v{effect.view} of {effect.primary}, {state}"
            case ObserverChanged():
                return f"observer {effect.is_observer}, votes from h{effect.votes_from_height}"


def matches(entry: tuple[str, str, Message], filters: list[str]) -> bool:
    sender, receiver, message = entry
    words = list(filters)
    if words and words[0] not in {"from", "to"} and words.pop(0) != kind_of(message):
        return False
    wanted = dict(zip(words[::2], words[1::2], strict=True))
    return wanted.get("from", sender) == sender and wanted.get("to", receiver) == receiver


def scenarios() -> list[Path]:
    return sorted(FOLDER.glob("*.txt"))


def main() -> int:
    if sys.argv[1:] != ["--write"]:
        print(__doc__)
        return 1
    for path in scenarios():
        path.write_text(Scenario().run(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
