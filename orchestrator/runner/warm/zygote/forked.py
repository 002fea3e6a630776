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
F_SETSIG = 10  # of Linux
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
EXIT_STALE = 75
GARBAGE = 50_000  # objects before any is looked for: a look touches, and so copies, pages that are shared


def answer(caller: socket.socket, built: Any) -> None:
    """Serve one call; never returns."""
    request = receive(caller)
    if request is None:
        os._exit(0)
    call, descriptors = request
    mark = call["env"].get(settings.MARK, "")
    why = built.refusal(call["cwd"], call["env"])
    if not why and len(mark) != len(settings.NO_MARK):
        why = "it carries no mark of an attempt"
    if why:
        say(caller, {"refused": why})
        os._exit(EXIT_STALE)
    ctypes.memmove(built.mark_at, mark.encode(), len(mark))
    become(call, descriptors, built)
    say(caller, {"ready": os.getpid()})
    if not select.select([caller], [], [], GO_LIMIT_S)[0] or caller.recv(1) != b"g":
        os._exit(0)
    if "descriptors" in call:
        end_with(caller)
    code = play(call["argv"])
    fcntl.fcntl(caller, fcntl.F_SETFL, 0)  # see `end_with`: it blocks again, and its news does not interrupt this
    say(caller, {"ended": code})
    os.closerange(0, 3)  # who reads the terminal need not wait until the kernel has taken all this memory apart
    os._exit(code)


def receive(caller: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The call and the descriptors that came with it; None if the caller has gone."""
    caller.settimeout(GO_LIMIT_S)
    try:
        data, descriptors, _, _ = socket.recv_fds(caller, 65536, 250)
        while data and not data.endswith(b"\n"):
            more = caller.recv(65536)
            if not more:
                return None
            data += more
    except OSError:
        return None
    caller.settimeout(None)
    return (json.loads(data), list(descriptors)) if data and descriptors else None


def say(caller: socket.socket, message: dict[str, Any]) -> None:
    """To the caller, if there still is one."""
    try:
        caller.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        pass


def become(call: dict[str, Any], descriptors: list[int], built: Any, *, terminal_is_ours: bool = True) -> None:
    """Take over everything that a process inherits from who starts it.

    `descriptors`: each has the number, from 0, that the call says; one alone is a terminal, for all three.
    """
    gc.set_threshold(GARBAGE)
    adopt()
    rename(b"ansible-playboo")
    for number in call.get("ignored", [signal.SIGHUP]):  # as ansible-runner has it
        signal.signal(number, signal.SIG_IGN)
    os.setsid()
    attached = "descriptors" in call
    asks = terminal_is_ours and attached and call.get("terminal", False)
    if asks:
        fcntl.ioctl(descriptors[0], termios.TIOCSCTTY, 0)
    sys.stdout.flush()
    sys.stderr.flush()
    for number, given in zip(*_numbers(call, descriptors), strict=True):
        os.dup2(given, number)
    if not asks and not attached:  # nobody is at a keyboard: whatever asks must see that at once
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
    for given in descriptors:
        if given > 2:
            os.close(given)  # no number that stays: see `__main__.leave_low_descriptors_free`
    os.environ.clear()
    os.environ.update(call["env"])
    sys.pycache_prefix = os.environ.get(settings.PREFIX) or None
    time.tzset()
    os.umask(call["umask"])
    resource.setrlimit(resource.RLIMIT_NOFILE, tuple(call["files"]))
    os.chdir(call["cwd"])
    tempfile.tempdir = None
    random.seed()
    sys.argv = call["argv"]
    from orchestrator.runner.warm.zygote import loading

    loading.renew()


def _numbers(call: dict[str, Any], descriptors: list[int]) -> tuple[list[int], list[int]]:
    numbers = call.get("descriptors")
    return ([0, 1, 2], descriptors * 3) if numbers is None else (numbers, descriptors[-len(numbers) :])


def end_with(caller: socket.socket) -> None:
    """From now on this playbook is interrupted when its caller goes."""
    fcntl.fcntl(caller, fcntl.F_SETOWN, os.getpid())
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    fcntl.fcntl(caller, F_SETSIG, signal.SIGTERM if ignored else signal.SIGINT)
    fcntl.fcntl(caller, fcntl.F_SETFL, fcntl.fcntl(caller, fcntl.F_GETFL) | os.O_ASYNC)


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
