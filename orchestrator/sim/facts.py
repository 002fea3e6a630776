"""What the records alone say of runs, outages and placements, for those who judge what is told of them.

The one rule it keeps: it is a fold of its own, as plain as it can be: it uses neither the engine's state nor a
report's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from orchestrator.core import records as r
from orchestrator.core.model import Model, Service
from orchestrator.core.reasons import Reason
from orchestrator.sim.step_kinds import EFFECTS, TOWARDS


@dataclass(slots=True)
class StepFacts:
    """One step."""

    kind: r.StepKind
    place: str | None
    begun_at: float | None = None
    attempts: int = 0
    state: r.StepState = r.StepState.PENDING
    at: float | None = None  # when it was over
    reason: Reason | None = None

    @property
    def refused(self) -> bool:
        """Whether nothing of it was begun: its only attempt was of a plan that had been edited."""
        return self.reason is Reason.PLAN_CHANGED and self.attempts <= 1

    @property
    def done_at(self) -> float | None:
        """When it ended well; None: it did not."""
        return self.at if self.state is r.StepState.DONE else None


@dataclass(slots=True)
class RunFacts:
    """One run."""

    started: r.RunStarted
    steps: dict[str, StepFacts]
    ended: r.RunEnded | None = None
    human: r.RunNeedsHuman | None = None
    vouched: dict[str, str] = field(default_factory=dict)  # by place: who states that it cannot act
    led_to: str | None = None  # the place that the service was recorded at by it

    def of(self, *kinds: r.StepKind) -> list[StepFacts]:
        """Its steps of these kinds."""
        return [s for s in self.steps.values() if s.kind in kinds]

    def done_at(self, kind: r.StepKind) -> float | None:
        """When its step of this kind ended well."""
        return next((s.done_at for s in self.of(kind) if s.done_at is not None), None)

    @property
    def rehearses(self) -> bool:
        """Whether it is beside what serves."""
        return bool(self.of(r.StepKind.REHEARSE))

    @property
    def tried(self) -> bool:
        """Whether anything of the move was begun."""
        return any(s.begun_at is not None and not s.refused for s in self.of(*TOWARDS))

    @property
    def changed(self) -> bool:
        """Whether it failed, or had begun to change anything."""
        begun = any(s.begun_at is not None and not s.refused for s in self.of(*EFFECTS))
        return begun or any(s.state is r.StepState.FAILED and not s.refused for s in self.steps.values())

    def out_at(self) -> tuple[float, bool] | None:
        """When every place that it was to fence was out, and whether all of that was proven; None: it was not so."""
        places = {s.place for s in self.of(r.StepKind.FENCE)}
        ends, proven = [], True
        for place in places:
            proof = next((s for s in self.of(r.StepKind.PROOF) if s.place == place), None)
            stated = proof is not None and proof.reason is Reason.FENCED_BY_HAND
            if proof is None or proof.at is None or not (stated or proof.state is r.StepState.DONE):
                return None
            ends.append(proof.at)
            proven = proven and not stated
        return (max(ends), proven) if ends else None

    def was_at_work(self, at: float) -> bool:
        """Whether it was begun before, and was neither over nor verified by then."""
        ends = (self.done_at(r.StepKind.VERIFY), self.ended.at if self.ended is not None else None)
        return self.started.at < at and all(x is None or x > at for x in ends)


@dataclass(slots=True)
class OutageFacts:
    """One outage of a service."""

    incident: str
    service: str
    first_bad_at: float
    opened_at: float
    place: str | None
    earlier_s: float  # without service in the incident's outages before
    number: int
    ended: r.IncidentEnded | None = None
    tiers: dict[str, r.TierJudged] = field(default_factory=dict)  # by move: a reload may change a tier's number
    dark: list[list[float]] = field(default_factory=list)  # from when to when it was judged not known to be down
    earlier_perhaps_s: float = 0.0  # so long of `earlier_s` it may have worked
    unheard_s: float = inf  # nothing good was heard for so long before it, or before an earlier one

    def seconds(self, now: float) -> float:
        """How long it was, or has been so far."""
        return (self.ended.recovered_at if self.ended else now) - self.first_bad_at

    def kept(self, service: Service, model: Model, at: float, perhaps_s: float) -> str:
        """Whether it was within its RTO, as far as answers tell when it failed and when it came back."""
        down_s = self.earlier_s + self.seconds(at)
        if down_s > service.rto_s:
            return "perhaps beyond" if down_s - perhaps_s - self.earlier_perhaps_s <= service.rto_s else "beyond"
        beats_s = max(model.checks[c].stale_after_s for c in service.healthy_when.checks())
        return "perhaps within" if self.unheard_s > beats_s else "within"

    def judged(self, x: r.ServiceJudged) -> None:
        """Whether it is known to be down."""
        going = bool(self.dark) and self.dark[-1][1] == inf
        if not x.dark and going:
            self.dark[-1][1] = x.at
        elif x.dark and not going:
            self.dark.append([x.at if x.dark_since is None else x.dark_since, inf])

    def doubted_s(self, now: float) -> float:
        """How long it was not known to be down, so far."""
        return sum(min(until, now) - since for since, until in self.dark)


class Facts:
    """Everything that records have said so far."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.runs: dict[str, RunFacts] = {}
        self.outages: dict[str, list[OutageFacts]] = {}  # by incident
        self.incidents: dict[str, str] = {}  # service: its latest incident
        self.places: dict[str, str | None] = {}
        self.may_act: dict[str, set[str]] = {}
        self.changes: list[r.PlacementChanged | r.MayActAdded | r.MayActRemoved | r.MoveEngaged] = []
        self.verdicts: dict[str, r.Verdict] = {}
        self.changed_at: dict[str, float] = {}  # by check
        self.restarts: list[float] = []  # after which time was assumed
        self.drills: dict[str, r.DrillBegan] = {}
        self.drills_over: dict[str, r.DrillEnded] = {}
        self.schedules: dict[str, r.ScheduleInForce] = {}
        self.missed: dict[tuple[str, str], r.DrillMissed] = {}  # by schedule and time

    def record(self, x: r.Record) -> None:
        """One record more."""
        told = _TOLD.get(type(x))
        if told is not None:
            told(self, x)

    def open_of(self, service: str) -> OutageFacts | None:
        """The service's outage that goes on."""
        latest = self.latest(service)
        return latest if latest is not None and latest.ended is None else None

    def latest(self, service: str) -> OutageFacts | None:
        """The service's latest outage."""
        name = self.incidents.get(service)
        return self.outages[name][-1] if name else None

    def taken_out(self, service: str) -> bool:
        """Whether the place that it is on record at was taken out, and it was led nowhere else since."""
        place = self.places.get(service)
        return place is not None and place not in self.may_act[service]

    # ---- inside

    def _began(self, x: r.ControllerBegan) -> None:
        if not x.same_boot:
            self.verdicts.clear()
        if x.assumed_gap_s > 0:
            self.restarts.append(x.at)

    def _configured(self, x: r.Configured) -> None:
        for name, home in x.homes.items():
            self.places.setdefault(name, home)
            self.may_act.setdefault(name, {home} if home else set())

    def _opened(self, x: r.IncidentOpened) -> None:
        self.incidents[x.service] = x.incident
        self.outages[x.incident] = [OutageFacts(x.incident, x.service, x.first_bad_at, x.at, x.place, 0.0, 1)]
        if x.last_good_at is not None:
            self.outages[x.incident][-1].unheard_s = x.first_bad_at - x.last_good_at

    def _reopened(self, x: r.IncidentReopened) -> None:
        before = self.outages[x.incident]
        last = before[-1]
        earlier_s = last.earlier_s + last.seconds(x.at)
        perhaps_s = last.earlier_perhaps_s + (last.ended.perhaps_s if last.ended else 0.0)
        before.append(OutageFacts(x.incident, last.service, x.first_bad_at, x.at, x.place, earlier_s, len(before) + 1))
        good_at = max(last.ended.recovered_at if last.ended else last.first_bad_at, x.last_good_at or 0.0)
        before[-1].earlier_perhaps_s, before[-1].unheard_s = perhaps_s, max(last.unheard_s, x.first_bad_at - good_at)

    def _ended(self, x: r.IncidentEnded) -> None:
        self.outages[x.incident][-1].ended = x

    def _judged(self, x: r.ServiceJudged) -> None:
        self.outages[x.incident][-1].judged(x)

    def _tier(self, x: r.TierJudged) -> None:
        self.outages[x.incident][-1].tiers[x.move] = x

    def _run(self, x: r.RunStarted) -> None:
        self.runs[x.run] = RunFacts(x, {s.name: StepFacts(s.kind, s.place) for s in x.steps})

    def _recheck(self, x: r.RecheckAdded) -> None:
        self.runs[x.run].steps[x.step] = StepFacts(r.StepKind.RECHECK, None)

    def _step_began(self, x: r.StepBegan) -> None:
        step = self.runs[x.run].steps[x.step]
        step.begun_at = x.at if step.begun_at is None else step.begun_at
        step.state, step.attempts = r.StepState.RUNNING, x.attempt

    def _step_finished(self, x: r.StepFinished) -> None:
        step = self.runs[x.run].steps[x.step]
        step.state, step.at, step.reason = x.state, x.at, x.reason

    def _human(self, x: r.RunNeedsHuman) -> None:
        self.runs[x.run].human = x

    def _approved(self, x: r.RunApproved) -> None:
        self.runs[x.run].human = None
        if x.fenced:
            self.runs[x.run].vouched[x.fenced] = x.who

    def _run_ended(self, x: r.RunEnded) -> None:
        self.runs[x.run].ended = x

    def _placed(self, x: r.PlacementChanged) -> None:
        self.places[x.service], self.runs[x.run].led_to = x.place, x.place
        self.changes.append(x)

    def _changed(self, x: r.MayActAdded | r.MayActRemoved | r.MoveEngaged) -> None:
        self.changes.append(x)
        if isinstance(x, r.MayActAdded):
            self.may_act[x.service].add(x.place)
        elif isinstance(x, r.MayActRemoved):
            self.may_act[x.service].discard(x.place)

    def _schedule(self, x: r.ScheduleInForce | r.DrillMissed) -> None:
        if isinstance(x, r.ScheduleInForce):
            self.schedules[x.schedule] = x
        else:
            self.missed[(x.schedule, x.occurrence)] = x

    def _drill(self, x: r.DrillBegan | r.DrillEnded) -> None:
        if isinstance(x, r.DrillBegan):
            self.drills[x.drill] = x
        else:
            self.drills_over[x.drill] = x

    def _verdict(self, x: r.VerdictChanged) -> None:
        self.verdicts[x.check], self.changed_at[x.check] = x.verdict, x.at


_TOLD: dict[type, Callable[[Facts, Any], None]] = {
    r.ControllerBegan: Facts._began,
    r.Configured: Facts._configured,
    r.IncidentOpened: Facts._opened,
    r.IncidentReopened: Facts._reopened,
    r.IncidentEnded: Facts._ended,
    r.ServiceJudged: Facts._judged,
    r.TierJudged: Facts._tier,
    r.RunStarted: Facts._run,
    r.RecheckAdded: Facts._recheck,
    r.StepBegan: Facts._step_began,
    r.StepFinished: Facts._step_finished,
    r.RunNeedsHuman: Facts._human,
    r.RunApproved: Facts._approved,
    r.RunEnded: Facts._run_ended,
    r.PlacementChanged: Facts._placed,
    r.MayActAdded: Facts._changed,
    r.MayActRemoved: Facts._changed,
    r.MoveEngaged: Facts._changed,
    r.VerdictChanged: Facts._verdict,
    r.DrillBegan: Facts._drill,
    r.DrillEnded: Facts._drill,
    r.ScheduleInForce: Facts._schedule,
    r.DrillMissed: Facts._schedule,
}
