"""docs/cli.md is what the command is: names, parameters, JSON keys, exit codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from cli.exits import Exit, RemoteRefusal, exit_of
from cli.intake.rows import COLUMNS
from cli.main import tree
from tests.cli.conftest import make_folder
from tests.cli.contract import DOCUMENT, promises


def commands(node: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    node = node or get_command(tree())
    if not hasattr(node, "commands"):
        yield " ".join(path), node
        return
    for name, below in node.commands.items():
        yield from commands(below, (*path, name))


COMMANDS = dict(commands())


def parameters_of(command: Any) -> list[str]:
    return [
        (item.metavar if item.param_type_name == "argument" else item.opts[0])
        for item in command.params
        if item.name != "help"
    ]


def test_the_document_describes_every_command_and_no_other() -> None:
    assert sorted(promises()) == sorted(COMMANDS)


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_the_document_has_the_parameters_keys_and_exit_codes_of(path: str) -> None:
    promise, command = promises()[path], COMMANDS[path]
    spec = command.callback.kehu
    assert sorted(promise.parameters) == sorted(parameters_of(command))
    assert promise.json_keys == spec.json_keys
    assert promise.exits == tuple(sorted({0, *map(int, spec.exits)}))


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_help_shows_an_example_that_names_the_command(path: str) -> None:
    assert f"kehu {path}" in COMMANDS[path].help.partition("Example:")[2]


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_the_document_has_the_example_of_the_help_and_the_meaning_of_each_parameter_of(path: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8").partition(f"\n### `kehu {path}`\n")[2].partition("\n### ")[0]
    words = text.replace("\\\n", "").split()
    example = COMMANDS[path].help.partition("Example:")[2].replace("\\\n", "").split()
    assert f" {' '.join(example)} " in f" {' '.join(words)} "
    for item in COMMANDS[path].params:
        name = item.metavar if item.param_type_name == "argument" else (item.opts or [""])[0]
        row = re.search(rf"^\| `{re.escape(str(name))}` \|.*$", text, re.MULTILINE)
        assert row is None or (item.help or "") in row[0], name


def test_whoever_is_asked_for_a_passphrase_may_give_it_in_each_way_that_the_cure_names() -> None:
    for path, command in COMMANDS.items():
        if any("default: a prompt" in (item.help or "") for item in command.params if item.name != "help"):
            options = {name for item in command.params for name in item.opts}
            assert {"--passphrase-file", "--passphrase-fd"} <= options, path


def test_the_document_names_every_exit_code_and_every_column() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for code in Exit:
        assert f"\n| {int(code)} |" in text
    for field, names in COLUMNS.items():
        assert f"| {field} | {', '.join(names)} |" in text


@pytest.mark.parametrize(
    ("code", "is_remote", "expected"),
    [
        ("permission.denied", True, Exit.REFUSED),
        ("phone.malformed", False, Exit.USAGE),
        ("phone.no_identifier", True, Exit.REFUSED),
        ("call.arguments", False, Exit.USAGE),
        ("import.interrupted", False, Exit.INTERRUPTED),
        ("command.interrupted", False, Exit.INTERRUPTED),
        ("call.arguments", True, Exit.REFUSED),
        ("record.version_conflict", True, Exit.CONFLICT),
        ("node.unreachable", False, Exit.UNKNOWN),
        ("transaction.unknown_outcome", False, Exit.UNKNOWN),
        ("node.fault", True, Exit.UNKNOWN),
        ("node.outcome_unknown", True, Exit.UNKNOWN),
        ("storage.io", True, Exit.UNKNOWN),
        ("storage.io", False, Exit.MACHINE),
        ("proof.invalid", False, Exit.UNVERIFIED),
        ("signature.invalid", False, Exit.UNVERIFIED),
        ("signature.invalid", True, Exit.REFUSED),
        ("key.passphrase_wrong", False, Exit.KEY),
        ("keys.revoked", True, Exit.REFUSED),
        ("carrier.no_answer", False, Exit.CARRIER),
        ("carrier.no_platform", True, Exit.CARRIER),
        ("config.invalid", False, Exit.MACHINE),
    ],
)
def test_an_exit_code_follows_from_the_error_and_from_who_said_it(code: str, is_remote: bool, expected: Exit) -> None:
    from chain.errors import ErrorSpec, KehuError

    kind = RemoteRefusal if is_remote else KehuError
    assert exit_of(kind(ErrorSpec(code, "cause", "cure"))) is expected


HEAVY = "{'aiohttp', 'pydantic', 'phonenumbers', 'cryptography', 'plyvel', 'rich'}"


def run_python(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("line", "exit_"),
    [("audit {file} --json", Exit.UNVERIFIED), ("audit {file}", Exit.UNVERIFIED), ("--help", Exit.OK)],
)
def test_whoever_closes_a_stream_hears_nothing_there_and_the_command_does_its_work(
    tmp_path: Path, closed: str, line: str, exit_: Exit
) -> None:
    file = tmp_path / "chain.kehu"
    file.write_bytes(b"no export")
    words = f"{shlex.quote(sys.executable)} -m cli.main {line.format(file=shlex.quote(str(file)))} {closed}"
    done = subprocess.run(["/bin/sh", "-c", words], capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (exit_, False), done.stderr
    assert bool(done.stdout) is (">&-" not in closed.split())


@pytest.mark.parametrize(
    ("words", "exit_"),
    [
        (("audit", "no-such-file"), Exit.MACHINE),
        (("audit", "no-such-file", "--json"), Exit.MACHINE),
        (("status", "--node", "http://127.0.0.1:1"), Exit.UNKNOWN),
        (("no-such-command",), Exit.USAGE),
        (("no-such-command", "--json"), Exit.USAGE),
    ],
)
def test_an_error_that_nobody_reads_to_its_end_has_the_exit_code_of_the_error(
    tmp_path: Path, words: tuple[str, ...], exit_: Exit
) -> None:
    make_folder(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)  # as `kehu ... 2>&1 | head -1` leaves it
    command = [sys.executable, "-m", "cli.main", *words]
    done = subprocess.run(
        command, env={**os.environ, "KEHU_NETWORK": str(tmp_path / "net")}, stderr=writer, stdout=writer, check=False
    )
    os.close(writer)
    assert done.returncode == exit_


@pytest.mark.parametrize(
    ("line", "details"),
    [
        (("nope",), {"problem": "UsageError"}),
        (("customer", "show"), {"problem": "MissingParameter", "parameter": "customer"}),
        (("customer", "list", "--limit", "0"), {"problem": "BadParameter", "parameter": "--limit"}),
        (("audit", "chain.kehu", "--jobs", "0"), {"problem": "BadParameter", "parameter": "--jobs"}),
        (("audit", "chain.kehu", "--jobs", "2147483648"), {"problem": "BadParameter", "parameter": "--jobs"}),
        (("customer", "list", "--nmae", "x"), {"problem": "NoSuchOption", "parameter": "--nmae"}),
        (("customer", "show", "c-1", "name=王芳"), {"problem": "UsageError"}),
    ],
)
def test_a_wrong_command_line_is_one_object_with_json_and_names_no_value(
    line: tuple[str, ...], details: dict[str, str]
) -> None:
    result = CliRunner().invoke(tree(), [*line, "--json"])
    assert (result.exit_code, result.stdout) == (2, "")
    problem = json.loads(result.stderr)
    assert (problem["code"], problem["details"], problem["exit"]) == ("usage.command_line", details, 2)


def test_help_loads_no_heavy_library() -> None:
    """A command starts fast because it imports late."""
    run_python(
        f"import sys, cli.main; cli.main.tree(); heavy = {HEAVY};"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )


def test_a_command_that_runs_loads_no_library_of_servers(tmp_path: Path) -> None:
    """Half of a short command's time was such a library that Typer had begun to load for every one (ADR 0002)."""
    run_python(
        textwrap.dedent(f"""
        import os, sys
        from typer.testing import CliRunner
        import cli.main
        os.environ["KEHU_NETWORK"] = {str(tmp_path)!r}
        result = CliRunner().invoke(cli.main.tree("status"), ["status", "--json"])
        assert result.exit_code == 8, result.output
        sys.exit(', '.join(sorted({HEAVY} & set(sys.modules))) or 0)
        """)
    )


def test_a_client_loads_no_library_of_servers() -> None:
    run_python(
        "import sys, cli.client, cli.processes, cli.fleet, cli.records, node.api.signing, node.keys.files;"
        "heavy = {'aiohttp', 'pydantic', 'phonenumbers', 'plyvel', 'rich', 'prometheus_client'};"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )


def test_a_command_is_the_same_in_a_tree_of_its_own_as_in_the_whole() -> None:
    """A run builds only the branch that its first argument names."""
    run_python(
        textwrap.dedent("""
        import multiprocessing, typer.main
        def shape(command):
            return {name: shape(below) for name, below in getattr(command, "commands", {}).items()}
        def branch(name, told):
            import cli.main
            told.send(shape(typer.main.get_command(cli.main.tree(name))))
        fork = multiprocessing.get_context("fork")
        def fresh(name):
            shapes, told = fork.Pipe(duplex=False)
            process = fork.Process(target=branch, args=(name, told))
            process.start()
            told.close()
            found = shapes.recv()
            process.join()
            return found
        whole = fresh("")
        assert fresh("no-such-command") == whole
        for name, below in whole.items():
            assert fresh(name)[name] == below, name
        """)
    )
