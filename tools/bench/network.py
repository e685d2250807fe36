"""A network of real node processes, made and started as `kehu network init` and `up` do it, with an operator per
department."""

from __future__ import annotations

import secrets
import shutil
import signal
import time
from pathlib import Path

from chain.crypto import SigningKey
from chain.errors import KehuError
from chain.transaction import Call
from cli.client import NodeClient
from cli.founding import Plan, found_network, possession_of
from cli.processes import Process, processes, wait_ended, wait_ready
from cli.profile import Profile
from cli.records import seal_fields
from contracts.base import ADMINISTRATION
from node.keys.files import load_key

DEPARTMENTS = ("administration", "sales", "finance", "after_sales", "technical", "process")
"""The first four, or all six. All but the last may register and change customers by the default policy."""
PASSPHRASE = "benchmark"
READY_S = 120.0
_CLOCK_TICKS = 100
"""A second, in /proc/PID/stat."""


class Network:
    def __init__(self, folder: Path, count: int) -> None:
        self.departments = DEPARTMENTS[:count]
        plan = Plan(folder, "bench", {name: name for name in self.departments}, "admin", "127.0.0.1", None)
        self.profile: Profile = found_network(plan, PASSPHRASE)
        self.chain_id = self.profile.genesis.chain_id
        self.administrator = load_key(self.profile.key_path(ADMINISTRATION, "admin"), PASSPHRASE)
        self.operators = {name: SigningKey(secrets.token_bytes(32)) for name in self.departments}

    @property
    def editors(self) -> tuple[str, ...]:
        """The departments whose operators send customer transactions."""
        return tuple(name for name in self.departments if name != "process")

    def nodes(self, *names: str) -> list[Process]:
        return processes(self.profile, names or self.departments, has_carrier=False)

    def client(self, department: str, key: SigningKey | None = None) -> NodeClient:
        url = self.profile.node_url(department)
        return NodeClient(url, self.profile.genesis, department, key or self.operators[department])

    async def start(self) -> None:
        for process in self.nodes():
            process.start()
        await self._ready()
        await self._enrol()

    async def _ready(self, *names: str) -> None:
        for error in (await wait_ready(self.nodes(*names), READY_S)).values():
            raise error

    async def _enrol(self) -> None:
        calls, values = [], []
        for name, key in self.operators.items():
            person = f"{name}-operator"
            digests, sealed = seal_fields(self.chain_id, "people", person, {"name": "操作员"})
            calls.append(
                Call(
                    "people.enrol",
                    {
                        "person": person,
                        "department": name,
                        "role": "operator",
                        "key": key.public.hex(),
                        "possession": possession_of(key, self.chain_id, person),
                        "fields": digests,
                    },
                )
            )
            values += sealed
        async with self.client(ADMINISTRATION, self.administrator) as client:
            await client.execute(calls, values)

    async def stop(self, *names: str) -> None:
        """Stops these nodes, or all; whoever does not end in time is killed."""
        wanted = self.nodes(*names)
        for process in wanted:
            process.signal(signal.SIGTERM)
        for process in await wait_ended(wanted, 30.0):
            process.signal(signal.SIGKILL)

    async def restart(self, *names: str) -> None:
        for process in self.nodes(*names):
            process.start()
        await self._ready(*names)

    def configure(self, name: str, text: str) -> None:
        """Adds sections to a node's configuration, for its next start."""
        file = self.profile.node_home(name) / "node.toml"
        file.write_text(f"{file.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")

    def remove(self) -> None:
        shutil.rmtree(self.profile.folder, ignore_errors=True)

    # What the nodes take of the machine

    def processor_s(self, *names: str) -> float:
        """Processor time of these nodes, or all that run, since they started."""
        return sum(_processor_s(pid) for pid in self._pids(*names))

    def resident_bytes(self) -> list[int]:
        """Per node that runs."""
        return [_status_kb(pid, "VmRSS") * 1024 for pid in self._pids()]

    def own_bytes(self) -> list[int]:
        """Per node that runs: memory without the files that are mapped, LevelDB's tables among them."""
        return [_status_kb(pid, "RssAnon") * 1024 for pid in self._pids()]

    def disk_bytes(self) -> list[int]:
        """Per node: chain, vault, keys and vote log."""
        homes = (self.profile.node_home(name) for name in self.departments)
        return [sum(file.stat().st_size for file in home.rglob("*") if file.is_file()) for home in homes]

    def _pids(self, *names: str) -> list[int]:
        return [pid for process in self.nodes(*names) if (pid := process.pid()) is not None]

    async def height(self) -> int:
        async with self.client(self.departments[0]) as client:
            return int((await client.status())["height"])

    async def wait_level(self, names: tuple[str, ...], timeout_s: float = 120.0) -> None:
        """Until these nodes have the same height. Errors: TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while True:
            heights = set()
            for name in names:
                try:
                    async with self.client(name) as client:
                        heights.add((await client.status())["height"])
                except KehuError:
                    heights.add(-1)
            if len(heights) == 1:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"nodes are not level: {sorted(heights)}")


def _status_kb(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS
