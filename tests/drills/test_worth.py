"""By value: what reduces most risk comes first, and says why; the unproven cost falls faster than by a calendar."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import records as r
from orchestrator.core.events import WordKind, WordSpoken
from orchestrator.core.model import Combine, Condition, Service
from orchestrator.core.schedules import Calendar, Candidate, Hours, Schedule
from orchestrator.core.state.decided import ScheduleState
from orchestrator.core.state.drills_decided import DueDrill
from orchestrator.drills.due import picks
from orchestrator.drills.occurrences import Occurrence
from orchestrator.drills.outlook import outlook
from orchestrator.drills.worth import Exposure, exposure, key, ranked
from scripts.value_curve import DOC, table, year
from tests.core.drill_stage import stage
from tests.drills.plans import Desk, moment, plan

DAY = 86400.0
ERP = Candidate("acme/erp", "acme/geo-site")
ISP = Candidate("acme/hq-internet", "acme/backup-isp")


def service(**changes: object) -> Service:
    return Service("acme/erp", "acme", "erp", Condition(Combine.ALL, ("acme/up",)), (), 3600.0, **changes)  # type: ignore[arg-type]


def test_its_three_figures_are_multiplied_and_said() -> None:
    known = exposure(service(downtime_cost=180.0), 73 * DAY, (), [600.0] * 7)
    assert known.share == 0.2
    assert round(known.width_s) == round(3600 * 0.9**7)
    assert round(known.worth) == round(180 * 60 * 0.9**7 * 0.2)
    assert str(known).startswith("180 EUR/min, proven or rehearsed ")
    assert str(known).endswith("of its RTO not bounded by a forecast (7 drills): 1033 EUR unproven")


def test_what_is_said_of_it_is_so() -> None:
    """No cost that nobody declared, no part of an RTO that is longer than the whole, and a little is not nothing."""
    free = str(exposure(service(), None, (), [600.0] * 7))
    assert (
        free
        == "no cost is declared, neither proven nor rehearsed, 28:42 of its RTO not bounded by a forecast (7 drills)"
    )
    slow = str(exposure(service(downtime_cost=1.0), 73 * DAY, [7200.4]))
    assert (
        "1:48:00 of the 2:00:01 of its forecast, which is longer than its RTO, not bounded by a forecast (1 live run)"
        in slow
    )
    assert "proven or rehearsed 73 days ago" in slow
    assert str(exposure(service(downtime_cost=0.01), DAY, (), [600.0] * 7)).endswith(": 0.00079 EUR unproven")


def test_what_was_never_proven_is_worth_a_whole_year() -> None:
    never = exposure(service(downtime_cost=10.0), None)
    assert (never.share, never.width_s, never.worth) == (1.0, 3600.0, 600.0)
    assert "neither proven nor rehearsed" in str(never)
    assert "(no run)" in str(never)


def test_live_runs_are_a_basis_before_drills() -> None:
    assert exposure(service(), None, [700.0], [600.0] * 9).runs == 1
    assert exposure(service(), None, [], [600.0] * 9).runs == 9


def test_what_is_worth_most_comes_first_and_nothing_known_last() -> None:
    dear, cheap = Exposure(100, "EUR", None, 600), Exposure(1, "EUR", None, 600)
    of = (ISP, ERP)
    assert ranked(of, {key("acme/erp", "acme/geo-site"): dear, key(ISP.service, ISP.move): cheap}, {})[0] == ERP
    assert ranked(of, {key("acme/erp", "acme/geo-site"): cheap}, {})[0] == ERP


def test_what_was_drilled_lately_gives_way_whatever_came_of_it() -> None:
    dear, cheap = Exposure(100, "EUR", None, 600), Exposure(1, "EUR", None, 600)
    known = {key(ERP.service, ERP.move): dear, key(ISP.service, ISP.move): cheap}
    drilled = {key(ERP.service, ERP.move): "2026-11-02T21:00:00Z"}
    assert ranked((ISP, ERP), known, drilled, "2026-11-01T21:00:00Z") == [ISP, ERP]
    assert ranked((ISP, ERP), known, drilled, "2026-11-02T22:00:00Z") == [ERP, ISP]


def test_of_what_costs_nothing_the_oldest_proof_comes_first() -> None:
    old, new = Exposure(0, "EUR", 90 * DAY, 600), Exposure(0, "EUR", DAY, 600)
    assert ranked((ISP, ERP), {key(ISP.service, ISP.move): new, key(ERP.service, ERP.move): old}, {})[0] == ERP


def test_it_is_due_since_its_owners_calendar_opened_too() -> None:
    """The time that names it is the first opening of the day; it may begin later."""
    every_day, named_at = (0, 1, 2, 3, 4, 5, 6), "2026-11-03T20:00:00Z"
    nights, owners = (Calendar("UTC", (Hours(every_day, h * 3600, 23 * 3600),)) for h in (20, 21))
    candidate = replace(ERP, calendars=(owners,))
    value = plan(schedule=Schedule("", 3 * 3600.0, (nights,)), by_value=True, of=(candidate,))
    came = DueDrill(r.DrillCameDue(0.0, value.id, named_at, 7200.0, ()))
    states = {value.id: ScheduleState(value, "2026-11-01T00:00:00Z", named_at, came)}
    (told,) = outlook(states, {value.id: value}, moment("2026-11-03T21:05").timestamp())
    assert (told.state, told.opens, told.closes) == ("due", "2026-11-03T21:00:00Z", "2026-11-03T23:00:00Z")


def test_it_says_why_it_chose_that_one() -> None:
    world = stage()
    nights = Calendar("UTC", (Hours((0, 1, 2, 3, 4, 5, 6), 21 * 3600, 22 * 3600),))
    exposures = {
        key(ERP.service, ERP.move): Exposure(180, "EUR", None, 900),
        key(ISP.service, ISP.move): Exposure(20, "EUR", 30 * DAY, 300, 3),
    }
    value = plan(schedule=Schedule("", 3600.0, (nights,)), by_value=True, of=(ISP, ERP))
    desk = Desk(world, "2026-11-03T20:58", value, exposures=exposures)
    desk.run(300)
    (one,) = world.records(r.DrillBegan)
    assert one.service == "acme/erp"  # type: ignore[attr-defined]
    why = "15:00 of its RTO not bounded by a forecast (no run): 2700 EUR unproven"
    assert one.drawn == f"worth most of 2: 180 EUR/min, neither proven nor rehearsed, {why}"  # type: ignore[attr-defined]


def test_what_was_drilled_lately_is_none_of_those_of_which_it_is_worth_most() -> None:
    """It may be worth more; it gives way."""
    exposures = {
        key(ERP.service, ERP.move): Exposure(180, "EUR", None, 900, 1, live=True),
        key(ISP.service, ISP.move): Exposure(1, "EUR", None, 300, 1),
    }
    value = plan(schedule=Schedule("", 3600.0), by_value=True, of=(ISP, ERP))
    opens = moment("2026-11-03T21:00")
    one, day_before = Occurrence(opens, opens, opens), "2026-11-02T21:00:00Z"

    def drawn(*drilled: Candidate) -> str:
        lately = {key(x.service, x.move): day_before for x in drilled}
        state = ScheduleState(value, "2026-11-01T00:00:00Z", day_before, drilled=lately)
        return picks(state, one, None, exposures)[0].drawn

    assert drawn().startswith("worth most of 2: 180 EUR/min")
    assert "(1 live run)" in drawn()
    assert drawn(ERP).startswith("worth most of 1, beside 1 drilled in the last 3 days: 1 EUR/min")
    assert "(1 drill)" in drawn(ERP)
    assert drawn(ERP, ISP).startswith("worth most of 2, all drilled in the last 3 days: 180 EUR/min")


def test_what_cannot_be_drilled_gives_way_and_that_is_said() -> None:
    world = stage()
    world.hears(WordSpoken("w1", WordKind.HOLD, "Ada", "acme/erp", "night shift"))
    nights = Calendar("UTC", (Hours((0, 1, 2, 3, 4, 5, 6), 21 * 3600, 22 * 3600),))
    dear, cheap = Exposure(100, "EUR", None, 600), Exposure(1, "EUR", None, 600)
    exposures = {key(ERP.service, ERP.move): dear, key(ISP.service, ISP.move): cheap}
    value = plan(schedule=Schedule("", 3600.0, (nights,)), by_value=True, of=(ERP, ISP))
    Desk(world, "2026-11-03T20:58", value, exposures=exposures).run(300)
    (one,) = world.records(r.DrillBegan)
    assert one.service == "acme/hq-internet"  # type: ignore[attr-defined]
    refused = "acme/erp acme/geo-site was refused (held: Ada holds acme/erp: night shift)"
    assert one.drawn.endswith(f"10 EUR unproven; {refused}")  # type: ignore[attr-defined]


def test_in_a_simulated_year_the_unproven_cost_falls_faster_than_by_a_fixed_calendar() -> None:
    for seed in range(1, 6):
        value, fixed = year(by_value=True, seed=seed), year(by_value=False, seed=seed)
        assert len(value.unproven) == len(fixed.unproven), "the same effort"
        assert value.unproven[0] == fixed.unproven[0]
        assert sum(value.unproven) < 0.75 * sum(fixed.unproven)
        tenth = value.unproven[0] / 10
        assert next(n for n, x in enumerate(value.unproven) if x < tenth) <= next(
            n for n, x in enumerate(fixed.unproven) if x < tenth
        )


def test_the_table_of_the_documents_is_that_of_the_program() -> None:
    rows = "\n".join(table(year(by_value=True), year(by_value=False)))
    assert rows in DOC.read_text(encoding="utf-8"), "write it anew: python -m scripts.value_curve"
