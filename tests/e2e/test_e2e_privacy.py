"""After a whole story, with kills: no name, number, salt or passphrase where it must not be, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.carrier.numbers import national_digits
from node.folder.config import Home
from node.keys.files import load_key
from node.keys.passphrase import read_passphrase
from node.vault.store import Vault
from tests.e2e.conftest import Disturbed

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]

TEXT_BYTES_MIN = 6
"""Two Chinese characters; shorter text would turn up in megabytes of digests by chance."""


def personal_texts(disturbed: Disturbed) -> dict[bytes, str]:
    """What must be nowhere -> what it is."""
    story = disturbed.story
    texts = {person.name: f"name of {person.id}" for person in story.people}
    for customer in story.customers:
        for field, value in customer.fields.items():
            texts[value] = f"{field} of row {customer.row}"
        texts[national_digits(customer.fields["phone"])] = f"national number of row {customer.row}"
        texts[story.sheet.rows[customer.row]["phone"]] = f"number of row {customer.row} as written"
    return {text.encode(): what for text, what in texts.items() if len(text.encode()) >= TEXT_BYTES_MIN}


def salts(disturbed: Disturbed) -> set[bytes]:
    """Every salt that the nodes' vaults hold, read with the nodes' own keys."""
    found: set[bytes] = set()
    for path in node_homes(disturbed):
        home = Home(path)
        key = load_key(home.node_key, read_passphrase(file=path / "secrets" / "passphrase"))
        with ExitStack() as closing:
            vault = Vault.open(path, home.read_genesis().chain_id, key)
            closing.callback(vault.close)
            for customer in disturbed.story.customers:
                for name, digest in vault.live("customers", customer.id):
                    value = vault.get(name.table, name.record, name.field, digest)
                    if value is not None:
                        found.add(value.salt)
    return found


def node_homes(disturbed: Disturbed) -> list[Path]:
    return sorted((disturbed.story.network / "nodes").iterdir())


def files_of(disturbed: Disturbed) -> Iterator[Path]:
    """Everything nodes and the carrier's log wrote, vaults included: those are sealed; and the export."""
    for home in node_homes(disturbed):
        yield from (path for path in home.rglob("*") if path.is_file())
    yield from (disturbed.story.network / "carrier" / "log").iterdir()
    yield from (disturbed.story.network / "run").iterdir()
    yield disturbed.story.folder / "chain.kehu"
    yield disturbed.story.folder / "customers.csv.journal"


def test_no_file_of_any_node_holds_a_name_a_number_or_a_salt(disturbed: Disturbed) -> None:
    contents = {path: path.read_bytes() for path in files_of(disturbed)}  # as the nodes left them
    drawn = salts(disturbed)
    assert len(drawn) > len(disturbed.story.customers)
    wanted = personal_texts(disturbed)
    wanted |= {form: "a salt" for salt in drawn for form in (salt, salt.hex().encode())}
    leaked = [f"{wanted[text]} in {path}" for path, content in contents.items() for text in wanted if text in content]
    assert leaked == []
    assert sum(map(len, contents.values())) > 1 << 20


def test_the_scan_would_find_what_it_looks_for(disturbed: Disturbed) -> None:
    """The imported file itself is outside the nodes, and full of finds."""
    content = (disturbed.story.folder / "customers.csv").read_bytes()
    found = {what for text, what in personal_texts(disturbed).items() if text in content}
    numbers = {f"number of row {customer.row} as written" for customer in disturbed.story.customers}
    assert numbers <= found
    assert len(found) > 3 * len(numbers)


def test_no_process_has_a_passphrase_among_its_arguments(disturbed: Disturbed) -> None:
    files = [*disturbed.story.kehu.passphrases.iterdir()]
    files += [home / "secrets" / "passphrase" for home in node_homes(disturbed)]
    passphrases = [path.read_bytes().strip() for path in files]
    assert len(passphrases) == len(disturbed.story.people) + 2 + 6  # the administrator, and a customer with a key
    assert len(disturbed.arguments) > 20
    assert [line for line in disturbed.arguments for secret in passphrases if secret in line] == []
