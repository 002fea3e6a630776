"""What runs on a host, seen from outside through /proc, without asking the host anything.

The one rule it keeps: looking changes nothing. If a host disappears during the look, nothing runs on it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from orchestrator.lab import equipment

# The states in /proc/net that mean "waits here": TCP_LISTEN, and a UDP socket that is not connected.
_LISTENS = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}


def troubles(host: str, pid: int) -> list[str]:
    """Of the services that are enabled at boot: those that do not run, or do not listen yet, each as a sentence.

    `pid` is the host's init as seen from here. What is enabled is read from the host, where it may have been changed.
    """
    root = Path(f"/proc/{pid}/root")
    try:
        enabled = sorted(name[3:] for name in os.listdir(root / "etc/rc2.d") if re.match(r"S\d\d", name))
    except OSError:
        return ["it went away"]
    expected = {service.name: service.port for service in equipment.services(host)}
    found = []
    for name in enabled:
        port = expected.get(name)
        if not _runs(root, name):
            found.append(f"service {name} is not running")
        elif port is not None and not _listens(pid, port):
            found.append(f"service {name} does not listen on port {port} yet")
    return found


def _runs(root: Path, service: str) -> bool:
    """Whether the process that the pid file names is there."""
    try:
        return (root / "proc" / (root / f"run/{service}.pid").read_text().strip() / "stat").exists()
    except (OSError, ValueError):
        return False


def _listens(pid: int, port: int) -> bool:
    """Whether something waits on this port, TCP or UDP, in the network namespace of a process.

    The tables are read no further than needed: what listens comes first, and the rest makes the kernel walk its
    whole (machine-wide, large) table of connections.
    """
    wanted = f":{port:04X}"
    for table, state in _LISTENS.items():
        try:
            with Path(f"/proc/{pid}/net/{table}").open() as lines:
                for line in lines:
                    fields = line.split(maxsplit=4)
                    if fields[1].endswith(wanted) and fields[3] == state:
                        return True
        except OSError:  # a kernel without IPv6, or the host has just gone away
            continue
    return False
