"""Objectives that cannot be met are found before the disaster, with the figures that say so."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from orchestrator.core import records as r
from orchestrator.core.ages import Ages, Hours, Kept
from orchestrator.core.model import Check, Combine, Condition, Mode, Model, Service, Tier
from orchestrator.core.reasons import Reason
from orchestrator.reports import clock_times
from orchestrator.reports.feasibility import Finding, Lack, detection_s, findings
from tests.reports.sample import FAILOVER, WALL, K, Tape, small_model

HOUR = int(WALL // 3600)
GEO = "acme/geo-site"


@pytest.fixture
def tape() -> Tape:
    return Tape().begin().after(20.0)


def with_service(**changes: object) -> Model:
    model = small_model()
    erp: Service = replace(model.services["acme/erp"], **changes)  # type: ignore[arg-type]
    return replace(model, services={**model.services, "acme/erp": erp})


def found(tape: Tape, model: Model, ages: Hours | None = None) -> list[Finding]:
    stories = tape.read()
    return findings(model, stories.decided, ages or {}, stories.clock.wall, lambda s: s == "acme/erp")


def moved(tape: Tape, name: str, took_s: float, approval_s: float | None = None) -> None:
    """A person's own move, verified after so long; `approval_s`: an approval was waited for."""
    asks = (("approval", K.APPROVAL),) if approval_s is not None else ()
    steps = (FAILOVER[0], *asks, *FAILOVER[1:])
    tape.run(name, "geo-site", steps, from_place="acme/hq", to_place="acme/geo", origin=r.Origin.MANUAL, who="Ann")
    for step, kind in steps:
        tape.step(name, step, approval_s or 0.0 if kind is K.APPROVAL else took_s / len(FAILOVER))
    tape.write(r.RunEnded(tape.now, name, True, Reason.VERIFIED, "good"))
    tape.after(60.0)


def test_a_restore_that_took_longer_than_the_rto_is_told_with_its_runs(tape: Tape) -> None:
    for name, took_s in (("r3", 21600.0), ("r9", 22200.0), ("r12", 20400.0)):
        moved(tape, name, took_s)
    (one,) = found(tape, with_service(rto_s=7200.0))
    assert (one.lack, one.tier, one.move, one.key) == (Lack.TOO_SLOW, 2, GEO, "rto")
    assert one.said == "RTO 2:00:00, but geo-site took 6:00:00, 6:10:00 and 5:40:00 (r3, r9, r12)"
    assert one.figures["r9_s"] == pytest.approx(22200.0)


def test_what_a_person_was_waited_for_is_no_part_of_it_and_one_slow_run_of_three_is_none(tape: Tape) -> None:
    moved(tape, "r1", 100.0, approval_s=9000.0)
    moved(tape, "r2", 9000.0)
    moved(tape, "r3", 100.0)
    assert found(tape, with_service(rto_s=7200.0)) == []
    moved(tape, "r4", 8000.0)
    assert [x.lack for x in found(tape, with_service(rto_s=7200.0))] == [Lack.TOO_SLOW]


def hours(measures: tuple[str, ...], check: str, outside: int) -> Hours:
    one = Ages()
    for n in range(100):
        one.note(86400.0 if n < outside else 1.0, 30.0, HOUR * 3600.0 + n * 36.0)
    return {Kept("acme/erp", check, measure, HOUR): one for measure in measures}


def test_a_lag_above_the_rpo_is_told_with_its_share_and_its_worst_day(tape: Tape) -> None:
    (one,) = found(tape, with_service(), hours(("data_age_s", "lag_s"), "acme/geo-lag", 3))
    day = time.strftime("%A %Y-%m-%d", time.localtime(HOUR * 3600.0))
    assert one.said == (
        "RPO 30s, but the age of its data (geo-lag) was above the RPO in 3.0% of the answers"
        f" of the last week, 1:47 on {day}"
    )
    assert (one.lack, one.figures["share"]) == (Lack.DATA_TOO_OLD, 0.03)
    assert found(tape, with_service(), hours(("data_age_s", "lag_s"), "acme/geo-lag", 0)) == []
    assert found(tape, with_service(rpo_s=None), hours(("data_age_s",), "acme/geo-lag", 3)) == []


def test_two_days_of_one_name_are_two_days(tape: Tape) -> None:
    """A week ends on the day of the week on which it began."""
    (key, one), *_ = hours(("data_age_s", "lag_s"), "acme/geo-lag", 3).items()
    week = {replace(key, measure=m, hour=h): one for m in ("data_age_s", "lag_s") for h in (HOUR, HOUR + 7 * 24)}
    assert ", 1:47 on " in found(tape, with_service(), week)[0].said


def test_a_backup_that_grew_older_than_the_rpo_is_told_and_what_the_tier_accepts(tape: Tape) -> None:
    ages = hours(("data_age_s",), "acme/backup-age", 50)
    (one,) = found(tape, with_service(rpo_s=14400.0), ages)
    assert one.said == "RPO 4:00:00, but the newest backup (backup-age) was up to 24:00:00 old in the last week"
    assert (one.lack, one.tier) == (Lack.BACKUPS_TOO_SELDOM, 3)
    ladder = tuple(Tier(x.move, 90000.0) for x in small_model().services["acme/erp"].ladder)
    (one,) = found(tape, with_service(rpo_s=14400.0, ladder=ladder), ages)
    assert one.said.endswith("in the last week; this tier accepts 25:00:00")


def test_another_clients_ages_are_nothing_of_this_one(tape: Tape) -> None:
    ages = {Kept("bistro/erp", k.check, k.measure, k.hour): x for k, x in hours(("lag_s",), "acme/geo-lag", 9).items()}
    assert found(tape, with_service(), ages) == []


def test_a_detection_that_takes_half_of_the_rto_is_told(tape: Tape) -> None:
    model = with_service(rto_s=60.0)
    slow = replace(model.checks["acme/erp-transaction"], every_s=30.0, fast_s=15.0, timeout_s=15.0, fall=3)
    model = replace(model, checks={**model.checks, slow.id: slow})
    (one,) = found(tape, model)
    assert one.said == (
        "detection alone takes 45s of an RTO of 1:00 where nothing answers (erp-transaction: fall 3, asked every 15s"
        " then, time-out 15s);"
        " up to 30s more until erp-transaction is asked at all"
    )
    assert one.figures["detection_s"] == 45.0
    longer = with_service(rto_s=91.0)
    assert found(tape, replace(longer, checks=model.checks)) == []


def test_the_verdict_waits_for_the_checks_that_it_needs() -> None:
    def check(name: str, timeout_s: float) -> Check:
        return Check(name, "acme", name, name, "http", {}, fast_s=1.0, fall=1, timeout_s=timeout_s)

    model = Model("m", checks={name: check(name, float(n)) for n, name in enumerate("abc", 1)})
    for combine, need, takes_s in (
        (Combine.ALL, 0, 1.0), (Combine.ANY, 0, 3.0), (Combine.QUORUM, 2, 2.0), (Combine.QUORUM, 3, 1.0),
    ):  # fmt: skip
        found_ = detection_s(model, Condition(combine, ("a", "b", "c"), need))
        assert found_ is not None
        assert found_[0] == takes_s
    nested = detection_s(model, Condition(Combine.ALL, ("c", Condition(Combine.ANY, ("a", "b")))))
    assert nested is not None
    assert nested[0] == 2.0


def test_an_approval_that_took_longer_than_the_rto_is_told_with_the_hour(tape: Tape) -> None:
    model = with_service(mode=Mode.ASK, rto_s=600.0)
    (one,) = found(tape, model)
    assert one.said == (
        "mode ask, also at night: how long an approval takes is not known, and a question stays open for 15:00,"
        " the RTO is 10:00"
    )
    assert found(tape, with_service(mode=Mode.ASK, rto_s=3600.0)) == []
    moved(tape, "r1", 10.0, approval_s=120.0)
    assert found(tape, model) == []
    asked_at = tape.now
    moved(tape, "r2", 10.0, approval_s=5400.0)
    (one,) = found(tape, model)
    hour, shown = clock_times.hour(WALL + asked_at)
    night = "" if hour >= 22 or hour < 6 else "; none of them was asked for at night"
    assert one.said == (
        f"mode ask: the longest of the last 2 approvals took 1:30:00 (r2, asked after {shown}), the RTO is 10:00{night}"
    )
    assert (one.lack, one.key, one.runs) == (Lack.ASKS_A_PERSON, "mode", ("r1", "r2"))


def test_one_approval_is_not_the_longest_of_several(tape: Tape) -> None:
    moved(tape, "r1", 10.0, approval_s=5400.0)
    (one,) = found(tape, with_service(mode=Mode.ASK, rto_s=600.0))
    assert one.said.startswith("mode ask: the last approval took 1:30:00 (r1, asked after ")
