"""The vault's promises: staged or live, never half; sealed on the disk; nothing shown by accident."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chain import codec
from chain.crypto import SigningKey, digest
from chain.errors import KehuError
from node.storage.leveldb import LevelStore
from node.vault import staged as vault_module
from node.vault.rows import decode_live, decode_staged, encode_live
from node.vault.seal import RecordId
from node.vault.staged import Staging
from node.vault.store import Vault
from node.vault.unsound import unsound_key
from node.vault.values import VALUE_BYTES_MAX, FieldId, VaultValue
from tests.node.vault_kit import (
    CHAIN,
    NODE_KEY,
    CrashCopies,
    files_with,
    get,
    opened,
    traces_of,
    transaction_id,
    value_of,
)

C1 = RecordId("customers", "c1")
T1, T2, T3 = (transaction_id(name) for name in ("one", "two", "three"))
NAME, PHONE = value_of("张三 canary-name"), value_of("+8613800000001", field="phone")
NEWER = value_of("张三丰 canary-newer")
OTHER = value_of("李四 canary-other", record="c2")
LATER = value_of("赵六", record="c2", field="note")


def code_of(raised: pytest.ExceptionInfo[KehuError]) -> str:
    return raised.value.code


# Values


def test_a_value_shows_its_name_and_neither_text_nor_salt() -> None:
    for shown in (repr(NAME), str(NAME), f"{NAME}", f"{[NAME]!r}"):
        assert "customers/c1/name" in shown
        assert "canary" not in shown
        assert NAME.salt.hex() not in shown
        assert str(NAME.salt) not in shown


def test_a_value_travels_as_a_canonical_list() -> None:
    raw = codec.encode(NAME.to_value())
    assert VaultValue.from_value(codec.decode(raw, 1 << 16)) == NAME


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("table", {"table": "Customers"}),
        ("table", {"table": "a/b"}),
        ("record", {"record": "c/1"}),
        ("record", {"record": "张三"}),
        ("record", {"record": "c1\n"}),
        ("field", {"field": ""}),
        ("field", {"field": "x" * 33}),
        ("salt", {"salt": bytes(31)}),
        ("value", {"value": "客" * (VALUE_BYTES_MAX // 3 + 1)}),
        ("value", {"value": "\ud800"}),
        ("value", {"value": 7}),
    ],
)
def test_a_malformed_value_is_refused_by_the_part_that_is_wrong_and_never_shown(
    part: str, change: dict[str, object]
) -> None:
    whole: dict[str, object] = {"table": "customers", "record": "c1", "field": "name", "salt": bytes(32), "value": "v"}
    with pytest.raises(KehuError) as raised:
        VaultValue(**(whole | change))  # type: ignore[arg-type]
    assert (code_of(raised), raised.value.details["part"]) == ("vault.value_invalid", part)
    (bad,) = change.values()
    assert not bad or str(bad) not in str(raised.value)


def test_a_value_may_have_as_many_bytes_as_the_limit_and_may_be_empty(tmp_path: Path) -> None:
    largest, empty = value_of("x" * VALUE_BYTES_MAX), value_of("", field="note")
    with opened(tmp_path) as vault:
        vault.put_live([(largest, largest.digest(CHAIN)), (empty, empty.digest(CHAIN))])
        assert (get(vault, largest), get(vault, empty)) == (largest, empty)


# Staged and live


def test_staged_values_survive_a_restart_and_are_not_live(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.stage(T1, [NAME, PHONE], expires_height=9)
    with opened(tmp_path) as vault:
        assert vault.staged() == {T1: 9}
        assert sorted(value.field for value in vault.get_staged(T1)) == ["name", "phone"]
        assert get(vault, NAME) is None
        assert vault.missing([(NAME.id, NAME.digest(CHAIN))]) == [(NAME.id, NAME.digest(CHAIN))]


def test_settling_makes_live_once_and_for_all(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.stage_all([Staging(T1, [NAME], 9), Staging(T2, [OTHER], 9)])
        vault.settle(T1, T2)
        vault.settle(T1, transaction_id("never heard of"))
        vault.discard(T1)
    with opened(tmp_path) as vault:
        assert (get(vault, NAME), get(vault, OTHER)) == (NAME, OTHER)
        assert vault.staged() == {}
        counts = {"live_values": 2, "staged_transactions": 0, "staged_values": 0, "erased_records": 0}
        assert vault.status() == counts


def test_discarding_destroys_the_staged_value_and_leaves_the_live_one(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.stage(T1, [NAME], 9)
        vault.settle(T1)
        vault.stage(T2, [NAME, NEWER], 9)
        vault.discard(T2)
        vault.discard(T2)
        vault.settle(T2)
        assert get(vault, NAME) == NAME
        assert get(vault, NEWER) is None
        assert vault.get_staged(T2) == []


def test_only_what_can_not_commit_any_more_expires(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.stage(T1, [NAME], expires_height=9)
        vault.stage(T2, [NEWER], expires_height=10)
        vault.stage(T3, [OTHER], expires_height=1)
        vault.settle(T3)
        assert vault.expire(8) == []
        assert vault.expire(9) == [T1]
        assert vault.staged() == {T2: 10}
        assert get(vault, OTHER) == OTHER


def test_a_newer_version_is_kept_and_the_older_destroyed(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.put_live([(value, value.digest(CHAIN)) for value in (NAME, NEWER, PHONE, OTHER)])
        kept = {"name": NEWER.digest(CHAIN), "phone": PHONE.digest(CHAIN)}
        vault.keep_only({C1: kept})
        assert get(vault, NAME) is None
        assert [get(vault, value) for value in (NEWER, PHONE, OTHER)] == [NEWER, PHONE, OTHER]
        assert sorted(name.field for name, _ in vault.live("customers", "c1")) == ["name", "phone"]


def test_a_value_whose_digest_is_not_the_chains_is_not_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        with pytest.raises(KehuError) as raised:
            vault.put_live([(OTHER, OTHER.digest(CHAIN)), (NAME, PHONE.digest(CHAIN))])
        assert code_of(raised) == "vault.other_value"
        assert "canary" not in str(raised.value)
        assert vault.status()["live_values"] == 0


def test_one_source_can_not_fill_the_vault_for_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_module, "STAGED_BYTES_MAX", 2_000)
    with opened(tmp_path) as vault:
        vault.stage(T1, [value_of("x" * 1_500)], 9, source="finance")
        with pytest.raises(KehuError) as raised:
            vault.stage(T2, [value_of("y" * 1_500)], 9, source="finance")
        assert (code_of(raised), raised.value.details["source"]) == ("vault.staged_full", "finance")
        vault.stage(T1, [value_of("x" * 1_500)], 9, source="finance")
        vault.stage(T3, [value_of("z" * 1_500)], 9, source="sales")
        assert set(vault.staged()) == {T1, T3}
    with opened(tmp_path) as vault, pytest.raises(KehuError):
        vault.stage(T2, [value_of("y" * 1_500)], 9, source="finance")


def test_what_a_second_staging_of_a_transaction_brings_takes_room_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_module, "STAGED_BYTES_MAX", 2_000)
    first, second = value_of("x"), [value_of("x"), value_of("y" * 1_500, field="note")]
    with opened(tmp_path) as vault:
        for transaction in (T1, T2):
            vault.stage(transaction, [first], 9, source="finance")
        vault.stage(T1, second, 9, source="finance")
        with pytest.raises(KehuError) as raised:
            vault.stage(T2, second, 9, source="finance")
        assert code_of(raised) == "vault.staged_full"
        vault.stage(T1, second, 9, source="finance")
        assert [len(vault.staged_for(one)) for one in (T1, T2)] == [2, 1]


def test_many_threads_stage_and_settle_at_once(tmp_path: Path) -> None:
    values = [value_of(f"value {number}", record=f"c{number % 7}", field=f"f{number}") for number in range(60)]

    def work(number: int) -> None:
        vault.stage(transaction_id(str(number)), [values[number]], 9)
        (vault.settle if number % 3 else vault.discard)(transaction_id(str(number)))

    with opened(tmp_path) as vault:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(len(values))))
        found = [get(vault, value) for value in values]
    assert found == [value if number % 3 else None for number, value in enumerate(values)]


# Crashes


def test_a_crash_at_any_moment_leaves_each_value_staged_or_live_and_an_erasure_finished(tmp_path: Path) -> None:
    made = CrashCopies(tmp_path)
    made.vault.stage(T1, [NAME, PHONE], 9)
    made.vault.settle(T1)
    made.vault.stage(T2, [NEWER, OTHER], 9)
    made.vault.settle(T2)
    made.vault.keep_only({C1: {"name": NEWER.digest(CHAIN), "phone": PHONE.digest(CHAIN)}})
    made.vault.stage(T3, [value_of("mr x", record="c3")], 9)
    made.vault.discard(T3)
    made.vault.erase([C1])
    made.copy()
    made.vault.close()
    seen = set()
    for home in made.homes():
        with opened(home) as vault:
            state = _state(vault)
            seen.add(state)
            assert state in _LEGAL
            vault.stage(T1, [NAME, LATER], 9)  # and it goes on from there
            vault.settle(T1)
            assert get(vault, LATER) == LATER
            assert get(vault, NAME) == (None if vault.erased() else NAME)
    assert seen == set(_LEGAL)


def _state(vault: Vault) -> tuple[str, ...]:
    live = [name for name, value in _NAMED.items() if get(vault, value) is not None]
    staged = [f"{number}:staged" for number, key in enumerate((T1, T2, T3), 1) if vault.get_staged(key)]
    return (*live, *staged)


_NAMED = {"name": NAME, "phone": PHONE, "newer": NEWER, "other": OTHER}
_LEGAL = (
    (),
    ("1:staged",),
    ("name", "phone"),
    ("name", "phone", "2:staged"),
    ("name", "phone", "newer", "other"),
    ("phone", "newer", "other"),
    ("phone", "newer", "other", "3:staged"),
    ("other",),
)


# What lies on the disk


def test_no_file_ever_has_a_value_or_salt_in_the_clear(tmp_path: Path) -> None:
    values = [NAME, PHONE, NEWER, OTHER]
    made = CrashCopies(tmp_path)
    made.vault.stage(T1, values, 9)
    made.vault.settle(T1)
    made.vault.keep_only({C1: {"name": NEWER.digest(CHAIN)}})
    made.vault.tidy()
    made.copy()
    made.vault.close()
    assert files_with(tmp_path, NAME.digest(CHAIN)), "the scan would find what is there"
    for trace in traces_of(values):
        assert files_with(tmp_path, trace) == []
    assert files_with(tmp_path, NODE_KEY.seed) == []


def test_a_sealed_value_opens_only_where_it_was_sealed(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.put_live([(value, value.digest(CHAIN)) for value in (NAME, PHONE)])
    store = LevelStore(tmp_path / "vault")
    ((key, raw),) = store.scan(b"v/")
    row = decode_live(C1, raw)
    (name, in_name), (phone, in_phone) = sorted(row.items())
    store.write({key: encode_live({name: in_phone, phone: in_name})})
    store.close()
    for value in (NAME, PHONE):
        with opened(tmp_path) as vault:
            aside: list[RecordId] = []
            vault.on_unsound = aside.extend
            with pytest.raises(KehuError) as raised:
                get(vault, value)
            assert code_of(raised) == "vault.damaged"
            assert "canary" not in str(raised.value)
            assert aside == [C1]
            # Set aside as a whole, not served, not thrown away; a new value is taken under a new key.
            assert vault.live("customers", "c1") == []
            assert vault.stores[0].get(unsound_key(C1)) is not None
            vault.put_live([(NAME, NAME.digest(CHAIN))])
            assert get(vault, NAME) == NAME
            vault.erase([C1])
            assert vault.stores[0].get(unsound_key(C1)) is None
        shutil.rmtree(tmp_path / "vault")
        shutil.rmtree(tmp_path / "vault-keys")
        with opened(tmp_path) as vault:
            vault.put_live([(one, one.digest(CHAIN)) for one in (NAME, PHONE)])
        store = LevelStore(tmp_path / "vault")
        ((key, raw),) = store.scan(b"v/")
        (name, in_name), (phone, in_phone) = sorted(decode_live(C1, raw).items())
        store.write({key: encode_live({name: in_phone, phone: in_name})})
        store.close()


@pytest.mark.parametrize("position", [0, 8, 25, -1])
def test_an_altered_byte_of_a_sealed_value_is_noticed(tmp_path: Path, position: int) -> None:
    with opened(tmp_path) as vault:
        vault.put_live([(NAME, NAME.digest(CHAIN))])
    store = LevelStore(tmp_path / "vault")
    ((key, raw),) = store.scan(b"v/")
    ((place, sealed),) = decode_live(C1, raw).items()
    altered = bytearray(sealed)
    altered[position] ^= 1
    store.write({key: encode_live({place: bytes(altered)})})
    store.close()
    with opened(tmp_path) as vault, pytest.raises(KehuError) as raised:
        get(vault, NAME)
    assert code_of(raised) == "vault.damaged"


@pytest.mark.parametrize("prefix", [b"v/", b"s/"])
def test_a_row_that_is_no_row_is_noticed_at_the_opening(tmp_path: Path, prefix: bytes) -> None:
    with opened(tmp_path) as vault:
        vault.put_live([(NAME, NAME.digest(CHAIN))])
        vault.stage(T1, [OTHER], 9)
    store = LevelStore(tmp_path / "vault")
    ((key, raw),) = store.scan(prefix)
    store.write({key: raw[:-1]})
    store.close()
    with pytest.raises(KehuError) as raised, opened(tmp_path):
        pass
    assert code_of(raised) == "vault.damaged"


def test_the_same_value_is_sealed_differently_every_time(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.stage(T1, [NAME], 9)
        vault.stage(T2, [NAME], 9)
    store = LevelStore(tmp_path / "vault")
    (first,), (second,) = (decode_staged(C1, raw)[2].values() for _, raw in store.scan(b"s/"))
    store.close()
    assert first[:8] == second[:8]
    assert first[8:20] != second[8:20]
    assert first[20:] != second[20:]


def test_the_vault_opens_only_with_its_nodes_key_and_chain(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.put_live([(NAME, NAME.digest(CHAIN))])
    other_key, other_chain = SigningKey(digest("test key", b"another")), digest("genesis", b"another")
    for key, chain_id in ((other_key, CHAIN), (NODE_KEY, other_chain)):
        with pytest.raises(KehuError) as raised, opened(tmp_path, key, chain_id):
            pass
        assert code_of(raised) == "vault.locked"
    with opened(tmp_path) as vault:
        assert get(vault, NAME) == NAME


def test_sealed_values_without_their_keys_are_refused_instead_of_sealed_over(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.stage(T1, [NAME], 9)
    shutil.rmtree(tmp_path / "vault-keys")
    with pytest.raises(KehuError) as raised, opened(tmp_path):
        pass
    assert code_of(raised) == "vault.keys_missing"


# Erasure


def _stored(home: Path, folder: str, prefix: bytes) -> dict[bytes, bytes]:
    store = LevelStore(home / folder)
    pairs = dict(store.scan(prefix))
    store.close()
    return pairs


def test_erasure_leaves_neither_key_nor_sealed_value_in_any_file(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.put_live([(value, value.digest(CHAIN)) for value in (NAME, PHONE, OTHER)])
        vault.stage(T1, [NEWER, value_of("x", record="c2", field="note")], 9)
    keys, sealed = _stored(tmp_path, "vault-keys", b"k/customers/c1"), _stored(tmp_path, "vault", b"v/customers/c1")
    staged = {key: raw for key, raw in _stored(tmp_path, "vault", b"s/").items() if key.endswith(b"/c1")}
    gone = [*keys.values(), *sealed.values(), *staged.values()]
    assert len(gone) == 3
    assert all(files_with(tmp_path, raw[8:]) for raw in gone), "the scan would find what is there"
    with opened(tmp_path) as vault:
        vault.erase([C1])
        vault.erase([C1])
        for raw in gone:
            assert files_with(tmp_path, raw[8:]) == []
        assert vault.live("customers", "c1") == []
        assert get(vault, OTHER) == OTHER
        assert [value.record for value in vault.get_staged(T1)] == ["c2"]
        counts = {"live_values": 1, "staged_transactions": 1, "staged_values": 1, "erased_records": 1}
        assert vault.status() == counts
        assert vault.erased() == {C1: 3}


def test_sealed_values_put_back_from_a_backup_do_not_open_after_an_erasure(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with opened(home) as vault:
        vault.put_live([(NAME, NAME.digest(CHAIN))])
    shutil.copytree(home / "vault", tmp_path / "backup")
    with opened(home) as vault:
        vault.erase([C1])
    shutil.rmtree(home / "vault")
    shutil.copytree(tmp_path / "backup", home / "vault")
    with opened(home) as vault, pytest.raises(KehuError) as raised:
        get(vault, NAME)
    assert code_of(raised) == "vault.damaged"


def test_a_vault_takes_no_value_of_an_erased_record_neither_now_nor_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        with opened(tmp_path) as vault:
            vault.erase([C1])
            vault.stage(T1, [NAME, LATER], 9)
            vault.put_live([(PHONE, PHONE.digest(CHAIN)), (OTHER, OTHER.digest(CHAIN))])
            assert vault.get_staged(T1) == [LATER]
            assert vault.live("customers", "c1") == []
            assert get(vault, OTHER) == OTHER
            assert vault.live_by_table() == {"customers": 1}
            assert _stored_keys(vault) == []


def _stored_keys(vault: Vault) -> list[bytes]:
    return [key for key, _ in vault._keys._store.scan(b"k/customers/c1")]


def test_an_erasure_takes_earlier_copies_off_the_disk_too(tmp_path: Path) -> None:
    """What was staged before it went live, and superseded values that no tidying has purged yet."""
    with opened(tmp_path) as vault:
        vault.stage(T1, [NAME, PHONE], 9)
        staged = [raw for _, raw in vault._data.scan(b"s/")]
        vault.settle(T1)
        vault.stage(T2, [NEWER], 9)
        staged += [raw for _, raw in vault._data.scan(b"s/")]
        vault.settle(T2)
        vault.keep_only({C1: {"name": NEWER.digest(CHAIN), "phone": PHONE.digest(CHAIN)}})
        assert len(staged) == 2
        assert all(files_with(tmp_path, raw) for raw in staged)
        vault.erase([C1])
        assert [files_with(tmp_path, raw) for raw in staged] == [[], []]


def test_tidying_takes_deleted_values_and_idle_keys_off_the_disk(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.put_live([(NAME, NAME.digest(CHAIN)), (NEWER, NEWER.digest(CHAIN))])
        vault.stage(T1, [OTHER], 9)
    (live,) = _stored(tmp_path, "vault", b"v/").values()
    old = decode_live(C1, live)["name", NAME.digest(CHAIN)]
    (staged,) = _stored(tmp_path, "vault", b"s/").values()
    (idle_key,) = _stored(tmp_path, "vault-keys", b"k/customers/c2").values()
    with opened(tmp_path) as vault:
        vault.discard(T1)
        vault.keep_only({C1: {"name": NEWER.digest(CHAIN)}})
        assert all(files_with(tmp_path, raw) for raw in (old, staged, idle_key)), "deleted, but still there"
        vault.tidy()
        for raw in (old, staged, idle_key):
            assert files_with(tmp_path, raw) == []
        assert get(vault, NEWER) == NEWER


def test_a_key_goes_with_the_last_value_of_its_record_and_not_before(tmp_path: Path) -> None:
    with opened(tmp_path) as vault:
        vault.put_live([(NAME, NAME.digest(CHAIN))])
        vault.stage(T1, [PHONE], 9)
        vault.drop([(NAME.id, NAME.digest(CHAIN))])
        assert vault.get_staged(T1) == [PHONE]
        vault.discard(T1)
        assert vault.has((FieldId("customers", "c1", "name"), NAME.digest(CHAIN))) is False
    assert _stored(tmp_path, "vault-keys", b"k/") == {}
