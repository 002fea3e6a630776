"""Statements 12 and 13: the brakes on automatic action, tried on every record that is one.

The one rule it keeps: whatever goes on by itself is judged when it does so, and not only where it was planned.

    what the journal says                       what must be so in that moment
    ----------------------------------------    ---------------------------------------------------------------------
    a run starts by itself                      fewer runs than may be are at work, and few moves were made of late
    a run that waited for a person goes on      fewer runs than may be are at work
    by itself
    a run of these, or of a drill, starts       what fell together has few enough causes: no mass failure
    its first step that changes anything,       the same; of a drill any playbook before that, of a suspicion the
    or tries again before anything stopped      isolation, which comes first
    a service is held up by a mass failure      what fell together has more causes than one site
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.model import Model, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.state.decided import covers
from orchestrator.sim.answers import Answers
from orchestrator.sim.attempts import Attempts, RunSeen
from orchestrator.sim.step_kinds import APART, CHANGES, DESTROYS, PLAYED
from orchestrator.sim.violation import Report

AT_ONCE = "at most B failovers at once"
MASS = "no automatic action in a mass failure"
BY_ITSELF = (*CHANGES, r.StepKind.ISOLATE)
OF_DRILLS = (*CHANGES, *(kind for kind in APART if not PLAYED[kind].always))  # what is cleaned up is, whatever fell


@dataclass(slots=True)
class Braked:
    """One service."""

    moves: list[float] = field(default_factory=list)  # when it was moved by itself
    resumed_at: float = 0.0
    incident: str | None = None
    judged: r.ServiceJudged | None = None  # last
    braked: bool = False  # by a mass failure before the controller's machine restarted


class Brakes:
    """At most so many moves of a service, runs at once, and failures that nobody can explain."""

    def __init__(self, models: Mapping[str, Model], model: Model, answers: Answers, attempts: Attempts, report: Report):
        """Nothing has happened. `models`: by digest. `attempts` hears of each record after this."""
        self._models, self._model = models, model
        self._answers, self._attempts, self._report = answers, attempts, report
        self._services: dict[str, Braked] = {name: Braked() for name in model.services}
        self._incidents: dict[str, str] = {}
        self._stopped: set[str] = set()  # runs that have stopped something, or moved it

    def record(self, record: r.Record) -> None:
        """One record became durable."""
        told = _TOLD.get(type(record))
        if told is not None:
            told(self, record)

    # ---- what goes by itself

    def _run_started(self, x: r.RunStarted) -> None:
        service = self._model.services.get(x.service)
        if service is None or x.origin is r.Origin.MANUAL:
            return
        self._no_mass_failure(x.run, service, x.at)
        if x.origin is not r.Origin.AUTOMATIC:
            return
        known, limits = self._services[x.service], self._model.client_limits.get(service.client, self._model.limits)
        known.moves.append(x.at)
        recent = [at for at in known.moves if at >= max(x.at - limits.moves_window_s, known.resumed_at)]
        if len(recent) > limits.moves_per_service:
            self._report(12, "at most K automatic moves in a window", f"{x.run}: {len(recent)} of {x.service}")
        self._at_once(x.run, service)

    def _step_began(self, x: r.StepBegan) -> None:
        """Once more before anything is prepared, and before anything stops: it may be hours later."""
        run = self._attempts.runs[x.run]
        kind, service = run.kind(x.step), self._model.services.get(run.started.service)
        origin = run.started.origin
        judged = {r.Origin.AUTOMATIC: BY_ITSELF, r.Origin.DRILL: OF_DRILLS}.get(origin, ())
        if service is not None and kind in judged and x.run not in self._stopped:
            self._no_mass_failure(f"{x.run}/{x.step}", service, x.at)
        if kind in DESTROYS:
            self._stopped.add(x.run)

    def _step_finished(self, x: r.StepFinished) -> None:
        """What waited for a person counted for nobody: goes it on by itself, it is one of those at work again."""
        run = self._attempts.runs[x.run]
        service = self._model.services.get(run.started.service)
        if service is not None and _goes_on(run, x):
            self._at_once(f"{x.run}/{x.step}", service)

    def _at_once(self, what: str, service: Service) -> None:
        own = self._model.client_limits.get(service.client, self._model.limits)
        for limits, client, of in ((own, service.client, "its client"), (self._model.limits, "", "all clients")):
            going = self._attempts.going(what.partition("/")[0], client)
            if going >= limits.concurrent_failovers:
                self._report(13, AT_ONCE, f"{what}: {going} others of {of} are under way")

    def _no_mass_failure(self, what: str, service: Service, at: float) -> None:
        known = self._services[service.id]
        if known.braked:
            self._report(13, MASS, f"{what}: of before a restart of the machine")
        if apart := self._answers.too_many_apart(service, at, known.resumed_at):
            self._report(13, MASS, f"{what}: {', '.join(apart)}")

    # ---- what is held up

    def _judged(self, x: r.ServiceJudged) -> None:
        service = self._incidents[x.incident]
        known = self._services[service]
        before, known.judged = known.judged, x
        if x.reason is not Reason.MASS_FAILURE or known.braked or service not in self._model.services:
            return
        if before is not None and (before.reason, before.evidence) == (x.reason, x.evidence):
            return  # only whether it is known to be down has changed
        causes = self._answers.too_few_causes(self._model.services[service], x.at, known.resumed_at)
        if causes is not None:
            self._report(13, "one dark site is no mass failure", f"{service}: {causes} causes explain it; {x.evidence}")

    # ---- the rest of the story

    def _controller_began(self, x: r.ControllerBegan) -> None:
        """Brakes outlive a boot, and time that the wall clock alone tells of was not lived through."""
        for known in self._services.values() if not x.same_boot else ():
            known.moves = [at + x.assumed_gap_s for at in known.moves if at >= known.resumed_at]
            known.braked |= (
                known.incident is not None and known.judged is not None and known.judged.reason is Reason.MASS_FAILURE
            )

    def _configured(self, x: r.Configured) -> None:
        self._model = self._models.get(x.digest, self._model)
        for name in x.homes:
            self._services.setdefault(name, Braked())

    def _opened(self, x: r.IncidentOpened | r.IncidentReopened) -> None:
        service = x.service if isinstance(x, r.IncidentOpened) else self._incidents[x.incident]
        self._incidents[x.incident] = service
        self._services[service].incident, self._services[service].judged = x.incident, None

    def _ended(self, x: r.IncidentEnded) -> None:
        known = self._services[self._incidents[x.incident]]
        known.incident, known.braked = None, False

    def _word(self, x: r.WordAccepted) -> None:
        if x.kind is e.WordKind.RESUME:
            for name, known in self._services.items():
                if covers(x.subject, name):
                    known.resumed_at, known.braked = x.at, False


def _goes_on(run: RunSeen, x: r.StepFinished) -> bool:
    """Whether a person had been asked, and the run goes on without them."""
    asked = run.kind(x.step) is r.StepKind.APPROVAL and run.attempts.get(x.step, 0) > 0
    return asked and x.state is r.StepState.SKIPPED and x.reason is Reason.NOT_NEEDED


_TOLD: dict[type, Callable[[Brakes, Any], None]] = {
    r.ControllerBegan: Brakes._controller_began,
    r.Configured: Brakes._configured,
    **dict.fromkeys((r.IncidentOpened, r.IncidentReopened), Brakes._opened),
    r.IncidentEnded: Brakes._ended,
    r.ServiceJudged: Brakes._judged,
    r.RunStarted: Brakes._run_started,
    r.StepBegan: Brakes._step_began,
    r.StepFinished: Brakes._step_finished,
    r.WordAccepted: Brakes._word,
}
