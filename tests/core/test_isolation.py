"""A suspected compromise: the place is cut off first, then a named person is asked, and nothing else happens before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind, RunPlaybook
from orchestrator.core.events import WordKind
from orchestrator.core.kinds import Phase
from orchestrator.core.model import Isolation, Mode
from orchestrator.core.reasons import Reason
from orchestrator.core.state.decided import Run
from orchestrator.core.state.fold import apply
from orchestrator.reports.phases import episode_segments, totals
from orchestrator.reports.status import status_now
from orchestrator.reports.status_parts import Live
from orchestrator.reports.stories import Stories
from orchestrator.shell.dry_run import plan_of
from tests.core.stage import hq_loses_power, lab
from tests.core.test_invariants import begun, down_at_hq, right, run_of, wrong
from tests.core.world import World, all_of, book, check, story

ISOLATE = r.PlannedStep("isolate-hq", r.StepKind.ISOLATE, "acme/hq")


def isolating(mode: Mode = Mode.AUTO, proven: bool = True, **isolation: object) -> World:
    """The lab whose hq can be cut off, and shows it; nothing is suspected yet."""
    world = lab(mode)
    closed = check("hq-closed", rise=1)
    plain = Isolation(book("close_hq"), all_of("hq-closed") if proven else None)
    hq = replace(world.model.places["acme/hq"], isolate=replace(plain, **isolation))  # type: ignore[arg-type]
    world.model = replace(
        world.model,
        digest="isolating",
        checks={**world.model.checks, closed.id: closed},
        places={**world.model.places, hq.id: hq},
    )
    world.bad("hq-closed")
    world.effects["close_hq"] = lambda: world.good("hq-closed")
    world.hears(e.ConfigurationLoaded(world.model))
    world._every[closed.id] = 1.0
    world._beat(closed.id, world._life)
    world.run(10)
    return world


def suspected(world: World) -> World:
    """A tool says so, and then hq goes dark."""
    assert world.say(WordKind.SUSPECT, "acme").accepted
    hq_loses_power(world)
    world.run(20)
    return world


def erp_runs(world: World) -> list[Run]:
    """Runs for erp, in order."""
    return [x for x in world.decided().runs.values() if x.started.service == "acme/erp"]


def steps_of(run: Run) -> list[tuple[str, str]]:
    """Name and state of its steps so far."""
    return [(s.name, s.state.value) for s in run.steps if s.state is not r.StepState.PENDING]


def asked(world: World) -> str:
    """What the last question says."""
    return [t.text for t in world.told if t.kind is NoticeKind.APPROVAL_NEEDED and t.subject == "acme/erp"][-1]


def test_the_place_is_cut_off_first_and_then_a_person_is_asked() -> None:
    world = suspected(isolating())
    (run,) = erp_runs(world)
    assert world.played == ["close_hq"], "\n".join(story(world))
    assert steps_of(run) == [
        ("isolate-hq", "done"),
        ("contained-hq", "done"),
        ("preflight", "done"),
        ("approval", "running"),
    ]
    assert "compromise suspected: Ada on acme: a reason; acme/hq is isolated first, by close_hq.yml" in asked(world)
    assert world.say(WordKind.APPROVE, run.id).accepted
    world.run(30)
    assert world.played == ["close_hq", "power_off_hq", "geo-site"]
    assert world.decided().services["acme/erp"].place == "acme/geo"


def test_without_a_declared_isolation_it_asks_and_says_that_none_is_declared() -> None:
    world = suspected(lab())
    assert world.played == []
    assert "no isolation is declared for acme/hq" in asked(world)


def test_nothing_is_isolated_without_a_suspicion() -> None:
    world = isolating()
    hq_loses_power(world)
    world.run(40)
    assert world.played == ["power_off_hq", "geo-site"]


def test_in_mode_ask_nobody_isolates_by_itself() -> None:
    world = suspected(isolating(Mode.ASK))
    assert world.played == []
    assert "in mode ask nothing isolates acme/hq automatically: close_hq.yml" in asked(world)


def test_what_could_not_be_contained_is_told_in_the_question_and_the_person_decides() -> None:
    world = isolating()
    world.outcomes["close_hq"] = e.AttemptEnd.UNREACHABLE
    suspected(world)
    (run,) = erp_runs(world)
    assert steps_of(run)[:3] == [("isolate-hq", "failed"), ("contained-hq", "skipped"), ("preflight", "done")]
    assert "isolate-hq FAILED: close_hq: unreachable" in asked(world)
    assert world.played == ["close_hq"]
    world.say(WordKind.APPROVE, run.id)
    world.run(30)
    assert run.ended is not None
    assert run.ended.ok
    assert run.step("isolate-hq").state is r.StepState.FAILED, "the record keeps the failure"


def test_an_isolation_that_shows_no_effect_is_told_too() -> None:
    world = isolating(timeout_s=5.0)
    del world.effects["close_hq"]
    suspected(world)
    (run,) = erp_runs(world)
    assert (run.step("contained-hq").state, run.step("contained-hq").reason) == (
        r.StepState.FAILED,
        Reason.NOT_CONTAINED,
    )
    assert "contained-hq FAILED: acme/hq-closed: bad" in asked(world)


@pytest.mark.parametrize("outcome", [e.AttemptEnd.PLAN_CHANGED, e.AttemptEnd.STALE_EPOCH])
def test_a_changed_playbook_or_another_controller_ends_the_run_all_the_same(outcome: e.AttemptEnd) -> None:
    world = isolating()
    world.outcomes["close_hq"] = outcome
    suspected(world)
    assert erp_runs(world)[0].ended is not None


@pytest.mark.parametrize("proven", [True, False])
def test_what_is_isolated_already_is_not_isolated_again_for_the_next_tier(proven: bool) -> None:
    world = suspected(isolating(proven=proven))
    (first,) = erp_runs(world)
    world.say(WordKind.REJECT, first.id)
    world.run(10)
    second = erp_runs(world)[-1]
    assert second.id != first.id
    assert second.step("isolate-hq").reason is Reason.ALREADY_DONE
    assert world.played == ["close_hq"]


def test_a_suspicion_that_comes_while_a_person_is_asked_isolates_first() -> None:
    world = isolating()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")  # cut off with its power on: a person is asked
    world.run(30)
    (first,) = erp_runs(world)
    assert world.played == []
    world.say(WordKind.SUSPECT, "acme/erp")
    world.run(10)
    assert first.ended is not None
    assert first.ended.reason is Reason.COMPROMISE_SUSPECTED
    assert world.played == ["close_hq"]
    second = erp_runs(world)[-1]
    assert second.started.tier == first.started.tier, "no tier is blamed for it"
    world.say(WordKind.APPROVE, second.id, fenced="hq")
    world.run(30)
    assert world.decided().services["acme/erp"].place == "acme/geo", "\n".join(story(world))


def test_a_suspicion_that_is_cleared_before_isolates_nothing() -> None:
    world = isolating()
    world.say(WordKind.SUSPECT, "acme")
    hq_loses_power(world)
    while not erp_runs(world):
        world.go()
    assert world.say(WordKind.CLEAR, "acme").accepted
    world.run(60)
    assert world.decided().services["acme/erp"].place == "acme/geo"
    assert world.played[-2:] == ["power_off_hq", "geo-site"]


def test_a_suspicion_that_is_cleared_while_a_person_is_asked_is_not_told_as_proven() -> None:
    """It goes on since nothing has to be asked any more; nobody has proven anything."""
    world = suspected(isolating())
    (run,) = erp_runs(world)
    assert world.say(WordKind.CLEAR, "acme").accepted
    world.run(30)
    approval = run.step("approval")
    assert approval.state is r.StepState.SKIPPED
    assert approval.evidence == "the reason for asking is gone"


def test_an_outage_that_passes_does_not_end_the_run_in_the_middle_of_isolating() -> None:
    world = isolating()
    world.takes["close_hq"] = 30.0
    suspected(world)
    (run,) = erp_runs(world)
    world.good("erp-transaction", "hq-internet", "isp-b-path")
    world.run(10)
    assert run.ended is None
    assert run.step("isolate-hq").state is r.StepState.RUNNING
    world.run(40)
    assert run.step("isolate-hq").state is r.StepState.DONE
    assert run.ended is not None
    assert run.ended.reason is Reason.RECOVERED_BY_ITSELF


def test_a_hold_after_the_isolation_stops_the_move_before_its_fence() -> None:
    world = suspected(isolating())
    (run,) = erp_runs(world)
    world.say(WordKind.HOLD, "acme")
    world.say(WordKind.APPROVE, run.id)
    world.run(20)
    assert run.ended is not None
    assert run.ended.reason is Reason.HELD
    assert world.played == ["close_hq"]


@pytest.mark.parametrize("when", range(1, 22))
def test_killed_between_any_two_entries_it_isolates_once_more_at_most_and_asks(when: int) -> None:
    world = isolating()
    world.say(WordKind.SUSPECT, "acme")
    first = len(world.entries)
    hq_loses_power(world)
    while len(world.entries) < first + when and world.now < 200:
        world.go()
    world.crash()
    world.run(5)
    world.start()
    world.run(60)
    run = erp_runs(world)[-1]
    assert run.step("approval").state is r.StepState.RUNNING, "\n".join(story(world))
    assert set(world.played) == {"close_hq"}
    done = [x for x in world.records(r.StepFinished) if isinstance(x, r.StepFinished)]
    assert len([x for x in done if x.step == "isolate-hq" and x.state is r.StepState.DONE]) == 1
    world.say(WordKind.APPROVE, run.id)
    world.run(30)
    assert world.decided().services["acme/erp"].place == "acme/geo"


def test_an_isolation_that_must_not_be_repeated_goes_to_a_person_whose_approval_is_of_the_isolation_alone() -> None:
    world = isolating(proven=False, safe_to_repeat=False)
    world.hang.add("close_hq")
    suspected(world)
    world.crash()
    world.start()
    world.run(30)
    (run,) = erp_runs(world)
    assert run.human is not None
    world.hang.clear()
    assert world.say(WordKind.APPROVE, run.id).accepted  # once more
    world.run(20)
    assert world.played == ["close_hq", "close_hq"]
    assert run.step("approval").state is r.StepState.RUNNING, "the move itself is approved by nobody yet"


def test_an_isolation_taken_out_of_the_configuration_while_it_runs_is_a_persons_matter() -> None:
    world = isolating()
    world.hang.add("close_hq")
    suspected(world)
    (run,) = erp_runs(world)
    world.crash()
    hq = replace(world.model.places["acme/hq"], isolate=None)
    world.model = replace(world.model, digest="without", places={**world.model.places, hq.id: hq})
    world.engine.model = world.model
    world.start()
    world.run(5)
    run = world.decided().runs[run.id]
    assert run.human is not None
    assert "no isolation is declared for acme/hq any more" in run.human.evidence


def test_the_plan_that_is_approved_binds_the_isolations_playbook_too() -> None:
    world = suspected(isolating())
    first = erp_runs(world)[0].started.plan_digest
    world = isolating(playbook=book("close_hq_better"))
    world.effects["close_hq_better"] = lambda: world.good("hq-closed")
    suspected(world)
    assert erp_runs(world)[0].started.plan_digest != first


# ---- shown


def test_the_split_clock_has_isolating_as_a_phase_of_its_own() -> None:
    world = isolating()
    world.takes["close_hq"] = 4.0
    suspected(world)
    stories = Stories()
    for _, entry in world.entries:
        for record in entry:
            stories._collect(record)
            apply(stories.decided, record)
    run = erp_runs(world)[0]
    episode = next(s for s in stories.stories.values() if s.service == "acme/erp").episodes[0]
    seconds = totals(episode_segments(episode, world.now))
    assert seconds[Phase.ISOLATE] == pytest.approx(run.step("preflight").began_at - run.step("isolate-hq").began_at)  # type: ignore[operator]
    assert seconds[Phase.ISOLATE] >= 4.0


def test_the_status_and_the_word_that_clears_say_what_is_still_cut_off() -> None:
    world = suspected(isolating())
    status = status_now(world.decided(), world.model, world.now, 0.0)
    notes = next(s for s in status.services if s.id == "acme/erp").notes
    assert "acme/hq was isolated by r1; it is opened again by hand" in notes
    answer = world.say(WordKind.CLEAR, "acme")
    assert answer.evidence == "clear: acme; still isolated, to be opened by hand: acme/hq (by r1)"


@pytest.mark.parametrize(("proven", "opened"), [(True, True), (False, False), (False, True)])
def test_that_a_place_is_still_cut_off_is_said_where_something_shows_it(proven: bool, opened: bool) -> None:
    """Somebody has opened it by hand before they say that the suspicion is over; or nothing tells at all."""
    world = suspected(isolating(proven=proven))
    if opened:
        world.bad("hq-closed")
        world.run(10)
    answer = world.say(WordKind.CLEAR, "acme")
    told = "isolated, and nothing shows whether it still is, to be opened by hand: acme/hq (by r1)"
    assert answer.evidence == f"clear: acme; {told}"


def test_what_a_run_asked_for_and_is_over_by_now_is_not_what_it_waits_for() -> None:
    """One suspicion of two is over: it asks for the other alone."""
    world = isolating(Mode.ASK)
    world.say(WordKind.SUSPECT, "acme/erp")
    suspected(world)

    def waits() -> str:
        status = status_now(world.decided(), world.model, world.now, 0.0, Live(daemon=True))
        return next(x.needs for x in status.runs if x.service == "acme/erp")

    assert "acme/erp is in mode ask" in waits()
    assert "Ada on acme:" in waits()
    world.say(WordKind.CLEAR, "acme")
    world.run(1)
    assert "Ada on acme:" not in waits()
    assert waits().startswith("approval: acme/erp is in mode ask; compromise suspected: Ada on acme/erp: a reason")


def test_nobody_is_asked_for_what_needs_no_approval_any_more() -> None:
    """The suspicion is over before the place is cut off: to say that an approval is needed would be false by then."""
    world = isolating()
    world.takes["close_hq"] = 8.0
    world.say(WordKind.SUSPECT, "acme")
    hq_loses_power(world)
    world.run(6)
    assert world.played == ["close_hq"]
    world.say(WordKind.CLEAR, "acme")
    world.run(30)
    (run,) = erp_runs(world)
    assert steps_of(run)[2:4] == [("preflight", "done"), ("approval", "skipped")]
    assert not [t for t in world.told if t.kind is NoticeKind.APPROVAL_NEEDED]
    assert world.decided().services["acme/erp"].place == "acme/geo"


def test_a_person_is_asked_for_what_is_still_to_be_approved() -> None:
    """Of two suspicions the first is over while the place is being cut off."""
    world = isolating()
    world.takes["close_hq"] = 8.0
    world.say(WordKind.SUSPECT, "acme")
    world.say(WordKind.SUSPECT, "acme/erp")
    hq_loses_power(world)
    world.run(6)
    world.say(WordKind.CLEAR, "acme")
    world.run(30)
    assert "Ada on acme/erp:" in asked(world)
    assert "Ada on acme:" not in asked(world)


def test_a_dry_run_says_that_it_would_be_isolated_first(tmp_path: Path) -> None:
    world = suspected(isolating())
    word = e.WordSpoken("w", WordKind.FAILOVER, "Ada", "acme/erp")
    guards = plan_of(world.engine, word, world.now, tmp_path, {}).guards
    assert any("acme/hq is isolated first, by close_hq.yml" in g.evidence for g in guards)


# ---- never


def test_19_no_isolation_without_a_suspicion() -> None:
    world = down_at_hq()
    right(world, run_of(world, ISOLATE))
    record, command = begun(world, "isolate-hq")
    assert "on a suspicion alone" in wrong(world, record, commands=(command,))
    assert isinstance(command, RunPlaybook)
