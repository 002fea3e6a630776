"""The judge of statements 12 and 13 hears whatever goes on by itself, and not only where it is planned."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from functools import cache

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.sim.brakes import AT_ONCE, MASS
from orchestrator.sim.campaign import Campaign
from orchestrator.sim.simulation import Result, quiet
from tests.mutants.brakes import BRAKES
from tests.mutants.hunt import By, Worlds, _without_invariants, hunt
from tests.mutants.mutant import Mutant

UNTIL_S = 260.0
WORLD = "estuary"


@cache
def campaign() -> Campaign:
    return Worlds().campaign(WORLD)


def named(name: str) -> Mutant:
    return next(x for x in BRAKES if x.name == name)


def played(mutant: Mutant, *, out: bool) -> Result:
    """Its story, with the core's own invariants switched off; with the rule, or without it."""
    quiet()
    assert mutant.story is not None
    world, faults = mutant.story
    assert world == WORLD
    with ExitStack() as stack:
        _without_invariants(stack)
        stack.enter_context(mutant.out() if out else nullcontext())
        return campaign().simulation(1, faults).play(UNTIL_S, 60.0)


def of_kind(result: Result, kind: type) -> list[object]:
    return [x for entry in result.entries for x in entry.records if isinstance(x, kind)]


def test_what_waited_and_goes_on_by_itself_is_judged_then() -> None:
    mutant = named("together")
    plain = played(mutant, out=False)
    assert not plain.violations
    gone_on = [x for x in of_kind(plain, r.StepFinished) if isinstance(x, r.StepFinished) and x.step == "approval"]
    assert [x.reason for x in gone_on] == [Reason.NOT_NEEDED] * 2
    broken = played(mutant, out=True)
    assert {(x.statement, x.rule) for x in broken.violations} == {(13, AT_ONCE)}
    assert {x.evidence.partition("/")[2].partition(":")[0] for x in broken.violations} == {"approval"}


def test_a_way_back_by_itself_in_a_mass_failure_is_judged_too() -> None:
    mutant = named("mass failure, well")
    plain = played(mutant, out=False)
    assert not plain.violations
    moves = [x.move for x in of_kind(plain, r.RunStarted) if isinstance(x, r.RunStarted)]
    assert moves[0] == "quay/detour"
    assert "quay/detour-back" not in moves
    broken = played(mutant, out=True)
    assert {(x.statement, x.rule) for x in broken.violations} == {(13, MASS)}


@pytest.mark.parametrize("mutant", BRAKES, ids=lambda mutant: mutant.name)
def test_the_core_finds_it_too(mutant: Mutant) -> None:
    caught = hunt(campaign(), mutant, WORLD, [], By.CORE)
    assert caught is not None, mutant.takes_out
    assert caught.violation.statement in mutant.expected
