"""What must never happen, checked on every step, always on.

The one rule it keeps: a check here reads only the records of the step and the state they led to, and raises; it
never mends. Statements are numbered as in `docs/architecture.md`.
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.plan import fence_of
from orchestrator.core.turn import Turn


class InvariantBroken(Exception):
    """bascule was about to do what it must never do; nothing of this step is carried out."""

    def __init__(self, number: int, rule: str, evidence: str) -> None:
        super().__init__(f"statement {number}: {rule}: {evidence}")
        self.number = number


def check(turn: Turn) -> None:
    """Check this step's records.

    Raises InvariantBroken; the shell then discards the step, acts on nothing, and tells people.
    """
    for record in turn.records:
        if isinstance(record, r.StepBegan):
            _step_began(turn, record)
        elif isinstance(record, r.VerdictChanged):
            _verdict_changed(turn, record)
        elif isinstance(record, r.RunStarted):
            _run_started(turn, record)


def _step_began(turn: Turn, record: r.StepBegan) -> None:
    run = turn.decided.runs[record.run]
    step = run.step(record.step)
    index = run.steps.index(step)
    unfinished = [s.name for s in run.steps[:index] if s.state not in (r.StepState.DONE, r.StepState.SKIPPED)]
    if unfinished:
        raise InvariantBroken(14, "no step before the ones it rests on", f"{record.run}/{step.name}: {unfinished}")
    if step.kind is r.StepKind.EXECUTE and run.started.to_place:
        service = turn.model.services[run.started.service]
        others = turn.decided.services[service.id].may_act - {run.started.to_place}
        if service.exclusive and others:
            rule = "activation only with every other place out of may_be_active"
            raise InvariantBroken(16, rule, f"{run.id}: {', '.join(sorted(others))} may still act")
    if (
        step.kind is r.StepKind.FENCE
        and fence_of(turn, turn.model.moves[run.started.move], step.place, step.hand_over) is None
    ):
        raise InvariantBroken(4, "no step without its plan", f"{run.id}: no fence for {step.place}")


def _verdict_changed(turn: Turn, record: r.VerdictChanged) -> None:
    row = turn.rows.get(record.check)
    if record.verdict is r.Verdict.DOWN and (row is None or record.first_bad_at is None):
        raise InvariantBroken(9, "every down verdict cites fresh answers", record.check)


def _run_started(turn: Turn, record: r.RunStarted) -> None:
    if record.origin is not r.Origin.AUTOMATIC or record.tier is None:
        return
    incident = turn.decided.incidents[record.incident or ""]
    for tier in range(1, record.tier):
        ledger = incident.tiers.get(tier)
        if ledger is None or ledger.state not in (r.TierState.FAILED, r.TierState.INELIGIBLE):
            state = ledger.state.value if ledger else "not assessed"
            raise InvariantBroken(
                17, "tier n+1 only after tier n failed or is ineligible", f"{record.run}: tier {tier} {state}"
            )
    since = turn.now - turn.limits(turn.model.services[record.service].client).moves_window_s
    state_ = turn.decided.services[record.service]
    recent = [at for at in state_.automatic_moves if at >= max(since, state_.resumed_at)]
    if len(recent) > turn.limits(turn.model.services[record.service].client).moves_per_service:
        raise InvariantBroken(12, "at most K automatic moves per window", f"{record.service}: {len(recent)}")
