"""Drills: a rehearsal, or a move and the way back, without a disaster; by the runs that a disaster would have.

The one rule it keeps: a drill that has moved a service leads it back, whatever happens to the controller, to whoever
wanted it or to the drill. Only a real incident that takes over, or a person who was told, ends it elsewhere.

    a full-scale drill               goes on when                                      with
    -----------------------------    ----------------------------------------------    ---------------------------------
    its run there is at work         it ends; harm stops it while nothing was changed  the stay
    it stays there                   its time is over, harm, or somebody cancels it    the way back
    it is on its way back            a run of the incident moves the service           its end: overtaken
                                     every guard lets it go back                       its run back, three times at most
                                     all is as it was, and every check is good         its end: returned

A functional drill is one run, which cleans up after itself whatever became of it (`runs/endings.py`).
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.durations import show_duration
from orchestrator.core.health.diagnosis import USABLE
from orchestrator.core.model import DrillKind, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import drilling, failback, ladder, policy
from orchestrator.core.runs import run
from orchestrator.core.runs.starting import start_run
from orchestrator.core.sentences import Sentence
from orchestrator.core.state.decided import Drill, Run
from orchestrator.core.transaction import Transaction

STAYS_S = 60.0  # at the other place, where nobody says otherwise
WITHIN_S = 1800.0  # after that, until it is back
TRIES = 3  # of the way back
AGAIN_S = 30.0  # between two of them
SHOWN_S = 60.0  # how long, after the return, its checks may take to be good


def begin(
    tx: Transaction,
    service: Service,
    move_id: str,
    kind: DrillKind,
    *,
    reason: Reason,
    stays_s: float = STAYS_S,
    within_s: float = WITHIN_S,
    who: str = "",
    why: str = "",
    word: str | None = None,
    asks: tuple[str, ...] = (),
    scheduled: str = "",
    occurrence: str = "",
    drawn: str = "",
    closes_at: float | None = None,
) -> Drill:
    """Record the drill and the plan of its first run. The caller has asked `rules.drilling.objection` before.

    `closes_at`: an approval that comes later is none.
    """
    move, full = tx.model.moves[move_id], kind is DrillKind.FULL_SCALE
    name = f"d{tx.decided.drill_count + 1}"
    began = r.DrillBegan(
        at=tx.now(),
        drill=name,
        kind=kind,
        service=service.id,
        move=move_id,
        configuration=tx.decided.configuration,
        reason=reason,
        place=tx.state(service).place,
        back=drilling.way_back(tx.model, service, move) if full else None,
        stays_s=stays_s if full else 0.0,
        within_s=within_s if full else 0.0,
        who=who,
        why=why,
        word=word,
        scheduled=scheduled,
        occurrence=occurrence,
        drawn=drawn,
    )
    tx.record(began)
    started = start_run(
        tx,
        service,
        move_id,
        origin=r.Origin.DRILL,
        reason=reason,
        asks=asks,
        who=who,
        why=why,
        word=word,
        drill=name,
        rehearses=not full,
        expires_s=closes_at - tx.now() if closes_at is not None else None,
    )
    by = f", asked by {who}" if who else f", of the schedule {scheduled}" if scheduled else ""
    slots = {"service": service.id, "drill": name, "kind": kind.value, "move": move_id, "run": started.id}
    text = Sentence.DRILL_BEGAN.say(**slots, by=by)
    tx.tell(f"{name}/began", NoticeKind.DRILL_BEGAN, service.id, text, say=f"bascule drill cancel {name}")
    return tx.decided.drills[name]


def cancel(tx: Transaction, drill: Drill, reason: Reason, evidence: str) -> None:
    """Have it go back, or clean up, from now on."""
    if drill.turned_back is None:
        tx.record(r.DrillTurnedBack(tx.now(), drill.id, reason, evidence))
    for unfinished in _runs(tx, drill):
        if unfinished.started.move == drill.began.move and not unfinished.committed:
            _abort(tx, unfinished, evidence)


def attend(tx: Transaction, drill: Drill) -> None:
    """Take the drill as far as it goes now."""
    service = tx.model.services.get(drill.began.service)
    runs = _runs(tx, drill)
    if service is None or not runs:
        return
    found = drilling.harm(tx, drill)
    if found is not None and drill.turned_back is None:
        cancel(tx, drill, *found)
        runs = _runs(tx, drill)
    if any(x.ended is None for x in runs):
        return
    if drill.full_scale:
        _full_scale(tx, drill, service, runs)
    else:
        _functional(tx, drill, service, runs[0])


def _runs(tx: Transaction, drill: Drill) -> list[Run]:
    return [tx.decided.runs[x] for x in drill.runs if x in tx.decided.runs]


def _abort(tx: Transaction, unfinished: Run, why: str) -> None:
    if unfinished.ended is None and unfinished.abort is None:
        tx.record(r.AbortAsked(tx.now(), unfinished.id, "bascule", why))
        run.abort(tx, unfinished)
        run.advance(tx, unfinished)


# ---- functional


def _functional(tx: Transaction, drill: Drill, service: Service, rehearsed: Run) -> None:
    """Over, whatever became of it; a person is told where it is not shown that nothing is left."""
    if rehearsed.ended is None:
        return
    last = [s for s in rehearsed.steps if s.traits.always]
    began = any(s.begun and s.traits.played and not s.traits.surveys for s in rehearsed.steps)
    unclean = [s for s in last if s.state is not r.StepState.DONE] if began else []
    ok, reason, evidence = rehearsed.ended.ok, rehearsed.ended.reason, rehearsed.ended.evidence
    if unclean and reason is not Reason.NOT_CLEAN:
        ok, reason = False, Reason.NOT_CLEAN
        evidence = "; ".join(dict.fromkeys([*(f"{s.name}: {s.evidence}" for s in unclean), evidence]))
    simulated = [s.name for s in rehearsed.steps if s.simulated and s.state is r.StepState.DONE]
    evidence = evidence or ("what was rehearsed is well, and the target is as it was" if last else "")
    evidence += f"{'; ' if evidence else ''}simulated: {', '.join(simulated)}" if simulated else ""
    _end(tx, drill, service, ok, reason, evidence, None, by_a_person=bool(unclean))


# ---- full-scale


def _full_scale(tx: Transaction, drill: Drill, service: Service, runs: list[Run]) -> None:
    there = runs[0]
    if there.ended is None:
        return
    if _overtaken(tx, drill, service):
        return
    if drill.turned_back is None:
        until = there.ended.at + drill.began.stays_s
        if there.ended.ok and tx.now() < until:
            tx.wake(until)
            return
        if there.ended.ok:
            why = Reason.STAYED, f"{show_duration(drill.began.stays_s)} in {there.started.to_place or 'effect'}"
        else:
            why = there.ended.reason, there.ended.evidence
        tx.record(r.DrillTurnedBack(tx.now(), drill.id, *why))
    if tx.incident(service) is not None:  # it recovers first, as any other would
        return
    if _is_away(tx, drill, service):
        _go_back(tx, drill, service, runs)
    else:
        _show_return(tx, drill, service, runs)


def _overtaken(tx: Transaction, drill: Drill, service: Service) -> bool:
    """Whether an incident has moved the service since: then it is that which brings it to where it is well."""
    others = [
        x
        for x in tx.decided.runs.values()
        if x.started.service == service.id
        and not x.started.drill
        and x.started.at >= drill.began.at
        and x.past_the_fence
    ]
    if not others:
        return False
    away = _is_away(tx, drill, service)
    stands = f"{service.id} is {tx.state(service).stands}"
    evidence = f"{others[0].id} ({others[0].started.move}) was begun meanwhile; {stands}"
    _end(tx, drill, service, False, Reason.OVERTAKEN, evidence, not away, by_a_person=away)
    return True


def _is_away(tx: Transaction, drill: Drill, service: Service) -> bool:
    """Whether anything of the move is in effect still."""
    state = tx.state(service)
    return state.place != drill.began.place or state.taken_out or drill.began.move in tx.decided.engaged


def _go_back(tx: Transaction, drill: Drill, service: Service, runs: list[Run]) -> None:
    """Begin the run back as soon as nothing forbids it; a person is told where it is late, or has failed for good."""
    tried = [x for x in runs if x.started.move != drill.began.move]
    last = runs[-1].ended
    since = last.at if last is not None else tx.now()
    if len(tried) >= TRIES:
        evidence = f"{tried[-1].id} ({tried[-1].started.move}), tried {TRIES} times: {last.evidence if last else ''}"
        _end(tx, drill, service, False, Reason.NOT_RETURNED, evidence, False, by_a_person=True)
        return
    if tried and tx.now() < since + AGAIN_S:
        tx.wake(since + AGAIN_S)
        return
    ways = failback.candidates(tx.decided, tx.model, service)
    back = drill.began.back if drill.began.back in ways else None
    against = _against_going_back(tx, service, back)
    if against is None and back is not None:
        origin, reason = r.Origin.DRILL, Reason.ASKED_BY_OPERATOR if drill.began.who else Reason.DRILL_DUE
        started = start_run(
            tx, service, back, origin=origin, reason=reason, who=drill.began.who, why=drill.began.why, drill=drill.id
        )
        run.advance(tx, started)
        return
    late_at = (runs[0].ended.at if runs[0].ended else tx.now()) + drill.began.stays_s + drill.began.within_s
    if tx.now() < late_at:
        tx.wake(late_at)
        return
    why = against if against is not None else "no reason known"
    text = Sentence.DRILL_LATE.say(service=service.id, drill=drill.id, place=tx.state(service).stands, why=why)
    tx.tell(f"{drill.id}/late", NoticeKind.HUMAN_NEEDED, service.id, text, say=f"bascule failback {service.id}")


def _against_going_back(tx: Transaction, service: Service, back: str | None) -> str | None:
    """Why it cannot go back at this moment."""
    if back is None:
        return f"no declared way back starts from where it is: {service.id} is {tx.state(service).stands}"
    finding = policy.objection(tx, service, policy.BEFORE_ACTING)
    if finding is not None:
        return f"{finding.reason.value}: {finding.evidence}"
    if tx.health(service) not in USABLE:  # what is not well hands nothing over
        return f"{Reason.NOT_WELL.value}: {tx.behind(service.healthy_when, tx.health(service))}"
    busy = ladder.held_up(tx, tx.model.moves[back])
    if busy is not None:
        return f"{busy.reason.value}: {busy.evidence}"
    move = tx.model.moves[back]
    if move.viable_when is not None and tx.says(move.viable_when) not in USABLE:
        return f"{Reason.NOT_VIABLE.value}: {tx.behind(move.viable_when, tx.says(move.viable_when))}"
    return None


def _show_return(tx: Transaction, drill: Drill, service: Service, runs: list[Run]) -> None:
    """All is as it was by records; its end waits for good answers to questions that were asked after it."""
    there, last = runs[0], runs[-1]
    since = last.ended.at if last.ended is not None else tx.now()
    checks = tuple(dict.fromkeys(service.healthy_when.checks()))
    good = tx.fresh(service.healthy_when, since) in USABLE and not any(drilling.not_well(tx, service))
    until = since + max(SHOWN_S, service.settle_s)
    if not good and tx.now() < until:
        tx.ask_now(c for c in checks if tx.last_asked(c) < since)
        tx.wake(until)
        return
    said = "; ".join(tx.evidence(c) for c in checks)
    moved = there.past_the_fence
    if not good:
        _end(tx, drill, service, False, Reason.NOT_RETURNED, said, moved or None, by_a_person=True)
        return
    turned = drill.turned_back
    harmed = turned is not None and turned.reason is not Reason.STAYED
    ok = there.ended is not None and there.ended.ok and not harmed
    reason = Reason.RETURNED if ok or turned is None else turned.reason
    evidence = said if ok or turned is None else f"{turned.evidence}; now: {said}"
    _end(tx, drill, service, ok, reason, evidence, True if moved else None, by_a_person=False)


def _end(
    tx: Transaction,
    drill: Drill,
    service: Service,
    ok: bool,
    reason: Reason,
    evidence: str,
    returned: bool | None,
    *,
    by_a_person: bool,
) -> None:
    tx.record(r.DrillEnded(tx.now(), drill.id, ok, reason, evidence, returned))
    began = drill.began
    slots = {"service": service.id, "drill": drill.id, "kind": began.kind.value, "move": began.move}
    sentence = Sentence.DRILL_DONE if ok else Sentence.DRILL_LEFT if by_a_person else Sentence.DRILL_FAILED
    text = sentence.say(**slots, why=f"{reason.value}: {evidence}")
    kind = NoticeKind.HUMAN_NEEDED if by_a_person else NoticeKind.DRILL_ENDED
    tx.tell(f"{drill.id}/ended", kind, service.id, text, say=f"bascule drill show {drill.id}")


def awaited(tx: Transaction, drill: Drill) -> list[str]:
    """The checks whose answers the drill waits for now: at the end, those that show that all is well again."""
    service = tx.model.services.get(drill.began.service)
    over = all(x.ended is not None and x.current() is None for x in _runs(tx, drill))
    waits = service is not None and over and drill.turned_back is not None and drill.full_scale
    return list(service.healthy_when.checks()) if waits and service is not None else []
