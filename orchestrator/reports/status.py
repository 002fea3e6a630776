"""The present state: a fold of the decided state, for people in a hurry.

The one rule it keeps: it is given the state, the model and the time, and decides nothing. The word that it shows for a
tier is the engine's own (`Reason`). What it works out itself (does a waiting tier fit?) says from what.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from shlex import quote

from orchestrator.core import notices
from orchestrator.core.awareness.sight import ServiceSeen
from orchestrator.core.durations import show_duration
from orchestrator.core.forecast import at_most_s
from orchestrator.core.health.diagnosis import USABLE, evaluate
from orchestrator.core.kinds import By
from orchestrator.core.model import Model, Service
from orchestrator.core.reasons import IN_THE_DARK, Reason
from orchestrator.core.records import Decision, RunEnded, StepState, TierState, Verdict
from orchestrator.core.rules.approving import still_asked
from orchestrator.core.runs.plan import approving
from orchestrator.core.state import decided as d
from orchestrator.core.transaction import Transaction
from orchestrator.reports import status_notes
from orchestrator.reports.remarks import clock_set, partly_unwatched
from orchestrator.reports.status_lacks import WallOf, lacks
from orchestrator.reports.status_notes import brakes, edited, going_back, notes, stated_out, undeclared
from orchestrator.reports.status_parts import (
    NOT_MADE,
    SETTLING,
    UNWATCHED,
    Live,
    MoveNow,
    RunNow,
    ServiceNow,
    StatusNow,
    StepNow,
    TierNow,
)


def status_now(
    state: d.Decided,
    model: Model | None,
    now: float,
    wall: float,
    live: Live | None = None,
    wall_of: WallOf | None = None,
) -> StatusNow:
    """The status at `now`, seconds on the journal's axis; `wall` is the same instant since 1970.

    `wall_of`: by the journal's own stamps, so that whatever reads it shows the same second; else by `wall`.
    """
    live, wall_of = live or Live(), wall_of or (lambda at: wall - (now - at))
    runs = tuple(run_now(x, now, live, model, state) for x in state.unfinished_runs())
    found = (
        [] if model is None else [_service(s, state, model, now, wall_of, runs, live) for s in model.services.values()]
    )
    services = tuple(sorted(found, key=_worst_first))
    untold = [n.due for n in state.notices.values() if not notices.over(state, n.due)]
    return StatusNow(
        wall=wall,
        epoch=state.epoch,
        controller=state.controller.controller if state.controller else "",
        daemon=live.daemon,
        silent_s=live.silent_s,
        configuration=state.configuration,
        services=services,
        runs=runs,
        undelivered=tuple(f"{due.kind.value}: {due.text}" for due in untold),
        undelivered_of=tuple(due.client for due in untold),
        asking=live.asking,
        cannot=tuple(lacks(state, now, wall, live, wall_of)),
        left=() if model is None else tuple(status_notes.left_behind(state, model, now)),
    )


def only(status: StatusNow, subjects: Sequence[str]) -> StatusNow:
    """The same, of these clients and services alone; what the whole workspace lacks concerns them too."""
    wanted = [s for s in status.services if any(d.covers(subject, s.id) for subject in subjects)]
    ids, clients = {s.id for s in wanted}, {s.client for s in wanted}
    whole = {x for x in clients if x in subjects}
    lacks = [
        x
        for x in status.cannot
        if not x.client
        or x.client in whole
        or (x.client in clients and (not x.services or ids.intersection(x.services)))
    ]
    runs = tuple(x for x in status.runs if x.service in ids)
    told = [x for x in zip(status.undelivered, status.undelivered_of, strict=True) if not x[1] or x[1] in clients]
    return replace(
        status,
        services=tuple(wanted),
        runs=runs,
        cannot=tuple(lacks),
        undelivered=tuple(text for text, _ in told),
        undelivered_of=tuple(client for _, client in told),
        left=tuple(x for x in status.left if x.partition("/")[0] in clients),
    )


WORST = ("down", "unknown", "degraded", "up")


def _worst_first(s: ServiceNow) -> tuple[bool, int, str, int, str]:
    """Services in incidents first, then by condition, client, priority and name."""
    return (s.incident is None, WORST.index(s.condition), s.client, s.priority, s.id)


def run_now(
    run: d.Run, now: float, live: Live | None = None, model: Model | None = None, state: d.Decided | None = None
) -> RunNow:
    """A run as it stands at `now`. `model`, `state`: to leave out what it asked for that is over by now."""
    started = run.started
    asks = list(started.asks)
    if model is not None and state is not None:
        asks = still_asked(Transaction(model, state, {}, now), run)
    unwatched = live is not None and not live.daemon
    seen_at = now - (live.silent_s or 0.0) if live is not None and unwatched else now
    steps = tuple(
        StepNow(
            s.name,
            s.kind.value,
            StepState.UNSEEN.value if unwatched and s.state is StepState.RUNNING else s.state.value,
            None if s.began_at is None else max(0.0, (seen_at if s.ended_at is None else s.ended_at) - s.began_at),
            s.attempt,
            s.evidence,
            partly_unwatched(run, s),
        )
        for s in run.steps
    )
    needs, say, refuse, expires_s = "", "", "", None
    current = run.current()
    if run.human is not None:
        needs, say = f"{run.human.reason.value}: {run.human.evidence}", approving(run)
        refuse = f"bascule abort {run.id}"
    elif current is not None and unwatched and ran_out(current, started.approval_expires_s, now):
        needs = f"approval, which nobody gave within {show_duration(started.approval_expires_s)}: it is not made"
    elif current is not None and current.kind.value == "approval" and run.approved is None:
        gone = "the reason for asking is gone" if started.asks else "the service is in mode ask"
        needs = "approval: " + ("; ".join(asks) or current.evidence or gone)
        say, refuse = approving(run), f"bascule reject {run.id}"
        if current.began_at is not None and not unwatched:
            expires_s = max(0.0, current.began_at + started.approval_expires_s - now)
    task = live.tasks.get((run.id, current.name)) if live and current else None
    at_task = f"{task.host}: {task.name}: {task.status} {show_duration(task.took_s)}" if task else ""
    would = live.sight.waiting.get(run.id, ()) if live and live.sight and needs else ()
    return RunNow(
        run.id, started.service, started.move, started.origin.value, now - started.at, steps,
        UNWATCHED if unwatched else at_task, needs, say, refuse, would, expires_s,
    )  # fmt: skip


def ran_out(step: d.Step, expires_s: float, now: float) -> bool:
    """Whether an approval was asked for in vain, and only nobody has been there to end its run."""
    return step.traits.by is By.PERSON and step.began_at is not None and now >= step.began_at + expires_s


def _service(
    service: Service, state: d.Decided, model: Model, now: float, wall_of: WallOf, runs: Sequence[RunNow], live: Live
) -> ServiceNow:
    found = state.services.get(service.id) or d.ServiceState(service.home)
    incident = state.incidents.get(found.incident) if found.incident else None
    verdicts = {name: v.verdict for name, v in state.verdicts.items()}
    condition = evaluate(service.healthy_when, lambda name: verdicts.get(name, Verdict.UNKNOWN))
    own, mine = state.run_for(service.id), [x for x in runs if x.service == service.id]
    run = next((x for x in mine if own is not None and x.id == own.id), None)  # a rehearsal is at nothing of it
    down_s = left_s = together_s = None
    seen = live.sight.services.get(service.id) if live.sight is not None else None
    was = ""
    if not live.daemon or live.broken is not None:
        was, condition = condition.value, Verdict.UNKNOWN  # nobody looks: what was is not what is
    elif seen is not None:
        recorded, condition = condition, Verdict(seen.condition)
        if incident is not None and condition is Verdict.UNKNOWN and recorded is not condition:
            was = recorded.value
    if incident is not None:
        down_s = max(0.0, now - incident.episode_first_bad_at)
        together_s = down_s + incident.earlier_s
        left_s = service.rto_s - together_s
    on_record = tuple(
        _of_check(name, state.verdicts[name].evidence)
        for name in dict.fromkeys(service.healthy_when.checks())
        if verdicts.get(name) is Verdict.DOWN
    )
    bad = seen.why if seen is not None else on_record
    since = incident.episode_first_bad_at if incident is not None else seen.since if seen is not None else None
    for_s = None if since is None else max(0.0, now - since)
    judged = incident.judged if incident else None
    braked = tuple(brakes(service, found, state, now))
    unseen_s = (live.silent_s or 0.0) if incident is not None and not live.daemon else 0.0
    perhaps_s = _perhaps_s(service, condition, incident, state, now, seen, live) if incident is not None else 0.0
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
        doubted=incident is not None and incident.doubted_s(now) > 0.0,
        unseen_s=unseen_s,
        perhaps_s=perhaps_s,
        budget_left_s=left_s,
        decision=judged.decision.value if judged else "",
        reason=judged.reason.value if judged else "",
        evidence=judged.evidence if judged else "",
        tiers=tuple(_tiers(service, incident, state, left_s, unseen_s + perhaps_s, live)) if incident else (),
        run=run,
        rehearsal=next((x for x in mine if x is not run), None),
        engaged=tuple(t.move for t in service.ladder if t.move in state.engaged and model.lasts(t.move)),
        notes=(
            *braked,
            *notes(service, found, state),
            *undeclared(service, found, state, model),
            *edited(service, state, model, now),
            *(
                clock_set(wall_of(now) - wall_of(since) - (now - since))
                if incident is not None and since is not None
                else ()
            ),
            *going_back(service, state, model, now),
        ),
        bad_checks=bad,
        outages=incident.episodes if incident else 0,
        down_together_s=together_s,
        since_wall=None if since is None else wall_of(since),
        for_s=for_s,
        was=was,
        say=_next(service, incident, run, found, condition, seen, live),
        moves=tuple(_moves(service, model, state, live)),
        priority=service.priority,
        taken_out=found.taken_out,
        stated_out=stated_out(service, found, state) if found.taken_out else "",
        braked=braked,
    )


def _perhaps_s(
    service: Service,
    condition: Verdict,
    incident: d.Incident,
    state: d.Decided,
    now: float,
    seen: ServiceSeen | None,
    live: Live,
) -> float:
    """How long it may have worked: its checks are good, nothing is known of them, or in outages before this one."""
    until = now if live.daemon else now - (live.silent_s or 0.0)
    since = until
    if condition in USABLE:
        changed = [v.at for c in service.healthy_when.checks() if (v := state.verdicts.get(c)) is not None]
        since = max([incident.episode_opened_at, *changed])
    elif condition is Verdict.UNKNOWN and seen is not None:
        began = state.controller.at if state.controller is not None else 0.0
        known = seen.since is not None and seen.since > began  # before it began nobody looked, for who knows how long
        since = seen.since if known and seen.since is not None else incident.episode_opened_at
    return incident.earlier_perhaps_s + max(0.0, until - since) + max(0.0, incident.doubted_s(min(since, until)))


def _of_check(name: str, evidence: str) -> str:
    """Evidence begins with the check that it is of, once."""
    return evidence if evidence.startswith(f"{name}:") else f"{name}: {evidence}"


def _next(
    service: Service,
    incident: d.Incident | None,
    run: RunNow | None,
    found: d.ServiceState,
    condition: Verdict,
    seen: ServiceSeen | None,
    live: Live,
) -> str:
    """The command to type next; empty where nothing has to be."""
    if run is not None:
        return ""  # it says itself what it needs
    if found.frozen is not None:
        return f"bascule resume {quote(service.id)}"
    if incident is not None:
        judged = incident.judged
        if judged is not None and judged.reason is Reason.MASS_FAILURE:
            return f"bascule resume {quote(service.id)}"
        if judged is not None and judged.decision is Decision.ASK and judged.reason in IN_THE_DARK:
            return f"bascule ready {quote(service.client)}"
        if any(x.reason is Reason.PLAN_CHANGED for x in incident.tiers.values()):
            return "bascule reload"  # before that nothing else can be said
        if judged is not None and judged.decision in (Decision.ASK, Decision.REFRAIN) and service.ladder:
            return f"bascule failover {quote(service.id)} --dry-run"
        return f"bascule incidents {incident.id}"
    if not live.daemon or condition in (Verdict.UP, Verdict.DEGRADED):
        return ""
    return f"bascule check {quote(seen.check)}" if seen is not None and seen.check else ""


def _moves(service: Service, model: Model, state: d.Decided, live: Live) -> Iterable[MoveNow]:
    rungs = [
        *((f"tier {n}", t.move) for n, t in enumerate(service.ladder, 1)),
        *(("way back", m) for m in service.failback),
    ]
    for rung, name in rungs:
        kept = state.durations.get(name, [])
        viable = live.sight.moves.get(name, "") if live.sight is not None else ""
        yield MoveNow(rung, name, model.moves[name].to, at_most_s(kept), len(kept), viable)


def _tiers(
    service: Service, incident: d.Incident, state: d.Decided, left_s: float | None, doubted_s: float, live: Live
) -> Iterable[TierNow]:
    """`doubted_s`: so long it may have worked meanwhile: that much more may be left."""

    def fits(usual: float | None, within_s: float | None) -> bool:
        return within_s is None or (within_s > 0 if usual is None else usual <= within_s)

    for number, tier in enumerate(service.ladder, 1):
        reason, evidence = _why(incident, number, tier.move, state, live)
        kept = state.durations.get(tier.move, [])
        usual = at_most_s(kept)
        yield TierNow(
            tier=number,
            move=tier.move,
            state=_tier_state(incident, _ledger(incident, number, tier.move), tier.move, state),
            reason=reason,
            evidence=evidence,
            usual_s=usual,
            usual_runs=len(kept),
            fits=fits(usual, left_s),
            perhaps=left_s is not None and not fits(usual, left_s) and fits(usual, left_s + doubted_s),
        )


def _why(incident: d.Incident, number: int, move: str, state: d.Decided, live: Live) -> tuple[str, str]:
    """Why a tier stands as it does: as it was judged, or how its run was stopped, if nobody has judged it since."""
    ledger, stopped = _ledger(incident, number, move), _stopped(incident, move, state)
    if stopped is not None and (ledger is None or ledger.state is TierState.RUNNING):
        return stopped.reason.value, stopped.evidence
    if ledger is None:
        return "", ""
    viable = live.sight.moves.get(move, "") if live.sight is not None else ""
    asked = ledger.reason in (Reason.NOT_VIABLE, Reason.VIABILITY_UNKNOWN)
    by_now = asked and viable in (Verdict.UP, Verdict.DEGRADED)
    return ledger.reason.value, ledger.evidence + ("; by now its preconditions hold" if by_now else "")


def _ledger(incident: d.Incident, number: int, move: str) -> d.TierLedger | None:
    """What was judged of this move; the ladder may have been another one then, and its number another."""
    own = incident.tiers.get(number)
    if own is not None and own.move == move:
        return own
    return max((x for x in incident.tiers.values() if x.move == move), key=lambda x: x.at, default=None)


def _runs_of(incident: d.Incident, move: str, state: d.Decided) -> list[d.Run]:
    """The runs of a move in the present outage: of one before a relapse nothing is waited for any more."""
    runs = [x for name in incident.runs if (x := state.runs.get(name)) is not None and x.started.move == move]
    return [x for x in runs if x.ended is None or x.ended.at > incident.episode_opened_at]


def _stopped(incident: d.Incident, move: str, state: d.Decided) -> RunEnded | None:
    """How the tier's last run ended, if not well."""
    runs = _runs_of(incident, move, state)
    ended = runs[-1].ended if runs else None
    return ended if ended is not None and not ended.ok else None


def _tier_state(incident: d.Incident, ledger: d.TierLedger | None, move: str, state: d.Decided) -> str:
    """As it was judged; but where its run has ended, nothing of it runs: its service's own checks are awaited."""
    runs = _runs_of(incident, move, state)
    if runs and runs[-1].ended is None:
        return TierState.RUNNING.value  # by a person's word too, whatever it was judged before
    if ledger is None:
        return TierState.WAITING.value
    if ledger.state is TierState.FAILED and runs and runs[-1].ended is not None and not runs[-1].ended.ok:
        return ledger.state.value if runs[-1].failed else NOT_MADE
    if ledger.state is TierState.RUNNING and not any(x.ended is None for x in runs):
        return SETTLING if runs and runs[-1].ended is not None and runs[-1].ended.ok else TierState.WAITING.value
    return ledger.state.value
