"""The split clock: every second of an outage belongs to one phase, and a human's time is nobody else's."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from orchestrator.core import records as r
from orchestrator.core.kinds import Phase
from orchestrator.core.reasons import Reason
from orchestrator.reports.account import account
from orchestrator.reports.papers import lessons
from orchestrator.reports.papers.shape import Said
from orchestrator.reports.phases import milestones, segments, totals
from orchestrator.reports.shape import Known
from tests.reports.sample import FAILOVER, K, Tape, approve, asked_act, first_act, second_act


@pytest.fixture
def tape() -> Tape:
    """A controller has begun, all is well."""
    return Tape().begin().after(20.0)


def test_phases_of_an_outage_add_up_to_its_rta(tape: Tape) -> None:
    """Whatever happened in between, nothing is counted twice and nothing is left out."""
    for act in (first_act, second_act, asked_act):
        act(tape)
        tape.after(140.0 if act is asked_act else 400.0)
    approve(tape)
    for story in tape.read().stories.values():
        parts = segments(story, tape.now)
        ended = story.episodes[-1].ended
        assert ended is not None
        assert sum(totals(parts).values()) == pytest.approx(ended.rta_s)
        assert all(a.ended_at == b.began_at for a, b in pairwise(parts))


def test_the_second_tier_is_timed_phase_by_phase(tape: Tape) -> None:
    """Detect, decide (the preflight), fence (with its proof), execute, verify."""
    second_act(tape)
    story = tape.read().stories["i2"]
    assert {p.value: round(s, 3) for p, s in totals(segments(story, tape.now)).items()} == {
        "detect": 2.0,
        "decide": 0.3,
        "fence": 3.0,
        "execute": 5.4,
        "verify": 1.3,
    }
    found = milestones(story)
    assert found.first_bad is not None
    assert [round(x - found.first_bad, 3) for x in (found.detected, found.decided, found.fenced, found.acted) if x] == [
        2.0,
        2.3,
        5.3,
        10.7,
    ]


def test_time_spent_waiting_for_a_person_is_its_own_phase(tape: Tape) -> None:
    """140 s until Ann said yes: not "decide"."""
    asked_act(tape)
    tape.after(140.0)
    approve(tape)
    spent = totals(segments(tape.read().stories["i3"], tape.now))
    assert spent[Phase.HUMAN] == pytest.approx(140.0)
    assert spent[Phase.DECIDE] == pytest.approx(0.3)


def test_an_open_outage_counts_up_to_now(tape: Tape) -> None:
    """While it waits, the clock is seen to run in the right phase."""
    asked_act(tape)
    spent = totals(segments(tape.read().stories["i3"], tape.now + 60.0))
    assert spent[Phase.HUMAN] == pytest.approx(60.0)


def test_waiting_for_a_dependency_is_told_apart(tape: Tape) -> None:
    """The link's own move runs elsewhere; this service's time is not "decide"."""
    bad = tape.now
    tape.after(2.0).incident("i9", "acme/hq", "no reply", first_bad=bad, last_good=None)
    tape.write(r.ServiceJudged(tape.now, "i9", r.Decision.WAIT, Reason.DEPENDENCY_RECOVERING, "acme/net"))
    tape.after(8.0)
    tape.write(r.IncidentEnded(tape.now, "i9", Reason.RECOVERED_BY_ITSELF, "good", tape.now, 10.0))
    assert totals(segments(tape.read().stories["i9"], tape.now))[Phase.DEPENDENCY] == pytest.approx(8.0)


def test_a_relapse_is_another_outage_of_the_same_incident(tape: Tape) -> None:
    """The seconds in between, when it worked, belong to no phase."""
    first_act(tape)
    tape.after(30.0)
    bad = tape.now
    tape.after(2.0).write(r.IncidentReopened(tape.now, "i1", bad, "acme/hq", "no reply", bad - 1.0))
    tape.after(3.0).write(r.IncidentEnded(tape.now, "i1", Reason.RECOVERED_BY_ITSELF, "good", tape.now, 40.9))
    stories = tape.read()
    parts = segments(stories.stories["i1"], tape.now)
    assert sum(totals(parts).values()) == pytest.approx(5.9 + 5.0)
    told = account(stories.stories["i1"], stories.clock, tape.now)
    assert told.episodes == 2
    assert any("relapse" in x for x in told.remarks)


def test_rpa_is_what_was_measured_and_aged_until_the_fence_was_proven(tape: Tape) -> None:
    """0.9 s old at the preflight, and HQ might have written for 3 s more."""
    second_act(tape)
    stories = tape.read()
    told = account(stories.stories["i2"], stories.clock, tape.now)
    assert told.rpa.known is Known.MEASURED
    assert told.rpa.seconds == pytest.approx(3.9)
    assert told.rpo_met is True


@pytest.mark.parametrize(
    ("waited_s", "age_s", "hand_over", "met"),
    [
        (20.0, 5.0, False, True),
        (40.0, 5.0, False, None),  # perhaps hq wrote nothing more, or what it wrote came over
        (40.0, 31.0, False, False),  # the copy was too old when it was looked at
        (0.0, 31.0, False, False),
        (40.0, 31.0, True, None),  # hq stopped in order: the copy may have had everything
        (0.0, 5.0, True, True),
    ],
)
def test_the_rpo_is_missed_by_what_was_measured_and_not_by_time_that_passed(
    tape: Tape, waited_s: float, age_s: float, hand_over: bool, met: bool | None
) -> None:
    """30 s are allowed. What is not known is told as not known."""
    run_of_geo_site(tape, waited_s, age_s, hand_over=hand_over)
    stories = tape.read()
    (told,) = (account(x, stories.clock, tape.now) for x in stories.stories.values())
    assert told.rpa.seconds == pytest.approx(age_s + waited_s)
    assert told.rpo_met is met
    unknown = Said("whether the RPO of {rpo_s} was met is not known", {"rpo_s": 30.0})
    (story,) = stories.stories.values()
    assert (unknown in list(lessons.failed(story, told))) is (met is None)


def test_a_hand_over_that_a_persons_word_stands_for_is_no_clean_stop(tape: Tape) -> None:
    """Hq died before it was asked to stop: the copy was too old when it was looked at, and nothing came over since."""
    run_of_geo_site(tape, 40.0, 31.0, hand_over=True, made=False)
    stories = tape.read()
    (told,) = (account(x, stories.clock, tape.now) for x in stories.stories.values())
    assert told.rpo_met is False


def run_of_geo_site(tape: Tape, waited_s: float, age_s: float, *, hand_over: bool, made: bool = True) -> None:
    """A planned move whose copy is looked at first, and whose place is out so much later."""
    fence = "hand-over:acme/hq" if hand_over else "fence:acme/hq"
    steps = tuple((fence, k) if k is K.FENCE else (n, k) for n, k in FAILOVER)
    tape.run("r9", "geo-site", steps, origin=r.Origin.MANUAL, from_place="acme/hq", to_place="acme/geo")
    tape.step("r9", "preflight", 0.3, "geo-ready good", data_age_s=age_s)
    if made:
        tape.step("r9", fence, waited_s)
        tape.step("r9", "proof:acme/hq", 0.0)
    else:
        left, stated = (r.StepState.SKIPPED, Reason.FENCED_BY_HAND), "stated by Ann Example"
        tape.after(waited_s).write(
            *(r.StepFinished(tape.now, "r9", name, 0, *left, stated) for name in (fence, "proof:acme/hq"))
        )
    tape.step("r9", "execute", 5.0)
    tape.write(r.PlacementChanged(tape.now, "acme/erp", "acme/hq", "acme/geo", "r9"))
    tape.step("r9", "verify", 1.0)
    tape.write(r.RunEnded(tape.now, "r9", True, Reason.VERIFIED, "erp-transaction good"))


def test_what_was_not_measured_is_not_claimed(tape: Tape) -> None:
    """No data moved in tier 1; and no history is said to be no history."""
    first_act(tape)
    stories = tape.read()
    told = account(stories.stories["i1"], stories.clock, tape.now)
    assert (told.rpa.seconds, told.rpa.known) == (None, Known.UNKNOWN)
    assert (told.runs[0].predicted.seconds, told.runs[0].predicted.known) == (None, Known.ASSUMED)


def test_a_run_is_compared_with_the_history_before_it(tape: Tape) -> None:
    """The second time, the first is what was usual."""
    first_act(tape)
    tape.after(1000.0)
    bad = tape.now
    tape.after(2.0).incident("i5", "acme/hq", "no reply", first_bad=bad, last_good=None)
    steps = (("preflight", r.StepKind.PREFLIGHT),)
    tape.run("r5", "backup-isp", steps, incident="i5", tier=1, deadline=bad + 120.0)
    told = tape.read().stories["i5"].runs[0]
    assert told.usual_runs == 1
    assert told.usual_s == pytest.approx(3.6)


def test_a_gap_taken_from_the_wall_clock_makes_the_rta_assumed(tape: Tape) -> None:
    """The machine restarted during the incident."""
    asked_act(tape)
    tape.write(r.ControllerBegan(tape.now, "noc", 2, "boot-2", False, 42.0))
    tape.after(10.0)
    approve(tape)
    stories = tape.read()
    told = account(stories.stories["i3"], stories.clock, tape.now)
    assert told.rta.known is Known.ASSUMED
    assert any("42s" in x for x in told.remarks)


def test_budget_left_falls_step_by_step(tape: Tape) -> None:
    """Each step's end, against first bad + RTO."""
    second_act(tape)
    stories = tape.read()
    told = account(stories.stories["i2"], stories.clock, tape.now)
    left = [s.budget_left_s for s in told.steps if s.budget_left_s is not None]
    assert left == sorted(left, reverse=True)
    assert left[-1] == pytest.approx(120.0 - 12.0)


def test_budget_left_is_of_the_rto_that_is_told(tape: Tape) -> None:
    """The RTO was edited while its outage went on: both figures are of the one in force by then."""
    first_act(tape)
    now = tape.entries
    for n, entry in enumerate(now):
        records = tuple(replace(x, deadline=x.deadline + 780.0) if isinstance(x, r.RunStarted) and x.deadline else x
                        for x in entry.records)  # fmt: skip
        now[n] = replace(entry, records=records)
    told = account(tape.read().stories["i1"], tape.read().clock, tape.now)
    last = [s for s in told.steps if s.budget_left_s is not None][-1]
    assert told.rto_s == 120.0
    assert last.to_s is not None
    assert last.budget_left_s == pytest.approx(120.0 - last.to_s)
