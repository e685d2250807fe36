"""A vault that an earlier release sealed opens: an upgraded node keeps its values."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from node.vault import seal
from tests.node.vault_kit import CHAIN, get, opened, transaction_id, value_of

NAME, PHONE = value_of("张三"), value_of("+8613800000001", field="phone")
STAGED = value_of("采购经理", field="position")
LATER = value_of("zhang@example.org", field="email")


def test_what_earlier_releases_sealed_opens_and_what_is_sealed_now_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(seal, "AESGCM", ChaCha20Poly1305)
        with opened(tmp_path) as vault:
            vault.put_live([(value, value.digest(CHAIN)) for value in (NAME, PHONE)])
            vault.stage(transaction_id("one"), [STAGED], 9)
    with opened(tmp_path) as vault:
        vault.settle(transaction_id("one"))
        vault.put_live([(LATER, LATER.digest(CHAIN))])
    with opened(tmp_path) as vault:
        assert [get(vault, value) for value in (NAME, PHONE, STAGED, LATER)] == [NAME, PHONE, STAGED, LATER]
