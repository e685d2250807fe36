"""Hostile bytes for everything that reads bytes: `python -m tests.fuzz --executions 2000000`.

    --executions N     how many (default 100000)   --from S      the first, by number (default 0)
    --target NAME      one target alone            --input HEX   one input of that target, once, with its traceback
    --processes P      at a time (default: all cores)

Every input is parsed or refused with a code, within 50 ms of processor time; anything else is a finding, printed with
the command that replays it. Prints executions a second and outcomes for each target, and one digest of all inputs and
outcomes that is the same for the same numbers anywhere. A target that accepts nothing, or never says a second code,
fails the run: its inputs do not get past its first byte.
"""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.campaign import Campaign, Tally, run_campaign, targets

SHOWN_MAX = 9
ENOUGH = 5_000
"""Executions of a target after which its outcomes tell something."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--executions", type=int, default=100_000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--target", choices=sorted(targets()))
    parser.add_argument("--input")
    parser.add_argument("--processes", type=int)
    options = parser.parse_args()
    if options.input is not None:
        data = b"" if options.input == "empty" else bytes.fromhex(options.input)
        with targets()[options.target].open() as take:
            print(take(data))
        return 0
    return report(run_campaign(options.first, options.executions, options.target, options.processes))


def report(done: Campaign) -> int:
    for finding in done.findings:
        print(finding)
    print(f"{'target':24}{'executions':>12}{'a second':>10}{'bytes':>8}{'slowest':>10}  outcomes")
    shallow = []
    for name, tally in sorted(done.tallies.items()):
        print(_line(name, tally))
        if tally.executions >= ENOUGH and (len(tally.outcomes) < 2 or not _reaches_in(tally)):
            shallow.append(name)
    rate = done.executions / done.seconds
    print(f"{done.executions} executions in {done.seconds:.0f} s, {rate:.0f} a second")
    print(f"{len(done.findings)} findings; largest process {done.peak_bytes >> 20} MiB; digest {done.digest}")
    if shallow:
        print("not got into:", ", ".join(shallow))
    return 1 if done.findings or shallow else 0


def _reaches_in(tally: Tally) -> bool:
    """Whether something was accepted, or refused for what it means rather than for its form."""
    return any(not code.startswith("codec.") for code in tally.outcomes)


def _line(name: str, tally: Tally) -> str:
    common = tally.outcomes.most_common()
    told = ", ".join(f"{outcome} {100 * count / tally.executions:.1f} %" for outcome, count in common[:SHOWN_MAX])
    more = f", {len(common) - SHOWN_MAX} more" if len(common) > SHOWN_MAX else ""
    rate, size = tally.executions / tally.seconds, tally.bytes // max(1, tally.executions)
    return f"{name:24}{tally.executions:>12}{rate:>10.0f}{size:>8}{tally.slowest_s * 1000:>7.1f} ms  {told}{more}"


if __name__ == "__main__":
    sys.exit(main())
