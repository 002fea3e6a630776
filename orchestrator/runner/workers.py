"""Starts worker programs and gives them their job.

The one rule it keeps: a job, and the lock of its attempt, go only through a socket, so that neither shows in a process
list, an environment or a file. A worker whose socket closes before it has a job ends.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """All that a worker needs to know."""

    private: str
    key: tuple[str, str, int]
    mark: str
    workspace: str
    playbook: str  # absolute
    inventories: tuple[str, ...] = ()
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    limit: str | None = None
    timeout_s: float | None = None
    epoch: int | None = None  # None: no guard
    workspace_id: str = ""
    controller: str = ""  # its mark, for as long as it has this epoch
    kept_for: str = ""  # whose connections and facts it finds
    why_cold: str = ""  # why there is no zygote, where one is wanted
    simulated: bool = False  # in check mode
    stats: bool = False  # what it publishes is wanted


@dataclass(frozen=True, slots=True)
class Waiting:
    """A worker that has no job yet."""

    process: subprocess.Popen[bytes]
    stream: socket.socket

    def hand_over(self, job: Job, lock: int, warm: socket.socket | None = None) -> None:
        """Give it its job, the attempt's lock and a zygote's stream, if there is one (it is closed here).

        Raises OSError if it is gone; then it has not got all of it.
        """
        with self.stream, warm or nullcontext():
            data = json.dumps(asdict(job)).encode() + b"\n"
            sent = socket.send_fds(self.stream, [data], [lock, *([warm.fileno()] if warm else [])])
            # Not even an empty `sendall` after the last byte: a quick worker has let go of the socket by then, and
            # whoever takes that for a refusal gives the job to a second one.
            if sent < len(data):
                self.stream.sendall(data[sent:])

    def give_up(self) -> None:
        """It has not got its job, and never will."""
        self.stream.close()
        self.process.kill()
        self.process.wait()

    def dismiss(self) -> None:
        """It is not needed."""
        self.stream.close()
        self.process.wait()


def start_worker() -> Waiting:
    """Start a worker; it does its imports while it waits. Raises OSError if it cannot be started."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.runner.worker"],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return Waiting(process, ours)


def receive_job(stream: socket.socket) -> tuple[Job, int, socket.socket | None] | None:
    """In the worker: the job, the lock and a zygote's stream, if it has one.

    None if the controller went away before it had handed them over.
    """
    data, descriptors, _, _ = socket.recv_fds(stream, 65536, 2)
    if not data or not descriptors:
        return None
    while not data.endswith(b"\n"):
        more = stream.recv(65536)
        if not more:
            return None
        data += more
    warm = socket.socket(fileno=descriptors[1]) if len(descriptors) > 1 else None
    return Job(**json.loads(data)), descriptors[0], warm
