"""A network folder, six node processes and a carrier simulator."""

from __future__ import annotations

import secrets

from tools.demo.cast import ADMINISTRATOR
from tools.demo.story import Story


def tell(story: Story) -> None:
    _found(story)
    _start(story)


def _found(story: Story) -> None:
    with story.step(
        "The departments agree on a genesis: who they are, by which keys, under which policy",
        "the chain id is the digest of what was agreed, so nobody can be given another genesis unnoticed",
    ) as step:
        write_passphrase(story, ADMINISTRATOR)
        made = story.kehu(
            "network", "init", str(story.network), "--name", "kehu-demo",
            "--passphrase-file", str(story.kehu.passphrase_file(ADMINISTRATOR)),
        )  # fmt: skip
        step.equal("number of departments", 6, len(made["departments"]))
        step.says(f"chain id {made['chain_id']}")
        step.shows(
            ("department", "name", "node"),
            [(id_, name, made["nodes"][id_]) for id_, name in made["departments"].items()],
        )


def _start(story: Story) -> None:
    with story.step(
        "Every department starts its node; a carrier simulator runs beside them",
        "seven processes run, and each node is linked to the others over TLS pinned to the keys in genesis",
    ) as step:
        processes = story.kehu("network", "up", "--carrier")["processes"]
        step.equal("processes that are not ready", [], [item["name"] for item in processes if not item["is_ready"]])
        step.equal("processes", 7, len({item["pid"] for item in processes}))
        nodes = story.kehu("network", "status")["nodes"]
        step.equal("block ids at height 0", 1, len({node["block_id"] for node in nodes}))
        step.says("process ids: " + ", ".join(f"{item['name']} {item['pid']}" for item in processes))


def write_passphrase(story: Story, name: str) -> None:
    """Everybody's own; in a file that only this user can read, as somebody would who is not at a terminal."""
    path = story.kehu.passphrase_file(name)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(secrets.token_urlsafe(12) + "\n", encoding="ascii")
