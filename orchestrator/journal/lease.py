"""The lease: one decider at a time, and when another may take over.

The one rule it keeps: a lease ends by release, by the proven death of its process, or by time; and whoever takes it
gets a larger epoch, so a holder that comes back late is refused wherever epochs are looked at.

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

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from orchestrator.journal.clocks import Clocks, boot_id, shift_ns

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """A process, named so that its number being used again does not confuse: boot, process space, number, start."""

    boot: str
    space: str  # its PID namespace; empty: cannot be looked up (simulated, another kind of machine)
    pid: int
    started: int  # clock ticks after boot


@dataclass(frozen=True, slots=True)
class Lease:
    """Who decides, until when. `beat` grows with each renewal."""

    holder: str
    epoch: int
    process: Process
    ttl_s: float
    ends_boottime: float
    ends_wall: float
    beat: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """Somebody else holds the lease. `ends_in_s`: at the latest then, if it is not renewed."""

    held_by: Lease
    ends_in_s: float

    def __str__(self) -> str:
        lease = self.held_by
        return (
            f"{lease.holder} (process {lease.process.pid}) holds the lease with epoch {lease.epoch};"
            f" it ends in {self.ends_in_s:.0f} s unless renewed"
        )


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

    def unchanged_for(self, lease: Lease, boottime: float) -> float:
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

    def remaining_s(self, lease: Lease, holder: str, now_wall: float) -> float:
        """For how long `holder` may not take this lease; 0 or less: it may. See the table above."""
        own = lease.holder == holder and lease.process == self.process
        if own or self.gone(lease.process):
            return 0.0
        now = self.clocks.boottime()
        unchanged_s = self.watch.unchanged_for(lease, now)
        same_boot = lease.process.boot == self.clocks.boot()
        ends_in_s = lease.ends_boottime - now if same_boot else lease.ends_wall - now_wall
        return min(ends_in_s, lease.ttl_s - unchanged_s)

    def grant(self, holder: str, epoch: int, now_wall: float, ttl_s: float) -> Lease:
        """A new lease for this process from now on."""
        return Lease(holder, epoch, self.process, ttl_s, self.clocks.boottime() + ttl_s, now_wall + ttl_s)

    def extended(self, lease: Lease, now_wall: float) -> Lease:
        """The same lease, renewed now."""
        ends = self.clocks.boottime() + lease.ttl_s
        return replace(lease, ends_boottime=ends, ends_wall=now_wall + lease.ttl_s, beat=lease.beat + 1)


def this_process(boot: str) -> Process:
    """The process that runs this."""
    return Process(boot, _space(), os.getpid(), _started(os.getpid()) or 0)


def is_gone(process: Process) -> bool:
    """Is it proven that this process has ended? False also when it cannot be told from here.

    Proof needs the same kernel (boot id) and the same process space: there, no process of that number, a later one
    that got the same number, or one that has ended and was not collected yet.
    """
    shift = shift_ns()
    if not process.space or process.space != _space() or shift is None or process.boot != boot_id():
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it exists and belongs to somebody else: the start time decides
    started = _started(process.pid)
    rounded = 1 if shift % TICK_NS else 0  # a shift that is no whole number of ticks
    return started is not None and (abs(started - process.started) > rounded or _is_ended(process.pid))


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the name, which may contain anything. Empty: not to be read.

    A /proc of another process space (a container with the host's) shows other processes under these numbers.
    """
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return []
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _started(pid: int) -> int | None:
    """Ticks from the machine's boot to its start: /proc shows it as this process's time namespace shifts it."""
    fields = _stat(pid)
    shift = (shift_ns() or 0) // TICK_NS
    return int(fields[19]) - shift if len(fields) > 19 else None  # field 22 of proc(5)


def _is_ended(pid: int) -> bool:
    """A zombie, and not merely one whose first thread has ended."""
    try:
        return _stat(pid)[:1] == ["Z"] and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except OSError:
        return False
