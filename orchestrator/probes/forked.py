"""The template process: imports one module, then forks for every question. See `forks.py`.

The one rule it keeps: no fork outlives it, and it does not outlive the program that started it. It ends when its socket
is closed, or when the kernel tells it that its parent is dead (somebody may have inherited the socket's other end). It
kills each fork's whole process group before it reaps the fork.

    from the parent   ("ask", number, Call)   ("kill", number, None)
                      ("keep", number, None) with a socket: a fork that answers question after question there, in
                      turn (Call in, raw out), with what the module's `keep()` returns, until it closes
    to the parent     ("ready", 0, None)  ("trouble", 0, why)  from the template
                      ("answer", number, raw)                  from a fork
                      ("ended", number, how)                   from the template, after a fork's answer if it gave one
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import pickle
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from orchestrator.probes.forks import MESSAGE_MAX_BYTES, Call
from orchestrator.probes.results import NotAsked, Raw

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, with_signal: int) -> None:
    """Have the kernel send this process a signal when its parent dies; end at once if it is dead already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, with_signal, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


class Template:
    """Forks for questions, kills and reaps."""

    def __init__(self, module: Any, wire: socket.socket) -> None:
        self._module = module
        self._wire = wire
        self._forks: dict[int, int] = {}  # process id to question number
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)

    def run(self) -> None:
        """Until the socket closes or a signal says so."""
        signal.set_wakeup_fd(self._wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake up
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.collect()
        gc.freeze()  # the forks' collectors would copy every page otherwise
        self._wire.send(pickle.dumps(("ready", 0, None)))
        poll = select.poll()
        poll.register(self._wire, select.POLLIN | select.POLLHUP)
        poll.register(self._woken, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._woken:
                    self._drain()
                    self._reap()
                elif not self._hear():
                    self._stop()

    def _hear(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._wire, MESSAGE_MAX_BYTES + 4096, 1)
        if not data:
            return False
        word, number, call = pickle.loads(data)  # noqa: S301  # from the program that started us
        if word == "ask":
            self._fork(number, lambda: self._answer(number, call))
        elif word == "keep":
            with socket.socket(fileno=descriptors[0]) as wire:
                self._fork(number, lambda: self._keep(wire))
        elif word == "kill":
            for process, asked in self._forks.items():
                if asked == number:
                    _kill_group(process)
        return True

    def _fork(self, number: int, work: Callable[[], None]) -> None:
        try:
            process = os.fork()
        except OSError as error:
            self._wire.send(pickle.dumps(("ended", number, f"cannot fork: {error.strerror}")))
            return
        if process == 0:
            self._begin(work)
        try:
            os.setpgid(process, process)  # both sides do it: whoever comes first
        except OSError:
            pass  # it has done so and ended already
        self._forks[process] = number

    def _begin(self, work: Callable[[], None]) -> NoReturn:
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            die_with_parent(_template, signal.SIGKILL)
            work()
        finally:
            os._exit(0)

    def _answer(self, number: int, call: Call) -> None:
        raw = _guarded(self._module.answer, call)
        data = pickle.dumps(("answer", number, raw))
        if len(data) > MESSAGE_MAX_BYTES:
            data = pickle.dumps(("answer", number, _too_long(data)))
        self._wire.send(data)

    def _keep(self, wire: socket.socket) -> None:
        answer = self._module.keep()
        while data := wire.recv(MESSAGE_MAX_BYTES + 4096):
            raw = _guarded(answer, pickle.loads(data))  # noqa: S301  # from the program that started us
            data = pickle.dumps(raw)
            wire.send(data if len(data) <= MESSAGE_MAX_BYTES else pickle.dumps(_too_long(data)))

    def _drain(self) -> None:
        try:
            while os.read(self._woken, 4096):
                pass
        except BlockingIOError:
            return

    def _reap(self) -> None:
        while self._forks:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            process = ended.si_pid
            _kill_group(process)  # what it left running; its id is not free before it is reaped
            os.waitpid(process, 0)
            number = self._forks.pop(process, None)
            if number is not None:
                how = f"exit {ended.si_status}" if ended.si_code == os.CLD_EXITED else f"signal {ended.si_status}"
                self._wire.send(pickle.dumps(("ended", number, how)))

    def _stop(self, _signal: int = 0, _frame: FrameType | None = None) -> NoReturn:
        for process in self._forks:
            _kill_group(process)
        os._exit(0)


def _guarded(answer: Callable[[Call], Raw], call: Call) -> Raw:
    try:
        return answer(call)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return NotAsked(f"the probe crashed: {type(error).__name__}: {error} ({place.filename}:{place.lineno})")


def _too_long(data: bytes) -> NotAsked:
    return NotAsked(f"the answer is too long: {len(data)} bytes")


def _kill_group(process: int) -> None:
    try:
        os.killpg(process, signal.SIGKILL)
    except OSError:
        pass  # nobody is left in it


_template = 0


def main(module: str, descriptor: str, parent: str) -> None:
    """Entry point: `python -m orchestrator.probes.forked MODULE DESCRIPTOR PARENT`."""
    global _template
    die_with_parent(int(parent), signal.SIGTERM)
    _template = os.getpid()
    wire = socket.socket(fileno=int(descriptor))
    wire.set_inheritable(False)
    try:
        imported = importlib.import_module(module)
    except Exception as error:
        wire.send(pickle.dumps(("trouble", 0, f"{module} cannot be imported: {error}")))
        return
    try:
        Template(imported, wire).run()
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the parent is gone


if __name__ == "__main__":
    main(*sys.argv[1:])
