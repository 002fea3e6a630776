"""`ansible-playbook` for a person: with the terminal, the pipes and the descriptors of whoever started it.

The one rule it keeps: its options, its output, its questions and its exit code are `ansible-playbook`'s own. Where a
zygote can play it, that is not noticed; where it cannot, the program itself is started in this process's place.

Where standard input is a terminal, a zygote's child has a terminal of its own, and this process passes keystrokes and
output on; pipes and files are handed over as they are.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import json
import os
import pty
import resource
import select
import signal
import socket
import subprocess
import termios
import time
import tty
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from orchestrator.runner.warm.calling import READY_LIMIT_S, Line, hear

HIGHEST = 300  # descriptors from here on are not handed over: see `zygote.__main__.LOW`
_PR_SET_PDEATHSIG = 1
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


class Cold(Exception):
    """Why a zygote cannot play it; nothing of it has happened."""


def play_cold(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Start the program itself, with everything of this process's; its exit code, 128 + N after signal N."""
    end_with_us = functools.partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    process = subprocess.Popen(
        [*argv],
        env=dict(environment),
        close_fds=False,
        preexec_fn=end_with_us,  # noqa: PLW1509, no thread has been started here
    )
    with _signals_to(process.pid, group=False):
        code = process.wait()
    return code if code >= 0 else 128 - code


def play_warm(stream: socket.socket, argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Have a zygote's child play it; its exit code. Raises Cold, before anything of it has happened."""
    with stream:
        descriptors = _descriptors()
        terminal = _terminal()
        ours: int | None = None
        sent = list(descriptors)
        theirs = None
        if terminal is not None:
            ours, theirs = pty.openpty()
            termios.tcsetattr(theirs, termios.TCSANOW, termios.tcgetattr(terminal))
            _copy_size(terminal, theirs)
            sent = [theirs, *(theirs if os.isatty(number) else number for number in descriptors)]
        try:
            pid = _ask(stream, argv, environment, descriptors, sent, terminal is not None)
        except BaseException:
            if ours is not None:
                os.close(ours)
            raise
        finally:
            if theirs is not None:
                os.close(theirs)
        line = Line(stream)
        with _signals_to(pid, group=True):
            stream.sendall(b"g")
            if ours is None or terminal is None:
                return _end(line)
            with _passing_on(terminal, ours):
                return _relay(line, terminal, ours)


def _ask(
    stream: socket.socket,
    argv: Sequence[str],
    environment: Mapping[str, str],
    descriptors: Sequence[int],
    sent: Sequence[int],
    terminal: bool,
) -> int:
    call = {
        "argv": list(argv),
        "env": dict(environment),
        "cwd": os.getcwd(),
        "umask": _umask(),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "descriptors": list(descriptors),
        "terminal": terminal,
        "ignored": [n for n in _FORWARDED if signal.getsignal(n) is signal.SIG_IGN],
    }
    data = json.dumps(call).encode() + b"\n"
    stream.settimeout(READY_LIMIT_S)
    try:
        count = socket.send_fds(stream, [data], list(sent))
        if count < len(data):
            stream.sendall(data[count:])
        said = hear(Line(stream), time.monotonic() + READY_LIMIT_S)
    except OSError as error:
        raise Cold(str(error)) from error
    if said is None or "ready" not in said:
        raise Cold(str((said or {}).get("refused", "the warm executor ended")))
    stream.settimeout(None)
    return int(said["ready"])


def _end(line: Line) -> int:
    said = hear(line, None)
    code = int(said.get("ended", 255)) if said is not None else 255
    return code if code >= 0 else 128 - code


def _descriptors() -> list[int]:
    """What a program started here would inherit. Raises Cold where that cannot be handed over."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        try:
            if number < 3 or os.get_inheritable(number):
                found.append(number)
        except OSError:
            continue  # the directory's own
    if any(number >= HIGHEST for number in found):
        raise Cold("it is handed a descriptor of a high number")
    return sorted(found)


def _terminal() -> int | None:
    """The terminal that it is used at, if it is. Raises Cold where only the program itself can use it."""
    try:
        own = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        if any(os.isatty(number) for number in (0, 1, 2) if _is_open(number)):
            raise Cold("its terminal is another session's") from None
        return None
    os.close(own)
    if not (_is_open(0) and os.isatty(0)):
        raise Cold("there is a terminal, and standard input is none: who asks there is not known")
    if os.tcgetpgrp(0) != os.getpgrp():
        raise Cold("it was started in the background of a terminal")
    return 0


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _copy_size(terminal: int, to: int) -> None:
    fcntl.ioctl(to, termios.TIOCSWINSZ, fcntl.ioctl(terminal, termios.TIOCGWINSZ, b"\0" * 8))


@contextmanager
def _passing_on(terminal: int, ours: int) -> Iterator[None]:
    """Meanwhile keystrokes are the other terminal's to interpret, and it has this one's size."""
    before = termios.tcgetattr(terminal)
    resized = signal.signal(signal.SIGWINCH, lambda number, frame: _copy_size(terminal, ours))
    _copy_size(terminal, ours)
    tty.setraw(terminal, termios.TCSADRAIN)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, resized)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        os.close(ours)


def _relay(line: Line, terminal: int, ours: int) -> int:
    """Pass on until it has ended and its last output is shown."""
    shown = next(number for number in (1, 2, terminal) if _is_open(number) and os.isatty(number))
    code: int | None = None
    listening = [ours, terminal, line.stream.fileno()]
    while True:
        ready = select.select(listening, [], [], None if code is None else 0.0)[0]
        if ours in ready:
            try:
                data = os.read(ours, 65536)
            except OSError:  # nobody has the other end open any more
                data = b""
            if data:
                _write(shown, data)
            else:
                listening.remove(ours)
        if terminal in ready and code is None:
            typed = os.read(terminal, 4096)
            if typed:
                _write(ours, typed)
            else:
                listening.remove(terminal)
        if line.stream.fileno() in ready and code is None:
            code = _end(line)
            listening = [number for number in listening if number == ours]
        if code is not None and not ready:
            return code


def _write(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]


@contextmanager
def _signals_to(pid: int, *, group: bool) -> Iterator[None]:
    """Meanwhile a signal that this process gets is the playbook's."""

    def forward(number: int, frame: Any) -> None:
        try:
            (os.killpg if group else os.kill)(pid, number)
        except ProcessLookupError:
            pass  # it has just ended

    def leave(number: int, frame: Any) -> None:
        """The terminal has told both."""

    told = not group and _is_open(0) and os.isatty(0)
    before = {}
    for number in _FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:  # else the playbook ignores it as well
            by_terminal = told and number in (signal.SIGINT, signal.SIGQUIT)
            before[number] = signal.signal(number, leave if by_terminal else forward)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _umask() -> int:
    found = os.umask(0o077)
    os.umask(found)
    return found
