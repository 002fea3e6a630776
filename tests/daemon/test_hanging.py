"""A disk that does not answer (a mount whose server is gone) hangs whoever reads it; the daemon ends all the same."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shell.small import PATIENCE_S, Small
from tests.tied import tied

PROGRAM = """
import sys, time
from orchestrator.cli.main import main
from orchestrator.config import in_force
from orchestrator.daemon import threads

threads.END_S = 0.1
name, hangs_at, reads = sys.argv.pop(1), int(sys.argv.pop(1)), 0
reader = getattr(in_force, name)

def hanging(of):
    global reads
    reads += 1
    if reads == hangs_at:
        print("it hangs", flush=True)
        time.sleep(600)
    return reader(of)

setattr(in_force, name, hanging)
sys.exit(main())
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    """A workspace of one service with a playbook that brings it back."""
    workspace = Small(tmp_path)
    yield workspace
    workspace.close()


@pytest.mark.parametrize(
    ("reader", "hangs_at", "when"),
    [
        ("as_written", 1, "at its start"),
        ("as_written", 2, "as it reads its files again"),
        ("remember", 1, "as it keeps what belongs to those that it has put in force"),
    ],
)
def test_what_hangs_keeps_no_daemon_from_its_end(small: Small, reader: str, hangs_at: int, when: str) -> None:
    log = small.path / "daemon-1.log"
    daemon = [sys.executable, "-c", PROGRAM, reader, str(hangs_at), "daemon", "--workspace", str(small.path)]
    with log.open("wb") as out:
        program = subprocess.Popen([*tied("TERM"), *daemon], stdout=out, stderr=subprocess.STDOUT)
    small.started.append(program)
    if hangs_at == 2:
        small.until(lambda: "daemon is up" in log.read_text(), "the daemon is up")
        program.send_signal(signal.SIGHUP)
    small.until(lambda: "it hangs" in log.read_text(), f"it hangs {when}")
    program.send_signal(signal.SIGTERM)
    assert program.wait(PATIENCE_S) == 0, log.read_text()
    assert "ended while work hangs" in log.read_text()
    assert "Traceback" not in log.read_text()
