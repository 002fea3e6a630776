"""The detectors of all checks together: their rows, and how answers and time change them.

The one rule it keeps: each answer goes through its check's detector (`detector.py`). Only work is skipped that could
not have another result.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Container, Mapping
from typing import NamedTuple

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.events import Answer
from orchestrator.core.health import detector
from orchestrator.core.health.detector import Row
from orchestrator.core.health.references import blind, in_sight_at, reference_at
from orchestrator.core.model import Check, Model
from orchestrator.core.resting import Resting
from orchestrator.core.transaction import FOREVER, Transaction

Changed = dict[str, Row | None]


class Heard(NamedTuple):
    """An answer that something may come of."""

    check: Check
    row: Row
    verdict: r.Verdict
    suspended: bool  # with this answer
    good: bool
    again: bool  # the same as before, and nobody who waits can make more of it


class Timers:
    """One timer a check, for what time alone may change in its verdict."""

    __slots__ = ("_at", "_heap")

    def __init__(self) -> None:
        """No timer runs."""
        self._heap: list[tuple[float, str]] = []
        self._at: dict[str, float] = {}  # others of this check in the heap are void

    def set(self, check: str, at: float) -> None:
        """Set the check's timer, in place of the one it has."""
        self._at[check] = at
        heapq.heappush(self._heap, (at, check))

    def clear(self) -> None:
        """Stop them all."""
        self._heap.clear()
        self._at.clear()

    def next_at(self) -> float:
        """When the first of them is up; some that are void may be up sooner."""
        return self._heap[0][0] if self._heap else FOREVER

    def up(self, now: float) -> str | None:
        """A check whose timer is up, and which stays so until `drop`."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, name = heap[0]
            if self._at.get(name) == at:
                return name
            heapq.heappop(heap)
        return None

    def drop(self) -> None:
        """Take away the timer that `up` has named."""
        _, name = heapq.heappop(self._heap)
        del self._at[name]

    def __len__(self) -> int:
        return len(self._heap)


class Detectors:
    """The rows of all checks of a model, and those that have `changed` since the last `begin`."""

    def __init__(self, model: Model, rows: Mapping[str, Row], resting: Resting) -> None:
        """Rows of checks that the model does not have are left out; `resting` is roused by changed verdicts."""
        self.rows: dict[str, Row] = {c: row for c, row in rows.items() if c in model.checks}
        self.changed: Changed = {}
        self._resting = resting
        self._suspended = {c for c, row in self.rows.items() if row.suspended_at is not None}  # and some no more
        self._timers = self._make_timers()
        self.due_at = self._timers.next_at  # when time alone may change a verdict; never later than that
        self._learn(model)
        for check in self.rows:
            self._watch(check)

    def _make_timers(self) -> Timers:
        return Timers()

    def _learn(self, model: Model) -> None:
        """What follows from the model alone."""
        self._checks: Mapping[str, Check] = model.checks
        self._model = model
        self.references: dict[str, tuple[str, ...]] = {}  # of each vantage, as far as they were looked up
        self._sights = tuple(sorted({c.vantage for c in model.checks.values() if c.reference}))

    def _references_of(self, vantage: str) -> tuple[str, ...]:
        """Ids of the vantage's reference checks, looked up once."""
        found = self.references.get(vantage)
        if found is None:
            found = self.references[vantage] = self._model.references(vantage)
        return found

    def sight(self, now: float) -> dict[str, bool]:
        """Which vantages are blind now."""
        return {vantage: blind(self.rows, self._checks, self._references_of(vantage), now) for vantage in self._sights}

    def begin(self) -> Changed:
        """Another step begins: nothing has changed yet. What will have is returned as it is noted."""
        self.changed = {}
        return self.changed

    # ---- answers

    def calm(self, now: float) -> bool:
        """Whether nothing would come of deciding now: all rests, and the same vantages are blind."""
        return self._resting.all and self.sight(now) == self._resting.blind

    def take(self, seen: e.Observed, now: float, fast: Container[str]) -> Heard | None:
        """Let the detector take one answer in; None when nothing but its row can have changed.

        `fast`: checks that are asked faster.
        """
        check = self._checks.get(seen.check)
        if check is None:
            return None
        name, vantage, rows = check.id, check.vantage, self.rows
        row = rows.get(name)
        if row is None:
            row = rows[name] = Row()
            row.last_sent_at = math.nextafter(seen.sent_at, -FOREVER)  # just before, however old the workspace
            self._watch(name)
        was_suspended = row.suspended_at
        again = row.last_answer is seen.answer and no_news(check, row, rows, self._resting)
        at, in_sight = None, True
        if detector.needs_references(check, seen.answer):
            references = self._references_of(vantage)
            silent_at = seen.sent_at if seen.answer is Answer.SILENT else row.last_silent_at or row.silent_at
            at = reference_at(rows, references, silent_at)
            in_sight = in_sight_at(rows, self._checks, references, seen.sent_at)
        verdict = detector.observe(row, check, seen, at, now, in_sight=in_sight)
        self.changed[name] = row
        suspended = row.suspended_at is not None and was_suspended is None
        news = verdict is not row.verdict or suspended or detector.suspicious(row)
        asked_for = name in fast or (check.reference and (self._suspended or not self.calm(now)))
        if not (news or asked_for):
            return None
        again = again and not suspended and (row.bad_streak > check.fall or not row.bad_streak)
        return Heard(check, row, verdict, suspended, seen.answer is Answer.GOOD, again)

    def follow(self, tx: Transaction, heard: Heard) -> bool:
        """See to what an answer brought; whether anything but its row may have changed."""
        check, row, verdict, suspended, good, again = heard
        if suspended:
            self._suspended.add(check.id)
            self._watch(check.id)
            tx.ask_now(tx.references(check.vantage))
        changed = self._set_verdict(tx, check, row, verdict)
        if check.reference and good:
            changed |= self._confirm_silences(tx, check.vantage)
        return changed or (not again and (check.id in self._resting.awaited or check.reference))

    def _confirm_silences(self, tx: Transaction, vantage: str) -> bool:
        changed = False
        for name in [c for c in self.rows if c in self._suspended] if self._suspended else ():
            row, check = self.rows[name], self._checks[name]
            if row.suspended_at is None:
                self._suspended.discard(name)
            elif check.vantage == vantage:
                verdict = detector.reconsider(row, check, tx.reference_at(vantage, row.last_silent_at), tx.now())
                self.changed[name] = row
                changed |= self._set_verdict(tx, check, row, verdict)
        return changed

    # ---- time

    def overdue(self, now: float) -> str | None:
        """A check that time must be told of now; timers of checks that have answered since are set forward."""
        while (name := self._timers.up(now)) is not None:
            row, check = self.rows.get(name), self._checks.get(name)
            if check is None or row is None:
                self._timers.drop()  # watched again with its next answer
            elif row.suspended_at is not None or now > row.last_sent_at + check.stale_after_s:
                return name
            else:
                self._timers.drop()
                self._watch(name, not_before=now + check.every_s)
        return None

    def reconsider(self, tx: Transaction) -> bool:
        """Let time tell: silences that no reference confirmed, and checks without any answer for too long."""
        changed = False
        while (name := self.overdue(tx.now())) is not None:
            self._timers.drop()
            row, check = self.rows[name], self._checks[name]
            confirmed_at = tx.reference_at(check.vantage, row.last_silent_at)
            verdict = detector.reconsider(row, check, confirmed_at, tx.now())
            if verdict is not row.verdict:
                self.changed[name] = row
                changed |= self._set_verdict(tx, check, row, verdict)
            self._watch(name, not_before=tx.now() + check.every_s)
        return changed

    def _watch(self, check: str, not_before: float = 0.0) -> None:
        """Reconsider this check when time alone may change its verdict."""
        self._timers.set(check, max(detector.wake_at(self.rows[check], self._checks[check]), not_before))

    def _set_verdict(self, tx: Transaction, check: Check, row: Row, verdict: r.Verdict) -> bool:
        if verdict is row.verdict:
            return False
        was, row.verdict = row.verdict, verdict
        self._resting.rouse(check.id)
        first_bad_at = row.first_bad_at
        if verdict is r.Verdict.DOWN and first_bad_at is None:  # by its window
            first_bad_at = next((at for at, rtt_s in row.window if rtt_s < 0), tx.now())
        evidence = detector.evidence(row, check, tx.now())
        tx.record(r.VerdictChanged(tx.now(), check.id, was, verdict, first_bad_at, evidence, dict(row.measures)))
        return True

    # ---- models and controllers

    def configure(self, tx: Transaction, model: Model) -> None:
        """Another model is in force: changed checks start unknown again."""
        before = self._checks
        self._learn(model)
        tx.configure(model, self.references)
        for name in list(self.rows):
            if name not in model.checks or model.checks[name] != before.get(name):
                was = self.rows.pop(name).verdict
                self.changed[name] = None
                if was is not r.Verdict.UNKNOWN:
                    evidence = f"{name}: {'changed' if name in model.checks else 'removed'} by the configuration"
                    tx.record(r.VerdictChanged(tx.now(), name, was, r.Verdict.UNKNOWN, None, evidence))
        self._suspended &= self.rows.keys()
        self._timers.clear()
        for name in self.rows:
            self._watch(name)

    def forget(self) -> None:
        """The machine has begun anew: what was known before it did is void, for the next start in this boot, too."""
        self.changed.update(dict.fromkeys(self.rows))
        self.rows.clear()
        self._suspended.clear()


def no_news(check: Check, row: Row, rows: Mapping[str, Row], resting: Resting) -> bool:
    """Whether another answer like the last one in `row` is no news to anybody who waits.

    All that it may be held against is on record, from before that last one was asked for. Measurements are news, and
    so is a reference's answer while somebody's silence waits for it.
    """
    if row.last_sent_at < resting.recorded_at or "data_age_s" in row.measures or "lag_s" in row.measures:
        return False
    if not check.reference:
        return True
    others = (other for c in resting.awaited if (other := rows.get(c)) is not None)
    return all(x.last_answer is not Answer.SILENT or x.last_sent_at <= row.last_sent_at for x in others)
