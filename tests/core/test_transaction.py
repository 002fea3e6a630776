"""A transaction knows whether it was asked for more than verdicts: the engine rests a service on that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.awareness.sight import sight
from orchestrator.core.commands import ProbeNow
from orchestrator.core.records import Verdict
from orchestrator.core.rules.drilling import not_well
from orchestrator.core.rules.policy import mass_failure, objection
from orchestrator.core.transaction import Basis, Transaction
from tests.core.stage import isp_a_dies, lab
from tests.core.world import World

CLOSER: dict[str, Callable[[Transaction], object]] = {
    "the time": lambda tx: tx.now(),
    "a check's answers": lambda tx: tx.rows()["acme/ref"],
    "what fell together": lambda tx: tx.fallen(),
    "a fresh answer": lambda tx: tx.fresh(tx.model.services["acme/erp"].healthy_when, 0.0),
    "evidence": lambda tx: tx.evidence("acme/ref"),
    "doubt": lambda tx: tx.in_doubt("acme/ref"),
    "the latest question": lambda tx: tx.last_asked("acme/ref"),
    "the age of data": lambda tx: tx.data_age_s("acme/backup", 0.0),
    "when a reference answered": lambda tx: tx.reference_at("local", None),
    "whether it worked before": lambda tx: tx.worked_before(tx.decided.verdicts["acme/ref"]),
    "all guards": lambda tx: objection(tx, tx.model.services["acme/erp"]),
    "a wake-up": lambda tx: tx.wake(0.0),
    "a command": lambda tx: tx.command(ProbeNow(("acme/ref",))),
    "a record": lambda tx: tx.record(r.WindowClosed(0.0, "acme", "night")),
}
ALIKE: dict[str, Callable[[Transaction], object]] = {
    "a verdict": lambda tx: tx.verdict("acme/erp-transaction"),
    "blindness": lambda tx: tx.blind("local"),
    "a condition": lambda tx: tx.says(tx.model.services["acme/erp"].healthy_when),
    "a service's health": lambda tx: tx.health(tx.model.services["acme/erp"]),
    "what was decided of it": lambda tx: tx.state(tx.model.services["acme/erp"]),
    "what it takes at most": lambda tx: tx.at_most_s("acme/geo-site"),
}


@pytest.fixture(scope="module")
def healthy() -> World:
    return lab()


@pytest.mark.parametrize("asked", CLOSER)
def test_what_can_change_without_a_verdict_is_noted(healthy: World, asked: str) -> None:
    tx = healthy.engine.transaction(healthy.now)
    CLOSER[asked](tx)
    assert tx.basis.more


@pytest.mark.parametrize("asked", ALIKE)
def test_verdicts_and_what_is_decided_are_not(healthy: World, asked: str) -> None:
    tx = healthy.engine.transaction(healthy.now)
    ALIKE[asked](tx)
    assert not tx.basis.more


def test_an_answer_that_another_service_was_given_before_is_noted_too() -> None:
    """Mass failure is counted once a transaction; it depends on the time for whoever asks second as well."""
    world = lab()
    isp_a_dies(world)
    world.run(5)
    tx = world.engine.transaction(world.now)
    mass_failure(tx, world.model.services["acme/hq-internet"])
    tx.basis = Basis()
    mass_failure(tx, world.model.services["acme/erp"])
    assert tx.basis.more


def test_a_down_from_before_the_last_recovery_depends_on_the_time() -> None:
    world = lab()
    isp_a_dies(world)
    world.run(60)
    assert world.decided().services["acme/erp"].recovered_at is not None
    world.bad("erp-transaction")
    while world.engine.rows["acme/erp-transaction"].verdict is not r.Verdict.DOWN:
        world.run(0.1)
    tx = world.engine.transaction(world.now)
    tx.health(world.model.services["acme/erp"])
    assert tx.basis.more


def test_what_is_down_and_answers_well_again_is_not_told_by_that_answer_alone() -> None:
    """`down: HTTP 200` is no reason: it takes as many good answers as its rise."""
    world = lab()
    tx = world.engine.transaction(world.now)
    erp = tx.model.services["acme/erp"]
    row, rise = tx.rows()["acme/erp-transaction"], tx.model.checks["acme/erp-transaction"].rise
    row.verdict, row.good_streak = Verdict.DOWN, rise - 1
    told = f"(down until {rise} good in a row, {rise - 1} so far)"
    assert tx.behind(erp.healthy_when, Verdict.DOWN).endswith(told)
    assert any(told in why for why in sight(tx).services["acme/erp"].why)
    row.verdict = Verdict.UNKNOWN
    not_known = f"(unknown until {rise} good in a row, {rise - 1} so far)"
    assert tx.behind(erp.healthy_when, Verdict.UNKNOWN).endswith(not_known)
    assert any(not_known in why for _, why in not_well(tx, erp))
    row.verdict = Verdict.UP
    assert "so far)" not in tx.behind(erp.healthy_when, Verdict.UP)


def test_a_check_that_is_asked_anew_is_not_said_to_have_been_asked_never() -> None:
    world = lab()
    name = "acme/erp-transaction"
    assert "good" in world.engine.transaction(world.now).evidence(name)
    check = replace(world.model.checks[name], rise=7)
    world.hears(
        e.ConfigurationLoaded(replace(world.model, digest="edited", checks={**world.model.checks, name: check}))
    )
    told = world.engine.transaction(world.now).evidence(name)
    assert told == f"{name}: not answered since the files were read anew"
