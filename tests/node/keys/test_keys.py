"""Key files and the sources of their passphrases."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from chain.crypto import SigningKey
from chain.errors import KehuError
from node.keys.files import PublicKey, ScryptCost, change_passphrase, create_key_file, load_key, read_public
from node.keys.passphrase import read_passphrase

SEED = bytes(range(32))
CHEAP = ScryptCost(n=16)
PASSPHRASE = "长安一片月 correct horse"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create_key_file(tmp_path / "sales.key", "node", "sales", PASSPHRASE, SEED, CHEAP)
    return tmp_path / "sales.key"


def code_of(call, *arguments, **named) -> str:
    with pytest.raises(KehuError) as caught:
        call(*arguments, **named)
    return caught.value.code


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_key_comes_back_from_its_file(path: Path) -> None:
    key = load_key(path, PASSPHRASE)
    assert key.seed == SEED
    assert read_public(path) == PublicKey("node", "sales", SigningKey(SEED).public)


def test_the_default_cost_is_the_documented_one(tmp_path: Path) -> None:
    create_key_file(tmp_path / "k", "person", "p-17", PASSPHRASE, SEED)
    kdf = json.loads((tmp_path / "k").read_text())["kdf"]
    assert (kdf["name"], kdf["n"], kdf["r"], kdf["p"]) == ("scrypt", 2**15, 8, 1)
    assert load_key(tmp_path / "k", PASSPHRASE).seed == SEED


def test_the_file_is_private_and_holds_no_secret_in_the_clear(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    assert SEED.hex().encode() not in content
    assert SEED not in content
    assert [entry.name for entry in path.parent.iterdir()] == ["sales.key"], "no temporary file stays behind"


def test_two_files_of_one_key_share_neither_salt_nor_nonce_nor_ciphertext(path: Path, tmp_path: Path) -> None:
    create_key_file(tmp_path / "again", "node", "sales", PASSPHRASE, SEED, CHEAP)
    one, two = (json.loads(p.read_text()) for p in (path, tmp_path / "again"))
    assert one["kdf"]["salt"] != two["kdf"]["salt"]
    assert one["nonce"] != two["nonce"]
    assert one["ciphertext"] != two["ciphertext"]


def test_a_wrong_passphrase_is_named_as_such(path: Path) -> None:
    assert code_of(load_key, path, "wrong") == "key.passphrase_wrong"


def test_equal_passphrases_in_two_unicode_forms_open_the_same_file(tmp_path: Path) -> None:
    create_key_file(tmp_path / "k", "person", "p", "caf\u00e9", SEED, CHEAP)
    assert load_key(tmp_path / "k", "cafe\u0301").seed == SEED


def test_an_existing_file_is_never_overwritten(path: Path) -> None:
    before = path.read_bytes()
    assert code_of(create_key_file, path, "node", "sales", "other", bytes(32), CHEAP) == "key.file_exists"
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["sales.key"]


def test_every_flipped_bit_of_every_byte_is_noticed(path: Path) -> None:
    good = path.read_bytes()
    for position in range(len(good)):
        damaged = bytearray(good)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        try:
            key = load_key(path, PASSPHRASE)
        except KehuError as error:
            outcome = error.code
        else:  # only white space and the case of a hex digit can change without changing the meaning
            outcome = "same" if (key.seed, read_public(path).name) == (SEED, "sales") else "unnoticed"
        assert outcome in {"key.file_damaged", "same"}, position


def test_a_cut_file_is_damaged_at_every_length(path: Path) -> None:
    good = path.read_bytes()
    for length in range(0, len(good.rstrip()) - 1, 7):
        path.write_bytes(good[:length])
        assert code_of(load_key, path, PASSPHRASE) == "key.file_damaged"


@pytest.mark.parametrize("changes", [{"name": "finance"}, {"kind": "person"}, {"public": "11" * 32}])
def test_public_fields_are_bound_to_the_secret_even_if_the_checksum_is_forged(
    path: Path, changes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(path, **changes)
    assert code_of(load_key, path, PASSPHRASE) == "key.file_damaged"
    monkeypatch.setattr(
        "node.keys.files._Sealed.checksum", lambda _: bytes.fromhex(json.loads(path.read_text())["checksum"])
    )
    assert code_of(load_key, path, PASSPHRASE) == "key.passphrase_wrong"


def test_an_absurd_cost_is_refused_before_memory_is_spent(path: Path) -> None:
    kdf = json.loads(path.read_text())["kdf"] | {"n": 1 << 40}
    edit(path, kdf=kdf)
    assert code_of(load_key, path, PASSPHRASE) == "key.file_damaged"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    assert code_of(load_key, path, PASSPHRASE) == "key.file_open"
    assert read_public(path).name == "sales", "the public half is public"


def test_a_missing_file_is_named_as_such(tmp_path: Path) -> None:
    assert code_of(load_key, tmp_path / "none", PASSPHRASE) == "key.file_missing"


def test_a_changed_passphrase_replaces_the_old_one_and_keeps_the_key(path: Path) -> None:
    change_passphrase(path, PASSPHRASE, "new", ScryptCost(n=32))
    assert load_key(path, "new").seed == SEED
    assert code_of(load_key, path, PASSPHRASE) == "key.passphrase_wrong"
    assert json.loads(path.read_text())["kdf"]["n"] == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("kind", ("robot", "x", "p", SEED)),
        ("name", ("node", "", "p", SEED)),
        ("seed", ("node", "x", "p", SEED[:-1])),
        ("passphrase", ("node", "x", "", SEED)),
    ],
)
def test_a_key_file_needs_all_its_fields(tmp_path: Path, field: str, arguments: tuple) -> None:
    with pytest.raises(KehuError) as caught:
        create_key_file(tmp_path / "k", *arguments, CHEAP)
    assert (caught.value.code, caught.value.details["field"]) == ("key.file_invalid", field)
    assert not list(tmp_path.iterdir())


def test_a_passphrase_is_the_first_line_of_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "pass"
    file.write_text("密语 one\r\nsecond\n")
    file.chmod(0o600)
    assert read_passphrase(file=file) == "密语 one"
    file.chmod(0o644)
    assert code_of(read_passphrase, file=file) == "passphrase.file_open"


def test_a_passphrase_arrives_through_a_descriptor_in_pieces() -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"half ")
    os.write(write_end, b"and half\nrest")
    os.close(write_end)
    try:
        assert read_passphrase(fd=read_end) == "half and half"
    finally:
        os.close(read_end)


def test_a_prompt_may_ask_twice() -> None:
    typed = iter(["one", "two", "same", "same"])
    ask = lambda _: next(typed)  # noqa: E731
    assert code_of(read_passphrase, prompt="Passphrase", confirm=True, ask=ask) == "passphrase.mismatch"
    assert read_passphrase(prompt="Passphrase", confirm=True, ask=ask) == "same"


@pytest.mark.parametrize("content", [b"", b"\nlater\n"])
def test_an_empty_passphrase_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pass"
    file.write_bytes(content)
    file.chmod(0o600)
    assert code_of(read_passphrase, file=file) == "passphrase.missing"


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"x" * 2000])
def test_an_unusable_passphrase_source_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pass"
    file.write_bytes(content)
    file.chmod(0o600)
    assert code_of(read_passphrase, file=file) == "passphrase.unreadable"
    assert code_of(read_passphrase, file=tmp_path / "none") == "passphrase.unreadable"


def test_exactly_one_passphrase_source_is_named(tmp_path: Path) -> None:
    assert code_of(read_passphrase) == "passphrase.missing"
    assert code_of(read_passphrase, prompt="a", fd=3) == "passphrase.missing"


def test_a_key_file_costs_32_mib_of_scrypt_unless_a_test_says_otherwise(tmp_path: Path) -> None:
    create_key_file(tmp_path / "a.key", "node", "sales", PASSPHRASE, bytes(32))
    kdf = json.loads((tmp_path / "a.key").read_text(encoding="utf-8"))["kdf"]
    assert (kdf["name"], kdf["n"], kdf["r"], kdf["p"]) == ("scrypt", 1 << 15, 8, 1)


def test_a_file_of_another_user_is_not_called_damaged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root made it in the node's folder; whoever took it for damaged would throw a good key away."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    assert code_of(load_key, path, PASSPHRASE) == "key.file_unreadable"
