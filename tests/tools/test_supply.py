"""Locks that lack something are refused, and an audit that nobody answered is not called clean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.supply import __main__ as supply
from tools.supply import lock
from tools.supply.audit import Audit, take_answer
from tools.supply.places import LOCK, LOCKS, SupplyError

HASH = "--hash=sha256:" + "0" * 64


def said(*libraries: dict[str, object]) -> str:
    return json.dumps({"dependencies": libraries})


def test_locks_of_this_commit_hold_what_is_asked_for_on_every_python() -> None:
    assert len(lock.read_lock(LOCK)) > 20
    lock.check_locks()


@pytest.mark.parametrize("line", [f"aiohttp>=3.14 {HASH}", "aiohttp==3.14.5", "aiohttp==3.14.5 --hash=sha256:00"])
def test_line_that_is_not_one_version_with_a_hash_is_refused(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "some.lock"
    path.write_text(line + "\n", encoding="utf-8")
    monkeypatch.setattr(lock, "LOCKS", {path: path})
    with pytest.raises(SupplyError, match="not one version with hashes"):
        lock.check_locks()


@pytest.mark.parametrize(
    ("old", "new"), [("aiohttp==3.14", "aiohttp==3.13"), ("plyvel-next==2", "plyvel-other==2"), ("rich==15", "rich==1")]
)
def test_lock_that_has_less_than_the_project_asks_for_is_refused(
    old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = LOCK.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = tmp_path / "requirements.lock"
    path.write_text(text.replace(old, new), encoding="utf-8")
    monkeypatch.setattr(lock, "LOCK", path)
    with pytest.raises(SupplyError, match="run `make lock`"):
        lock.check_locks()


def test_what_no_service_knows_is_unanswered_and_not_clean() -> None:
    audit = Audit(asked={"rich==15.0.0", "yarl==1.25.1"})
    take_answer(audit, "pypi", said({"name": "rich", "skip_reason": "Dependency not found on PyPI"}), "")
    take_answer(audit, "osv", "", "Traceback\nConnectionError: no route")
    assert audit.unanswered == ["rich==15.0.0", "yarl==1.25.1"]
    assert audit.troubles == ["osv: ConnectionError: no route"]
    take_answer(audit, "osv", said({"name": "Rich", "version": "15.0.0", "vulns": []}), "")
    assert audit.unanswered == ["yarl==1.25.1"]


def test_finding_fails_the_step_and_silence_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = Audit(asked={"rich==15.0.0"})
    monkeypatch.setattr(supply, "audit_locks", lambda: audit)
    assert supply.show_audit() == 0
    assert "NOT AUDITED: no vulnerability service answered about 1 libraries: rich==15.0.0" in capsys.readouterr().out
    take_answer(audit, "osv", said({"name": "rich", "version": "15.0.0", "vulns": [{"id": "PYSEC-2026-1"}]}), "")
    assert supply.show_audit() == 1
    assert "VULNERABLE: rich==15.0.0: PYSEC-2026-1" in capsys.readouterr().err


def test_every_lock_is_made_from_something() -> None:
    assert all(source.is_file() and path.is_file() for path, source in LOCKS.items())
