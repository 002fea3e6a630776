"""Virtual time: what happens next, and when.

The one rule it keeps: things due at the same moment happen in the order in which they were asked for, so that one seed
always tells the same story.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

DAY_ONE_WALL_S = 1_767_225_600.0  # the wall clock at virtual time 0: 1 January 2026, 00:00 UTC


class Timeline:
    """The world's time in seconds from 0, and what is due."""

    def __init__(self) -> None:
        """Nothing is due."""
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, at: float, do: Callable[[], None]) -> None:
        """Do this then; what is already past is done next."""
        self._count += 1
        heapq.heappush(self._due, (at, self._count, do))

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do this so much later."""
        self.at(self.now + seconds, do)

    def run_until(self, until: float) -> None:
        """Let everything happen that is due up to then."""
        due = self._due
        pop = heapq.heappop
        while due and due[0][0] <= until:
            at, _, do = pop(due)
            if at > self.now:
                self.now = at
            do()
        self.now = max(self.now, until)

    def stall(self, seconds: float) -> None:
        """Time passes in the middle of something: a disk that answers late. What was due meanwhile happens late."""
        self.now += seconds


class MachineClocks:
    """The clocks of one simulated machine (`journal.clocks.Clocks`). Reboots and jumps of the wall clock are faults."""

    def __init__(self, timeline: Timeline) -> None:
        """A machine that booted a moment ago."""
        self._timeline = timeline
        self._booted_at = -10.0
        self._boots = 1
        self._boot = "boot-1"
        self.wall_error_s = 0.0
        self._ever_wrong = False

    def boottime(self) -> float:
        """Seconds since this machine booted."""
        return self._timeline.now - self._booted_at

    def wall(self) -> float:
        """Seconds since 1970, as far as this machine knows."""
        self._ever_wrong |= self.wall_error_s != 0.0
        return DAY_ONE_WALL_S + self._timeline.now + self.wall_error_s

    def true_wall(self) -> float | None:
        """Seconds since 1970 in the world; None: this machine's wall clock was ever another one."""
        wall = self.wall()
        return None if self._ever_wrong else wall

    def boot(self) -> str:
        """The boot's id."""
        return self._boot

    def reboot(self) -> None:
        """A new boot begins now."""
        self._boots += 1
        self._boot = f"boot-{self._boots}"
        self._booted_at = self._timeline.now - 5.0
