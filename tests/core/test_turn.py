"""A turn knows whether it was asked for more than verdicts: the engine rests a service on that."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.core import records as r
from orchestrator.core.awareness.sight import sight
from orchestrator.core.commands import ProbeNow
from orchestrator.core.records import Verdict
from orchestrator.core.rules.policy import mass_failure, objection
from orchestrator.core.turn import Basis, Turn
from tests.core.stage import isp_a_dies, lab
from tests.core.world import World

CLOSER: dict[str, Callable[[Turn], object]] = {
    "the time": lambda turn: turn.now(),
    "a check's answers": lambda turn: turn.rows()["acme/ref"],
    "what fell together": lambda turn: turn.fallen(),
    "a fresh answer": lambda turn: turn.fresh(turn.model.services["acme/erp"].healthy_when, 0.0),
    "evidence": lambda turn: turn.evidence("acme/ref"),
    "doubt": lambda turn: turn.in_doubt("acme/ref"),
    "the latest question": lambda turn: turn.last_asked("acme/ref"),
    "the age of data": lambda turn: turn.data_age_s("acme/backup", 0.0),
    "when a reference answered": lambda turn: turn.reference_at("local", None),
    "whether it worked before": lambda turn: turn.worked_before(turn.decided.verdicts["acme/ref"]),
    "all guards": lambda turn: objection(turn, turn.model.services["acme/erp"]),
    "a wake-up": lambda turn: turn.wake(0.0),
    "a command": lambda turn: turn.command(ProbeNow(("acme/ref",))),
    "a record": lambda turn: turn.record(r.WindowClosed(0.0, "acme", "night")),
}
ALIKE: dict[str, Callable[[Turn], object]] = {
    "a verdict": lambda turn: turn.verdict("acme/erp-transaction"),
    "blindness": lambda turn: turn.blind("local"),
    "a condition": lambda turn: turn.says(turn.model.services["acme/erp"].healthy_when),
    "a service's health": lambda turn: turn.health(turn.model.services["acme/erp"]),
    "what was decided of it": lambda turn: turn.state(turn.model.services["acme/erp"]),
    "its usual duration": lambda turn: turn.usual_s("acme/geo-site"),
}


@pytest.fixture(scope="module")
def healthy() -> World:
    return lab()


@pytest.mark.parametrize("asked", CLOSER)
def test_what_can_change_without_a_verdict_is_noted(healthy: World, asked: str) -> None:
    turn = healthy.engine.turn(healthy.now)
    CLOSER[asked](turn)
    assert turn.basis.more


@pytest.mark.parametrize("asked", ALIKE)
def test_verdicts_and_what_is_decided_are_not(healthy: World, asked: str) -> None:
    turn = healthy.engine.turn(healthy.now)
    ALIKE[asked](turn)
    assert not turn.basis.more


def test_an_answer_that_another_service_was_given_before_is_noted_too() -> None:
    """Mass failure is counted once a turn; it depends on the time for whoever asks second as well."""
    world = lab()
    isp_a_dies(world)
    world.run(5)
    turn = world.engine.turn(world.now)
    mass_failure(turn, world.model.services["acme/hq-internet"])
    turn.basis = Basis()
    mass_failure(turn, world.model.services["acme/erp"])
    assert turn.basis.more


def test_a_down_from_before_the_last_recovery_depends_on_the_time() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(60)
    assert world.decided().services["acme/erp"].recovered_at is not None
    world.bad("erp-transaction")
    while world.engine.rows["acme/erp-transaction"].verdict is not r.Verdict.DOWN:
        world.run(0.1)
    turn = world.engine.turn(world.now)
    turn.health(world.model.services["acme/erp"])
    assert turn.basis.more


def test_what_is_down_and_answers_well_again_is_not_told_by_that_answer_alone() -> None:
    """`down: HTTP 200` is no reason: it takes as many good answers as its rise."""
    world = lab()
    turn = world.engine.turn(world.now)
    erp = turn.model.services["acme/erp"]
    row, rise = turn.rows()["acme/erp-transaction"], turn.model.checks["acme/erp-transaction"].rise
    row.verdict, row.good_streak = Verdict.DOWN, rise - 1
    told = f"(down until {rise} good in a row, {rise - 1} so far)"
    assert turn.behind(erp.healthy_when, Verdict.DOWN).endswith(told)
    assert any(told in why for why in sight(turn).services["acme/erp"].why)
    row.verdict = Verdict.UP
    assert told not in turn.behind(erp.healthy_when, Verdict.UP)
