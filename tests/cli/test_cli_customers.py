"""Customers by command line against a network: real APIs, contracts, proofs, a real carrier simulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Kehu
from tests.cli.office import Office, Trouble


@pytest.fixture(autouse=True)
def _well_again(office: Office) -> Any:
    yield
    office.chain.trouble = Trouble()
    office.simulator.faults.clear()


@pytest.fixture(scope="module")
def number(kehu: Kehu) -> Any:
    """Gives numbers that the carrier has given out."""
    taken = iter(range(13800138000, 13800139000))

    def next_number() -> str:
        number = str(next(taken))
        kehu.json("carrier", "set", "activate", number)
        return number

    return next_number


def add(kehu: Kehu, phone: str, *more: str) -> str:
    return str(
        kehu.json("customer", "add", "name=王芳", f"phone={phone}", "organisation=东方公司", *more, as_="li")[
            "customer"
        ]
    )


def test_a_customer_is_recorded_shown_and_listed_with_checked_values(kehu: Kehu, number: Any) -> None:
    phone = number()
    added = kehu.json("customer", "add", "name=王芳", f"phone={phone}", "note=春节后联系", as_="li")
    assert (added["status"], added["outcome"]) == ("valid", "found")
    shown = kehu.json("customer", "show", added["customer"], as_="li")
    assert shown["fields"]["name"] == {"state": "shown", "value": "王芳", "version": 1, "code": None}
    assert shown["fields"]["phone"]["value"] == f"+86{phone}"
    listed = kehu.json("customer", "list", "--field", "name", "--limit", "100", as_="li")
    assert added["customer"] in [row["customer"] for row in listed["customers"]]
    table = kehu("customer", "show", added["customer"], as_="li")
    assert "王芳" in table.out
    assert "春节后联系" in table.out


def test_a_customer_who_is_recorded_again_under_the_same_id_exists_whichever_number_they_have(
    kehu: Kehu, number: Any
) -> None:
    phone = number()
    add(kehu, phone, "--id", "wang-twice")
    for given in (phone, number()):
        words = ("customer", "add", "--id", "wang-twice", "name=王芳", f"phone={given}")
        problem = kehu.problem(*words, as_="li", exit=1)
        assert (problem["code"], problem["details"]["record"]) == ("record.exists", "wang-twice")


def test_fields_may_come_from_stdin_so_that_they_stay_off_the_command_line(kehu: Kehu, number: Any) -> None:
    fields = json.dumps({"name": "李强", "phone": number()}, ensure_ascii=False)
    added = kehu.json("customer", "add", "--fields", "-", as_="li", stdin=fields)
    assert kehu.json("customer", "show", added["customer"], as_="li")["fields"]["name"]["value"] == "李强"


def test_a_reader_without_a_grant_is_refused_field_by_field_and_a_grant_opens_one(kehu: Kehu, number: Any) -> None:
    customer = add(kehu, number())
    refused = kehu.json("customer", "show", customer, as_="zhao", exit=1)
    assert {field["code"] for field in refused["fields"].values()} == {"permission.denied"}
    granted = kehu.json(
        "grant", "department:technical", "--action", "read", "--record", customer, "--field", "name", as_="admin"
    )
    shown = kehu.json("customer", "show", customer, as_="zhao")
    assert shown["fields"]["name"]["value"] == "王芳"
    assert shown["fields"]["phone"]["state"] == "refused"
    assert granted["grant"] in [row["grant"] for row in kehu.json("grants", as_="admin")["grants"]]
    kehu.json("revoke", granted["grant"], as_="admin")
    kehu.json("customer", "show", customer, as_="zhao", exit=1)
    assert granted["grant"] not in [row["grant"] for row in kehu.json("grants", as_="admin")["grants"]]
    everything = kehu.json("grants", "--all", "--subject", "department:technical", as_="admin")["grants"]
    assert granted["grant"] in [row["grant"] for row in everything]


def test_what_was_assigned_to_somebody_goes_to_somebody_else_in_one_go(kehu: Kehu, number: Any) -> None:
    customers = [add(kehu, number()) for _ in range(23)]
    both = customers[7]
    kehu.json("assign", both, "person:wang", as_="admin")
    before = len(kehu.json("assignments", "--subject", "person:li", as_="admin")["assignments"])
    tried = kehu.json("reassign", "person:li", "person:wang", "--dry-run", as_="admin")
    assert (tried["found"], tried["moved"]) == (before, 0)
    done = kehu.json("reassign", "person:li", "person:wang", "--table", "customers", as_="admin")
    assert (done["found"], done["moved"], done["failed"]) == (before, before, [])
    for customer in (customers[0], both):
        (row,) = kehu.json("assignments", customer, as_="admin")["assignments"]
        assert row["subject"] == "person:wang"
    kehu.json("customer", "show", customers[0], as_="wang")
    kehu.json("customer", "show", customers[0], as_="li", exit=1)
    assert kehu.json("reassign", "person:li", "person:wang", as_="admin")["found"] == 0


@pytest.mark.parametrize(
    ("words", "exit_", "code"),
    [
        (("person:li", "person:li"), 2, "usage.same_subject"),
        (("li", "person:wang"), 2, "usage.subject"),
        (("person:li", "person:nobody"), 1, "people.unknown"),
        (("person:li", "department:nowhere"), 1, "department.unknown"),
    ],
)
def test_a_reassignment_that_can_not_be_is_refused_and_moves_nothing(
    kehu: Kehu, number: Any, words: tuple[str, str], exit_: int, code: str
) -> None:
    customers = [add(kehu, number()) for _ in range(2)]
    assert kehu.problem("reassign", *words, as_="admin", exit=exit_)["code"] == code
    assert kehu.problem("reassign", "person:li", "person:zhao", as_="wang", exit=1)["code"].startswith("permission.")
    for customer in customers:
        (row,) = kehu.json("assignments", customer, as_="admin")["assignments"]
        assert row["subject"] == "person:li"


def test_a_record_that_can_not_be_reassigned_is_named_and_the_others_are_moved(
    kehu: Kehu, office: Office, number: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else has undone the assignment since it was listed."""
    from cli.client import NodeClient

    customer, other = add(kehu, number()), add(kehu, number())
    pages = NodeClient.pages

    async def and_one_more(client: NodeClient, path: str) -> list[dict[str, Any]]:
        items = await pages(client, path)
        return [*items, *({**item, "id": "customers.gone"} for item in items if item["id"] == f"customers.{other}")]

    monkeypatch.setattr(NodeClient, "pages", and_one_more)
    done = kehu.json("reassign", "person:li", "person:wang", "--table", "customers", as_="admin", exit=9)
    assert done["failed"] == [{"table": "customers", "record": "gone", "code": "record.unknown"}]
    assert done["moved"] == done["found"] - 1
    kehu.json("customer", "show", customer, as_="wang")


def test_an_assignment_opens_a_customer_to_a_colleague_until_it_ends(kehu: Kehu, number: Any) -> None:
    customer = add(kehu, number())
    kehu.json("customer", "show", customer, as_="wang", exit=1)
    kehu.json("assign", customer, "person:wang", as_="admin")
    kehu.json("customer", "show", customer, as_="wang")
    first, row = kehu.json("assignments", customer, as_="admin")["assignments"]
    assert (first["subject"], first["by"]) == ("person:li", "person:li")
    assert (row["table"], row["record"], row["subject"]) == ("customers", customer, "person:wang")
    assert (row["department"], row["by"]) == ("sales", "person:admin")
    of_wang = kehu.json("assignments", "--subject", "person:wang", as_="admin")["assignments"]
    assert row in of_wang
    assert first not in of_wang
    assert "person:wang" in kehu("assignments", customer, as_="admin").out
    assert kehu.json("assignments", customer, "--table", "projects", as_="admin")["assignments"] == []
    kehu.json("unassign", customer, "person:wang", as_="admin")
    kehu.json("customer", "show", customer, as_="wang", exit=1)
    problem = kehu.problem("assign", customer, "person:wang", as_="li", exit=1)
    assert problem["code"] == "permission.administrator_only"
    assert problem["cure"] == "ask the administration"


def test_the_second_of_two_changes_from_one_version_gets_a_conflict(kehu: Kehu, number: Any) -> None:
    customer = add(kehu, number())
    assert kehu.json("customer", "update", customer, "position=经理", "--expect", "1", as_="li")["version"] == 2
    problem = kehu.problem("customer", "update", customer, "position=总监", "--expect", "1", as_="li", exit=3)
    assert (problem["code"], problem["details"]["expected"], problem["details"]["actual"]) == (
        "record.version_conflict", 1, 2,
    )  # fmt: skip
    assert kehu.json("customer", "update", customer, "position=总监", as_="li")["version"] == 3
    rows = kehu.json("customer", "history", customer, as_="shen")["rows"]
    assert [row["to"] for row in rows] == [1, 2, 3]
    assert kehu.json("customer", "history", customer, "--kind", "accesses", as_="shen")["rows"] != []


def test_a_new_number_goes_to_the_carrier_and_changes_with_other_fields_in_one_step(kehu: Kehu, number: Any) -> None:
    customer, phone = add(kehu, number()), number()
    changed = kehu.json("customer", "update", customer, f"phone={phone}", "note=换号", as_="li")
    assert (changed["version"], changed["status"]) == (3, "valid")
    shown = kehu.json("customer", "show", customer, as_="li")
    assert (shown["fields"]["phone"]["value"], shown["fields"]["note"]["value"]) == (f"+86{phone}", "换号")


def test_a_number_is_released_for_contact_until_somebody_else_has_it(kehu: Kehu, number: Any) -> None:
    phone = number()
    customer = add(kehu, phone)
    released = kehu.json("customer", "contact", customer, "--purpose", "renewal", as_="li")
    assert (released["phone"], released["code"]) == (f"+86{phone}", "ok")
    kehu.json("carrier", "set", "reassign", phone)
    checked = kehu.json("phone", "check", customer, as_="li")
    assert (checked["status"], checked["reason"]) == ("invalid", "reassigned")
    refused = kehu("customer", "contact", customer, as_="li")
    assert (refused.exit, "Refused: phone.invalid" in refused.out, "cure   " in refused.out) == (1, True, True)
    refused = kehu.json("customer", "contact", customer, as_="li", exit=1)
    assert (refused["phone"], refused["code"]) == (None, "phone.invalid")


def test_a_temporary_customer_is_checked_before_contact_and_becomes_valid(kehu: Kehu, number: Any) -> None:
    phone = "13800137777"
    refused = kehu.problem("customer", "add", "name=赵敏", f"phone={phone}", as_="li", exit=1)
    assert refused["code"] == "phone.no_identifier"
    added = kehu.json("customer", "add", "name=赵敏", f"phone={phone}", "--temporary", as_="li")
    assert (added["status"], added["outcome"]) == ("temporary", "none")
    kehu.json("carrier", "set", "activate", phone)
    kehu.json("phone", "check", added["customer"], as_="li")
    assert kehu.json("customer", "contact", added["customer"], as_="li")["phone"] == f"+86{phone}"


def test_a_carrier_that_does_not_answer_is_no_yes_and_no_no(kehu: Kehu, office: Office, number: Any) -> None:
    from node.carrier.simulator.faults import FaultOrder

    customer, phone = add(kehu, number()), number()
    office.simulator.faults.add(FaultOrder(kind="fail"))
    problem = kehu.problem("customer", "add", "name=周杰", f"phone={phone}", as_="li", exit=7)
    assert problem["code"] == "carrier.no_answer"
    assert phone not in json.dumps(problem)
    checked = kehu.json("phone", "check", customer, as_="li", exit=7)
    assert (checked["outcome"], checked["status"]) == ("no_answer", "valid")


def test_a_value_that_does_not_fit_the_chain_is_not_shown(kehu: Kehu, office: Office, number: Any) -> None:
    customer = add(kehu, number())
    office.trouble.is_lying = True
    problem = kehu.problem("customer", "show", customer, as_="li", exit=5)
    assert problem["code"] == "proof.value_mismatch"
    assert "王芳" not in json.dumps(problem, ensure_ascii=False)


def test_a_value_that_the_node_does_not_hold_is_called_missing(kehu: Kehu, office: Office, number: Any) -> None:
    customer = add(kehu, number())
    office.trouble.is_forgetful = True
    shown = kehu.json("customer", "show", customer, as_="li", exit=9)
    states = sorted({field["state"] for field in shown["fields"].values()})
    assert states == ["missing", "refused", "shown"]


@pytest.mark.parametrize("words", [("list", "--limit", "100"), ("search", "王")])
def test_a_list_in_which_values_are_missing_says_so_by_its_exit_code(
    kehu: Kehu, office: Office, number: Any, words: tuple[str, ...]
) -> None:
    customer = add(kehu, number())
    kehu.json("customer", *words, as_="li")
    office.trouble.is_forgetful = True
    listed = kehu.json("customer", *words, as_="li", exit=9)["customers"]
    assert customer in [row["customer"] for row in listed]
    assert "missing" in {field["state"] for row in listed for field in row["fields"].values()}


def test_a_number_that_is_released_and_that_the_node_lacks_is_not_called_refused(
    kehu: Kehu, office: Office, number: Any
) -> None:
    customer = add(kehu, number())
    office.trouble.is_forgetful = True
    asked = kehu.json("customer", "contact", customer, as_="li", exit=9)
    assert (asked["outcome"], asked["code"], asked["phone"]) == ("released", "ok", None)


def test_an_outcome_that_got_lost_on_the_way_is_looked_up(kehu: Kehu, office: Office, number: Any) -> None:
    customer = add(kehu, number())
    office.trouble.is_deaf = True
    assert kehu.json("customer", "update", customer, "note=听不见", as_="li")["version"] == 2


@pytest.mark.parametrize("failures", [1, 4])
def test_a_node_whose_disk_fails_after_it_took_a_transaction_has_refused_nothing(
    kehu: Kehu, office: Office, number: Any, failures: int
) -> None:
    """At the answer, and at the look-ups that follow: what became of it is looked up until somebody says."""
    customer = add(kehu, number())
    office.trouble.times_failing = failures
    assert kehu.json("customer", "update", customer, "note=磁盘", as_="li")["version"] == 2
    assert office.trouble.times_failing == 0


def test_a_client_that_is_told_to_wait_sends_the_same_again(kehu: Kehu, office: Office, number: Any) -> None:
    customer = add(kehu, number())
    office.trouble.times_busy = 2
    assert kehu.json("customer", "update", customer, "note=忙", as_="li")["version"] == 2
    assert office.trouble.times_busy == 0


def test_an_outcome_nobody_knows_is_called_unknown_with_the_id_to_look_up(
    kehu: Kehu, office: Office, number: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = add(kehu, number())
    monkeypatch.setattr("cli.client.NodeClient.__init__.__defaults__", (0.2,))
    office.trouble.is_stalled = True
    problem = kehu.problem("customer", "update", customer, "note=等待", as_="li", exit=4)
    assert problem["code"] == "transaction.unknown_outcome"
    looked_up = kehu.json("tx", "show", problem["details"]["transaction"], "--node", "sales", exit=4)
    assert looked_up["status"] == "pending"
    office.trouble.is_stalled = False
    kehu.json("login", as_="li")
    looked_up = kehu.json("tx", "show", problem["details"]["transaction"])
    assert (looked_up["status"], looked_up["code"]) == ("committed", "ok")


@pytest.mark.parametrize(
    ("arguments", "exit_", "code"),
    [
        (("customer", "add", "name=王芳", "phone=12"), 2, "phone.impossible"),
        (("customer", "add", "name=王芳"), 2, "usage.name_and_phone"),
        (("customer", "add", "name=王芳", "phone=13800138000", "--id", "王芳"), 2, "usage.name"),
        (("customer", "update", "c-1"), 2, "usage.nothing_to_change"),
        (("customer", "update", "c-nobody", "note=x"), 1, "record.absent"),
        (("customer", "show", "c-nobody"), 1, "record.unknown"),
        (("customer", "show", "c-nobody", "--field", "shoe_size"), 1, "record.unknown"),
        (("customer", "show", "c-1", "--purpose", "Not A Word"), 2, "call.arguments"),
        (("tx", "show", "12"), 2, "usage.transaction"),
        (("customer", "list", "--node", "finance"), 1, "transaction.elsewhere"),
    ],
)
def test_bad_input_has_a_code_a_cure_and_an_exit_code(
    kehu: Kehu, arguments: tuple[str, ...], exit_: int, code: str
) -> None:
    problem = kehu.problem(*arguments, as_=None if arguments[0] == "tx" else "li", exit=exit_)
    assert problem["code"] == code
    assert problem["cure"]


@pytest.mark.parametrize(
    ("line", "argument"),
    [
        (("customer", "list", "--purpose", "two words"), "purpose"),
        (("customer", "search", "王", "--purpose", "两个词"), "purpose"),
        (("customer", "show", "c-1", "--field", "Shoe Size"), "fields"),
        (("customer", "erase", "c-1", "--reason", "he asked for it"), "reason"),
        (("erasure", "hold", "c-1", "--reason", "law suit"), "reason"),
        (("grant", "zhao", "--action", "read"), "subject"),
        (("grant", "person:zhao", "--action", "look", "--dry-run"), "actions"),
        (("assign", "c-1", "zhao"), "subject"),
        (("log", "reads", "--purpose", "two words"), "purpose"),
        (("why", "li", "look", "c-1"), "action"),
        (("prove", "two words", "c.proof"), "record"),
    ],
)
def test_what_no_contract_would_take_is_said_before_anything_is_sent(
    kehu: Kehu, office: Office, line: tuple[str, ...], argument: str
) -> None:
    height = office.chain.ledger.height
    problem = kehu.problem(*line, as_="admin", exit=2)
    assert (problem["code"], problem["details"]["argument"]) == ("call.arguments", argument)
    assert office.chain.ledger.height == height
    assert "two words" not in str(problem)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (("customer", "update", "two words", "note=x"), "usage.id"),
        (("org", "update", "a/b", "note=x"), "usage.id"),
        (("org", "close", "王芳"), "usage.id"),
        (("erasure", "status", "c-1?proof=0"), "usage.id"),
        (("customer", "list", "--filter", f"name={'x' * 257}"), "search.query"),
    ],
)
def test_what_no_node_could_look_up_is_said_before_it_is_asked(kehu: Kehu, line: tuple[str, ...], code: str) -> None:
    problem = kehu.problem(*line, as_="admin", exit=2)
    assert problem["code"] == code
    assert not any(word in str(problem) for word in ("two words", "王芳", "xxx"))


def test_a_wrong_passphrase_and_an_unknown_name_are_key_errors(kehu: Kehu, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("battery staple\n")
    wrong.chmod(0o600)
    problem = kehu.problem("login", "--passphrase-file", str(wrong), as_="li", exit=6)
    assert problem["code"] == "key.passphrase_wrong"
    assert kehu.problem("login", as_="nobody", exit=6)["code"] == "key.name_unknown"
    assert kehu.problem("login", exit=6)["code"] == "key.name_missing"


def test_a_network_folder_elsewhere_is_said_to_be_none(kehu: Kehu, tmp_path: Path) -> None:
    assert kehu.problem("customer", "list", "--network", str(tmp_path), as_="li", exit=8)["code"] == "profile.missing"
