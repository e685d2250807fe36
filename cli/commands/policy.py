"""`kehu policy`: who may what by default, and the network's other rules, looked at and replaced as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from chain.errors import KehuError, define
from cli.command import Needs, command
from cli.commands.permissions import DryRun, change, try_out
from cli.exits import SIGNED, Exit
from cli.output import Answer, Screen
from cli.root import group
from cli.run import Run

app = group("policy", "See and replace the policy: who may what by default, periods, what the departments agree by.")

_RULE = ("department", "table", "actions", "fields", "scope")
_TABLED = ("rules", "tables")

POLICY_FILE = define(
    "usage.policy_file",
    "the file is not what `kehu policy show --json` prints",
    "save that output, edit what is under `policy`, and give the whole file; numbers are whole",
)


@command(
    app,
    "show",
    needs=Needs.KEY,
    example="kehu policy show --json --as admin > policy.json",
    json_keys=("policy", "version", "height"),
    exits=SIGNED,
)
async def show_policy(run: Run) -> Answer:
    """Show the policy that counts, proven. With --json it is the file that `kehu policy set` takes once edited."""
    async with run.client() as client:
        row, height = await client.state("policy", "current")
    data = {"policy": (row or {}).get("policy"), "version": (row or {}).get("version"), "height": height}
    return Answer(data, lambda screen: _show(screen, data))


def _show(screen: Screen, data: dict[str, Any]) -> None:
    policy = data["policy"] or {}
    rules, tables = policy.get("rules", []), policy.get("tables", {})
    screen.facts([("version", data["version"]), *_facts({k: v for k, v in policy.items() if k not in _TABLED})])
    screen.table(_RULE, [[rule[column] for column in _RULE] for rule in rules], title="Rules")
    screen.table(("table", "fields"), tables.items(), title="Tables")


def _facts(part: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in part.items():
        if isinstance(value, dict) and value:
            yield from _facts(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@command(
    app,
    "set",
    needs=Needs.KEY,
    example="kehu policy set policy.json --dry-run --as admin",
    json_keys=("policy", "version", "differences", "left_out", "transaction", "height"),
    exits=(*SIGNED, Exit.CONFLICT),
)
async def set_policy(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `kehu policy show --json` printed, edited.")],
    is_dry_run: DryRun = False,
) -> Answer:
    """Replace the policy, from the next call on. For administrators.

    Refused if the policy was changed since the file was made. With --dry-run nothing is replaced: the node says who
    would gain or lose what, in how many records.
    """
    policy, version = _read_file(file)
    async with run.client() as client:
        row, _ = await client.state("policy", "current")
    _require_version(version, (row or {}).get("version"))
    answer = await (try_out if is_dry_run else change)(run, "permissions.set_policy", {"policy": policy})
    data = {**answer.data, "version": version if is_dry_run else version + 1}
    shown = {name: value for name, value in data.items() if name not in ("policy", "differences", "left_out")}
    return Answer(data, answer.show if is_dry_run else lambda screen: screen.facts(shown.items()))


def _read_file(file: Path) -> tuple[dict[str, Any], int]:
    """The policy, and the version that it was made from. Errors: usage.policy_file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"), parse_float=_refuse, parse_constant=_refuse)
        policy, version = found["policy"], found["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KehuError(POLICY_FILE, file=str(file), problem=type(error).__name__) from None
    if not (isinstance(policy, dict) and type(version) is int):
        raise KehuError(POLICY_FILE, file=str(file), problem="policy or version is of another kind")
    return policy, version


def _refuse(text: str) -> None:
    raise ValueError(text)


def _require_version(stated: int, present: object) -> None:
    """Errors: record.version_conflict."""
    from contracts.errors import VERSION_CONFLICT

    if stated != present:
        raise KehuError(VERSION_CONFLICT, table="policy", expected=stated, actual=present)
