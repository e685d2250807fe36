"""Customers with keys of their own: invited, enrolled, reading what is theirs, and proving it to others."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chain.errors import KehuError
from cli.invitation import Invitation
from cli.proof_file import ProofFile, verify_proof_file
from tests.cli.conftest import Kehu
from tests.cli.office import Office, Trouble

FIELDS = ("name=赵敏", "phone=13812340001", "organisation=东方公司", "position=采购经理", "note=只在上午联系")


@pytest.fixture(scope="module")
def customer(kehu: Kehu) -> str:
    """A customer of li's, with a key, and the grant to read name and position."""
    kehu.json("carrier", "set", "activate", "13812340001")
    id_: str = kehu.json("customer", "add", *FIELDS, as_="li")["customer"]
    invited = kehu.json("invite", id_, as_="admin")
    kehu.json("enrol", "--invitation", "-", stdin=invited["invitation"].lower() + "\n")
    return id_


@pytest.fixture(scope="module")
def granted(kehu: Kehu, customer: str) -> str:
    for field in ("name", "position"):
        args = ("grant", f"person:{customer}", "--action", "read", "--record", customer, "--field", field)
        kehu.json(*args, as_="admin")
    return customer


@pytest.fixture(autouse=True)
def _well_again(office: Office) -> Any:
    yield
    office.chain.trouble = Trouble()


def test_a_customer_enrols_by_invitation_and_logs_in_at_the_administration(kehu: Kehu, customer: str) -> None:
    shown = kehu.json("login", as_=customer)
    assert (shown["person"], shown["role"], shown["department"]) == (customer, "customer", "administration")
    key = kehu.folder / "keys" / "administration" / f"{customer}.key"
    assert key.stat().st_mode & 0o077 == 0


def test_nothing_is_shown_before_it_is_granted_and_then_just_that(kehu: Kehu, customer: str) -> None:
    assert kehu("own", "show", as_=customer).exit == 1
    for field in ("name", "position"):
        args = ("grant", f"person:{customer}", "--action", "read", "--record", customer, "--field", field)
        kehu.json(*args, as_="admin")
    shown = kehu.json("own", "show", as_=customer)["fields"]
    assert {name: item["value"] for name, item in shown.items() if item["state"] == "shown"} == {
        "name": "赵敏",
        "position": "采购经理",
    }
    assert {item["code"] for item in shown.values() if item["state"] == "refused"} == {"permission.denied"}


def test_customers_see_which_department_read_what_for_which_purpose(kehu: Kehu, granted: str) -> None:
    kehu.json("customer", "show", granted, "--purpose", "renewal", "--field", "phone", as_="li")
    seen = kehu.json("own", "accesses", "--limit", "100", as_=granted)["accesses"]
    row = next(row for row in seen if row["purpose"] == "renewal")
    assert (row["department"], row["action"], row["allowed"], row["own"]) == ("sales", "read", ["phone"], False)
    assert "li" not in str(seen)
    screen = kehu("own", "accesses", as_=granted).out
    assert "yourself" in screen
    assert "sales" in screen


def test_bytes_on_stdin_that_are_no_text_are_said_to_be_none(
    kehu: Kehu, customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.asking.sys", SimpleNamespace(stdin=io.StringIO("\udcff\udcfe")))
    assert kehu.problem("own", "feedback", "-", as_=customer, exit=2)["code"] == "usage.stdin"


def test_customers_see_what_became_of_their_own_feedback_once_it_is_granted(kehu: Kehu, customer: str) -> None:
    sent = kehu.json("own", "feedback", "电话有误", "--correction", as_=customer)["feedback"]
    other = kehu.json("customer", "add", "name=冯九", "phone=13812340007", "--temporary", as_="li")["customer"]
    foreign = kehu.json("feedback", "send", other, "text=别人的", as_="admin")["record"]
    assert "kehu own answer f-" in kehu("own", "feedback", "再说一次", as_=customer).out
    kehu.json("own", "answer", sent, as_=customer, exit=1)
    kehu.json("feedback", "resolve", sent, "resolved", "resolution=已更正", as_="admin")
    kehu.json("grant", f"person:{customer}", "--action", "read", "--table", "feedback", as_="admin")
    seen = kehu.json("own", "answer", sent, as_=customer)
    assert (seen["facts"]["state"], seen["fields"]["resolution"]["value"]) == ("resolved", "已更正")
    refused = kehu("own", "answer", foreign, "--json", as_=customer)
    assert (refused.exit, "别人的" in refused.out) == (1, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("customer", "list"),
        ("people", "list"),
        ("grants",),
        ("customer", "update", "ID", "note=改"),
        ("customer", "contact", "ID"),
        ("customer", "add", "name=甲", "phone=13812340009"),
        ("invite", "ID"),
    ],
)
def test_a_customers_key_does_not_do_what_colleagues_do(kehu: Kehu, customer: str, arguments: tuple[str, ...]) -> None:
    problem = kehu.problem(*(customer if item == "ID" else item for item in arguments), as_=customer, exit=1)
    assert problem["code"] in ("permission.customer", "auth.role")


def test_an_invitation_is_for_one_use_and_can_be_withdrawn(kehu: Kehu, customer: str, tmp_path: Path) -> None:
    other = kehu.json("customer", "add", "name=钱七", "phone=13812340002", "--temporary", as_="li")["customer"]
    invited = kehu.json("invite", other, "--expires", "1h", as_="admin")["invitation"]
    kehu.json("uninvite", other, as_="admin")
    assert kehu.problem("enrol", "--invitation", invited, exit=1)["code"] == "invitation.over"
    wrong = Invitation(other, bytes(20)).text
    kehu.json("invite", other, as_="admin")
    assert kehu.problem("enrol", "--invitation", wrong, exit=1)["code"] == "invitation.wrong"
    assert kehu.problem("invite", other, "--expires", "91d", as_="admin", exit=1)["code"] == "invitation.period"
    assert kehu.problem("invite", "nobody", as_="admin", exit=1)["code"] == "record.unknown"
    assert kehu.problem("invite", other, as_="li", exit=1)["code"] == "permission.administrator_only"


def test_who_did_not_hear_that_they_were_enrolled_hears_it_when_they_try_again(kehu: Kehu, office: Office) -> None:
    other = kehu.json("customer", "add", "name=孙八", "phone=13812340003", "--temporary", as_="li")["customer"]
    invited = kehu.json("invite", other, as_="admin")["invitation"]
    first = kehu.json("enrol", "--invitation", invited)
    again = kehu.json("enrol", "--invitation", invited)
    assert again == first
    kehu.json("login", as_=other)
    (kehu.folder / "keys" / "administration" / f"{other}.key").unlink()
    problem = kehu.problem("enrol", "--invitation", invited, exit=1)  # with another key it is over
    assert problem["code"] == "invitation.over"


@pytest.mark.parametrize("text", ["", "c-1", "c-1.ABCD", "c-1.0000-1111", "张三." + "A" * 32, "c-1." + "A" * 33])
def test_a_text_that_is_no_invitation_makes_no_key(kehu: Kehu, text: str) -> None:
    before = sorted((kehu.folder / "keys").rglob("*"))
    assert kehu.problem("enrol", "--invitation", text, exit=2)["code"] in ("usage.invitation", "usage.name")
    assert sorted((kehu.folder / "keys").rglob("*")) == before


def test_an_invitation_reads_back_from_its_text_and_shows_no_code_in_its_repr() -> None:
    invitation = Invitation.draw("c-1f")
    assert Invitation.from_text(invitation.text) == invitation
    assert Invitation.from_text(invitation.text.replace("-", " ", 1).lower().replace("c 1f", "c-1f")) == invitation
    assert invitation.text.partition(".")[2][:4] not in repr(invitation)


# Proof files


@pytest.fixture(scope="module")
def proof(kehu: Kehu, granted: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A customer's proof of one of their values, that their record stands, and that they never had a third answer."""
    file = tmp_path_factory.mktemp("proof") / "证明.kehu"
    entries = ("--state", f"customers/{granted}", "--state", f"answers/{granted}.3")
    written = kehu.json("prove", granted, str(file), "--field", "name", *entries, as_=granted)
    assert (written["bytes"], written["fields"]["name"]["value"]) == (file.stat().st_size, "赵敏")
    assert file.stat().st_mode & 0o077 == 0
    return file


def test_a_proof_is_verified_with_the_genesis_alone(
    kehu: Kehu, granted: str, proof: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "genesis.json").write_bytes((kehu.folder / "genesis.json").read_bytes())
    (elsewhere / "证明.kehu").write_bytes(proof.read_bytes())
    monkeypatch.chdir(elsewhere)

    def no_network(*_args: object, **_more: object) -> None:
        raise AssertionError("the verifier asked somebody")

    monkeypatch.setattr("socket.socket.connect", no_network)
    found = kehu.json("verify", "证明.kehu", "--genesis", "genesis.json")
    (record,) = found["records"]
    assert (record["table"], record["record"], record["fields"]) == ("customers", granted, {"name": "赵敏"})
    assert [(entry["table"], entry["key"], entry["is_present"]) for entry in found["entries"]] == [
        ("customers", granted, True),
        ("answers", f"{granted}.3", False),
    ]
    assert "Everything checks." in kehu("verify", "证明.kehu", "--genesis", "genesis.json").out


def test_a_proof_holds_none_of_the_values_that_were_not_chosen(proof: Path) -> None:
    raw = proof.read_bytes()
    assert "赵敏".encode() in raw
    for secret in ("13812340001", "东方公司", "采购经理", "只在上午联系"):
        assert secret.encode() not in raw


def test_every_flipped_byte_is_found(kehu: Kehu, proof: Path) -> None:
    raw = proof.read_bytes()
    genesis = _genesis(kehu)
    verify_proof_file(genesis, raw)
    for position in range(len(raw)):
        with pytest.raises(KehuError) as caught:
            verify_proof_file(genesis, _flipped(raw, position))
        assert caught.value.code == "proof.file_malformed"


def test_a_byte_that_somebody_flipped_on_purpose_is_found_by_the_proofs(
    kehu: Kehu, office: Office, proof: Path
) -> None:
    """The digest at the end is made anew, as a forger would. What the same proof shows as well is that keys beside the
    absent one are absent: that is no lie."""
    raw = proof.read_bytes()
    genesis = _genesis(kehu)
    state = office.chain.ledger.state
    for position in range(len(raw) - 32):
        content = _flipped(raw, position)[:-32]
        try:
            proven = verify_proof_file(genesis, content + hashlib.sha256(content).digest())
        except KehuError:
            continue
        absent = proven.entries[1]
        assert proven.records[0].fields == {"name": "赵敏"}
        assert (absent.value, state.get(f"{absent.table}/{absent.key}".encode())) == (None, None)


def test_another_value_another_record_and_another_network_are_found(kehu: Kehu, granted: str, proof: Path) -> None:
    from dataclasses import replace

    file, genesis = ProofFile.from_bytes(proof.read_bytes()), _genesis(kehu)
    (read,) = file.reads
    (value,) = read.values
    lies = {
        "proof.value_mismatch": replace(file, reads=(replace(read, values=(replace(value, value="钱八"),)),)),
        "proof.value_unread": replace(file, reads=(replace(read, values=(value, value)),)),
        "proof.other_chain": replace(file, chain_id=bytes(32)),
        "proof.invalid": replace(file, entries=(replace(file.entries[1], key=f"{granted}.1"), *file.entries[:1])),
    }
    for code, lie in lies.items():
        with pytest.raises(KehuError) as caught:
            verify_proof_file(genesis, lie.to_bytes())
        assert caught.value.code == code
    unread = replace(file, reads=(replace(read, values=(replace(value, field="note"),)),))
    with pytest.raises(KehuError, match=r"proof\.value_unread"):
        verify_proof_file(genesis, unread.to_bytes())


def test_a_damaged_proof_ends_with_exit_code_five_and_shows_nothing(kehu: Kehu, proof: Path, tmp_path: Path) -> None:
    genesis = str(kehu.folder / "genesis.json")
    bad = tmp_path / "bad.kehu"
    bad.write_bytes(_flipped(proof.read_bytes(), 200))
    assert kehu.problem("verify", str(bad), "--genesis", genesis, exit=5)["code"] == "proof.file_malformed"
    assert (
        kehu.problem("verify", str(tmp_path / "none"), "--genesis", genesis, exit=8)["code"] == "proof_file.unreadable"
    )


def test_nothing_is_written_for_who_may_read_nothing_or_over_a_file(
    kehu: Kehu, granted: str, proof: Path, tmp_path: Path
) -> None:
    file = tmp_path / "none.kehu"
    refused = kehu.json("prove", granted, str(file), "--field", "phone", as_=granted, exit=1)
    assert (refused["file"], refused["bytes"], file.exists()) == (None, 0, False)
    assert kehu.problem("prove", granted, str(proof), as_=granted, exit=2)["code"] == "usage.file_exists"
    args = ("prove", granted, str(file), "--state", "customers/other")
    assert kehu.problem(*args, as_=granted, exit=1)["code"] == "auth.not_own"


def test_colleagues_prove_what_they_read_too(kehu: Kehu, granted: str, tmp_path: Path) -> None:
    file = tmp_path / "li.kehu"
    kehu.json(
        "prove", granted, str(file), "--field", "organisation", "--state", f"assignments/customers.{granted}", as_="li"
    )
    found = kehu.json("verify", str(file), "--genesis", str(kehu.folder / "genesis.json"))
    assert found["records"][0]["fields"] == {"organisation": "东方公司"}
    assert "person:li" in found["entries"][0]["value"]["subjects"]


def _genesis(kehu: Kehu) -> Any:
    from node.folder.config import read_genesis

    return read_genesis(kehu.folder / "genesis.json")


def _flipped(raw: bytes, position: int) -> bytes:
    return raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
