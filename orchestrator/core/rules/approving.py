"""What an approval would do to what is alive, told to the person who is to give it.

The one rule it keeps: each sentence rests on answers that came a moment ago, or says that nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.durations import counted, named, show_bound, show_duration
from orchestrator.core.health.diagnosis import USABLE
from orchestrator.core.model import Mode, Move, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.records import Origin, StepState
from orchestrator.core.rules import drilling, policy
from orchestrator.core.rules.signs_of_life import alive
from orchestrator.core.state.decided import Run, covers
from orchestrator.core.transaction import Transaction


def consequences(tx: Transaction, run: Run) -> Iterator[str]:
    """One sentence each: what is fenced or stopped and whether it answers now, what is lost, who is at work."""
    service, move = tx.model.services.get(run.started.service), tx.model.moves.get(run.started.move)
    if service is None or move is None:
        return
    if why := held_back(tx, run):
        yield f"as things stand {run.id} ends, and nothing is fenced or moved: {why}"
        return
    yield from _leads_back(tx, run)
    for step in run.fences:
        if not step.over and step.place is not None:
            yield _fenced(tx, service, move, step.place, hand_over=step.hand_over)
            yield from _others(tx, service, step.place)
    if run.execute is not None and not run.execute.over:
        yield from _lost(tx, service, move, run)  # else the data were opened already, as its steps tell
    yield from _at_work(tx, service)
    if alone := beyond(tx, run):
        yield alone
    elif together := _with_those_that_wait(tx, run):
        yield together


def beyond(tx: Transaction, run: Run) -> str:
    """That with this one more runs are at work than may be at once; empty: they are not. An approval is not held up."""
    service = tx.model.services.get(run.started.service)
    if service is None or run.started.drill:  # a drill's runs count for no recovery
        return ""
    for others, most, told in policy.counted_with(tx, service, lambda x: x.is_at_work and x.id != run.id):
        if others >= most:
            return f"then {others + 1} runs are at work at once, with {told}, and concurrent_failovers is {most}"
    return ""


def _with_those_that_wait(tx: Transaction, run: Run) -> str:
    """The same of all that may be approved: one after the other passes the limit where each alone does not."""
    service = tx.model.services.get(run.started.service)
    if service is None or run.started.drill:
        return ""
    at_work = policy.counted_with(tx, service, lambda x: x.is_at_work and x.id != run.id)
    waiting = policy.counted_with(tx, service, lambda x: not x.is_at_work and x.id != run.id and not held_back(tx, x))
    for (others, most, _), (more, _, told) in zip(at_work, waiting, strict=True):
        if more and others + more >= most:
            wait, all_ = f"{told} {'waits' if more == 1 else 'wait'} for a person too", others + more + 1
            return f"{wait}: approved as well, {all_} runs are at work at once, and concurrent_failovers is {most}"
    return ""


def _leads_back(tx: Transaction, run: Run) -> Iterator[str]:
    drill = tx.decided.drills.get(run.started.drill)
    if drill is None:
        return
    began = drill.began
    if began.move != run.started.move:
        yield f"it leads back from the drill {began.drill}"
    elif began.back is not None:
        yield f"it is the drill {began.drill}: after {show_duration(began.stays_s)} {began.back} leads back"
    elif drill.full_scale:
        yield f"it is the drill {began.drill}"
    else:
        yield f"{began.drill} is a functional drill: {began.service} stays where it is"


def still_asked(tx: Transaction, run: Run) -> list[str]:
    """Of what a run asks a person for, what holds yet: a suspicion may be over, and the mode another."""
    service = tx.model.services.get(run.started.service)
    if service is None:
        return list(run.started.asks)
    now = [told.rpartition("; ")[0] or told for told in policy.asks(tx, service)]
    its_own = (f"{service.id} is in mode ", f"{Reason.COMPROMISE_SUSPECTED.value}: ")  # the others are about places
    return [x for x in run.started.asks if not x.startswith(its_own) or any(x.startswith(told) for told in now)]


def held_back(tx: Transaction, run: Run) -> str:
    """Why a run would end before it changes anything, though it is approved; empty: nothing known is in its way."""
    service = tx.model.services.get(run.started.service)
    drill = tx.decided.drills.get(run.started.drill)
    begun = run.committed or run.made_something
    if service is not None and drill is not None and not begun and run.started.move in tx.model.moves:
        against = drilling.stops(tx, run, drill)
        return f"{against[0].value}: {against[1]}" if against is not None else ""
    if service is None or run.started.origin is not Origin.AUTOMATIC or run.committed:
        return ""
    finding = policy.objection(tx, service, policy.BEFORE_ACTING)
    if finding is not None:
        return f"{finding.reason.value}: {finding.evidence}"
    return f"{service.id} is now in mode observe" if service.mode is Mode.OBSERVE else ""


def _fenced(tx: Transaction, service: Service, move: Move, place_id: str, *, hand_over: bool) -> str:
    place = tx.model.places.get(place_id)
    found = alive(tx, place_id)
    if hand_over and move.hand_over is not None:
        done = f"{service.id} is stopped at {place_id} by {move.hand_over.playbook.path}"
    elif place is not None and place.fence is not None:
        done = f"{place_id} is fenced by {place.fence.playbook.path}"
    else:
        done = f"{place_id} is left, and nothing in the plan fences it"
    if not found.asked:
        return f"{done}; no check asks whether anything there is alive"
    if found.well:
        return f"{done}; it may be alive: {named(_said(found.well, 'answered'))}"
    if found.unknown == found.asked:
        return f"{done}; whether anything of it is alive is not known ({counted(found.asked, 'check')})"
    more = f"; of {found.unknown} more nothing is known" if found.unknown else ""
    heard = f"({counted(found.asked - found.unknown, 'check')}{more})"
    if found.badly:
        return f"{done}; nothing of it answers well {heard}: {named(_said(found.badly, 'answered badly'))}"
    return f"{done}; nothing of it answers {heard}"


def _said(answered: dict[str, float], how: str) -> list[str]:
    """Who answered how long ago, the latest first."""
    return [f"{x} {how} {show_duration(ago)} ago" for x, ago in sorted(answered.items(), key=lambda x: (x[1], x[0]))]


def _others(tx: Transaction, service: Service, place_id: str) -> Iterator[str]:
    """Other services that run at a place that is about to be fenced, and are well."""
    well = [
        s.id
        for s in tx.model.services.values()
        if s.id != service.id
        and (state := tx.decided.services.get(s.id)) is not None
        and state.place == place_id
        and not state.taken_out
        and tx.health(s) in USABLE
    ]
    if well:
        yield f"at {place_id} {named(well)} {'works' if len(well) == 1 else 'work'} too"


def _lost(tx: Transaction, service: Service, move: Move, run: Run) -> Iterator[str]:
    """How much at most: once the place left was found to be out, nothing more; until then it grows, and whoever reads
    it in a mail reads it later.
    """
    if move.to is None:
        return
    proofs = [s for s in run.steps if s.traits.proves]
    out = proofs and all(s.state is StepState.DONE for s in proofs)
    until = max(s.ended_at or 0.0 for s in proofs) if out else tx.now()
    age_s = tx.data_age_s(move.data_age, until) if move.data_age is not None else None
    if age_s is not None:
        left = list(dict.fromkeys(s.place for s in proofs if s.place is not None and not s.over))
        over = f"{named(left)} {'is' if len(left) == 1 else 'are'} out" if left else "it runs there"
        grows = "" if out else f" by now, and perhaps more until {over}"
        yield f"at most the last {show_bound(age_s)} of data are lost{grows}: the age of what is at {move.to}"
    elif service.rpo_s is not None or move.data_age is not None:
        yield f"it is not known how much data would be lost: nothing has measured the data at {move.to}"


def _at_work(tx: Transaction, service: Service) -> Iterator[str]:
    for subject, word in tx.decided.holds.items():
        if covers(subject, service.id):
            yield f"{word.who} holds {subject}" + (f": {word.why}" if word.why else "")
    for name, ends_at in tx.decided.maintenance.items():
        subject = name.partition("#")[0]
        if covers(subject, service.id) and tx.now() < ends_at:
            left = show_duration(ends_at - tx.now())
            yield f"{subject} is in maintenance for another {left}: somebody may be at work"
