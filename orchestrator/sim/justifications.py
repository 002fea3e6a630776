"""What the oracles know of grounds: nothing begins automatically, and nothing counts as done, without what it rests on.

The one rule it keeps: it works every ground out again, from answers and records alone, at the moment in which the
journal says that something begins or is done. If it cannot be sure, it says nothing.

    what the journal says           what must be so in that moment
    ----------------------------    --------------------------------------------------------------------------------
    a tier's run starts             the service is seen down; its preconditions hold; nothing that it depends on is
                                    being recovered; a tier that fits the budget is not passed over for one that
                                    does not
    a step begins                   every step before it is over; its plan is as it was when the run started
    a fence begins by itself        the place is dark, and nothing of it answered a moment ago
    an activation begins            its place is on record as one that may act, and no other place is
    a first change by itself        what was approved was asked again since; no suspicion came later
    questions, a proof, a verify    good answers came to what was asked since
    a place is out                  its proof is done, or a named person said so
    a step is tried again           a look found no effect, or it may be repeated, or nothing of it ever began
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.durations import show_duration
from orchestrator.core.model import Condition, Fence, FenceBy, Model, Move, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.state.decided import covers
from orchestrator.sim.answers import Answers
from orchestrator.sim.attempts import Attempts, RunSeen, books_of, fence_of
from orchestrator.sim.bounds import at_most_s
from orchestrator.sim.step_kinds import CHANGES, EFFECTS, PLAYED, TOWARDS, rests_on
from orchestrator.sim.targets import Attempt, Targets
from orchestrator.sim.violation import BESIDE, Report

USABLE = (r.Verdict.UP, r.Verdict.DEGRADED)
QUESTIONS = (r.StepKind.PREFLIGHT, r.StepKind.RECHECK)
KEPT = 50  # durations of a move, as the fold keeps them
RENEWED_S = 180.0  # so long after a recovery a verdict that is down may be the old one


@dataclass(slots=True)
class Placed:
    """One service: where it runs, and where it might act."""

    place: str | None
    may_act: set[str]
    incident: str | None = None
    clock_at: float = 0.0  # where its outages would have begun if they were one
    outage_at: float = 0.0
    recovered_at: float | None = None
    moved_at: float | None = None  # when its last planned move was verified
    failed: set[str] = field(default_factory=set)  # moves, in this outage


class Grounds:
    """Grounds for what begins, and for what is said to be done."""

    def __init__(self, model: Model, answers: Answers, attempts: Attempts, targets: Targets, report: Report) -> None:
        """Nothing has begun."""
        self._model = model
        self._models = {model.digest: model}
        self._answers = answers
        self._attempts = attempts
        self._targets = targets
        self._report = report
        self._services = {s.id: _at_home(s.home) for s in model.services.values()}
        self._incidents: dict[str, str] = {}
        self._suspected: dict[str, float] = {}
        self._durations: dict[str, list[float]] = {}
        self._began: dict[tuple[str, str], float] = {}  # the latest attempt of a step
        self._first: dict[tuple[str, str], float] = {}  # the first one
        self._ended: dict[tuple[str, str], float] = {}
        self._looked: dict[tuple[str, str], float] = {}
        self._vouched: set[tuple[str, str]] = set()  # runs and the places that a named person states to be out
        self._controller_at = 0.0
        self._broken_off: set[str] = set()  # runs that waited for a person, or that nobody watched for a while
        targets.on_accept.append(self._let_in)

    def knows(self, model: Model) -> None:
        """A model that may be put in force."""
        self._models[model.digest] = model

    def record(self, record: r.Record) -> None:
        """One record became durable; `attempts` has heard of it."""
        told = _TOLD.get(type(record))
        if told is not None:
            told(self, record)

    def _let_in(self, attempt: Attempt) -> None:
        """16: whoever an attempt activates is on record as one that may act, when its target lets it in.

        Not when a controller hands it on: one that stood still in between does that late, and its target refuses.
        """
        run = self._attempts.runs.get(attempt.key.run)
        if run is None or attempt.kind not in TOWARDS:
            return
        to, service = run.started.to_place, run.started.service
        if to is not None and to not in self._services[service].may_act:
            self._report(16, "the intent to activate is on record before", f"{attempt.key}: {to} for {service}")

    # ---- a run starts

    def _run_started(self, x: r.RunStarted) -> None:
        service, move = self._model.services.get(x.service), self._model.moves.get(x.move)
        if x.origin is not r.Origin.AUTOMATIC or service is None or move is None:
            return
        if move.viable_when is not None and self._answers.says(move.viable_when) not in USABLE:
            self._report(BESIDE, "a move whose preconditions do not hold is not begun", f"{x.run}: {x.move}")
        if x.tier is not None:
            if not self._answers.seen_down(service.healthy_when):
                self._report(BESIDE, "what is not known to be down is left alone", f"{x.run} of {x.service}")
            self._dependencies(x, service)
            self._budget(x, service)

    def _dependencies(self, x: r.RunStarted, service: Service) -> None:
        rule = "what a service depends on is recovered first"
        place = self._services[service.id].place
        for name in (d.service for d in service.depends_on if not d.at or place in d.at):
            other, needed = self._services[name], self._model.services[name]
            at_work = self._attempts.unfinished(name)
            if other.incident is not None:
                if at_work is not None and not at_work.human:
                    self._report(BESIDE, rule, f"{x.run} of {x.service} while {at_work.started.run} is at work")
                continue
            well_at = [at for at in (other.recovered_at, other.moved_at) if at is not None]
            renewed = bool(well_at) and x.at - max(well_at) < RENEWED_S
            vantages = {self._model.checks[k].vantage for k in needed.healthy_when.checks()}
            sees = not any(self._answers.blind(v, x.at) for v in vantages)
            if at_work is None and not renewed and sees and self._answers.seen_down(needed.healthy_when):
                self._report(BESIDE, rule, f"{x.run} of {x.service}: {name} is down, and nobody has judged it")

    def _budget(self, x: r.RunStarted, service: Service) -> None:
        left_s = self._services[service.id].clock_at + service.rto_s - x.at
        most_s = at_most_s(self._durations.get(x.move, []))
        if most_s is None or most_s <= left_s:
            return
        for tier in service.ladder:
            other_s = at_most_s(self._durations.get(tier.move, []))
            if (
                tier.move != x.move
                and (other_s is None or other_s <= left_s)
                and self._needs_nothing(service, tier.move)
            ):
                evidence = f"{x.run}: {x.move} may take {most_s:.0f} s, {left_s:.0f} s are left, {tier.move} fits"
                self._report(BESIDE, "a tier that fits the budget goes before one that does not", evidence)
                return

    def _needs_nothing(self, service: Service, name: str) -> bool:
        """Whether nothing but an earlier failure could make this move ineligible."""
        move = self._model.moves[name]
        users = [s.id for s in self._model.services.values() if any(t.move == name for t in s.ladder)]
        lasts = move.done_when is not None or any(m.undoes == name for m in self._model.moves.values())
        plain = move.to is None and move.viable_when is None and not move.leaves and not move.holds and not lasts
        return plain and users == [service.id] and name not in self._services[service.id].failed

    # ---- a step begins

    def _step_began(self, x: r.StepBegan) -> None:
        run, key = self._attempts.runs[x.run], (x.run, x.step)
        step = next(s for s in run.steps if s.name == x.step)
        before = run.steps[: run.steps.index(step)]
        if open_ := [s.name for s in before if run.states.get(s.name) not in rests_on(step.kind)]:
            self._report(14, "no step before the ones it rests on", f"{x.run}/{x.step}: {', '.join(open_)}")
        if step.kind in EFFECTS and self._edited(run.started):
            self._report(BESIDE, "a run goes on under the plan it was started with", f"{x.run}/{x.step}")
        changed = [s for s in run.steps if s.kind in CHANGES and (x.run, s.name) in self._first]
        if step.kind in CHANGES and not changed and run.started.origin is r.Origin.AUTOMATIC:
            self._still_approved(x, run)
        fenced = any(s.kind is r.StepKind.FENCE for s in changed)
        if step.kind is r.StepKind.FENCE and not step.hand_over and step.place and not fenced:
            self._fences(x, run, step.place)
        if step.kind is r.StepKind.EXECUTE:
            self._alone(x, run)
        self._first.setdefault(key, x.at)
        self._began[key] = x.at

    def _edited(self, started: r.RunStarted) -> bool:
        """What was approved, or decided, was a plan: an edited one is another."""
        was = self._models.get(started.configuration)
        return was is not None and list(books_of(was, started)) != list(books_of(self._model, started))

    def _approved_at(self, run: RunSeen) -> float | None:
        step = next((s.name for s in run.steps if s.kind is r.StepKind.APPROVAL), "")
        done = run.states.get(step) is r.StepState.DONE
        return self._ended.get((run.started.run, step)) if done else None

    def _still_approved(self, x: r.StepBegan, run: RunSeen) -> None:
        approved_at = self._approved_at(run)
        if approved_at is not None and (run.ready_at is None or run.ready_at < approved_at):
            self._report(14, "what was approved is asked again before it is done", f"{x.run}/{x.step}")
        for subject, at in self._suspected.items():
            if covers(subject, run.started.service) and (approved_at is None or approved_at < at):
                self._report(19, "while a compromise is suspected a person approves", f"{x.run}/{x.step}: {subject}")

    def _fences(self, x: r.StepBegan, run: RunSeen, place: str) -> None:
        if run.started.origin is not r.Origin.AUTOMATIC or self._approved_at(run) is not None:
            return
        fence = known.fence if (known := self._model.places.get(place)) else None
        if fence is None or fence.automatic is FenceBy.ALWAYS:
            return
        rule = "nobody fences by himself what may be alive"
        dark = fence.automatic is FenceBy.WHEN_DARK and fence.dark_when is not None
        if not dark or self._answers.says(fence.dark_when) is not r.Verdict.UP:
            self._report(16, rule, f"{x.run}/{x.step}: {place} is not known to be dark")
        sighting_s = self._model.client_limits.get(known.client if known else "", self._model.limits).sighting_s
        if x.at - self._controller_at <= sighting_s:
            return  # what an earlier controller saw last may not have been kept
        for name in self._spoken_of(place, fence):
            if self._answers.good_at(name) >= x.at - sighting_s:
                ago = show_duration(x.at - self._answers.good_at(name))
                self._report(16, rule, f"{x.run}/{x.step}: {name} of {place} answered {ago} ago")

    def _spoken_of(self, place: str, fence: Fence) -> Iterator[str]:
        """The checks that tell of this place beside those of its fence."""
        own = {*(fence.dark_when.checks() if fence.dark_when else ()), *fence.proven_when.checks()}
        domains = self._model.places[place].domains
        return (k.id for k in self._model.checks.values() if k.id not in own and k.domains & domains)

    def _alone(self, x: r.StepBegan, run: RunSeen) -> None:
        service, to = self._model.services.get(run.started.service), run.started.to_place
        if service is None or to is None or not service.exclusive:
            return
        others = self._services[service.id].may_act - {to}
        if others:
            self._report(16, "activation only with every other place out", f"{x.run}: {', '.join(sorted(others))}")

    # ---- a step is done, or tried again

    def _step_finished(self, x: r.StepFinished) -> None:
        run, key = self._attempts.runs[x.run], (x.run, x.step)
        self._ended[key] = x.at
        move = self._model.moves.get(run.started.move)
        if x.state is not r.StepState.DONE or move is None:
            return
        step = next(s for s in run.steps if s.name == x.step)
        before = run.steps[max(0, run.steps.index(step) - 1)].name
        since = self._ended.get((x.run, before), self._began.get(key, x.at))
        if step.kind in QUESTIONS:
            self._answered(14, x, move.viable_when, self._began.get(key, x.at))
            self._data(x, run, move)
        elif step.kind is r.StepKind.PROOF:
            fence = fence_of(self._model, move, step)
            self._answered(16, x, fence.proven_when if fence else None, since)
        elif step.kind is r.StepKind.VERIFY:
            self._answered(BESIDE, x, move.verify, since)
            if run.started.incident is None:
                self._services[run.started.service].moved_at = x.at

    def _answered(self, statement: int, x: r.StepFinished, condition: Condition | None, since: float) -> None:
        shown = statement != 16 if condition is None else self._answers.answered(condition, since)
        if not shown:  # of a proof of which the plan in force says nothing, too
            self._report(statement, "answered is only what was answered well since", f"{x.run}/{x.step}: {since:.1f} s")

    def _data(self, x: r.StepFinished, run: RunSeen, move: Move) -> None:
        """15: the age of data counts from its sample."""
        started, service = run.started, self._model.services.get(run.started.service)
        if service is None or service.rpo_s is None or move.to is None or move.data_age is None:
            return
        if started.origin is not r.Origin.AUTOMATIC or any(s.hand_over for s in run.steps):
            return
        accepted = next((t.accept_loss_s for t in service.ladder if t.move == move.id), None)
        allowed_s = max(service.rpo_s, accepted or 0.0)
        sample = self._answers.measured(move.data_age)
        age_s = None if sample is None else sample[1] + max(0.0, x.at - sample[0])
        if age_s is not None and age_s > allowed_s + 1e-6:
            evidence = f"{x.run}: data {age_s:.1f} s old by now, {allowed_s:.1f} s allowed"
            self._report(15, "the age of data counts from its sample", evidence)

    def _step_looked(self, x: r.StepLooked) -> None:
        self._looked[x.run, x.step] = x.at

    def _step_retried(self, x: r.StepRetried) -> None:
        run = self._attempts.runs[x.run]
        step = next(s for s in run.steps if s.name == x.step)
        move = self._model.moves.get(run.started.move)
        if move is None:
            return
        rule = "an end not seen is looked at before any retry"
        fence = fence_of(self._model, move, step) if step.kind is r.StepKind.FENCE else None
        if x.reason is Reason.NEVER_BEGUN:
            key = e.StepKey(x.run, x.step, run.attempts.get(x.step, 0))
            if any(a.key == key for a in self._targets.accepted):
                self._report(6, rule, f"{key} is said never to have begun, and its target let it in")
        elif x.reason is Reason.UNDETERMINED:
            again = PLAYED[step.kind].again
            if not ((fence or move).safe_to_repeat if again is None else again):
                self._report(6, rule, f"{x.run}/{x.step} may not be repeated, and what it did is not known")
        elif x.reason is Reason.NO_EFFECT:
            asked = fence.proven_when if fence else move.done_when
            since = self._looked.get((x.run, x.step), 0.0)
            if asked is None or not any(self._answers.bad_at(k) >= since for k in asked.checks()):
                self._report(6, rule, f"{x.run}/{x.step} is said to have had no effect, and nobody answered so")

    # ---- the rest of the story

    def _controller_began(self, x: r.ControllerBegan) -> None:
        self._controller_at = x.at
        self._broken_off |= {name for name, run in self._attempts.runs.items() if not run.ended}

    def _configured(self, x: r.Configured) -> None:
        self._model = self._models.get(x.digest, self._model)
        for name, home in x.homes.items():
            self._services.setdefault(name, _at_home(home))

    def _opened(self, x: r.IncidentOpened | r.IncidentReopened) -> None:
        service = x.service if isinstance(x, r.IncidentOpened) else self._incidents[x.incident]
        self._incidents[x.incident] = service
        known = self._services[service]
        known.incident = x.incident
        known.failed.clear()
        moved_at, settle_s = known.moved_at, self._model.services[service].settle_s
        if moved_at is not None and x.first_bad_at <= moved_at and x.at - moved_at < settle_s:
            self._report(BESIDE, "what a planned move brought back is not down by older answers", x.incident)
        earlier_s = known.outage_at - known.clock_at if isinstance(x, r.IncidentReopened) else 0.0
        known.outage_at, known.clock_at = x.first_bad_at, x.first_bad_at - earlier_s

    def _incident_ended(self, x: r.IncidentEnded) -> None:
        known = self._services[name := self._incidents[x.incident]]
        own = [(n, s.name) for n, run in self._attempts.runs.items() if run.started.service == name for s in run.steps]
        if name in self._model.services and not any(self._ended.get(k, x.at) >= known.outage_at for k in own):
            self._answers.came_back(self._model.services[name], x, known.outage_at)
        known.incident, known.recovered_at = None, x.at
        known.clock_at, known.outage_at = known.clock_at - known.outage_at + x.recovered_at, x.recovered_at

    def _tier(self, x: r.TierJudged) -> None:
        if x.state is r.TierState.FAILED:
            if x.reason is Reason.PLAN_CHANGED:
                self._report(BESIDE, "a plan that was edited has failed nowhere", f"{x.incident}: {x.move}")
            self._services[self._incidents[x.incident]].failed.add(x.move)

    def _approved(self, x: r.RunApproved) -> None:
        if not x.cleans_by and self._edited(self._attempts.runs[x.run].started):
            self._report(BESIDE, "nobody approves a plan that is not there any more", x.run)
        if x.fenced is not None:
            self._vouched.add((x.run, x.fenced))

    def _run_ended(self, x: r.RunEnded) -> None:
        run = self._attempts.runs[x.run]
        if not x.ok or x.run in self._broken_off or run.started.drill:  # what drills took is kept apart
            return
        asked = [(x.run, s.name) for s in run.steps if s.kind is r.StepKind.APPROVAL]
        waited_s = sum(self._ended[k] - self._first[k] for k in asked if k in self._first and k in self._ended)
        kept = [*self._durations.get(run.started.move, []), x.at - run.started.at - waited_s]
        self._durations[run.started.move] = kept[-KEPT:]

    def _may_act(self, x: r.MayActAdded) -> None:
        known, run = self._services[x.service], self._attempts.runs.get(x.run)
        if run and run.started.to_place is None and self._model.services[x.service].exclusive and known.may_act:
            self._report(16, "what was taken out is not started beside another", f"{x.place}: {known.may_act} may act")
        known.may_act.add(x.place)

    def _out(self, x: r.MayActRemoved) -> None:
        """16: only a proof, or a named person, takes a place out of what may act."""
        self._services[x.service].may_act.discard(x.place)
        proven = vouched = False
        for name, run in self._attempts.runs.items():
            if run.started.service == x.service and not run.ended:
                vouched |= (name, x.place) in self._vouched
                proven |= any(
                    s.kind is r.StepKind.PROOF and s.place == x.place and run.states.get(s.name) is r.StepState.DONE
                    for s in run.steps
                )
        if not (proven or vouched):
            self._report(16, "a place is out only when it is proven", f"{x.place} for {x.service}: {x.reason.value}")

    def _word(self, x: r.WordAccepted) -> None:
        if x.kind is e.WordKind.SUSPECT:
            self._suspected[x.subject] = x.at
        elif x.kind is e.WordKind.CLEAR:
            self._suspected.pop(x.subject, None)


def _at_home(home: str | None) -> Placed:
    return Placed(home, {home} if home else set())


_TOLD: dict[type, Callable[[Grounds, Any], None]] = {
    r.ControllerBegan: Grounds._controller_began,
    r.Configured: Grounds._configured,
    **dict.fromkeys((r.IncidentOpened, r.IncidentReopened), Grounds._opened),
    r.IncidentEnded: Grounds._incident_ended,
    r.TierJudged: Grounds._tier,
    r.RunStarted: Grounds._run_started,
    r.StepBegan: Grounds._step_began,
    r.StepLooked: Grounds._step_looked,
    r.StepRetried: Grounds._step_retried,
    r.StepFinished: Grounds._step_finished,
    r.RunApproved: Grounds._approved,
    r.RunNeedsHuman: lambda grounds, x: grounds._broken_off.add(x.run),
    r.RunEnded: Grounds._run_ended,
    r.PlacementChanged: lambda grounds, x: setattr(grounds._services[x.service], "place", x.place),
    r.MayActAdded: Grounds._may_act,
    r.MayActRemoved: Grounds._out,
    r.WordAccepted: Grounds._word,
}
