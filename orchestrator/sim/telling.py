"""A simulation as a story that an operator can read: what happened in the world, and what was made of it.

The one rule it keeps: every decision stands with its named reason and its evidence; nothing is told that is not in
the journal or in the script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from orchestrator.core import records as r
from orchestrator.core.durations import show_duration
from orchestrator.sim.simulation import WARM_UP_S, Result


def tell(result: Result, *, checks: bool = True) -> Iterator[str]:
    """One line for each thing, in order: `*` the world, `!` a violation, else the controller. Times as m:ss.t.

    `checks`: with changed verdicts, except those by which everything was first found well.
    """
    events: list[tuple[float, int, str]] = [(at, n, f"* {what}") for n, (at, what) in enumerate(result.happened)]
    count = len(events)
    for entry in result.entries:
        for record in entry.records:
            told = _TELL.get(type(record))
            if told is None or (isinstance(record, r.VerdictChanged) and (not checks or entry.at < WARM_UP_S)):
                continue
            count += 1
            events.append((entry.at, count, f"  {told(record)}"))
    for violation in result.violations:
        count += 1
        events.append((violation.at, count, f"! {violation}"))
    for at, _, text in sorted(events, key=lambda x: (x[0], x[1])):
        yield f"{_time(at)}  {text}"


def _time(at: float) -> str:
    minutes, seconds = divmod(max(0.0, at), 60.0)
    return f"{int(minutes):3d}:{seconds:04.1f}"


def _started(x: r.RunStarted) -> str:
    steps = ", ".join(s.name for s in x.steps)
    where = f" {x.from_place} → {x.to_place}" if x.to_place else ""
    who = f" by {x.who}" if x.who else ""
    return f"{x.run}: {x.move} for {x.service}{where}, {x.origin.value}{who}: {steps}"


_TELL: dict[type, Callable[[Any], str]] = {
    r.ControllerBegan: lambda x: f"{x.controller} decides from here on, epoch {x.epoch}",
    r.Configured: lambda x: f"configuration {x.digest[:12]} is in force",
    r.VerdictChanged: lambda x: f"check {x.check} {x.was.value} → {x.verdict.value}: {x.evidence}",
    r.IncidentOpened: lambda x: f"{x.incident}: {x.service} is down at {x.place}: {x.evidence}",
    r.IncidentReopened: lambda x: f"{x.incident} again: down at {x.place}: {x.evidence}",
    r.IncidentEnded: lambda x: f"{x.incident} ends after {show_duration(x.rta_s)}: {x.reason.value}",
    r.ServiceJudged: lambda x: f"{x.incident}: {x.decision.value}: {x.reason.value}: {x.evidence}",
    r.TierJudged: lambda x: f"{x.incident} tier {x.tier} {x.move} {x.state.value}: {x.reason.value}: {x.evidence}",
    r.RunStarted: _started,
    r.StepBegan: lambda x: f"{x.run} {x.step} begins{f', attempt {x.attempt}' if x.attempt > 1 else ''}",
    r.StepLeftUnseen: lambda x: f"{x.run} {x.step} was left running",
    r.StepLooked: lambda x: f"{x.run} {x.step} is looked at: {x.reason.value}: {x.evidence}",
    r.StepRetried: lambda x: f"{x.run} {x.step} is tried again: {x.reason.value}: {x.evidence}",
    r.StepFinished: lambda x: f"{x.run} {x.step} {x.state.value}: {x.reason.value}: {x.evidence}",
    r.RunNeedsHuman: lambda x: f"{x.run} needs a person: {x.reason.value}: {x.evidence}",
    r.RunEnded: lambda x: f"{x.run} {'ends well' if x.ok else 'fails'}: {x.reason.value}: {x.evidence}",
    r.RunApproved: lambda x: f"{x.run} approved by {x.who}{f', who fenced {x.fenced}' if x.fenced else ''}",
    r.AbortAsked: lambda x: f"{x.run}: {x.who} wants it stopped",
    r.PlacementChanged: lambda x: f"{x.service} is at {x.place} now",
    r.MayActAdded: lambda x: f"{x.service} may act at {x.place} from here on",
    r.MayActRemoved: lambda x: f"{x.service} cannot act at {x.place} any more: {x.reason.value}: {x.evidence}",
    r.MoveEngaged: lambda x: f"{x.move} is {'in effect' if x.engaged else 'taken back'}",
    r.ServiceFrozen: lambda x: f"{x.service} is frozen: {x.reason.value}: {x.evidence}",
    r.WordAccepted: lambda x: f"{x.who}: {x.kind.value} {x.subject}: accepted: {x.reason.value}: {x.evidence}",
    r.WordRefused: lambda x: f"{x.who}: {x.kind.value} {x.subject}: refused: {x.reason.value}: {x.evidence}",
    r.NoticeDue: lambda x: f"people are told: {x.text}",
}
