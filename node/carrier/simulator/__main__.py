"""`python -m node.carrier.simulator`: one carrier simulator, until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from chain.errors import KehuError
from node.carrier.simulator.process import SimulatorConfig, run_simulator


def _config(arguments: list[str] | None = None) -> SimulatorConfig:
    parser = argparse.ArgumentParser(prog="python -m node.carrier.simulator", description=__doc__)
    parser.add_argument("--listen", required=True, metavar="HOST:PORT", help="loopback is wise; port 0 is any free one")
    parser.add_argument("--data", required=True, type=Path, metavar="FILE", help="numbers; tokens are kept beside it")
    parser.add_argument("--seed", help="makes the identifiers of a new data file reproducible")
    parser.add_argument("--per-second", type=float, metavar="N", help="rate limit of look-ups (default: none)")
    parser.add_argument("--burst", type=int, default=1, metavar="N", help="look-ups at once under the rate limit")
    given = parser.parse_args(arguments)
    host, colon, port = given.listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        parser.error("--listen is HOST:PORT with a port of 0 to 65535")
    if (given.per_second is not None and given.per_second <= 0) or given.burst < 1:
        parser.error("--per-second is above 0 and --burst at least 1")
    return SimulatorConfig(host.strip("[]"), int(port), given.data, given.seed, given.per_second, given.burst)


def main() -> int:
    config = _config()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        run_simulator(config)
    except (KehuError, OSError) as error:
        sys.stderr.write(f"the simulator cannot run: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
