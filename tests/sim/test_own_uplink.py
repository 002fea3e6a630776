"""The controller's own uplink fails and comes back: nobody is told that anything else is down, and nothing is moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.core import records as r
from orchestrator.core.model import Model
from orchestrator.sim.campaign import Campaign, Plan, as_auto
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.simulation import WARM_UP_S, quiet
from tests.mutants.estuary import estuary
from tests.sim import models

AT_S = 40.0


def watched_harbour() -> Model:
    """The harbour's plan."""
    found = models.harbour()
    assert found is not None
    return found


@pytest.mark.parametrize("for_s", [3.0, 40.0])
@pytest.mark.parametrize("plan", [models.lab, watched_harbour, estuary])
def test_what_was_asked_meanwhile_takes_nothing_down(plan: Callable[[], Model], for_s: float) -> None:
    """Whichever answers first when it is back: a reference, or one of the others."""
    quiet()
    campaign = Campaign(Plan(as_auto(plan())))
    for vantage in sorted({x.vantage for x in campaign.plan.model.checks.values()}):
        for n in range(2):
            blind = Fault(AT_S + n * 0.37, FaultKind.BLIND, vantage, for_s=for_s)
            result = campaign.simulation(n, [blind]).play(AT_S + for_s + 15.0, 15.0)
            since = [x for entry in result.entries for x in entry.records if x.at > WARM_UP_S + AT_S]
            fell = [x.check for x in since if isinstance(x, r.VerdictChanged) and x.verdict is r.Verdict.DOWN]
            assert not fell
            assert not [x for x in since if isinstance(x, r.IncidentOpened | r.RunStarted)]
            assert not result.violations
