"""What is taken out of the schedules is noticed, each by the judge that is there for it, in one short story."""

from __future__ import annotations

from functools import cache

import pytest

from orchestrator.sim.campaign import Campaign
from orchestrator.sim.faults import Fault
from orchestrator.sim.simulation import quiet
from tests.mutants.hunt import By, Worlds, first_violation, hunt
from tests.mutants.schedules import ABSENT, DRILLS, HELD, SCHEDULES

WORLD = "estuary"
CAUGHT_BY = {
    "schedule: late": "a drill is missed, and never late",
    "schedule: silent": "a drill comes due once, of a schedule that is in force",
    "schedule: twice": "a drill comes due once, of a schedule that is in force",
    "schedule: begun twice": "a drill of a schedule was due",
    "schedule: dropped": "no time of a schedule is dropped silently",
    "schedule: made up for": "a drill is missed, and never late",
}


@cache
def campaign() -> Campaign:
    quiet()
    return Worlds().campaign(WORLD)


@pytest.mark.parametrize("name", CAUGHT_BY)
def test_it_is_noticed_by_the_judge_that_is_there_for_it(name: str) -> None:
    mutant = next(x for x in SCHEDULES if x.name == name)
    caught = hunt(campaign(), mutant, WORLD, [], By.ORACLES)
    assert caught is not None, mutant.takes_out
    assert (caught.violation.statement, caught.violation.rule) == (0, CAUGHT_BY[name])


@pytest.mark.parametrize("story", [(DRILLS,), (HELD, DRILLS), (DRILLS, ABSENT)], ids=["plain", "held", "absent"])
def test_with_all_rules_in_place_the_stories_break_none(story: tuple[Fault, ...]) -> None:
    assert first_violation(campaign(), 1, By.BOTH, rest=True, faults=story) is None
