# SPDX-License-Identifier: GPL-3.0-or-later
"""The zygote imports ansible-core once and forks for each playbook.

    python -m orchestrator.runner.warm.zygote WORKSPACE DIRECTORY mitogen|plain LOCK [ONE]

The one rule it keeps: it belongs to whoever holds the other end of its standard input, and to one configuration. When
the owner is gone it takes no more calls and ends with its last playbook. When its configuration has changed, it says
so, takes no more calls and ends likewise.

    owner  -> zygote   {"call": true} with one end of a stream: the caller's (see `calling`)
    owner  -> zygote   {"logins": true} with one end of a stream: what is asked and answered there, see `logins`
    zygote -> owner    {"ready": …} once; {"stale": WHY} at most once

With ONE (the lock of the only one of its kind) nobody owns it. Standard input is a socket with a name, and whoever may
connect there calls (see `warm.alone`). It is built from the environment and the directory in which it was started. It
ends when nobody has called for ten minutes.

It is a program of its own, with the licence of the ansible-core that it imports; no other part of bascule imports it.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from orchestrator.runner.warm.zygote import forked, logins
from orchestrator.runner.warm.zygote.spare import Spare, wait

LOOK_EVERY_S = 2.0  # at what it was built from, while nobody calls
QUIET_S = 0.3  # without a word, until the next spare is made
EXIT_STALE = 75
IDLE_S = 600.0  # without a call, until one that nobody owns ends
LOW = 300  # descriptors below are left free for what callers hand on to their playbooks


class Zygote:
    """The loop between owner, callers and children."""

    def __init__(self, owner: socket.socket, built: Any, one: int | None = None) -> None:
        """`one`: nobody owns it, and `owner` is the socket where callers connect."""
        self.owner = owner
        self.one = one
        self.called_at = time.monotonic()
        self.built = built
        self.children: dict[int, socket.socket] = {}  # pid to the caller's stream
        self.spare: Spare | None = None
        self.open = True
        self.stale = ""
        self.selector = selectors.DefaultSelector()
        self.wake, self._woken = socket.socketpair()
        for end in (self.wake, self._woken):
            end.setblocking(False)

    def serve(self) -> None:
        """Until the owner is gone, or it is stale, and the last child has ended."""
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self.selector.register(self.owner, selectors.EVENT_READ)
        self.selector.register(self.wake, selectors.EVENT_READ)
        if self.one is None:
            self.tell({"ready": self.built.described()})
        else:
            self.owner.listen(16)  # until now whoever connects is refused, and does not wait
        while self.open or self.children:
            ready = self.selector.select(LOOK_EVERY_S if self.spare or not self.open else QUIET_S)
            if not ready:
                self.look()
                self.make_spare()
            for key, _ in ready:
                if key.fileobj is self.owner:
                    self.hear()
                else:
                    self.drain()
            self.reap()

    def tell(self, message: dict[str, Any]) -> None:
        """To the owner, if there is one."""
        try:
            self.owner.send(json.dumps(message).encode())
        except OSError:
            self.shut()

    def look(self) -> None:
        """Whether it still is what would be built now, and anybody wants it."""
        if self.open and (why := self.built.changed()):
            self.end_as_stale(why)
        if self.one is not None and self.open and not self.children and time.monotonic() - self.called_at > IDLE_S:
            self.shut()

    def end_as_stale(self, why: str) -> None:
        """Take no more calls."""
        if not self.stale:
            self.stale = why
            if self.one is None:
                self.tell({"stale": why})
        self.shut()

    def shut(self) -> None:
        """The owner's calls are not taken any more."""
        if self.open:
            self.open = False
            self.selector.unregister(self.owner)
            if self.one is not None:
                with contextlib.suppress(OSError):
                    os.unlink(self.owner.getsockname())
                os.close(self.one)  # another may take its place
            self.owner.close()
            if self.spare:
                self.spare.close()

    def hear(self) -> None:
        """One message of the owner; or a caller that has connected."""
        if self.one is not None:
            with contextlib.suppress(OSError):  # it has gone already
                caller, _ = self.owner.accept()
                self.called_at = time.monotonic()
                self.take(caller, False)
            return
        try:
            data, descriptors, _, _ = socket.recv_fds(self.owner, 65536, 4)
        except OSError:
            data, descriptors = b"", []
        if not data:
            self.shut()
            return
        for descriptor in descriptors:
            self.take(socket.socket(fileno=descriptor), "logins" in json.loads(data))

    def take(self, caller: socket.socket, for_logins: bool) -> None:
        """Give a call to a child; the rest is between caller and child."""
        spare = None if for_logins else self.spare
        if spare is not None:
            self.spare = None
            if spare.give(caller):
                self.children[spare.pid] = caller
                return
        try:
            pid = os.fork()
        except OSError:  # no memory, or too many processes: the caller hears the end of its stream, and goes on cold
            caller.close()
            return
        if pid == 0:
            try:
                self.leave()
                (logins.look if for_logins else forked.answer)(caller, self.built)
            finally:
                os._exit(70)
        self.children[pid] = caller

    def make_spare(self) -> None:
        """Fork the child for the next call, if there is none."""
        if self.spare or not self.open:
            return
        try:
            ours, theirs = socket.socketpair()
        except OSError:  # as it is without one
            return
        with theirs:
            try:
                pid = os.fork()
            except OSError:  # as it is without one
                ours.close()
                return
            if pid == 0:
                try:
                    self.leave()
                    ours.close()
                    forked.answer(wait(theirs), self.built)
                finally:
                    os._exit(70)
        self.spare = Spare(pid, ours)

    def leave(self) -> None:
        """In a child: nothing of the zygote's is kept."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        self.selector.close()
        if self.one is not None:
            os.closerange(3, LOW)
        for other in (self.owner, self.wake, self._woken, *self.children.values()):
            other.close()
        if self.spare:
            self.spare.close()

    def drain(self) -> None:
        """The wake-up's bytes."""
        try:
            while self.wake.recv(4096):
                pass
        except BlockingIOError:
            pass

    def reap(self) -> None:
        """Children that have ended; a caller whose child could not say how is told."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self.spare and pid == self.spare.pid:
                self.spare.close()
                self.spare = None
                continue
            caller = self.children.pop(pid, None)
            self.called_at = time.monotonic()
            if caller is None:
                self.built.lost(pid)
                self.look()
                continue
            code = os.waitstatus_to_exitcode(status)
            try:
                caller.send(json.dumps({"ended": code}).encode() + b"\n", socket.MSG_DONTWAIT)
            except OSError:
                pass  # it has gone
            caller.close()
            if code == EXIT_STALE:
                self.look()


def _let_go(lock: int) -> None:
    with contextlib.suppress(OSError):  # by the parent already
        os.close(lock)


def leave_low_descriptors_free() -> None:
    """All that is opened from now on has a higher number: see `forked.receive`."""
    taken = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    while taken < LOW - 1:
        taken = os.dup(taken)  # not inheritable, as all that Python opens


def main() -> None:
    """Build, then serve."""
    workspace, directory, mitogen = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "mitogen"
    locks = [int(number) for number in sys.argv[4:]]
    if len(locks) > 1:
        leave_low_descriptors_free()
    # Not inheritable: what its programs leave behind does not hold the directory.
    _held, *one = (fcntl.fcntl(lock, fcntl.F_DUPFD_CLOEXEC, 3) for lock in locks)
    for lock in locks:
        os.close(lock)
    owner = socket.socket(fileno=os.dup(0))
    os.register_at_fork(after_in_child=owner.close)  # or the owner would not hear the end of a zygote that was killed
    for lock in one:  # whatever it has forked lives on when another takes its place
        os.register_at_fork(after_in_child=lambda lock=lock: _let_go(lock))
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 0)
    os.dup2(quiet, 1)
    os.umask(0o077)
    tempfile.tempdir = str(directory)
    from orchestrator.runner.warm.zygote import fingerprint

    try:
        built = fingerprint.build(workspace, directory, mitogen, as_it_is=bool(one))
    except Exception as error:
        if one:
            os._exit(1)
        owner.send(json.dumps({"stale": f"it could not be built: {type(error).__name__}: {error}"[:600]}).encode())
        os._exit(1)
    gc.collect()
    gc.freeze()
    forked.rename(b"bascule-zygote")
    Zygote(owner, built, *one).serve()
    built.close()
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
