"""The few Linux calls that Python 3.11 does not have: namespaces, mounts, host name, process name.

Every failure is an OSError that names the call and its object.
"""

from __future__ import annotations

import ctypes
import os

NEW_MOUNT = 0x00020000
NEW_HOSTNAME = 0x04000000
NEW_IPC = 0x08000000
NEW_PID = 0x20000000
NEW_NETWORK = 0x40000000

READ_ONLY = 0x1
NO_SUID = 0x2
NO_DEVICES = 0x4
BIND = 0x1000
RECURSIVE = 0x4000
PRIVATE = 0x40000

_SET_PARENT_DEATH_SIGNAL = 1
_DETACH = 2  # MNT_DETACH
_SET_NAME = 15

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    """Raise the OSError that errno tells of, if the call failed."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` for new ones (a new PID namespace begins with the next child)."""
    _check(_libc.unshare(flags), f"unshare {flags:#x}")


def enter(path: str, flag: int) -> None:
    """Join the namespace that `path` (below /proc/PID/ns) names; this is per thread."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, flag), f"setns {path}")
    finally:
        os.close(descriptor)


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), os.fsencode(options) or None
    )
    _check(result, f"mount {kind or source} on {target}")


def unmount(target: str) -> None:
    """umount2(2), at once for whoever looks, and for good when nobody uses it any more."""
    _check(_libc.umount2(os.fsencode(target), _DETACH), f"umount {target}")


def bind(source: str | int, target: str) -> None:
    """Make `source` (a path, or an open descriptor of it) visible at `target`, with whatever is mounted below."""
    mount(source if isinstance(source, str) else f"/proc/self/fd/{source}", target, "", BIND | RECURSIVE)


def set_hostname(name: str) -> None:
    """sethostname(2), of this UTS namespace."""
    encoded = name.encode()
    _check(_libc.sethostname(encoded, len(encoded)), f"sethostname {name}")


def set_process_name(name: str) -> None:
    """What /proc/PID/comm says (15 bytes at most)."""
    _check(_libc.prctl(_SET_NAME, name.encode(), 0, 0, 0), "prctl PR_SET_NAME")


def die_with_parent(signal_number: int) -> None:
    """Be sent `signal_number` when the parent dies."""
    _check(_libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal_number, 0, 0, 0), "prctl PR_SET_PDEATHSIG")
