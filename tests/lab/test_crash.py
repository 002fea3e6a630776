"""A crash at every instant: the controller is killed at each boundary between steps and within each playbook, in the
three acts of the demo, on the real lab; then it is started again.

The one rule every case checks: the act ends in the recovery it would have had, no step that was done is done again,
no end that nobody saw is passed over, and nobody loses what they were promised beyond what the disaster itself took.

A case is one instant: `act2-after-fence-hq-began` kills the controller when that entry is durable. Playbooks outlive a
controller; `with-its-workers` kills them too. Each case runs alone (`-k`); together, three acts share a lab.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.demo.acts import Scene
from orchestrator.lab.account import ActAccount
from tests.lab import crash, crash_truth
from tests.lab.crash import Ground, Instant
from tests.lab.story import ERP, Story

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.crash, pytest.mark.timeout(1800)]

# In the order that needs the fewest labs: one act after the other.
CASES = [
    (number, instant)
    for together in zip_longest(*([(n, x) for x in crash.instants(n)] for n in (1, 2, 3)))
    for number, instant in filter(None, together)
]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Where the acts are played."""
    one = Ground(lambda: tmp_path_factory.mktemp("crash"), "crash")
    yield one
    one.clear()


@pytest.mark.parametrize("number", [1, 2, 3], ids=lambda n: f"act{n}")
def test_killed_at_every_boundary_of_one_act(ground: Ground, number: int) -> None:
    """The controller comes back again and again, and never gets further than one step."""
    kills = [x for x in crash.instants(number) if x.when != "middle" and not x.with_workers]
    _play(ground, number, tuple(kills))


@pytest.mark.parametrize(("number", "instant"), CASES, ids=[f"act{n}-{x}" for n, x in CASES])
def test_killed(ground: Ground, number: int, instant: Instant) -> None:
    """One instant."""
    _play(ground, number, (instant,))


def _play(ground: Ground, number: int, kills: tuple[Instant, ...]) -> None:
    with ground.act(number) as (story, scene):
        mark, entry = story.mark(), len(story.entries)
        promoted = crash_truth.promotions(story, "geo-db") if number == 2 else 0
        written = len(crash_truth.ledger(story))
        user = ground.play(story, scene, kills)
        story.read()
        _the_act_recovered_as_it_should(story, scene, mark)
        _every_step_is_accounted_for(story, kills, mark, entry)
        _nobody_lost_more_than_the_disaster_took(user, scene)
        _nothing_was_done_twice(story, kills, written)
        if number == 2:
            assert crash_truth.promotions(story, "geo-db") == promoted + 1
        for fenced in {2: ["hq"], 3: ["hq", "geo"]}.get(number, []):
            outlets = crash_truth.latched(story, fenced)
            assert outlets
            assert all(outlets.values()), outlets


def _the_act_recovered_as_it_should(story: Story, scene: Scene, mark: int) -> None:
    ended = crash_truth.acted(story, mark)
    assert [(x.ok, x.reason) for x in ended] == [(True, Reason.VERIFIED)], story.told()
    assert story.decided.runs[ended[0].run].started.tier in (scene.tier, 1), story.told()
    judged = {(story.decided.incidents[x.incident].service, x.tier): x for x in story.of(r.TierJudged, mark)}
    mine = ERP if scene.tier > 1 else "lab/hq-internet"
    assert judged[mine, scene.tier].state is r.TierState.RECOVERED, story.told()
    assert story.decided.services[ERP].may_act == {scene.place}


def _every_step_is_accounted_for(story: Story, kills: tuple[Instant, ...], mark: int, entry: int) -> None:
    assert crash_truth.unsettled(story, mark) == []
    assert crash_truth.begun_again(story.records) == []
    assert crash_truth.begun_without_a_look(story.records) == []
    assert crash_truth.apart(story, entry) == []
    began = [x.epoch for x in story.of(r.ControllerBegan, mark)]
    assert len(began) == len(kills)
    assert began == sorted(set(began))
    for kill in kills:
        if kill.step.partition("-")[0] in crash_truth.PLAYBOOK_STEPS and kill.when != "finished":
            left = [x.step for x in story.of(r.StepLeftUnseen, mark)]
            assert kill.step in left, f"{kill}: the end of {kill.step} was seen; the kill came too late"


def _nobody_lost_more_than_the_disaster_took(user: ActAccount, scene: Scene) -> None:
    assert user.outages, "the end user has noticed nothing"
    assert user.recovered
    assert user.loss_known
    assert user.fenced_acknowledgements == ()
    if not scene.loses_data:
        assert user.lost_ids == ()
    assert (user.oldest_lost_age_s or 0.0) <= crash.RPO_S


def _nothing_was_done_twice(story: Story, kills: tuple[Instant, ...], written: int) -> None:
    lines = crash_truth.ledger(story)[written:]
    assert lines, "the tests' own callback has written nothing"
    if not any(x.with_workers for x in kills):
        assert crash_truth.played_twice(lines) == []
    assert crash_truth.two_at_one_attempt(lines) == []
    assert crash_truth.changed_twice(lines) == []
    assert crash_truth.restored_while_serving(lines) == []
