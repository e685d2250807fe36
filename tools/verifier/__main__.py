"""`python -m tools.verifier EXPORT`: verifies an export, from its height 1 on, without anything of Kehu.
`python -m tools.verifier evidence FILE GENESIS`: verifies evidence, from the genesis file on.
`python -m tools.verifier proof FILE GENESIS`: verifies a proof file, from the genesis file on.

GENESIS: the genesis as canonical bytes, the first frame of an export. Ends with 1 if anything does not verify.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tools.verifier.evidence import verify_evidence_file
from tools.verifier.export import verify_export
from tools.verifier.following import verify_proof_file
from tools.verifier.primitives import REFUSALS


def main(arguments: list[str]) -> int:
    try:
        if len(arguments) == 3 and arguments[0] == "evidence":
            check_evidence(*map(Path, arguments[1:]))
        elif len(arguments) == 3 and arguments[0] == "proof":
            check_proof(*map(Path, arguments[1:]))
        elif len(arguments) == 1:
            check_export(Path(arguments[0]))
        else:
            print(__doc__)
            return 2
    except OSError as error:
        print(f"can't be read: {error}")
        return 2
    except REFUSALS as error:
        print(f"not verified: {error}")
        return 1
    return 0


def check_export(path: Path) -> None:
    with path.open("rb") as file:
        found = verify_export(file)
    print(f"verified: chain {found.chain_id.hex()}, {found.height} blocks, {found.transactions} transactions,")
    print(f"{found.failed} of them failed; the last block is {found.block_id.hex()}")


def check_evidence(file: Path, genesis: Path) -> None:
    print(f"verified: {verify_evidence_file(file.read_bytes(), genesis.read_bytes())} equivocated")


def check_proof(file: Path, genesis: Path) -> None:
    records, entries = verify_proof_file(file.read_bytes(), genesis.read_bytes())
    for table, name, shown in (*records, *entries):
        print(f"{table}/{name}: {'absent' if shown is None else shown}")
    print("verified")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
