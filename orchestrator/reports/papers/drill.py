"""What a report says of a drill beside what it says of its runs: why, the way back, and that all is as it was.

The one rule it keeps: that a drill showed something is its end's to say (`DrillEnded`). Of its steps only the live ones
prove anything; a rehearsal beside what serves proves the rehearsal, never the move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from orchestrator.core import records as r
from orchestrator.core.events import OF_DRILLS, WordKind
from orchestrator.core.kinds import By
from orchestrator.core.model import DrillKind
from orchestrator.core.reasons import Reason
from orchestrator.core.state.decided import covers
from orchestrator.reports import claims
from orchestrator.reports.papers import lessons
from orchestrator.reports.papers.shape import ObjectiveLine, Participant, Said
from orchestrator.reports.remarks import SET_S
from orchestrator.reports.shape import Account, Figure, Known
from orchestrator.reports.stories import Stories
from orchestrator.reports.story import RunStory, Story


@dataclass(slots=True)
class Frame:
    """The records that frame a drill, the notices about it, and words about it alone."""

    began: r.DrillBegan
    turned_back: r.DrillTurnedBack | None = None
    ended: r.DrillEnded | None = None
    notices: list[tuple[r.NoticeDue, r.NoticeSettled | None]] = field(default_factory=list)
    words: list[r.WordAccepted | r.WordRefused] = field(default_factory=list)
    controllers: list[r.ControllerBegan] = field(default_factory=list)  # while it lasted
    stood: dict[str, Said] = field(default_factory=dict)  # what stood against going back, while it was to

    def stands(self, about: str, said: Said) -> None:
        """Something stands against acting, about a service, a client or everything."""
        if self.turned_back is not None and self.ended is None and covers(about, self.began.service):
            self.stood.setdefault(said.text + str(said.slots), said)


def frames(records: Iterable[r.Record]) -> dict[str, Frame]:
    """Every drill of these records, by its id."""
    found: dict[str, Frame] = {}
    going: dict[str, Frame] = {}  # those that are not over
    told: dict[str, tuple[Frame, int]] = {}
    standing: dict[tuple[str, str], tuple[Said, float]] = {}  # by what ends it, and what it is about; until when
    for x in records:
        standing = {key: y for key, y in standing.items() if y[1] > x.at} if standing else standing
        _stand(standing, going.values())
        _stands(standing, x)
        _stand(standing, going.values())
        match x:
            case r.DrillBegan():
                found[x.drill] = going[x.drill] = Frame(x)
            case r.ControllerBegan():
                for one in going.values():
                    one.controllers.append(x)
            case r.DrillTurnedBack() if x.drill in found:
                found[x.drill].turned_back = x
                _stand(standing, [found[x.drill]])  # what stood already stands from now on against going back
            case r.DrillEnded() if x.drill in found:
                found[x.drill].ended = x
                going.pop(x.drill, None)
            case r.WordAccepted() | r.WordRefused() if x.kind in OF_DRILLS and x.subject in found:
                found[x.subject].words.append(x)
            case r.NoticeDue() if (frame := found.get(x.notice.partition("/")[0])) is not None:
                frame.notices.append((x, None))
                told[x.notice] = (frame, len(frame.notices) - 1)
            case r.NoticeSettled() if x.notice in told:
                frame, index = told[x.notice]
                frame.notices[index] = (frame.notices[index][0], x)
    return found


_Standing = dict[tuple[str, str], tuple[Said, float]]


def _stand(standing: _Standing, going: Iterable[Frame]) -> None:
    for (_, about), (said, _) in standing.items():
        for one in going:
            one.stands(about, said)


def _stands(standing: _Standing, x: r.Record) -> None:
    """What a person has said, or what is announced, that keeps a drill from going back; until it is taken back."""
    until = float("inf")
    match x:
        case r.WordAccepted(kind=WordKind.HOLD):
            text = "while it was to go back, {who} held {subject}"
            standing[WordKind.RESUME, x.subject] = Said(text, {"who": x.who, "subject": x.subject}), until
        case r.WordAccepted(kind=WordKind.SUSPECT):
            text = "while it was to go back, {who} suspected a compromise of {subject}"
            standing[WordKind.CLEAR, x.subject] = Said(text, {"who": x.who, "subject": x.subject}), until
        case r.WordAccepted(kind=WordKind.MAINTENANCE):
            text = "while it was to go back, work on {subject} was announced"
            said = Said(text, {"subject": x.subject})
            standing[WordKind.MAINTENANCE_END, x.subject] = said, until if x.ends_at is None else x.ends_at
        case r.WordAccepted():
            standing.pop((x.kind, x.subject), None)
        case r.WindowOpened():
            text = "while it was to go back, work on {subject} was announced"
            standing[x.window, x.subject] = Said(text, {"subject": x.subject}), x.ends_at
        case r.WindowClosed():
            standing.pop((x.window, x.subject), None)


def of_drill(stories: Stories, name: str) -> list[Story]:
    """The stories of its runs, in order: there, and back."""
    return [s for s in stories.stories.values() if not s.episodes and s.runs[0].started.drill == name]


def scenario(x: Frame) -> Iterator[Said]:
    """What was to be shown, and who wanted it."""
    began = x.began
    slots: dict[str, str | float] = {"move": began.move, "service": began.service}
    text = "a functional drill of {move} for {service}"
    yield Said("a full-scale drill of {move} for {service}" if began.kind is DrillKind.FULL_SCALE else text, slots)
    if began.scheduled and began.draw:
        slots = {"name": began.scheduled, "time": began.occurrence}
        yield Said("it was drawn at random in a period of the schedule {name}, from {time} on", slots)
    elif began.scheduled:
        yield Said("it was due by the schedule {name}: {time}", {"name": began.scheduled, "time": began.occurrence})
    elif began.who and began.why:
        yield Said("{who} asked for it: {why}", {"who": began.who, "why": began.why})
    elif began.who:
        yield Said("{who} asked for it", {"who": began.who})
    if began.kind is DrillKind.FULL_SCALE:
        back: dict[str, str | float] = {"back": began.back or "–", "stays_s": began.stays_s, "within_s": began.within_s}
        yield Said("the real move, and the real way back by {back} after {stays_s}, within {within_s}", back)
    else:
        yield Said("beside what serves, which was not to be touched")


def worked(x: Frame, told: Sequence[Story]) -> Iterator[Said]:
    """That it showed what it was to show, and left nothing behind, as its end says."""
    if x.ended is None:
        return
    if x.ended.ok:
        yield Said("the drill showed what it was to show: {reason}", {"reason": x.ended.reason.value})
    if x.ended.returned is True and _away_and_back(x, told) is not None:
        if any(isinstance(y, r.PlacementChanged) for s in told for y in s.placements):
            yield Said("{service} is back at {place}", {"service": x.began.service, "place": x.began.place or "–"})
        else:
            yield Said("{move} is not in effect any more", {"move": x.began.move})
    for run in (y for s in told for y in s.runs):
        proofs = [s for s in run.steps.values() if s.traits.surveys and s.traits.always]
        if proofs and all(s.state is r.StepState.DONE for s in proofs):
            yield Said("{run}: after the clean-up the same was found at the target as before", {"run": run.started.run})


def failed(x: Frame, told: Sequence[Story], stories: Stories) -> Iterator[Said]:
    """That it did not, or was stopped; what struck meanwhile, and that its times of day and durations do not fit."""
    if x.turned_back is not None and x.turned_back.reason is not Reason.STAYED:
        yield from _turned_back(x, x.turned_back, told)
    yield from x.stood.values()
    if x.ended is not None and not x.ended.ok:
        yield Said("the drill did not show what it was to show: {reason}", {"reason": x.ended.reason.value})
    if x.ended is not None and x.ended.returned is False:
        yield Said("{service} is not back where it was", {"service": x.began.service})
    until = x.ended.at if x.ended is not None else float("inf")
    known = [y for s in told for y in s.controllers]
    for y in (y for y in x.controllers if y not in known):  # between its runs: for how long nobody was there
        yield Said("controller {name} took over with epoch {epoch}", {"name": y.controller, "epoch": str(y.epoch)})
    set_s = stories.clock.set_s(x.began.at, x.ended.at if x.ended is not None else None)
    if abs(set_s) >= SET_S:
        text = "the controller's clock was set back by {time_s} meanwhile: no duration has that in it"
        if set_s > 0:
            text = "the controller's clock was set forward by {time_s} meanwhile: no duration has that in it"
        yield Said(text, {"time_s": abs(set_s)})
    for story in struck(stories, x.began.service, x.began.at, until):
        slots: dict[str, str | float] = {"incident": story.id, "service": story.service}
        yield Said("{incident} of {service} was open while the drill went on", slots)


def struck(stories: Stories, service: str, begin: float, end: float) -> Iterator[Story]:
    """Incidents of the same client that were open between these two: any is harm to a drill."""
    client = service.partition("/")[0]
    for story in (s for s in stories.stories.values() if s.service.partition("/")[0] == client):
        if any(e.opened.at <= end and (e.ended is None or e.ended.at >= begin) for e in story.episodes):
            yield story


def fallen(x: Frame | None, told: Iterable[Story], stories: Stories) -> list[str]:
    """The incidents that began in a planned move, or went on in a drill: what their outages cost is told in theirs."""
    found = [name for s in told for name in s.felled]
    if x is not None:
        until = x.ended.at if x.ended is not None else float("inf")
        found += [s.id for s in struck(stories, x.began.service, x.began.at, until)]
    return list(dict.fromkeys(found))


def _turned_back(x: Frame, turned: r.DrillTurnedBack, told: Sequence[Story]) -> Iterator[Said]:
    """Only what has moved is turned back; a rehearsal goes nowhere, and one that ended well was not called off."""
    why: dict[str, str | float] = {"reason": turned.reason.value}
    why |= {"evidence": turned.evidence} if turned.evidence else {}
    led_back = len(told) > 1 or any(_leads(x, y) is False for s in told for y in s.placements)
    if x.began.kind is DrillKind.FULL_SCALE and led_back:
        bare, text = "it was turned back: {reason}", "it was turned back: {reason}: {evidence}"
        yield Said(text if turned.evidence else bare, why)
    elif x.ended is None or not x.ended.ok:
        bare, text = "it was called off: {reason}", "it was called off: {reason}: {evidence}"
        yield Said(text if turned.evidence else bare, why)


def objectives(x: Frame, told: Sequence[Story], now: float) -> Iterator[ObjectiveLine]:
    """Of a full-scale one: how long it took until it was back, from when it was to go back: its stay is not in it."""
    if x.began.kind is not DrillKind.FULL_SCALE or not x.began.within_s:
        return
    found = _away_and_back(x, told)
    if found is None or x.turned_back is None:
        away = next((y.at for s in told for y in s.placements if _leads(x, y) is False), None)
        source, met = "no record says that it moved and came back", None
        if away is not None and found is None:
            moved = any(
                _leads(x, y) is False and not isinstance(y, r.MayActRemoved) for s in told for y in s.placements
            )
            what = "it has moved" if moved else "its place was taken out"
            source = f"{what}, and none of the runs of the drill led it back"
        if away is not None and x.turned_back is not None:
            until = x.ended.at if x.ended is not None else now
            met = False if until - max(away, _to_go_back(x, x.turned_back, told)) > x.began.within_s else None
        figure = Figure(None, Known.UNKNOWN, source)
        yield ObjectiveLine(x.began.service, "return", x.began.within_s, figure, met)
        return
    away_at, back_at = found
    seconds = max(0.0, back_at - max(away_at, _to_go_back(x, x.turned_back, told)))
    known = Known.ASSUMED if any(c.assumed_gap_s for c in x.controllers) else Known.MEASURED
    figure = Figure(seconds, known, "from when it was to go back until it was back, by the records")
    yield ObjectiveLine(x.began.service, "return", x.began.within_s, figure, seconds <= x.began.within_s)


def judged(run: RunStory, a: Account) -> Iterator[ObjectiveLine]:
    """What a rehearsal lets expect of RTO and RPO. Beyond one it is missed; that one is met only the move can show.

    Its own playbook alone counts, in which it does what the move would: what is set up beside and surveyed does not.
    """
    made = (s for s in run.steps.values() if _is_rehearsed(run, s.planned.name) and s.traits.declared == "playbook")
    played = next((s for s in made if s.traits.by is By.PLAYBOOK and s.state is r.StepState.DONE), None)
    began_at, ended_at = (played.began_at, played.ended_at) if played is not None else (None, None)
    live = played is not None and not played.planned.simulated and began_at is not None and ended_at is not None
    if a.rto_s is not None:
        figure = Figure(None, Known.UNKNOWN, "a rehearsal is not the move")
        if live and began_at is not None and ended_at is not None:
            bound = claims.unwatched(run)
            counted_s = 0.0 if bound else None
            figure = Figure(ended_at - began_at, Known.PREDICTED, lessons.REHEARSED, at_most=bound, counted_s=counted_s)
        yield ObjectiveLine(a.service, "RTO", a.rto_s, figure, False if figure.within(a.rto_s) is False else None)
    if a.rpo_s is not None:
        figure, aged = a.rpa, [s for s in run.steps.values() if "data_age_s" in s.measures]
        if live and aged:
            age_s, step = aged[0].measures["data_age_s"], aged[0].planned.name
            figure = Figure(age_s, Known.PREDICTED, f"the data found at step {step} was {age_s:.1f}s old")
        yield ObjectiveLine(a.service, "RPO", a.rpo_s, figure, False if figure.within(a.rpo_s) is False else None)


def _to_go_back(x: Frame, turned: r.DrillTurnedBack, told: Sequence[Story]) -> float:
    """When it was to go back: also where no controller was there at the end of its stay to lead it."""
    there = told[0].runs[0].ended if told and told[0].runs else None
    return turned.at if there is None or not there.ok else min(turned.at, there.at + x.began.stays_s)


def _away_and_back(x: Frame, told: Sequence[Story]) -> tuple[float, float] | None:
    """When it had moved, and when it was back, by the records of its runs: its place, or its move in effect."""
    away_at = back_at = None
    for y in (y for s in told for y in s.placements):
        home = _leads(x, y)
        if home is False and away_at is None:
            away_at = y.at
        elif home and away_at is not None:
            back_at = y.at
    return None if away_at is None or back_at is None else (away_at, back_at)


def _leads(x: Frame, y: r.Record) -> bool | None:
    """Whether this leads home, or away; None: neither."""
    match y:
        case r.PlacementChanged():
            return y.place == x.began.place
        case r.MayActRemoved() if y.place == x.began.place:  # also where nothing was begun elsewhere after it
            return False
        case r.MoveEngaged() if y.move == x.began.move:
            return not y.engaged
        case _:
            return None


def proven(x: Frame, told: Sequence[Story]) -> Iterator[Said]:
    """Of a functional one. What a full-scale one proves is what its runs prove."""
    if x.began.kind is DrillKind.FULL_SCALE:
        return
    if x.ended is None or not x.ended.ok:
        yield Said("nothing: the drill did not show what it was to show")
        return
    for run in (y for s in told for y in s.runs):
        if any(_is_rehearsed(run, name) and s.planned.simulated for name, s in run.steps.items()):
            yield Said("that the playbook of {move} can be played in check mode; no more", {"move": run.started.move})
        elif any(_is_rehearsed(run, name) for name in run.steps):
            slots: dict[str, str | float] = {"move": run.started.move, "took_s": claims.took_s(run)}
            text = "{move} was rehearsed beside what serves, in {took_s}; no check was asked what came of it"
            if claims.confirmed(run):
                text = "{move} was rehearsed beside what serves, and confirmed, in {took_s}"
            yield Said(text, slots)


def _is_rehearsed(run: RunStory, name: str) -> bool:
    """Whether this step is the rehearsal itself, and was made."""
    step = run.steps[name]
    return step.traits.rehearses and not step.traits.always and not step.traits.surveys and step.begun


def participants(x: Frame, names: Callable[[str], str], wall: Callable[[float], float]) -> Iterator[Participant]:
    """Who wanted it, and who was told of it."""
    if x.began.who:
        yield Participant(x.began.who, Said("asked for the drill"), wall(x.began.at))
    else:
        yield Participant("bascule", Said("began the drill by its schedule"), wall(x.began.at))
    for word in x.words:
        text = (
            "said: {what} {subject}" if isinstance(word, r.WordAccepted) else "said: {what} {subject}, and was refused"
        )
        yield Participant(
            word.who, Said(text, {"what": word.kind.value, "subject": word.subject}), wall(word.at), word.person
        )
    for due, settled in x.notices:
        text = "was to be told: {what}"
        if settled is not None:
            text = "was told, or somebody in their place: {what}" if settled.delivered else "could not be told: {what}"
        for person in due.to:
            yield Participant(names(person), Said(text, {"what": due.kind.value}), wall(due.at), person)
