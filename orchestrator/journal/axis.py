"""The journal's time axis: seconds from the first start of the workspace on. What every store promises of it.

The one rule it keeps: it never falls. `now` is not less than the axis was at any `mark`, nor than the time of any
entry, whichever process of whichever machine that was. What was not measured by a clock that ran all the while is
*assumed*, and reported as such: it expires no cool-down and freshens nothing.

How it is measured is the store's own affair: where one machine's disk keeps it, see `machine_axis.py`.
"""

from __future__ import annotations

from typing import Protocol


class Axis(Protocol):
    """What time it is for the core."""

    @property
    def boot(self) -> str:
        """The clock that it goes by: of one machine, from one start to the next."""
        ...

    @property
    def same_boot(self) -> bool:
        """Whether it went by that clock already when the store was last told of it; False for a new one.

        Only then do the detectors' rows beside the entries still say how things are.
        """
        ...

    @property
    def assumed_gap_s(self) -> float:
        """How much of it was assumed as it was opened."""
        ...

    @property
    def carried_over(self) -> bool:
        """Whether this process is under another clock now, as one is that was restored elsewhere.

        Then the axis says nothing any more, and has to be opened anew.
        """
        ...

    def uptime(self) -> float:
        """For how many seconds its machine has been up: one that was just started may not know the time of day yet."""
        ...

    def now(self) -> float:
        """Seconds on the axis."""
        ...

    def wall(self) -> float:
        """The stamp for people: seconds since 1970."""
        ...

    def mark(self) -> None:
        """Note the present moment: after a power cut no more is assumed than the time since it.

        Raises JournalUnwritable.
        """
        ...
