# SPDX-License-Identifier: GPL-3.0-or-later
"""A child that was forked before its call came, and has its memory to itself by then.

The one rule it keeps: it is the child that would be forked now, only earlier. It has read nothing that can change
meanwhile. When it is given a call, it begins like any other child. It ends with the zygote.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket

from orchestrator.runner.warm.zygote.forked import rename

_PR_SET_PDEATHSIG = 1
_MADV_POPULATE_WRITE = 23  # Linux 5.14; before that, pages are copied when they are touched, as ever


class Spare:
    """The zygote's handle on it."""

    def __init__(self, pid: int, stream: socket.socket) -> None:
        self.pid = pid
        self._stream = stream

    def give(self, caller: socket.socket) -> bool:
        """Hand it its call; whether it was there to take it."""
        try:
            socket.send_fds(self._stream, [b"c"], [caller.fileno()])
        except OSError:
            return False
        finally:
            self.close()
        return True

    def close(self) -> None:
        """Let go of it: without a call it ends."""
        self._stream.close()


def wait(stream: socket.socket) -> socket.socket:
    """In the child: the caller's stream, once there is a call; does not return without one."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # even if it hangs
    rename(b"bascule-spare")
    own_memory()
    _, descriptors, _, _ = socket.recv_fds(stream, 1, 1)
    if not descriptors:
        os._exit(0)
    libc.prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)  # what plays goes on without a zygote
    stream.close()
    return socket.socket(fileno=descriptors[0])


def own_memory() -> None:
    """Have the kernel copy all that is shared with the zygote now, not page by page while a playbook waits for it."""
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with contextlib.suppress(OSError), open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
        for line in maps.readlines():
            where, may, *_ = line.split()
            if may == "rw-p":
                start, end = (int(part, 16) for part in where.split("-"))
                advise(start, end - start, _MADV_POPULATE_WRITE)
