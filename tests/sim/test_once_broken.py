"""Seeds of long campaigns that broke a statement once, as the shortest scripts that did."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import records as r
from orchestrator.core.model import Model
from orchestrator.core.reasons import Reason
from orchestrator.sim.campaign import CALM_S, Campaign, Plan
from orchestrator.sim.faults import Fault
from orchestrator.sim.scripts import parse
from orchestrator.sim.simulation import WARM_UP_S, Result, longest_s, quiet
from tests.sim import models

TWO_APPROVALS_IN_A_ROW = """
length: 15 min
at 30 s: crash seaport/yard-database for good
at 250 s: cut off seaport/depot for 577 s
"""
A_GOOD_ANSWER_WHILE_THE_DISK_IS_FULL = """
seed: 1179
length: 6 min
at 225.27637345392773 s: flap seaport/quay every 2 s for 1561.5950470549733 s
at 257.7925953862774 s: fill the journal's disk for 2.248624120672627 s
"""
HAD_TRIED_AGAIN = """
length: 5 min
at 10 s: say failover lab/hq-internet by backup-isp
at 10 s: lose sight of the playbooks of lab/backup-isp for 15 s
at 30 s: say approve
"""
A_REHEARSAL_IS_NO_RECOVERY = """
seed: 82861
length: 15 min
at 30.22 s: say drill lab/hq-internet by lab/backup-isp
at 36.257 s: cut off lab/hq for 200 s
"""


def played(text: str, plan: Model | None = None) -> tuple[Campaign, Result]:
    """The script, on the harbour's plan where none is given."""
    quiet()
    plan = plan or models.harbour()
    assert plan is not None
    campaign = Campaign(Plan(plan))
    script = parse(text, "script", campaign.names)
    faults: tuple[Fault, ...] = script.faults
    return campaign, campaign.simulation(script.seed, faults).play(script.length_s, CALM_S)


def test_a_tier_that_begins_late_since_two_approvals_ran_out_has_its_time() -> None:
    campaign, result = played(TWO_APPROVALS_IN_A_ROW)
    expired = [x for entry in result.entries for x in entry.records if isinstance(x, r.RunEnded) and not x.ok]
    assert len(expired) >= 2
    assert result.violations == []
    assert result.virtual_s <= WARM_UP_S + 900.0 + CALM_S + longest_s(campaign.plan.model)


def test_a_streak_does_not_go_on_over_a_good_answer_that_a_full_disk_refused() -> None:
    _, result = played(A_GOOD_ANSWER_WHILE_THE_DISK_IS_FULL)
    assert result.violations == []


def test_what_a_named_person_has_tried_again_may_take_effect_twice() -> None:
    """Its end was not seen, and nothing can be asked for it: whoever approves says that it is to be made once more."""
    plan = models.lab()
    move = replace(plan.moves["lab/backup-isp"], done_when=None, safe_to_repeat=False)
    _, result = played(HAD_TRIED_AGAIN, replace(plan, moves={**plan.moves, move.id: move}, digest="asks nobody"))
    again = [x for entry in result.entries for x in entry.records if isinstance(x, r.StepRetried)]
    assert [x.reason for x in again] == [Reason.APPROVED]
    assert result.violations == []


def test_what_a_service_depends_on_is_not_recovered_by_its_rehearsal() -> None:
    """It is cleaned up while nothing can be done for the dependency: who depends on that does not wait."""
    _, result = played(A_REHEARSAL_IS_NO_RECOVERY, models.lab())
    cleaned = [
        x for entry in result.entries for x in entry.records if isinstance(x, r.StepBegan) and x.step == "clean-up"
    ]
    assert len(cleaned) == 1
    assert result.violations == []
