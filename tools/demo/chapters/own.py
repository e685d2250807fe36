"""A customer with a key of their own: what is theirs, with a proof, and who looked at it."""

from __future__ import annotations

from tools.demo.cast import ADMINISTRATOR
from tools.demo.chapters.founding import write_passphrase
from tools.demo.kehu import order
from tools.demo.story import Story

WORDS = "设备型号写错了"


def tell(story: Story) -> None:
    _enrol(story)
    _see_and_prove(story)
    _feed_back(story)


def _enrol(story: Story) -> None:
    user = story.require_client().user
    with story.step(
        "The administration invites a customer, who makes a key, and lets them see how their project gets on",
        "a customer is somebody with a key like everybody else, and sees nothing that was not granted",
    ) as step:
        invited = story.kehu("invite", user.id, as_=ADMINISTRATOR)
        write_passphrase(story, user.id)
        key = ("--passphrase-file", str(story.kehu.passphrase_file(user.id)))
        story.kehu("enrol", "--invitation", invited["invitation"], *key)
        before = story.kehu("own", "projects", as_=user.id)["projects"]
        step.equal("projects seen before a grant", [], before)
        grants = [
            order("grant", f"person:{user.id}", "--action", "read", "--table", table, as_=ADMINISTRATOR)
            for table in ("projects", "progress")
        ]
        story.kehu.together(grants)


def _see_and_prove(story: Story) -> None:
    client = story.require_client()
    user = client.user.id
    with story.step(
        "The customer looks at the project's progress and takes a proof of it home",
        "anybody who has the genesis file checks the proof, on any machine, without asking a node",
    ) as step:
        (project,) = story.kehu("own", "projects", as_=user)["projects"]
        texts = [entry["fields"]["text"]["value"] for entry in project["progress"]]
        step.equal("what the customer sees", [client.project, ["合同已审"]], [project["project"], texts])
        file = story.folder / "progress.kehu"
        file.unlink(missing_ok=True)
        story.kehu("prove", client.project, str(file), "--table", "projects", "--field", "name", as_=user)
        genesis = str(story.network / "genesis.json")
        (proven,) = story.kehu("verify", str(file), "--genesis", genesis)["records"]
        step.equal("what is proven", {"name": "智慧工厂"}, proven["fields"])
        step.says(f"智慧工厂: {texts[0]}; proven by {file.stat().st_size:,} bytes")
        forged = bytearray(file.read_bytes())
        forged[len(forged) // 2] ^= 1
        file.write_bytes(forged)
        finding = story.kehu("verify", str(file), "--genesis", genesis, exits=(5,))
        step.says(f"with one bit changed: {finding['code']}")
        file.unlink()


def _feed_back(story: Story) -> None:
    user = story.require_client().user.id
    with story.step(
        "The customer asks who looked at their data, and says that something is wrong; the administration answers",
        "customers see departments and purposes; what they say and what was done about it is on the record",
    ) as step:
        rows = story.kehu("own", "accesses", "--limit", "100", as_=user)["accesses"]
        others = sorted({(row["department"], row["action"], row["purpose"]) for row in rows if not row["own"]})
        step.holds("finance looked", any(row[0] == "finance" for row in others), others)
        step.shows(("department", "action", "purpose"), others)
        feedback = order("own", "feedback", "-", "--correction", as_=user)
        sent = story.kehu.say(feedback, WORDS)
        given = ("feedback", "resolve", sent["feedback"], "resolved", "resolution=已更正")
        resolved = story.kehu(*given, as_=ADMINISTRATOR)
        step.equal("state", ["open", "resolved"], [sent["state"], resolved["state"]])
        story.facts["feedback"] = resolved["state"]
