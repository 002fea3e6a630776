"""The stage of the demo: a fresh copy of the workspace, a lab, a daemon at the operations centre, and their end.

The one rule it keeps: nothing is left behind, whatever happens: no process, namespace, mount or file.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.journal.journal import JournalUnreadable
from orchestrator.lab.lab import Lab
from orchestrator.lab.meter_log import MeterLog
from orchestrator.reports.reader import Reader
from orchestrator.reports.stories import Stories

COPIED = ("playbooks", "inventories", "checks", "bascule.yml", "ansible.cfg")
STOP_S = 20.0


class StageFailed(Exception):
    """The demo cannot go on: what, and what was expected."""


class Stage:
    """The lab and the daemon of one demo."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.workspace = directory
        self.log = directory / "daemon.log"
        self._reader = Reader(directory, Stories)
        self.user = MeterLog(Path("/nonexistent"))
        self.staff = MeterLog(Path("/nonexistent"))
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def stories(self) -> Stories:
        """What the journal has told so far."""
        return self._reader.state

    def start(self, progress: Callable[[str], None]) -> None:
        """Build the lab, start the daemon and open what is read of both. Raises LabError, StageFailed."""
        self.lab.down()
        self.lab.up(progress)
        progress("Starting bascule at the operations centre (host noc)")
        argv = [sys.executable, "-P", "-m", "orchestrator.cli.main", "daemon", "--workspace", str(self.workspace)]
        with self.log.open("wb") as log:
            self._daemon = self.lab.popen("noc", argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.user = MeterLog(self.lab.meter_log("client"))
        self.staff = MeterLog(self.lab.meter_log("hq-user"))

    def poll(self) -> None:
        """Read on in the journal and the meters. Raises StageFailed when the daemon has ended."""
        if self._daemon is not None and self._daemon.poll() is not None:
            last = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
            raise StageFailed(f"the daemon ended with {self._daemon.returncode}: {' | '.join(last)}")
        try:
            self._reader.more()
        except JournalUnreadable:
            if not self._reader.empty:
                raise  # else the daemon is just about to make it
        self.user.poll()
        with contextlib.suppress(OSError):  # the staff's desk loses its power in the second act
            self.staff.poll()

    def wait(self, until: Callable[[], bool], timeout_s: float, what: str, each: Callable[[], None]) -> None:
        """Poll until it holds, calling `each` after every poll. Raises StageFailed when it never does."""
        ends = time.monotonic() + timeout_s
        while True:
            self.poll()
            each()
            if until():
                return
            if time.monotonic() > ends:
                raise StageFailed(f"{what}: not within {timeout_s:.0f} s")
            time.sleep(0.2)

    def stop(self) -> None:
        """End daemon and lab."""
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.send_signal(signal.SIGTERM)
            try:
                self._daemon.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
        self._reader.close()
        self.lab.down()


@contextlib.contextmanager
def stage(workspace: Path, name: str) -> Iterator[Stage]:
    """A stage on a copy of `workspace`, so that its own journal is untouched; everything is removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="bascule-demo-"))
    built = Stage(Lab(name, directory, bound=True), directory)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        for each in COPIED:
            source = workspace / each
            if source.is_dir():
                shutil.copytree(source, directory / each)
            elif source.exists():
                shutil.copy2(source, directory / each)
        yield built
    finally:
        try:
            built.stop()
        finally:
            signal.signal(signal.SIGTERM, before)
            shutil.rmtree(directory, ignore_errors=True)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
