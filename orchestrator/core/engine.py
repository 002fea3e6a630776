"""The engine: one event in, one atomic outcome out.

    engine.step(event, now) -> Outcome(records, rows, commands, wake_at)

The one rule it keeps: it is told the time and everything else, and it does nothing. Its outcome must be durable before
any of its commands is carried out. If that fails, throw the engine away and rebuild it from the journal.

Most answers only confirm what is known. Each still goes through its detector (`detectors.py`). Only work is skipped
whose inputs have not changed since it was last done: see `resting.py`, and `steady` in `cadence.py`.

If many answers have come at once (`more`), each goes through the detector in a step of its own, with its changed
verdict recorded. Deciding waits for the last of them, as it would have if they had come a moment later.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from orchestrator.core import events as e
from orchestrator.core import invariants, notices
from orchestrator.core import records as r
from orchestrator.core.awareness import doubts
from orchestrator.core.cadence import Cadence, awaited
from orchestrator.core.commands import Command, UseCadence
from orchestrator.core.deciding import drilling, findings, incident, recovery, scheduling, words
from orchestrator.core.health.detector import Row
from orchestrator.core.health.detectors import Detectors, Heard
from orchestrator.core.model import Model, Service
from orchestrator.core.resting import Resting, only_verdicts
from orchestrator.core.rules.policy import order
from orchestrator.core.runs import run, steps
from orchestrator.core.state.decided import Decided
from orchestrator.core.transaction import FOREVER, Basis, Transaction, Watch

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


def _open_window(tx: Transaction, event: e.MaintenanceBegan) -> None:
    tx.record(r.WindowOpened(tx.now(), event.subject, event.window, event.ends_at))


def _close_window(tx: Transaction, event: e.MaintenanceEnded) -> None:
    tx.record(r.WindowClosed(tx.now(), event.subject, event.window))


Hear = Mapping[type[e.Event], Callable[[Transaction, Any], bool | None]]
HEAR: Hear = {
    e.StepEnded: run.step_ended,
    e.StepAdopted: run.step_adopted,
    e.StepProgressed: lambda _turn, _event: False,
    e.PlaybooksRead: lambda tx, event: run.see(tx, event.found),
    e.WordSpoken: words.hear,
    e.NoticeDelivered: notices.settle,
    e.NoticeFailed: notices.settle,
    e.MaintenanceBegan: _open_window,
    e.MaintenanceEnded: _close_window,
    e.CalendarRead: scheduling.read,
    e.DrillNear: scheduling.near,
    e.DrillSealed: scheduling.seal,
    e.DrillDue: scheduling.due,
    e.DrillsPassed: scheduling.passed,
    e.Ticked: lambda _turn, _event: None,
}
"""What is done with each kind of event before anything is decided; False: nothing need be decided for its sake.

An answer has a way of its own (`Engine.step`), and what changes the engine itself is in `Engine`.
"""


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
        self._resting = Resting()
        self._detectors = self._make_detectors(model, rows or {})
        self._lacks = doubts.Memory(look_at=0.0 if attends else FOREVER)
        self._watching = Watch(self.decided.controller.at if self.decided.controller is not None else 0.0)
        self._now = 0.0
        own: Hear = {e.ConfigurationLoaded: self._configure, e.ControllerStarted: self._controller_started}
        self._hear: Hear = {**HEAR, **own}
        self._learn(model)

    def _make_detectors(self, model: Model, rows: Mapping[str, Row]) -> Detectors:
        return Detectors(model, rows, self._resting)

    def _learn(self, model: Model) -> None:
        """What follows from the model alone."""
        self._cadence = Cadence(model)
        self._order: list[Service] | None = None

    @property
    def rows(self) -> dict[str, Row]:
        """What is known of each check's answers, by its id."""
        return self._detectors.rows

    def copy(self) -> Engine:
        """An engine of the same knowledge, to try something on (a dry run)."""
        other = Engine(self.model, copy.deepcopy(self.decided), copy.deepcopy(self.rows), attends=self.attends)
        other._watching = copy.deepcopy(self._watching)
        return other

    def recover(self, now: float) -> Outcome:
        """After a rebuild within the same controller's life: what is outstanding has to be accounted for again."""
        self._now, self._watching = now, Watch(now, "the controller could write again")
        tx = self.transaction(now)
        tx.command(UseCadence({c.id: c.every_s for c in self.model.checks.values()}))  # whatever it was before
        self._resend(tx)
        self._decide(tx)
        invariants.check(tx)
        self._cadence.use(tx, self.rows, self._resting.awaited)
        return Outcome(tuple(tx.records), {}, tuple(tx.commands), max(self._resting.decide_at, now + SOONEST_S))

    def transaction(self, now: float) -> Transaction:
        """What is known now, for questions: record nothing through it."""
        return Transaction(self.model, self.decided, self.rows, now, self._detectors.references, self._watching)

    def step(self, event: e.Event, now: float, *, more: bool = False) -> Outcome:
        """Take one event; see the module's head. Times never fall. `more`: another step follows at once."""
        if now < self._now:
            raise TimeFell(f"it was {self._now} and is {now} now: the journal's axis never falls")
        if self.attends and now - self._now > ASLEEP_S:
            self._watching = Watch(now, "the controller, which had stood still, went on")
            self._lacks.seen.clear()  # nobody saw whether it went on being lacking
        self._now = now
        detectors, resting = self._detectors, self._resting
        changed = detectors.begin()
        heard: Heard | None = None
        if isinstance(event, e.Observed):
            heard = detectors.take(event, now, self._cadence.fast)
            quiet = heard is None
        else:
            quiet = isinstance(event, e.Ticked) and detectors.calm(now)
        overdue = detectors.due_at() <= now and detectors.overdue(now) is not None
        idle = quiet and self._cadence.steady and not overdue and not resting.due(now)
        if idle and now < self._lacks.look_at:
            return Outcome((), changed, (), self._wake_at(now))  # invariants are about records: there is none
        tx = self.transaction(now)
        if isinstance(event, e.Observed):
            relevant = heard is not None and detectors.follow(tx, heard)
        else:
            relevant = not idle and self._hear[type(event)](tx, event) is not False
        relevant |= detectors.reconsider(tx)
        if relevant or resting.due(now):
            if more:
                resting.postpone(tx.records)
            else:
                self._decide(tx)
        if not more and (now >= self._lacks.look_at or isinstance(event, e.ConfigurationLoaded)) and self.attends:
            doubts.look(tx, self._lacks)
        resting.recorded(tx.records, now)
        invariants.check(tx, event)
        self._cadence.use(tx, changed, resting.awaited)
        return Outcome(tuple(tx.records), changed, tuple(tx.commands), self._wake_at(now))

    def _wake_at(self, now: float) -> float:
        at, soonest = now if self._resting.put_off else self._resting.decide_at, now + SOONEST_S
        if (due_at := self._detectors.due_at()) < at:
            at = due_at
        if self._lacks.look_at < at:
            at = self._lacks.look_at
        return at if at > soonest else soonest

    # ---- what changes the engine itself

    def _configure(self, tx: Transaction, event: e.ConfigurationLoaded) -> None:
        """Put a model in force; changed checks start unknown again."""
        before, model = self.model, event.model
        known = recovery.known_until(tx) if self.attends else {}
        self.model = model
        self._learn(model)
        self._detectors.configure(tx, model)
        self._watching.configured(before, model, tx.now())
        self._resting.forget()
        homes = {s.id: s.home for s in model.services.values() if s.id not in self.decided.services}
        if model.digest != self.decided.configuration or homes:
            tx.record(r.Configured(tx.now(), model.digest, homes))
        recovery.doubt_since(tx, known)

    def _controller_started(self, tx: Transaction, event: e.ControllerStarted) -> None:
        began = r.ControllerBegan(
            tx.now(),
            event.controller,
            event.epoch,
            event.boot,
            event.same_boot,
            event.assumed_gap_s,
            event.machine,
            event.workspace if event.anew else self.decided.workspace or event.workspace,
        )
        tx.record(began)
        self._watching.began(tx.now())
        if not event.same_boot:
            self._detectors.forget()
        self._resend(tx)

    def _resend(self, tx: Transaction) -> None:
        """The commands outstanding, as the decided state has them."""
        for unfinished in self.decided.unfinished_runs():
            run.take_over(tx, unfinished)
            tx.ask_now(steps.awaited(tx, unfinished))
        notices.resend(tx)

    # ---- deciding

    def _decide(self, tx: Transaction) -> None:
        """Take runs and incidents as far as they go now.

        A service that rests is attended again only once something was recorded in this transaction, beside verdicts
        that it did not ask for (the others have roused it): until then all that it asked for last time is as it was,
        so that the same, nothing, would come of it.
        """
        resting = self._resting
        resting.put_off = False
        if self._order is None:
            self._order = order(tx)
        services = self._order if self.attends else []
        resting.see(self._detectors.sight(tx.now()))
        for _ in range(ROUNDS):
            before = len(tx.records)
            tx.wake_at = FOREVER
            notices.repeat(tx)
            for unfinished in self.decided.unfinished_runs():
                run.advance(tx, unfinished)
            for drill in self.decided.unfinished_drills() if self.attends else ():
                drilling.attend(tx, drill)
            for schedule in self.decided.schedules.values() if self.attends else ():
                scheduling.attend(tx, schedule)
            if self.attends:
                findings.chase(tx)
            news = not only_verdicts(tx.records)
            for service in services:
                if service.id not in resting.services or (news := news or len(tx.records) > before):
                    self._attend(tx, service)
            if len(tx.records) == before:
                break
        else:
            last = [type(x).__name__ for x in tx.records[-6:]]
            raise Undecided(f"no rest after {ROUNDS} rounds; the last records: {', '.join(last)}")
        going = bool(self.decided.unfinished_runs() or self.decided.unfinished_drills())
        resting.decided(services, tx.wake_at, awaited(tx), runs=going)

    def _attend(self, tx: Transaction, service: Service) -> None:
        basis = tx.basis = Basis()
        incident.attend(tx, service)
        self._resting.attended(service.id, basis)
