"""What the oracles know of runs, steps and attempts: none twice, none without a look, none without its intent.

The one rule it keeps: an attempt is what a target let in, a step is what the journal says, and the two must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core import commands as c
from orchestrator.core import records as r
from orchestrator.core.events import StepKey
from orchestrator.core.model import Fence, Mode, Model, Move
from orchestrator.core.reasons import Reason
from orchestrator.sim.step_kinds import APART, CHANGES, DESTROYS, OF_MOVES
from orchestrator.sim.targets import Attempt, Targets
from orchestrator.sim.violation import Report
from orchestrator.sim.world import World


@dataclass(slots=True)
class RunSeen:
    """One run, as the journal tells."""

    started: r.RunStarted
    steps: list[r.PlannedStep]  # as planned, with the rechecks that were added
    attempts: dict[str, int] = field(default_factory=dict)
    states: dict[str, r.StepState] = field(default_factory=dict)
    looked: set[str] = field(default_factory=set)  # steps looked at since their latest attempt
    wanted: set[tuple[str, int]] = field(default_factory=set)  # attempts that a named person had made once more
    ready_at: float | None = None  # when the latest preflight or recheck was passed
    measures: dict[str, float] = field(default_factory=dict)
    approved: bool = False
    human: bool = False
    ended: bool = False
    verified: bool = False

    def kind(self, step: str) -> r.StepKind:
        """The kind of a step."""
        return next(s.kind for s in self.steps if s.name == step)

    @property
    def client(self) -> str:
        """Whose run it is."""
        return self.started.service.partition("/")[0]

    @property
    def at(self) -> r.PlannedStep | None:
        """The first step that is not over."""
        over = (r.StepState.DONE, r.StepState.FAILED, r.StepState.SKIPPED)
        return next((s for s in self.steps if self.states.get(s.name) not in over), None)


def fence_of(model: Model, move: Move, step: r.PlannedStep) -> Fence | None:
    """The fence that a step uses, by the model in force."""
    if step.hand_over:
        return move.hand_over
    known = model.places.get(step.place or "")
    return known.fence if known else None


def books_of(model: Model, started: r.RunStarted) -> Iterator[str]:
    """The digests of every playbook of a run's plan."""
    move = model.moves.get(started.move)
    if move is None:
        return
    yield from (book.digest for key in OF_MOVES if (book := getattr(move, key)))
    for step in started.steps:
        if step.kind is r.StepKind.FENCE and (fence := fence_of(model, move, step)) is not None:
            yield fence.playbook.digest


class Attempts:
    """Statements 3 to 7, 14, 15, 21, and of 19 what concerns approvals."""

    def __init__(self, model: Model, world: World, targets: Targets, report: Report) -> None:
        """No runs yet."""
        self.runs: dict[str, RunSeen] = {}
        self._model = model
        self._world = world
        self._targets = targets
        self._report = report
        self._epochs: dict[str, int] = {}
        self._effects: dict[tuple[str, str], list[StepKey]] = {}
        targets.on_accept.append(self._accepted)
        targets.on_effect.append(self._effect)

    def record(self, record: r.Record) -> None:
        """One record became durable."""
        told = _TOLD.get(type(record))
        if told is not None:
            told(self, record)

    def carried_out(self, command: c.Command, epoch: int) -> None:
        """4: a controller hands a command on; its intent is on record."""
        if isinstance(command, c.RunPlaybook):
            run = self.runs.get(command.key.run)
            if run is None or run.attempts.get(command.key.step, 0) < command.key.attempt:
                self._report(4, "every effect has an earlier durable intent", str(command.key))

    # ---- at the targets

    def _accepted(self, attempt: Attempt) -> None:
        if attempt.epoch < self._epochs.get(attempt.target, 0):
            seen = self._epochs[attempt.target]
            self._report(3, "a target accepts no smaller epoch", f"{attempt.key}: {attempt.epoch} after {seen}")
        self._epochs[attempt.target] = max(attempt.epoch, self._epochs.get(attempt.target, 0))
        run = self.runs.get(attempt.key.run)
        if run is not None and attempt.reached != run.client:
            rule = "no action for one client reaches a host of another"
            self._report(21, rule, f"{attempt.key}, for {run.client}, acts on {attempt.target}")
        others = [k for k in self._running(attempt.key) if k != attempt.key]
        if others:
            self._report(6, "one attempt of a step at a time", f"{attempt.key} while {others[0]} still runs")

    def _running(self, key: StepKey) -> list[StepKey]:
        before = [StepKey(key.run, key.step, n) for n in range(1, key.attempt + 1)]
        return [k for k in before if self._targets.runs(k)]

    def _effect(self, key: StepKey, kind: r.StepKind) -> None:
        """5: what must run once takes effect once."""
        done = self._effects.setdefault((key.run, key.step), [])
        done.append(key)
        run = self.runs.get(key.run)
        if run is None:
            return
        if run.states.get(key.step) is r.StepState.DONE:
            self._report(5, "no done step runs again", str(key))
        move = self._model.moves.get(run.started.move)
        once = kind is r.StepKind.EXECUTE and move is not None and not move.safe_to_repeat
        if once and len(done) > 1 and (key.step, key.attempt) not in run.wanted:
            self._report(5, "what may not be repeated takes effect once", f"{key} after {done[0]}")

    # ---- in the journal

    def _run_started(self, x: r.RunStarted) -> None:
        held = {res: k for k, run in self.runs.items() if not run.ended for res in run.started.resources}
        for resource in x.resources:
            if resource in held:
                self._report(7, "one unfinished run a resource", f"{x.run} and {held[resource]} hold {resource}")
        self.runs[x.run] = RunSeen(x, list(x.steps))

    def _recheck_added(self, x: r.RecheckAdded) -> None:
        steps = self.runs[x.run].steps
        before = next(n for n, s in enumerate(steps) if s.name == x.before)
        steps.insert(before, r.PlannedStep(x.step, r.StepKind.RECHECK))

    def _step_began(self, x: r.StepBegan) -> None:
        run = self.runs[x.run]
        kind, before = run.kind(x.step), run.attempts.get(x.step, 0)
        if run.states.get(x.step) in (r.StepState.DONE, r.StepState.FAILED):
            self._report(5, "no step that is over begins again", f"{x.run}/{x.step}/{x.attempt}")
        if before and x.step not in run.looked:
            self._report(6, "an end not seen is looked at before any retry", f"{x.run}/{x.step}/{x.attempt}")
        run.attempts[x.step] = x.attempt
        run.looked.discard(x.step)
        run.states[x.step] = r.StepState.RUNNING
        if kind in DESTROYS and not before and not self._begun_before(run, x.step, DESTROYS):
            recent_s = self._model.client_limits.get(run.client, self._model.limits).preflight_fresh_s
            if run.ready_at is None or x.at - run.ready_at > recent_s:
                self._report(14, "no destructive step before a recent preflight", f"{x.run}/{x.step}")
        if kind in CHANGES and not self._begun_before(run, x.step, CHANGES):
            service = self._model.services.get(run.started.service)
            asked = service is not None and service.mode is Mode.ASK and run.started.origin is r.Origin.AUTOMATIC
            if (asked or run.started.asks) and not run.approved and not self._unasked(run):
                self._report(19, "what needs an approval waits for it", f"{x.run}/{x.step}")
        if kind is r.StepKind.EXECUTE:
            self._data(run, x)

    @staticmethod
    def _begun_before(run: RunSeen, step: str, kinds: tuple[r.StepKind, ...]) -> bool:
        """Whether another step of these kinds has begun."""
        return any(run.attempts.get(s.name) for s in run.steps if s.kind in kinds and s.name != step)

    def _unasked(self, run: RunSeen) -> bool:
        """An approval that was not needed any more when its turn came."""
        approval = next((s.name for s in run.started.steps if s.kind is r.StepKind.APPROVAL), None)
        return approval is not None and run.states.get(approval) is r.StepState.SKIPPED

    def _data(self, run: RunSeen, x: r.StepBegan) -> None:
        """15: an automatic promotion rests on a measured age within what is allowed."""
        started = run.started
        service, move = self._model.services.get(started.service), self._model.moves.get(started.move)
        if service is None or move is None or move.to is None or service.rpo_s is None:
            return
        if started.origin is not r.Origin.AUTOMATIC or any(s.hand_over for s in started.steps):
            return
        accepted = next((t.accept_loss_s for t in service.ladder if t.move == move.id), None)
        allowed_s = max(service.rpo_s, accepted or 0.0)
        age_s = run.measures.get("data_age_s")
        if age_s is None:
            self._report(15, "no promotion with data of unknown age", f"{x.run}: {move.id}")
        elif age_s > allowed_s:
            self._report(15, "no promotion beyond the RPO", f"{x.run}: {age_s:.1f} s, {allowed_s:.1f} s allowed")

    def _step_looked(self, x: r.StepLooked) -> None:
        self.runs[x.run].looked.add(x.step)
        self.runs[x.run].states[x.step] = r.StepState.LOOKING

    def _step_retried(self, x: r.StepRetried) -> None:
        run = self.runs[x.run]
        if x.reason is Reason.NEVER_BEGUN:
            run.looked.add(x.step)  # proven: there is nothing to look at
        elif x.reason is Reason.APPROVED:
            run.wanted.add((x.step, run.attempts.get(x.step, 0) + 1))

    def _step_finished(self, x: r.StepFinished) -> None:
        run = self.runs[x.run]
        if run.states.get(x.step) in (r.StepState.DONE, r.StepState.FAILED, r.StepState.SKIPPED):
            self._report(5, "a step ends once", f"{x.run}/{x.step}")
        run.states[x.step] = x.state
        kind = run.kind(x.step)
        by_its_end = x.state is r.StepState.DONE and x.reason is Reason.CONDITIONS_MET and x.step not in run.looked
        let_in = self._targets.unguarded.get(StepKey(x.run, x.step, x.attempt), ())
        if by_its_end and x.unguarded != let_in:
            said = f"{x.run}/{x.step}: {x.unguarded or 'nothing'} on record, {let_in or 'nothing'} in the world"
            self._report(3, "a target that keeps no epoch is on record", said)
        if x.state is r.StepState.DONE and kind in (r.StepKind.PREFLIGHT, r.StepKind.RECHECK):
            run.ready_at = x.at
            run.measures = dict(x.measures)
        if x.state is r.StepState.DONE and kind is r.StepKind.VERIFY:
            run.verified = True

    def _approved(self, x: r.RunApproved) -> None:
        self.runs[x.run].approved = True
        self.runs[x.run].human = False

    def _human(self, x: r.RunNeedsHuman) -> None:
        self.runs[x.run].human = True

    def _ended(self, x: r.RunEnded) -> None:
        self.runs[x.run].ended = True

    # ---- what others ask

    def unfinished(self, service: str) -> RunSeen | None:
        """The service's unfinished run; a rehearsal recovers nothing."""
        runs = (x for x in self.runs.values() if not x.ended and x.started.service == service)
        return next((x for x in runs if not any(s.kind in APART for s in x.steps)), None)

    def waits_for_a_person(self, service: str) -> bool:
        """Whether the service's run cannot go on by itself."""
        run = self.unfinished(service)
        return run is not None and _waits(run)

    def going(self, run: str, client: str) -> int:
        """How many other runs, of this client or of all, go on by themselves; a drill stands in nobody's way."""
        return sum(
            not x.ended and not _waits(x) and not x.started.drill and k != run and client in ("", x.client)
            for k, x in self.runs.items()
        )


def _waits(run: RunSeen) -> bool:
    """Whether it cannot go on before a person says so."""
    return run.human or (run.at is not None and run.at.kind is r.StepKind.APPROVAL)


_TOLD: dict[type, Callable[[Attempts, Any], None]] = {
    r.RunStarted: Attempts._run_started,
    r.RecheckAdded: Attempts._recheck_added,
    r.StepBegan: Attempts._step_began,
    r.StepLooked: Attempts._step_looked,
    r.StepRetried: Attempts._step_retried,
    r.StepFinished: Attempts._step_finished,
    r.RunApproved: Attempts._approved,
    r.RunNeedsHuman: Attempts._human,
    r.RunEnded: Attempts._ended,
}
