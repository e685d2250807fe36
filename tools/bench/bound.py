"""The bound: every node verifies every client signature once, so nothing can commit more than c / (n * t_verify).

It is measured by verifying on all cores at once for a stretch of wall clock, so that what else the machine does weighs
on the bound as it weighs on the nodes. `chain.crypto.verify` is the strict check that the nodes make.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import time
from functools import cache
from multiprocessing.pool import Pool

from chain.crypto import SigningKey, verify

MESSAGE_BYTES = 350
"""About what the body of an update of two fields takes."""


@cache
def _pool(cores: int) -> Pool:
    """One process per core, for as long as this one runs: starting them takes longer than measuring."""
    pool = multiprocessing.get_context("spawn").Pool(cores)
    pool.map(_verify_for, [0.01] * cores, chunksize=1)  # they are up
    atexit.register(pool.terminate)
    return pool


def verifies_per_second(seconds: float) -> float:
    """Strict verifications a second of wall clock, by all cores together."""
    cores = os.cpu_count() or 1
    return float(sum(_pool(cores).map(_verify_for, [seconds] * cores, chunksize=1)))


def _verify_for(seconds: float) -> float:
    key, chain_id, payload = SigningKey(bytes(range(32))), bytes(32), bytes(MESSAGE_BYTES)
    signature = key.sign("transaction", chain_id, payload)
    count, begin = 0, time.monotonic()
    while (passed := time.monotonic() - begin) < seconds:
        for _ in range(20):
            verify(key.public, "transaction", chain_id, payload, signature)
        count += 20
    return count / passed
