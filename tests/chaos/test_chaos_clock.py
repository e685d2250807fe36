from __future__ import annotations

from pathlib import Path

from tests.chaos.clocked import WallClock


def test_a_wall_clock_follows_its_file_and_keeps_the_last_offset_when_that_is_gone(tmp_path: Path) -> None:
    file, now_s = tmp_path / "clock", 100.0
    clock = WallClock(file, lambda: int(now_s * 1e9), lambda: now_s)
    assert clock.time() == 100.0
    file.write_text("-3600.0\n", encoding="ascii")
    now_s += 1
    assert clock.time_ns() == int(now_s * 1e9) - 3_600_000_000_000
    file.write_text("+2.5\n", encoding="ascii")
    assert clock.time_ns() == int(now_s * 1e9) - 3_600_000_000_000
    now_s += 1
    assert clock.time() == now_s + 2.5
    file.unlink()
    now_s += 1
    assert clock.time() == now_s + 2.5
