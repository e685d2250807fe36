"""Measures the audit: `python tools/measure_audit.py [--transactions N] [--jobs 1 2] [--runs 3]`.

Makes a chain of simple transactions with real signatures (500 to a block, in batches of 100, over 20,000 records), and
audits its export. Prints transactions per second of wall clock and of processor time of this process, beside the rate
that verifying signatures alone would allow one core.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from chain.crypto import verify_raw  # noqa: E402
from chain.export import export_chunks, stored_frames  # noqa: E402
from cli.audit_sources import FileSource  # noqa: E402
from cli.auditing import run_audit  # noqa: E402
from tools.sample_chain import Notes, SampleChain, key_of  # noqa: E402

BLOCK_TRANSACTIONS = 500
BATCH_TRANSACTIONS = 100
RECORDS = 20_000


def write_export(path: Path, transactions: int) -> None:
    chain = SampleChain()
    for begin in range(0, transactions, BLOCK_TRANSACTIONS):
        made = [chain.put(f"n{number % RECORDS}") for number in range(begin, begin + BLOCK_TRANSACTIONS)]
        batches = [made[at : at + BATCH_TRANSACTIONS] for at in range(0, len(made), BATCH_TRANSACTIONS)]
        chain.append(*(chain.batch(*batch) for batch in batches))
    with path.open("wb") as file:
        for chunk in export_chunks(chain.genesis.raw, stored_frames(chain.blocks, 1, chain.ledger.height)):
            file.write(chunk)


def verifies_per_second(count: int = 3_000) -> float:
    key, message = key_of("measured"), bytes(200)
    signature = key.sign_raw(message)
    begin = time.process_time()
    for _ in range(count):
        verify_raw(key.public, message, signature)
    return count / (time.process_time() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the audit.")
    parser.add_argument("--transactions", type=int, default=50_000)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "measured.kehu"
        write_export(path, options.transactions)
        print(f"{options.transactions} transactions, {path.stat().st_size / options.transactions:.0f} bytes each")
        print(f"signatures alone: {verifies_per_second():.0f} a second on one core")
        for jobs in options.jobs:
            wall, processor = [], []
            for _ in range(options.runs):
                begin = time.process_time()
                report = run_audit(FileSource(path), contracts=Notes(), jobs=jobs)
                if not report.is_clean:
                    raise SystemExit(f"the audit found {report.finding}")
                processor.append(options.transactions / (time.process_time() - begin))
                wall.append(options.transactions / report.seconds)
            print(f"jobs {jobs}: {statistics.median(wall):.0f} tx/s, {statistics.median(processor):.0f} per "
                  f"second of this process' processor time (medians of {options.runs})")  # fmt: skip


if __name__ == "__main__":
    main()
