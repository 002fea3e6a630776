"""What the judges make of answers that come too late to count."""

from __future__ import annotations

import pytest

from orchestrator.core import records as r
from orchestrator.core.events import Answer, Observed
from orchestrator.core.reasons import Reason
from orchestrator.sim.answers import Answers
from tests.sim import models

CHECK = "lab/erp-transaction@noc"


@pytest.mark.parametrize(("perhaps_s", "wrong"), [(88.0, 1), (95.0, 0)])
def test_a_silence_is_counted_once_however_many_late_answers_come_in_it(perhaps_s: float, wrong: int) -> None:
    """Each is older than a check's silence may be: nothing is heard by it, and the silence goes on."""
    model, told = models.lab(), []
    answers = Answers(model, lambda statement, rule, evidence: told.append((statement, rule, evidence)))
    late_s = model.checks[CHECK].stale_after_s + 15.0
    answers.observed(Observed(CHECK, 10.0, Answer.BAD), 10.0)
    for sent_at in range(20, 100, 10):
        answers.observed(Observed(CHECK, float(sent_at), Answer.BAD), sent_at + late_s)
    answers.observed(Observed(CHECK, 105.0, Answer.GOOD), 105.0)
    came_back = r.IncidentEnded(105.0, "i1", Reason.RECOVERED_BY_ITSELF, "", 105.0, 95.0, doubted_s=perhaps_s)
    answers.came_back(model.services["lab/erp"], came_back, 10.0)
    assert len(told) == wrong, told
