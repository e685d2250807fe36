"""`kehu doctor`: one answer from what all nodes say, and on real processes of which two of four are stopped."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.doctor import Look, conclude
from tests.cli.conftest import Kehu, make_folder

PATIENCE_S = 60.0


def finding(code: str, level: str = "note", **details: Any) -> dict[str, Any]:
    return {"code": code, "level": level, "text": f"{code} {details}", "details": details}


def look(department: str, *findings: dict[str, Any], head: tuple[int, str] = (3, "aa")) -> Look:
    return Look(department, "http://x", {"headline": "", "findings": list(findings), "facts": {}}, head)


PROGRESS, STALL = finding("network.progresses"), finding("network.no_quorum", "still")


def test_what_most_nodes_say_is_the_headline_and_the_worse_one_of_two_as_frequent() -> None:
    assert conclude([look("a", PROGRESS), look("b", PROGRESS), look("c", STALL)])[0]["code"] == "network.progresses"
    assert conclude([look("a", PROGRESS), look("b", STALL)])[0]["code"] == "network.no_quorum"


def test_what_two_nodes_say_of_a_third_is_one_finding_and_what_each_says_of_itself_are_two() -> None:
    missing, full = finding("peer.missing", "act", department="d"), finding("disk.full", "still", what="chain")
    found = conclude([look("a", PROGRESS, missing, full), look("b", PROGRESS, missing, full)])
    assert [(item["code"], item["by"]) for item in found[1:]] == [
        ("disk.full", ["a"]), ("disk.full", ["b"]), ("peer.missing", ["a", "b"]),
    ]  # fmt: skip


def test_a_silent_node_is_named_with_what_is_known_here_and_no_node_at_all_is_a_headline() -> None:
    silent = Look("c", "http://x", None, problem="node.unreachable", local={"pid": None, "free_bytes": 1 << 20})
    found = conclude([look("a", PROGRESS), silent])
    assert found[1]["code"] == "node.silent"
    assert "process does not run here; its disk is full" in found[1]["text"]
    assert conclude([silent])[0]["code"] == "nodes.silent"


def test_two_blocks_at_one_height_are_a_fork() -> None:
    found = conclude([look("a", PROGRESS), look("b", PROGRESS, head=(3, "bb")), look("c", PROGRESS, head=(4, "cc"))])
    assert [item["code"] for item in found] == ["network.progresses", "network.forked"]


GOOD = {"headline": "", "findings": [PROGRESS], "facts": {}}
STATUS: dict[str, Any] = {"height": 3, "block_id": "aa"}


@pytest.mark.parametrize(
    ("why", "status"),
    [
        (GOOD, {"block_id": "aa"}),
        (GOOD, {**STATUS, "height": "three"}),
        ({**GOOD, "findings": None}, STATUS),
        ({**GOOD, "findings": ["network.progresses"]}, STATUS),
        ({**GOOD, "findings": [{**PROGRESS, "details": None}]}, STATUS),
        ({**GOOD, "findings": [{**PROGRESS, "level": "worse"}]}, STATUS),
        ({**GOOD, "findings": [{**PROGRESS, "level": []}]}, STATUS),
        ({**GOOD, "findings": [{"code": "network.progresses"}]}, STATUS),
    ],
)
def test_a_node_that_answers_oddly_is_named_and_does_not_hide_what_the_others_say(
    tmp_path: Path, why: Any, status: dict[str, Any]
) -> None:
    profile, pass_file = make_folder(tmp_path)
    chain = {"chain_id": profile.genesis.chain_id.hex()}
    with answering(GOOD, {**STATUS, **chain}) as good, answering(why, {**status, **chain}) as odd:
        file = profile.folder / "network.json"
        network = json.loads(file.read_text())
        network["nodes"] |= {"finance": good, "sales": odd}
        file.write_text(json.dumps(network))
        said = Kehu(profile.folder, pass_file).json("doctor", exit=9)
    problems = {node["department"]: node["problem"] for node in said["nodes"]}
    assert (problems["finance"], problems["sales"]) == (None, "node.answer_malformed")
    assert said["headline"] == PROGRESS["text"]


@contextmanager
def answering(why: Any, status: Any) -> Iterator[str]:
    """The URL of what answers like a node that is asked for these two."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(why if self.path == "/v1/why" else status).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def said_in_time(kehu: Kehu, headline: str, exit: int) -> Any:  # noqa: A002
    """What the doctor says once the nodes have noticed who came or went."""
    deadline = time.monotonic() + PATIENCE_S
    while not (ran := kehu("doctor", "--json")).json["headline"].startswith(headline):
        assert time.monotonic() < deadline, ran.out
    assert ran.exit == exit
    return ran.json


@pytest.mark.slow
def test_the_doctor_says_who_is_missing_when_two_of_four_processes_are_stopped(tmp_path: Path) -> None:
    profile, pass_file = make_folder(tmp_path)
    kehu = Kehu(profile.folder, pass_file)
    assert kehu.json("doctor", exit=4)["headline"].startswith("No node answers")
    try:
        kehu.json("network", "up", "administration", "finance", "sales", "technical")
        assert kehu("doctor").out.startswith("Network progresses")
        told = kehu.json("doctor", as_="admin")["nodes"]
        assert [bool(node["facts"].get("disks")) for node in told] == [True, False, False, False]
        kehu.json("network", "down", "finance", "technical", "--kill")
        said = said_in_time(kehu, "Stands still: 2 of 4 departments are missing (finance since ", exit=1)
        codes = [(item["code"], item["details"].get("department")) for item in said["findings"]]
        assert {("peer.missing", "finance"), ("peer.missing", "technical"), ("node.silent", "finance")} <= set(codes)
        kehu.json("network", "up", "finance")
        said_in_time(kehu, "Network progresses, with 1 of 4", exit=9)
    finally:
        kehu("network", "down", "--kill")
