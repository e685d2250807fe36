"""`python -m tools.verifier EXPORT [SCHEDULES]`: verifies an export without anything of Kehu.
`python -m tools.verifier evidence FILE GENESIS`: verifies evidence against the departments of a genesis file.

SCHEDULES is a JSON file, a list of {"value": hex, "proof": hex}: a state proof of `validators/schedule` under the
header before each height at which the departments changed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tools.verifier.chain_verifier import ScheduleProof, chain_id_of, first_validators, verify_export
from tools.verifier.evidence import verify_evidence
from tools.verifier.primitives import VerificationError


def main(arguments: list[str]) -> int:
    if len(arguments) == 3 and arguments[0] == "evidence":
        return check_evidence(Path(arguments[1]).read_bytes(), Path(arguments[2]).read_bytes())
    if not 1 <= len(arguments) <= 2:
        print(__doc__)
        return 2
    listed = json.loads(Path(arguments[1]).read_text(encoding="utf-8")) if len(arguments) == 2 else []
    schedules = [ScheduleProof(bytes.fromhex(item["value"]), bytes.fromhex(item["proof"])) for item in listed]
    try:
        found = verify_export(Path(arguments[0]).read_bytes(), schedules)
    except (VerificationError, LookupError, ValueError) as error:
        print(f"not verified: {error}")
        return 1
    print(f"verified: chain {found.chain_id.hex()}, {found.height} blocks, {found.transactions} transactions,")
    print(f"{found.failed} of them failed; the last block is {found.block_id.hex()}")
    return 0


def check_evidence(file: bytes, genesis: bytes) -> int:
    try:
        department = verify_evidence(file, chain_id_of(genesis), first_validators(genesis))
    except (VerificationError, LookupError, ValueError) as error:
        print(f"not verified: {error}")
        return 1
    print(f"verified: {department} equivocated")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
