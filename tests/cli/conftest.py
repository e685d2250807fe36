"""A network for each test file, the command as a function, and what docs/cli.md promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.testing
from typer.testing import CliRunner

from cli.founding import Plan, found_network
from cli.main import tree
from cli.profile import Profile
from node.keys.files import ScryptCost, create_key_file
from tests.cli.contract import json_keys_of
from tests.cli.office import Office

typer.testing._get_command = cache(typer.testing._get_command)  # a tree of 130 commands: longer to build than to use
PASSPHRASE = "correct horse"
DEPARTMENTS = {"administration": "管理", "sales": "销售", "finance": "财务", "technical": "技术"}


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of one network run in one worker: two would found it twice."""
    for item in items:
        is_grouped = item.get_closest_marker("xdist_group") is not None
        if "office" in getattr(item, "fixturenames", ()) and not is_grouped:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@dataclass(frozen=True)
class Ran:
    """One run of the command."""

    exit: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        return json.loads(self.err)


@dataclass
class Kehu:
    """`kehu(...)` runs a command in this network's folder; `kehu.json(...)` with --json, holding the answer's keys
    against docs/cli.md."""

    folder: Path
    pass_file: Path

    def __call__(self, *arguments: str, as_: str | None = None, stdin: str | None = None) -> Ran:
        environment = {"KEHU_NETWORK": str(self.folder), "KEHU_PASSPHRASE_FILE": str(self.pass_file)}
        if as_ is not None:
            environment["KEHU_AS"] = as_
        result = CliRunner().invoke(tree(), list(arguments), input=stdin, env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    def json(self, *arguments: str, as_: str | None = None, exit: int = 0, stdin: str | None = None) -> Any:  # noqa: A002
        ran = self(*arguments, "--json", as_=as_, stdin=stdin)
        assert ran.exit == exit, (ran.exit, ran.out, ran.err)
        assert sorted(ran.json) == sorted(json_keys_of(arguments)), arguments
        return ran.json

    def problem(self, *arguments: str, as_: str | None = None, exit: int) -> Any:  # noqa: A002
        """A run that fails: nothing on stdout, the problem on stderr."""
        ran = self(*arguments, "--json", as_=as_)
        assert (ran.exit, ran.out) == (exit, ""), (ran.exit, ran.out, ran.err)
        assert sorted(ran.problem) == ["cause", "code", "cure", "details", "exit"]
        assert ran.problem["exit"] == exit
        return ran.problem


def make_folder(folder: Path) -> tuple[Profile, Path]:
    pass_file = folder / "pass"
    pass_file.write_text(PASSPHRASE + "\n")
    pass_file.chmod(0o600)
    plan = Plan(folder / "net", "试验", DEPARTMENTS, "admin", "127.0.0.1", None)
    return found_network(plan, PASSPHRASE), pass_file


@pytest.fixture(scope="module", autouse=True)
def _cheap_key_files() -> Iterator[None]:
    """Keys of these tests guard nothing; the true cost is tested with the key files themselves."""
    kept = create_key_file.__defaults__
    create_key_file.__defaults__ = (ScryptCost(n=1 << 10),)
    yield
    create_key_file.__defaults__ = kept


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A running network."""
    profile, _ = make_folder(tmp_path_factory.mktemp("office"))
    running = Office(profile)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def kehu(office: Office) -> Kehu:
    """The command in the running network, with two operators of sales and one of technical enrolled."""
    run = Kehu(office.profile.folder, office.profile.folder.parent / "pass")
    for person, department, role in (
        ("li", "sales", "operator"),
        ("wang", "sales", "operator"),
        ("zhao", "technical", "operator"),
        ("shen", "finance", "auditor"),
    ):
        request = run.folder.parent / f"{person}.json"
        request.write_text(json.dumps(run.json("key", "new", person, "--department", department)))
        run.json("people", "enrol", person, "name=某人", "--role", role, "--request", str(request), as_="admin")
    return run
