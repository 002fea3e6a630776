"""The schedule of due times, on an axis of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.probes.schedule import Schedule, place_of


def beats(schedule: Schedule, until: float, *, every: float = 0.01, start: float = 0.0) -> list[tuple[str, float]]:
    """What comes due when somebody looks every so often, with the time of the look."""
    found = []
    steps = round((until - start) / every)
    for step in range(1, steps + 1):
        now = start + step * every
        found += [(check, now) for check, _ in schedule.due(now)]
    return found


class TestStart:
    """The first beats are spread over the interval, always in the same way."""

    def test_a_thousand_checks_start_as_a_steady_stream(self) -> None:
        schedule = Schedule()
        for number in range(1000):
            schedule.add(f"acme/check-{number}", 1.0, now=5.0)
        tenths = [len(schedule.due(5.0 + tenth / 10)) for tenth in range(1, 11)]
        assert sum(tenths) == 1000
        assert all(60 <= count <= 140 for count in tenths), tenths

    def test_the_place_is_the_same_in_every_process(self) -> None:
        assert place_of("acme/erp") == pytest.approx(0.8663, abs=0.0001)
        assert place_of("acme/erp") != place_of("acme/www")

    def test_an_impossible_interval_is_told(self) -> None:
        with pytest.raises(ValueError, match="acme/erp"):
            Schedule().add("acme/erp", 0.0, now=0.0)


class TestBeat:
    """No drift, no bunches."""

    def test_looking_late_does_not_shift_the_beats(self) -> None:
        schedule = Schedule()
        schedule.add("a", 1.0, now=0.0)
        first = schedule.next_at()
        assert first is not None
        for number in range(5):
            assert [check for check, _ in schedule.due(first + number + 0.3)] == ["a"]
        assert schedule.next_at() == pytest.approx(first + 5)

    def test_missed_beats_are_skipped(self) -> None:
        schedule = Schedule()
        schedule.add("a", 1.0, now=0.0)
        first = schedule.next_at()
        assert first is not None
        assert len(schedule.due(first + 100.5)) == 1
        assert schedule.due(first + 100.5) == []
        assert schedule.next_at() == pytest.approx(first + 101)

    @given(st.lists(st.floats(0.001, 5.0), min_size=1, max_size=60), st.floats(0.01, 3.0))
    def test_every_beat_lies_on_the_grid_and_none_comes_twice(self, pauses: list[float], every_s: float) -> None:
        schedule = Schedule()
        schedule.add("a", every_s, now=0.0)
        first = schedule.next_at()
        assert first is not None
        now, last = 0.0, -1
        for pause in pauses:
            now += pause
            due = schedule.due(now)
            assert len(due) <= 1
            upcoming = schedule.next_at()
            assert upcoming is not None
            assert upcoming > now
            number = (upcoming - first) / every_s
            assert number == pytest.approx(round(number), abs=1e-6)
            assert round(number) >= last
            last = round(number)


class TestCadence:
    """A new interval counts from the last beat."""

    def test_faster_and_slower(self) -> None:
        schedule = Schedule()
        schedule.add("a", 10.0, now=0.0)
        first = schedule.next_at()
        assert first is not None
        schedule.due(first)
        schedule.cadence({"a": 1.0}, first + 0.2)
        assert schedule.next_at() == pytest.approx(first + 1)
        schedule.due(first + 1)
        schedule.cadence({"a": 10.0}, first + 1.1)
        assert schedule.next_at() == pytest.approx(first + 11)

    def test_a_check_that_is_overdue_by_its_new_interval_is_asked_now(self) -> None:
        schedule = Schedule()
        schedule.add("a", 60.0, now=0.0)
        first = schedule.next_at()
        assert first is not None
        schedule.due(first)
        schedule.cadence({"a": 1.0}, first + 20)
        assert schedule.next_at() == first + 20

    def test_many_that_are_overdue_come_one_after_the_other(self) -> None:
        schedule = Schedule()
        names = [f"c{number}" for number in range(100)]
        for name in names:
            schedule.add(name, 60.0, now=0.0)
        schedule.due(60.0)
        schedule.cadence(dict.fromkeys(names, 0.5), 100.0)
        assert len(schedule.due(100.0)) == 1
        assert len(schedule.due(100.2)) == 99

    def test_the_same_interval_changes_nothing(self) -> None:
        schedule = Schedule()
        schedule.add("a", 10.0, now=0.0)
        before = schedule.next_at()
        schedule.cadence({"a": 10.0, "stranger": 1.0}, 5.0)
        assert schedule.next_at() == before
        assert len(schedule) == 1

    def test_a_removed_check_has_no_beat(self) -> None:
        schedule = Schedule()
        schedule.add("a", 1.0, now=0.0)
        schedule.remove("a")
        assert schedule.next_at() is None
        assert beats(schedule, 3.0) == []
        schedule.add("a", 1.0, now=3.0)
        assert len(beats(schedule, 6.0, start=3.0)) == 3
