"""The simulator as a user runs it: a real process, its start, its stop, and what it keeps."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path

import pytest

from node.carrier.lookup import IdentifierLookup, LookupConfig
from node.carrier.simulator.admin import SimulatorAdmin

pytestmark = pytest.mark.slow

NUMBER, SECOND = "+8613800138000", "+8613912345678"
ROOT = Path(__file__).parents[3]


class Process:
    """`python -m node.carrier.simulator` on a free port; `log` is what it wrote."""

    def __init__(self, child: asyncio.subprocess.Process, url: str, log: list[str]) -> None:
        self.child = child
        self.url = url
        self.log = log

    @classmethod
    async def start(cls, data: Path, *more: str) -> Process:
        child = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "node.carrier.simulator", "--listen", "127.0.0.1:0", "--data", str(data), *more],
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
        )
        assert child.stderr is not None
        log: list[str] = []
        async with asyncio.timeout(60):
            while line := (await child.stderr.readline()).decode():
                log.append(line)
                if found := re.search(r"listening at (http://\S+)", line):
                    return cls(child, found[1], log)
        raise AssertionError("".join(log))

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.child.send_signal(number)
        async with asyncio.timeout(60):
            _, rest = await self.child.communicate()
        self.log.append(rest.decode())
        assert self.child.returncode is not None
        return self.child.returncode


def token(data: Path, name: str) -> str:
    return (data.parent / name).read_text(encoding="ascii").strip()


async def test_the_simulator_stops_orderly_on_sigterm_and_a_restart_keeps_its_numbers(tmp_path: Path) -> None:
    data = tmp_path / "carrier" / "numbers.json"
    process = await Process.start(data, "--seed", "demo")
    async with SimulatorAdmin(process.url, token(data, "admin.token")) as admin:
        await admin.activate_many([NUMBER, SECOND])
        identifier = (await admin.act("reassign", NUMBER))["identifier"]
    assert await process.stop() == 0
    assert "stopped" in process.log[-1]

    again = await Process.start(data)
    config = LookupConfig("mobile-1", again.url, token(data, "lookup.token"))
    async with IdentifierLookup(config) as lookup:
        assert (await lookup.look_up(NUMBER)).identifier == identifier
    assert await again.stop(signal.SIGINT) == 0
    assert NUMBER.removeprefix("+86") not in "".join(process.log + again.log)


async def test_the_simulator_stops_while_a_look_up_hangs(tmp_path: Path) -> None:
    data = tmp_path / "numbers.json"
    process = await Process.start(data)
    async with SimulatorAdmin(process.url, token(data, "admin.token")) as admin:
        await admin.add_fault(kind="time_out")
        config = LookupConfig("mobile-1", process.url, token(data, "lookup.token"), deadline_ms=60_000, retries=0)
        async with IdentifierLookup(config) as lookup:
            hanging = asyncio.create_task(lookup.look_up(NUMBER))
            async with asyncio.timeout(60):
                while "time_out" not in await admin.counters():
                    pass  # until the look-up has arrived
            assert await process.stop() == 0
            assert (await hanging).reason == "unreachable"


async def test_killing_the_simulator_loses_nothing_it_has_answered(tmp_path: Path) -> None:
    data = tmp_path / "numbers.json"
    process = await Process.start(data)
    async with SimulatorAdmin(process.url, token(data, "admin.token")) as admin:
        before = await admin.act("activate", NUMBER)
    assert await process.stop(signal.SIGKILL) == -signal.SIGKILL
    again = await Process.start(data)
    async with SimulatorAdmin(again.url, token(data, "admin.token")) as admin:
        assert await admin.show(NUMBER) == before
    assert await again.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--listen", "nowhere", "--data", "x"], 2, "HOST:PORT"),
        (["--listen", "127.0.0.1:99999", "--data", "x"], 2, "HOST:PORT"),
        (["--listen", "127.0.0.1:0", "--data", "x", "--per-second", "0"], 2, "--per-second"),
        (["--listen", "127.0.0.1:0"], 2, "--data"),
        (["--listen", "127.0.0.1:0", "--data", "damaged.json"], 1, "simulator.file_malformed"),
    ],
)
async def test_wrong_settings_end_the_process_with_a_reason(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "damaged.json").write_text("{", encoding="utf-8")
    child = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "node.carrier.simulator", *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await child.communicate()
    assert child.returncode == code
    assert message in error.decode()
