"""A client's period: what began in it, to its end; and what of before went on in it."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import records as r
from orchestrator.core.model import Model
from orchestrator.core.reasons import Reason
from orchestrator.core.schedules import Candidate, DrillKind, DrillPlan, Schedule
from orchestrator.reports.papers.edition import for_client
from orchestrator.reports.papers.excerpt import cut
from orchestrator.reports.papers.narrowing import carried
from orchestrator.reports.papers.period import period_of
from orchestrator.reports.papers.printing import Papers, verified
from orchestrator.reports.papers.tongue import Tongue
from orchestrator.reports.stories import Stories
from tests.reports.papers.drills import drilled_model, full_scale
from tests.reports.papers.told import asked, linked, once_more
from tests.reports.sample import WALL, Tape, second_act

BY = "bascule 0"


def papers(tape: Tape, first: float, last: float, *models: Model) -> Papers:
    """acme's, from one instant of the axis to another."""
    known = {m.digest: m for m in models or (drilled_model(),)}
    stories = Stories(known.get).read(tape.entries)
    subject = period_of(stories, tape.now, "acme", ["acme/erp"], WALL + first, WALL + last)
    whole = cut(subject, stories, lambda: linked(tape), asked(tape))
    found = carried(subject, stories, lambda: linked(tape), asked(tape))
    assert found.subject.width == "narrow"
    made = Papers(found, BY)
    assert made.report == Papers(whole, BY).report
    assert verified(made.file, BY).wrong == ()
    return made


def drilled_over_midnight() -> tuple[Tape, float]:
    """A drill at full scale, and an instant of its stay."""
    tape = Tape().begin().after(20.0)
    full_scale(tape)
    (turned,) = [x for e in tape.entries for x in e.records if isinstance(x, r.DrillTurnedBack)]
    return tape.after(600.0), turned.at - 5.0


def test_a_drill_belongs_to_the_period_in_which_it_began_with_its_way_back() -> None:
    tape, midnight = drilled_over_midnight()
    before = papers(tape, 0.0, midnight).report
    (drill,) = before.inside
    assert (drill.id, [a.id for a in drill.parts]) == ("d1", ["r1", "r2"])
    assert [(o.actual.seconds is not None, o.met) for o in drill.objectives if o.objective == "return"] == [
        (True, True)
    ]
    assert before.totals[0].drills == 1
    after = papers(tape, midnight, tape.now).report
    assert after.inside == ()
    assert after.totals[0].drills == 0


def test_what_went_on_from_before_is_named_and_not_counted() -> None:
    tape, midnight = drilled_over_midnight()
    found = papers(tape, midnight, tape.now)
    began = Tongue().time(WALL + next(x.at for e in tape.entries for x in e.records if isinstance(x, r.RunStarted)))
    told = f"d1 of acme/erp had begun before this time, at {began}, and went on in it: it is not counted here"
    assert told in found.markdown()
    assert told in Papers(for_client(found.slice), BY).markdown()


def test_an_incident_that_was_open_when_a_period_began_is_named_in_it() -> None:
    tape = Tape().begin().after(20.0)
    began = tape.now
    second_act(tape)
    (ended,) = [x for e in tape.entries for x in e.records if isinstance(x, r.IncidentEnded)]
    tape.after(9000.0)
    inside = papers(tape, ended.recovered_at - 2.0, tape.now)
    assert "i2 of acme/erp had begun before this time" in inside.markdown()
    after = papers(tape, tape.now - 600.0, tape.now)
    assert "had begun before" not in after.markdown()
    (whole,) = papers(tape, began - 1.0, ended.recovered_at - 2.0).report.inside  # to its end, which came later
    assert whole.scope.to_wall is not None
    assert whole.parts[0].state == "recovered"


def test_a_period_has_the_objectives_that_were_in_force_at_its_end() -> None:
    """Also where what is told is compared with a move under an older configuration."""
    old = drilled_model()
    new = replace(
        old, digest="m2", services=old.services | {"acme/erp": replace(old.services["acme/erp"], rto_s=7200.0)}
    )
    tape = Tape().begin().after(20.0)
    second_act(tape)
    tape.after(5000.0).write(r.Configured(tape.now, "m2", {}))
    middle = tape.after(5000.0).now
    once_more(tape, configuration="m2")
    tape.after(600.0)
    report = papers(tape, middle, tape.now, old, new).report
    assert report.inside[0].last is not None
    assert (report.totals[0].rto_s, report.scope.configuration) == (7200.0, "m2")


def test_scheduled_drills_that_were_missed_stand_in_the_period_in_which_they_were_due() -> None:
    """Also one of which the record came later; none of another client's."""
    tape = Tape().begin().after(20.0)
    for name in ("acme/weekly", "bistro/weekly"):
        plan = DrillPlan(name, "", "weekly", DrillKind.FUNCTIONAL, Schedule("0 11 * * *", 3600.0), (), digest="w")
        tape.write(r.ScheduleInForce(tape.now, name, "2026-11-01T00:00:00Z", plan))
    tape.after(3 * 86400.0)
    for name in ("acme/weekly", "bistro/weekly"):
        for day in (18, 19, 20):
            evidence = "nobody was there on 10.0.0.7"
            tape.write(r.DrillMissed(tape.now, name, f"2026-11-{day}T12:00:00Z", Reason.WINDOW_UNSEEN, evidence))
    day = 86400.0
    found = papers(tape.after(60.0), 0.0, day)
    missed = [(x.schedule, x.occurrence, x.reason) for x in found.report.missed]
    assert missed == [("acme/weekly", "2026-11-18T12:00:00Z", "window unseen")]
    assert "| acme/weekly | 2026-11-18T12:00:00Z | window unseen: nobody was there on 10.0.0.7 |" in found.markdown()
    client = Papers(for_client(found.slice), BY, "fr")
    assert "| acme/weekly | 2026-11-18T12:00:00Z | window unseen |" in client.markdown()
    assert "bistro" not in client.file
    assert verified(client.file, BY).wrong == ()


def test_a_missed_drill_stands_in_the_period_of_each_client_whose_service_it_could_have_been() -> None:
    """Of a schedule of several clients, too; and what is another's is nothing of this one's."""
    tape = Tape().begin().after(20.0)
    for n, (name, services) in enumerate(
        [
            ("nightly", ("acme/erp", "bistro/erp")),
            ("bistro/all", ("acme/erp", "bistro/erp")),
            ("weekly", ("bistro/erp",)),
            ("acme/old", ("bistro/erp",)),
        ]
    ):
        what = tuple(Candidate(x, "m") for x in services)
        plan = DrillPlan(name, "", "x", DrillKind.FUNCTIONAL, Schedule("0 11 * * *", 3600.0), what, digest="w")
        tape.write(r.ScheduleInForce(tape.now, name, "2026-11-01T00:00:00Z", plan))
        at = f"2026-11-18T12:00:0{n}Z"
        tape.write(r.DrillMissed(tape.now, name, at, Reason.HELD, "bistro/erp is held by Bo", services))
    found = papers(tape.after(60.0), 0.0, 86400.0)
    assert [(x.schedule, x.reason) for x in found.report.missed] == [("nightly", "held"), ("bistro/all", "held")]
    client = Papers(for_client(found.slice), BY, "fr")
    assert "| du prestataire | 2026-11-18T12:00:00Z | nothing to drill |" in client.markdown()
    assert "bistro" not in client.file
    assert "bistro" not in client.markdown()
    assert verified(client.file, BY).wrong == ()


def test_what_went_on_after_a_period_is_counted_whole_and_said_to_be() -> None:
    """Its time without service may be longer than the period."""
    tape = Tape().begin().after(20.0)
    second_act(tape)
    (ended,) = [x for e in tape.entries for x in e.records if isinstance(x, r.IncidentEnded)]
    tape.after(600.0)
    found = papers(tape, 0.0, ended.recovered_at - 2.0)
    until = Tongue().time(WALL + ended.recovered_at)
    told = f"i2 of acme/erp went on after this time, until {until}: it is counted here to its end"
    assert told in found.markdown()
    assert "i2, de acme/erp, s’est poursuivi après" in Papers(for_client(found.slice), BY, "fr").markdown()
    assert "went on after" not in papers(tape, 0.0, tape.now).markdown()
    entries = [e for e in tape.entries if ended not in e.records]
    tape.entries = [replace(e, seq=n) for n, e in enumerate(entries, 1)]
    open_still = papers(tape, 0.0, ended.recovered_at - 2.0).markdown()
    assert "i2 of acme/erp goes on still: it is counted here up to when this report was made" in open_still


def test_of_the_time_before_the_journal_begins_nothing_is_claimed() -> None:
    tape = Tape().begin().after(20.0)
    second_act(tape)
    began, tape = WALL + tape.entries[0].at, tape.after(600.0)
    told = f"the journal begins at {Tongue().time(began)}: of the time before nothing is known"
    found = papers(tape, -86400.0, tape.now)
    assert told in found.markdown().partition("## Services")[2].partition("## Findings")[0]
    assert told in Papers(for_client(found.slice), BY).markdown()
    assert "the journal begins" not in papers(tape, 101.0, tape.now).markdown()
