"""SIGKILL for a backup and for the primary; what is written meanwhile; coming back."""

from __future__ import annotations

import time

from tools.demo.cast import Person
from tools.demo.story import Step, Story

WRITERS = ("sales", "finance", "administration")


def tell(story: Story) -> None:
    primary = primary_of(story)
    quiet = [person.department for person in story.people if person.department not in (*WRITERS, primary)]
    backup = story.chance.choice(sorted(set(quiet)))
    _kill(story, backup, f"The node of {backup} is killed (SIGKILL), without a word to anybody", "backup killed")
    _return(story, backup)
    primary = primary_of(story)
    _kill(story, primary, f"Now the node that leads: {primary} is primary, and is killed too", "primary killed")
    _return(story, primary)


def primary_of(story: Story) -> str:
    """Who leads now, as a node says that is not asked to lead itself, if possible."""
    return str(story.kehu("status", "--node", "finance")["node"]["primary"])


def _kill(story: Story, victim: str, title: str, purpose: str) -> None:
    writers = [story.person(name) for name in WRITERS if name != victim][:2]
    with story.step(
        title, "five departments go on: what is written is agreed on by them, and no answer that was given is lost"
    ) as step:
        story.kehu("network", "down", victim, "--kill")
        for place, person in enumerate(writers):
            _write(story, step, person, f"{purpose}, {place + 1}")
        nodes = story.agreeing(5)
        step.equal("nodes that are down", [victim], [name for name, node in nodes.items() if not node["is_ready"]])
        others = next(name for name, node in nodes.items() if node["is_ready"])
        said = story.kehu("status", "--node", others)
        step.says(f"height {said['height']}; primary is {said['node']['primary']} in view {said['node']['view']}")


def _write(story: Story, step: Step, person: Person, purpose: str) -> None:
    customer = story.pick(purpose)
    begun = time.monotonic()
    done = story.kehu(
        "customer", "update", customer.id, "--expect", "1", "--fields", "-", as_=person.id, stdin={"note": purpose}
    )
    step.equal(f"version written by {person.id}", 2, done["version"])
    step.says(f"{person.id} of {person.department} changed {customer.id} in {time.monotonic() - begun:.1f} s")


def _return(story: Story, victim: str) -> None:
    person = story.person(victim)
    with story.step(
        f"{victim} starts its node again, from the folder as the kill left it",
        "it takes the blocks it missed, checks each, and has the same block id as everybody; its people can work",
    ) as step:
        story.kehu("network", "up", victim)
        nodes = story.agreeing(6)
        step.says(f"all six at height {nodes[victim]['height']}, block {nodes[victim]['block_id'][:16]}…")
        login = story.kehu("login", as_=person.id)
        step.equal("who logged in through it", person.id, login["person"])
