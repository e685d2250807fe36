"""The command `kehu` as a user runs it: a process of its own, an exit code, one JSON object."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

COMMANDS_AT_ONCE: Final = 3
COMMAND_TIMEOUT_S: Final = 180.0
Json = dict[str, Any]


class UnexpectedError(Exception):
    """Something came out otherwise than the story says: what, what was expected, what came."""

    def __init__(self, what: str, expected: object, actual: object) -> None:
        super().__init__(what, expected, actual)
        self.what, self.expected, self.actual = what, expected, actual


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of the command. `shown` is the command line as one would type it."""

    shown: str
    exit: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Json:
        """The answer; for a command that failed, the problem."""
        text = self.out if self.out.strip() else self.err
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise UnexpectedError(f"output of `{self.shown}`", "one JSON object", (self.out + self.err)[-2000:])
        return value

    def require(self, *exits: int) -> Json:
        """The JSON, if the exit code is one of `exits`."""
        if self.exit not in exits:
            expected = " or ".join(map(str, exits))
            raise UnexpectedError(
                f"exit code of `{self.shown}`", expected, f"{self.exit}\n{self.err or self.out}".strip()
            )
        return self.json


@dataclass(frozen=True, slots=True)
class Order:
    """One command to run: arguments, whose key signs, what stdin holds, which exit codes the story expects."""

    arguments: tuple[str, ...]
    as_: str | None = None
    stdin: Json | None = None
    exits: tuple[int, ...] = (0,)

    @property
    def shown(self) -> str:
        words = [Path(word).name if word.startswith("/") else word for word in self.arguments]
        return shlex.join(["kehu", *words, *(("--as", self.as_) if self.as_ else ())])


def order(*arguments: str, as_: str | None = None, stdin: Json | None = None, exits: Sequence[int] = (0,)) -> Order:
    return Order(arguments, as_, stdin, tuple(exits))


@dataclass
class Kehu:
    """Runs commands in the network folder `network`; passphrases are files NAME.pass in `passphrases`.

    `on_run` is told of every command once it is done. `release`: the source tree whose code runs in place of this
    one's.
    """

    network: Path
    passphrases: Path
    on_run: Callable[[Ran], None] = field(default=lambda _ran: None)
    release: Path | None = field(default=None, kw_only=True)

    def __call__(self, *arguments: str, **settings: Any) -> Json:
        """Runs one command; its JSON if the exit code is the expected one."""
        return self.run(order(*arguments, **settings))

    def run(self, wanted: Order) -> Json:
        ran = self.start(wanted)
        self.on_run(ran)
        return ran.require(*wanted.exits)

    def say(self, wanted: Order, text: str) -> Json:
        """Runs one command with `text` on its stdin."""
        ran = self.start(wanted, text)
        self.on_run(ran)
        return ran.require(*wanted.exits)

    def together(self, orders: Sequence[Order], at_once: int = COMMANDS_AT_ONCE) -> list[Json]:
        """Runs several at once; their JSON in the order given."""
        return [ran.require(*wanted.exits) for wanted, ran in zip(orders, self.race(orders, at_once), strict=True)]

    def race(self, orders: Sequence[Order], at_once: int = COMMANDS_AT_ONCE) -> list[Ran]:
        """Runs several at once and leaves it to the caller what their exit codes mean."""
        with ThreadPoolExecutor(at_once) as pool:
            results = list(pool.map(self.start, orders))
        for ran in results:
            self.on_run(ran)
        return results

    def start(self, wanted: Order, text: str | None = None) -> Ran:
        given = text if wanted.stdin is None else json.dumps(wanted.stdin, ensure_ascii=False)
        begun = time.monotonic()
        done = self.execute([*wanted.arguments, "--json", *self._signer(wanted)], given)
        return Ran(wanted.shown, *done, time.monotonic() - begun)

    def execute(self, arguments: list[str], given: str | None) -> tuple[int, str, str]:
        """Runs the command with `given` on its stdin; its exit code, stdout and stderr."""
        done = subprocess.run(
            [str(kehu_command()), *arguments],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            encoding="utf-8",
            env=self.environment(),
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def passphrase_file(self, name: str) -> Path:
        return self.passphrases / f"{name}.pass"

    def _signer(self, wanted: Order) -> list[str]:
        if wanted.as_ is None:
            return []
        return ["--as", wanted.as_, "--passphrase-file", str(self.passphrase_file(wanted.as_))]

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KEHU_")}
        code = {} if self.release is None else {"PYTHONPATH": str(self.release)}
        return {**kept, **code, "KEHU_NETWORK": str(self.network), "PYTHONUTF8": "1"}


def kehu_command() -> Path:
    """The console script beside this Python."""
    return Path(sys.executable).with_name("kehu")
