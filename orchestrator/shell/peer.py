"""Who is at the other end of a local socket, or who runs this command: as the kernel says.

The one rule it keeps: only what the kernel keeps is trusted: the process, its user, and the login with which its
session began (which `sudo` and `su` do not change). $SUDO_USER is only what a process says of itself.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from pathlib import Path

from orchestrator.core.events import Peer

NO_SESSION = 4294967295  # of no login: started at boot, or where the kernel keeps no such account


def peer_of(connection: socket.socket, claims: str = "") -> Peer:
    """The process at the other end of this connection. `claims`: what it says of itself."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _gid = struct.unpack("3i", raw)
    return _peer(pid, uid, claims)


def myself() -> Peer:
    """This process, for a word that no daemon hears."""
    return _peer(os.getpid(), os.getuid(), claimed())


def claimed() -> str:
    """Who called sudo, as the environment has it: anybody may write there."""
    return os.environ.get("SUDO_USER", "")[:64]


def _peer(pid: int, uid: int, claims: str) -> Peer:
    return Peer(pid, uid, _login(uid), _session(pid), claims if claims.isprintable() else "")


def _session(pid: int) -> str:
    """The login of the session that a process is of."""
    try:
        uid = int(Path(f"/proc/{pid}/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return ""
    return "" if uid == NO_SESSION else _login(uid) or str(uid)


def _login(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""
