"""Processes for kinds whose libraries block: one process of its own for every question.

The one rule it keeps: whatever hangs, leaks or crashes in there is killed with everything it started, and nothing of it
outlives this program. For each such kind a template process (`forked.py`) imports the library once and forks for every
question, which costs milliseconds. A fork has no state of an earlier question and can be killed at any time.

Rejected: threads (cannot be killed, and a hung one keeps its socket and its turn); a shared pool of lasting workers
(they must be replaced after every kill, carry state over, and a few hung ones hold up everybody else's questions). If
the state is wanted (a login that is kept), a fork lasts. It belongs to one check, answers one question at a time, and
is killed like any other when it hangs. The next question then starts another.
"""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orchestrator
from orchestrator.probes.options import Options
from orchestrator.probes.results import NotAsked, Raw
from orchestrator.probes.turns import Turns

START_MAX_S = 30.0
KILL_AFTER_S = 2.0  # a question that outlives its own time-out by this much is killed
AT_ONCE = 32  # questions of one kind; the others wait for their turn, unstamped, however long it takes
MESSAGE_MAX_BYTES = 160_000
IDLE_MAX_S = 600.0  # a lasting fork that nobody has asked for so long is given up: its check may be gone
_REST_S = 5.0  # after a template that could not start


@dataclass(frozen=True, slots=True)
class Call:
    """What a fork is told. Travels through a private socket, so a secret is on no command line or environment."""

    options: Any
    timeout_s: float
    secrets: dict[str, str | None]


@dataclass(slots=True)
class _Keeper:
    """A fork that lasts, and the question it is busy with."""

    number: int
    wire: socket.socket
    busy: asyncio.Future[Raw] | None = None
    asked_at: float = 0.0


class Asked(Protocol):
    """What a fork has to know of a question."""

    @property
    def options(self) -> Options:
        """What its author wrote."""

    @property
    def timeout_s(self) -> float:
        """How long to wait."""

    @property
    def whom(self) -> str:
        """The client whose question it is."""

    @property
    def stamp(self) -> Callable[[], None]:
        """To be called when it goes out."""


class Forks:
    """The template process of one module and the questions that its forks are busy with."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._ready: asyncio.Future[None] | None = None
        self._waiting: dict[int, asyncio.Future[Raw]] = {}
        self._keepers: dict[object, list[_Keeper]] = {}
        self._last = 0
        self._turns = Turns(AT_ONCE)
        self._rest_until = 0.0
        self._why_resting = ""

    async def ask(self, question: Asked, secrets: dict[str, str | None] | None = None) -> Raw:
        """Have one question answered by the module's `answer(call)` in a process of its own."""
        async with self._turns.held(math.inf, question.whom):
            trouble = await self._start()
            if trouble is not None:
                return trouble
            call = Call(question.options, question.timeout_s, secrets or {})
            self._last += 1
            number = self._last
            future: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
            self._waiting[number] = future
            try:
                question.stamp()
                if not self._send(("ask", number, call)):
                    return NotAsked("the process that probes are forked from does not listen")
                async with asyncio.timeout(question.timeout_s + KILL_AFTER_S):
                    return await future
            except TimeoutError:
                return NotAsked(f"the probe hung: killed after {question.timeout_s + KILL_AFTER_S:.1f} s")
            finally:
                del self._waiting[number]
                if not future.done() or future.cancelled():
                    self._send(("kill", number, None))

    async def ask_kept(self, question: Asked, secrets: dict[str, str | None] | None = None) -> Raw:
        """The same by a fork that lasts from question to question of one client with these options (see `keep` there).

        A second question while the first is out has a second fork: nobody waits for one that hangs.
        """
        key = (question.whom, question.options, tuple(sorted((secrets or {}).items())))
        async with self._turns.held(math.inf, question.whom):
            trouble = await self._start()
            if trouble is not None:
                return trouble
            loop = asyncio.get_running_loop()
            self._give_up_idle(loop.time())
            keeper = next((k for k in self._keepers.get(key, ()) if k.busy is None), None) or self._start_keeper(key)
            if keeper is None:
                return NotAsked("the process that probes are forked from does not listen")
            keeper.busy, keeper.asked_at = loop.create_future(), loop.time()
            try:
                question.stamp()
                call = Call(question.options, question.timeout_s, secrets or {})
                try:
                    keeper.wire.send(pickle.dumps(call))
                except OSError as error:  # it has died since the last question
                    self._end_keeper(keeper)
                    return NotAsked(f"the probe's process died: {error.strerror}")
                async with asyncio.timeout(question.timeout_s + KILL_AFTER_S):
                    return await keeper.busy
            except TimeoutError:
                return NotAsked(f"the probe hung: killed after {question.timeout_s + KILL_AFTER_S:.1f} s")
            finally:
                if keeper.busy is not None:  # it hangs, or nobody wants the answer any more
                    self._end_keeper(keeper)

    def _start_keeper(self, key: object) -> _Keeper | None:
        if self._socket is None:
            return None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._last += 1
        with theirs:
            try:
                socket.send_fds(self._socket, [pickle.dumps(("keep", self._last, None))], [theirs.fileno()])
            except OSError:
                ours.close()
                return None
        ours.setblocking(False)
        keeper = _Keeper(self._last, ours)
        self._keepers.setdefault(key, []).append(keeper)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read_keeper, keeper)
        return keeper

    def _read_keeper(self, keeper: _Keeper) -> None:
        try:
            data = keeper.wire.recv(MESSAGE_MAX_BYTES + 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        busy, keeper.busy = keeper.busy, None
        raw = pickle.loads(data) if data else NotAsked("the probe's process died")  # noqa: S301  # our own child
        if busy is not None and not busy.done():
            busy.set_result(raw)
        if not data:
            self._end_keeper(keeper)

    def _end_keeper(self, keeper: _Keeper) -> None:
        for key, keepers in list(self._keepers.items()):
            if keeper in keepers:
                keepers.remove(keeper)
                asyncio.get_running_loop().remove_reader(keeper.wire.fileno())
                keeper.wire.close()
                self._send(("kill", keeper.number, None))
            if not keepers:
                del self._keepers[key]
        if keeper.busy is not None and not keeper.busy.done():
            keeper.busy.set_result(NotAsked("the probe's process was given up"))

    def _give_up_idle(self, now: float) -> None:
        for keeper in [k for keepers in self._keepers.values() for k in keepers]:
            if keeper.busy is None and now - keeper.asked_at > IDLE_MAX_S:
                self._end_keeper(keeper)

    async def close(self) -> None:
        """Kill all forks, end the template, and wait for it."""
        process = self._process
        self._lose("the prober was closed")
        if process is None:
            return
        for _ in range(200):
            if process.poll() is not None:
                return
            await asyncio.sleep(0.01)
        process.kill()
        process.wait()

    async def _start(self) -> NotAsked | None:
        loop = asyncio.get_running_loop()
        if self._process is None:
            if loop.time() < self._rest_until:
                return NotAsked(self._why_resting)
            self._spawn(loop)
        ready = self._ready
        if ready is None:
            return NotAsked(self._why_resting)
        try:
            async with asyncio.timeout(START_MAX_S):
                await asyncio.shield(ready)
        except TimeoutError:
            self._lose(f"the process that {self._module} needs did not start within {START_MAX_S:g} s")
            return NotAsked(self._why_resting)
        except RuntimeError as error:
            return NotAsked(str(error))
        return None

    def _spawn(self, loop: asyncio.AbstractEventLoop) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        root = str(Path(orchestrator.__file__).resolve().parents[1])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",  # nothing from the directory in which this program was started
                    "-m",
                    "orchestrator.probes.forked",
                    self._module,
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # ours may stand still, and a question must not
                env=environment,
                start_new_session=True,  # a Ctrl-C is ours to handle
            )
        ours.setblocking(False)
        self._socket = ours
        self._ready = loop.create_future()
        self._ready.add_done_callback(lambda done: done.cancelled() or done.exception())
        loop.add_reader(ours.fileno(), self._read)

    def _send(self, message: object) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.send(pickle.dumps(message))
        except OSError:
            return False
        return True

    def _read(self) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(MESSAGE_MAX_BYTES + 4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"the process that probes are forked from is lost: {error}")
            return
        if not data:
            self._lose("the process that probes are forked from has died")
            return
        word, number, content = pickle.loads(data)  # noqa: S301  # from our own child, through a private socket
        if word == "ready" and self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        elif word == "trouble":
            self._lose(content)
        elif (future := self._waiting.get(number)) is not None and not future.done():
            future.set_result(content if word == "answer" else NotAsked(f"the probe's process died: {content}"))

    def _lose(self, why: str) -> None:
        """Give the template up: without its socket it kills its forks and ends."""
        self._why_resting = why
        loop = asyncio.get_running_loop()
        if self._ready is not None and not self._ready.done():
            self._rest_until = loop.time() + _REST_S
            self._ready.set_exception(RuntimeError(why))
        self._ready = None
        if self._socket is not None:
            loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        for future in self._waiting.values():
            if not future.done():
                future.set_result(NotAsked(why))
        for keeper in [k for keepers in self._keepers.values() for k in keepers]:
            if keeper.busy is not None and not keeper.busy.done():
                keeper.busy.set_result(NotAsked(why))
            self._end_keeper(keeper)
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            loop.call_later(2.0, _bury, process)


def _bury(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
