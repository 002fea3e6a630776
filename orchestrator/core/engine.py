"""The engine: one event in, one atomic outcome out.

    engine.step(event, now) -> Outcome(records, rows, commands, wake_at)

The one rule it keeps: it is told the time and everything else, and it does nothing; its outcome must be durable
before any of its commands is carried out. If that fails, throw the engine away and rebuild it from the journal.
"""

from __future__ import annotations

import copy
import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orchestrator.core import detector, incident, invariants, run, steps, words
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import Command, ProbeNow, UseCadence
from orchestrator.core.decided import Decided
from orchestrator.core.detector import Row
from orchestrator.core.model import Check, Model, Service
from orchestrator.core.policy import dependencies, order
from orchestrator.core.turn import FOREVER, Turn, tell_command

ROUNDS = 20  # of deciding within one step; more means that two rules undo each other
SOONEST_S = 0.005  # a wake-up is never sooner: an overdue one must not spin


class TimeFell(Exception):
    """An event came with an earlier time than the one before it: whoever keeps the axis has a defect."""


class Undecided(Exception):
    """Two rules undo each other: deciding did not come to rest."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step came to. `rows` are the changed detector rows, committed with the records; None: forget it."""

    records: tuple[r.Record, ...] = ()
    rows: Mapping[str, Row | None] = field(default_factory=dict)
    commands: tuple[Command, ...] = ()
    wake_at: float = FOREVER


class Engine:
    """The core around one decided state and its detectors."""

    def __init__(
        self,
        model: Model,
        decided: Decided | None = None,
        rows: Mapping[str, Row] | None = None,
        *,
        attends: bool = True,
    ) -> None:
        """`attends=False`: incidents are left alone; only words are heard and runs go on (one-shot commands)."""
        self.attends = attends
        self.model = model
        self.decided = decided if decided is not None else Decided()
        self.rows: dict[str, Row] = {c: row for c, row in (rows or {}).items() if c in model.checks}
        self._fast: set[str] = set()
        self._awaited: set[str] = set()
        self._decide_at = 0.0
        self._stale: list[tuple[float, str]] = []
        self._watched: dict[str, float] = {}  # a check's one timer in `_stale`; others there are void
        self._now = 0.0
        self._rests_on = _resting(model)
        for check in self.rows:
            self._watch(check)

    def copy(self) -> Engine:
        """An engine of the same knowledge, to try something on (a dry run)."""
        return Engine(self.model, copy.deepcopy(self.decided), copy.deepcopy(self.rows), attends=self.attends)

    def recover(self, now: float) -> Outcome:
        """After a rebuild within the same controller's life: what is outstanding has to be accounted for again."""
        turn = Turn(self.model, self.decided, self.rows, now)
        turn.command(UseCadence({c.id: c.every_s for c in self.model.checks.values()}))  # whatever it was before
        self._resend(turn)
        self._decide(turn)
        invariants.check(turn)
        self._use_cadence(turn, self.rows)
        return Outcome(tuple(turn.records), {}, tuple(turn.commands), max(self._decide_at, now + SOONEST_S))

    def turn(self, now: float) -> Turn:
        """What is known now, for questions: record nothing through it."""
        return Turn(self.model, self.decided, self.rows, now)

    def objections(self, model: Model) -> list[str]:
        """Why this model cannot replace the present one now; empty if it can."""
        incidents = [i for i in self.decided.open_incidents() if i.service not in model.services]
        started = [x.started for x in self.decided.unfinished_runs()]
        needed = [x for x in started if x.service not in model.services or x.move not in model.moves]
        return [
            *(f"{i.service} has incident {i.id} open and cannot be removed" for i in incidents),
            *(f"run {x.run} needs {x.service} and {x.move}: they cannot be removed" for x in needed),
        ]

    def step(self, event: e.Event, now: float) -> Outcome:
        """Take one event; see the module's head. Times never fall: an earlier `now` is an error."""
        if now < self._now:
            raise TimeFell(f"it was {self._now} and is {now} now: the journal's axis never falls")
        self._now = now
        turn = Turn(self.model, self.decided, self.rows, now)
        dirty: dict[str, Row | None] = {}
        relevant = True
        if isinstance(event, e.Observed):
            relevant = self._observed(turn, event, dirty)
        elif isinstance(event, e.StepEnded):
            run.step_ended(turn, event)
        elif isinstance(event, e.WordSpoken):
            words.hear(turn, event)
        elif isinstance(event, e.ConfigurationLoaded):
            turn = self._configure(turn, event.model, dirty)
        elif isinstance(event, e.ControllerStarted):
            self._controller_started(turn, event, dirty)
        elif isinstance(event, e.StepAdopted):
            run.step_adopted(turn, event)
        elif isinstance(event, e.NoticeDelivered):
            self._settle_notice(turn, event.notice, True, event.through)
        elif isinstance(event, e.NoticeFailed):
            self._settle_notice(turn, event.notice, False, event.detail)
        elif isinstance(event, e.MaintenanceBegan):
            turn.record(r.WindowOpened(now, event.subject, event.window, event.ends_at))
        elif isinstance(event, e.MaintenanceEnded):
            turn.record(r.WindowClosed(now, event.subject, event.window))
        elif isinstance(event, e.StepProgressed):
            relevant = False
        relevant |= self._reconsider(turn, dirty)
        if relevant or now >= self._decide_at:
            self._decide(turn)
        invariants.check(turn)
        self._use_cadence(turn, dirty)
        wake_at = min(self._decide_at, self._stale[0][0] if self._stale else FOREVER)
        return Outcome(tuple(turn.records), dirty, tuple(turn.commands), max(wake_at, now + SOONEST_S))

    # ---- events

    def _observed(self, turn: Turn, seen: e.Observed, dirty: dict[str, Row | None]) -> bool:
        """Take one answer; whether anything but its row may have changed."""
        check = self.model.checks.get(seen.check)
        if check is None:
            return False
        row = self.rows.get(check.id)
        if row is None:
            row = self.rows[check.id] = Row()
            row.last_sent_at = seen.sent_at - 1e-9
            self._watch(check.id)
        was_suspended = row.suspended_at
        verdict = detector.observe(row, check, seen, turn.reference_at(check.vantage), turn.now)
        dirty[check.id] = row
        if row.suspended_at is not None and was_suspended is None:
            self._watch(check.id)
            turn.ask_now(turn.references(check.vantage))
        changed = self._set_verdict(turn, check, row, verdict)
        if check.reference and seen.answer is e.Answer.GOOD:
            changed |= self._confirm_silences(turn, check.vantage, dirty)
        return changed or check.id in self._awaited or check.reference

    def _confirm_silences(self, turn: Turn, vantage: str, dirty: dict[str, Row | None]) -> bool:
        changed = False
        for name, row in self.rows.items():
            if row.suspended_at is None or self.model.checks[name].vantage != vantage:
                continue
            verdict = detector.reconsider(row, self.model.checks[name], turn.reference_at(vantage), turn.now)
            dirty[name] = row
            changed |= self._set_verdict(turn, self.model.checks[name], row, verdict)
        return changed

    def _reconsider(self, turn: Turn, dirty: dict[str, Row | None]) -> bool:
        """Let time tell: silences that no reference confirmed, and checks without any answer for too long."""
        changed = False
        while self._stale and self._stale[0][0] <= turn.now:
            at, name = heapq.heappop(self._stale)
            if self._watched.get(name) != at:
                continue
            row, check = self.rows.get(name), self.model.checks.get(name)
            if check is None or row is None:
                continue  # watched again with its next answer
            verdict = detector.reconsider(row, check, turn.reference_at(check.vantage), turn.now)
            if verdict is not row.verdict:
                dirty[name] = row
                changed |= self._set_verdict(turn, check, row, verdict)
            self._watch(name, not_before=turn.now + check.every_s)
        return changed

    def _set_verdict(self, turn: Turn, check: Check, row: Row, verdict: r.Verdict) -> bool:
        if verdict is row.verdict:
            return False
        was, row.verdict = row.verdict, verdict
        first_bad_at = row.first_bad_at
        if verdict is r.Verdict.DOWN and first_bad_at is None:  # by its window
            first_bad_at = next((at for at, rtt_s in row.window if rtt_s < 0), turn.now)
        evidence = detector.evidence(row, check)
        turn.record(r.VerdictChanged(turn.now, check.id, was, verdict, first_bad_at, evidence, dict(row.measures)))
        return True

    def _configure(self, turn: Turn, model: Model, dirty: dict[str, Row | None]) -> Turn:
        """Put a model in force; changed checks start unknown again."""
        before = self.model
        self.model, turn = model, replace(turn, model=model, _references={})
        for name in list(self.rows):
            if name not in model.checks or model.checks[name] != before.checks.get(name):
                was = self.rows.pop(name).verdict
                dirty[name] = None
                if was is not r.Verdict.UNKNOWN:
                    evidence = f"{name}: {'changed' if name in model.checks else 'removed'} by the configuration"
                    turn.record(r.VerdictChanged(turn.now, name, was, r.Verdict.UNKNOWN, None, evidence))
        self._rests_on = _resting(model)
        self._stale.clear()
        self._watched.clear()
        for name in self.rows:
            self._watch(name)
        homes = {s.id: s.home for s in model.services.values() if s.id not in self.decided.services}
        if model.digest != self.decided.configuration or homes:
            turn.record(r.Configured(turn.now, model.digest, homes))
        self._fast.clear()
        return turn

    def _controller_started(self, turn: Turn, event: e.ControllerStarted, dirty: dict[str, Row | None]) -> None:
        began = r.ControllerBegan(
            turn.now, event.controller, event.epoch, event.boot, event.same_boot, event.assumed_gap_s
        )
        turn.record(began)
        if not event.same_boot:
            dirty.update(dict.fromkeys(self.rows))  # forgotten for good: the next start may be in the same boot
            self.rows.clear()
        self._resend(turn)

    def _resend(self, turn: Turn) -> None:
        """The commands outstanding, as the decided state has them."""
        for unfinished in self.decided.unfinished_runs():
            run.take_over(turn, unfinished)
            turn.ask_now(steps.awaited(turn, unfinished))
        for notice in self.decided.notices.values():
            turn.command(tell_command(notice.due))

    def _settle_notice(self, turn: Turn, notice: str, delivered: bool, evidence: str) -> None:
        if notice in self.decided.notices:
            turn.record(r.NoticeSettled(turn.now, notice, delivered, evidence))

    # ---- deciding

    def _decide(self, turn: Turn) -> None:
        """Take runs and incidents as far as they go now."""
        services = order(turn)
        for _ in range(ROUNDS):
            before = len(turn.records)
            turn.wake_at = FOREVER
            for unfinished in self.decided.unfinished_runs():
                run.advance(turn, unfinished)
            for service in services if self.attends else ():
                incident.attend(turn, service)
            if len(turn.records) == before:
                break
        else:
            last = [type(x).__name__ for x in turn.records[-6:]]
            raise Undecided(f"no rest after {ROUNDS} rounds; the last records: {', '.join(last)}")
        self._decide_at = turn.wake_at
        self._await(turn)

    def _await(self, turn: Turn) -> None:
        """Note whose answers matter at once; ask the new ones now."""
        awaited: set[str] = set()
        for unfinished in self.decided.unfinished_runs():
            awaited.update(steps.awaited(turn, unfinished))
        for open_ in self.decided.open_incidents():
            service = self.model.services.get(open_.service)
            if service is None:
                continue
            awaited.update(service.healthy_when.checks())
            for name in dependencies(turn, service):
                awaited.update(self.model.services[name].healthy_when.checks())
        self._awaited = awaited

    def _needed_by(self, turn: Turn, doubtful: set[str]) -> set[str]:
        """Checks of what the services depend on whose own health has come into doubt.

        Asked at once and at the fast interval too, so that the dependency's incident is not opened after theirs.
        """
        found: set[str] = set()
        for check in doubtful:
            for service in self._rests_on.get(check, ()):
                for name in dependencies(turn, service):
                    found.update(self.model.services[name].healthy_when.checks())
        return found

    def _watch(self, check: str, not_before: float = 0.0) -> None:
        """Reconsider this check when time alone may change its verdict: one lazy timer a check."""
        at = detector.wake_at(self.rows[check], self.model.checks[check])
        self._watched[check] = max(at, not_before)
        heapq.heappush(self._stale, (self._watched[check], check))

    def _use_cadence(self, turn: Turn, dirty: Mapping[str, Row | None]) -> None:
        """Ask faster where a streak has begun or somebody waits; say so only on a change."""
        wanted = {
            c for c in self._fast.union(dirty) if (row := self.rows.get(c)) is not None and detector.suspicious(row)
        }
        needed = self._needed_by(turn, {c for c in wanted if turn.in_doubt(c)})
        wanted |= (self._awaited | needed) & self.model.checks.keys()
        if wanted == self._fast:
            return
        checks = self.model.checks
        cadence = {c: checks[c].fast_s for c in wanted - self._fast if c in checks}
        cadence |= {c: checks[c].every_s for c in self._fast - wanted if c in checks}
        self._fast = wanted
        if cadence:
            turn.command(UseCadence(cadence))
        fresh = tuple(sorted(c for c in wanted & (self._awaited | needed) if c in cadence))
        if fresh:
            turn.command(ProbeNow(fresh))


def _resting(model: Model) -> dict[str, list[Service]]:
    """Check id to the services with dependencies whose health rests on it."""
    found: dict[str, list[Service]] = {}
    for service in model.services.values():
        for check in set(service.healthy_when.checks()) if service.depends_on else ():
            found.setdefault(check, []).append(service)
    return found
