"""Processes in another time namespace: the same boot, another CLOCK_BOOTTIME; real namespaces, so this needs root."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.journal.clocks import SystemClocks
from orchestrator.journal.lease import Lease, Refused
from orchestrator.journal.process import Process, this_process
from orchestrator.journal.sqlite import SqliteJournal

TEN_DAYS_S = "864000"
ELSEWHERE = ["unshare", "--time", "--boottime", TEN_DAYS_S, "--fork"]

pytestmark = pytest.mark.skipif(
    subprocess.run([*ELSEWHERE, "true"], capture_output=True, check=False).returncode != 0,
    reason="no time namespaces for this user",
)


def elsewhere(program: str, *arguments: str) -> str:
    """What a program says that runs in another time namespace."""
    argv = [*ELSEWHERE, sys.executable, "-c", program, *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def test_the_boot_and_its_clock_are_the_same_there() -> None:
    program = "from orchestrator.journal.clocks import SystemClocks as C; print(C().boot(), C().boottime())"
    before = SystemClocks().boottime()
    boot, boottime = elsewhere(program).split()
    assert boot == SystemClocks().boot()
    assert before <= float(boottime) <= SystemClocks().boottime()


def test_where_the_shift_is_not_known_it_is_another_boot() -> None:
    """A process that has made a namespace for its children is not in it."""
    program = """
import ctypes
from orchestrator.journal.clocks import SystemClocks, boot_id, shift_ns
clocks = SystemClocks()
assert ctypes.CDLL(None).unshare(0x80) == 0  # CLONE_NEWTIME
assert shift_ns() is None
print(clocks.boot().startswith(boot_id() + " time:["))
"""
    argv = [sys.executable, "-c", program]
    assert subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip() == "True"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Path]:
    """A journal whose lease this process holds."""
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    assert isinstance(journal.acquire("noc", 300.0), Lease)
    yield path
    journal.close()


def test_a_lease_is_not_taken_from_a_live_process_by_one_that_is_elsewhere(holder: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from orchestrator.journal.sqlite import SqliteJournal
answer = SqliteJournal(Path(sys.argv[1])).acquire("twin", 20.0)
print(type(answer).__name__, getattr(answer, "ends_in_s", 0.0))
"""
    kind, left_s = elsewhere(program, str(holder)).split()
    assert kind == Refused.__name__
    assert 100.0 < float(left_s) <= 300.0


def test_a_process_that_is_gone_is_gone_from_there_too() -> None:
    me = this_process(SystemClocks().boot())
    program = """
import sys
from orchestrator.journal.process import Process, is_gone
boot, space, pid, started = sys.argv[1:]
print(is_gone(Process(boot, space, int(pid), int(started))))
"""

    def gone(process: Process) -> str:
        return elsewhere(program, process.boot, process.space, str(process.pid), str(process.started))

    assert gone(me) == "False"
    assert gone(Process(me.boot, me.space, me.pid, me.started - 100)) == "True"
