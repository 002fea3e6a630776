"""A report from a slice of the journal: the one place where its parts are put together.

The one rule it keeps: it is a function of the slice and of nothing else. So whoever has the slice gets the same report,
years later and elsewhere, and whoever changed a figure is found out.

A drill is one more source (`sources`): the accounts of its runs, out and back, are the report's parts, and what its own
records say (`drill.py`) stands beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.core import records as r
from orchestrator.core.model import Service
from orchestrator.core.state.finding import KeptFinding
from orchestrator.reports import claims
from orchestrator.reports.account import account, met
from orchestrator.reports.papers import drill as drills
from orchestrator.reports.papers import lessons
from orchestrator.reports.papers.excerpt import Slice, in_force, like_before
from orchestrator.reports.papers.period import from_before, totals, went_on
from orchestrator.reports.papers.pricing import priced
from orchestrator.reports.papers.shape import (
    Done,
    FindingLine,
    MissedDrill,
    ObjectiveLine,
    Participant,
    Report,
    ReportKind,
    Said,
    Scope,
    StepDone,
    Then,
)
from orchestrator.reports.papers.unmet import unmet
from orchestrator.reports.proofs import basis, rehearsed_on
from orchestrator.reports.shape import Account, Figure, Known
from orchestrator.reports.stories import Stories
from orchestrator.reports.story import RunStory, Story


def compose(found: Slice) -> Report:
    """The report that the slice tells. Raises LookupError where it does not tell of its own subject."""
    stories, subject = found.stories(), found.subject
    told = [stories.stories[x] for x in subject.stories if x in stories.stories]
    if subject.kind is ReportKind.PERIOD:
        made = _period(found, stories, told)
    elif told:
        made = _report(found, stories, next(sources(told, found.frames())))
    else:
        raise LookupError(f"the slice tells nothing of {subject.id}")
    return replace(made, unmet=unmet(found, stories, made))


@dataclass(frozen=True, slots=True)
class Source:
    """What one report tells: an incident, a planned move, or a drill with its run out and its run back."""

    kind: ReportKind
    id: str
    stories: tuple[Story, ...]
    drill: drills.Frame | None = None


def sources(told: Sequence[Story], frames: Mapping[str, drills.Frame]) -> Iterator[Source]:
    """The things that happened, each a source; all runs of a drill are one."""
    of_drills: dict[str, list[Story]] = {}
    for story in told:
        name = "" if story.episodes else story.runs[0].started.drill
        if name in frames:
            of_drills.setdefault(name, []).append(story)
    for story in told:
        name = "" if story.episodes else story.runs[0].started.drill
        if name not in of_drills:
            yield Source(ReportKind.INCIDENT if story.episodes else ReportKind.PLANNED_MOVE, story.id, (story,))
        elif story is of_drills[name][0]:
            yield Source(ReportKind.DRILL, name, tuple(of_drills[name]), frames[name])


def _report(found: Slice, stories: Stories, source: Source) -> Report:
    told, wall, frame = source.stories, stories.clock.wall, source.drill
    last = told[-1] if frame is None else told[0]  # of a drill, its run there is what is compared and proven
    parts = tuple(account(s, stories.clock, found.now, unwatched_s=found.unwatched_s) for s in told)
    pairs = list(zip(told, parts, strict=True))
    findings, none = _findings(found, stories, source)
    then, then_said = _last_time(stories, last, parts[told.index(last)], found.now)
    price, price_said = priced(last.of, pairs, drills.fallen(frame, told, stories))
    proven, until = _proven(last, parts[told.index(last)])
    began, ended = _extent(source)
    scope = Scope(
        found.subject.client, tuple(dict.fromkeys(s.service for s in told)), _places(told),
        tuple(dict.fromkeys(x.started.move for s in told for x in s.runs)),
        wall(began), wall(ended) if ended is not None else None, last.configuration,
    )  # fmt: skip
    people = [p for s in told for p in lessons.participants(s, wall)]
    objectives = tuple(x for s, a in pairs for x in _objectives(s, a, last.of, leads=s is told[0]))
    notices = [*(frame.notices if frame is not None else ()), *(x for s in told for x in s.notices)]
    made = Report(
        kind=source.kind, id=source.id, edition=found.edition, draft=False, empty=(), scope=scope,
        scenario=tuple(x for s in told for x in _scenario(s)),
        participants=_in_order(people),
        objectives=objectives, parts=parts,
        steps=tuple(x for s, a in pairs for x in _steps(s, a)),
        worked=(*(x for s, a in pairs for x in lessons.worked(s, a)), *lessons.reached(notices)),
        failed=(
            *lessons.beyond(objectives), *(x for s, a in pairs for x in lessons.failed(s, a)),
            *lessons.reached_nobody(notices),
        ),
        last=then, last_said=then_said, cost=price, cost_said=price_said,
        findings=findings, no_findings=none, proven=proven, until=until,
    )  # fmt: skip
    if frame is not None:
        made = _framed(made, frame, told, stories, found.now)
    return _judged(made, ran=any(s.runs for s in told))


def _extent(source: Source) -> tuple[float, float | None]:
    """From when to when; None: it goes on."""
    if source.drill is not None:
        return source.drill.began.at, source.drill.ended.at if source.drill.ended is not None else None
    ends = [s.ended_at for s in source.stories]
    known = [e for e in ends if e is not None]
    return source.stories[0].began_at, max(known) if len(known) == len(ends) else None


def _framed(made: Report, frame: drills.Frame, told: Sequence[Story], stories: Stories, now: float) -> Report:
    """With what its own records say of a drill."""
    wall = stories.clock.wall
    model = told[0].model

    def name_of(person: str) -> str:
        return model.speakers[person].name if model is not None and person in model.speakers else person

    people = (*(p for p in made.participants if p.name != "bascule"), *drills.participants(frame, name_of, wall))
    own, back = tuple(drills.proven(frame, told)), tuple(drills.objectives(frame, told, now))
    until = made.until
    if own:
        showed = frame.ended is not None and frame.ended.ok
        rests_on = rehearsed_on(model, frame.began.service, frame.began.move)
        until = tuple(name.strip() for name in rests_on.named()) if showed else ()
    return replace(
        made,
        scenario=tuple(drills.scenario(frame)),
        participants=_in_order(people),
        objectives=(*made.objectives, *back),
        worked=(*drills.worked(frame, told), *made.worked),
        failed=(*lessons.beyond(back), *drills.failed(frame, told, stories), *made.failed),
        proven=own or made.proven,
        until=until,
    )


def _judged(made: Report, *, ran: bool) -> Report:
    """With the parts that must not be empty, and are."""
    filled = {
        "scenario": made.scenario,
        "participants": made.participants,
        "end": made.scope.to_wall is not None,
        "objectives": made.objectives,
        "steps": made.steps or not ran,
        "what worked, what did not": made.worked or made.failed,
        "findings": made.findings or made.no_findings,
    }
    empty = tuple(name for name, value in filled.items() if not value)
    return replace(made, draft=bool(empty), empty=empty)


def _in_order(found: Iterable[Participant]) -> tuple[Participant, ...]:
    return tuple(sorted(found, key=lambda p: p.at_wall))


def _places(told: Iterable[Story]) -> tuple[str, ...]:
    """Where its services were, were led to, or may have been acting, in that order."""
    found: list[str | None] = []
    for story in told:
        found += [e.opened.place for e in story.episodes[:1]] or [story.runs[0].started.from_place]
        for x in story.placements:
            match x:
                case r.PlacementChanged():
                    found += [x.was, x.place]
                case r.MayActAdded() | r.MayActRemoved():
                    found.append(x.place)
    return tuple(dict.fromkeys(p for p in found if p))


def _scenario(story: Story) -> Iterator[Said]:
    for episode in story.episodes:
        place = claims.where(story, episode)
        slots: dict[str, str | float] = {"service": story.service, "place": place}
        at = "{service} went down at {place}: {evidence}" if place else "{service} went down: {evidence}"
        bare = "{service} went down at {place}" if place else "{service} went down"
        slots |= {"evidence": episode.opened.evidence} if episode.opened.evidence else {}
        yield Said(at if episode.opened.evidence else bare, slots)
    if story.episodes:
        return
    started = story.runs[0].started
    slots = {"service": story.service, "move": started.move, "who": started.who, "why": started.why}
    if started.why:
        yield Said("{service} was to be moved by {move}; {who} asked for it: {why}", slots)
    elif started.who:
        yield Said("{service} was to be moved by {move}; {who} asked for it", slots)
    else:
        yield Said("{service} was to go back by {move}, automatically", slots)


def _objectives(story: Story, a: Account, service: Service | None, *, leads: bool) -> Iterator[ObjectiveLine]:
    """RTO, RPO and MTD, each against what was reached. Where nothing had failed, the move alone stands for the RTA.

    `leads`: it is no way back of a drill, of which the RTO says nothing.
    """
    if not a.outages and claims.rehearsed(story.runs[0]):
        yield from drills.judged(story.runs[0], a)
        return
    if a.rto_s is not None and a.outages:
        yield ObjectiveLine(a.service, "RTO", a.rto_s, a.rta, a.rto_met)
    elif a.rto_s is not None and leads:
        figure = _move_alone(story.runs[0])
        missed = figure.seconds is not None and figure.seconds > a.rto_s and not figure.at_most
        yield ObjectiveLine(a.service, "RTO", a.rto_s, figure, False if missed else None)
    elif service is not None and leads:
        none = Figure(None, Known.UNKNOWN, "it is a way back: the RTO says nothing of it")
        yield ObjectiveLine(a.service, "RTO", service.rto_s, none, None)
    if a.rpo_s is not None or a.rpa.seconds is not None:
        of = "" if leads or a.outages else f"{a.id}: "  # of a way back, beside the same objective of the way there
        yield ObjectiveLine(a.service, "RPO", a.rpo_s, replace(a.rpa, source=f"{of}{a.rpa.source}"), a.rpo_met)
    if service is not None and service.mtd_s is not None and a.outages:
        kept = met(story, a.rta, service.mtd_s, a.outages, a.perhaps_s)
        yield ObjectiveLine(a.service, "MTD", service.mtd_s, a.rta, kept)


def _move_alone(run: RunStory) -> Figure:
    """What a move took without an outage: less than an RTA, for nothing had to be detected."""
    if claims.verified_at(run) is None:
        return Figure(None, Known.UNKNOWN, "the move was not verified")
    return Figure(claims.took_s(run), Known.PREDICTED, lessons.ALONE, at_most=claims.unwatched(run))


def _steps(story: Story, a: Account) -> Iterator[StepDone]:
    runs = {x.started.run: x for x in story.runs}
    for s in a.steps:
        done = done_how(runs[s.run], s.step)
        yield StepDone(s.run, s.step, done, s.state, s.took_s, s.share, s.reason, s.evidence, s.at_most)


def done_how(run: RunStory, step: str) -> Done:
    """Live, simulated (in check mode) or skipped. One that was begun, and then given up, was not skipped."""
    found = run.steps[step]
    if not found.begun:
        return Done.SKIPPED
    return Done.SIMULATED if found.planned.simulated else Done.LIVE


def _last_time(stories: Stories, story: Story, a: Account, now: float) -> tuple[Then | None, Said]:
    run = next((x for x in reversed(story.runs) if x.ended is not None and x.ended.ok), None)
    if run is None:
        return None, Said("no move ended well: there is nothing to compare")
    found = like_before(stories, story)
    slots: dict[str, str | float] = {"move": run.started.move, "service": story.service}
    if found is None:
        if claims.rehearsed(run):
            return None, Said("{move} was rehearsed for {service} for the first time", slots)
        return None, Said("{move} was made for {service} for the first time", slots)
    before, name = found
    then = next(x for x in before.runs if x.started.run == name)
    told = account(before, stories.clock, now)
    bounds = (
        ("took_s", claims.unwatched(then)), ("took_now_s", claims.unwatched(run)),
        ("rta_s", told.rta.at_most), ("rta_now_s", a.rta.at_most),
        ("rpa_s", told.rpa.at_most), ("rpa_now_s", a.rpa.at_most),
    )  # fmt: skip
    made = Then(
        before.id, stories.clock.wall(then.started.at), name, claims.took_s(then), claims.took_s(run),
        told.rta.seconds, a.rta.seconds, told.rpa.seconds, a.rpa.seconds, tuple(name for name, so in bounds if so),
    )  # fmt: skip
    slots |= {"run": name, "id": then.started.drill or before.id}
    text = "{move} was made for {service} before: {run} of {id}"
    if claims.rehearsed(run):
        text = "{move} was rehearsed for {service} before: {run} of {id}"
    elif slots["id"] == name:
        text = "{move} was made for {service} before: {run}"
    return made, Said(text, slots)


def _proven(story: Story, a: Account) -> tuple[tuple[Said, ...], tuple[str, ...]]:
    """Only what was verified, by steps that were live."""
    well = [x for x in story.runs if claims.verified_at(x) is not None and x.ended is not None and x.ended.ok]
    run = next((x for x in reversed(well) if not claims.in_vain(story, x)), None)
    if run is None and well:
        vain: dict[str, str | float] = {"move": well[-1].started.move, "service": story.service}
        return (Said("nothing: {move} was verified, and {service} did not come back with it", vain),), ()
    if run is None:
        return (Said("nothing: no move was verified"),), ()
    slots: dict[str, str | float] = {"move": run.started.move, "service": story.service}
    text = "{move} restores {service}: verified in {took_s}"
    if claims.unwatched(run):
        text = "{move} restores {service}: verified in at most {took_s}"
    found = [Said(text, {**slots, "took_s": claims.took_s(run)})]
    ended = next((n for n, e in reversed([*enumerate(story.episodes)]) if claims.ended_by(e, run)), None)
    if ended is not None:
        over = story.episodes[ended].ended
        text = "{rta_s} from the first bad answer to the good one that ended it: detection included"
        if over is not None and over.perhaps_s:
            text = "at most {rta_s} from the first bad answer to the good one that ended it: detection included"
        found.append(Said(text, {"rta_s": a.outages[ended].seconds}))
    else:
        found.append(Said("detection is not in it: nothing had failed, or it came back otherwise"))
    left_out = [s.planned.name for s in run.steps.values() if s.state is r.StepState.SKIPPED]
    found += [Said("step {step} was left out, and is not proven", {"step": name}) for name in left_out]
    rests_on = basis(story.model, story.service, run.started.move)
    return tuple(found), tuple(name.strip() for name in rests_on.named())


def _findings(found: Slice, stories: Stories, source: Source) -> tuple[tuple[FindingLine, ...], str]:
    """What is to be improved, and who says that nothing is."""
    about = {source.id, *(s.id for s in source.stories), *(x.started.run for s in source.stories for x in s.runs)}
    known = [x for x in stories.decided.findings.known.values() if x.opened.about in about]
    model = next((s.model for s in source.stories if s.model is not None), None)
    speakers = model.speakers if model is not None else {}

    def line(x: KeptFinding) -> FindingLine:
        opened, closed = x.opened, x.closed
        owner = speakers[opened.owner].name if opened.owner in speakers else opened.owner
        return FindingLine(
            x.id, opened.about, opened.text, owner, opened.due, closed is None and found.now > opened.due_at,
            closed.who if closed is not None else "", closed.why if closed is not None else "",
        )  # fmt: skip

    nothing = [x.who for name, x in stories.decided.findings.nothing.items() if name in about]
    return tuple(line(x) for x in sorted(known, key=lambda x: (x.opened.at, x.id))), "" if known else "".join(
        nothing[:1]
    )


def _period(found: Slice, stories: Stories, told: list[Story]) -> Report:
    subject = found.subject
    inside = tuple(_report(found, stories, source) for source in sources(told, found.frames()))
    services = tuple(s for s in subject.services)
    until = min(subject.to_wall if subject.to_wall is not None else found.wall, found.wall)
    scope = Scope(
        subject.client, services, tuple(dict.fromkeys(p for x in inside for p in x.scope.places)),
        tuple(dict.fromkeys(m for x in inside for m in x.scope.moves)), subject.from_wall or 0.0, until,
        in_force(stories, subject),
    )  # fmt: skip
    known = found.models.get(scope.configuration)
    goes_on = ("end",) if subject.to_wall is not None and subject.to_wall > found.wall else ()
    empty = (*goes_on, *(f"{x.id}: {name}" for x in inside for name in x.empty))
    nothing = (Said("no incident, planned move or drill that began in this time is on record"),) if not inside else ()
    text = "{id} of {service} had begun before this time, at {began_wall}, and went on in it: it is not counted here"
    earlier = (
        Said(text, {"id": name, "service": x.service, "began_wall": stories.clock.wall(x.began_at)})
        for name, x in from_before(stories, subject).items()
    )
    return Report(
        kind=ReportKind.PERIOD, id=subject.id, edition=found.edition, draft=bool(empty), empty=empty, scope=scope,
        scenario=(*_before_the_journal(found), *nothing, *earlier, *went_on(inside, subject.to_wall, found.wall)),
        participants=(), objectives=(), parts=(), steps=(), worked=(),
        failed=(), last=None, last_said=Said(""), cost=None, cost_said=Said(""),
        findings=tuple(f for x in inside for f in x.findings), no_findings="", proven=(), until=(),
        totals=totals(services, inside, known), inside=inside,
        missed=tuple(MissedDrill(x.schedule, x.occurrence, x.reason.value, x.evidence) for x in found.missed()),
    )  # fmt: skip


def _before_the_journal(found: Slice) -> Iterator[Said]:
    """Where nothing is on record of a part of the period, since the journal begins later: none of it was measured."""
    first = found.pieces[0] if found.pieces else None
    begin = found.subject.from_wall or 0.0
    if first is not None and first.seq == 1 and first.wall > begin:
        yield Said(
            "the journal begins at {began_wall}: of the time before nothing is known", {"began_wall": first.wall}
        )
