"""The demo's stage, as far as it can be told without a lab."""

from __future__ import annotations

from pathlib import Path

from orchestrator.demo.stage import Stage
from orchestrator.journal.sqlite import SqliteJournal, journal_path
from orchestrator.lab.lab import Lab


def test_a_journal_that_is_just_being_made_is_waited_for(tmp_path: Path) -> None:
    """The daemon makes the file before it makes what is in it."""
    stage = Stage(Lab("stage-test", tmp_path), tmp_path)
    path = journal_path(tmp_path)
    path.parent.mkdir()
    path.touch()
    stage.poll()
    assert stage.stories.last is None
    path.unlink()
    journal = SqliteJournal(path)
    lease = journal.acquire("test", 20.0)
    journal.close()
    stage.poll()
    assert stage.stories.last is None
    assert lease
