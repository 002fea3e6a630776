"""A lease that is kept on one machine's disk: when its time is up, and when its holder is proven gone.

The one rule it keeps: what one machine knows of another process (its boot, its number, its clock) is used only within
that boot of that machine; a wall clock alone ends no lease early that a boot clock can be asked about.

    holder's state                                 who may take it
    released, or never held                        anybody, at once
    same process as the one that asks              it may, at once
    same boot and process space, process is gone   anybody, at once
    same boot, ends later by CLOCK_BOOTTIME        nobody yet, unless it was seen unchanged for its whole time here
    other boot, ends later by the wall clock       nobody yet, unless it was seen unchanged for its whole time here

What was seen unchanged is for a clock that jumped (a wall clock that was set, a machine that was restored): a lease
that nobody renews for its own length, measured on the asker's own boot clock, is over. A lock on the file was rejected:
a stopped process keeps it, and a network file system lies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from orchestrator.journal.clocks import Clocks
from orchestrator.journal.lease import Heard, Lease
from orchestrator.journal.process import Process


@dataclass(frozen=True, slots=True)
class MachineLease(Lease):
    """Which process decides, until when. `beat` grows with each renewal."""

    process: Process
    ends_boottime: float
    ends_wall: float
    beat: int = 0

    @property
    def who(self) -> str:
        """Its holder, and the process to look for."""
        return f"{self.holder} (process {self.process.pid})"


class Watch:
    """How long a lease has been seen unchanged, on this process's own clock."""

    _all: ClassVar[dict[tuple[Path, Process], Watch]] = {}

    @classmethod
    def of(cls, path: Path, process: Process) -> Watch:
        """The one of this process for that journal, however often it is opened anew while somebody waits."""
        return cls._all.setdefault((path.absolute(), process), cls())

    def __init__(self) -> None:
        """Nothing seen yet."""
        self._seen: tuple[int, int] | None = None
        self._since = 0.0

    def unchanged_for(self, lease: MachineLease, boottime: float) -> float:
        """Seconds since this lease was first seen with this beat."""
        if self._seen != (lease.epoch, lease.beat):
            self._seen, self._since = (lease.epoch, lease.beat), boottime
        return boottime - self._since


@dataclass(slots=True)
class Asker:
    """What decides over lease times for one process: itself, its clocks, and how it tells that others have ended."""

    process: Process
    clocks: Clocks
    gone: Callable[[Process], bool]
    watch: Watch = field(default_factory=Watch)

    def remaining_s(self, lease: MachineLease, holder: str) -> float:
        """For how long `holder` may not take this lease; 0 or less: it may. See the table above."""
        own = lease.holder == holder and lease.process == self.process
        if own or self.gone(lease.process):
            return 0.0
        unchanged_s = self.watch.unchanged_for(lease, self.clocks.boottime())
        return min(self._ends_in_s(lease), lease.ttl_s - unchanged_s)

    def grant(self, holder: str, epoch: int, ttl_s: float) -> MachineLease:
        """A new lease for this process from now on."""
        clocks = self.clocks
        return MachineLease(holder, epoch, ttl_s, self.process, clocks.boottime() + ttl_s, clocks.wall() + ttl_s)

    def extended(self, lease: MachineLease) -> MachineLease:
        """The same lease, renewed now."""
        boottime, wall = self.clocks.boottime() + lease.ttl_s, self.clocks.wall() + lease.ttl_s
        return replace(lease, ends_boottime=boottime, ends_wall=wall, beat=lease.beat + 1)

    def heard(self, lease: MachineLease) -> Heard:
        """When its holder renewed it. One whose process is proven gone holds no more, whatever its time."""
        left_s = self._ends_in_s(lease)
        return Heard(max(0.0, lease.ttl_s - left_s), left_s > 0 and not self.gone(lease.process))

    def _ends_in_s(self, lease: MachineLease) -> float:
        """By the boot clock where it is the same one: no wall clock that was set can bend it then."""
        if lease.process.boot == self.clocks.boot():
            return lease.ends_boottime - self.clocks.boottime()
        return lease.ends_wall - self.clocks.wall()
