"""A Kehu network whose departments have a namespace, a disk and a clock each."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from chain.crypto import SigningKey
from chain.transaction import Call
from cli.client import NodeClient
from cli.founding import Plan, found_network, possession_of
from cli.profile import Profile
from cli.records import seal_fields
from contracts.base import ADMINISTRATION
from node.keys.files import load_key
from tests.chaos import disks, netns
from tests.chaos.disks import Disk
from tests.chaos.machine import FOLDER
from tests.chaos.netns import Net
from tests.chaos.nodes import NodeProcess

DEPARTMENTS: Final = ("administration", "finance", "sales", "technical", "after_sales", "process")
MORE: Final = "branch"
"""Departments beyond the product's six: branch_7, branch_8 …"""
PEER_PORT: Final = 7000
API_PORT: Final = 7001
PASSPHRASE: Final = "chaos"
READY_S: Final = 120.0
LOOK_S: Final = 2.0


def department_names(count: int) -> tuple[str, ...]:
    more = tuple(f"{MORE}_{number}" for number in range(len(DEPARTMENTS) + 1, count + 1))
    return (*DEPARTMENTS[:count], *more)


class Network:
    """Made in the machine's own namespace; `start` and everything later in that of the clients."""

    def __init__(self, count: int, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.departments = department_names(count)
        self.f = (count - 1) // 3
        self.net = Net(self.departments)
        self.nodes: dict[str, NodeProcess] = {}
        self.operators = {name: SigningKey(secrets.token_bytes(32)) for name in self.departments}

    def build(self) -> None:
        """Namespaces, keys, genesis, disks. Removes first what an earlier run left behind."""
        remove_all(self.folder)
        self.folder.mkdir(mode=0o700, parents=True)
        self.net.build()
        self.profile = self._found()
        for name in self.departments:
            disk = Disk(self.folder / f"{name}.img", self.profile.node_home(name))
            disk.make()
            log, clock = self.folder / f"{name}.log", self.folder / f"{name}.clock"
            self.nodes[name] = NodeProcess(name, disk.place, disk, log, clock)

    def _found(self) -> Profile:
        names = {name: name for name in self.departments}
        plan = Plan(self.folder / "network", "chaos", names, "admin", "127.0.0.1", None)
        made = found_network(plan, PASSPHRASE)
        for name in self.departments:
            self._place(made.node_home(name) / "node.toml", name)
        urls = {name: f"http://{self.net.address(name)}:{API_PORT}" for name in self.departments}
        profile = Profile(made.folder, made.name, urls, None)
        profile.write()
        self.administrator = load_key(profile.key_path(ADMINISTRATION, "admin"), PASSPHRASE)
        return profile

    def _place(self, file: Path, name: str) -> None:
        """Puts the addresses of the namespaces where `found_network` wrote those of one machine."""
        lines = file.read_text(encoding="utf-8").splitlines()
        ports = {"peer": PEER_PORT, "api": API_PORT}
        for number, line in enumerate(lines):
            key = line.partition(" = ")[0]
            if key in ports:
                lines[number] = f'{key} = "{self.net.address(name)}:{ports[key]}"'
        peers = [f'{other} = "{self.net.address(other)}:{PEER_PORT}"' for other in self.departments if other != name]
        file.write_text("\n".join([*lines, "", "[peers]", *peers, ""]), encoding="utf-8")

    def client(self, department: str, key: SigningKey | None = None, wait_s: float = 30.0) -> NodeClient:
        url = self.profile.nodes[department]
        return NodeClient(url, self.profile.genesis, department, key or self.operators[department], wait_s)

    async def start(self) -> None:
        for node in self.nodes.values():
            node.start()
        await self.wait_ready(self.departments, READY_S)
        await self._enrol()

    async def _enrol(self) -> None:
        chain_id = self.profile.genesis.chain_id
        calls, values = [], []
        for name, key in self.operators.items():
            person = f"{name.replace('_', '-')}-operator"
            digests, sealed = seal_fields(chain_id, "people", person, {"name": "操作员"})
            args: dict[str, Any] = {"person": person, "department": name, "role": "operator", "key": key.public.hex()}
            possession = possession_of(key, chain_id, person)
            calls.append(Call("people.enrol", {**args, "possession": possession, "fields": digests}))
            values += sealed
        async with self.client(ADMINISTRATION, self.administrator) as client:
            await client.execute(calls, values)

    async def look(self, department: str) -> dict[str, Any] | None:
        """A node's status; None if it does not answer soon."""
        try:
            async with asyncio.timeout(LOOK_S), self.client(department) as client:
                return await client.status()
        except Exception:
            # Nobody there, cut off, half started, out of time: all the same to who looks.
            return None

    async def wait_ready(self, names: Sequence[str], timeout_s: float) -> float:
        """Seconds until all of these nodes are ready. Errors: TimeoutError says who is not."""
        begun, waiting = time.monotonic(), list(names)
        while waiting:
            found = await asyncio.gather(*map(self.look, waiting))
            waiting = [name for name, said in zip(waiting, found, strict=True) if not said or not _is_ready(said)]
            if waiting and time.monotonic() - begun > timeout_s:
                raise TimeoutError(f"not ready after {timeout_s:.0f} s: {', '.join(waiting)}")
            if waiting:
                await asyncio.sleep(0.2)
        return time.monotonic() - begun

    def remove(self) -> None:
        for node in self.nodes.values():
            node.kill()
        remove_all(self.folder)


def _is_ready(status: dict[str, Any]) -> bool:
    return bool(status["node"]["is_ready"])


def remove_all(folder: Path = FOLDER) -> None:
    """Processes, namespaces, mounts, loop devices and files of a run, also one that was broken off."""
    netns.remove_all()
    disks.remove_all(folder)
    shutil.rmtree(folder, ignore_errors=True)
