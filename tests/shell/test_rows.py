"""Detector rows between two beats of the journal: what a failed step leaves behind, and what it must not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from orchestrator.core import events as e
from orchestrator.core.codec import encode
from orchestrator.core.model import Json
from orchestrator.core.records import Verdict
from orchestrator.shell.loop import rebuild
from tests.shell.test_loop import House

NO_GOOD_STREAK = {"good_streak": 0, "first_good_at": None}


@pytest.fixture
def house() -> House:
    return House()


def rows_of(house: House) -> dict[str, Mapping[str, Json]]:
    """What the engine knows, as the journal would say it."""
    return {name: encode(row) for name, row in house.shell.engine.rows.items()}


def mended(house: House) -> None:
    """The journal takes entries again, and time passes until the shell has tried."""
    house.journal.refuses = ""
    house.now += 3
    house.shell.handle(e.Ticked())
    assert house.shell.broken is None


def test_a_step_that_failed_half_way_leaves_the_rows_as_they_were(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that are not written yet survive; what the failed step made of them, and the streak it broke, do not."""
    house.hears(e.Answer.GOOD, 3)
    house.hears(e.Answer.GOOD, 2, every_s=0.1)
    before = rows_of(house)

    def broken(event: e.Event, now: float) -> None:
        row = house.shell.engine.rows["acme/web"]
        row.verdict, row.bad_streak, row.first_bad_at = Verdict.DOWN, 3, now
        raise RuntimeError("two and two is five")

    monkeypatch.setattr(house.shell.engine, "step", broken)
    house.hears(e.Answer.BAD, 1, every_s=0.1)
    assert house.shell.broken is not None
    mended(house)
    assert rows_of(house) == {"acme/web": {**before["acme/web"], **NO_GOOD_STREAK}}


def test_a_step_that_could_not_be_written_leaves_the_rows_as_they_were(house: House) -> None:
    """But for streaks: none goes on over an answer that is lost."""
    house.hears(e.Answer.GOOD, 3)
    house.hears(e.Answer.GOOD, 1, "acme/ref")
    house.hears(e.Answer.BAD, 2, every_s=0.1)
    before = rows_of(house)
    house.journal.refuses = "disk full"
    house.hears(e.Answer.BAD, 1, every_s=0.1)  # the verdict falls, and cannot be written
    mended(house)
    streaks = {"bad_streak": 0, "spoken_bad": 0, "first_bad_at": None}
    assert rows_of(house) == {**before, "acme/web": {**before["acme/web"], **streaks}}
    assert rows_of(house)["acme/web"]["verdict"] == "up"


def test_answers_that_changed_nothing_survive_a_beat_that_could_not_be_written(house: House) -> None:
    house.hears(e.Answer.GOOD, 5)
    house.journal.refuses = "disk full"
    house.hears(e.Answer.GOOD, 1)
    after = rows_of(house)
    assert house.shell.broken is not None
    mended(house)
    assert rows_of(house) == after


def test_an_answer_that_could_not_be_written_is_refused_at_once_and_forgotten(house: House) -> None:
    """No streak goes on over it."""
    house.hears(e.Answer.GOOD, 5)
    house.hears(e.Answer.GOOD, 1, every_s=0.1)
    before = rows_of(house)
    house.now += 0.1
    house.shell.handle(e.Observed("acme/web", house.now, e.Answer.GOOD, {"rtt_s": float("nan")}))
    assert house.shell.broken is not None
    assert "Row.measures" in house.shell.broken
    mended(house)
    assert rows_of(house) == {"acme/web": {**before["acme/web"], **NO_GOOD_STREAK}}


def test_rows_that_were_given_to_the_journal_do_not_follow_later_answers(house: House) -> None:
    house.hears(e.Answer.GOOD, 3)
    house.hears(e.Answer.GOOD, 1, every_s=1.5)
    kept, then = house.journal.rows(), rows_of(house)
    assert kept == then
    house.hears(e.Answer.GOOD, 3, every_s=0.1)
    assert house.journal.rows() == then
    house.shell.close()
    assert house.journal.rows() == rows_of(house)
    assert {name: encode(row) for name, row in rebuild(house.journal).rows.items()} == rows_of(house)


def test_an_entry_carries_the_rows_as_they_were_with_it(house: House) -> None:
    house.hears(e.Answer.GOOD, 2)
    entry = list(house.journal.entries())[-1]
    assert entry.rows["acme/web"] == rows_of(house)["acme/web"]
    house.hears(e.Answer.GOOD, 2, every_s=0.1)
    assert list(house.journal.entries())[-1].rows == entry.rows
