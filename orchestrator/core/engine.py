"""The engine: one event in, one atomic outcome out.

    engine.step(event, now) -> Outcome(records, rows, commands, wake_at)

The one rule it keeps: it is told the time and everything else, and it does nothing; its outcome must be durable
before any of its commands is carried out. If that fails, throw the engine away and rebuild it from the journal.

Most answers only confirm what is known. Each goes through the detector all the same; what is spared is the work whose
inputs are as they were when it was last done. Three notes say so, and each is set where that work is done:

    `_cadence.steady`   the cadence in use is the one that the rows and whoever waits ask for
    `_resting`          services that asked for verdicts and what is decided alone, and nothing came of it
    `_blind`            which vantages were blind then: that changes with time and the references' answers, unrecorded

Where many answers have come at once (`more`), each goes through the detector, and a changed verdict is recorded, in a
step of its own; deciding waits for the last of them, as it would have if they had come a moment later.
"""

from __future__ import annotations

import copy
import heapq
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from orchestrator.core import detector, doubts, incident, invariants, notices, run, steps, words
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.cadence import Cadence
from orchestrator.core.commands import Command, UseCadence
from orchestrator.core.decided import Decided
from orchestrator.core.detector import Row
from orchestrator.core.heard import Heard, awaited, in_sight_at, no_news
from orchestrator.core.model import Check, Model, Service
from orchestrator.core.policy import order
from orchestrator.core.turn import FOREVER, Turn, Watch, blind, reference_at

ROUNDS = 20  # of deciding within one step; more means that two rules undo each other
ASLEEP_S = 1.5 * doubts.LOOK_S  # a controller that was not called for so long has stood still
SOONEST_S = 0.005  # a wake-up is never sooner: an overdue one must not spin


class TimeFell(Exception):
    """An event came with an earlier time than the one before it: whoever keeps the axis has a defect."""


class Undecided(Exception):
    """Two rules undo each other: deciding did not come to rest."""


class Outcome(NamedTuple):
    """What one step came to. `rows` are the changed detector rows, committed with the records; None: forget it."""

    records: tuple[r.Record, ...] = ()
    rows: Mapping[str, Row | None] = MappingProxyType({})
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
        self._awaited: set[str] = set()
        self._decide_at = 0.0
        self._stale: list[tuple[float, str]] = []
        self._watched: dict[str, float] = {}  # a check's one timer in `_stale`; others there are void
        self._suspended = {c for c, row in self.rows.items() if row.suspended_at is not None}  # and some no more
        self._now = 0.0
        self._resting: set[str] = set()
        self._recorded_at = FOREVER  # not known after a start
        self._at_rest = False  # all services rest, and nothing runs
        self._put_off = False  # there is something to decide since an answer that others followed at once
        self._askers: dict[str, set[str]] = {}  # check to the services that asked for its verdict when attended
        self._blind: dict[str, bool] = {}
        self._look_at = 0.0 if attends else FOREVER  # at what cannot be seen or done: see `doubts.py`
        self._lacks = doubts.Memory()
        self._watching = Watch(self.decided.controller.at if self.decided.controller is not None else 0.0)
        self._learn(model)
        for check in self.rows:
            self._watch(check)

    def _learn(self, model: Model) -> None:
        """What follows from the model alone."""
        self._cadence = Cadence(model)
        self._order: list[Service] | None = None
        self._references: dict[str, tuple[str, ...]] = {}
        self._sights = tuple(sorted({c.vantage for c in model.checks.values() if c.reference}))

    def copy(self) -> Engine:
        """An engine of the same knowledge, to try something on (a dry run)."""
        other = Engine(self.model, copy.deepcopy(self.decided), copy.deepcopy(self.rows), attends=self.attends)
        other._watching = copy.deepcopy(self._watching)
        return other

    def recover(self, now: float) -> Outcome:
        """After a rebuild within the same controller's life: what is outstanding has to be accounted for again."""
        self._now, self._watching = now, Watch(now, "the controller could write again")
        turn = self.turn(now)
        turn.command(UseCadence({c.id: c.every_s for c in self.model.checks.values()}))  # whatever it was before
        self._resend(turn)
        self._decide(turn)
        invariants.check(turn)
        self._cadence.use(turn, self.rows, self._awaited)
        return Outcome(tuple(turn.records), {}, tuple(turn.commands), max(self._decide_at, now + SOONEST_S))

    def turn(self, now: float) -> Turn:
        """What is known now, for questions: record nothing through it."""
        return Turn(self.model, self.decided, self.rows, now, self._references, self._watching)

    def step(self, event: e.Event, now: float, *, more: bool = False) -> Outcome:
        """Take one event; see the module's head. Times never fall. `more`: another step follows at once."""
        if now < self._now:
            raise TimeFell(f"it was {self._now} and is {now} now: the journal's axis never falls")
        if self.attends and now - self._now > ASLEEP_S:
            self._watching = Watch(now, "the controller, which had stood still, went on")
        self._now = now
        dirty: dict[str, Row | None] = {}
        heard: Heard | None = None
        if isinstance(event, e.Observed):
            heard = self._take(event, now, dirty)
            quiet = heard is None
        else:
            quiet = isinstance(event, e.Ticked) and self._rests(now)
        due = bool(self._stale) and self._stale[0][0] <= now and self._overdue(now) is not None
        due = due or self._put_off or now >= self._decide_at
        idle = quiet and self._cadence.steady and not due
        if idle and now < self._look_at:
            return Outcome((), dirty, (), self._wake_at(now))  # invariants are about records: there is none
        turn = self.turn(now)
        relevant = not idle
        if isinstance(event, e.Observed):
            relevant = heard is not None and self._follow(turn, heard, dirty)
        elif isinstance(event, e.StepEnded):
            run.step_ended(turn, event)
        elif isinstance(event, e.WordSpoken):
            words.hear(turn, event)
        elif isinstance(event, e.PlaybooksRead):
            relevant = run.see(turn, event.found)
        elif isinstance(event, e.ConfigurationLoaded):
            turn = self._configure(turn, event.model, dirty)
        elif isinstance(event, e.ControllerStarted):
            self._controller_started(turn, event, dirty)
        elif isinstance(event, e.StepAdopted):
            run.step_adopted(turn, event)
        elif isinstance(event, e.NoticeDelivered | e.NoticeFailed):
            notices.settle(turn, event)
        elif isinstance(event, e.MaintenanceBegan):
            turn.record(r.WindowOpened(now, event.subject, event.window, event.ends_at))
        elif isinstance(event, e.MaintenanceEnded):
            turn.record(r.WindowClosed(now, event.subject, event.window))
        elif isinstance(event, e.StepProgressed):
            relevant = False
        relevant |= self._reconsider(turn, dirty)
        if relevant or now >= self._decide_at or self._put_off:
            self._put_off = more
            if not more:
                self._decide(turn)
            elif any(not isinstance(x, r.VerdictChanged) for x in turn.records):
                self._resting.clear()
        if self.attends and not more and (now >= self._look_at or isinstance(event, e.ConfigurationLoaded)):
            self._look_at = doubts.look(turn, self._lacks)
        if turn.records:
            self._recorded_at = now
        invariants.check(turn)
        self._cadence.use(turn, dirty, self._awaited)
        return Outcome(tuple(turn.records), dirty, tuple(turn.commands), self._wake_at(now))

    def _wake_at(self, now: float) -> float:
        at, soonest = now if self._put_off else self._decide_at, now + SOONEST_S
        if self._stale and self._stale[0][0] < at:
            at = self._stale[0][0]
        if self._look_at < at and self.attends:
            at = self._look_at
        return at if at > soonest else soonest

    # ---- events

    def _take(self, seen: e.Observed, now: float, dirty: dict[str, Row | None]) -> Heard | None:
        """Let the detector take one answer in; None when nothing but its row can have changed."""
        check = self.model.checks.get(seen.check)
        if check is None:
            return None
        name, vantage, rows = check.id, check.vantage, self.rows
        row = rows.get(name)
        if row is None:
            row = rows[name] = Row()
            row.last_sent_at = math.nextafter(seen.sent_at, -FOREVER)  # just before, however old the workspace
            self._watch(name)
        was_suspended = row.suspended_at
        again = row.last_answer is seen.answer and no_news(check, row, rows, self._recorded_at, self._awaited)
        at, in_sight = None, True
        if detector.needs_references(check, seen.answer):
            references = self._references_of(vantage)
            silent_at = seen.sent_at if seen.answer is e.Answer.SILENT else row.last_silent_at or row.silent_at
            at = reference_at(rows, references, silent_at)
            in_sight = in_sight_at(rows, self.model.checks, references, seen.sent_at)
        verdict = detector.observe(row, check, seen, at, now, in_sight=in_sight)
        dirty[name] = row
        suspended = row.suspended_at is not None and was_suspended is None
        news = verdict is not row.verdict or suspended or detector.suspicious(row)
        asked_for = name in self._cadence.fast or (check.reference and (self._suspended or not self._rests(now)))
        if not (news or asked_for):
            return None
        again = again and not suspended and (row.bad_streak > check.fall or not row.bad_streak)
        return Heard(check, row, verdict, suspended, seen.answer is e.Answer.GOOD, again)

    def _rests(self, now: float) -> bool:
        """Whether nothing would come of deciding now: all services rest, nothing runs, the same vantages are blind."""
        return self._at_rest and self._sight(now) == self._blind

    def _sight(self, now: float) -> dict[str, bool]:
        rows, checks, references = self.rows, self.model.checks, self._references_of
        return {vantage: blind(rows, checks, references(vantage), now) for vantage in self._sights}

    def _references_of(self, vantage: str) -> tuple[str, ...]:
        found = self._references.get(vantage)
        if found is None:
            found = self._references[vantage] = self.model.references(vantage)
        return found

    def _follow(self, turn: Turn, heard: Heard, dirty: dict[str, Row | None]) -> bool:
        """See to what an answer brought; whether anything but its row may have changed."""
        check, row, verdict, suspended, good, again = heard
        if suspended:
            self._suspended.add(check.id)
            self._watch(check.id)
            turn.ask_now(turn.references(check.vantage))
        changed = self._set_verdict(turn, check, row, verdict)
        if check.reference and good:
            changed |= self._confirm_silences(turn, check.vantage, dirty)
        return changed or (not again and (check.id in self._awaited or check.reference))

    def _confirm_silences(self, turn: Turn, vantage: str, dirty: dict[str, Row | None]) -> bool:
        changed = False
        for name in [c for c in self.rows if c in self._suspended] if self._suspended else ():
            row = self.rows[name]
            if row.suspended_at is None:
                self._suspended.discard(name)
                continue
            if self.model.checks[name].vantage != vantage:
                continue
            confirmed_at = turn.reference_at(vantage, row.last_silent_at)
            verdict = detector.reconsider(row, self.model.checks[name], confirmed_at, turn.now)
            dirty[name] = row
            changed |= self._set_verdict(turn, self.model.checks[name], row, verdict)
        return changed

    def _reconsider(self, turn: Turn, dirty: dict[str, Row | None]) -> bool:
        """Let time tell: silences that no reference confirmed, and checks without any answer for too long."""
        changed = False
        while (name := self._overdue(turn.now)) is not None:
            heapq.heappop(self._stale)
            row, check = self.rows[name], self.model.checks[name]
            confirmed_at = turn.reference_at(check.vantage, row.last_silent_at)
            verdict = detector.reconsider(row, check, confirmed_at, turn.now)
            if verdict is not row.verdict:
                dirty[name] = row
                changed |= self._set_verdict(turn, check, row, verdict)
            self._watch(name, not_before=turn.now + check.every_s)
        return changed

    def _overdue(self, now: float) -> str | None:
        """The check at the head of `_stale` whose time is up; timers of checks that have answered are set forward."""
        while self._stale and self._stale[0][0] <= now:
            at, name = self._stale[0]
            row, check = self.rows.get(name), self.model.checks.get(name)
            if check is not None and row is not None and self._watched.get(name) == at:
                if row.suspended_at is not None or now > row.last_sent_at + check.stale_after_s:
                    return name
                heapq.heappop(self._stale)
                self._watch(name, not_before=now + check.every_s)
            else:
                heapq.heappop(self._stale)  # void, or watched again with its next answer
        return None

    def _set_verdict(self, turn: Turn, check: Check, row: Row, verdict: r.Verdict) -> bool:
        if verdict is row.verdict:
            return False
        was, row.verdict = row.verdict, verdict
        self._resting.difference_update(self._askers.get(check.id, ()))
        first_bad_at = row.first_bad_at
        if verdict is r.Verdict.DOWN and first_bad_at is None:  # by its window
            first_bad_at = next((at for at, rtt_s in row.window if rtt_s < 0), turn.now)
        evidence = detector.evidence(row, check, turn.now)
        turn.record(r.VerdictChanged(turn.now, check.id, was, verdict, first_bad_at, evidence, dict(row.measures)))
        return True

    def _configure(self, turn: Turn, model: Model, dirty: dict[str, Row | None]) -> Turn:
        """Put a model in force; changed checks start unknown again."""
        before = self.model
        self.model = model
        self._learn(model)
        turn = self.turn(turn.now)
        for name in list(self.rows):
            if name not in model.checks or model.checks[name] != before.checks.get(name):
                was = self.rows.pop(name).verdict
                dirty[name] = None
                if was is not r.Verdict.UNKNOWN:
                    evidence = f"{name}: {'changed' if name in model.checks else 'removed'} by the configuration"
                    turn.record(r.VerdictChanged(turn.now, name, was, r.Verdict.UNKNOWN, None, evidence))
        self._watching.configured(before, model, turn.now)
        self._resting.clear()
        self._askers.clear()
        self._suspended &= self.rows.keys()
        self._stale.clear()
        self._watched.clear()
        for name in self.rows:
            self._watch(name)
        homes = {s.id: s.home for s in model.services.values() if s.id not in self.decided.services}
        if model.digest != self.decided.configuration or homes:
            turn.record(r.Configured(turn.now, model.digest, homes))
        return turn

    def _controller_started(self, turn: Turn, event: e.ControllerStarted, dirty: dict[str, Row | None]) -> None:
        began = r.ControllerBegan(
            turn.now, event.controller, event.epoch, event.boot, event.same_boot, event.assumed_gap_s
        )
        turn.record(began)
        self._watching.began(turn.now)
        if not event.same_boot:
            dirty.update(dict.fromkeys(self.rows))  # forgotten for good: the next start may be in the same boot
            self.rows.clear()
            self._suspended.clear()
        self._resend(turn)

    def _resend(self, turn: Turn) -> None:
        """The commands outstanding, as the decided state has them."""
        for unfinished in self.decided.unfinished_runs():
            run.take_over(turn, unfinished)
            turn.ask_now(steps.awaited(turn, unfinished))
        notices.resend(turn)

    # ---- deciding

    def _decide(self, turn: Turn) -> None:
        """Take runs and incidents as far as they go now.

        A service that rests is attended again only once something was recorded in this turn, beside verdicts that it
        did not ask for (the others have roused it): until then all that it asked for last time is as it was, so that
        the same, nothing, would come of it.
        """
        if self._order is None:
            self._order = order(turn)
        services = self._order if self.attends else []
        sight = self._sight(turn.now)
        if sight != self._blind:
            self._blind = sight
            self._resting.clear()
        for _ in range(ROUNDS):
            before = len(turn.records)
            turn.wake_at = FOREVER
            notices.repeat(turn)
            for unfinished in self.decided.unfinished_runs():
                run.advance(turn, unfinished)
            news = any(not isinstance(x, r.VerdictChanged) for x in turn.records)
            for service in services:
                if service.id not in self._resting or (news := news or len(turn.records) > before):
                    self._attend(turn, service)
            if len(turn.records) == before:
                break
        else:
            last = [type(x).__name__ for x in turn.records[-6:]]
            raise Undecided(f"no rest after {ROUNDS} rounds; the last records: {', '.join(last)}")
        self._decide_at = turn.wake_at
        self._at_rest = len(self._resting) == len(services) and not self.decided.unfinished_runs()
        self._awaited = awaited(turn)

    def _attend(self, turn: Turn, service: Service) -> None:
        turn.looked_closer, turn.asked = False, set()
        incident.attend(turn, service)
        if turn.looked_closer:
            self._resting.discard(service.id)
        else:
            self._resting.add(service.id)
            for check in turn.asked:
                self._askers.setdefault(check, set()).add(service.id)

    def _watch(self, check: str, not_before: float = 0.0) -> None:
        """Reconsider this check when time alone may change its verdict: one lazy timer a check."""
        at = detector.wake_at(self.rows[check], self.model.checks[check])
        self._watched[check] = max(at, not_before)
        heapq.heappush(self._stale, (self._watched[check], check))
