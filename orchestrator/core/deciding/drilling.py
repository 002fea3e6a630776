"""Drills: a rehearsal, or a move and the way back, without a disaster; by the runs that a disaster would have.

The one rule it keeps: a drill that has moved a service leads it back, whatever happens to the controller, to whoever
wanted it or to the drill. Only a real incident that takes over, or a person who was told, ends it elsewhere.

    a full-scale drill               goes on when                                      with
    -----------------------------    ----------------------------------------------    ---------------------------------
    its run there is at work         it ends; harm stops it while nothing was changed  the stay
    it stays there                   its time is over, harm, or somebody cancels it    the way back
    it is on its way back            a run of an incident, or a person's, is over      its end: overtaken
                                     every guard lets it go back                       its run back, three times at most
                                     all is as it was, and every check is good         its end: returned

A functional drill is one run, which cleans up after itself whatever became of it (`runs/endings.py`).
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.durations import show_duration
from orchestrator.core.kinds import Reach
from orchestrator.core.model import DrillKind, Mode, Service
from orchestrator.core.notices import LATE
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import drilling, failback
from orchestrator.core.runs import plan, run
from orchestrator.core.runs.starting import start_run
from orchestrator.core.sentences import Sentence
from orchestrator.core.state.decided import Drill, Run
from orchestrator.core.transaction import Transaction

STAYS_S = 60.0  # at the other place, where nobody says otherwise
WITHIN_S = 1800.0  # after that, until it is back
TRIES = 3  # of the way back
AGAIN_S = 30.0  # between two of them
UNCONFIRMED = "the rehearsal went to its end, no check was asked what came of it"
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
    draw: float = 0.0,
    closes_at: float | None = None,
) -> Drill:
    """Record the drill and the plan of its first run. The caller has asked `rules.drilling.objection` before.

    `closes_at`: an approval that comes later is none.
    """
    move, full = tx.model.moves[move_id], kind is DrillKind.FULL_SCALE
    back = drilling.way_back(tx.model, service, move) if full else None
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
        back=back,
        stays_s=stays_s if full else 0.0,
        within_s=within_s if full else 0.0,
        who=who,
        why=why,
        word=word,
        scheduled=scheduled,
        occurrence=occurrence,
        drawn=drawn,
        back_digest=plan.back_digest(tx.model, back, move.to),
        draw=draw,
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
        stops = unfinished.started.move == drill.began.move and not unfinished.committed
        if stops and unfinished.ended is None and unfinished.abort is None:
            run.abort(tx, unfinished, run.BY_ITSELF, evidence)
            run.advance(tx, unfinished)


def follows(tx: Transaction, drill: Drill) -> str:
    """What comes of it now that it was turned back: what goes on first, and what keeps it away."""
    service, runs = tx.model.services.get(drill.began.service), _runs(tx, drill)
    there, step = runs[0], runs[0].current()
    if not drill.full_scale:
        if there.ended is None and step is not None and step.traits.always:
            waits = (
                f"waits for a person: {there.id} is at its clean-up; to leave all as it is: bascule abort {there.id}"
            )
            return waits if there.human is not None else "is being cleaned up"
        done = "ends" if there.ended is not None else "is stopped"
        return "is cleaned up now" if there.made_something else f"{done}: there is nothing to clean up"
    if there.ended is None:
        waits = f"; {there.id} {there.at_what}"
        once = f"goes back once {there.id} ({there.started.move}) has ended{waits}"
        return once if there.committed else f"is stopped before it moves anything{waits}"
    at_work = tx.decided.run_for(drill.began.service)
    if at_work is not None:
        way = "is on its way back" if at_work.started.drill == drill.id else "goes back after that"
        return f"{way}: {at_work.id} ({at_work.started.move}) {at_work.at_what}"
    if service is None or not (_is_away(tx, drill, service) or (_half_done(runs) and _undoes(tx, drill))):
        return "ends once its checks have answered"
    if (open_ := tx.incident(service)) is not None and not drilling.gave_way(tx, drill.began.back or ""):
        return f"goes back later: {open_.id} is open, and comes first"
    back = tx.model.moves.get(drill.began.back or "")
    against = drilling.keeps_away(tx, service, back) if back is not None else None
    return f"goes back as soon as it may: {against[0].value}: {against[1]}" if against is not None else "goes back now"


def attend(tx: Transaction, drill: Drill) -> None:
    """Take the drill as far as it goes now."""
    service = tx.model.services.get(drill.began.service)
    if service is None:
        return
    found = drilling.harm(tx, drill)
    if found is not None and drill.turned_back is None:
        cancel(tx, drill, *found)
    runs = _runs(tx, drill)
    if drill.full_scale:
        against = _full_scale(tx, drill, service, runs)
        if against:
            _tell_late(tx, drill, service, runs[0], against)
    elif runs[0].ended is not None:
        _functional(tx, drill, service, runs[0], runs[0].ended)


def _runs(tx: Transaction, drill: Drill) -> list[Run]:
    return [tx.decided.runs[x] for x in drill.runs if x in tx.decided.runs]


# ---- functional


def _functional(tx: Transaction, drill: Drill, service: Service, rehearsed: Run, ended: r.RunEnded) -> None:
    """Over, whatever became of it; a person is told where it is not shown that nothing is left."""
    last = [s for s in rehearsed.steps if s.traits.always]
    unclean = [f"{s.name}: {s.evidence}" for s in last if rehearsed.made_something and s.state is not r.StepState.DONE]
    confirmed = any(s.traits.confirms and s.state is r.StepState.DONE for s in rehearsed.steps)
    well = f"{'what was rehearsed is well' if confirmed else UNCONFIRMED}, and the target is as it was" if last else ""
    reason, evidence = ended.reason, ended.evidence or well
    if unclean:
        reason, evidence = Reason.NOT_CLEAN, "; ".join([*(x for x in unclean if x not in evidence), evidence])
    if simulated := [s.name for s in rehearsed.steps if s.simulated and s.state is r.StepState.DONE]:
        evidence += f"{'; ' if evidence else ''}simulated: {', '.join(simulated)}"
    _end(tx, drill, service, ended.ok and not unclean, reason, evidence, None, by_a_person=bool(unclean))


# ---- full-scale


def _full_scale(tx: Transaction, drill: Drill, service: Service, runs: list[Run]) -> str:
    """Go on, as far as it goes; why it is not over yet, where that may be told as late."""
    there = runs[0]
    if there.ended is None:
        return ""
    _tell_not_back(tx, drill, service, runs[1:])
    at_work = tx.decided.run_for(service.id)
    if at_work is not None:  # its own way back, or somebody else's move
        return f"{at_work.id} ({at_work.started.move}) {at_work.at_what}"
    if _overtaken(tx, drill, service, runs):
        return ""
    if drill.turned_back is None:
        until = there.ended.at + drill.began.stays_s
        if there.ended.ok and tx.now() < until:
            tx.wake(until)
            return ""
        if there.ended.ok:
            why = Reason.STAYED, f"{show_duration(drill.began.stays_s)} in {there.started.to_place or 'effect'}"
        else:
            why = there.ended.reason, there.ended.evidence
        tx.record(r.DrillTurnedBack(tx.now(), drill.id, *why))
    if (open_ := tx.incident(service)) is not None and not drilling.gave_way(tx, drill.began.back or ""):
        return f"{open_.id} is open, and comes first"
    if _is_away(tx, drill, service) or (_half_done(runs) and _undoes(tx, drill)):
        return _go_back(tx, drill, service, runs)
    _show_return(tx, drill, service, runs)
    return ""


def _overtaken(tx: Transaction, drill: Drill, service: Service, runs: list[Run]) -> bool:
    """Whether an incident, or a person, has moved the service since: then it is they who bring it where it is well."""
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
    evidence = (
        f"{others[0].id} ({others[0].started.move}) was begun meanwhile; {service.id} is {tx.state(service).stands}"
    )
    _end(tx, drill, service, False, Reason.OVERTAKEN, evidence, not away, by_a_person=away or _half_done(runs))
    return True


def _is_away(tx: Transaction, drill: Drill, service: Service) -> bool:
    """Whether anything of the move is in effect still."""
    state = tx.state(service)
    return state.place != drill.began.place or state.taken_out or drill.began.move in tx.decided.engaged


def _half_done(runs: list[Run]) -> bool:
    """Whether something of the move was begun that did not come to its effect, and was not taken back since."""
    there, execute = runs[0], runs[0].execute
    never = (r.StepState.FAILED, Reason.COULD_NOT_START, 1)
    begun = any(
        s.begun and s.traits.reach > Reach.QUIET and (s.state, s.reason, s.attempt) != never for s in there.steps
    )
    made = execute is not None and execute.state is r.StepState.DONE
    return begun and not made and not any(x.ended is not None and x.ended.ok for x in runs[1:])


def _undoes(tx: Transaction, drill: Drill) -> bool:
    """Whether the way back takes back a move in place: what is half done too."""
    back = tx.model.moves.get(drill.began.back or "")
    return back is not None and back.undoes == drill.began.move


def _go_back(tx: Transaction, drill: Drill, service: Service, runs: list[Run]) -> str:
    """Begin the run back as soon as nothing forbids it; a person is told where it has failed for good."""
    last, ended = runs[-1], runs[-1].ended
    tried = [x for x in runs[1:] if x.failed and x.abort is None]
    rejected = ended is not None and ended.reason is Reason.NOT_APPROVED
    stopped = len(runs) > 1 and (rejected or (last.abort is not None and last.abort.who != run.BY_ITSELF))
    if ended is not None and (stopped or len(tried) >= TRIES):
        how = "" if stopped else f", tried {TRIES} times"
        evidence = f"{last.id} ({last.started.move}){how}: {ended.evidence}"
        _end(tx, drill, service, False, Reason.NOT_RETURNED, evidence, False, by_a_person=True)
        return ""
    if len(runs) > 1 and ended is not None and tx.now() < ended.at + AGAIN_S:
        tx.wake(ended.at + AGAIN_S)
        return f"{last.id} ({last.started.move}): {ended.evidence}"
    applies = drill.began.back in failback.candidates(tx.decided, tx.model, service) or _undoes(tx, drill)
    back = tx.model.moves.get(drill.began.back or "") if applies else None
    if back is None:
        return "no declared way back starts from there"
    against = drilling.keeps_away(tx, service, back)
    if against is not None:
        return f"{against[0].value}: {against[1]}"
    began = drill.began
    reason = Reason.ASKED_BY_OPERATOR if began.who else Reason.DRILL_DUE
    begun = start_run(
        tx,
        service,
        back.id,
        origin=r.Origin.DRILL,
        reason=reason,
        asks=_asks_again(tx, drill, service),
        who=began.who,
        why=began.why,
        drill=drill.id,
    )
    run.advance(tx, begun)
    return ""


def _asks_again(tx: Transaction, drill: Drill, service: Service) -> tuple[str, ...]:
    """But in mode auto nothing is played that nobody was shown: a way back that was loaded since is another one."""
    now = tx.decided.configuration
    shown = any(x.approved is not None and x.started.configuration == now for x in _runs(tx, drill)[1:])
    why = plan.another_way_back(tx, drill.began) if service.mode is not Mode.AUTO and not shown else ""
    return (why,) if why else ()


def _tell_not_back(tx: Transaction, drill: Drill, service: Service, back: list[Run]) -> None:
    """Once, where its way back failed and its service is down: the next try, or its end, may come hours later."""
    open_, last = tx.incident(service), back[-1] if back else None
    if open_ is None or last is None or last.ended is None or last.ended.ok or not last.failed:
        return
    slots = {"service": service.id, "incident": open_.id, "drill": drill.id, "move": last.started.move, "run": last.id}
    text = Sentence.DRILL_NOT_BACK.say(**slots, why=f"{last.ended.reason.value}: {last.ended.evidence}")
    kind, say = NoticeKind.DRILL_NOT_BACK, f"bascule drill show {drill.id}"
    tx.tell(f"{drill.id}/not back", kind, service.id, text, say=say)


def _tell_late(tx: Transaction, drill: Drill, service: Service, there: Run, why: str) -> None:
    """Once, when its time is over; of what a controller finds that has only just begun to look, a moment later."""
    moved_at = there.ended.at if there.ended is not None else tx.now()
    late_at = max(moved_at + drill.began.stays_s + drill.began.within_s, tx.looks_since + AGAIN_S)
    if tx.now() < late_at:
        tx.wake(late_at)
        return
    text = Sentence.DRILL_LATE.say(service=service.id, drill=drill.id, place=tx.state(service).stands, why=why)
    tx.tell(f"{drill.id}/{LATE}", NoticeKind.HUMAN_NEEDED, service.id, text, say=f"bascule drill show {drill.id}")


def _show_return(tx: Transaction, drill: Drill, service: Service, runs: list[Run]) -> None:
    """All is as it was by records; its end waits for good answers to questions that were asked after it."""
    there, last = runs[0], runs[-1].ended
    since = last.at if last is not None else tx.now()
    checks = tuple(dict.fromkeys(service.healthy_when.checks()))
    good = all(tx.fresh_answer(c, since) is r.Verdict.UP for c in checks) and not any(drilling.not_well(tx, service))
    until = max(since, tx.looks_since) + max(SHOWN_S, service.settle_s)
    if not good and tx.now() < until:
        tx.ask_now(c for c in checks if tx.last_asked(c) < since)
        tx.wake(until)
        return
    said = "; ".join(tx.evidence(c) for c in checks)
    returned = True if there.past_the_fence else None
    if not good:
        _end(tx, drill, service, False, Reason.NOT_RETURNED, said, returned, by_a_person=True)
        return
    turned, half_done = drill.turned_back, _half_done(runs)
    ok = there.ended is not None and there.ended.ok and (turned is None or turned.reason is Reason.STAYED)
    reason = Reason.RETURNED if ok or turned is None else turned.reason
    evidence = said if ok or turned is None else f"{turned.evidence}; now: {said}"
    evidence += f"; what {there.id} began was not finished, and is not taken back" if half_done else ""
    _end(tx, drill, service, ok, reason, evidence, returned, by_a_person=half_done)


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
    over = all(x.ended is not None for x in _runs(tx, drill))
    if service is None or not drill.full_scale or drill.turned_back is None or not over:
        return []
    return list(service.healthy_when.checks())
