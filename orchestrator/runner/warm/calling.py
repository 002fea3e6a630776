"""Calls a zygote in the place of a process: what ansible-runner would spawn, a zygote forks.

The one rule it keeps: a call that cannot be served within its time has done nothing, and the real program serves it
then. Only a child that was told "go" runs a playbook. It is told once, when nothing can fall back any more.

    caller -> child   {"argv", "env", "cwd", "umask", "files"} and the terminal; then "g"
    child  -> caller  {"refused": WHY}, or {"ready": PID}; then {"ended": CODE}
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import select
import signal
import socket
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pexpect
from pexpect.fdpexpect import fdspawn

READY_LIMIT_S = 2.0
END_LIMIT_S = 2.0  # for the zygote to say how a child ended whose terminal is closed
ROWS, COLUMNS = 24, 80  # pexpect's


class CannotServe(Exception):
    """Why a call was not served; nothing of it has happened."""


class Line:
    """A stream of messages, one JSON object a line."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.heard = b""


def hear(line: Line, until: float | None) -> dict[str, Any] | None:
    """The next message; None at the end. `until`: of the monotonic clock. Raises TimeoutError."""
    while b"\n" not in line.heard:
        left = None if until is None else until - time.monotonic()
        if (left is not None and left <= 0) or not select.select([line.stream], [], [], left)[0]:
            raise TimeoutError("the warm executor did not answer in time")
        try:
            data = line.stream.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            return None
        line.heard += data
    text, _, line.heard = line.heard.partition(b"\n")
    found = json.loads(text)
    return found if isinstance(found, dict) else None


class WarmSpawn(fdspawn):  # type: ignore[misc]
    """A child of the zygote, with the interface of `pexpect.spawn` that ansible-runner uses."""

    def __init__(
        self, stream: socket.socket, call: Mapping[str, Any], *, encoding: str, codec_errors: str, use_poll: bool
    ) -> None:
        """Raises CannotServe; then the stream is closed, and whatever was forked for it ends by itself."""
        self._stream = stream
        self._line = Line(stream)
        ours, theirs = pty.openpty()
        try:
            try:
                _set_terminal(theirs)
                self.pid = self._call(call, theirs)
            finally:
                os.close(theirs)
        except (OSError, ValueError) as error:
            stream.close()
            os.close(ours)
            raise CannotServe(str(error) or type(error).__name__) from error
        super().__init__(ours, encoding=encoding, codec_errors=codec_errors, use_poll=use_poll, maxread=65536)
        self.delayafterread = None
        self.exitstatus: int | None = None

    def _call(self, call: Mapping[str, Any], terminal: int) -> int:
        until = time.monotonic() + READY_LIMIT_S
        self._stream.settimeout(READY_LIMIT_S)
        data = json.dumps(call).encode() + b"\n"
        sent = socket.send_fds(self._stream, [data], [terminal])
        if sent < len(data):
            self._stream.sendall(data[sent:])
        said = hear(self._line, until)
        if said is None:
            raise ValueError("the warm executor ended")
        if "ready" not in said:
            raise ValueError(str(said.get("refused", "the warm executor could not start it")))
        self._stream.sendall(b"g")
        return int(said["ready"])

    def isalive(self) -> bool:
        """Whether it has not ended; waits for its end once its terminal is closed."""
        if self.exitstatus is not None:
            return False
        wait_s = END_LIMIT_S if self.flag_eof else 0.0
        if not select.select([self._stream], [], [], wait_s)[0] and b"\n" not in self._line.heard:
            return True
        try:
            said = hear(self._line, time.monotonic() + END_LIMIT_S)
        except TimeoutError:
            return True
        code = int(said.get("ended", 255)) if said is not None else 255
        self.exitstatus = code if code >= 0 else 128 - code
        return False

    def close(self, force: bool = True) -> None:
        """Let go of terminal and stream."""
        super().close()
        self._stream.close()


class Pexpect:
    """What ansible-runner uses of the module `pexpect`, with another `spawn`."""

    EOF = pexpect.EOF
    TIMEOUT = pexpect.TIMEOUT
    exceptions = pexpect.exceptions

    def __init__(self, spawn: Callable[..., Any]) -> None:
        self.spawn = spawn


def spawner(
    stream: socket.socket | None,
    warm: Callable[[int], None],
    cold: Callable[[str], None],
) -> Callable[..., Any]:
    """A stand-in for `pexpect.spawn` that calls a zygote first.

    Afterwards `warm` is told the child's process id, or `cold` why the real program was started (empty: there was no
    `stream` to call by). At its terminal it has only its output: nobody is at a keyboard, so whatever asks must see
    that at once.
    """

    def spawn(
        command: str,
        args: Sequence[str] = (),
        *,
        cwd: str,
        env: Mapping[str, str],
        encoding: str = "utf-8",
        codec_errors: str = "strict",
        use_poll: bool = False,
        **options: Any,
    ) -> Any:
        reason = ""
        if stream is not None:
            call = {
                "argv": [command, *args],
                "env": dict(env),
                "cwd": os.path.abspath(cwd),
                "umask": _umask(),
                "files": resource.getrlimit(resource.RLIMIT_NOFILE),
            }
            try:
                child = WarmSpawn(stream, call, encoding=encoding, codec_errors=codec_errors, use_poll=use_poll)
            except CannotServe as why:
                reason = str(why)
            else:
                warm(child.pid)
                return child
        cold(reason)
        program = pexpect.spawn(
            command,
            list(args),
            cwd=cwd,
            env=env,
            encoding=encoding,
            codec_errors=codec_errors,
            use_poll=use_poll,
            maxread=65536,
            preexec_fn=_without_keyboard,
            **options,
        )
        program.delayafterread = None
        program.ptyproc.delayafterclose = 0.01  # it has ended already when ansible-runner closes it
        return program

    return spawn


def _without_keyboard() -> None:
    """In a child that is about to be a program: no terminal controls it, and nothing can be read."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # letting go of the terminal sends it; ansible-runner ignores it, too
    terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(terminal, termios.TIOCNOTTY)
    os.close(terminal)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _umask() -> int:
    found = os.umask(0o077)
    os.umask(found)
    return found


def _set_terminal(terminal: int) -> None:
    """As pexpect has it: no echo, 24 by 80."""
    mode = termios.tcgetattr(terminal)
    mode[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, mode)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
