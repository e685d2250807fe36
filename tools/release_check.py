"""The long versions of the checks, for a release: `make release-check`. Takes hours; stopped, it goes on where it was.

Every check is cut into chunks that are their own commands; which one runs, what it last printed and how long the rest
will take is told every minute. What a chunk printed, and whether it passed, is kept under .release-check/COMMIT/; a
later run of the same commit skips what passed. What failed stays failed: a failing seed is never tried again until it
passes, it becomes a regression test, and that is another commit.

    python -m tools.release_check [--only NAME ...] [--scale F] [--status] [--json]

Exit: 0 all passed, 1 something failed, 2 cannot begin (changes that are not committed, unknown check), 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
RECORDS: Final = ROOT / ".release-check"
TELL_S: Final = 60.0
END_S: Final = 60.0
"""How long an interrupted chunk may take to put away what it made: namespaces, mounts, processes."""


@dataclass(frozen=True, slots=True)
class Check:
    """`total` units in chunks of `chunk`; the command's `{amount}` and `{first}` are a chunk's size and first unit."""

    name: str
    unit: str
    total: int
    chunk: int
    command: tuple[str, ...]

    def chunks(self, scale: float) -> Iterator[tuple[int, int]]:
        """(first, amount) of each chunk; at least one unit in all."""
        total = max(1, round(self.total * scale))
        for first in range(0, total, self.chunk):
            yield first, min(self.chunk, total - first)


CHECKS: Final = (
    Check("mutants", "run", 1, 1, ("make", "mutants")),
    Check("simulate", "seeds", 1_000_000, 10_000, ("make", "simulate", "SEEDS={amount}", "FROM={first}")),
    Check("storage-faults", "run", 1, 1, ("make", "storage-faults")),
    Check(
        "chaos", "minutes", 60, 10, ("env", "KEHU_CHAOS=required", "make", "chaos", "MINUTES={amount}", "SEED={first}")
    ),
    Check("soak", "minutes", 60, 60, ("make", "soak", "MINUTES={amount}")),
    Check("simulate-nodes", "seeds", 20_000, 500, ("make", "simulate-nodes", "SEEDS={amount}", "FROM={first}")),
    Check("explore", "states", 10_000_000, 10_000_000, ("make", "explore", "STATES={amount}")),
    Check("fuzz", "inputs", 50_000_000, 2_000_000, ("make", "fuzz", "EXECUTIONS={amount}", "FROM={first}")),
)


class Record:
    """What has run at this commit: one small JSON file per chunk, written when the chunk ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def log(self, check: Check, first: int) -> Path:
        return self._folder / f"{check.name}-{first}.log"

    def read(self, check: Check, first: int, amount: int) -> dict[str, Any] | None:
        """What is known of a chunk; None if it did not run to its end with this size."""
        path = self.log(check, first).with_suffix(".json")
        if not path.exists():
            return None
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return known if known["amount"] == amount else None

    def write(self, check: Check, first: int, amount: int, exit_code: int, seconds: float) -> None:
        path = self.log(check, first).with_suffix(".json")
        beside = path.with_suffix(".new")
        known = {"amount": amount, "exit_code": exit_code, "seconds": round(seconds, 1)}
        beside.write_text(json.dumps(known), encoding="utf-8")
        beside.replace(path)


def run_chunk(record: Record, check: Check, first: int, amount: int) -> int:
    command = [part.format(first=first, amount=amount) for part in check.command]
    print(f"== {' '.join(command)}", flush=True)
    begun = time.monotonic()
    exit_code = run_logged(command, record.log(check, first))
    seconds = time.monotonic() - begun
    record.write(check, first, amount, exit_code, seconds)
    if exit_code:
        print("\n".join(last_lines(record.log(check, first), 25)))
    print(f"   {'passed' if exit_code == 0 else 'FAILED'} after {seconds:.0f} s: {record.log(check, first)}")
    return exit_code


def run_logged(command: list[str], path: Path) -> int:
    """Its exit code. It is a group of its own: interrupted, none of its processes is left."""
    begun = time.monotonic()
    with path.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(TELL_S)
                print(f"   {(time.monotonic() - begun) / 60:.0f} min: {' '.join(last_lines(path, 1))}", flush=True)
        except BaseException:
            _end_group(process)
            raise


def _end_group(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + END_S
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)


def last_lines(log: Path, count: int) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]


def run_check(record: Record, check: Check, scale: float) -> None:
    """All chunks that have not run, and before each how far the check is."""
    chunks = list(check.chunks(scale))
    for number, (first, amount) in enumerate(chunks, 1):
        if record.read(check, first, amount) is None:
            print(f"-- {check.name}, {number} of {len(chunks)}{_time_left(record, check, chunks)}", flush=True)
            run_chunk(record, check, first, amount)


def _time_left(record: Record, check: Check, chunks: Sequence[tuple[int, int]]) -> str:
    """By what the chunks took that have run."""
    known = [(amount, record.read(check, first, amount)) for first, amount in chunks]
    done = [(amount, entry["seconds"]) for amount, entry in known if entry is not None]
    if not done:
        return ""
    rate = sum(seconds for _, seconds in done) / sum(amount for amount, _ in done)
    left = sum(amount for amount, entry in known if entry is None)
    return f", about {rate * left / 3600:.1f} h left"


def summarise(record: Record, checks: Sequence[Check], scale: float) -> list[dict[str, Any]]:
    """Per check: units that passed, failed and wait."""
    lines = []
    for check in checks:
        line = {"check": check.name, "unit": check.unit, "passed": 0, "failed": 0, "waiting": 0, "seconds": 0.0}
        for first, amount in check.chunks(scale):
            known = record.read(check, first, amount)
            kind = "waiting" if known is None else "failed" if known["exit_code"] else "passed"
            line[kind] += amount
            line["seconds"] += known["seconds"] if known else 0
        lines.append(line)
    return lines


def commit() -> str | None:
    """The commit that is checked out; None if files differ from it."""
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    if changed.stdout.strip():
        return None
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return head.stdout.strip()[:12]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release_check", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[check.name for check in CHECKS])
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the full length, for a rehearsal")
    parser.add_argument("--status", action="store_true", help="only says what has run")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    checks = [check for check in CHECKS if not options.only or check.name in options.only]
    checked = commit()
    if checked is None:
        print("There are changes that are not committed: a release is checked as it is committed.", file=sys.stderr)
        return 2
    record = Record(RECORDS / checked)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for check in checks if not options.status else ():
            run_check(record, check, options.scale)
    except KeyboardInterrupt:
        print("\nInterrupted; the chunk under way will run again, all others are kept: make release-check goes on.")
        return 130
    return report(summarise(record, checks, options.scale), is_json=options.json)


def report(lines: list[dict[str, Any]], *, is_json: bool) -> int:
    if is_json:
        print(json.dumps(lines))
    else:
        for line in lines:
            print(f"{line['check']:16}{line['passed']:>12} {line['unit']} passed{line['failed']:>10} failed"
                  f"{line['waiting']:>12} wait{line['seconds']:>10.0f} s")  # fmt: skip
    return 1 if any(line["failed"] for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
