"""Owns a zygote: starts it, passes callers to it, replaces it when it is stale or gone.

The one rule it keeps: a zygote has one owner and listens to nobody else. Between them is a pair of sockets without a
name, so no other user, and no other process, can speak to it. When the owner is gone, the zygote ends after its last
playbook.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.runner import settings
from orchestrator.runner.warm import directories

AGAIN_S = (0.2, 1.0, 5.0, 30.0)  # how long after the last one a new zygote is started that has failed so often
END_S = 2.0


class ZygoteOwner:
    """At most one zygote of a workspace at a time, in one event loop; `start` once, `close` at the end."""

    def __init__(self, workspace: Path, *, mitogen: bool = True, environment: Mapping[str, str] | None = None) -> None:
        """`mitogen`: use it where it is installed; `environment`: the controller's, if not this process's."""
        self.workspace = workspace
        self._mitogen = mitogen
        self.ready: dict[str, Any] | None = None
        self.why_not = "it has not been started"
        self.number = 0  # of the zygote that there is; the next one has the next
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._directory: Path | None = None
        self._failures = 0
        self._again: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._old: list[tuple[subprocess.Popen[bytes], Path]] = []
        self._closed = False

    def start(self) -> None:
        """Start one, if there is none. Never raises: it is an accelerator, and `why_not` says why there is none."""
        self._again = None
        self._sweep()
        if self._process is not None or self._closed:
            return
        try:
            ours = self._spawn()
        except OSError as error:  # no program, no descriptors, no room for its directory
            self.why_not = f"it cannot be started: {error}"
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
                self._directory = None
            self._failures += 1
            self._later()
            return
        ours.setblocking(False)
        self._control = ours
        self.number += 1
        self.why_not = "it is being started"
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear)

    def _spawn(self) -> socket.socket:
        """Our end of its socket. Raises OSError; then there is no process."""
        self._directory, held = directories.made()
        program = [sys.executable, "-P", "-m", "orchestrator.runner.warm.zygote", str(self.workspace)]
        with_mitogen = "mitogen" if self._mitogen else "plain"
        given = dict(os.environ if self._environment is None else self._environment)
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                with theirs, (self._directory / "log").open("wb") as log:
                    self._process = subprocess.Popen(
                        [*program, str(self._directory), with_mitogen, str(held)],
                        stdin=theirs.fileno(),
                        stdout=subprocess.DEVNULL,
                        stderr=log,
                        env={**given, settings.MARK: settings.NO_MARK},
                        pass_fds=[held],
                        start_new_session=True,
                    )
            except OSError:
                ours.close()
                raise
        finally:
            os.close(held)  # the zygote and all that it forks hold the lock
        return ours

    async def until_ready(self, timeout_s: float) -> bool:
        """Wait until calls are taken; whether they are."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.ready is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def call(self, what: str = "call") -> socket.socket | None:
        """A caller's stream; None while there is no zygote to call: `why_not`."""
        if self.ready is None or self._control is None:
            return None
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [json.dumps({what: True}).encode()], [theirs.fileno()])
            except OSError as error:
                ours.close()
                self._let_go(f"it does not take calls: {error}")
                return None
        return ours

    def replace(self, why: str) -> None:
        """It did not do its work: kill it, and start another one. Playbooks that it plays go on."""
        if self._process is not None:
            self._process.kill()  # its children have their terminals and their callers, and do not need it
            self._let_go(why)

    async def close(self) -> None:
        """Let go of it; it ends, or with its last playbook."""
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        self._let_go("it was closed")
        until = asyncio.get_running_loop().time() + END_S
        while self._sweep() and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110  (a process's end)
            await asyncio.sleep(0.02)

    def _hear(self) -> None:
        if self._control is None:
            return
        try:
            data = self._control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._let_go("it has ended")
            return
        message = json.loads(data)
        if "ready" in message:
            self.ready = message["ready"]
            self.why_not = ""
            self._failures = 0
            self._changed.set()
        elif "stale" in message:
            self._let_go(message["stale"])

    def _let_go(self, why: str) -> None:
        if self.ready is None:
            self._failures += 1
        self.ready, self.why_not = None, why
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        if self._process is not None and self._directory is not None:
            self._old.append((self._process, self._directory))
        self._process = self._directory = None
        self._later()

    def _later(self) -> None:
        if not self._closed and self._again is None:
            delay_s = AGAIN_S[min(self._failures, len(AGAIN_S) - 1)]
            self._again = asyncio.get_running_loop().call_later(delay_s, self.start)

    def _sweep(self) -> bool:
        """Reap former zygotes; whether some still play."""
        for process, directory in list(self._old):
            if process.poll() is not None:
                self._old.remove((process, directory))
                shutil.rmtree(directory, ignore_errors=True)
        return bool(self._old)
