"""How old data was is kept by the hour: over restarts, within bounds, and harming nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config.settings import JournalSettings
from orchestrator.core import events as e
from orchestrator.core.ages import HOUR_S, Ages, Kept
from orchestrator.core.model import Model
from orchestrator.journal.ages import STEPS_KEPT_HOURS, add, ages_path, read
from orchestrator.shell.ages import WAITS_HOURS, DataAges, asked_for_ages
from tests.reports.sample import WALL, small_model

LAG, BACKUP = "acme/geo-lag", "acme/backup-age"
HOUR = int(WALL // HOUR_S)


class Clock:
    def __init__(self) -> None:
        self.wall = WALL

    def __call__(self) -> float:
        return self.wall


def noting(workspace: Path, clock: Clock, model: Model | None = None) -> DataAges:
    there = model or small_model()
    return DataAges(workspace, lambda: there, clock)


def hear(ages: DataAges, check: str, **measures: float) -> None:
    ages.note(e.Observed(check, 1.0, e.Answer.GOOD, measures))


async def test_ages_are_kept_by_service_check_measure_and_hour(tmp_path: Path) -> None:
    clock = Clock()
    ages = noting(tmp_path, clock)
    for age_s in (1.0, 2.0, 40.0):
        hear(ages, LAG, data_age_s=age_s, lag_s=age_s / 2)
    hear(ages, "acme/erp-transaction", data_age_s=7.0)  # no move goes by its age
    clock.wall += HOUR_S
    hear(ages, LAG, data_age_s=3.0)
    hear(ages, LAG, rtt_s=3.0)  # it answered, and told no age
    await ages.write()
    found = read(tmp_path)
    assert set(found) == {
        Kept("acme/erp", LAG, "data_age_s", HOUR), Kept("acme/erp", LAG, "lag_s", HOUR),
        Kept("acme/erp", LAG, "data_age_s", HOUR + 1),
    }  # fmt: skip
    assert read(tmp_path, services=["acme/erp", "acme/mail"]) == found
    assert read(tmp_path, services=["bistro/erp"]) == {}
    first, second = (found[Kept("acme/erp", LAG, "data_age_s", HOUR + n)] for n in (0, 1))
    assert (first.count, first.outside, first.least_s, first.most_s) == (3, 1, 1.0, 40.0)  # the RPO is 30 s
    assert (second.count, second.unmeasured) == (1, 1)
    assert ages_path(tmp_path).stat().st_mode & 0o077 == 0


async def test_two_controllers_one_after_the_other_count_together(tmp_path: Path) -> None:
    clock = Clock()
    for age_s in (1.0, 9.0):
        ages = noting(tmp_path, clock)
        hear(ages, LAG, data_age_s=age_s)
        await ages.write()
    (found,) = read(tmp_path).values()
    assert (found.count, found.least_s, found.most_s, sum(found.steps.values())) == (2, 1.0, 9.0, 2)


async def test_two_clients_with_a_check_of_the_same_name_have_their_own(tmp_path: Path) -> None:
    model, clock = small_model(), Clock()
    move = replace(model.moves["acme/geo-site"], id="bistro/geo-site", client="bistro", data_age="bistro/geo-lag")
    till = replace(model.services["bistro/erp"], ladder=(replace(model.services["acme/erp"].ladder[0], move=move.id),))
    model = replace(
        model, moves={**model.moves, move.id: move}, services={**model.services, till.id: replace(till, rpo_s=5.0)}
    )
    assert asked_for_ages(model)["bistro/geo-lag"] == [("bistro/erp", 5.0)]
    ages = noting(tmp_path, clock, model)
    hear(ages, LAG, data_age_s=10.0)
    hear(ages, "bistro/geo-lag", data_age_s=11.0)
    await ages.write()
    told = {(k.service, k.check): (x.most_s, x.outside) for k, x in read(tmp_path).items()}
    assert told == {("acme/erp", LAG): (10.0, 0), ("bistro/erp", "bistro/geo-lag"): (11.0, 1)}


async def test_a_disk_that_is_full_costs_nothing_but_what_is_older_than_two_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, full = Clock(), True
    kept = add

    def refused(*given: object) -> None:
        if full:
            raise sqlite3.OperationalError("database or disk is full")
        kept(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("orchestrator.journal.ages.add", refused)
    ages = noting(tmp_path, clock)
    for _ in range(WAITS_HOURS + 20):
        hear(ages, LAG, data_age_s=1.0)
        await ages.write()
        clock.wall += HOUR_S
    full = False
    await ages.write()
    assert len(read(tmp_path)) == WAITS_HOURS


async def test_a_daemon_that_ends_writes_what_it_noted_last(tmp_path: Path) -> None:
    ages = noting(tmp_path, Clock())
    task = asyncio.create_task(ages.run())
    await asyncio.sleep(0)
    hear(ages, LAG, data_age_s=1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(read(tmp_path)) == 1


async def test_it_is_bounded_by_days_and_old_hours_lose_their_steps(tmp_path: Path) -> None:
    """Hours of two years, each with ten answers: those of the days that are kept stay, as a few numbers each."""
    settings = JournalSettings(ages_s=20 * 86400.0)
    for hour in range(HOUR - 24 * 30, HOUR, 24):
        one = Ages()
        for n in range(10):
            one.note(float(n), 5.0, hour * HOUR_S + n)
        add(tmp_path, {Kept("acme/erp", LAG, "data_age_s", hour): one}, hour * HOUR_S, settings.ages_s)
    found = read(tmp_path)
    assert len(found) == 20
    old, new = found[min(found, key=lambda k: k.hour)], found[max(found, key=lambda k: k.hour)]
    assert (old.steps, old.count, old.most_s, old.outside) == ({}, 10, 9.0, 4)
    assert (old.median_s, old.p99_s) == (new.median_s, new.p99_s)
    assert sum(1 for x in found.values() if x.steps) == STEPS_KEPT_HOURS // 24


def test_a_file_that_is_none_of_ours_is_no_fault(tmp_path: Path) -> None:
    path = ages_path(tmp_path)
    path.parent.mkdir()
    path.write_text("not a database, but a text that is long enough to be taken for one" * 20)
    assert read(tmp_path) == {}
    with pytest.raises(sqlite3.Error), closing(sqlite3.connect(":memory:")):
        add(tmp_path, {Kept("acme/erp", LAG, "lag_s", HOUR): Ages()}, WALL, 1e9)
