"""What must never happen, checked on every step, always on.

The one rule it keeps: a check here reads only the records of the step and the state to which they led, and raises. It
never repairs. Statements are numbered as in `docs/architecture.md`; `invariants_of_runs.py` has those of a run's start
and steps. A check costs nothing until a record of its kind appears.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.core import invariants_of_acting as acting
from orchestrator.core import invariants_of_drills as of_drills
from orchestrator.core import invariants_of_runs as of_runs
from orchestrator.core import records as r
from orchestrator.core.events import Event
from orchestrator.core.invariant_broken import InvariantBroken
from orchestrator.core.transaction import Transaction

__all__ = ["InvariantBroken", "check"]


def check(tx: Transaction, heard: Event | None = None) -> None:
    """Check this step's records. `heard`: the event that led to them; None: nothing was heard.

    Raises InvariantBroken; the shell then discards the step, acts on nothing, and tells people.
    """
    for record in tx.records:
        if isinstance(record, r.StepRetried):
            of_runs.step_retried(record, heard)
        look = _CHECKED.get(type(record))
        if look is not None:
            look(tx, record)


def _verdict_changed(tx: Transaction, record: r.VerdictChanged) -> None:
    row = tx.rows().get(record.check)
    if record.verdict is r.Verdict.UNKNOWN:
        return
    if row is None or (record.verdict is r.Verdict.DOWN and record.first_bad_at is None):
        raise InvariantBroken(9, "every down verdict cites fresh answers", record.check)
    asked = tx.model.checks[record.check]
    by_window = asked.loss is not None or asked.latency is not None
    if record.verdict is r.Verdict.DOWN and row.bad_streak < asked.fall and not by_window:
        rule = f"no verdict falls without {asked.fall} bad answers"
        raise InvariantBroken(11, rule, f"{record.check}: {row.bad_streak} bad in a row")
    if record.verdict is r.Verdict.DOWN and not by_window:
        acting.confirmed(tx, record)
    rose = record.verdict is not r.Verdict.DOWN and record.was in (r.Verdict.DOWN, r.Verdict.UNKNOWN)
    if rose and row.good_streak < asked.rise:
        rule = f"no verdict rises without {asked.rise} good answers"
        raise InvariantBroken(11, rule, f"{record.check}: {row.good_streak} good in a row")


def _incident_opened(tx: Transaction, record: r.IncidentOpened | r.IncidentReopened) -> None:
    """In somebody's hands from its first moment: judged, or a run's, or over already."""
    incident = tx.decided.incidents[record.incident]
    if incident.judged is None and incident.ended is None and tx.decided.run_for(incident.service) is None:
        raise InvariantBroken(20, "no incident is forgotten", f"{incident.id} of {incident.service} was not judged")


_CHECKED: dict[type, Callable[[Transaction, Any], None]] = {
    r.VerdictChanged: _verdict_changed,
    r.IncidentOpened: _incident_opened,
    r.IncidentReopened: _incident_opened,
    r.RunStarted: of_runs.run_started,
    r.StepBegan: of_runs.step_began,
    r.DrillEnded: of_drills.drill_ended,
    r.StepFinished: of_runs.step_finished,
    r.MayActRemoved: of_runs.place_out,
}
