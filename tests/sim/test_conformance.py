"""The same script in the lab and in the simulator: the same sequence of records and reasons.

The simulator's half. The lab's is the last story of tests/lab/test_failover_story.py, which compares its own journal
with the same file. What is compared, and what is not: docs/simulation.md, section "Conformance".
"""

from __future__ import annotations

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.sim.simulation import quiet
from tests.sim import models
from tests.sim.acts import failover_story
from tests.sim.sequence import THREE_ACTS, sequence
from tests.sim.stage import Stage


@pytest.mark.parametrize("seed", ["quick", "slow", "between"])
def test_the_acts_of_the_lab_come_to_the_same_records_and_reasons(seed: str) -> None:
    """Whatever the moments at which checks happen to ask, and however long playbooks take."""
    quiet()
    stage = Stage(models.lab(), models.nature("lab"), seed, steps_s={"quick": 2.0, "slow": 28.0, "between": 12.0}[seed])
    failover_story(stage)
    assert not stage.sim.oracles.violations
    assert "\n".join(sequence(stage.records)) + "\n" == THREE_ACTS.read_text()


@pytest.mark.parametrize("why", [Reason.RECOVERED_WITH_ANOTHER, Reason.RECOVERED_BY_ITSELF])
def test_who_only_waited_is_left_out_and_who_did_more_is_not(why: Reason) -> None:
    opened = r.IncidentOpened(1.0, "i1", "lab/erp", 0.0, "lab/hq", "down")
    waited = r.ServiceJudged(1.0, "i1", r.Decision.WAIT, Reason.SETTLING, "…")
    acted = r.ServiceJudged(2.0, "i1", r.Decision.ACT, Reason.TIER_CHOSEN, "…")
    ended = r.IncidentEnded(3.0, "i1", why, "…", 3.0, 3.0)
    assert sequence([opened, waited, ended]) == ["lab/erp:"]
    assert len(sequence([opened, waited, acted, ended])) == 5


def test_what_is_said_twice_in_a_row_counts_once() -> None:
    opened = r.IncidentOpened(1.0, "i1", "lab/erp", 0.0, "lab/hq", "down")
    waited = [r.ServiceJudged(at, "i1", r.Decision.WAIT, Reason.SETTLING, f"for {at} s") for at in (1.0, 2.0)]
    assert sequence([opened, *waited])[1:] == [
        "  IncidentOpened or IncidentReopened at lab/hq",
        "  ServiceJudged wait: settling",
    ]
