"""Drills whose controller is killed: at each boundary between two steps, within each playbook, in the stay.

The one rule every case checks: the service is at home afterwards and nothing is left, by what the hosts and the cloud
say; no step that was done is done again, and none twice that may be done once; nobody loses what they were promised;
and the drill's record tells what happened.

A case is one instant, as in `test_crash.py`. Two of them are in `make test`: in the clean-up of a rehearsal, and while
the service is at the second site; the others in `make test-crash`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from tests.lab import crash_truth, drills
from tests.lab.crash import Ground, Instant
from tests.lab.drills import FULL_SCALE, REHEARSALS, Drill, Made
from tests.lab.story import ERP, Story

pytestmark = [pytest.mark.lab, pytest.mark.crash, pytest.mark.timeout(1800)]
SAMPLE = ("rehearse-geo-site-in-the-middle-of-clean-up-with-its-workers", "full-geo-site-after-geo-site-over")


def _case(drill: Drill, *kills: Instant) -> object:
    name = f"{drill}-{kills[0]}" if len(kills) == 1 else str(drill)
    return pytest.param(drill, kills, id=name, marks=() if name in SAMPLE else pytest.mark.long)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """One lab for as long as all is well."""
    one = Ground(lambda: tmp_path_factory.mktemp("killed"), "drilled")
    yield one
    one.clear()


@pytest.mark.parametrize(("drill", "kills"), [_case(x, *x.boundaries()) for x in (*REHEARSALS, *FULL_SCALE)])
def test_killed_at_every_boundary(ground: Ground, drill: Drill, kills: tuple[Instant, ...]) -> None:
    """The controller comes back again and again, and never gets further than one step."""
    _make(ground, drill, kills)


@pytest.mark.parametrize(("drill", "kills"), [_case(x, y) for x in (*REHEARSALS, *FULL_SCALE) for y in x.instants()])
def test_killed(ground: Ground, drill: Drill, kills: tuple[Instant, ...]) -> None:
    """One instant."""
    _make(ground, drill, kills)


def _make(ground: Ground, drill: Drill, kills: tuple[Instant, ...]) -> None:
    with ground.drill() as story:
        written = len(crash_truth.ledger(story))
        made = drills.make(story, drill, kills)
        _it_ended_as_it_should(story, made, kills)
        _it_is_at_home_and_left_nothing(story, made)
        _every_step_is_accounted_for(story, made, kills)
        _nothing_was_done_twice(story, kills, written)
        _nobody_lost_anything(story, made)


def _it_ended_as_it_should(story: Story, made: Made, kills: tuple[Instant, ...]) -> None:
    """Well, unless nobody saw the end of what may be done once; and the record tells of that."""
    ended, shown = made.end(story), drills.shown(story, made.id(story))
    failed = [x for x in made.steps(story) if x.state is r.StepState.FAILED]
    if failed:
        once = [x.step for x in kills if x.with_workers and x.step in drills.ONCE]
        assert [x.step for x in failed] == once, story.told()
        assert (ended.ok, ended.reason) == (False, Reason.END_NOT_SEEN), story.told()
        assert failed[0].step in ended.evidence
    else:
        reason = Reason.RETURNED if made.drill.full_scale else Reason.CONDITIONS_MET
        assert (ended.ok, ended.reason) == (True, reason), story.told()
    assert (shown["ok"], shown["reason"], shown["evidence"]) == (ended.ok, ended.reason.value, ended.evidence)
    told = {x["name"] for x in shown["steps"] if x["made"] == "failed"}
    assert told == {x.step for x in failed}
    assert drills.calls_for_people(story, made.mark) == []


def _it_is_at_home_and_left_nothing(story: Story, made: Made) -> None:
    state = story.decided.services[ERP]
    assert (state.place, state.may_act) == ("lab/hq", {"lab/hq"})
    assert not story.decided.engaged
    assert made.end(story).returned is (True if made.drill.full_scale else None)
    assert story.of(r.IncidentOpened, made.mark) == []
    assert drills.left(story) == made.left
    if not made.drill.full_scale:
        before, after = made.surveys(story)
        assert before == after


def _every_step_is_accounted_for(story: Story, made: Made, kills: tuple[Instant, ...]) -> None:
    planned = {x.move.rpartition("/")[2]: tuple(s.name for s in x.steps) for x in story.of(r.RunStarted, made.mark)}
    assert planned == dict(made.drill.runs), "the instants are not those of the plan"
    assert crash_truth.unsettled(story, made.mark) == []
    assert crash_truth.begun_again(story.records) == []
    assert crash_truth.begun_without_a_look(story.records) == []
    assert crash_truth.apart(story, made.entry) == []
    began = [x.epoch for x in story.of(r.ControllerBegan, made.mark)]
    assert len(began) == len(kills)
    assert began == sorted(set(began))
    unseen = [x.step for x in story.of(r.StepLeftUnseen, made.mark)]
    for kill in kills:
        if drills.played(kill.step):
            assert kill.step in unseen, f"{kill}: the end of {kill.step} was seen; the kill came too late"


def _nothing_was_done_twice(story: Story, kills: tuple[Instant, ...], written: int) -> None:
    lines = crash_truth.ledger(story)[written:]
    assert lines, "the tests' own callback has written nothing"
    once = lines if not any(x.with_workers for x in kills) else [x for x in lines if x.step in drills.ONCE]
    assert crash_truth.played_twice(once) == []
    assert crash_truth.two_at_one_attempt(lines) == []
    assert crash_truth.changed_twice(lines) == []


def _nobody_lost_anything(story: Story, made: Made) -> None:
    story.wait("the end user is well", lambda: story.meter_is_well("client"))
    user = story.account_of(f"{made.drill} killed", made.began_s)
    assert (user.loss_known, user.lost_ids, user.fenced_acknowledgements) == (True, (), ())
    assert user.recovered
    if not made.drill.full_scale:
        assert drills.noticed(user) == []
