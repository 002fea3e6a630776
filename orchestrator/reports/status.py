"""What is the case now: a fold of the decided state, for people in a hurry.

The one rule it keeps: it is told the state, the model and the time, and decides nothing; a word that it shows about
a tier is the engine's own (`Reason`), and what it works out itself (does a waiting tier fit?) says what it is from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core import decided as d
from orchestrator.core import failback, plan
from orchestrator.core.diagnosis import evaluate
from orchestrator.core.durations import show_duration
from orchestrator.core.events import TaskTime
from orchestrator.core.model import Json, Model, Service
from orchestrator.core.records import StepKind, TierState, Verdict, WordAccepted
from orchestrator.core.turn import Turn, percentile


@dataclass(frozen=True, slots=True)
class StepNow:
    """A step of a run that is on. `took_s` so far, if it has no end."""

    name: str
    kind: str
    state: str
    took_s: float | None
    attempt: int
    evidence: str


@dataclass(frozen=True, slots=True)
class RunNow:
    """A run without an end."""

    id: str
    service: str
    move: str
    origin: str
    running_s: float
    steps: tuple[StepNow, ...]
    task: str = ""  # the task that its playbook ended last, if the daemon could be asked
    needs: str = ""  # what it waits for from a person
    say: str = ""  # the command to type


@dataclass(frozen=True, slots=True)
class TierNow:
    """One rung. `usual_s` over `usual_runs` measured runs; None: never measured, so that it fits is assumed."""

    tier: int
    move: str
    state: str
    reason: str
    evidence: str
    usual_s: float | None
    usual_runs: int
    fits: bool


@dataclass(frozen=True, slots=True)
class ServiceNow:
    """One service."""

    id: str
    client: str
    condition: str  # up, degraded, down, unknown
    place: str | None
    home: str | None
    mode: str
    rto_s: float
    incident: str | None = None
    down_s: float | None = None
    budget_left_s: float | None = None
    decision: str = ""
    reason: str = ""
    evidence: str = ""
    tiers: tuple[TierNow, ...] = ()
    run: RunNow | None = None
    engaged: tuple[str, ...] = ()  # moves in effect that keep it in place
    notes: tuple[str, ...] = ()  # held, in maintenance, frozen, suspected
    bad_checks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Live:
    """What only a running daemon, or the journal's lease, can say. `silent_s`: since the lease was last renewed."""

    daemon: bool = False
    silent_s: float | None = None
    tasks: Mapping[tuple[str, str], TaskTime] = field(default_factory=dict)  # by run and step: the last to end
    asking: Mapping[str, Json] = field(default_factory=dict)  # how checks are asked, and how late


@dataclass(frozen=True, slots=True)
class StatusNow:
    """The whole workspace."""

    wall: float
    epoch: int
    controller: str
    daemon: bool
    silent_s: float | None
    configuration: str
    services: tuple[ServiceNow, ...]
    runs: tuple[RunNow, ...]
    undelivered: tuple[str, ...]
    asking: Mapping[str, Json] = field(default_factory=dict)


def status_now(state: d.Decided, model: Model | None, now: float, wall: float, live: Live | None = None) -> StatusNow:
    """The status at `now`, seconds on the journal's axis; `wall` is the same instant since 1970."""
    live = live or Live()
    runs = tuple(run_now(x, now, live) for x in state.unfinished_runs())
    services = () if model is None else tuple(_service(s, state, model, now, runs) for s in _in_order(model, state))
    return StatusNow(
        wall=wall,
        epoch=state.epoch,
        controller=state.controller.controller if state.controller else "",
        daemon=live.daemon,
        silent_s=live.silent_s,
        configuration=state.configuration,
        services=services,
        runs=runs,
        undelivered=tuple(f"{n.due.kind.value}: {n.due.text}" for n in state.notices.values()),
        asking=live.asking,
    )


def run_now(run: d.Run, now: float, live: Live | None = None) -> RunNow:
    """A run as it stands at `now`."""
    started = run.started
    steps = tuple(
        StepNow(
            s.name,
            s.kind.value,
            s.state.value,
            None if s.began_at is None else (now if s.ended_at is None else s.ended_at) - s.began_at,
            s.attempt,
            s.evidence,
        )
        for s in run.steps
    )
    needs, say = "", ""
    current = run.current()
    if run.human is not None:
        needs, say = f"{run.human.reason.value}: {run.human.evidence}", f"bascule approve {run.id}"
    elif current is not None and current.kind.value == "approval" and run.approved is None:
        needs = "approval: " + ("; ".join(started.asks) or current.evidence or "the service is in mode ask")
        say = f"bascule approve {run.id}"
    task = live.tasks.get((run.id, current.name)) if live and current else None
    shown = f"{task.host}: {task.name}: {task.status} {show_duration(task.took_s)}" if task else ""
    return RunNow(
        run.id, started.service, started.move, started.origin.value, now - started.at, steps, shown, needs, say
    )


def _in_order(model: Model, state: d.Decided) -> Iterable[Service]:
    """Services in incidents first, then by client, priority and name."""

    def key(service: Service) -> tuple[bool, str, int, str]:
        found = state.services.get(service.id)
        return (found is None or found.incident is None, service.client, service.priority, service.id)

    return sorted(model.services.values(), key=key)


def _service(service: Service, state: d.Decided, model: Model, now: float, runs: Sequence[RunNow]) -> ServiceNow:
    found = state.services.get(service.id) or d.ServiceState(service.home)
    incident = state.incidents.get(found.incident) if found.incident else None
    verdicts = {name: v.verdict for name, v in state.verdicts.items()}
    condition = evaluate(service.healthy_when, lambda name: verdicts.get(name, Verdict.UNKNOWN))
    run = next((x for x in runs if x.service == service.id), None)
    down_s = left_s = None
    if incident is not None:
        condition = Verdict.DOWN if incident.ended is None else condition
        down_s = max(0.0, now - incident.first_bad_at)
        left_s = service.rto_s - down_s
    bad = tuple(
        f"{name}: {state.verdicts[name].evidence}"
        for name in service.healthy_when.checks()
        if verdicts.get(name) is Verdict.DOWN
    )
    judged = incident.judged if incident else None
    return ServiceNow(
        id=service.id,
        client=service.client,
        condition=condition.value,
        place=found.place,
        home=service.home,
        mode=service.mode.value,
        rto_s=service.rto_s,
        incident=incident.id if incident else None,
        down_s=down_s,
        budget_left_s=left_s,
        decision=judged.decision.value if judged else "",
        reason=judged.reason.value if judged else "",
        evidence=judged.evidence if judged else "",
        tiers=tuple(_tiers(service, incident, state, left_s)) if incident else (),
        run=run,
        engaged=tuple(t.move for t in service.ladder if t.move in state.engaged),
        notes=(
            *_notes(service, found, state, now),
            *_edited(service, state, model, now),
            *_going_back(service, state, model, now),
        ),
        bad_checks=bad,
    )


def _tiers(service: Service, incident: d.Incident, state: d.Decided, left_s: float | None) -> Iterable[TierNow]:
    for number, tier in enumerate(service.ladder, 1):
        ledger = incident.tiers.get(number)
        kept = state.durations.get(tier.move, [])
        usual = percentile(kept, 0.9)
        yield TierNow(
            tier=number,
            move=tier.move,
            state=ledger.state.value if ledger else TierState.WAITING.value,
            reason=ledger.reason.value if ledger else "",
            evidence=ledger.evidence if ledger else "",
            usual_s=usual,
            usual_runs=len(kept),
            fits=usual is None or left_s is None or usual <= left_s,
        )


def _notes(service: Service, found: d.ServiceState, state: d.Decided, now: float) -> Iterable[str]:
    for subject, hold in state.holds.items():
        if d.covers(subject, service.id):
            yield f"held by {_speaker(hold)}" + (f": {hold.why}" if hold.why else "")
    for name, ends_at in state.maintenance.items():
        if d.covers(name.partition("#")[0], service.id) and ends_at > now:
            yield f"in maintenance for another {show_duration(ends_at - now)}"
    for subject, word in state.suspected.items():
        if d.covers(subject, service.id):
            yield f"compromise suspected by {_speaker(word)}" + (f": {word.why}" if word.why else "")
    for place, run in d.isolated_places(state, service.id).items():
        yield f"{place} was isolated by {run}; it is opened again by hand"
    if found.frozen is not None:
        yield f"frozen ({found.frozen.reason.value}): {found.frozen.evidence}"
    others = sorted(found.may_act - ({found.place} if found.place else set()))
    if others:
        yield "may also be acting: " + ", ".join(others)


def _edited(service: Service, state: d.Decided, model: Model, now: float) -> Iterable[str]:
    """What waits for an approval that nobody can give, since its files are others by now."""
    run = state.run_for(service.id)
    step = run.current() if run else None
    if run is not None and step is not None and step.kind is StepKind.APPROVAL:
        differs = plan.changed(Turn(model, state, {}, now), run)
        if differs:
            yield f"{run.id} cannot be approved as it was shown: {differs}: bascule reload"


def _speaker(word: WordAccepted) -> str:
    """A name, and the login that it was said from where that is another."""
    login = (word.peer.session or word.peer.login or str(word.peer.uid)) if word.peer else ""
    return f"{word.who} (login {login})" if login and login != word.who else word.who


def _going_back(service: Service, state: d.Decided, model: Model, now: float) -> Iterable[str]:
    wait = failback.waits(state, model, service, now)
    if wait is not None:
        left = show_duration(wait.until - now)
        yield f"goes back by itself in {left} at the earliest: {wait.reason.value}: {wait.evidence}"
