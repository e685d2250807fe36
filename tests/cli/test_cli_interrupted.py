"""Ctrl-C while a command waits for its node, as a program that started it sees it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from cli.command import perform
from cli.exits import Exit
from cli.output import Answer
from cli.run import Run
from tests.cli.conftest import make_folder


async def interrupted_at_a_bad_moment() -> Answer:
    """As where SIGINT comes between the loop's look at a future and the result that it then gives it."""
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    asyncio.get_running_loop().call_soon(cancelled.set_result, None)
    await asyncio.sleep(0)
    raise KeyboardInterrupt


def test_an_interruption_at_a_bad_moment_adds_nothing_to_what_is_said(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    body = cast(Any, lambda _run: interrupted_at_a_bad_moment())
    assert perform(body, Run(is_json=True), {}) == Exit.INTERRUPTED
    assert json.loads(capsys.readouterr().err)["code"] == "command.interrupted"
    assert caplog.records == []


@pytest.mark.parametrize(
    "words",
    [
        ("phone", "sweep", "--as", "admin"),
        ("export", "{out}"),
        ("backup", "{out}", "--as", "admin"),
        ("member", "list"),
    ],
)
def test_a_command_that_is_interrupted_says_so_and_leaves_no_file(tmp_path: Path, words: tuple[str, ...]) -> None:
    profile, pass_file = make_folder(tmp_path)
    out = tmp_path / "out"
    environment = {**os.environ, "KEHU_NETWORK": str(profile.folder), "KEHU_PASSPHRASE_FILE": str(pass_file)}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        node = f"http://127.0.0.1:{silent.getsockname()[1]}"
        given = [word.format(out=out) for word in words]
        command = [sys.executable, "-m", "cli.main", *given, "--node", node, "--json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
            with silent.accept()[0]:
                process.send_signal(signal.SIGINT)
                said, told = process.communicate(timeout=60)
    problem = json.loads(told)
    assert (process.returncode, said) == (130, "")
    assert (problem["code"], problem["exit"]) == ("command.interrupted", 130)
    assert "again" in problem["cure"]
    assert not out.exists()


@contextmanager
def at_a_terminal(tmp_path: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """A command that has asked for the passphrase; the terminal's ends, ours and the command's."""
    profile, _ = make_folder(tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KEHU_")}
    environment |= {"KEHU_NETWORK": str(profile.folder), "LC_ALL": "C.UTF-8"}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cli.main", *words]
    with subprocess.Popen(
        command, env=environment, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stderr is not None
        told = b""
        while b"Passphrase of admin: " not in told:
            told += os.read(process.stderr.fileno(), 1000)
        try:
            yield process, ours, theirs
        finally:
            process.kill()
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("words", [("login", "--as", "admin"), ("login", "--as", "admin", "--json")])
def test_the_first_ctrl_c_ends_a_command_that_asks_for_the_passphrase(tmp_path: Path, words: tuple[str, ...]) -> None:
    with at_a_terminal(tmp_path, *words) as (process, _, theirs):
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)[1]
        is_echoing = termios.tcgetattr(theirs)[3] & termios.ECHO
    assert (process.returncode, bool(is_echoing)) == (130, True)
    assert b"command.interrupted" in told


@pytest.mark.parametrize("is_json", [False, True])
@pytest.mark.parametrize(
    ("typed", "code"), [("密码\n".encode("gb18030"), "passphrase.unreadable"), (b"\x04", "passphrase.missing")]
)
def test_a_passphrase_in_another_encoding_than_the_terminals_or_none_at_all_is_told_as_such(
    tmp_path: Path, typed: bytes, code: str, is_json: bool
) -> None:
    words = ("login", "--as", "admin", *(["--json"] if is_json else []))
    with at_a_terminal(tmp_path, *words) as (process, ours, _):
        os.write(ours, typed)
        told = process.communicate(timeout=60)[1]
    assert (process.returncode, code.encode() in told, b"Traceback" in told) == (6, True, False), told
