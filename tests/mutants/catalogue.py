"""All mutants. docs/reliability.md says where the bugs of other layers are looked for."""

from __future__ import annotations

from tests.mutants import bounds, liveness, long_heights, safety

MUTANTS = [*safety.MUTANTS, *liveness.MUTANTS, *bounds.MUTANTS, *long_heights.MUTANTS]
