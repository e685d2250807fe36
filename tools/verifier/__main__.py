"""`python -m tools.verifier EXPORT [GENESIS]`: verifies an export, from its height 1 on, without anything of Kehu.
`python -m tools.verifier evidence FILE GENESIS`: verifies evidence, from the genesis file on.
`python -m tools.verifier proof FILE GENESIS`: verifies a proof file, from the genesis file on.

GENESIS: genesis.json, or the canonical bytes of the genesis. Without it compare the chain id of an export with the
departments' yourself. Ends with 1 if anything does not verify.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tools.verifier.chain_verifier import chain_id_of
from tools.verifier.evidence import verify_evidence_file
from tools.verifier.export import verify_export
from tools.verifier.following import verify_proof_file
from tools.verifier.primitives import REFUSALS, encode, require


def main(arguments: list[str]) -> int:
    try:
        if len(arguments) == 3 and arguments[0] == "evidence":
            check_evidence(*map(Path, arguments[1:]))
        elif len(arguments) == 3 and arguments[0] == "proof":
            check_proof(*map(Path, arguments[1:]))
        elif 1 <= len(arguments) <= 2:
            check_export(*map(Path, arguments))
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


def genesis_in(path: Path) -> bytes:
    """genesis.md: the canonical bytes, also of a JSON file."""
    raw = path.read_bytes()
    return encode(_ordered(json.loads(raw))) if raw.lstrip()[:1] == b"{" else raw


def _ordered(value: Any) -> Any:
    """encoding.md: the keys of maps ascending."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def check_export(path: Path, genesis: Path | None = None) -> None:
    with path.open("rb") as file:
        found = verify_export(file)
    if genesis is not None:
        require(found.chain_id == chain_id_of(genesis_in(genesis)), "the export is of another genesis")
    print(f"verified: chain {found.chain_id.hex()}, {found.height} blocks, {found.transactions} transactions,")
    print(f"{found.failed} of them failed; the last block is {found.block_id.hex()}")


def check_evidence(file: Path, genesis: Path) -> None:
    print(f"verified: {verify_evidence_file(file.read_bytes(), genesis_in(genesis))} equivocated")


def check_proof(file: Path, genesis: Path) -> None:
    records, entries = verify_proof_file(file.read_bytes(), genesis_in(genesis))
    for table, name, shown in (*records, *entries):
        print(f"{table}/{name}: {'absent' if shown is None else shown}")
    print("verified")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
