"""The image and docker/compose.yaml, built and run: six departments, one goes away and comes back, an audit."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.engine import ADMIN, CARRIER, NODES, Containers, built_image, make_network, run, running, why_not
from tools.demo.kehu import Json, order
from tools.demo.story import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.containers]

PHONES = tuple(f"138001380{number:02}" for number in range(5))
INSIDE = """
import json, os
def try_to_write(folder):
    try:
        path = os.path.join(folder, "written")
        open(path, "w").close()
        os.unlink(path)
        return True
    except OSError:
        return False
status = dict(line.split(":\\t", 1) for line in open("/proc/1/status").read().splitlines() if ":\\t" in line)
folders = ("/", "/etc", "/opt/kehu", "/usr/bin", "/run/secrets", "/var/lib", "/var/lib/kehu")
kept = ("Uid", "Gid", "CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp")
print(json.dumps({
    "status": {name: status[name].strip() for name in kept},
    "writable": [folder for folder in folders if try_to_write(folder)],
    "secrets": sorted(os.listdir("/run/secrets")) if os.path.isdir("/run/secrets") else [],
    "in_home": sorted(os.listdir("/var/lib/kehu")),
}))
"""
REACH = """
import json, socket
def reaches(host, port):
    try:
        socket.create_connection((host, port), 2).close()
        return True
    except OSError:
        return False
print(json.dumps([reaches(host, port) for host, port in %r]))
"""


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    if (reason := why_not()) is not None:
        if os.environ.get("KEHU_TEST_CONTAINERS") == "1":
            pytest.fail(f"containers were asked for and can't be had: {reason}")
        pytest.skip(f"CONTAINERS ARE NOT TESTED HERE: {reason}")
    with built_image() as tag:
        yield tag


@pytest.fixture(scope="module")
def containers(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    made = make_network(image, tmp_path_factory.mktemp("containers"))
    with running(made):
        wait_ready(made)
        yield made
    assert [name for kind in ("container", "network", "volume") for name in made.names(kind)] == []


def look(containers: Containers) -> list[Json]:
    return list(containers.kehu("network", "status", exits=(0, 9))["nodes"])


def wait_ready(containers: Containers) -> list[Json]:
    """Until all six take transactions at the same newest block."""
    rows: list[Json] = []

    def is_level() -> tuple[bool, object]:
        rows[:] = look(containers)
        return all(row["is_ready"] for row in rows) and len({row["block_id"] for row in rows}) == 1, rows

    wait_for("six ready nodes with the same newest block", is_level)
    return rows


def enrol(containers: Containers, person: str, department: str) -> None:
    kehu = containers.kehu
    path = kehu.passphrase_file(person)
    path.touch(mode=0o600)
    path.write_text(f"passphrase of {person}\n", encoding="ascii")
    made = kehu("key", "new", person, "--department", department, "--passphrase-file", str(path))
    request = kehu.passphrases / f"{person}.json"
    request.write_text(json.dumps(made), encoding="utf-8")
    kehu("people", "enrol", person, "--request", str(request), "--fields", "-", as_=ADMIN, stdin={"name": "某人"})


def record(containers: Containers, phones: tuple[str, ...]) -> None:
    orders = [
        order("customer", "add", "--fields", "-", as_="li-wei", stdin={"name": f"客户{phone[-2:]}", "phone": phone})
        for phone in phones
    ]
    assert [answer["status"] for answer in containers.kehu.together(orders)] == ["valid"] * len(phones)


def test_image_is_labelled_and_runs_as_a_numbered_user_with_a_health_check(image: str) -> None:
    (made,) = json.loads(run("podman", "image", "inspect", image))
    assert made["User"] == "10001:10001"
    assert made["Healthcheck"]["Test"][0] == "CMD"
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in made["Labels"].items()}
    assert labels["title"] == "Kehu"
    assert labels["licenses"] == "Apache-2.0"
    assert {"version", "revision", "created", "base.name", "description"} <= set(labels)


@pytest.mark.parametrize("service", [*NODES, CARRIER])
def test_service_has_no_rights_and_can_write_in_its_own_folder_only(containers: Containers, service: str) -> None:
    seen = containers.python(service, INSIDE)
    status = seen["status"]
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"10001"}
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert seen["writable"] == ["/var/lib/kehu"]
    assert seen["secrets"] == ([] if service == CARRIER else ["carrier-token", "passphrase"])
    assert "secrets" not in seen["in_home"]
    run("podman", "healthcheck", "run", containers.name(service))


def test_networks_let_a_service_reach_what_it_must(containers: Containers) -> None:
    for service in NODES:
        networks = containers.inspect(service)["NetworkSettings"]["Networks"]
        wanted = {"peers", "carrier", "metrics", f"desk_{service}"}
        assert set(networks) == {f"{containers.project}_{network}" for network in wanted}
    assert (
        containers.python("sales", REACH % [("finance", 7000), ("after_sales", 7000), ("carrier", 9000)]) == [True] * 3
    )
    outside = ("192.0.2.1", 443)
    asked = [("finance", 7000), ("carrier", 9000), outside]
    assert containers.probe("peers", REACH % asked) == [True, False, False]
    assert containers.probe("metrics", REACH % [("sales", 9101), ("carrier", 9000), outside]) == [True, False, False]
    assert containers.probe("carrier", REACH % [("carrier", 9000), outside]) == [True, False]
    assert containers.probe("desk_sales", REACH % [("sales", 8000), ("finance", 7000), ("carrier", 9000)]) == [
        True,
        False,
        False,
    ]


def test_a_department_goes_away_the_others_go_on_it_comes_back_and_the_audit_is_clean(
    containers: Containers, tmp_path: Path
) -> None:
    kehu = containers.kehu
    kehu("carrier", "set", "activate", *PHONES)
    enrol(containers, "li-wei", "sales")
    enrol(containers, "zhao-min", "finance")
    record(containers, PHONES[:2])
    before = wait_ready(containers)[0]["height"]

    containers.compose("stop", "finance")
    assert containers.inspect("finance")["State"]["ExitCode"] == 0
    record(containers, PHONES[2:])
    rows = {row["department"]: row for row in look(containers)}
    assert not rows.pop("finance")["is_ready"]
    assert all(row["height"] > before for row in rows.values())

    containers.compose("start", "finance")
    after = wait_ready(containers)[0]["height"]
    assert after >= before + 1
    shown = kehu("customer", "list", as_="li-wei")
    assert len(shown["customers"]) == len(PHONES)
    export = tmp_path / "chain.kehu"
    kehu("export", str(export), "--node", "finance")
    report = kehu("audit", str(export))
    assert (report["clean"], report["complete"], report["height"]) == (True, True, look(containers)[0]["height"])


def test_services_stop_in_order_within_their_grace_period(containers: Containers) -> None:
    begun = time.monotonic()
    containers.compose("stop")
    seconds = time.monotonic() - begun
    exits = {service: containers.inspect(service)["State"]["ExitCode"] for service in (*NODES, CARRIER)}
    assert exits == dict.fromkeys(exits, 0), f"after {seconds:.0f} s"
