"""What a process hands on to those that it starts: its limits, its rank, its rights.

The one rule it keeps: what differs here may run differently there. A program that was left behind by a call with `nice`
or `ulimit` would hand these on to every later one.
"""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path

_PASSED_ON = "RLIMIT_NOFILE"  # each call says its own
_RIGHTS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Cpus_allowed", "Mems_allowed")
_SESSION = re.compile(r"/(?:session-\w+|[\w@.\\-]+-spawn-[\w-]+)\.scope")  # each login has another, with no limits


def inherited() -> dict[str, object]:
    """The same for two processes whose children run alike, as far as this machine tells."""
    status = dict(line.partition(":")[::2] for line in _said("status").splitlines())
    return {
        "limits": {
            name: resource.getrlimit(getattr(resource, name))
            for name in sorted(dir(resource))
            if name.startswith("RLIMIT_") and name != _PASSED_ON
        },
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "scheduler": [os.sched_getscheduler(0), os.sched_getparam(0).sched_priority],
        "rights": {name: status.get(name, "").strip() for name in _RIGHTS},
        "memory": [_said(name) for name in ("oom_score_adj", "personality", "attr/current")],
        "groups": _SESSION.sub("/session.scope", _said("cgroup")),
    }


def _said(name: str) -> str:
    try:
        return Path("/proc/self", name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
