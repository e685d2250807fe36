"""A customer's own projects: progress once it is granted, a proof of it, and feedback."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chain.transaction import Call
from cli.records import seal_fields
from cli.run import Run
from tests.cli.conftest import Kehu


def send(kehu: Kehu, as_: str, name: str, table: str, record: str, texts: dict[str, str], **args: Any) -> None:
    """A call that writes a record, for which there may be no command yet."""

    async def execute() -> None:
        async with Run(network=kehu.folder, as_=as_, passphrase_file=kehu.pass_file).client() as client:
            digests, values = seal_fields(client.genesis.chain_id, table, record, texts)
            await client.execute([Call(name, {**args, "fields": digests})], values)

    asyncio.run(execute())


@pytest.fixture(scope="module")
def customer(kehu: Kehu) -> str:
    """A customer with a key, who takes part in project p1; p2 goes on without them."""
    fields = ("name=秦一", "phone=13600000001", "--temporary")
    id_: str = kehu.json("customer", "add", *fields, as_="admin")["customer"]
    send(kehu, "admin", "organisations.register", "organisations", "o1", {"name": "东方公司"}, organisation="o1")
    for project, name in (("p1", "智慧工厂"), ("p2", "旧厂改造")):
        args = {"project": project, "organisation": "o1"}
        send(kehu, "admin", "projects.register", "projects", project, {"name": name, "goal": "年底上线"}, **args)

    async def place() -> None:
        async with Run(network=kehu.folder, as_="admin", passphrase_file=kehu.pass_file).client() as client:
            args = {"customer": id_, "version": 1, "organisation": "o1", "client_department": None}
            await client.execute([Call("customers.place", args)])

    asyncio.run(place())
    part = {"role": "sponsor", "right": "decides", "weight": 80, "stance": "opposes"}
    args = {"participation": "d1", "project": "p1", "customer": id_, **part}
    send(kehu, "admin", "participations.register", "participations", "d1", {}, **args)
    for number, text in enumerate(("合同已签", "设备已到"), 1):
        args = {"progress": f"e{number}", "project": "p1"}
        send(kehu, "admin", "progress.record", "progress", f"e{number}", {"text": text}, **args)
    kehu.json("enrol", "--invitation", kehu.json("invite", id_, as_="admin")["invitation"])
    return id_


def test_progress_is_shown_with_a_proof_once_the_administration_has_granted_it(
    kehu: Kehu, customer: str, tmp_path: Path
) -> None:
    assert kehu.json("own", "projects", as_=customer)["projects"] == []
    for table in ("projects", "progress"):
        kehu.json("grant", f"person:{customer}", "--action", "read", "--table", table, as_="admin")
    (project,) = kehu.json("own", "projects", as_=customer)["projects"]
    assert (project["project"], project["fields"]["name"]["value"]) == ("p1", "智慧工厂")
    assert [step["fields"]["text"]["value"] for step in project["progress"]] == ["合同已签", "设备已到"]
    assert "opposes" not in str(project)
    screen = kehu("own", "projects", as_=customer).out
    assert "设备已到" in screen
    file = tmp_path / "进度.kehu"
    kehu.json("prove", "e2", str(file), "--table", "progress", "--state", "projects/p1", as_=customer)
    found = kehu.json("verify", str(file), "--genesis", str(kehu.folder / "genesis.json"))
    assert found["records"][0]["fields"] == {"text": "设备已到"}
    assert found["entries"][0]["value"]["organisation"] == "o1"
    args = ("prove", "e1", str(tmp_path / "x"), "--table", "progress", "--state", "projects/p2")
    assert kehu.problem(*args, as_=customer, exit=1)["code"] == "auth.not_own"


def test_a_customer_sends_feedback_that_the_administration_reads(kehu: Kehu, customer: str) -> None:
    args = ("own", "feedback", "-", "--project", "p1", "--correction")
    sent = kehu.json(*args, as_=customer, stdin="职位写错了，我是厂长\n")
    assert sent["state"] == "open"
    refused = kehu.problem("own", "feedback", "你好", "--project", "p9", as_=customer, exit=1)
    assert refused["code"] == "record.unknown"
    from cli.records import read_record

    async def read() -> Any:
        async with Run(network=kehu.folder, as_="admin", passphrase_file=kehu.pass_file).client() as client:
            return (await read_record(client, "feedback", sent["feedback"], ["*"], "work"))[1]

    record = asyncio.run(read())
    assert record.fields["text"].value == "职位写错了，我是厂长"
    assert (record.facts["customer"], record.facts["own"], record.facts["correction"]) == (customer, True, True)
