"""What machine the figures come from. The one rule it keeps: facts that can be read, nothing that names its owner."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any


def facts() -> dict[str, Any]:
    """Processor, memory, kernel, Python, and how busy it is now."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "distribution": _distribution(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def described(told: dict[str, Any]) -> str:
    """One sentence for a reader of a table."""
    return (
        f"{told['cores']} cores ({told['processor']}), {told['memory_gib']} GiB, Linux {told['kernel']}, "
        f"{told['distribution']}, Python {told['python']}"
    )


def stolen_share() -> tuple[float, float]:
    """CPU seconds that a hypervisor took away, and all CPU seconds, since the machine's start."""
    fields = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    tick = os.sysconf("SC_CLK_TCK")
    return fields[7] / tick, sum(fields) / tick


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
