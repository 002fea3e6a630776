"""What a journal tells, as a sequence of (record, reason) a service: the same from the lab and from the simulator.

The one rule it keeps: it reads records alone; what it leaves out is listed in docs/simulation.md, "Conformance".
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.core.records import Record

THREE_ACTS = Path(__file__).parent / "conformance" / "three_acts.txt"  # of tests/lab/test_failover_story.py
BEGAN = "IncidentOpened or IncidentReopened"  # which of the two: how long ago the last one was
SHORT_WAITS = (Reason.VIABILITY_UNKNOWN, Reason.DEPENDENCY_RECOVERING)  # whether there is one: how fast answers come
BACK_UNAIDED = {f"IncidentEnded: {x.value}" for x in (Reason.RECOVERED_WITH_ANOTHER, Reason.RECOVERED_BY_ITSELF)}


def sequence(records: Iterable[Record]) -> list[str]:
    """One line for each record that carries a decision: service by service, and for each run its own steps.

    Runs are named by their count within their service, since services that fail together start theirs in any order.
    """
    told: dict[str, list[str]] = {}
    incidents: dict[str, str] = {}
    runs: dict[str, str] = {}
    for x in records:
        about, line = _line(x, incidents, runs)
        if about and (not told.get(about) or told[about][-1] != line):
            told.setdefault(about, []).append(line)
    return [
        line for about in sorted(told) for line in (f"{about}:", *(f"  {each}" for each in _decisions(told[about])))
    ]


def _decisions(lines: list[str]) -> list[str]:
    """Without the episodes in which a service only waited, and was back with what it rests on, or by itself.

    Whether it falls at all, before that has been mended or while its own run tidies up on a busy machine, hangs on the
    moments at which its checks happen to ask.
    """
    kept: list[str] = []
    for line in lines:
        kept.append(line)
        if line in BACK_UNAIDED:
            began = max(n for n, x in enumerate(kept) if x.startswith(BEGAN))
            if all(x.startswith("ServiceJudged wait: ") for x in kept[began + 1 : -1]):
                del kept[began:]
    return kept


def _line(x: Record, incidents: dict[str, str], runs: dict[str, str]) -> tuple[str, str]:
    kind = type(x).__name__
    match x:
        case r.IncidentOpened():
            incidents[x.incident] = x.service
            return x.service, f"{BEGAN} at {x.place}"
        case r.IncidentReopened():
            return incidents[x.incident], f"{BEGAN} at {x.place}"
        case r.IncidentEnded():
            return incidents[x.incident], f"{kind}: {x.reason.value}"
        case r.ServiceJudged() if x.decision is r.Decision.WAIT and x.reason in SHORT_WAITS:
            return "", ""
        case r.TierJudged() if x.state is r.TierState.WAITING and x.reason in SHORT_WAITS:
            return "", ""
        case r.ServiceJudged():
            return incidents[x.incident], f"{kind} {x.decision.value}: {x.reason.value}"
        case r.TierJudged():
            return incidents[x.incident], f"{kind} {x.tier} {x.move} {x.state.value}: {x.reason.value}"
        case r.RunStarted():
            nth = 1 + sum(name.startswith(f"{x.service} run ") for name in runs.values())
            runs[x.run] = f"{x.service} run {nth}"
            return runs[x.run], f"{kind} {x.move} {x.from_place} → {x.to_place}, {x.origin.value}: {x.reason.value}"
        case r.RecheckAdded():
            runs[f"{x.run}/{x.step}"] = ""  # how long the steps before it took
        case r.StepFinished() if f"{x.run}/{x.step}" not in runs:
            return runs[x.run], f"{kind} {x.step} {x.state.value}: {x.reason.value}"
        case r.RunNeedsHuman():
            return runs[x.run], f"{kind}: {x.reason.value}"
        case r.RunEnded():
            return runs[x.run], f"{kind} {'well' if x.ok else 'failed'}: {x.reason.value}"
        case r.PlacementChanged():
            return runs[x.run], f"{kind} of {x.service}: {x.was} → {x.place}"
        case r.MayActAdded():
            return runs[x.run], f"{kind} of {x.service}: {x.place}"
        case r.MayActRemoved():
            return x.service, f"{kind}: {x.place}: {x.reason.value}"
        case r.MoveEngaged():
            return runs[x.run], f"{kind} {x.move}: {'in effect' if x.engaged else 'taken back'}"
        case r.WordAccepted():
            return x.subject, f"{kind} {x.kind.value}: {x.reason.value}"
        case r.WordRefused():
            return x.subject, f"{kind} {x.kind.value}: {x.reason.value}"
    return "", ""
