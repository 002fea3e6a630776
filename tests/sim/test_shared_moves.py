"""Services that share a move to another place: a run moves its own, and an outage is told by what ended it."""

from __future__ import annotations

from functools import cache

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.sim.faults import FaultKind
from orchestrator.sim.simulation import quiet
from tests.sim import models
from tests.sim.stage import Stage

DATABASE, TERMINAL = "seaport/yard-database", "seaport/terminal-operations"
QUAY, DEPOT, OFFICE = "seaport/quay", "seaport/depot", "seaport/office"


@cache
def the_quay_is_dark() -> Stage:
    """The database moves to the depot; what stands on it climbs its own ladder, and comes to the office."""
    quiet()
    model = models.harbour()
    assert model is not None
    stage = Stage(model, models.nature("harbour"))
    stage.run(60.0)
    stage.begin(FaultKind.POWER, QUAY)
    stage.wait("the database serves", lambda: stage.at(DATABASE, DEPOT))
    return stage


def test_a_run_moves_its_own_service_and_no_other_that_shares_the_move() -> None:
    """Where another one acts is known by its own run, with its own fences: a shared playbook proves nothing of it."""
    stage = the_quay_is_dark()
    assert TERMINAL in {s.id for s in stage.model.services.values() if "seaport/site-to-depot" in str(s.ladder)}
    began = [x for x in stage.of(r.PlacementChanged) if x.service == TERMINAL and x.place == DEPOT]
    assert not began


def test_who_recovers_after_its_own_run_is_not_told_to_have_been_recovered_by_an_earlier_one() -> None:
    stage = the_quay_is_dark()
    stage.wait("the terminal serves", lambda: stage.at(TERMINAL, OFFICE))
    mine = next(x for x in stage.of(r.RunStarted) if x.service == TERMINAL)
    ended = next(x for x in stage.of(r.IncidentEnded) if x.incident == mine.incident)
    assert ended.reason is Reason.VERIFIED
    judged = [x for x in stage.of(r.TierJudged) if x.incident == mine.incident and x.tier == mine.tier]
    assert judged[-1].state is r.TierState.RECOVERED
