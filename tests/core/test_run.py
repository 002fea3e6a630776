"""One run: what each step may become, what is looked at, and who has it when it cannot go on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import WordKind
from orchestrator.core.model import Mode, Move, Tier
from orchestrator.core.reasons import Reason
from orchestrator.core.runs.plan import as_shown
from orchestrator.core.state.decided import Decided, IllegalRecord, Run, ServiceState, Step
from orchestrator.core.state.fold import apply
from orchestrator.core.state.transitions import RUN, STEP, RunEvent, StepEvent
from tests.core.stage import hq_loses_power, isp_a_dies, lab
from tests.core.world import World, book, story

STATES = list(r.StepState)


def site(**geo_site: object) -> World:
    """The lab with geo-site changed so."""
    return changed(lab(), **geo_site)


def changed(world: World, **geo_site: object) -> World:
    """The same world, geo-site changed so."""
    move = replace(world.model.moves["acme/geo-site"], **geo_site)  # type: ignore[arg-type]
    return with_move(world, move)


def with_move(world: World, move: Move) -> World:
    """The same world, this move changed."""
    world.model = replace(world.model, digest=f"{world.model.digest}'", moves={**world.model.moves, move.id: move})
    world.hears(e.ConfigurationLoaded(world.model))
    return world


def ended(world: World, run: str = "r1") -> tuple[bool, Reason]:
    """How the run ended."""
    found = world.decided().runs[run].ended
    assert found is not None, "\n".join(story(world))
    return found.ok, found.reason


# ---- the table


def _record(event: StepEvent, attempt: int) -> r.Record:
    def finished(state: r.StepState) -> r.Record:
        return r.StepFinished(1.0, "r1", "execute", attempt, state, Reason.CONDITIONS_MET, "")

    made: dict[StepEvent, r.Record] = {
        StepEvent.BEGIN: r.StepBegan(1.0, "r1", "execute", attempt + 1),
        StepEvent.LEAVE_UNSEEN: r.StepLeftUnseen(1.0, "r1", "execute", attempt),
        StepEvent.LOOK_AT: r.StepLooked(1.0, "r1", "execute", attempt, Reason.TIMED_OUT, ""),
        StepEvent.RETRY: r.StepRetried(1.0, "r1", "execute", Reason.NO_EFFECT, ""),
        StepEvent.END_WELL: finished(r.StepState.DONE),
        StepEvent.FAIL: finished(r.StepState.FAILED),
        StepEvent.SKIP: finished(r.StepState.SKIPPED),
    }
    return made[event]


@pytest.mark.parametrize("event", StepEvent)
@pytest.mark.parametrize("state", STATES)
def test_illegal_transitions_raise_and_say_what_was_expected(event: StepEvent, state: r.StepState) -> None:
    started = r.RunStarted(
        0.0, "r1", "acme/erp", "acme/geo-site", r.Origin.MANUAL, (), "digest", "model", Reason.ASKED_BY_OPERATOR
    )
    step = Step("execute", r.StepKind.EXECUTE, state=state, attempt=1, began_at=0.0)
    decided = Decided(runs={"r1": Run(started, [step])})
    if state in STEP[event]:
        apply(decided, _record(event, 1))
        assert step.state is STEP[event][state]
    else:
        told = f"step execute of run r1 cannot {event.value}: it is {state.value}, not"
        with pytest.raises(IllegalRecord, match=told):
            apply(decided, _record(event, 1))
        assert step.state is state


RUN_RECORDS: dict[RunEvent, r.Record] = {
    RunEvent.HAND_OVER: r.RunNeedsHuman(1.0, "r1", Reason.UNDETERMINED, ""),
    RunEvent.APPROVE: r.RunApproved(1.0, "r1", "Ada", "", None),
    RunEvent.END: r.RunEnded(1.0, "r1", False, Reason.ABORTED, ""),
}


@pytest.mark.parametrize("event", RunEvent)
@pytest.mark.parametrize("state", r.RunState)
def test_a_run_goes_from_state_to_state_as_the_table_says(event: RunEvent, state: r.RunState) -> None:
    started = r.RunStarted(
        0.0, "r1", "acme/erp", "acme/geo-site", r.Origin.MANUAL, (), "digest", "model", Reason.ASKED_BY_OPERATOR
    )
    run = Run(started, [Step("execute", r.StepKind.EXECUTE)])
    if state is not r.RunState.GOING:
        run.human = r.RunNeedsHuman(0.5, "r1", Reason.UNDETERMINED, "")
    if state is r.RunState.ENDED:
        run.ended = r.RunEnded(0.7, "r1", False, Reason.ABORTED, "")
    decided = Decided(runs={"r1": run}, services={"acme/erp": ServiceState(None)})
    assert run.state is state
    if state in RUN[event]:
        apply(decided, RUN_RECORDS[event])
        assert run.state is RUN[event][state]
    else:
        with pytest.raises(IllegalRecord, match="run r1"):
            apply(decided, RUN_RECORDS[event])


def test_what_the_table_of_runs_does_not_say_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    world = lab()
    world.hang.add("backup-isp")
    isp_a_dies(world)
    world.run(8)
    monkeypatch.setitem(RUN, RunEvent.END, {r.RunState.GOING: r.RunState.WITH_A_PERSON})  # type: ignore[arg-type]
    with pytest.raises(IllegalRecord, match="run r1 is ended once it could end, not with a person"):
        apply(world.decided(), RUN_RECORDS[RunEvent.END])


def test_what_is_finished_after_its_playbook_left_the_configuration_still_counts() -> None:
    """A run that only tidied up is over when that has ended, though nothing of the kind is declared any more."""
    world = site(finish=book("tidy"))
    world.hang.add("tidy")
    hq_loses_power(world)
    world.run(40)
    run = world.decided().unfinished_runs()[0]
    current = run.current()
    assert current is not None
    assert current.name == "finish"
    world.crash()
    with_move(world, replace(world.model.moves["acme/geo-site"], finish=None))
    world.start()
    world.run(5)
    assert world.decided().runs[run.id].human is None


def test_a_step_that_is_over_stays_so() -> None:
    over = (r.StepState.DONE, r.StepState.FAILED, r.StepState.SKIPPED)
    assert not [event for event in StepEvent for state in over if state in STEP[event]]


def test_a_step_finishes_only_as_what_is_over() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(8)
    ended = r.StepFinished(world.now, "r1", "execute", 1, r.StepState.LOOKING, Reason.CONDITIONS_MET, "")
    with pytest.raises(IllegalRecord, match="step execute of run r1 cannot finish as looking"):
        apply(world.decided(), ended)


def test_nothing_happens_in_a_run_that_has_ended() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(30)
    with pytest.raises(IllegalRecord, match="run r1 has ended"):
        apply(world.decided(), r.StepBegan(world.now, "r1", "execute", 2))


def test_late_news_of_another_attempt_changes_nothing() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(30)
    before = len(world.entries)
    for key in (e.StepKey("r1", "execute", 1), e.StepKey("r1", "nosuch", 1), e.StepKey("r9", "execute", 1)):
        world.hears(e.StepEnded(key, e.AttemptEnd.FAILED, "late"))
    assert len(world.entries) == before


# ---- looks


@pytest.mark.parametrize("how", ["timed out", "lost"])
def test_a_step_whose_effect_is_there_is_done(how: str) -> None:
    world = site(safe_to_repeat=False, timeout_s=10.0)
    world.hang.add("geo-site")
    hq_loses_power(world)
    world.run(8)
    world.good("erp-transaction", "erp-at-geo")  # it took effect although its end was not seen
    if how == "lost":
        world.crash()
        world.start()
    world.run(40)
    assert world.played == ["power_off_hq", "geo-site"]
    assert ended(world) == (True, Reason.VERIFIED)
    assert world.decided().runs["r1"].step("execute").reason is Reason.ALREADY_DONE


def test_a_lost_step_without_effect_is_tried_again() -> None:
    world = site(safe_to_repeat=False)
    world.takes["geo-site"] = 30.0
    hq_loses_power(world)
    world.run(8)
    world.crash()
    world.start()
    world.takes["geo-site"] = 2.0
    world.run(40)
    assert world.played == ["power_off_hq", "geo-site", "geo-site"], "\n".join(story(world))
    assert ended(world) == (True, Reason.VERIFIED)


def test_a_timed_out_step_without_effect_has_failed() -> None:
    world = site(timeout_s=10.0)
    world.hang.add("geo-site")
    hq_loses_power(world)
    world.run(60)
    assert ended(world) == (False, Reason.TIMED_OUT)
    assert "erp-at-geo: bad" in world.decided().runs["r1"].step("execute").evidence


def test_a_lost_step_that_cannot_be_looked_at_is_repeated_only_if_that_is_safe() -> None:
    world = site(safe_to_repeat=True, done_when=None)
    world.takes["geo-site"] = 30.0
    hq_loses_power(world)
    world.run(8)
    world.crash()
    world.start()
    world.takes["geo-site"] = 2.0
    world.run(40)
    assert world.played == ["power_off_hq", "geo-site", "geo-site"]
    retried = next(iter(world.records(r.StepRetried)))
    assert isinstance(retried, r.StepRetried)
    assert retried.reason is Reason.UNDETERMINED


def test_a_lost_step_that_had_no_effect_is_repeated_for_that_reason() -> None:
    """Not because it was not needed: it is."""
    world = site()
    world.takes["geo-site"] = 30.0
    hq_loses_power(world)
    world.run(8)
    world.crash()
    world.start()
    world.run(40)
    retried = next(iter(world.records(r.StepRetried)))
    assert isinstance(retried, r.StepRetried)
    assert (retried.reason.value, retried.evidence.partition(":")[0]) == ("no effect", "it had no effect")


def undetermined() -> World:
    """A step was lost, cannot be looked at and must not be repeated blindly."""
    world = site(safe_to_repeat=False, done_when=None)
    world.takes["geo-site"] = 30.0
    hq_loses_power(world)
    world.run(8)
    world.crash()
    world.start()
    world.takes["geo-site"] = 2.0
    world.run(30)
    return world


def test_what_remains_undetermined_is_a_persons_to_decide() -> None:
    world = undetermined()
    assert world.played == ["power_off_hq", "geo-site"]
    run = world.decided().runs["r1"]
    assert run.human is not None
    assert run.human.reason is Reason.UNDETERMINED
    told = [t for t in world.told if t.kind is NoticeKind.HUMAN_NEEDED and t.say == "bascule abort r1"]
    assert len(told) == 1
    assert world.decided().holder_of("service:acme/erp") is run
    world.run(1800)  # time never releases it
    assert world.decided().holder_of("service:acme/erp") is run


def test_who_answers_the_first_question_late_has_nothing_tried_again() -> None:
    """Two people have the same notice; the second answers it when the run asks something else by now."""
    world = changed(lab(Mode.ASK), safe_to_repeat=False, done_when=None)
    world.outcomes["geo-site"] = e.AttemptEnd.LOST
    hq_loses_power(world)
    world.run(20)
    run = world.decided().runs["r1"]
    first = as_shown(run)
    assert world.say(WordKind.APPROVE, "r1", plan=first).accepted
    world.run(30)
    assert run.human is not None
    late = world.say(WordKind.APPROVE, "r1", plan=first)
    assert (late.accepted, late.reason) == (False, Reason.ANOTHER_PLAN.value)
    assert "it asks by now: undetermined: execute: geo-site: lost" in late.evidence
    world.run(30)
    assert world.played == ["power_off_hq", "geo-site"]
    assert world.say(WordKind.APPROVE, "r1", plan=as_shown(run)).accepted
    world.run(5)
    assert world.played == ["power_off_hq", "geo-site", "geo-site"]


def test_each_time_that_a_run_is_given_to_a_person_is_a_question_of_its_own() -> None:
    world = undetermined()
    run, world.outcomes["geo-site"] = world.decided().runs["r1"], e.AttemptEnd.LOST
    first = as_shown(run)
    assert world.say(WordKind.APPROVE, "r1", plan=first).accepted
    world.run(30)
    assert run.human is not None
    assert world.say(WordKind.APPROVE, "r1", plan=first).reason == Reason.ANOTHER_PLAN.value
    assert world.say(WordKind.APPROVE, "r1", plan=as_shown(run)).accepted


def test_a_person_may_have_it_tried_again() -> None:
    world = undetermined()
    assert world.say(WordKind.APPROVE, "r1").accepted
    world.run(30)
    assert world.played == ["power_off_hq", "geo-site", "geo-site"]
    assert ended(world) == (True, Reason.VERIFIED)


def test_an_hour_in_which_a_person_was_waited_for_is_no_measure_of_a_move() -> None:
    """ "Usually 1:00:00" of a playbook of two seconds would have the next outage pass it over."""
    world = undetermined()
    world.run(3600)
    assert world.say(WordKind.APPROVE, "r1").accepted
    world.run(30)
    assert ended(world) == (True, Reason.VERIFIED)
    kept = world.decided().durations
    assert "acme/geo-site" not in kept
    assert max(took_s for found in kept.values() for took_s in found) < 60.0, kept


def test_hours_in_which_nobody_watched_are_no_measure_of_a_move() -> None:
    """The playbook had ended long before anybody looked again."""
    world = lab()
    world.takes["geo-site"] = 5.0
    hq_loses_power(world)
    world.run(8)
    assert world.decided().unfinished_runs()
    world.crash()
    world.run(3 * 3600)
    world.start()
    world.run(60)
    assert ended(world) == (True, Reason.VERIFIED)
    kept = world.decided().durations
    assert "acme/geo-site" not in kept
    assert max((took_s for found in kept.values() for took_s in found), default=0.0) < 60.0, kept


def test_what_one_person_stated_stays_theirs_whoever_has_the_run_go_on() -> None:
    world = lab(Mode.ASK)
    geo = replace(world.model.moves["acme/geo-site"], prepare=book("mount_geo"), safe_to_repeat=False)
    services = dict(world.model.services)
    services["acme/erp"] = replace(services["acme/erp"], ladder=(Tier("acme/geo-site"),))
    world.model = replace(world.model, digest="m2", moves={**world.model.moves, geo.id: geo}, services=services)
    world.hears(e.ConfigurationLoaded(world.model))
    world.hang.add("mount_geo")
    hq_loses_power(world)
    world.bad("hq-dark")
    world.run(60)
    (run,) = [x for x in world.decided().unfinished_runs() if x.started.service == "acme/erp"]
    assert world.say(WordKind.APPROVE, run.id, fenced="hq").accepted
    world.run(geo.timeout_s + 60)
    assert run.human is not None
    world.hang.clear()
    world.hears(e.WordSpoken("again", WordKind.APPROVE, "Bob", run.id, "the disk is back", {}))
    world.run(60)
    said = [x.evidence for x in world.records(r.StepFinished, r.MayActRemoved) if x.reason is Reason.FENCED_BY_HAND]  # type: ignore[attr-defined]
    assert len(said) > 1
    assert set(said) - {"by Ada"} == {"Ada states that acme/hq cannot act: a reason"}


def test_a_run_that_needs_a_person_again_tells_a_person_again() -> None:
    world = undetermined()
    world.takes["geo-site"] = 30.0
    world.say(WordKind.APPROVE, "r1")
    world.run(2)
    world.crash()
    world.start()
    world.run(30)
    assert world.decided().runs["r1"].human is not None
    told = [t for t in world.told if t.kind is NoticeKind.HUMAN_NEEDED and t.say == "bascule abort r1"]
    assert len({t.id for t in told}) == 2


def test_unknown_answers_are_no_proof_that_nothing_happened() -> None:
    world = site(safe_to_repeat=False)
    world.takes["geo-site"] = 30.0
    hq_loses_power(world)
    world.run(8)
    world.crash()
    world.nothing("erp-at-geo")
    world.start()
    world.run(30)
    assert world.decided().runs["r1"].human is not None


def test_silence_in_a_look_is_no_proof_while_the_controller_itself_is_cut_off() -> None:
    """The step was lost, and so was our uplink: nothing answers, which says nothing about the step."""
    world = site(safe_to_repeat=False)
    world.takes["geo-site"] = 30.0
    hq_loses_power(world)
    world.run(8)
    world.crash()
    world.silent(*(c.removeprefix("acme/") for c in world.model.checks))
    world.start()
    world.run(30)
    assert world.played == ["power_off_hq", "geo-site"]
    assert world.decided().runs["r1"].human is not None


def test_silence_in_a_look_counts_when_the_reference_answers() -> None:
    world = site(safe_to_repeat=False)
    world.takes["geo-site"] = 30.0
    hq_loses_power(world)
    world.run(8)
    world.crash()
    world.silent("erp-at-geo")
    world.start()
    world.takes["geo-site"] = 2.0
    world.run(40)
    assert world.played == ["power_off_hq", "geo-site", "geo-site"], "\n".join(story(world))


# ---- holds, aborts, plans, time


def test_a_hold_before_the_fence_stops_the_run_there() -> None:
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.good("hq-dark")
    while not list(world.records(r.RunStarted)):
        world.run(0.01)
    world.say(WordKind.HOLD, "acme/erp")
    world.run(30)
    assert world.played == []
    assert ended(world) == (False, Reason.HELD)


def test_a_hold_past_the_fence_lets_the_run_finish() -> None:
    world = lab()
    hq_loses_power(world)
    while "power_off_hq" not in world.played:
        world.run(0.1)
    world.say(WordKind.HOLD, "acme/erp")
    world.run(30)
    assert world.played == ["power_off_hq", "geo-site"]
    assert ended(world) == (True, Reason.VERIFIED)


def test_an_abort_stops_what_runs() -> None:
    world = lab()
    world.takes["geo-site"] = 20.0
    hq_loses_power(world)
    world.run(10)
    world.say(WordKind.HOLD, "acme/erp")
    assert world.say(WordKind.ABORT, "r1").accepted
    world.run(1)
    assert ended(world) == (False, Reason.ABORTED)
    (end,) = world.records(r.RunEnded)
    assert isinstance(end, r.RunEnded)
    assert end.evidence.startswith("execute stopped by ")
    assert not end.evidence.endswith(": ")
    assert world.decided().runs["r1"].step("verify").state is r.StepState.SKIPPED


def test_an_abort_is_not_forgotten_by_the_next_controller() -> None:
    """The abort was recorded; the controller died before it could stop the playbook, which runs on."""
    world = lab()
    world.takes["geo-site"] = 60.0
    hq_loses_power(world)
    world.run(10)
    world.say(WordKind.HOLD, "acme/erp")
    world.deaf = True  # the cancellation never reaches the runner
    world.say(WordKind.ABORT, "r1")
    world.crash()
    world.deaf = False
    world.start()
    assert world.cancelled[-1] == e.StepKey("r1", "execute", 1)
    world.run(30)
    assert ended(world) == (False, Reason.ABORTED)


def test_an_abort_while_it_waits_for_an_approval() -> None:
    world = lab()
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    world.say(WordKind.HOLD, "acme/erp")
    assert world.say(WordKind.ABORT, "r1").accepted
    assert ended(world) == (False, Reason.ABORTED)
    assert world.played == []


def test_an_abort_while_it_waits_for_good_answers() -> None:
    world = lab()
    del world.effects["geo-site"]
    hq_loses_power(world)
    while world.decided().runs.get("r1") is None or world.decided().runs["r1"].step("verify").attempt == 0:
        world.run(0.5)
    world.say(WordKind.HOLD, "acme/erp")
    world.say(WordKind.ABORT, "r1")
    assert ended(world) == (False, Reason.ABORTED)


def test_an_abort_ends_a_run_that_a_person_has() -> None:
    world = undetermined()
    world.say(WordKind.HOLD, "acme/erp")
    world.say(WordKind.ABORT, "r1")
    assert ended(world) == (False, Reason.ABORTED)
    assert world.decided().holder_of("service:acme/erp") is None


def test_a_playbook_changed_since_the_run_began_stops_its_next_step() -> None:
    world = lab()
    world.takes["power_off_hq"] = 10.0
    hq_loses_power(world)
    while "power_off_hq" not in world.played:
        world.run(0.1)
    with_move(world, replace(world.model.moves["acme/geo-site"], playbook=replace(book("geo-site"), digest="other")))
    world.run(11)
    assert ended(world) == (False, Reason.PLAN_CHANGED)
    world.run(30)
    assert world.decided().services["acme/erp"].place == "acme/geo"  # decided anew, under the new plan
    assert world.played == ["power_off_hq", "geo-site"]


def test_another_change_of_the_configuration_does_not_stop_the_run() -> None:
    world = lab()
    world.takes["power_off_hq"] = 10.0
    hq_loses_power(world)
    while "power_off_hq" not in world.played:
        world.run(0.1)
    with_move(world, replace(world.model.moves["acme/backup-isp"], timeout_s=77.0))
    world.run(40)
    assert ended(world) == (True, Reason.VERIFIED)


def test_a_playbook_edited_on_disk_fails_its_tier_once_and_does_not_burn_the_brake() -> None:
    world = lab()
    world.outcomes["geo-site"] = e.AttemptEnd.PLAN_CHANGED
    hq_loses_power(world)
    world.run(20)
    world.good("geo-dark")
    world.run(40)
    assert world.played.count("geo-site") == 1, "\n".join(story(world))
    assert world.decided().services["acme/erp"].place == "acme/cloud"


def test_a_run_beyond_its_time_is_with_a_person_and_keeps_its_resources() -> None:
    world = lab()
    world.deaf = True  # the runner never says anything
    isp_a_dies(world)
    world.run(5)
    run = world.decided().runs["r1"]
    world.run(run.started.timeout_s + 1)
    assert run.human is not None
    assert run.human.reason is Reason.TIMED_OUT
    assert world.decided().holder_of("acme/route") is run
    world.run(1200)
    assert world.decided().holder_of("acme/route") is run


def test_a_runs_time_does_not_pass_while_no_controller_attends() -> None:
    world = lab()
    world.takes["geo-site"] = 30.0
    hq_loses_power(world)
    world.run(8)
    world.crash()
    world.run(3 * 3600)
    world.takes["geo-site"] = 2.0
    world.start()
    world.run(60)
    assert ended(world) == (True, Reason.VERIFIED), "\n".join(story(world))


def test_verify_wants_an_answer_to_a_question_asked_after_the_step() -> None:
    world = lab()
    del world.effects["geo-site"]
    world.at(27.0, lambda: world.good("erp-transaction"))
    hq_loses_power(world)
    world.run(60)
    execute, verify = (world.decided().runs["r1"].step(n) for n in ("execute", "verify"))
    assert verify.state is r.StepState.DONE
    assert execute.ended_at is not None
    assert verify.ended_at is not None
    assert verify.ended_at >= max(27.0, execute.ended_at)


def test_a_clean_up_that_fails_after_the_recovery_is_told() -> None:
    world = lab()
    world.outcomes["tidy"] = e.AttemptEnd.FAILED
    with_move(world, replace(world.model.moves["acme/geo-site"], finish=book("tidy")))
    hq_loses_power(world)
    world.run(60)
    incident = world.decided().incidents[world.decided().runs["r1"].started.incident or ""]
    assert incident.ended is not None
    assert incident.ended.reason is Reason.VERIFIED
    assert ended(world) == (False, Reason.PLAYBOOK_FAILED)
    told = [t for t in world.told if t.id == "r1/ended"]
    assert [t.kind for t in told] == [NoticeKind.HUMAN_NEEDED]


def test_a_stale_epoch_at_the_target_fails_the_step() -> None:
    world = lab()
    world.outcomes["backup-isp"] = e.AttemptEnd.STALE_EPOCH
    isp_a_dies(world)
    world.run(30)
    assert ended(world) == (False, Reason.STALE_EPOCH)


def test_playbooks_are_told_what_they_serve() -> None:
    world = lab()
    hq_loses_power(world)
    world.run(40)
    fence, execute = (c for c in world.commanded if c.key.run == "r1")
    assert fence.facts["bascule_place"] == "hq"
    assert {k: execute.facts[k] for k in ("bascule_from", "bascule_to", "bascule_move", "bascule_drill")} == {
        "bascule_from": "hq",
        "bascule_to": "geo",
        "bascule_move": "geo-site",
        "bascule_drill": False,
    }
    assert execute.facts["bascule_epoch"] == execute.epoch == 1


def test_an_approval_in_the_moment_of_a_takeover_waits_for_the_first_answers() -> None:
    """A person has fenced the place and says so; the controller that hears it has seen nothing as yet."""
    world = lab(Mode.ASK)
    isp_a_dies(world)
    world.run(10)
    run = world.last(r.RunStarted).run  # type: ignore[attr-defined]
    world.crash()
    world.run(20)
    world.start()
    assert world.say(WordKind.APPROVE, run).accepted
    world.run(60)
    assert [(x.run, x.reason) for x in world.records(r.RunEnded)][:1] == [(run, Reason.VERIFIED)], story(world)  # type: ignore[attr-defined]
