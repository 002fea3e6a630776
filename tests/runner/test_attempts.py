"""What an attempt keeps while it runs, and that nothing of it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.events import StepKey
from orchestrator.runner import attempts
from orchestrator.runner.attempts import Attempt


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place that stands in for the machine's memory."""
    place = tmp_path / "memory"
    place.mkdir()
    monkeypatch.setattr(attempts, "MEMORY", place)
    monkeypatch.setattr(attempts, "ROOM", 0)
    monkeypatch.setattr(attempts, "SYSTEM_USERS", 2**32)
    return place


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    """One that has been begun."""
    found = Attempt(tmp_path / "private", StepKey("acme/run-1", "go", 1))
    found.create()
    return found


def test_its_files_are_in_memory_and_go_with_it(memory: Path, attempt: Attempt) -> None:
    """By the link that whoever looks back finds; a new one removes what the last one left."""
    for _ in range(2):
        place = attempt.make_work()
        assert (place.parent, attempt.work.resolve(), list(place.iterdir())) == (memory, place, [])
        assert place.stat().st_mode & 0o777 == 0o700
        (place / "env").mkdir()
        (place / "env" / "extravars").write_text("secret")
        assert list(memory.iterdir()) == [place]
    attempt.drop_work()
    assert (list(memory.iterdir()), attempt.work.is_symlink()) == ([], False)


def test_with_its_run_they_are_forgotten(memory: Path, attempt: Attempt) -> None:
    """Of a worker that was killed nobody else would remove them."""
    attempt.make_work()
    attempts.forget(attempt.path.parent.parent, "acme/run-1")
    assert list(memory.iterdir()) == []
    assert not attempt.path.parent.exists()


def test_after_a_restart_of_the_machine_the_memory_is_gone(memory: Path, attempt: Attempt) -> None:
    """What is left is a link to nothing, which is as good as no link."""
    attempt.make_work().rmdir()
    attempt.make_work()
    assert attempt.work.is_dir()
    attempt.work.readlink().rmdir()
    attempt.drop_work()
    assert not attempt.work.is_symlink()


@pytest.mark.parametrize("lacks", ["room", "it", "right"])
def test_without_room_in_memory_they_are_on_the_disk(
    memory: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    """A playbook may need more of it than a small machine has."""
    if lacks == "room":
        monkeypatch.setattr(attempts, "ROOM", 2**60)
    elif lacks == "right":
        monkeypatch.setattr(attempts, "SYSTEM_USERS", -1)
    else:
        monkeypatch.setattr(attempts, "MEMORY", memory / "nothing")
    assert attempt.make_work() == attempt.work
    assert (attempt.work.is_dir(), attempt.work.is_symlink(), list(memory.iterdir())) == (True, False, [])
    attempt.drop_work()
    assert not attempt.work.exists()


def test_what_cannot_be_removed_yet_is_not_lost_sight_of(
    memory: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something still writes there: the link stays until whoever comes later has removed it."""
    place = attempt.make_work()
    with monkeypatch.context() as now:
        now.setattr(attempts.shutil, "rmtree", lambda *_, **__: None)
        attempt.drop_work()
        attempts.forget(attempt.path.parent.parent, "acme/run-1")
        assert attempt.work.resolve() == place
    attempts.forget(attempt.path.parent.parent, "acme/run-1")
    assert (list(memory.iterdir()), attempt.path.parent.exists()) == ([], False)


def test_a_worker_removes_its_own_though_the_link_is_gone(memory: Path, attempt: Attempt) -> None:
    """Whoever removed the link first has not seen what it led to."""
    attempt.make_work()
    attempt.work.unlink()
    attempt.drop_work()
    assert list(memory.iterdir()) == []


def test_of_which_run_an_attempt_is(tmp_path: Path) -> None:
    """A loss of power may leave the file empty, or full of zeros: then nothing says that it is another run's."""
    attempt = Attempt(tmp_path, StepKey("r1", "execute", 1))
    attempt.create("acme/web at 1.0")
    assert attempt.is_of("acme/web at 1.0")
    assert not attempt.is_of("acme/erp at 2.0")
    for left in ("", "\0" * 15):
        attempt.beginning.write_text(left)
        assert attempt.is_of("acme/erp at 2.0")
    attempt.beginning.unlink()
    assert attempt.is_of("acme/erp at 2.0")
