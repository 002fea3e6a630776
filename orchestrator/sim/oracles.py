"""The statements of what must never happen, tried on every entry and every change of a simulated world.

The one rule it keeps: it reads the journal's records and the world's truth, never the engine's state, and it counts
independently. Statements are numbered as in `docs/architecture.md`; the ones about attempts and steps are in
`attempts.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core import commands as c
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.durations import show_duration
from orchestrator.core.model import Limits, Mode, Model, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.state.decided import covers
from orchestrator.journal.journal import Entry
from orchestrator.sim.answers import Answers
from orchestrator.sim.attempts import Attempts
from orchestrator.sim.blindness import Blindness
from orchestrator.sim.brakes import Brakes
from orchestrator.sim.controller import People
from orchestrator.sim.drill_truth import DrillTruth
from orchestrator.sim.facts import Facts
from orchestrator.sim.justifications import Grounds
from orchestrator.sim.schedule_truth import TrueWall
from orchestrator.sim.shown_truth import ShownTruth
from orchestrator.sim.spoken_truth import SpokenTruth
from orchestrator.sim.step_kinds import CHANGES, DESTROYS
from orchestrator.sim.targets import Targets
from orchestrator.sim.text_judge import Texts
from orchestrator.sim.violation import BESIDE, Violation
from orchestrator.sim.world import World

DEFECT = "the engine never meets a defect, and its own invariants hold"
ROUNDING_S = 1e-6
WAIT_S = 60.0  # a wait with a reason may last so long after everything else has come to rest


@dataclass(slots=True)
class Known:
    """One service, as the journal tells."""

    place: str | None
    incident: str | None = None
    opened_at: float = 0.0
    recovered_at: float | None = None
    judged: r.ServiceJudged | None = None


class Oracles:
    """All statements over one simulation."""

    def __init__(self, model: Model, world: World, targets: Targets, people: People, true_wall: TrueWall) -> None:
        """Nothing has been seen yet. `true_wall`: see `schedule_truth`."""
        self.violations: list[Violation] = []
        self._model = model
        self._world = world
        self._people = people
        self._epoch = 0
        self._at = 0.0
        self._models: dict[str, Model] = {model.digest: model}
        self._services: dict[str, Known] = {s.id: Known(s.home) for s in model.services.values()}
        self._tiers: dict[tuple[str, str], r.TierState] = {}  # by incident and move
        self._incidents: dict[str, str] = {}
        self._holds: dict[str, str] = {}
        self._windows: dict[str, float] = {}
        self._left: dict[tuple[str, str], float] = {}
        self._answers = Answers(model, self._broken)
        self._blindness = Blindness(self._answers, self._windows, self._broken)
        self._attempts = Attempts(model, world, targets, self._broken)
        self._brakes = Brakes(self._models, model, self._answers, self._attempts, self._broken)
        self._grounds = Grounds(model, self._answers, self._attempts, targets, self._broken)
        self._facts = Facts()
        self._spoken = SpokenTruth(world, self._facts, self._broken)
        self._shown = ShownTruth(model, self._facts, self._broken)
        self._texts = Texts(self._broken)
        self._drills = DrillTruth(world, targets, self._answers, self._broken, true_wall, self._models)
        self._begun: set[str] = set()  # runs that have stopped something, or moved it
        self._due, self._said = dict[str, float](), dict[str, float]()  # notices, and when each was due
        self._own: dict[str, float] = {}  # when a check was asked last while its vantage was blind
        self._reported: set[tuple[int, str]] = set()

    def knows(self, model: Model) -> None:
        """A model that may be put in force."""
        self._models[model.digest] = model
        self._grounds.knows(model)
        self._shown.knows(model)

    def carried_out(self, command: c.Command, epoch: int) -> None:
        """A controller hands a command on."""
        self._attempts.carried_out(command, epoch)

    def observed(self, seen: e.Observed, at: float, *, able: bool = True) -> None:
        """An answer reached a controller at this time of the journal's axis; `able`: one that can write its journal."""
        in_sight = True
        if seen.answer is e.Answer.SILENT and (check := self._model.checks.get(seen.check)) is not None:
            asked_at = self._world.timeline.now - check.timeout_s - ROUNDING_S
            in_sight = not self._world.blind_for_s(check.vantage, asked_at)
            if not in_sight:
                self._own[check.id] = asked_at
        self._answers.observed(seen, at, in_sight)
        if able:
            self._blindness.observed(self._model, seen.check, at)
        else:
            self._blindness.began()

    def defect(self, why: str) -> None:
        """A controller met a defect of its own."""
        number = BESIDE
        if "statement " in why:
            number = int(why.partition("statement ")[2].partition(":")[0])
        self._broken(number, DEFECT, why)

    def entry(self, entry: Entry) -> None:
        """An entry became durable."""
        self._at = entry.at
        if entry.epoch < self._epoch:
            self._broken(1, "at most one decider", f"entry {entry.seq} of epoch {entry.epoch} after {self._epoch}")
        for record in entry.records:
            told = _TRIED.get(type(record))
            if told is not None:
                told(self, record)
            for judge in (self._brakes, self._attempts, self._grounds, self._facts, self._texts, self._drills):
                judge.record(record)
            self._spoken.record(record, self._model)
        self._drills.entry_over()
        self._spoken.entry_over()
        self._shown.entry(entry)
        self._epoch = max(self._epoch, entry.epoch)

    def world_changed(self) -> None:
        """16: an exclusive service never acts at two places."""
        for service in self._model.services.values():
            if service.exclusive:
                acting = self._world.acting(service.id)
                if len(acting) > 1:
                    self._broken(16, "an exclusive service acts at one place", f"{service.id}: {', '.join(acting)}")

    def at_rest(self, now: float) -> None:
        """20: after the calm every incident has ended, or is with a person who has been told; none is forgotten."""
        for rule, evidence in self.unrest(now):
            self._broken(20, rule, evidence)
        self._shown.at_rest()
        self._drills.at_rest(now)

    def unrest(self, now: float) -> list[tuple[str, str]]:
        """What has not come to rest: the rule of statement 20 that it would break, and the evidence."""
        found: list[tuple[str, str]] = []
        for notice, at in self._due.items():
            if now - at > WAIT_S:
                found.append(("what people were to be told is settled", f"{notice}, due {now - at:.0f} s ago"))
        told = {n.id: n.subject for _, n in self._people.told if n.kind in (c.NoticeKind.HUMAN_NEEDED, _APPROVAL)}
        for name, known in self._services.items():
            service = self._model.services.get(name)
            if service is None:
                continue
            down = self._world.services[name].down_since
            if known.incident is None:
                lasting = down is not None and now - down > WAIT_S
                if lasting and self._answers.seen_down(service.healthy_when):
                    found.append(("no outage is forgotten", f"{name} is down and has no open incident"))
            elif not self._in_hands(name, known, told):
                said = f"{known.judged.decision.value}: {known.judged.reason.value}" if known.judged else "not judged"
                found.append(("every incident ends, or a person has been told", f"{known.incident} of {name}, {said}"))
        return found

    # ---- inside

    def _in_hands(self, service: str, known: Known, told: Mapping[str, str]) -> bool:
        judged = known.judged
        if self._attempts.waits_for_a_person(service):
            return service in told.values()
        if self._attempts.unfinished(service) is not None or judged is None:
            return False
        if judged.reason in (Reason.HELD, Reason.IN_MAINTENANCE, Reason.OBSERVE_ONLY, Reason.BLIND):
            return True  # a person stopped it, or nothing is seen: people know, or have been told once before
        if judged.decision is r.Decision.ASK:  # of this outage: what was said of an earlier one is over
            return any(told[n] == service for n, at in self._said.items() if n in told and at >= known.opened_at)
        return self._waits_for_another(judged, told)

    def _waits_for_another(self, judged: r.ServiceJudged, told: Mapping[str, str]) -> bool:
        """A service that waits for its dependency is in that one's hands."""
        waits = (Reason.DEPENDENCY_RECOVERING, Reason.RESOURCE_BUSY, Reason.TOO_MANY_FAILOVERS)
        return judged.reason in waits and bool(told)

    def _broken(self, number: int, rule: str, evidence: str) -> None:
        if (number, evidence) in self._reported:
            return
        self._reported.add((number, evidence))
        self.violations.append(Violation(number, rule, evidence, self._at))

    def _limits(self, service: Service) -> Limits:
        return self._model.client_limits.get(service.client, self._model.limits)

    def _controller_began(self, x: r.ControllerBegan) -> None:
        if x.epoch <= self._epoch:
            self._broken(2, "epochs only grow", f"{x.controller} begins with {x.epoch} after {self._epoch}")
        self._epoch = max(self._epoch, x.epoch)
        self._answers.restarted(x.same_boot)
        self._blindness.began()
        if not x.same_boot:
            self._left = {what: at + x.assumed_gap_s for what, at in self._left.items()}  # as in `brakes.py`

    def _configured(self, x: r.Configured) -> None:
        self._model = self._models.get(x.digest, self._model)
        self._answers.use(self._model)
        for name, home in x.homes.items():
            self._services.setdefault(name, Known(home))

    def _opened(self, x: r.IncidentOpened | r.IncidentReopened) -> None:
        service = x.service if isinstance(x, r.IncidentOpened) else self._incidents[x.incident]
        self._incidents[x.incident] = service
        self._services[service].incident, self._services[service].opened_at = x.incident, x.at
        self._services[service].judged = None
        for key in [k for k in self._tiers if k[0] == x.incident]:
            del self._tiers[key]

    def _ended(self, x: r.IncidentEnded) -> None:
        known = self._services[self._incidents[x.incident]]
        known.incident, known.recovered_at = None, x.at

    def _judged(self, x: r.ServiceJudged) -> None:
        self._services[self._incidents[x.incident]].judged = x

    def _tier(self, x: r.TierJudged) -> None:
        self._tiers[x.incident, x.move] = x.state

    def _run_started(self, x: r.RunStarted) -> None:
        if x.origin is not r.Origin.AUTOMATIC:
            return
        service, known = self._model.services[x.service], self._services[x.service]
        self._honoured(x, service, x.run, x.at)
        left = self._left.get((x.service, x.to_place or ""))
        if left is not None and x.at - left < service.cool_down_s - ROUNDING_S:
            ago = show_duration(x.at - left)
            self._broken(8, "no return to what has just failed", f"{x.run}: {x.to_place} failed {ago} ago")
        if x.tier is None:
            self._failback(x, service, known)
            return
        for number, tier in enumerate(service.ladder[: x.tier - 1], 1):
            if self._tiers.get((x.incident or "", tier.move)) not in (r.TierState.FAILED, r.TierState.INELIGIBLE):
                self._broken(17, "tier n+1 only after tier n", f"{x.run}: tier {number} {tier.move} is not out")

    def _step_began(self, x: r.StepBegan) -> None:
        """10, 18, 19 once more before anything is prepared, and before anything stops: it may be hours later."""
        run = self._attempts.runs[x.run]
        kind = run.kind(x.step)
        if kind not in CHANGES or x.run in self._begun:
            return
        if kind in DESTROYS:
            self._begun.add(x.run)
        service = self._model.services.get(run.started.service)
        if run.started.origin is not r.Origin.AUTOMATIC or service is None:
            return
        self._honoured(run.started, service, f"{x.run}/{x.step}", x.at)
        open_ = self._services[service.id].incident
        if run.started.incident is None and open_ is not None:
            self._broken(18, "no automatic failback in an open incident", f"{x.run}/{x.step}: {open_}")

    def _honoured(self, started: r.RunStarted, service: Service, what: str, at: float) -> None:
        """10, 19."""
        limits = self._limits(service)
        if service.mode is Mode.OBSERVE:
            self._broken(19, "modes are honoured", f"{what}: {service.id} is in mode observe")
        for subject in self._holds:
            if covers(subject, service.id):
                self._broken(19, "holds are honoured", f"{what}: {subject} is held")
        for subject, ends_at in self._windows.items():
            if covers(subject.partition("#")[0], service.id) and at < ends_at:
                self._broken(19, "maintenance is honoured", f"{what}: {subject}")
        if started.incident is None:
            return
        vantages = sorted({self._model.checks[k].vantage for k in service.healthy_when.checks()})
        if all(self._answers.blind(vantage, at) for vantage in vantages):
            self._broken(10, "a blind vantage decides nothing", f"{what}: vantages {', '.join(vantages)}")
        need = max(2, limits.quorum or len(vantages) // 2 + 1)
        seen = self._answers.sees_down(service, at)
        if len(vantages) > 1 and len(seen) < need:
            told = f"{what}: {', '.join(seen) or 'none'} of {', '.join(vantages)}, {need} needed"
            self._broken(10, "one of several vantages never triggers alone", told)

    def _failback(self, x: r.RunStarted, service: Service, known: Known) -> None:
        if known.incident is not None:
            self._broken(18, "no automatic failback in an open incident", f"{x.run}: {known.incident}")
        since = known.recovered_at
        if since is not None and x.at - since < service.hold_down_s - 1e-6:
            self._broken(18, "no automatic failback in a hold-down", f"{x.run}: {x.at - since:.0f} s after recovery")

    def _run_ended(self, x: r.RunEnded) -> None:
        run = self._attempts.runs.get(x.run)
        if run is None or run.started.to_place is None:
            return
        tried, verified = run.attempts.get("execute", 0) > 0, run.verified
        if not x.ok and tried and not verified:
            self._left[run.started.service, run.started.to_place] = x.at
        moved = run.started.from_place not in (None, run.started.to_place)
        if (x.ok or verified) and run.started.incident and moved:
            self._left[run.started.service, run.started.from_place or ""] = x.at

    def _placement(self, x: r.PlacementChanged) -> None:
        self._services[x.service].place = x.place

    def _word(self, x: r.WordAccepted) -> None:
        if x.kind is e.WordKind.HOLD:
            self._holds[x.subject] = x.who
        elif x.kind is e.WordKind.RESUME:
            self._holds.pop(x.subject, None)
        elif x.kind is e.WordKind.MAINTENANCE:
            self._windows[x.subject] = x.ends_at if x.ends_at is not None else x.at
        elif x.kind is e.WordKind.MAINTENANCE_END:
            self._windows.pop(x.subject, None)

    def _window(self, x: r.WindowOpened) -> None:
        self._windows[f"{x.subject}#{x.window}"] = x.ends_at

    def _window_closed(self, x: r.WindowClosed) -> None:
        self._windows.pop(f"{x.subject}#{x.window}", None)

    def _verdict(self, x: r.VerdictChanged) -> None:
        self._answers.verdict(x, self._place_of)
        check = self._model.checks.get(x.check)
        if check is None or x.verdict is not r.Verdict.DOWN or not self._answers.only_own(x.check):
            return
        references = [self._model.checks[c] for c in self._model.references(check.vantage)]
        noticed_s = max((c.every_s + c.timeout_s for c in references), default=0.0)  # longer than a blink
        if self._world.blind_for_s(check.vantage, self._own.get(x.check, 0.0)) > noticed_s:
            self._broken(10, "what was asked while nothing could be seen takes nothing down", x.check)

    def _place_of(self, service: str) -> str | None:
        known = self._services.get(service)
        return known.place if known is not None and known.place else self._model.services[service].home

    def _notice_due(self, x: r.NoticeDue) -> None:
        self._due[x.notice] = self._said[x.notice] = x.at
        self._blindness.told(x)

    def _notice_settled(self, x: r.NoticeSettled | r.NoticeDropped) -> None:
        self._due.pop(x.notice, None)


_APPROVAL = c.NoticeKind.APPROVAL_NEEDED
_TRIED: dict[type, Callable[[Oracles, Any], None]] = {
    r.ControllerBegan: Oracles._controller_began,
    r.Configured: Oracles._configured,
    r.VerdictChanged: Oracles._verdict,
    r.IncidentOpened: Oracles._opened,
    r.IncidentReopened: Oracles._opened,
    r.IncidentEnded: Oracles._ended,
    r.ServiceJudged: Oracles._judged,
    r.TierJudged: Oracles._tier,
    r.RunStarted: Oracles._run_started,
    r.StepBegan: Oracles._step_began,
    r.RunEnded: Oracles._run_ended,
    r.PlacementChanged: Oracles._placement,
    r.WordAccepted: Oracles._word,
    r.WindowOpened: Oracles._window,
    r.WindowClosed: Oracles._window_closed,
    r.NoticeDue: Oracles._notice_due,
    r.NoticeSettled: Oracles._notice_settled,
    r.NoticeDropped: Oracles._notice_settled,
}
