"""Which machine carried an attempt out, and that no other one says that it was never begun."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd, StepAdopted, StepKey
from orchestrator.runner import leftovers, machine
from orchestrator.runner.attempts import Attempt
from orchestrator.runner.machine import machine_of
from tests.runner.stage import Stage, until

ADD = "    - ansible.builtin.shell: echo once >> {}/done\n"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    yield made
    await made.runner.close()


def test_a_machine_keeps_its_name_with_its_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    name = machine_of(one)
    assert machine_of(one) == name
    assert machine_of(two) != name
    kept = json.loads((one / "machine.json").read_text())
    assert kept["name"] == name
    machine_id = tmp_path / "machine-id"
    machine_id.write_text("0123456789abcdef0123456789abcdef\n")
    monkeypatch.setattr(machine, "MACHINE_ID", machine_id)
    moved = machine_of(one)  # the folder was copied to another machine
    assert moved != name
    assert machine_of(one) == moved
    assert "0123456789abcdef" not in (one / "machine.json").read_text()


@pytest.mark.parametrize("left", ["", "{", "[]", '{"name": ""}', "\0" * 20])
def test_a_name_that_cannot_be_read_is_another_one(tmp_path: Path, left: str) -> None:
    (tmp_path / "machine.json").write_text(left)
    assert machine_of(tmp_path) == machine_of(tmp_path) != ""


async def test_a_second_machine_with_no_attempts_of_its_own_knows_nothing_of_one(stage: Stage, tmp_path: Path) -> None:
    playbook = stage.write("move.yml", ADD.format(stage.workspace))
    first = stage.runner.machine
    key = stage.start(playbook)
    assert (await stage.end_of(key)).outcome is AttemptEnd.OK
    assert Attempt(stage.runner.private, key).machine.read_text() == first
    await stage.runner.close()
    runs = stage.runner.private
    runs.rename(tmp_path / "elsewhere")
    runs.mkdir(mode=0o700)  # it was there before: here nothing was lost
    stage.heard.clear()
    stage.open()
    assert stage.runner.machine != first
    stage.settle(key, playbook, machine=first)
    ended = await stage.end_of(key)
    assert ended.outcome is AttemptEnd.LOST
    assert f"begun by {first}, and this is {stage.runner.machine}" in ended.detail
    assert (stage.workspace / "done").read_text() == "once\n"


async def test_the_same_machine_does_know(stage: Stage) -> None:
    playbook = stage.write("move.yml", ADD.format(stage.workspace))
    key, first = StepKey("acme/run-1", "go", 1), stage.runner.machine
    await stage.runner.close()
    stage.open()
    stage.settle(key, playbook, machine=first)
    assert (await stage.end_of(key)).outcome is AttemptEnd.NEVER_BEGUN


def moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From here on this is another machine."""
    machine_id = tmp_path / "machine-id"
    machine_id.write_text("another\n")
    monkeypatch.setattr(machine, "MACHINE_ID", machine_id)


@pytest.mark.parametrize("on_record", [True, False])
async def test_of_a_copy_the_ends_that_are_in_it_are_known_and_nothing_else(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_record: bool
) -> None:
    """What a restored backup tells as still running, the first machine may have ended. Nothing here is ended for it."""
    playbook = stage.write("move.yml", ADD.format(stage.workspace))
    first = stage.runner.machine
    key = stage.start(playbook)
    assert (await stage.end_of(key)).outcome is AttemptEnd.OK
    await stage.runner.close()
    if not on_record:
        Attempt(stage.runner.private, key).result.unlink()
    ended: list[object] = []
    monkeypatch.setattr(leftovers, "boot_id", lambda: "of another boot")
    monkeypatch.setattr(leftovers, "end_all", lambda **given: ended.append(given) or 0)
    moved(monkeypatch, tmp_path)
    stage.open()
    for named in (first, ""):  # of a version that put no machine on record, the attempt itself tells
        stage.heard.clear()
        stage.settle(key, playbook, machine=named)
        found = await stage.end_of(key)
        assert found.outcome is (AttemptEnd.OK if on_record else AttemptEnd.LOST)
        assert on_record or f"it was begun by {first}, and no end of it is known here" in found.detail
    assert not ended


async def test_what_runs_here_is_adopted_whatever_the_machine_is_called(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine-id was made anew, say: a worker that lives here is no attempt whose end is not known."""
    act = f"sleep 4; echo once >> {stage.workspace}/done"
    playbook = stage.write("move.yml", f"    - ansible.builtin.shell: {act}\n")
    first = stage.runner.machine
    key = stage.start(playbook)
    await until(lambda: bool(stage.running(key)))
    await stage.runner.close()
    moved(monkeypatch, tmp_path)
    stage.open()
    assert stage.runner.machine != first
    stage.heard.clear()
    stage.settle(key, playbook, machine=first)
    assert (await stage.end_of(key)).outcome is AttemptEnd.OK
    assert isinstance(stage.heard[0], StepAdopted)
    assert (stage.workspace / "done").read_text() == "once\n"
