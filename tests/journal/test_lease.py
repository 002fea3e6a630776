"""When a process is proven to be gone: real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from orchestrator.journal.clocks import SystemClocks
from orchestrator.journal.process import Process, is_gone, this_process

SHOW_ITSELF = """
import sys, time
from orchestrator.journal.clocks import SystemClocks
from orchestrator.journal.process import this_process
print(this_process(SystemClocks().boot()), flush=True)
time.sleep(60)
"""


@pytest.fixture
def sleeper() -> Iterator[tuple[subprocess.Popen[str], Process]]:
    """A process that could hold a lease."""
    child = subprocess.Popen([sys.executable, "-c", SHOW_ITSELF], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield child, eval(child.stdout.readline())
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def test_one_that_runs_is_not_gone(sleeper: tuple[subprocess.Popen[str], Process]) -> None:
    assert not is_gone(sleeper[1])
    assert not is_gone(this_process(SystemClocks().boot()))


def test_one_that_is_stopped_is_not_gone(sleeper: tuple[subprocess.Popen[str], Process]) -> None:
    child, process = sleeper
    child.send_signal(signal.SIGSTOP)
    assert not is_gone(process)
    child.send_signal(signal.SIGCONT)


def test_one_that_was_killed_is_gone_collected_by_its_parent_or_not(
    sleeper: tuple[subprocess.Popen[str], Process],
) -> None:
    child, process = sleeper
    os.kill(child.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while not is_gone(process):  # now it is a zombie
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.wait()
    assert is_gone(process)


def test_a_later_process_with_the_same_number_is_not_taken_for_it(
    sleeper: tuple[subprocess.Popen[str], Process],
) -> None:
    assert is_gone(replace(sleeper[1], started=sleeper[1].started - 1))


def test_of_another_boot_or_another_process_space_nothing_is_proven() -> None:
    me = this_process(SystemClocks().boot())
    for other in (replace(me, boot="other"), replace(me, space="pid:[1]"), replace(me, space="")):
        assert not is_gone(replace(other, pid=2**22 - 1, started=1))
