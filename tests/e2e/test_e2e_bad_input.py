"""Wrong input to real processes: each kind has its own code with cause and cure, and the network goes on."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chain import codec
from chain.crypto import SigningKey, digest
from chain.transaction import Call, Transaction, sign_transaction
from cli.founding import possession_of
from node.folder.config import Home
from node.keys.files import create_key_file
from node.keys.passphrase import read_passphrase
from node.process import EXIT_REFUSED
from tests.e2e.cluster import ADMIN, Cluster
from tools.demo.kehu import Json

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

PHONE = "13800138000"
LOGIN = [Call("access.login", {"purpose": None})]


@pytest.fixture(autouse=True)
def _network_goes_on(cluster: Cluster) -> Iterator[None]:
    """After whatever was tried, all four nodes have one chain, and somebody can work."""
    before = cluster.wait_equal()["height"]
    yield
    cluster.kehu("login", as_=cluster.people["finance"])
    assert cluster.wait_equal()["height"] > before


def require_problem(problem: Json, code: str) -> Json:
    assert problem["code"] == code, problem
    assert problem.get("cause", problem.get("title"))
    assert problem["cure"]
    return problem


async def post(cluster: Cluster, *envelopes: bytes, department: str = "sales", body: Any = None) -> Json:
    """Hands envelopes to a node as they are; gives what it says of the first one, or of the request."""
    said = body or {"transactions": [base64.b64encode(raw).decode() for raw in envelopes], "wait": "committed"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(cluster.url(department) + "/v1/transactions", json=said) as response,
    ):
        answer: Json = await response.json(content_type=None)
    items = answer.get("transactions")
    return items[0] if items else answer


def problem_in(answer: Json) -> Json:
    return answer.get("error") or answer


def sign(
    cluster: Cluster, *, chain_id: bytes | None = None, expires: int | None = None, calls: Any = None
) -> Transaction:
    key = cluster.key(cluster.people["sales"])
    height = cluster.kehu("status", "--node", "sales")["height"]
    expires = height + 50 if expires is None else expires
    return sign_transaction(key, chain_id or cluster.genesis.chain_id, secrets.token_bytes(16), expires, calls or LOGIN)


async def test_a_transaction_of_another_chain_is_refused(cluster: Cluster) -> None:
    other = sign(cluster, chain_id=digest("genesis", b"another"))
    require_problem(problem_in(await post(cluster, other.raw)), "transaction.wrong_chain")


async def test_an_expired_transaction_is_refused(cluster: Cluster) -> None:
    require_problem(problem_in(await post(cluster, sign(cluster, expires=1).raw)), "transaction.expired")


async def test_a_transaction_that_would_live_too_long_is_refused(cluster: Cluster) -> None:
    require_problem(problem_in(await post(cluster, sign(cluster, expires=1 << 40).raw)), "transaction.expiry_too_far")


async def test_a_replayed_transaction_is_executed_once_whichever_node_gets_it(cluster: Cluster) -> None:
    transaction = sign(cluster)
    first = await post(cluster, transaction.raw)
    assert (first["status"], first["receipt"]["code"]) == ("committed", "ok")
    for department in ("sales", "technical"):
        again = await post(cluster, transaction.raw, department=department)
        assert (again["status"], again["height"], again["index"]) == ("committed", first["height"], first["index"])
    number = first["receipt"]["results"][0]["login"]
    assert cluster.kehu("login", as_=cluster.people["sales"])["login"] == number + 1


async def test_bytes_that_are_no_transaction_are_refused(cluster: Cluster) -> None:
    sound = sign(cluster)
    codes = []
    for raw in (b"", b"\xc1", sound.raw + b"\0", sound.raw[:-1], codec.encode([1, 2])):
        problem = problem_in(await post(cluster, raw))
        require_problem(problem, problem["code"])
        codes.append(problem["code"])
    assert {code.partition(".")[0] for code in codes} <= {"codec", "transaction", "request"}, codes


async def test_a_changed_signature_is_refused(cluster: Cluster) -> None:
    body, signature = codec.decode(sign(cluster).raw, 1 << 20)
    forged = codec.encode([body, bytes([signature[0] ^ 1]) + signature[1:]])
    require_problem(problem_in(await post(cluster, forged)), "signature.invalid")


async def test_a_person_at_another_departments_node_is_refused(cluster: Cluster) -> None:
    signed = sign(cluster)
    require_problem(problem_in(await post(cluster, signed.raw, department="technical")), "transaction.elsewhere")
    assert (await post(cluster, signed.raw))["receipt"]["code"] == "ok"


def test_a_revoked_key_is_refused(cluster: Cluster) -> None:
    made = cluster.add_person("leaver", "finance")
    cluster.kehu("login", as_="leaver")
    cluster.kehu("people", "revoke-key", made["key"], as_=ADMIN)
    require_problem(cluster.kehu("login", as_="leaver", exits=(1,)), "keys.revoked")


def test_an_unknown_department_is_refused_on_both_ways_in(cluster: Cluster) -> None:
    key = SigningKey(secrets.token_bytes(32))
    possession = possession_of(key, cluster.genesis.chain_id, "stranger").hex()
    problem = cluster.kehu(
        "people", "enrol", "stranger", "--department", "legal", "--key", key.public.hex(), "--possession", possession,
        "--fields", "-", as_=ADMIN, stdin={"name": "某人"}, exits=(1,),
    )  # fmt: skip
    require_problem(problem, "department.unknown")
    require_problem(cluster.kehu("status", "--node", "legal", exits=(8,)), "profile.unknown_department")


def test_a_carrier_that_does_not_answer_stops_a_valid_customer_and_not_a_temporary_one(cluster: Cluster) -> None:
    sales = cluster.people["sales"]
    fields = {"name": "王芳", "phone": PHONE}
    arguments = ("customer", "add", "--fields", "-")
    require_problem(cluster.kehu(*arguments, as_=sales, stdin=fields, exits=(7,)), "carrier.no_answer")
    added = cluster.kehu(*arguments, "--temporary", as_=sales, stdin=fields)
    assert (added["status"], added["outcome"]) == ("temporary", "no_answer")
    contact = cluster.kehu("customer", "contact", added["customer"], as_=sales, exits=(7,))
    require_problem(contact, "carrier.still_unchecked")


def test_a_malformed_number_is_refused_before_anything_is_sent(cluster: Cluster) -> None:
    for phone, code in (
        ("一二三", "phone.malformed"),
        ("+999 123", "phone.impossible"),
        ("12345678901", "phone.unassigned"),
    ):
        fields = {"name": "王芳", "phone": phone}
        problem = cluster.kehu(
            "customer", "add", "--fields", "-", as_=cluster.people["sales"], stdin=fields, exits=(2,)
        )
        require_problem(problem, code)
        assert phone not in json.dumps(problem, ensure_ascii=False)


def test_a_stale_version_is_a_conflict_that_names_both(cluster: Cluster) -> None:
    sales = cluster.people["sales"]
    fields = {"name": "李雷", "phone": PHONE}
    add = ("customer", "add", "--temporary", "--allow-duplicate", "--fields", "-")
    customer = cluster.kehu(*add, as_=sales, stdin=fields)["customer"]
    update = ("customer", "update", customer, "--expect", "1", "--fields", "-")
    assert cluster.kehu(*update, as_=sales, stdin={"note": "甲"})["version"] == 2
    problem = require_problem(
        cluster.kehu(*update, as_=sales, stdin={"note": "乙"}, exits=(3,)), "record.version_conflict"
    )
    assert (problem["details"]["expected"], problem["details"]["actual"]) == (1, 2)
    note = cluster.kehu("customer", "show", customer, "--field", "note", as_=sales)["fields"]["note"]
    assert note["value"] == "甲"


def run_node(home: Path) -> tuple[int, str]:
    """A node's process as `kehu node run` is; it is expected to refuse."""
    done = subprocess.run(
        [sys.executable, "-m", "node", str(home)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


def test_a_node_folder_that_is_in_use_is_not_opened_twice(cluster: Cluster) -> None:
    exit_, log = run_node(cluster.home("technical"))
    assert exit_ == EXIT_REFUSED
    assert "storage.in_use" in log or "votelog.in_use" in log
    assert "Traceback" not in log


def test_a_node_whose_key_is_not_in_genesis_does_not_start(cluster: Cluster, tmp_path: Path) -> None:
    home = Home(copy_home(cluster, "technical", tmp_path))
    home.node_key.unlink()
    passphrase = read_passphrase(file=home.path / "secrets" / "passphrase")
    create_key_file(home.node_key, "node", "technical", passphrase, secrets.token_bytes(32))
    exit_, log = run_node(home.path)
    assert exit_ == EXIT_REFUSED
    assert "node.wrong_key" in log
    assert "Traceback" not in log


def test_a_node_of_a_department_that_genesis_does_not_name_does_not_start(cluster: Cluster, tmp_path: Path) -> None:
    home = Home(copy_home(cluster, "technical", tmp_path))
    text = home.config_file.read_text(encoding="utf-8").replace('"technical"', '"legal"')
    home.config_file.write_text(text, encoding="utf-8")
    exit_, log = run_node(home.path)
    assert exit_ == EXIT_REFUSED
    assert "config.invalid" in log
    assert "Traceback" not in log


def test_a_copy_of_a_folder_started_at_the_same_addresses_does_not_start(cluster: Cluster, tmp_path: Path) -> None:
    """A copied folder has the same key: it must not vote beside the original. Here its ports are taken."""
    exit_, log = run_node(copy_home(cluster, "technical", tmp_path))
    assert exit_ == EXIT_REFUSED
    assert "Traceback" not in log


def copy_home(cluster: Cluster, department: str, folder: Path) -> Path:
    """A copy without the data: what an administrator would carry to another machine."""
    leave = shutil.ignore_patterns("chain", "vault", "vault-keys", "log")
    return Path(shutil.copytree(cluster.home(department), folder / department, ignore=leave))


async def test_a_request_with_a_field_of_another_type_is_refused(cluster: Cluster) -> None:
    require_problem(problem_in(await post(cluster, body={"transactions": "nonsense"})), "http.fields")
