"""Collects what belongs together: each incident, and each planned move, with everything that was done and said.

The one rule it keeps: it reads records and adds nothing. What a story says was written when it happened. One thing is
derived: what the history up to a run's beginning bounds, which the engine also used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from copy import copy
from typing import Self

from orchestrator.core import records as r
from orchestrator.core.events import OF_FINDINGS, OF_RUNS
from orchestrator.core.forecast import at_most_s
from orchestrator.core.health.diagnosis import so_since
from orchestrator.core.model import Model, Service
from orchestrator.core.state import decided as d
from orchestrator.core.state.fold import apply
from orchestrator.reports.entries import Entry, WallClock
from orchestrator.reports.story import Episode, RunStory, StepStory, Story

Placed = r.PlacementChanged | r.MayActAdded | r.MayActRemoved
_DRILLS = re.compile(r"d\d+")  # their ids, with which notices about them begin
ModelOf = Callable[[str], Model | None]
"""The stored model of a digest; None when it is not there."""


class State:
    """Reads entries in order; `decided` is the state after them, `clock` their wall stamps, `last` the last one."""

    def __init__(self, model_of: ModelOf = lambda _digest: None) -> None:
        self.decided = d.Decided()
        self.clock = WallClock(())
        self.last: Entry | None = None
        self._model_of = model_of
        self._models: dict[str, Model | None] = {}

    def resume(self, decided: d.Decided, entry: Entry) -> None:
        """Begin with the state after this entry, from a checkpoint, in place of everything before it."""
        self.decided, self.last = decided, entry
        self.clock.add(entry)

    def read(self, entries: Iterable[Entry]) -> Self:
        """Read on. Raises IllegalRecord when the journal is damaged."""
        for entry in entries:
            self.last = entry
            self.clock.add(entry)
            for record in entry.records:
                if isinstance(record, r.IncidentOpened | r.IncidentReopened):
                    self.clock.pin(record.first_bad_at, entry)
                self._collect(record)
                apply(self.decided, record)
                if isinstance(record, r.DrillBegan | r.RunStarted):
                    self._applied(record)
        return self

    @property
    def model(self) -> Model | None:
        """The model in force at the last entry."""
        return self.model_of(self.decided.configuration)

    def model_of(self, digest: str) -> Model | None:
        """The model of this digest; None: it is not kept."""
        if digest not in self._models:
            self._models[digest] = self._model_of(digest) if digest else None
        return self._models[digest]

    def _collect(self, x: r.Record) -> None:
        """The state is all that is wanted."""

    def _applied(self, x: r.DrillBegan | r.RunStarted) -> None:
        """As above."""


class Stories(State):
    """And collects the stories, oldest first. It has to read from the first entry on."""

    def __init__(self, model_of: ModelOf = lambda _digest: None) -> None:
        super().__init__(model_of)
        self.stories: dict[str, Story] = {}
        self.configured: list[tuple[float, str]] = []  # when which model came into force
        self.clients: set[str] = set()  # all that there have been
        self._runs: dict[str, tuple[Story, RunStory]] = {}
        self._open: dict[str, Story] = {}  # by service
        self._notices: dict[str, tuple[Story, int]] = {}
        self._between: dict[str, list[Placed]] = {}  # by service: since its last incident ended, if that is to go on
        self._words: list[r.WordAccepted | r.WordRefused] = []  # of services: a relapse tells those since its end
        self._last_runs: dict[str, RunStory] = {}  # by service
        self._drills: dict[str, d.Drill] = {}  # every one; the state keeps the latest
        self._of_drills: dict[str, d.Run] = {}  # their runs

    def _applied(self, x: r.DrillBegan | r.RunStarted) -> None:
        """Hold what the state forgets some time: that there was no such drill is never true."""
        if isinstance(x, r.DrillBegan):
            self._drills[x.drill] = self.decided.drills[x.drill]
        elif x.drill:
            self._of_drills[x.run] = self.decided.runs[x.run]

    @property
    def whole(self) -> d.Decided:
        """The state with every drill that there ever was, and its runs."""
        found = copy(self.decided)
        found.drills, found.runs = self._drills, {**self._of_drills, **self.decided.runs}
        return found

    def find(self, name: str) -> Story | None:
        """The story of this incident, of this run, or of the incident that this run belongs to."""
        if name in self.stories:
            return self.stories[name]
        return self._runs[name][0] if name in self._runs else None

    def _collect(self, x: r.Record) -> None:
        match x:
            case r.IncidentOpened() | r.IncidentReopened():
                self._opened(x)
            case r.IncidentEnded():
                story = self.stories[x.incident]
                story.episodes[-1].ended = x
                story.episodes[-1].by = self._runs[x.run][1] if x.run in self._runs else None
                self._open.pop(story.service, None)
            case r.ServiceJudged():
                self.stories[x.incident].episodes[-1].judged.append(x)
            case r.TierJudged():
                self.stories[x.incident].episodes[-1].tiers.append(x)
            case r.RunStarted():
                self._run_started(x)
            case r.VerdictChanged():
                for story in self._open.values():
                    if x.check in _relevant(story):
                        story.checks.append(x)
            case r.PlacementChanged() | r.MayActAdded() | r.MayActRemoved():
                if x.service not in self._open:
                    self._between.setdefault(x.service, []).append(x)
                for story in self._about(x.service):
                    story.placements.append(x)
            case r.MoveEngaged():
                if x.run in self._runs:
                    self._runs[x.run][0].placements.append(x)
            case r.WordAccepted() | r.WordRefused():
                self._word(x)
            case r.NoticeDue():
                self._notice(x)
            case r.NoticeSettled():
                if x.notice in self._notices:
                    story, index = self._notices[x.notice]  # one that reached nobody is told again
                    story.notices[index] = (story.notices[index][0], x)
            case r.NoticeDropped():
                if x.notice in self._notices:
                    self._notices[x.notice][0].dropped[x.notice] = x
            case r.ControllerBegan():
                for story in self._live():
                    story.controllers.append(x)
                for _, run in self._runs.values():
                    if run.ended is None:
                        run.taken_over.append(x.at)
            case r.Configured():
                self.configured.append((x.at, x.digest))
                self.clients |= {name.partition("/")[0] for name in x.homes}
                for story in self._open.values():  # its RTO and ladder are those that were in force when it ended
                    model = self.model_of(x.digest)
                    if model is not None and story.service in model.services:
                        story.model, story.configuration = model, x.digest
            case _:
                self._of_run(x)

    def _opened(self, x: r.IncidentOpened | r.IncidentReopened) -> None:
        if isinstance(x, r.IncidentOpened):
            digest = self.decided.configuration
            may_act = frozenset(self.decided.services[x.service].may_act)
            story = Story(x.incident, x.service, model=self.model_of(digest), configuration=digest, may_act=may_act)
            story.began_under = story.of
            self.stories[x.incident] = story
        else:
            story = self.stories[x.incident]
            between = self._between.get(story.service, [])
            story.placements += between
            led = [x.run for x in between if isinstance(x, r.PlacementChanged) and x.run in self._runs]
            story.between += [self._runs[name][1] for name in led]
            ended = story.episodes[-1].ended
            since = [w for w in self._words if ended is not None and w.at >= ended.at]
            story.words += [w for w in since if d.covers(w.subject, story.service) and w not in story.words]
        self._between.pop(story.service, None)
        relevant, state, known = _relevant(story), self.decided, story.checks[-200:]
        last_of = (of.get(name) for of in (state.fell, state.verdicts) for name in relevant)
        fell = {(c.at, c.check): c for c in last_of if c is not None}
        story.checks += [c for (at, _), c in sorted(fell.items()) if at >= x.first_bad_at - 1.0 and c not in known]
        condition = story.of.healthy_when if story.of is not None else None
        asked = {c: v for c in (condition.checks() if condition else ()) if (v := state.verdicts.get(c)) is not None}
        down = {c: v.at for c, v in asked.items() if v.verdict is r.Verdict.DOWN}
        fell_at = so_since(condition, down.get) if condition else None
        last = self._last_runs.get(story.service)
        before = last if last is not None and last.ended is not None and last.ended.at > x.first_bad_at else None
        found = Episode(x, {c: v.verdict for c, v in asked.items()}, before=before, fell_at=fell_at)
        found.drill = self._drill_of(story.service, x.first_bad_at)
        story.episodes.append(found)
        self._open[story.service] = story
        self._at_work(story)

    def _drill_of(self, service: str, first_bad_at: float) -> r.DrillBegan | None:
        """The drill that was under way when a service fell: any of its client, as any incident of it is harm to one."""
        client = service.partition("/")[0]
        mine = (x for x in self._drills.values() if x.began.service.partition("/")[0] == client)
        return next((x.began for x in mine if x.ended is None or x.ended.at >= first_bad_at), None)

    def _at_work(self, story: Story) -> None:
        """A run that was begun before the outage, and not only finishes: what it does and brings belongs to both."""
        before = self.decided.run_for(story.service)
        run = self._runs[before.id][1] if before is not None and before.id in self._runs else None
        for one in (x for x in (run, story.episodes[-1].before) if x is not None):
            planned = self._runs[one.started.run][0]
            if planned is not story and not planned.episodes:
                planned.felled.append(story.id)
        if run is None or any(s.traits.verifies and s.state is r.StepState.DONE for s in run.steps.values()):
            return
        story.episodes[-1].runs.append(run)
        if run not in story.runs:
            story.runs.append(run)

    def _run_started(self, x: r.RunStarted) -> None:
        kept = self.decided.durations.get(x.move, [])
        run = RunStory(x, {s.name: StepStory(s) for s in x.steps}, at_most_s(kept), len(kept))
        if x.incident:
            story = self.stories[x.incident]
            story.episodes[-1].runs.append(run)
        else:
            model, may_act = self.model_of(x.configuration), frozenset(self.decided.services[x.service].may_act)
            story = Story(x.run, x.service, model=model, configuration=x.configuration, may_act=may_act)
            self.stories[x.run] = story
        story.runs.append(run)
        self._runs[x.run] = (story, run)
        self._last_runs[x.service] = run

    def _of_run(self, x: r.Record) -> None:
        name = getattr(x, "run", None)
        if not isinstance(name, str) or name not in self._runs:
            return
        run = self._runs[name][1]
        match x:
            case r.RecheckAdded():
                steps = list(run.steps.items())
                at = list(run.steps).index(x.before)
                added = StepStory(x.planned)
                run.steps = dict([*steps[:at], (x.step, added), *steps[at:]])
            case r.StepBegan():
                step = run.steps[x.step]
                step.began_at = x.at if step.began_at is None else step.began_at
                step.attempts, step.state = x.attempt, r.StepState.RUNNING
            case r.StepLooked() | r.StepRetried() | r.StepLeftUnseen():
                step = run.steps[x.step]
                step.looks.append(x)
                step.state = {
                    r.StepLooked: r.StepState.LOOKING,
                    r.StepRetried: r.StepState.PENDING,
                    r.StepLeftUnseen: r.StepState.UNSEEN,
                }[type(x)]
            case r.StepFinished():
                step = run.steps[x.step]
                step.ended_at, step.state, step.tasks = x.at, x.state, x.tasks
                step.reason, step.evidence, step.measures = x.reason.value, x.evidence, dict(x.measures)
                step.unguarded = x.unguarded
            case r.RunNeedsHuman():
                _human_done(run, x.at)
                run.human.append((x.at, None, x))
            case r.RunApproved():
                run.approved = x
                if x.fenced:
                    run.vouched[x.fenced] = x
                _human_done(run, x.at)
            case r.AbortAsked():
                run.abort = x
            case r.RunEnded():
                run.ended = x
                _human_done(run, x.at)

    def _live(self) -> list[Story]:
        """Open incidents, and planned runs without an end."""
        planned = [story for story, run in self._runs.values() if run.ended is None]
        return list({s.id: s for s in [*self._open.values(), *planned]}.values())

    def _about(self, service: str) -> list[Story]:
        return [s for s in self._live() if s.service == service]

    def _word(self, x: r.WordAccepted | r.WordRefused) -> None:
        run = x.run if isinstance(x, r.WordAccepted) and x.run else x.subject if x.kind in OF_RUNS else ""
        if run in self._runs:
            self._runs[run][0].words.append(x)
            return
        if x.kind in OF_FINDINGS:
            return
        self._words.append(x)
        for story in self._live():
            if d.covers(x.subject, story.service):
                story.words.append(x)

    def _notice(self, x: r.NoticeDue) -> None:
        story = self._told_of(x)
        if story is not None:
            story.notices.append((x, None))
            self._notices[x.notice] = (story, len(story.notices) - 1)

    def _told_of(self, x: r.NoticeDue) -> Story | None:
        """The story that a notice is about: what its id begins with, and never just the last one of the service.

        A client may be called like an incident or a run of another. What is told of a drill is in no other story.
        """
        if _DRILLS.fullmatch(x.notice.partition("/")[0]):
            return None
        for name in (x.details.get("incident"), x.notice.partition("/")[0], x.subject):
            story = self.find(name) or self.stories.get(name.partition(".")[0]) if isinstance(name, str) else None
            if story is not None and d.covers(x.client, story.service):
                return story
        return self._open.get(x.subject)


def _human_done(run: RunStory, at: float) -> None:
    if run.human and run.human[-1][1] is None:
        run.human[-1] = (run.human[-1][0], at, run.human[-1][2])


def _relevant(story: Story) -> frozenset[str]:
    """Checks that this story may tell of."""
    if story.of is None or story.model is None:
        return frozenset()
    return relevant_checks(story.model, story.of)


def relevant_checks(model: Model, service: Service) -> frozenset[str]:
    """A service's own checks, its moves' and its places' fences'."""
    names = set(service.healthy_when.checks())
    for tier in (*(t.move for t in service.ladder), *service.failback):
        move = model.moves.get(tier)
        if move is None:
            continue
        rehearsed = move.rehearse.asked if move.rehearse is not None else ()
        handed = move.hand_over.proven_when.checks() if move.hand_over is not None else ()
        names.update(*(x.checks() for x in move.asks.values()), handed, rehearsed)
        if move.data_age:
            names.add(move.data_age)
    for place in model.places.values():
        if place.fence and place.client == service.client:
            names.update(place.fence.proven_when.checks())
            names.update(place.fence.dark_when.checks() if place.fence.dark_when else ())
        if place.isolate and place.isolate.proven_when and place.client == service.client:
            names.update(place.isolate.proven_when.checks())
    return frozenset(names)
