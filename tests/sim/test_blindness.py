"""Who cannot see is told, without any incident; and the judge of it notices a core that tells nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.model import Model
from orchestrator.sim.blindness import RULE
from orchestrator.sim.campaign import Campaign, Plan
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.simulation import Result, quiet
from tests.mutants.estuary import estuary
from tests.mutants.guards import telling_nobody_of_blindness
from tests.sim import models

AT_S = 40.0


def blind_for(plan: Callable[[], Model | None], for_s: float) -> list[Result]:
    """Each vantage of the plan in turn, blind for so long."""
    quiet()
    model = plan()
    assert model is not None
    campaign = Campaign(Plan(model))
    found = []
    for n, vantage in enumerate(sorted({x.vantage for x in model.checks.values() if x.reference})):
        fault = Fault(AT_S, FaultKind.BLIND, vantage, for_s=for_s)
        found.append(campaign.simulation(n, [fault]).play(AT_S + for_s + 120.0, 60.0))
    return found


def notices(result: Result, kind: NoticeKind) -> list[r.NoticeDue]:
    records = (x for entry in result.entries for x in entry.records)
    return [x for x in records if isinstance(x, r.NoticeDue) and x.kind is kind]


@pytest.mark.parametrize("plan", [models.lab, models.harbour, estuary])
def test_a_blind_vantage_is_told_once_and_its_end_once(plan: Callable[[], Model | None]) -> None:
    for result in blind_for(plan, 200.0):
        assert not result.violations
        (told,) = [x for x in notices(result, NoticeKind.CANNOT_SEE) if x.details["lack"] == "blind"]
        (over,) = [x for x in notices(result, NoticeKind.SEES_AGAIN) if x.details["lack"] == "blind"]
        assert told.details["subjects"] == over.details["subjects"]
        assert "counts for nothing" in told.text


def test_a_blink_is_no_news() -> None:
    for result in blind_for(estuary, 30.0):
        assert not [x for x in notices(result, NoticeKind.CANNOT_SEE) if x.details["lack"] == "blind"]


def test_a_core_that_tells_nobody_is_noticed() -> None:
    with telling_nobody_of_blindness():
        found = blind_for(estuary, 200.0)
    assert all([x.rule for x in result.violations] == [RULE] * len(result.violations) for result in found)
    assert any(result.violations for result in found)
