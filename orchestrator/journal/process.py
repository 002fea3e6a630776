"""A process of this machine, named for good, and whether it has ended.

The one rule it keeps: that a process has ended is said only where it is proven: by the same kernel, in the same process
space, where nothing has that number that began in that moment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from orchestrator.journal.clocks import boot_id, shift_ns

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """A process, named so that its number being used again does not confuse: boot, process space, number, start."""

    boot: str
    space: str  # its PID namespace; empty: cannot be looked up (simulated, another kind of machine)
    pid: int
    started: int  # clock ticks after boot


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
