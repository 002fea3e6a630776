"""CPU time of processes, to the nanosecond where the kernel tells it.

The one rule it keeps: only who is named is counted. Whatever generates load, or answers it, is somebody else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path


def of_processes(pids: Iterable[int]) -> float:
    """CPU seconds of these processes, all their threads, those that have ended too. Raises OSError if one is gone."""
    return sum(_of_process(pid) for pid in pids)


def of_tree(pid: int) -> float:
    """CPU seconds of a process, of its descendants that live, and of those that it, or they, have waited for."""
    return sum(_of_process(each) + _waited_for(each) for each in tree(pid))


def tree(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for parent in found:
        try:
            for thread in os.listdir(f"/proc/{parent}/task"):
                found += map(int, Path(f"/proc/{parent}/task/{thread}/children").read_text().split())
        except OSError:
            continue  # it has ended meanwhile
    return found


def resident_mib(pid: int) -> float:
    """Memory of a process that is in RAM and its own, in MiB; what is shared counts by its share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/{pid}/smaps_rollup has no Pss")


def _of_process(pid: int) -> float:
    """The process's own clock; /proc's counters go in ticks of 10 ms."""
    # A process's CPU clock as clock_getcpuclockid(3) makes it of its id: of all its threads, user and system.
    return time.clock_gettime((~pid << 3) | 2)


def _waited_for(pid: int) -> float:
    """Of children that have ended: ticks are all that there is."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
