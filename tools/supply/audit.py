"""Asks the public vulnerability services about every pinned library.

pip-audit ends with 0 and "no known vulnerabilities" where a service knows nothing of a library at all, as mirrors do.
So what counts here is which libraries a service has really answered about.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from tools.supply.lock import read_lock
from tools.supply.places import LOCKS, call, tool

SERVICES: Final = ("pypi", "osv")
_TIMEOUT_S: Final = "10"


@dataclass
class Audit:
    """Libraries as name==version. `findings`: library -> ids; `answered`: those a service knew; `asked`: all."""

    asked: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    findings: dict[str, set[str]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)

    @property
    def unanswered(self) -> list[str]:
        return sorted(self.asked - self.answered)


def audit_locks() -> Audit:
    audit = Audit()
    for lock in LOCKS:
        audit.asked |= {f"{entry.name.lower()}=={next(iter(entry.specifier)).version}" for entry, _ in read_lock(lock)}
        for service in SERVICES:
            options = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--timeout", _TIMEOUT_S)
            done = call(tool("pip-audit"), "-r", str(lock), *options, "-s", service, "-f", "json")
            take_answer(audit, service, done.stdout, done.stderr)
    return audit


def take_answer(audit: Audit, service: str, out: str, err: str) -> None:
    """Adds what pip-audit said about one lock."""
    try:
        libraries = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        audit.troubles.append(f"{service}: {(err.strip().splitlines() or ['no answer'])[-1][:200]}")
        return
    for library in libraries:
        if "skip_reason" in library:
            continue
        name = f"{library['name'].lower()}=={library['version']}"
        audit.answered.add(name)
        if library["vulns"]:
            audit.findings.setdefault(name, set()).update(found["id"] for found in library["vulns"])
