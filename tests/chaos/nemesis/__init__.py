"""Who does what to the network: one file per kind of fault. `KINDS` has them by the names that the plan uses."""

from __future__ import annotations

from tests.chaos.nemesis.base import Nemesis
from tests.chaos.nemesis.clock import Clock
from tests.chaos.nemesis.disk_dead import DiskDead
from tests.chaos.nemesis.disk_full import DiskFull
from tests.chaos.nemesis.flapping import Flapping
from tests.chaos.nemesis.kill import Kill
from tests.chaos.nemesis.loss import Loss
from tests.chaos.nemesis.one_way_cut import OneWayCut
from tests.chaos.nemesis.partition import Partition
from tests.chaos.nemesis.pause import Pause
from tests.chaos.nemesis.power_cut import PowerCut
from tests.chaos.nemesis.read_only import ReadOnly
from tests.chaos.nemesis.ring import Ring
from tests.chaos.nemesis.stop import Stop
from tests.chaos.nemesis.sync_error import SyncError

KINDS: dict[str, type[Nemesis]] = {
    "kill": Kill,
    "power_cut": PowerCut,
    "pause": Pause,
    "partition": Partition,
    "one_way_cut": OneWayCut,
    "ring": Ring,
    "loss": Loss,
    "flapping": Flapping,
    "clock": Clock,
    "disk_full": DiskFull,
    "disk_dead": DiskDead,
    "sync_error": SyncError,
    "read_only": ReadOnly,
    "stop": Stop,
}
