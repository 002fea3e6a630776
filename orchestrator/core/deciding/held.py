"""What people hear of a hold that keeps an outage from being recovered: it may be long forgotten.

The one rule it keeps: once an outage and a hold, and not before the service is seen to be down. What is down by
announced work is nobody's alarm.
"""

from __future__ import annotations

from shlex import quote

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.deciding.recovery import notice_of
from orchestrator.core.model import Service
from orchestrator.core.notices import of_hold
from orchestrator.core.rules import policy
from orchestrator.core.rules.policy import Finding
from orchestrator.core.sentences import Sentence
from orchestrator.core.state.decided import EVERYTHING, Incident
from orchestrator.core.transaction import Transaction


def tell(tx: Transaction, service: Service, incident: Incident, finding: Finding) -> None:
    """Tell whom it concerns who holds it, and how it is let go of."""
    hold = policy.hold_on(tx, service)
    seen = tx.health(service) is r.Verdict.DOWN and policy.no_quorum(tx, service) is None
    if hold is None or not seen or policy.in_maintenance(tx, service) is not None:
        return
    text = Sentence.NOTHING_BY_ITSELF.say(service=service.id, why=f"{finding.reason.text}: {finding.evidence}")
    say = f"bascule resume {'--all' if hold.subject == EVERYTHING else quote(hold.subject)}"
    tx.tell(notice_of(incident, of_hold(hold)), NoticeKind.HUMAN_NEEDED, service.id, text, say=say)
