"""`python -m tools.verifier EXPORT [SCHEDULES]`: verifies an export without anything of Kehu.
`python -m tools.verifier evidence FILE GENESIS`: verifies evidence, from the genesis file on.
`python -m tools.verifier proof FILE GENESIS`: verifies a proof file, from the genesis file on.

SCHEDULES is a JSON file, a list of {"value": hex, "proof": hex}: a state proof of `validators/schedule` under the
header before each height at which the departments changed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tools.verifier.chain_verifier import ScheduleProof, verify_export
from tools.verifier.evidence import verify_evidence_file
from tools.verifier.following import verify_proof_file
from tools.verifier.primitives import VerificationError


def main(arguments: list[str]) -> int:
    if len(arguments) == 3 and arguments[0] == "evidence":
        return check_evidence(Path(arguments[1]).read_bytes(), Path(arguments[2]).read_bytes())
    if len(arguments) == 3 and arguments[0] == "proof":
        return check_proof(Path(arguments[1]).read_bytes(), Path(arguments[2]).read_bytes())
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
        department = verify_evidence_file(file, genesis)
    except (VerificationError, LookupError, ValueError) as error:
        print(f"not verified: {error}")
        return 1
    print(f"verified: {department} equivocated")
    return 0


def check_proof(file: bytes, genesis: bytes) -> int:
    try:
        records, entries = verify_proof_file(file, genesis)
    except (VerificationError, LookupError, ValueError) as error:
        print(f"not verified: {error}")
        return 1
    for table, name, shown in (*records, *entries):
        print(f"{table}/{name}: {'absent' if shown is None else shown}")
    print("verified")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
