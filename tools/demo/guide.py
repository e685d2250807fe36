"""What is printed at the end: times, or how to use the network that stays up, or where to look when a step failed."""

from __future__ import annotations

import shlex

from tools.demo.cast import ADMINISTRATOR
from tools.demo.kehu import kehu_command
from tools.demo.story import StepFailedError, Story


def show_times(story: Story, seconds: float) -> None:
    story.narrator.line()
    slowest = sorted(story.seconds, key=lambda item: -item[2])[:3]
    story.narrator.line("Slowest steps: " + "; ".join(f"{number} {took:.1f} s" for number, _, took in slowest))
    story.narrator.line(f"All {len(story.seconds)} steps held, in {seconds:.0f} s.", "bold green")


def show_guide(story: Story) -> None:
    """Commands to copy; each works as it stands."""
    kehu, sales = shlex.quote(str(kehu_command())), story.person("sales").id
    auditor = next(person.id for person in story.people if person.role == "auditor")
    customer = story.customers[0].id
    say = story.narrator.line
    say("\nThe network is up. Copy these two lines first:", "bold")
    say(f"    export KEHU_NETWORK={shlex.quote(str(story.network))} P={shlex.quote(str(story.kehu.passphrases))}")
    say(f"    alias kehu={kehu}")
    for what, line in (
        ("the nodes", "kehu network status"),
        ("what sales sees", f"kehu customer list --as {sales} --passphrase-file $P/{sales}.pass"),
        ("one customer", f"kehu customer show {customer} --as {sales} --passphrase-file $P/{sales}.pass"),
        (
            "who looked at it",
            f"kehu customer history {customer} --kind accesses --as {auditor} --passphrase-file $P/{auditor}.pass",
        ),
        ("as administrator", f"kehu grants --as {ADMINISTRATOR} --passphrase-file $P/{ADMINISTRATOR}.pass"),
        ("a number changes hands", f"kehu carrier set reassign {story.customers[0].fields['phone']}"),
        ("check everything", "kehu audit --node finance"),
        ("kill a node, start it", "kehu network down finance --kill; kehu network up finance"),
    ):  # fmt: skip
        say(f"  {what}:", "dim")
        say(f"    {line}")
    say("\nStop it and remove its folder:", "bold")
    say(
        f"    {kehu} network down --network {shlex.quote(str(story.network))} && rm -r {shlex.quote(str(story.folder))}"
    )


def show_failure(story: Story, error: StepFailedError) -> None:
    logs = story.network / "nodes"
    story.narrator.failed(
        (
            ("step", error.step),
            ("what", error.what),
            ("expected", str(error.expected)),
            ("came", str(error.actual)),
            ("logs", f"{logs}/*/log/node.log and {story.network}/carrier/log/carrier.log"),
            ("folder", f"{story.folder} is kept; the processes are stopped"),
        )
    )
