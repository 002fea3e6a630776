"""How a run starts: its plan, what it holds and its limits are recorded before anything of it begins.

The one rule it keeps: the caller has asked the guards before. Nothing is decided here.
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.health.diagnosis import USABLE
from orchestrator.core.model import Service
from orchestrator.core.reasons import Reason
from orchestrator.core.runs.plan import cleans_by, plan_digest, plan_steps, rehearsal_steps, resources, run_timeout_s
from orchestrator.core.state.decided import Run
from orchestrator.core.transaction import Transaction


def start_run(
    tx: Transaction,
    service: Service,
    move_id: str,
    *,
    origin: r.Origin,
    reason: Reason,
    asks: tuple[str, ...] = (),
    tier: int | None = None,
    who: str = "",
    why: str = "",
    word: str | None = None,
    overrides: tuple[str, ...] = (),
    fenced: str | None = None,
    isolate: str | None = None,
    drill: str = "",
    rehearses: bool = False,
    expires_s: float | None = None,
) -> Run:
    """Record a run's plan and begin it. `rehearses`: the plan is that of the move's rehearsal.

    `expires_s`: an approval is waited for no longer than this.
    """
    move, state, incident = tx.model.moves[move_id], tx.state(service), tx.incident(service)
    planned, expires_s = is_planned(tx, service), min(service.approval_expires_s, expires_s or float("inf"))
    steps = rehearsal_steps(move, asks) if rehearses else plan_steps(tx, service, move, asks, planned, isolate)
    started = r.RunStarted(
        at=tx.now(),
        run=f"r{tx.decided.run_count + 1}",
        service=service.id,
        move=move_id,
        origin=origin,
        steps=tuple(steps),
        plan_digest=plan_digest(tx, service, move, steps, state.place),
        configuration=tx.decided.configuration,
        reason=reason,
        incident=incident.id if incident and not rehearses else None,
        tier=tier,
        from_place=state.place,
        to_place=None if rehearses else move.to,
        deadline=incident.clock_at + service.rto_s if incident else tx.now() + service.rto_s,
        who=who,
        why=why,
        word=word,
        overrides=overrides,
        resources=resources(service, move, rehearses=rehearses),
        timeout_s=run_timeout_s(tx, move, steps, expires_s),
        asks=asks,
        approval_expires_s=expires_s,
        drill=drill,
        cleans_by=cleans_by(tx.model, move, steps),
    )
    tx.record(started)
    if fenced is not None:
        tx.record(r.RunApproved(tx.now(), started.run, who, why, fenced))
    return tx.decided.runs[started.run]


def is_planned(tx: Transaction, service: Service) -> bool:
    """Whether a move now would be a switchover: the source is healthy and can hand over."""
    return tx.incident(service) is None and tx.health(service) in USABLE
