"""A network of namespaces: one for each department, one for the clients, and a bridge between them.

The addresses exist only inside these namespaces. What a department's namespace drops is decided by two chains of its
own; a healed network has both empty.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tests.chaos.machine import PREFIX, ToolError, run

BRIDGE: Final = f"{PREFIX}-bridge"
CLIENTS: Final = "clients"
_SUBNET: Final = "10.77.0"
_CLONE_NEWNET: Final = 0x40000000
_CHAINS: Final = {"INPUT": "KEHU-IN", "OUTPUT": "KEHU-OUT"}


def namespace(name: str) -> str:
    return f"{PREFIX}-{name.replace('_', '-')}"


def handle(name: str) -> Path:
    """The file that keeps a namespace alive."""
    return Path("/run/netns") / namespace(name)


def inside(name: str, *words: str) -> tuple[str, ...]:
    """The command that runs `words` in a namespace, as the same process."""
    return ("nsenter", f"--net={handle(name)}", *words)


class Net:
    """`names`: departments, in the order of their addresses."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def address(self, name: str) -> str:
        return f"{_SUBNET}.{10 + self.names.index(name)}"

    def build(self) -> None:
        run("ip", "netns", "add", BRIDGE)
        run("ip", "-n", BRIDGE, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", BRIDGE, "link", "set", "br0", "up")
        self._join(CLIENTS, f"{_SUBNET}.2", "p-clients")
        for number, name in enumerate(self.names):
            self._join(name, self.address(name), f"p{number}")
            for hook, chain in _CHAINS.items():
                self._filter(name, "-N", chain)
                self._filter(name, "-A", hook, "-j", chain)

    def _join(self, name: str, address: str, port: str) -> None:
        space = namespace(name)
        run("ip", "netns", "add", space)
        run("ip", "-n", space, "link", "set", "lo", "up")
        run("ip", "-n", BRIDGE, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
        run("ip", "-n", BRIDGE, "link", "set", port, "master", "br0", "up")
        run("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", space, "link", "set", "eth0", "up")

    def _filter(self, name: str, *words: str) -> None:
        run(*inside(name, "iptables", "-w", *words))

    def deafen(self, name: str, senders: Iterable[str]) -> None:
        """`name` hears nothing from these departments; they still hear it."""
        for sender in senders:
            self._filter(name, "-A", _CHAINS["INPUT"], "-s", self.address(sender), "-j", "DROP")

    def mute(self, name: str, hearers: Iterable[str]) -> None:
        """Nothing of `name` reaches these departments."""
        for hearer in hearers:
            self._filter(name, "-A", _CHAINS["OUTPUT"], "-d", self.address(hearer), "-j", "DROP")

    def cut(self, one: Iterable[str], others: Sequence[str]) -> None:
        """Nothing passes between the two groups, either way."""
        for name in one:
            self.deafen(name, others)
            self.mute(name, others)

    def lose(self, name: str, share: float) -> None:
        """A share of all that comes to `name` from departments is lost."""
        for sender in self.names:
            if sender != name:
                rule = ("-s", self.address(sender), "-m", "statistic", "--mode", "random")
                self._filter(name, "-A", _CHAINS["INPUT"], *rule, "--probability", str(share), "-j", "DROP")

    def unplug(self, name: str) -> None:
        """The cable is out: from departments and clients alike."""
        run("ip", "-n", BRIDGE, "link", "set", f"p{self.names.index(name)}", "down")

    def plug(self, name: str) -> None:
        run("ip", "-n", BRIDGE, "link", "set", f"p{self.names.index(name)}", "up")

    def heal(self) -> None:
        for name in self.names:
            self.plug(name)
            for chain in _CHAINS.values():
                self._filter(name, "-F", chain)

    def dropped(self) -> int:
        """How many packets the filters have dropped since the last healing."""
        total = 0
        for name in self.names:
            for chain in _CHAINS.values():
                lines = run(*inside(name, "iptables", "-w", "-nvxL", chain)).splitlines()[2:]
                total += sum(int(line.split()[0]) for line in lines)
        return total


def enter(name: str) -> None:
    """This process goes into a namespace: sockets made from now on are there. Call before any thread exists."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(handle(name), os.O_RDONLY)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


def remove_all() -> None:
    """Every namespace of a run, with the processes in it, whoever made it."""
    folder = Path("/run/netns")
    for path in sorted(folder.glob(f"{PREFIX}-*")) if folder.is_dir() else ():
        with contextlib.suppress(ToolError):
            for pid in map(int, run("ip", "netns", "pids", path.name).split()):
                if pid != os.getpid():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ToolError):
            run("ip", "netns", "del", path.name)
