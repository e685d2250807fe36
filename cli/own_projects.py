"""A customer's projects as the customer may see them: each read is on the record and checked like any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chain.transaction import Call
from cli.client import NodeClient
from cli.records import RecordShown, disclose, read_record
from cli.shown import record_json
from cli.verify import Committed

PAGE = 100


@dataclass(frozen=True, slots=True)
class OwnProject:
    """`progress`: in the order in which it was recorded."""

    record: RecordShown
    progress: list[RecordShown]

    def to_json(self) -> dict[str, Any]:
        steps = [{"progress": step.record, **record_json(step)} for step in self.progress]
        return {"project": self.record.record, **record_json(self.record), "progress": steps}


async def read_own_projects(client: NodeClient, purpose: str) -> tuple[Committed, list[OwnProject]]:
    """The committed listing, and each project with its progress."""
    committed = await client.execute([Call("access.own_projects", {"purpose": purpose})])
    found = []
    for project in committed.result()["projects"]:
        _, record = await read_record(client, "projects", project, ["*"], purpose)
        found.append(OwnProject(record, await _read_progress(client, project, purpose)))
    return committed, found


async def _read_progress(client: NodeClient, project: str, purpose: str) -> list[RecordShown]:
    shown: list[RecordShown] = []
    after: int | None = 0
    while after is not None:
        asked = {"of": "projects", "record": project, "table": "progress", "as_of": None, "after": after}
        call = Call("access.members", {**asked, "limit": PAGE, "fields": ["text"], "purpose": purpose})
        committed = await client.execute([call])
        shown += await disclose(client, committed, committed.result()["records"])
        after = committed.result()["next"]
    return shown
