"""The dashboard and Prometheus' targets speak of metrics, departments and ports that there are."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from cli.addresses import in_containers
from cli.founding import DEPARTMENTS, Plan, found_network

DOCKER = Path(__file__).parent.parent.parent / "docker"
METRICS = DOCKER.parent / "docs" / "metrics.md"
OF_PROMETHEUS_CLIENT = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


def test_dashboard_asks_only_for_metrics_that_a_node_has() -> None:
    dashboard = json.loads((DOCKER / "grafana/dashboards/kehu.json").read_text(encoding="utf-8"))
    asked = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    names = {re.sub(r"_bucket$", "", name) for name in re.findall(r"\b(?:kehu|process)_[a-z_]+", asked)}
    described = set(re.findall(r"`((?:kehu|process)_[a-z_]+)", METRICS.read_text(encoding="utf-8")))
    assert len(names) > 10
    assert names - described - OF_PROMETHEUS_CLIENT == set()


def test_alarms_ask_only_for_metrics_that_a_node_has_and_compare_each_node_with_what_has_no_labels() -> None:
    """`max(a) - a` is empty in Prometheus, as the two sides have other labels: an alarm on it never comes."""
    table, _, alarms = METRICS.read_text(encoding="utf-8").partition("## What to watch")
    asked = [row.split("`")[1] for row in re.findall(r"^\| [a-z].* \| (.*) \|$", alarms, re.MULTILINE) if "`" in row]
    assert len(asked) == 7
    described = {*re.findall(r"^\| `(kehu_[a-z_]+)`", table, re.MULTILINE), "up"}
    for expression in asked:
        assert set(re.findall(r"\b(?:kehu_[a-z_]+|up)\b", expression)) <= described
        aggregated = re.findall(r"\b(?:max|min|sum|avg)\(", expression)
        assert len(re.findall(r"\bscalar\((?:max|min|sum|avg)\(", expression)) == len(aggregated), expression


def test_prometheus_asks_every_department_where_its_node_listens() -> None:
    targets = re.findall(r'targets: \["(.+):(\d+)"\]', (DOCKER / "prometheus.yml").read_text(encoding="utf-8"))
    places = in_containers(list(DEPARTMENTS), "127.0.0.1", None).places
    assert targets == [(id_, str(place.listen_metrics).split(":")[1]) for id_, place in places.items()]


def test_network_for_containers_keeps_secrets_apart_from_the_nodes_folders(tmp_path: Path) -> None:
    plan = Plan(tmp_path / "network", "kehu", dict(DEPARTMENTS), "admin", "127.0.0.1", None, is_containers=True)
    profile = found_network(plan, "a long passphrase")
    compose = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    for id_, url in profile.nodes.items():
        home = profile.node_home(id_)
        node = tomllib.loads((home / "node.toml").read_text(encoding="utf-8"))
        assert not (home / "secrets").exists()
        assert node["passphrase_file"] == "/run/secrets/passphrase"
        assert (profile.folder / "secrets" / id_ / "passphrase").stat().st_mode & 0o777 == 0o600
        assert f'file: "${{KEHU_NETWORK_DIR:-./network}}/secrets/{id_}/passphrase"' in compose
        assert f"KEHU_PORT_{id_.upper()}:-{url.rpartition(':')[2]}}}:8000" in compose
