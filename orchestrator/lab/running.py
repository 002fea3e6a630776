"""What runs on a host, seen from outside through /proc, without asking the host anything.

The one rule it keeps: looking changes nothing, and a host that goes away while it is looked at has nothing running.
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
        ports = _listening(pid)
    except OSError:
        return ["it went away"]
    expected = {service.name: service.port for service in equipment.services(host)}
    found = []
    for name in enabled:
        port = expected.get(name)
        if not _runs(root, name):
            found.append(f"service {name} is not running")
        elif port is not None and port not in ports:
            found.append(f"service {name} does not listen on port {port} yet")
    return found


def _runs(root: Path, service: str) -> bool:
    """Whether the process that the pid file names is there."""
    try:
        return (root / "proc" / (root / f"run/{service}.pid").read_text().strip() / "stat").exists()
    except (OSError, ValueError):
        return False


def _listening(pid: int) -> set[int]:
    """The ports on which something waits in the network namespace of a process, TCP and UDP."""
    ports = set()
    for table, state in _LISTENS.items():
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == state:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports
