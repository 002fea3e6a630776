"""`ansible-playbook` for a person: with the terminal, the pipes and the descriptors of whoever started it.

The one rule it keeps: its options, its output, its questions and its exit code are those of `ansible-playbook`. If a
zygote can run it, nobody notices. If not, the program itself is started in this process's place.

If standard input is a terminal, the playbook has a terminal of its own, and this process passes keystrokes and output
on. So what targets print acts on nobody's terminal. Pipes and files are handed over as they are.
"""

from __future__ import annotations

import codecs
import ctypes
import fcntl
import json
import os
import pty
import re
import resource
import select
import signal
import socket
import subprocess
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from orchestrator.core.outside import visible
from orchestrator.runner.warm.calling import READY_LIMIT_S, Line, hear

HIGHEST = 300  # descriptors from here on are not handed over: see `zygote.__main__.LOW`
HELD_S = 0.05  # until the beginning of a sequence is taken for all of it
_PR_SET_PDEATHSIG = 1
# Colours, erasing to the end of a line, moving along it, pasting, showing the cursor; and what every line has.
_MAY_ACT = re.compile(r"(\x1b\[[0-9;]*[mKCDGP@]|\x1b\[\?(?:25|2004)[hl]|[\r\n\t\b\x07])")
_BEGUN = re.compile(r"\x1b(?:\[[?0-9;]{0,16})?\Z")
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


class Cold(Exception):
    """Why a zygote cannot play it; nothing of it has happened."""


def play_cold(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Start the program itself, with everything of this process's; its exit code, 128 + N after signal N."""
    try:
        terminal = _terminal()
    except Cold:  # it has the terminal itself
        terminal = None
    ours, theirs = _another_like(terminal) if terminal is not None else (-1, -1)
    prctl = ctypes.CDLL(None).prctl

    def begin() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if theirs >= 0:
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    streams = [theirs if theirs >= 0 and os.isatty(number) else None for number in (0, 1, 2)]
    try:
        process = subprocess.Popen(
            [*argv],
            env=dict(environment),
            close_fds=False,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            preexec_fn=begin,  # noqa: PLW1509, no thread has been started here
        )
    finally:
        if theirs >= 0:
            os.close(theirs)
    with _signals_to(process.pid, group=terminal is not None):
        if terminal is None:
            code = process.wait()
        else:
            ended = os.pidfd_open(process.pid)
            try:
                with _passing_on(terminal, ours):
                    code = _relay(ended, process.wait, terminal, ours)
            finally:
                os.close(ended)
    return code if code >= 0 else 128 - code


def play_warm(stream: socket.socket, argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Have a zygote's child play it; its exit code. Raises Cold, before anything of it has happened."""
    with stream:
        descriptors = _descriptors()
        terminal = _terminal()
        ours = theirs = -1
        sent = list(descriptors)
        if terminal is not None:
            ours, theirs = _another_like(terminal)
            sent = [theirs, *(theirs if os.isatty(number) else number for number in descriptors)]
        try:
            pid = _ask(stream, argv, environment, descriptors, sent, terminal is not None)
        except BaseException:
            if ours >= 0:
                os.close(ours)
            raise
        finally:
            if theirs >= 0:
                os.close(theirs)
        line = Line(stream)
        with _signals_to(pid, group=True):
            stream.sendall(b"g")
            if terminal is None:
                return _end(line)
            with _passing_on(terminal, ours):
                return _relay(stream.fileno(), lambda: _end(line), terminal, ours)


def _another_like(terminal: int) -> tuple[int, int]:
    """A terminal of its own for the playbook, as this one is now: our end, and its end."""
    ours, theirs = pty.openpty()
    termios.tcsetattr(theirs, termios.TCSANOW, termios.tcgetattr(terminal))
    _copy_size(terminal, theirs)
    return ours, theirs


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


def _relay(ended: int, end: Callable[[], int], terminal: int, ours: int) -> int:
    """Pass on until it has ended (`ended` can be read then) and its last output is shown; what `end` says of it."""
    shown = next(number for number in (1, 2, terminal) if _is_open(number) and os.isatty(number))
    harmless = Harmless()
    code: int | None = None
    listening = [ours, terminal, ended]
    while True:
        wait_s = 0.0 if code is not None else HELD_S if harmless.held else None
        ready = select.select(listening, [], [], wait_s)[0]
        if ours in ready:
            try:
                data = os.read(ours, 65536)
            except OSError:  # nobody has the other end open any more
                data = b""
            if data:
                _write(shown, harmless.pass_on(data))
            else:
                listening.remove(ours)
        elif harmless.held:
            _write(shown, harmless.rest())
        if terminal in ready and code is None:
            typed = os.read(terminal, 4096)
            if typed:
                _write(ours, typed)
            else:
                listening.remove(terminal)
        if ended in ready and code is None:
            code = end()
            listening = [number for number in listening if number == ours]
        if code is not None and not ready:
            return code


class Harmless:
    """What a playbook prints, as it may act on a terminal: its lines, its colours, and what an editor of a line needs.

    A target's words stand in it: whatever else moves the cursor, clears the screen, names the window or turns the
    direction of a line is written out.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self.held = ""

    def pass_on(self, data: bytes) -> bytes:
        """What of it may be shown now; the beginning of a sequence waits for its end."""
        text = self.held + self._decoder.decode(data)
        begun = _BEGUN.search(text)
        self.held = text[begun.start() :] if begun else ""
        return self._shown(text[: len(text) - len(self.held)])

    def rest(self) -> bytes:
        """What had begun, and did not go on."""
        text, self.held = self.held, ""
        return self._shown(text)

    @staticmethod
    def _shown(text: str) -> bytes:
        pieces = _MAY_ACT.split(text)
        return "".join(part if n % 2 else visible(part) for n, part in enumerate(pieces)).encode("utf-8", "replace")


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
