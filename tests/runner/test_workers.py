"""Handing a job to a worker: it is carried out once, whatever the timing."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.core.commands import RunPlaybook
from orchestrator.core.events import StepKey
from orchestrator.runner.attempts import Attempt
from orchestrator.runner.workers import Job, Waiting, start_worker
from tests.runner.stage import PATIENCE_S, Stage


def job(**more: object) -> Job:
    """A job of no consequence."""
    return Job(private="/nowhere", key=("r", "s", 1), mark="m", workspace="/nowhere", playbook="", **more)  # type: ignore[arg-type]


def test_a_worker_that_is_quick_has_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has read all of it and let go of the socket before we have looked again: that is no refusal.

    Taken for one, the job went to a second worker as well, and the playbook ran twice.
    """
    ours, theirs = socket.socketpair()
    received: list[bytes] = []
    send = socket.send_fds

    def quick(sock: socket.socket, buffers: Sequence[bytes], fds: Sequence[int]) -> int:
        sent = send(sock, buffers, fds)  # type: ignore[arg-type]
        received.append(theirs.recv(65536))
        theirs.close()
        return sent

    monkeypatch.setattr(socket, "send_fds", quick)
    with subprocess.Popen([sys.executable, "-c", ""]) as process, Path("/dev/null").open() as lock:
        Waiting(process, ours).hand_over(job(), lock.fileno())
    assert received[0].endswith(b"\n")


def test_a_worker_that_is_gone_has_not() -> None:
    """Then somebody else may have it."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with subprocess.Popen([sys.executable, "-c", ""]) as process, Path("/dev/null").open() as lock:
        waiting = Waiting(process, ours)
        with pytest.raises(OSError, match="pipe"):
            waiting.hand_over(job(), lock.fileno())


async def test_an_attempt_has_one_worker(stage: Stage) -> None:
    """A second one that gets the same job, by whatever mishap, does nothing and leaves no result."""
    marker = stage.workspace / "done"
    playbook = stage.write("move.yml", f"    - ansible.builtin.shell: echo x >>{marker}\n")
    command = RunPlaybook(StepKey("acme/run-1", "go", 1), "acme", playbook, {}, 1, 60.0)
    attempt = Attempt(stage.runner.private, command.key)
    attempt.create()
    lock = attempt.take_lock()
    assert lock is not None
    for _ in range(2):
        worker = start_worker()
        worker.hand_over(stage.runner._job(command), lock)
        worker.process.wait(PATIENCE_S)
    assert marker.read_text() == "x\n"
    result = attempt.read_result()
    assert result is not None
    assert result.outcome.value == "ok"
