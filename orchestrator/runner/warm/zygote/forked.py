# SPDX-License-Identifier: GPL-3.0-or-later
"""What a forked child does: it becomes the `ansible-playbook` that its caller would have started.

The one rule it keeps: before the caller's "go" nothing has happened, and everything that the caller needs to find and
end it is in place: its own session, the mark in /proc/PID/environ, itself as the reaper of what it detaches.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import json
import marshal
import os
import random
import resource
import select
import signal
import socket
import sys
import tempfile
import termios
import time
import traceback
from collections.abc import Callable
from typing import Any

from orchestrator.runner import settings

GO_LIMIT_S = 30.0
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
EXIT_STALE = 75
GARBAGE = 50_000  # objects before any is looked for: a look touches, and so copies, pages that are shared


def answer(caller: socket.socket, built: Any) -> None:
    """Serve one call; never returns."""
    request = receive(caller)
    if request is None:
        os._exit(0)
    call, terminal = request
    mark = call["env"].get(settings.MARK, "")
    why = built.refusal(call["cwd"], call["env"])
    if not why and len(mark) != len(settings.NO_MARK):
        why = "it carries no mark of an attempt"
    if why:
        say(caller, {"refused": why})
        os._exit(EXIT_STALE)
    ctypes.memmove(built.mark_at, mark.encode(), len(mark))
    become(call, terminal, built)
    say(caller, {"ready": os.getpid()})
    if not select.select([caller], [], [], GO_LIMIT_S)[0] or caller.recv(1) != b"g":
        os._exit(0)
    code = play(call["argv"])
    say(caller, {"ended": code})
    os.closerange(0, 3)  # who reads the terminal need not wait until the kernel has taken all this memory apart
    os._exit(code)


def receive(caller: socket.socket) -> tuple[dict[str, Any], int] | None:
    """The call and its terminal; None if the caller has gone."""
    caller.settimeout(GO_LIMIT_S)
    try:
        data, descriptors, _, _ = socket.recv_fds(caller, 65536, 1)
        while data and not data.endswith(b"\n"):
            more = caller.recv(65536)
            if not more:
                return None
            data += more
    except OSError:
        return None
    caller.settimeout(None)
    return (json.loads(data), descriptors[0]) if data and descriptors else None


def say(caller: socket.socket, message: dict[str, Any]) -> None:
    """To the caller, if there still is one."""
    try:
        caller.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        pass


def become(call: dict[str, Any], terminal: int, built: Any, *, terminal_is_ours: bool = True) -> None:
    """Take over everything that a process inherits from who starts it."""
    gc.set_threshold(GARBAGE)
    adopt()
    rename(b"ansible-playboo")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as ansible-runner has it
    os.setsid()
    asks = terminal_is_ours and call.get("answers", False)
    if asks:
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    sys.stdout.flush()
    sys.stderr.flush()
    for descriptor in (0, 1, 2):
        os.dup2(terminal, descriptor)
    if not asks:  # nobody is at a keyboard: whatever asks must see that at once
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
    if terminal > 2:
        os.close(terminal)
    os.environ.clear()
    os.environ.update(call["env"])
    time.tzset()
    os.umask(call["umask"])
    resource.setrlimit(resource.RLIMIT_NOFILE, tuple(call["files"]))
    os.chdir(call["cwd"])
    tempfile.tempdir = None
    random.seed()
    sys.argv = call["argv"]
    from orchestrator.runner.warm.zygote import loading

    loading.renew()


def rename(name: bytes) -> None:
    """What a process list calls this process; at most 15 bytes."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name, 0, 0, 0)


def adopt() -> None:
    """From now on what its children leave behind is its own child."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def elsewhere(task: Callable[[], Any]) -> Any:
    """What a task returns, done in a fork: what it takes of memory, and leaves in Ansible, is not every child's.

    Of plain Python's types. None if it did not end well.
    """
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            data = marshal.dumps(task())
            with open(theirs, "wb") as stream:
                stream.write(data)
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as stream:
        data = stream.read()
    os.waitpid(pid, 0)
    try:
        return marshal.loads(data)  # noqa: S302, of our own child
    except (EOFError, ValueError, TypeError):
        return None


def exit_code(program: Callable[[], object]) -> int:
    """Run it as an interpreter would: its exit code; what it raises is told on standard error."""
    try:
        program()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def play(argv: list[str]) -> int:
    """Run it as the `ansible-playbook` program does; returns its exit code."""
    from ansible.cli.playbook import PlaybookCLI

    code = exit_code(lambda: PlaybookCLI.cli_executor(argv))
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            pass
    return code & 0xFF
