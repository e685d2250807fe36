"""All kinds of Byzantine members by name."""

from __future__ import annotations

from tests.simulation.actors.agitator import Agitator
from tests.simulation.actors.bad_blocks import BadBlocks
from tests.simulation.actors.bad_new_view import BadNewView
from tests.simulation.actors.base import Actor
from tests.simulation.actors.equivocator import Equivocator
from tests.simulation.actors.favourer import Favourer
from tests.simulation.actors.flooder import Flooder
from tests.simulation.actors.forger import Forger
from tests.simulation.actors.garbler import Garbler
from tests.simulation.actors.hoarder import Hoarder
from tests.simulation.actors.huge_views import HugeViews
from tests.simulation.actors.late_prover import LateProver
from tests.simulation.actors.lying_sync import LyingSync
from tests.simulation.actors.miser import Miser
from tests.simulation.actors.postponer import Postponer
from tests.simulation.actors.replayer import Replayer
from tests.simulation.actors.silent import Silent
from tests.simulation.actors.slow_primary import SlowPrimary
from tests.simulation.actors.stale_sync import StaleSync
from tests.simulation.actors.twins import Twins
from tests.simulation.actors.withholder import Withholder

CAST: dict[str, type[Actor]] = {
    actor.kind: actor
    for actor in (
        Agitator,
        BadBlocks,
        BadNewView,
        Equivocator,
        Favourer,
        Flooder,
        Forger,
        Garbler,
        Hoarder,
        HugeViews,
        LateProver,
        LyingSync,
        Miser,
        Postponer,
        Replayer,
        Silent,
        SlowPrimary,
        StaleSync,
        Twins,
        Withholder,
    )
}
