"""docs/errors.md says what the code says, and every entry is fit to be read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

SHOW = "from tools.make_errors import document; import sys; sys.stdout.buffer.write(document().encode())"


def made_from_code() -> str:
    # A process of its own: test modules define error codes too.
    done = subprocess.run([sys.executable, "-c", SHOW], cwd=ROOT, capture_output=True, check=True)
    return done.stdout.decode()


def test_the_error_document_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert written == made_from_code(), "run `make errors` and look at the difference"


def test_every_error_has_a_well_formed_code_a_cause_and_a_cure() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \| (.+?) \|$", made_from_code(), re.MULTILINE)
    assert len(rows) > 100
    for code, cause, cure in rows:
        assert re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", code), code
        assert len(cause) > 10, code
        assert len(cure) > 8, code
