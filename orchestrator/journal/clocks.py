"""The machine's clocks, as the journal needs them: handed in, so that a simulated world has its own.

The one rule it keeps: `boottime` counts through suspend and never falls within a boot; `wall` may jump either way and
is never used for an order.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Protocol


class Clocks(Protocol):
    """What time it is, three ways."""

    def boottime(self) -> float:
        """Seconds since this machine booted, suspend included."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, as far as the machine knows."""
        ...

    def boot(self) -> str:
        """An id of this boot of this machine."""
        ...


class SystemClocks:
    """The real ones: CLOCK_BOOTTIME, the system's clock, and the kernel's boot id."""

    def boottime(self) -> float:
        """Seconds since boot."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def boot(self) -> str:
        """The kernel's random boot id."""
        return _boot_id()


@cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
