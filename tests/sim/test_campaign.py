"""Many seeds: every kind of fault is tried, no statement is broken, and several processes find what one finds."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from functools import cache
from random import Random

import pytest

from orchestrator.core.model import Mode, Model
from orchestrator.sim.campaign import Plan, Summary, as_auto, changed, run
from orchestrator.sim.faults import FaultKind
from orchestrator.sim.names import names_of
from orchestrator.sim.swarm import script
from tests.sim import models

HOURS = 0.1
CALM_S = 300.0  # enough to come to rest; `bascule simulate` waits for longer
SEEDS = {"lab": range(14), "harbour": range(10), "twins": range(100, 114)}  # enough of them: see the next test
MANY = range(1000, 1400)  # in `make test-long`


def plan_of(workspace: str) -> Model:
    model = {"lab": models.lab, "harbour": models.harbour, "twins": models.twins}[workspace]()
    if model is None:
        pytest.skip(f"there is no workspace {workspace}")
    return model


@cache
def sample(workspace: str) -> Summary:
    return run(Plan(plan_of(workspace), hours=HOURS, calm_s=CALM_S), SEEDS[workspace])


@pytest.mark.parametrize("workspace", SEEDS)
def test_no_seed_of_the_sample_breaks_a_statement(workspace: str) -> None:
    """To see one as a story: bascule simulate --seed N --hours 0.1."""
    found = sample(workspace)
    assert [(seed, str(violation)) for seed, violation in found.violations] == []
    assert found.seeds == len(SEEDS[workspace])
    assert found.virtual_s >= found.seeds * HOURS * 3600.0


@pytest.mark.parametrize("workspace", SEEDS)
def test_the_sample_is_no_idle_one(workspace: str) -> None:
    """Most kinds of faults, most guards, and recoveries on more than one tier were in it."""
    found = sample(workspace)
    assert len(found.faults) >= 20
    assert len(found.guards) >= 7
    assert len({x.tier for _, x in found.episodes if x.tier is not None}) >= 2


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("modes", ["as declared", "auto"])
@pytest.mark.parametrize("workspace", SEEDS)
def test_no_seed_of_many_breaks_a_statement(workspace: str, modes: str) -> None:
    model = as_auto(plan_of(workspace)) if modes == "auto" else plan_of(workspace)
    found = run(Plan(model), MANY, os.cpu_count() or 1)
    assert [(seed, str(violation)) for seed, violation in found.violations] == []


def test_two_processes_find_what_one_finds() -> None:
    plan = Plan(models.lab(), hours=0.02, calm_s=60.0)
    alone, together = run(plan, range(8), 1), run(plan, range(8), 2)
    for summary in (alone, together):
        summary.cpu_s = summary.wall_s = 0.0
    assert together == alone


def test_progress_is_told_after_each_seed() -> None:
    heard: list[int] = []
    run(Plan(models.lab(), hours=0.01, calm_s=30.0), range(3), 1, lambda summary: heard.append(summary.seeds))
    assert heard == [1, 2, 3]


@pytest.mark.parametrize("workspace", SEEDS)
def test_every_kind_of_fault_is_made_by_some_seed(workspace: str) -> None:
    model = plan_of(workspace)
    names = names_of(model, models.nature(workspace))
    made = Counter(fault.kind for seed in range(600) for fault in script(names, seed, 900.0))
    assert set(made) == set(FaultKind), f"never made: {sorted(set(FaultKind) - set(made))}"


def test_a_script_hangs_on_names_seed_and_length_alone_and_lies_within_its_length() -> None:
    names = names_of(models.lab(), models.nature("lab"))
    for seed in range(100):
        made = script(names, seed, 900.0)
        assert made == script(names, seed, 900.0)
        assert list(made) == sorted(made, key=lambda fault: fault.at)
        assert all(0.0 <= fault.at <= 900.0 for fault in made)
    assert len({str(script(names, seed, 900.0)) for seed in range(100)}) > 90


def test_as_auto_changes_modes_alone_and_a_reload_is_another_plan() -> None:
    asking = models.asking()
    auto = as_auto(asking)
    assert {s.mode for s in auto.services.values()} == {Mode.AUTO}
    assert replace(auto, services=asking.services, digest=asking.digest) == asking
    reloaded = changed(asking, Random("a"))
    assert reloaded.digest != asking.digest
    assert reloaded.checks != asking.checks


def test_some_reloads_change_ladders_and_some_take_proofs_away() -> None:
    model = models.lab()
    reloaded = [changed(model, Random(f"{seed}")) for seed in range(40)]
    assert reloaded == [changed(model, Random(f"{seed}")) for seed in range(40)]
    ladders = {str([s.ladder for s in x.services.values()]) for x in reloaded}
    fences = {str([p.fence for p in x.places.values()]) for x in reloaded}
    hand_overs = {str([m.hand_over for m in x.moves.values()]) for x in reloaded}
    assert min(len(ladders), len(fences), len(hand_overs)) > 2
    plain = [x for x in reloaded if (x.services, x.places) == (model.services, model.places)]
    assert 5 < len(plain) < 35
