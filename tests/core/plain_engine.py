"""The engine's way of an answer as plainly as it can be said: nothing is remembered from one step to the next that
could be asked again, and after whatever may have changed anything, every service is attended.

It is slow, and here only to be compared with: `test_one_answer.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from orchestrator.core import events as e
from orchestrator.core import invariants
from orchestrator.core.awareness import doubts
from orchestrator.core.cadence import Cadence, awaited
from orchestrator.core.commands import ProbeNow, UseCadence
from orchestrator.core.deciding import drilling, incident
from orchestrator.core.engine import ASLEEP_S, Engine, Outcome
from orchestrator.core.health import detector
from orchestrator.core.health.detector import Row
from orchestrator.core.health.detectors import Detectors, Timers
from orchestrator.core.model import Check, Model
from orchestrator.core.records import Verdict
from orchestrator.core.rules.policy import dependencies, order
from orchestrator.core.runs import run
from orchestrator.core.transaction import FOREVER, Transaction, Watch


class PlainTurn(Transaction):
    """A transaction that looks everything up again."""

    __slots__ = ()

    def references(self, vantage: str) -> tuple[str, ...]:
        return self.model.references(vantage)

    def blind(self, vantage: str) -> bool:
        references = self.references(vantage)
        return bool(references) and not any(self._answers_well(c) for c in references)

    def _answers_well(self, check: str) -> bool:
        row, stale_s = self._rows.get(check), self.model.checks[check].stale_after_s
        return row is not None and row.last_answer is e.Answer.GOOD and self._now - row.last_sent_at <= stale_s

    def reference_at(self, vantage: str, silent_at: float | None) -> float | None:
        rows = [self.rows()[c] for c in self.references(vantage) if c in self.rows()]
        since_before = [
            row
            for row in rows
            if row.first_good_at is not None and (silent_at is None or row.first_good_at <= silent_at)
        ]
        return max((row.last_good_at for row in since_before if row.last_good_at is not None), default=None)


class PlainCadence(Cadence):
    """A cadence that is worked out anew at every step."""

    __slots__ = ()

    def use(self, tx: Transaction, changed: Mapping[str, Row | None], awaited: AbstractSet[str]) -> None:
        rows, checks, fast = tx.rows(), tx.model.checks, self.fast
        wanted = {c for c in fast | set(changed) if c in rows and detector.suspicious(rows[c])}
        needed = {
            name
            for c in wanted
            if rows[c].bad_streak > 0 and rows[c].verdict in (Verdict.UP, Verdict.DEGRADED)
            for service in tx.model.services.values()
            if c in service.healthy_when.checks()
            for other in dependencies(tx, service)
            for name in tx.model.services[other].healthy_when.checks()
        }
        wanted |= (awaited | needed) & checks.keys()
        cadence = {c: checks[c].fast_s for c in wanted - fast} | {c: checks[c].every_s for c in fast - wanted}
        self.fast = wanted
        if cadence:
            tx.command(UseCadence(cadence))
        if fresh := tuple(sorted(c for c in wanted & (awaited | needed) if c in cadence)):
            tx.command(ProbeNow(fresh))


class PlainTimers(Timers):
    """Timers that are looked through each time."""

    __slots__ = ()

    def set(self, check: str, at: float) -> None:
        self._at[check] = at
        self._heap.append((at, check))

    def next_at(self) -> float:
        return min(self._heap)[0] if self._heap else FOREVER

    def up(self, now: float) -> str | None:
        while self._heap and min(self._heap)[0] <= now:
            at, name = timer = min(self._heap)
            if self._at.get(name) == at:
                return name
            self._heap.remove(timer)
        return None

    def drop(self) -> None:
        timer = min(self._heap)
        self._heap.remove(timer)
        del self._at[timer[1]]


class PlainDetectors(Detectors):
    """Detectors that leave nothing out."""

    def _make_timers(self) -> Timers:
        return PlainTimers()

    def observed(self, tx: Transaction, seen: e.Observed) -> bool:
        check = tx.model.checks.get(seen.check)
        if check is None:
            return False
        row = self.rows.get(check.id)
        if row is None:
            row = self.rows[check.id] = Row(last_sent_at=math.nextafter(seen.sent_at, -math.inf))
            self._watch(check.id)
        was_suspended = row.suspended_at
        references = [(self.rows[c], tx.model.checks[c]) for c in tx.references(check.vantage) if c in self.rows]
        in_sight = any(detector.vouches(reference, of, seen.sent_at) for reference, of in references)
        silent_at = seen.sent_at if seen.answer is e.Answer.SILENT else row.last_silent_at or row.silent_at
        reference_at = tx.reference_at(check.vantage, silent_at)
        verdict = detector.observe(row, check, seen, reference_at, tx.now(), in_sight=in_sight)
        self.changed[check.id] = row
        if row.suspended_at is not None and was_suspended is None:
            self._watch(check.id)
            tx.ask_now(tx.references(check.vantage))
        changed = self._set_verdict(tx, check, row, verdict)
        if check.reference and seen.answer is e.Answer.GOOD:
            for name, row in self.rows.items():
                other = tx.model.checks[name]
                if row.suspended_at is not None and other.vantage == check.vantage:
                    changed |= self._confirm(tx, other, row)
        return changed or check.id in self._resting.awaited or check.reference

    def _confirm(self, tx: Transaction, check: Check, row: Row) -> bool:
        verdict = detector.reconsider(row, check, tx.reference_at(check.vantage, row.last_silent_at), tx.now())
        self.changed[check.id] = row
        return self._set_verdict(tx, check, row, verdict)

    def overdue(self, now: float) -> str | None:
        while (name := self._timers.up(now)) is not None and not (name in self.rows and name in self._checks):
            self._timers.drop()
        return name


class PlainEngine(Engine):
    """An engine without a short way."""

    _detectors: PlainDetectors

    def _make_detectors(self, model: Model, rows: Mapping[str, Row]) -> Detectors:
        return PlainDetectors(model, rows, self._resting)

    def _learn(self, model: Model) -> None:
        super()._learn(model)
        self._cadence = PlainCadence(model)

    def tx(self, now: float) -> Transaction:
        return PlainTurn(self.model, self.decided, self.rows, now, watch=self._watching)

    def step(self, event: e.Event, now: float) -> Outcome:
        if not isinstance(event, e.Observed):
            return super().step(event, now)
        if self.attends and now - self._now > ASLEEP_S:
            self._watching = Watch(now, "the controller, which had stood still, went on")
        self._now, tx, changed = now, self.transaction(now), self._detectors.begin()
        relevant = self._detectors.observed(tx, event)
        relevant |= self._detectors.reconsider(tx)
        if relevant or now >= self._resting.decide_at:
            self._decide(tx)
        if now >= self._lacks.look_at:
            doubts.look(tx, self._lacks)
        invariants.check(tx, event)
        self._cadence.use(tx, changed, self._resting.awaited)
        return Outcome(tuple(tx.records), changed, tuple(tx.commands), self._wake_at(now))

    def _wake_at(self, now: float) -> float:
        return max(min(self._resting.decide_at, self._lacks.look_at, self._detectors.due_at()), now + 0.005)

    def _decide(self, tx: Transaction) -> None:
        for _ in range(20):
            before = len(tx.records)
            tx.wake_at = FOREVER
            for unfinished in self.decided.unfinished_runs():
                run.advance(tx, unfinished)
            for drill in self.decided.unfinished_drills() if self.attends else ():
                drilling.attend(tx, drill)
            for service in order(tx):
                if self.attends:
                    incident.attend(tx, service)
            if len(tx.records) == before:
                break
        self._resting.decide_at = tx.wake_at
        self._resting.awaited = awaited(tx)
