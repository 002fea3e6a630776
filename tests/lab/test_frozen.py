"""A controller that is stopped in the middle of an act and wakes up when another has long taken over.

The one rule every story checks: whoever comes late is refused: by the journal, which it leaves with a clear message
and code, and by the targets, before the author's first task. Nothing is done twice, and the successor's work stands.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core import records as r
from orchestrator.core.events import AttemptEnd
from orchestrator.demo.acts import Scene
from orchestrator.journal.sqlite import journal_path
from orchestrator.runner.guard import PLAY
from tests.lab import crash, crash_truth
from tests.lab.crash import Eye, Ground, Instant
from tests.lab.crash_truth import Line
from tests.lab.story import ERP, Story

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.crash, pytest.mark.timeout(1800)]
WAKE_S = 120.0


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One lab for the three acts."""
    one = Ground(lambda: tmp_path_factory.mktemp("frozen"), "frozen")
    yield one
    one.clear()


class Sleeper:
    """The first controller of a story: frozen, succeeded by a second, and woken."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.log = story.log
        self.pid = story.daemon_pid()
        self.epoch = story.decided.epoch
        self.frozen: list[int] = []
        self._command: subprocess.Popen[bytes] | None = None

    def freeze(self, *, everything: bool) -> None:
        """SIGSTOP: the controller alone, or all that runs at the operations centre."""
        self._stop(self.pid)
        while everything and (more := [x for x in self.story.at_noc() if x not in self.frozen]):
            for pid in more:
                self._stop(pid)
        self._command, _ = self.story.let_go()

    def wake(self) -> None:
        """SIGCONT for all that was frozen."""
        for pid in self.frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def end(self) -> int:
        """Its exit code, when it has ended by itself."""
        if self._command is None:
            raise RuntimeError("it was never frozen")
        try:
            return self._command.wait(WAKE_S)
        finally:
            self._command.kill()

    def _stop(self, pid: int) -> None:
        self.frozen.append(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


def test_frozen_alone_its_playbook_goes_on(ground: Ground) -> None:
    """The worker is a process of its own: the second controller takes its result, and nothing runs twice."""
    with ground.act(1) as (story, scene):
        sleeper, began, written = _frozen(story, scene, "execute", "middle", everything=False)
        _succeed(story)
        user = ground.account_of(story, scene, began)
        sleeper.wake()
        _refused_at_the_journal(story, sleeper)
        assert crash_truth.played_twice(crash_truth.ledger(story)[written:]) == []
        assert user.lost_ids == ()


def test_frozen_between_intent_and_worker_it_acts_late(ground: Ground) -> None:
    """It wakes up and starts the playbook that its successor has finished long ago: the target refuses it.

    The journal is kept busy while it wakes up; otherwise it may learn there first that it was succeeded.
    """
    with ground.act(2) as (story, scene):
        sleeper, began, written = _frozen(story, scene, "execute", "began", everything=False)
        late = [x.run for x in story.of(r.StepBegan) if x.step == "execute"][-1]
        assert not list(story.workspace.glob(f".bascule/runs/{late.replace('/', '%2F')}/execute.1")), "frozen too late"
        _succeed(story)
        user = ground.account_of(story, scene, began)
        # The workspace's own number would refuse it before it asks anybody; another machine would not have that.
        shutil.rmtree(story.workspace / ".bascule" / "runs" / "epochs")
        with _busy_journal(story.workspace):
            sleeper.wake()
            story_of_late = _wait_for(story.workspace, "execute.1/worker.json")
        _refused_at_the_journal(story, sleeper)
        result = json.loads(_wait_for(story.workspace, "execute.1/result.json").read_text())
        assert story_of_late.parent.name == "execute.1"
        assert result["outcome"] == AttemptEnd.STALE_EPOCH.value
        assert "geo-db has accepted epoch" in result["detail"]
        assert "a later controller acts" in result["detail"]
        lines = [x for x in crash_truth.ledger(story)[written:] if x.step == "execute"]
        assert _refusals(lines, sleeper.epoch) == {"geo-db"}
        assert crash_truth.played_twice(lines) == []
        assert crash_truth.promotions(story, "geo-db") == 1
        kept = story.at("geo-db", "sh", "-c", "cd /var/lib/bascule && grep -H -m1 . epoch-*").stdout.split()
        own = [
            line for line in kept if not Path("/var/lib/bascule", line.partition(":")[0]).exists()
        ]  # not the machine's
        assert [line.partition(":")[2] for line in own] == [str(story.decided.epoch)]
        assert user.fenced_acknowledgements == ()
        assert (user.oldest_lost_age_s or 0.0) <= crash.RPO_S
        story.wait("the end user is well", lambda: story.meter_is_well("client"))


def test_the_whole_machine_frozen_in_the_middle_of_a_playbook(ground: Ground) -> None:
    """Controller and playbook stop together and go on together, under a second controller: it adopts the playbook."""
    with ground.act(3) as (story, scene):
        sleeper, began, written = _frozen(story, scene, "execute", "middle", everything=True)
        _succeed(story)
        sleeper.wake()
        _refused_at_the_journal(story, sleeper)
        user = ground.account_of(story, scene, began)
        lines = crash_truth.ledger(story)[written:]
        assert crash_truth.played_twice(lines) == []
        assert crash_truth.restored_while_serving(lines) == []
        assert user.fenced_acknowledgements == ()
        assert (user.oldest_lost_age_s or 0.0) <= crash.RPO_S
        assert story.decided.services[ERP].may_act == {"lab/cloud"}


def _frozen(story: Story, scene: Scene, step: str, when: str, *, everything: bool) -> tuple[Sleeper, float, int]:
    """The act begins, and the controller stops in an instant of it."""
    story.read()
    written = len(crash_truth.ledger(story))
    sleeper = Sleeper(story)
    eye = Eye(story.workspace, story.stories.last.seq if story.stories.last else 0)
    began = time.time()
    try:
        scene.fault(story.lab)
        eye.wait(Instant(step, when))
        sleeper.freeze(everything=everything)
    finally:
        eye.close()
    story.read()
    return sleeper, began, written


def _succeed(story: Story) -> None:
    """A second controller stands by until the lease has lapsed, and takes over."""
    story.start_daemon(f"after-{story.decided.epoch}.log")
    assert "waiting for the lease" in story.log.read_text()


def _refused_at_the_journal(story: Story, sleeper: Sleeper) -> None:
    """It says so, ends with 1, and has written nothing under its old epoch."""
    code = sleeper.end()
    said = sleeper.log.read_text(errors="replace")
    assert code == 1, said[-2000:]
    assert "the lease is lost: this controller acts no more" in said
    assert "stopped: another controller decides" in said
    assert "Traceback" not in said
    story.read()
    epochs = [entry.epoch for entry in story.entries]
    assert epochs == sorted(epochs), "an entry of an earlier epoch came after one of a later"
    assert story.decided.epoch > sleeper.epoch
    assert crash_truth.begun_again(story.records) == []
    assert crash_truth.begun_without_a_look(story.records) == []


def _refusals(lines: list[Line], epoch: int) -> set[str]:
    """The hosts whose guard refused this epoch, if nothing but the guard ran under it."""
    mine = [x for x in lines if x.epoch == epoch]
    assert {x.play for x in mine} == {PLAY}, mine
    return {x.host for x in mine if x.what == "failed"}


@contextlib.contextmanager
def _busy_journal(workspace: Path) -> Iterator[None]:
    """Another program holds a write transaction, as a slow disk would."""
    db = sqlite3.connect(journal_path(workspace), isolation_level=None, timeout=30.0)
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
    finally:
        db.close()


def _wait_for(workspace: Path, name: str) -> Path:
    ends = time.monotonic() + WAKE_S
    while time.monotonic() < ends:
        for found in workspace.glob(f".bascule/runs/*/{name}"):
            return found
        time.sleep(0.05)
    raise crash.NeverHappened(f"no {name} within {WAKE_S:.0f} s")
