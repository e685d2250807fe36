"""`kehu node doctor`: every finding on real folders, sockets and nodes; the clock is the test's."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from node.api.app import make_app
from node.api.server import serve
from node.fitness import machine, neighbours
from node.fitness.addresses import listen_refusal
from node.fitness.examination import Examination, examine
from node.fitness.findings import CODES
from node.folder.config import Home
from node.keys.files import create_key_file
from node.surroundings import wall_ms
from node.why.findings import LEVELS
from tests.node.cluster import CHEAP, DEPARTMENTS, PASSPHRASE, Cluster, free_ports, genesis_value, key_of, make_home
from tests.node.peer_kit import until

HOUR_MS = 3_600_000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A folder of sales; no other node runs."""
    ports = free_ports(6)
    genesis = genesis_value(dict(zip(DEPARTMENTS, ports, strict=False)))
    made = make_home(tmp_path / "sales", "sales", genesis, ports[3], ports[4])
    made.path.chmod(0o700)
    return made


@pytest.fixture
def held_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen(1)
        yield held.getsockname()[1]


def codes(examination: Examination) -> list[str]:
    """Those that don't depend on how much memory and disk the machine under the tests has left."""
    return [each.code for each in examination.findings if not each.code.startswith(("system.memory", "disk."))]


async def look(home: Home, urls: Mapping[str, str] | None = None, clock: Callable[[], int] = wall_ms) -> list[str]:
    return codes(await examine(home, urls or {}, clock))


def set_lines(home: Home, **settings: str) -> None:
    """Puts settings before the first table of node.toml, and tables behind it."""
    text = home.config_file.read_text()
    for name, value in settings.items():
        text = re.sub(rf"^{name} = .*$", f"{name} = {json.dumps(value)}", text, flags=re.MULTILINE)
    home.config_file.write_text(text)


def reach(home: Home, **peers: str) -> None:
    with home.config_file.open("a") as file:
        file.write("[peers]\n" + "".join(f'{name} = "{address}"\n' for name, address in peers.items()))


async def test_a_stopped_node_with_its_peers_up_is_fit_and_a_running_one_is_not_disturbed(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    for made in cluster.homes.values():
        made.path.chmod(0o700)
    try:
        await cluster.start("administration", "finance", "sales")
        assert await look(cluster.homes["after_sales"]) == ["home.fit"]
        await cluster.start("after_sales")
        await cluster.commit(cluster.login("li"), via="sales")
        await until(lambda: all(len(node.peers.connected) == 3 for node in cluster.nodes.values()))
        links = {name: node.peers.connected for name, node in cluster.nodes.items()}
        found = await examine(cluster.homes["finance"], {})
        assert (found.is_running, sorted(codes(found))) == (True, ["home.fit", "home.running"])
        assert {name: node.peers.connected for name, node in cluster.nodes.items()} == links
        await cluster.stop("sales")
        assert await look(cluster.homes["finance"]) == ["peer.closed", "home.running"]
    finally:
        await cluster.stop()


async def test_whoever_answers_in_a_departments_place_is_told_apart(
    home: Home, tmp_path: Path, held_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "DIAL_S", 0.5)
    (closed,) = free_ports(1)
    reach(home, administration=f"127.0.0.1:{closed}", after_sales=f"127.0.0.1:{held_port}", finance="x.invalid:7001")
    findings = (await examine(home, {})).findings
    by_department = {each.details["department"]: each.code for each in findings if each.code.startswith("peer.")}
    expected = {"administration": "peer.closed", "after_sales": "peer.silent", "finance": "peer.unknown_host"}
    assert by_department == expected
    assert str(closed) in next(each.text for each in findings if each.code == "peer.closed")


async def test_another_key_another_chain_and_another_protocol_are_told_apart(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "network")
    ports = free_ports(3)
    value = {**cluster.genesis.value, "network": "another"}
    stranger = make_home(tmp_path / "stranger", "after_sales", value, *ports[:2])
    stranger.path.chmod(0o700)
    cluster.homes["after_sales"].path.chmod(0o700)
    try:
        await cluster.start("administration", "finance", "sales")
        assert set(await look(stranger)) == {"genesis.other"}
        api = await serve(make_app(cluster.nodes["sales"], wall_ms), "127.0.0.1", ports[2])
        try:
            url = f"http://127.0.0.1:{ports[2]}"
            assert "genesis.other" in await look(stranger, {"sales": url})
            mixed = {"sales": f"127.0.0.1:{cluster.peer_ports['finance']}", "finance": f"127.0.0.1:{ports[2]}"}
            reach(cluster.homes["after_sales"], **mixed)
            assert sorted(await look(cluster.homes["after_sales"])) == ["peer.not_kehu", "peer.other_key"]
        finally:
            await api.close(1.0)
    finally:
        await cluster.stop()


async def test_a_wrong_clock_is_known_by_the_other_nodes_and_by_their_newest_block(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    home, (port,) = cluster.homes["after_sales"], free_ports(1)
    home.path.chmod(0o700)
    try:
        await cluster.start("administration", "finance", "sales")
        await cluster.commit(cluster.login("li"), via="sales")
        api = await serve(make_app(cluster.nodes["sales"], wall_ms), "127.0.0.1", port)
        try:
            urls = {"sales": f"http://127.0.0.1:{port}"}
            found = await examine(home, urls)
            assert (found.source, codes(found)) == ("nodes", ["home.fit"])
            for wrong in (-HOUR_MS, HOUR_MS):
                found = await examine(home, urls, lambda wrong=wrong: wall_ms() + wrong)
                assert codes(found) == ["clock.differs"]
                offset = found.findings[0].details["offset_ms"]
                assert isinstance(offset, int)
                assert abs(offset + wrong) < HOUR_MS // 10
                assert not found.can_take_part
        finally:
            await api.close(1.0)
    finally:
        await cluster.stop()


@pytest.mark.parametrize("member", [{"address": "nowhere"}, {"address": 3}, {"key": "xyz"}, {"department": "../x"}])
async def test_members_without_a_place_or_a_key_are_not_looked_for(home: Home, member: dict[str, object]) -> None:
    row = {"department": "finance", "key": "ab" * 32, "address": "127.0.0.1:1", **member}
    status = {"chain_id": home.read_genesis().chain_id.hex(), "height": 1, "block_time_ms": 1}
    status["now_ms"] = wall_ms()
    membership = {"members": [row], "next": None}
    async with answering({"/v1/status": json.dumps(status), "/v1/membership": json.dumps(membership)}) as url:
        found = await examine(home, {"finance": url})
    assert (found.source, "clock.differs" in codes(found)) == ("genesis.json", False)


@pytest.mark.parametrize("height", ["1e999", "NaN", "-1", "9" * 400, "1" + "0" * 5_000, "[" * 50_000 + "]" * 50_000])
async def test_a_node_that_says_numbers_nobody_can_reckon_with_is_as_one_that_does_not_answer(
    home: Home, height: str
) -> None:
    chain = home.read_genesis().chain_id.hex()
    for name in ("height", "block_time_ms", "now_ms"):
        said = {"height": "1", "block_time_ms": "1", "now_ms": "1", name: height}
        numbers = ", ".join(f'"{key}": {value}' for key, value in said.items())
        answers = {"/v1/status": f'{{"chain_id": "{chain}", {numbers}}}', "/v1/membership": "{}"}
        async with answering(answers) as url:
            found = await examine(home, {"finance": url})
        assert (found.source, "clock.differs" in codes(found)) == ("genesis.json", False)


@asynccontextmanager
async def answering(answers: Mapping[str, str]) -> AsyncIterator[str]:
    """The URL of what answers with these texts by path."""
    (port,) = free_ports(1)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=answers[request.path])

    app = web.Application()
    app.add_routes([web.get(path, answer) for path in answers])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_without_any_answer_a_clock_before_genesis_is_still_known(home: Home) -> None:
    assert "clock.differs" in await look(home, clock=lambda: wall_ms() - HOUR_MS)
    assert "clock.differs" not in await look(home)


async def test_keys_that_are_not_the_networks_are_named(home: Home) -> None:
    home.node_key.unlink()
    create_key_file(home.node_key, "node", "sales", PASSPHRASE, key_of("another").seed, CHEAP)
    create_key_file(home.gateway_key, "gateway", "gateway-sales", PASSPHRASE, key_of("other gateway").seed, CHEAP)
    found = await look(home)
    assert "key.other" in found
    assert "key.gateway" in found
    create_key_file(home.next_key, "node", "sales", PASSPHRASE, key_of("node sales").seed, CHEAP)
    assert "key.other" not in await look(home)


async def test_a_carrier_without_the_key_of_a_gateway_is_named(home: Home) -> None:
    assert "key.no_gateway" not in await look(home)
    with home.config_file.open("a") as file:
        file.write('[carrier]\nurl = "http://127.0.0.1:1"\ntoken_file = "secrets/carrier-token"\n')
    assert "key.no_gateway" in await look(home)
    create_key_file(home.gateway_key, "gateway", "gateway-sales", PASSPHRASE, key_of("gateway sales").seed, CHEAP)
    assert "key.no_gateway" not in await look(home)


async def test_secrets_of_the_carrier_without_which_the_node_refuses_to_start_are_named(home: Home) -> None:
    with home.config_file.open("a") as file:
        file.write('[carrier]\nurl = "http://127.0.0.1:1"\ntoken_file = "secrets/carrier-token"\n')
    create_key_file(home.gateway_key, "gateway", "gateway-sales", PASSPHRASE, key_of("gateway sales").seed, CHEAP)
    found = await examine(home, {})
    assert ("config.missing", found.can_take_part) == (codes(found)[0], False)
    token = home.path / "secrets" / "carrier-token"
    token.write_text("two words\n")
    assert "config.invalid" in await look(home)
    token.write_text("token\n")
    assert {"config.missing", "config.invalid"} & set(await look(home)) == set()


async def test_a_department_that_is_not_admitted_yet_is_told_so(home: Home) -> None:
    set_lines(home, department="legal")
    assert "key.not_member" in await look(home)


async def test_all_that_the_node_would_refuse_comes_with_its_own_code_and_cure(home: Home) -> None:
    (home.path / "secrets" / "passphrase").write_text("another passphrase\n")
    home.genesis_file.write_text("{}")
    home.config_file.write_text(home.config_file.read_text() + "\n[log]\nformat = 'json'\n")
    found = await examine(home, {})
    assert {"key.passphrase_wrong", "genesis.invalid"} <= set(codes(found))
    assert all(each.cure for each in found.findings)
    assert not found.can_take_part
    home.config_file.write_text("department = 3\n")
    assert "config.invalid" in await look(home)
    assert await look(Home(home.path / "missing")) == ["config.missing", "config.missing"]


async def test_addresses_that_cannot_be_listened_on_are_named(home: Home, held_port: int) -> None:
    set_lines(home, api=f"127.0.0.1:{held_port}", peer="192.0.2.1:7001")
    found = {each.code: each.details.get("key") for each in (await examine(home, {})).findings}
    assert found["address.in_use"] == "listen.api"
    assert found["address.not_here"] == "listen.peer"
    assert listen_refusal("127.0.0.1:0") is None
    set_lines(home, api="sales..example:8001", peer=f"{'a' * 64}.example:7001")  # no label is empty or so long
    told = {(each.code, each.details.get("key")) for each in (await examine(home, {})).findings}
    assert {("address.not_here", "listen.api"), ("address.not_here", "listen.peer")} <= told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may listen anywhere")
def test_a_port_that_this_user_may_not_take_is_named() -> None:
    assert listen_refusal("127.0.0.1:81") == "address.forbidden"


async def test_what_others_on_the_machine_may_read_is_named(home: Home) -> None:
    home.path.chmod(0o755)
    token = home.path / "secrets" / "carrier-token"
    token.write_text("t")
    token.chmod(0o644)
    with home.config_file.open("a") as file:
        file.write('[carrier]\nurl = "http://127.0.0.1:9000"\ntoken_file = "secrets/carrier-token"\n')
    (home.path / "secrets" / "passphrase").chmod(0o644)
    found = await look(home)
    assert {"home.open", "secret.open", "passphrase.file_open"} <= set(found)
    (home.path / "secrets" / "passphrase").chmod(0o600)
    home.node_key.chmod(0o644)
    assert "key.file_open" in await look(home)


def test_little_disk_memory_files_and_missing_libraries_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [each.code for each in machine.look_at_limits(256, 1 << 20)] == ["system.files", "system.memory"]
    assert list(machine.look_at_limits(4096, 1 << 32)) == []
    assert machine.memory_free_bytes() is None or machine.memory_free_bytes() > 0
    assert machine.write_refusal(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert machine.write_refusal(Path("/proc")) is not None
    assert list(machine.look_at_libraries()) == []
    assert [each.code for each in machine.look_at_libraries("no_such_library")] == ["system.library"]
    for free, code in ((1 << 20, "disk.full"), (1 << 29, "disk.low")):
        numbers = os.statvfs_result((1, 1, 1 << 40, free, free, 0, 0, 0, 0, 255))
        monkeypatch.setattr(machine.os, "statvfs", lambda _path, numbers=numbers: numbers)
        assert [each.code for each in machine.look_at_disk(tmp_path)] == [code]


def test_the_document_lists_every_code_of_the_nodes_doctor() -> None:
    text = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text(encoding="utf-8")
    table = text.partition("| code of `kehu node doctor` |")[2]
    rows = re.findall(r"^\| `([a-z_.]+)` \| (\w+) \| (.*) \| (.*) \|$", table, re.MULTILINE)
    assert {code: (level, meaning, cure) for code, level, meaning, cure in rows} == CODES
    assert {level for _, level, _, _ in rows} <= set(LEVELS)
