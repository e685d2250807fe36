"""Measures a sweep: `python tools/measure_sweep.py [--customers 10000] [--per-second 100] [--folder DIR]`.

Four departments and a carrier simulator as real processes; an operator of sales imports the customers while the carrier
is away, so that all of them are due, and has them swept by `kehu phone sweep` at the pace that the node may ask the
carrier. Prints how long both took, the pace that was kept, and how often the carrier was asked.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.e2e.cluster import ADMIN, DEPARTMENTS, Cluster, stop_cluster, write_passphrase  # noqa: E402
from tools.demo import kehu as demo_kehu  # noqa: E402
from tools.demo.kehu import Kehu  # noqa: E402

PERSON = "li-wei"
COMMAND_TIMEOUT_S = 3_600.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures a sweep.")
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--per-second", type=float, default=100.0)
    given = parser.parse_args()
    demo_kehu.COMMAND_TIMEOUT_S = COMMAND_TIMEOUT_S  # type: ignore[misc]
    folder = Path(tempfile.mkdtemp(prefix="kehu-sweep-"))
    kehu = Kehu(folder / "network", folder / "passphrases")
    try:
        measure(kehu, folder / "customers.csv", given.customers, given.per_second)
    finally:
        stop_cluster(kehu)
        shutil.rmtree(folder, ignore_errors=True)


def measure(kehu: Kehu, file: Path, customers: int, per_second: float) -> None:
    cluster = _found(kehu, per_second)
    rows = (f"客户{number},138{number:08}\n" for number in range(customers))
    file.write_text("姓名,手机\n" + "".join(rows), encoding="utf-8")
    begun = time.monotonic()
    imported = kehu("customer", "import", str(file), "--temporary", "--allow-duplicate", as_=PERSON)["imported"]
    print(f"{imported} customers imported without an answer in {time.monotonic() - begun:.0f} s", flush=True)
    kehu("network", "up", "carrier")
    kehu("carrier", "set", "activate", "--from", str(file))
    begun = time.monotonic()
    swept = kehu("phone", "sweep", as_=PERSON, exits=(0, 9))
    seconds = time.monotonic() - begun
    print(
        f"{swept['due']} due, {swept['asked']} asked, {swept['valid']} valid, {swept['no_answer']} without an answer, "
        f"{len(swept['failed'])} failed in {seconds:.0f} s: {swept['asked'] / seconds:.1f} a second, of at most "
        f"{per_second:g}; the carrier was asked {_times_asked(cluster)} times"
    )


def _found(kehu: Kehu, per_second: float) -> Cluster:
    write_passphrase(kehu, ADMIN)
    departments = [word for name in DEPARTMENTS for word in ("--department", name)]
    passphrase = ("--passphrase-file", str(kehu.passphrase_file(ADMIN)))
    kehu("network", "init", str(kehu.network), "--administrator", ADMIN, *departments, *passphrase)
    cluster = Cluster(kehu, {"sales": PERSON, "administration": ADMIN})
    path = cluster.home("sales") / "node.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[carrier]\n", f"[carrier]\nper_second = {per_second}\n", 1), encoding="utf-8")
    kehu("network", "up")
    cluster.add_person(PERSON, "sales")
    return cluster


def _times_asked(cluster: Cluster) -> int:
    token = (cluster.kehu.network / "carrier" / "admin.token").read_text(encoding="ascii").strip()
    url = f"{cluster.profile.carrier_url}/admin/v1/counters"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return int(json.load(response)["counters"].get("requests", 0))


if __name__ == "__main__":
    main()
