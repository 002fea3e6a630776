"""Notes beside a service's status: what holds it back, what stands, what waits for files, when it goes back.

The one rule it keeps: each sentence comes from one record or a few. Without a record there is no sentence.
"""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

from orchestrator.core.durations import show_duration
from orchestrator.core.model import Model, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.records import StepState, WordAccepted
from orchestrator.core.rules import failback
from orchestrator.core.runs import plan
from orchestrator.core.state import decided as d
from orchestrator.core.state.decided import isolated_places
from orchestrator.core.transaction import Transaction
from orchestrator.reports.drills import stage
from orchestrator.reports.status_parts import recorded_before, taken_out


def brakes(service: Service, found: d.ServiceState, state: d.Decided, now: float) -> Iterable[str]:
    """Why nothing would be done for it by itself, or not without asking."""
    for subject, hold in state.holds.items():
        if d.covers(subject, service.id):
            yield f"held by {_speaker(hold)}" + (f": {hold.why}" if hold.why else "")
    for name, ends_at in state.maintenance.items():
        if d.covers(name.partition("#")[0], service.id) and ends_at > now:
            yield f"in maintenance for another {show_duration(ends_at - now)}"
    for subject, word in state.suspected.items():
        if d.covers(subject, service.id):
            yield f"compromise suspected by {_speaker(word)}" + (f": {word.why}" if word.why else "")
    if (drill := state.drill_for(service.id)) is not None:
        began, since = drill.began, show_duration(now - drill.began.at)
        yield f"drill {drill.id} ({began.kind.value}, {began.move}), for {since}: {stage(state, drill)}"
    if found.frozen is not None:
        yield f"frozen ({found.frozen.reason.value}): {found.frozen.evidence}"
    yield from _in_the_way(service, found, state)


def notes(service: Service, found: d.ServiceState, state: d.Decided) -> Iterable[str]:
    """What was done to its places, or around it, and still stands."""
    for place, run in isolated_places(state, service.id).items():
        yield f"{place} was isolated by {run}{_unproven(state, run, place)}; it is opened again by hand"
    if (led := _led_elsewhere(service, found, state)) is not None:
        yield led
    if found.taken_out:
        yield taken_out(found.place, stated_out(service, found, state), found.may_act)
        return
    others = sorted(found.may_act - ({found.place} if found.place else set()))
    if others:
        yield "may also be acting: " + ", ".join(others)


def stated_out(service: Service, found: d.ServiceState, state: d.Decided) -> str:
    """Who states that its place cannot act; empty where that was proven."""
    runs = [x for x in state.runs.values() if x.started.service == service.id]
    tried = [x for x in runs if any(s.place == found.place and s.traits.takes_out and s.over for s in x.steps)]
    last = max(tried, key=lambda x: x.started.at, default=None)
    word = last.fenced_by_hand.get(found.place or "") if last is not None else None
    return word.who if word is not None else ""


def undeclared(service: Service, found: d.ServiceState, state: d.Decided, model: Model) -> Iterable[str]:
    """Moves in effect, and places, that the configuration does not know any more: nothing there takes those back, or
    fences these. A place that was renamed is another one: what was fenced by itself asks a person now.
    """
    known = {*model.places, service.home, *(x.to for x in model.moves.values())}
    for place in sorted({found.place or "", *found.may_act} - known - {""}):
        asks = "; nothing can prove that it is out, so that a move elsewhere asks a person first"
        more = asks if service.exclusive and place in found.may_act else ""
        where = "is on record" if place == found.place else "may act"
        yield f"it {where} at {place}, which is no place of the configuration any more{more}"
    for move, name in state.engaged.items():
        run = state.runs.get(name)
        whose = run.started.service if run is not None and run.started.service in model.services else service.id
        if move not in model.moves and move.partition("/")[0] == service.client and whose == service.id:
            yield f"{move} is in effect since {name}, and is no move of the configuration any more"


def left_behind(state: d.Decided, model: Model, now: float) -> Iterable[str]:
    """What stands elsewhere, in effect, or by a word, of services and clients that the configuration has no more."""
    for name, found in state.services.items():
        if name not in model.services and found.formerly and found.place != found.formerly[0][1]:
            yield f"{name} is no service of the configuration any more; it was last {found.stands}"
    clients = {s.client for s in model.services.values()}
    for move, run in state.engaged.items():
        if move.partition("/")[0] not in clients:
            yield f"{move} is in effect since {run}, and its client is none of the configuration any more"
    known = {d.EVERYTHING, *model.services, *clients}
    words = [(subject, f"the hold by {_speaker(x)}", "resume", "") for subject, x in state.holds.items()]
    words += [
        (x, "its maintenance", "maintenance", " --end") for x, ends_at in state.maintenance.items() if ends_at > now
    ]
    words += [(subject, f"the suspicion by {_speaker(x)}", "clear", "") for subject, x in state.suspected.items()]
    for subject, what, verb, option in words:
        if subject not in known and "#" not in subject:  # a calendar's window ends with its calendar
            gone = f"{subject} is no service or client of the configuration any more"
            yield f"{gone}: {what} stops nothing; to end it: bascule {verb} {quote(subject)}{option}"


def _led_elsewhere(service: Service, found: d.ServiceState, state: d.Decided) -> str | None:
    """Of a service that came back with another's move, which it has too: its own place is as recorded before."""
    last = state.incidents.get(found.last_incident or "")
    ended = last.ended if last is not None else None
    if ended is None or ended.reason is not Reason.RECOVERED_WITH_ANOTHER:
        return None
    run = state.runs.get(ended.run or "")
    if run is None or run.started.to_place in (None, found.place) or any(at > ended.at for at, _ in found.formerly):
        return None
    acted = run.execute is not None and run.execute.state is StepState.DONE
    shared = any(t.move == run.started.move for t in service.ladder)
    return recorded_before(found.place, run.started) if acted and shared else None


def _unproven(state: d.Decided, run: str, place: str) -> str:
    """What is to be added where nothing showed that the isolation holds."""
    proofs = [s for s in state.runs[run].steps if s.traits.contains and not s.traits.played and s.place == place]
    return "" if proofs and all(s.state is StepState.DONE for s in proofs) else ", which nothing has proven"


def edited(service: Service, state: d.Decided, model: Model, now: float) -> Iterable[str]:
    """What waits for an approval that nobody can give, since its files are others by now."""
    run = state.run_for(service.id)
    if run is not None and run.asks_a_person:
        differs = plan.changed(Transaction(model, state, {}, now), run)
        if differs:
            yield f"{run.id} cannot be approved as it was shown: {differs}: bascule reload"


def _in_the_way(service: Service, found: d.ServiceState, state: d.Decided) -> Iterable[str]:
    """Why nothing is tried in an outage: a run that was at work when it began has not ended."""
    incident, own = state.incidents.get(found.incident or ""), state.run_for(service.id)
    if incident is not None and own is not None and own.started.at < incident.episode_opened_at:
        what = f"{own.id} ({own.started.move}), which was at work before, has ended"
        yield f"no tier is tried until {what}; to stop it: bascule abort {own.id}"


def _speaker(word: WordAccepted) -> str:
    """A name, and the login that it was said from where that is another."""
    login = (word.peer.session or word.peer.login or str(word.peer.uid)) if word.peer else ""
    return f"{word.who} (login {login})" if login and login != word.who else word.who


def going_back(service: Service, state: d.Decided, model: Model, now: float) -> Iterable[str]:
    """When it goes back by itself, where it would."""
    wait = failback.waits(state, model, service, now)
    if wait is not None:
        left = show_duration(wait.until - now)
        yield f"goes back automatically in {left} at the earliest: {wait.reason.value}: {wait.evidence}"
