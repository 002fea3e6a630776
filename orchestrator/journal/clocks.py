"""The machine's clocks, as the journal needs them: handed in, so that a simulated world has its own.

The one rule it keeps: `boottime` counts through suspend and never falls within a boot; `wall` may jump either way and
is never used for an order. Two processes with the same `boot()` read the same `boottime()`: the kernel's boot id alone
does not promise that, for a time namespace (a container that was restored, say) shifts CLOCK_BOOTTIME. The shift is
taken out where the kernel tells it; where it does not, the boot is another one, and nothing is said by its clock.
"""

from __future__ import annotations

import os
import time
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
    """The real ones: CLOCK_BOOTTIME as the machine itself has it, the system's clock, and the kernel's boot id."""

    def __init__(self) -> None:
        """Read how this process's clocks are shifted; `boot` reads it again, for a process can be carried over."""
        self._shift_s = (shift_ns() or 0) / 1e9

    def boottime(self) -> float:
        """Seconds since boot."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self._shift_s

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def boot(self) -> str:
        """The kernel's random boot id; with the name of the time namespace where its shift is not known."""
        shift = shift_ns()
        self._shift_s = (shift or 0) / 1e9
        return boot_id() if shift is not None else f"{boot_id()} {_namespace('time')}"


def boot_id() -> str:
    """The kernel's random id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def shift_ns() -> int | None:
    """By how much CLOCK_BOOTTIME of this process is ahead of the machine's; None: the kernel does not tell.

    `timens_offsets` is of the namespace that children are born into: it is this process's own where that is the same.
    See time_namespaces(7).
    """
    own = _namespace("time")
    if not own:
        return 0  # this kernel has no time namespaces
    if own != _namespace("time_for_children"):
        return None
    try:
        for line in Path("/proc/self/timens_offsets").read_text().splitlines():
            clock, seconds, nanoseconds = line.split()
            if clock in ("boottime", "7"):
                return int(seconds) * 1_000_000_000 + int(nanoseconds)
    except (OSError, ValueError):
        pass
    return None


def _namespace(kind: str) -> str:
    try:
        return os.readlink(f"/proc/self/ns/{kind}")
    except OSError:
        return ""
