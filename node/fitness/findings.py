"""What `kehu node doctor` can find. The codes are a contract (docs/doctor.md lists them, kept by a test).

A finding's code is one of these, or that of the error with which the node would refuse to start (docs/errors.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from chain.errors import KehuError, shown_details
from node.why.findings import ACT, LEVELS, NOTE, STILL

CODES: Final = {
    "home.fit": (NOTE, "nothing here keeps the node from taking part", "nothing"),
    "home.running": (NOTE, "the node of this folder is running", "nothing"),
    "home.open": (ACT, "others on this machine may look into the folder", "`chmod 700` on it"),
    "secret.open": (ACT, "others on this machine may read a file with a secret", "`chmod 600` on it"),
    "key.not_member": (
        ACT,
        "the network has no department of this name: it is not admitted yet, or was removed",
        "have it admitted: docs/join.md; one that was removed does not come back under its name: docs/membership.md",
    ),
    "key.other": (
        STILL,
        "the network knows the department by another key than node.key (or node.key.next)",
        "use the folder made for this department, or have the key changed: `kehu member rotate-key`",
    ),
    "key.gateway": (
        ACT,
        "gateway.key is not the key by which genesis names this gateway",
        "nothing, if the gateway was enrolled anew since; or put the right file back",
    ),
    "key.no_gateway": (
        ACT,
        "node.toml has a [carrier], and there is no gateway.key: this node can't ask about numbers",
        "put gateway.key back from the backup's keys file, or make and enrol a new one: docs/carrier.md",
    ),
    "genesis.other": (
        STILL,
        "other departments' nodes belong to another chain",
        "compare the fingerprints, then take genesis.json from a department you trust",
    ),
    "clock.differs": (STILL, "this machine's clock differs from the others'", "run chrony or systemd-timesyncd"),
    "address.in_use": (STILL, "something else listens on an address of [listen]", "stop it, or change node.toml"),
    "address.not_here": (STILL, "an address of [listen] is not one of this machine's", "correct node.toml"),
    "address.forbidden": (STILL, "this user may not listen on an address of [listen]", "take a port above 1023"),
    "peer.closed": (ACT, "nothing listens where a department should be reached", "is its node up, its port open?"),
    "peer.silent": (ACT, "no answer from where a department should be reached", "look at firewalls and routes"),
    "peer.unknown_host": (ACT, "the name of a department's host has no address", "correct DNS, or [peers]"),
    "peer.other_key": (
        ACT,
        "who answers for a department holds another key than the network names",
        "the address leads elsewhere, or that department has to look at its own key",
    ),
    "peer.not_kehu": (ACT, "what answers for a department is no node", "correct the address: it is listen.peer there"),
    "peer.refused": (ACT, "a department's node refuses this one", "the reason's cure in docs/errors.md"),
    "disk.full": (STILL, "less than 64 MiB are free", "make room"),
    "disk.low": (ACT, "less than 1 GiB and less than a tenth are free", "make room before it is full"),
    "disk.read_only": (STILL, "the folder can't be written by this user", "correct owner, mount or permissions"),
    "system.files": (
        ACT,
        "the process may open few files",
        "raise nofile to 4096 or more, as packaging/kehu@.service does",
    ),
    "system.memory": (ACT, "little memory is free", "give the machine 1 GiB for a node"),
    "system.library": (STILL, "a library is missing or can't be loaded", "install as docs/install.md says"),
}
"""Code -> (level, what it means, what to do)."""


@dataclass(frozen=True, slots=True)
class Finding:
    code: str
    level: str
    text: str
    cure: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_value(self) -> dict[str, Any]:
        return {"code": self.code, "level": self.level, "text": self.text, "cure": self.cure, "details": self.details}


def found(code: str, about: str = "", **details: Any) -> Finding:
    """A finding of the table above; `about` makes its sentence particular."""
    level, meaning, cure = CODES[code]
    return Finding(code, level, f"{meaning}: {about}" if about else meaning, cure, details)


def refused(error: KehuError) -> Finding:
    """What the node itself would say when it refuses to start."""
    return Finding(error.code, STILL, str(error).partition(": ")[2], error.spec.cure, shown_details(error))


def sort(findings: list[Finding]) -> list[Finding]:
    """What stands still first; `home.fit` if nothing has to be done."""
    if not any(finding.level in {STILL, ACT} for finding in findings):
        findings = [found("home.fit"), *findings]
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))
