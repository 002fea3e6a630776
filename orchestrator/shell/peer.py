"""Who is at the other end of a local socket, or who runs this command: as the kernel says.

The one rule it keeps: only what the kernel keeps is trusted: the process, its user, and the login with which its
session began (which `sudo` and `su` do not change). $SUDO_USER is only what a process says of itself.
"""

from __future__ import annotations

import errno
import os
import pwd
import select
import socket
import struct
from pathlib import Path

from orchestrator.core.events import Peer

NO_SESSION = 4294967295  # of no login: started at boot, or where the kernel keeps no such account
SO_PEERPIDFD = 77  # Linux 6.5; no name in Python yet


def peer_of(connection: socket.socket, claims: str = "") -> Peer:
    """The process at the other end of this connection. `claims`: what it says of itself."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _gid = struct.unpack("3i", raw)
    return _peer(pid, uid, claims)


def has_ended(connection: socket.socket, peer: Peer) -> bool:
    """Whether the process that made this connection is gone. Ask after `peer_of`: what that read is then nobody's.

    It may have ended to be taken for one without a session, or for whoever gets its number next.
    """
    try:
        process = connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except ProcessLookupError:
        return True
    except OSError:  # an older kernel
        try:
            process = os.pidfd_open(peer.pid)
        except ProcessLookupError:
            return True
        except OSError as error:
            return error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EPERM)  # of another process space; not to ask
    try:
        ended = select.poll()
        ended.register(process, select.POLLIN)
        return bool(ended.poll(0))
    finally:
        os.close(process)


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
