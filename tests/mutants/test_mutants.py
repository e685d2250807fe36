"""Every bug put in on purpose is found, by a test that passes without it."""

from __future__ import annotations

import pytest

from tests.mutants.base import Mutant
from tests.mutants.catalogue import MUTANTS


def test_no_two_mutants_have_one_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_bug_put_in_on_purpose_is_found(mutant: Mutant) -> None:
    """The finders are tests of this suite, so that they pass without the bug is shown there."""
    verdict = mutant.verdict()
    assert verdict
    assert not verdict.startswith(("TypeError", "NameError", "AttributeError"))
