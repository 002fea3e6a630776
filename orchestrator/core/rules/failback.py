"""Going back: which ways back apply now, and why an automatic failback still waits.

The one rule it keeps: no automatic failback happens before the service has been healthy for its hold-down, nor to what
failed within its cool-down. A named person may go back, and is told which wait this goes against. This module reads
only decided state, so that a status shows the same wait that the engine keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.durations import show_duration
from orchestrator.core.model import Mode, Model, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.state.decided import Decided


@dataclass(frozen=True, slots=True)
class Wait:
    """Why not yet, and until when on the journal's axis."""

    reason: Reason
    evidence: str
    until: float


def candidates(decided: Decided, model: Model, service: Service) -> list[str]:
    """The declared ways back that apply now: home from elsewhere, or taking back a move in effect."""
    place = decided.services[service.id].place
    found = []
    for name in service.failback:
        move = model.moves[name]
        if move.to is not None:
            if move.to != place and (not move.leaves or place in move.leaves):
                found.append(name)
        elif move.undoes in decided.engaged:
            found.append(name)
    return found


def too_soon(decided: Decided, service: Service, now: float) -> Iterator[Wait]:
    """What a way back would go against now, the longest wait of each kind.

    Hold-down: load, failover, overload, failback, again (GitHub, September 2012; opnsense/core#5786). Cool-down: no
    return to what has just failed, and no second try right after a way back that failed.
    """
    state = decided.services[service.id]
    if state.healthy_since is not None and now < (until := state.healthy_since + service.hold_down_s):
        well, wanted = show_duration(now - state.healthy_since), show_duration(service.hold_down_s)
        yield Wait(Reason.HOLD_DOWN, f"healthy for {well} of {wanted}", until)
    failed = [(went_wrong(decided, service, name), at) for name, at in state.left.items()]
    failed += [
        (f"{x.id} ({x.started.move}) {'failed' if x.failed else 'was not made'}", x.ended.at)
        for x in decided.runs.values()
        if x.started.service == service.id
        and x.started.incident is None
        and x.ended
        and not x.ended.ok
        and not x.rehearses
    ]
    what, at = max(failed, key=lambda found: (found[1], found[0]), default=("", 0.0))
    if what and now < (until := at + service.cool_down_s):
        evidence = f"{what} {show_duration(now - at)} ago, {show_duration(service.cool_down_s)} wanted"
        yield Wait(Reason.COOLING_DOWN, evidence, until)


def went_wrong(decided: Decided, service: Service, name: str) -> str:
    """What speaks against this place, or move: a place was given up, or a run that was to lead there failed; a move in
    place was needed, since what it stands in for failed.
    """
    own = [x for x in decided.runs.values() if x.started.service == service.id and x.ended is not None]
    for run in sorted(own, key=lambda x: x.ended.at if x.ended else 0.0, reverse=True):
        started, ok = run.started, (run.ended is not None and run.ended.ok) or run.verified_at is not None
        if ok and name == (started.from_place if started.to_place else started.move):
            return f"{name} was {'given up' if started.to_place else 'needed'}"
        if not ok and name == started.to_place and run.execute is not None and run.execute.begun:
            return f"{run.id} to {name} failed"
    return f"{name} was given up"


def waits(decided: Decided, model: Model, service: Service, now: float) -> Wait | None:
    """Why the service does not go back by itself yet; None where it may, or never would."""
    state = decided.services.get(service.id)
    if state is None or state.incident is not None or not service.automatic_failback or service.mode is not Mode.AUTO:
        return None
    if not candidates(decided, model, service):
        return None
    return max(too_soon(decided, service, now), key=lambda wait: wait.until, default=None)
