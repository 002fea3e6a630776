"""A preflight that is too old is asked again, on record, before anything may stop for good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.events import WordKind
from orchestrator.core.model import Limits
from orchestrator.core.reasons import Reason
from tests.core.stage import hq_loses_power, lab
from tests.core.test_invariants import FENCE, PREFLIGHT, begun, down_at_hq, passed, right, run_of, wrong
from tests.core.test_words import at_geo
from tests.core.world import World, book, story


def going_home(prepare_s: float, **limits: float) -> World:
    """Erp goes home by a named person's word; preparing hq takes so long."""
    world = at_geo()
    world.model = replace(world.model, digest="limits", limits=replace(Limits(), **limits))
    world.hears(e.ConfigurationLoaded(world.model))
    world.takes["rebuild_hq"] = prepare_s
    assert world.say(WordKind.FAILBACK, "acme/erp").accepted
    return world


def steps_of(world: World, run: str) -> list[tuple[str, str]]:
    """Name and state of the run's steps."""
    return [(s.name, s.state.value) for s in world.decided().runs[run].steps]


def test_after_a_long_preparation_the_preconditions_are_asked_again() -> None:
    world = going_home(300.0)
    world.run(340)
    added = next(iter(world.records(r.RecheckAdded)))
    assert isinstance(added, r.RecheckAdded)
    assert (added.step, added.before, added.reason) == ("recheck-1", "hand-over-geo", Reason.PREFLIGHT_OLD)
    assert added.evidence == "asked 5:00 ago, 30s allowed"
    assert [name for name, _ in steps_of(world, "r2")][:4] == ["preflight", "prepare", "recheck-1", "hand-over-geo"]
    assert world.decided().services["acme/erp"].place == "acme/hq", "\n".join(story(world))


def test_what_is_not_viable_any_more_stops_nothing() -> None:
    """The accident: a failover to nothing viable cuts the only thing that works."""
    world = going_home(300.0)
    world.run(200)
    world.bad("hq-ready")
    world.run(140)
    assert "hand_over" not in world.played
    ended = world.decided().runs["r2"].ended
    assert ended is not None
    assert ended.reason is Reason.PREFLIGHT_FAILED
    assert world.decided().services["acme/erp"].may_act >= {"acme/geo"}


def test_a_short_preparation_is_recent_enough() -> None:
    world = going_home(20.0)
    world.run(60)
    assert not list(world.records(r.RecheckAdded))
    assert world.decided().services["acme/erp"].place == "acme/hq"


def test_how_old_is_too_old_is_the_authors_to_say() -> None:
    world = going_home(20.0, preflight_fresh_s=10.0)
    world.run(60)
    assert len(list(world.records(r.RecheckAdded))) == 1
    world = going_home(300.0, preflight_fresh_s=600.0)
    world.run(340)
    assert not list(world.records(r.RecheckAdded))


def test_answers_from_before_a_controller_went_down_do_not_count() -> None:
    """Ten minutes later everything is asked anew: the answers that the last controller had are old."""
    world = lab()
    hq_loses_power(world)
    while not world.decided().runs:
        world.go()
    world.crash()
    world.measures["acme/geo-replica"] = {"data_age_s": 0.3}
    world.run(600)
    world.start()
    world.run(60)
    done = [x for x in world.records(r.StepFinished) if isinstance(x, r.StepFinished) and x.step == "preflight"]
    assert done[-1].measures["data_age_s"] == pytest.approx(0.3, abs=0.1)
    assert done[-1].measures["sampled_at"] > 600


def test_the_data_is_measured_again_too() -> None:
    world = lab()
    slow = replace(world.model.moves["acme/geo-site"], prepare=book("warm_up"))
    world.model = replace(world.model, digest="slow", moves={**world.model.moves, slow.id: slow})
    world.hears(e.ConfigurationLoaded(world.model))
    world.takes["warm_up"] = 120.0
    hq_loses_power(world)
    world.run(60)
    world.measures["acme/geo-replica"] = {"data_age_s": 45.0}
    world.run(90)
    recheck = world.decided().runs["r1"].step("recheck-1")
    assert (recheck.state, recheck.reason) == (r.StepState.FAILED, Reason.RPO_EXCEEDED)
    assert world.played == ["warm_up"], "nothing was switched off for it"


@pytest.mark.parametrize("age_s", [29.0, 31.0])
def test_14_no_fence_after_an_old_preflight(age_s: float) -> None:
    world = down_at_hq()
    right(world, run_of(world, PREFLIGHT, FENCE), *passed(world))
    world.now += age_s
    for name in ("acme/ref", "acme/ref2"):
        world.engine.rows[name].last_sent_at = world.now
    record, command = begun(world, "fence-hq")
    if age_s < 30:
        right(world, record, commands=(command,))
    else:
        assert "statement 14" in wrong(world, record, commands=(command,))


def test_data_on_record_are_as_old_as_they_were_when_the_step_ended_and_not_at_their_sample() -> None:
    world = lab()
    world.measures["acme/geo-replica"] = {"data_age_s": 0.3}
    world.run(10)
    hq_loses_power(world)
    world.run(60)
    found = [x for x in world.records(r.StepFinished) if "data_age_s" in x.measures]
    assert {x.step for x in found} >= {"preflight", "proof-hq"}
    for step in found:
        aged_s = step.at - step.measures["sampled_at"]
        assert step.measures["data_age_s"] == pytest.approx(0.3 + aged_s), step.step
    assert any(step.at - step.measures["sampled_at"] > 0.5 for step in found)  # or nothing was tried
