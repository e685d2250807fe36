"""`kehu doctor`: why the network does or does not progress."""

from __future__ import annotations

from typing import Any

from cli.command import Needs, command
from cli.exits import Exit
from cli.output import Answer, Screen
from cli.root import app
from cli.run import Run


@command(
    app,
    "doctor",
    needs=Needs.KEY,
    example="kehu doctor --network demo",
    json_keys=("headline", "findings", "nodes"),
    exits=(Exit.REFUSED, Exit.UNKNOWN, Exit.UNVERIFIED, Exit.KEY, Exit.MACHINE, Exit.PARTIAL),
)
async def doctor(run: Run) -> Answer:
    """Say why the network does or does not progress: who is missing since when, which votes lack, what to act on.

    Asks every node that network.json names, or the one that --node names. With --as, your own department's node also
    says what is for its people only: disks, keys, clocks, vault, refusals. Exit code 0 if all is well, 9 if it
    progresses and something is to be done, 1 if it stands still, 4 if no node answers.
    """
    from cli.doctor import conclude, look_at

    names = [run.node] if run.node is not None else sorted(run.profile.nodes)
    person = None if run.as_ is None else (run.key_file.department, run.key)
    looks = await look_at(run.profile, names, person)
    findings = conclude(looks)
    data: dict[str, Any] = {
        "headline": findings[0]["text"],
        "findings": findings,
        "nodes": [
            {
                "department": look.department,
                "url": look.url,
                "answers": look.said is not None,
                "problem": look.problem,
                "facts": None if look.said is None else look.said["facts"],
            }
            for look in looks
        ],
    }
    return Answer(data, lambda screen: _show(screen, findings), _exit_of(findings))


def _exit_of(findings: list[dict[str, Any]]) -> Exit:
    if findings[0]["code"] == "nodes.silent":
        return Exit.UNKNOWN
    levels = {finding["level"] for finding in findings}
    return Exit.REFUSED if "still" in levels else Exit.PARTIAL if "act" in levels else Exit.OK


def _show(screen: Screen, findings: list[dict[str, Any]]) -> None:
    screen.line(findings[0]["text"])
    marks = {"still": "!!", "act": "! ", "note": "  "}
    for finding in findings[1:]:
        by = f" [{', '.join(finding['by'])}]" if finding["by"] else ""
        screen.line(f"{marks[finding['level']]} {finding['text']} ({finding['code']}){by}")
