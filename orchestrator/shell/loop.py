"""The one loop around the core: journal, then act, then sleep until it wants to be woken.

The one rule it keeps: no command is carried out before its entry is durable. When the journal refuses, the engine is
thrown away, nothing is acted on, somebody is told, and the engine is rebuilt from what the journal says. The daemon,
one-shot commands and the simulator run this same loop; they differ in their ports and in who calls `handle`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from orchestrator.core import commands as c
from orchestrator.core import events as e
from orchestrator.core.codec import CodecError, decode, encode
from orchestrator.core.decided import Decided, apply
from orchestrator.core.detector import Row
from orchestrator.core.engine import Engine, Outcome
from orchestrator.core.model import Model
from orchestrator.core.records import RunEnded
from orchestrator.journal.journal import Entry, Journal, JournalUnwritable, StaleEpoch
from orchestrator.journal.lease import Lease
from orchestrator.journal.taken import TakenRows

log = structlog.get_logger(__name__)

ROWS_EVERY_S = 1.0  # detector rows that changed without a record are kept at this beat
REBUILD_EVERY_S = 2.0  # how often a shell that cannot write tries again
TELL_AGAIN_S = 600.0  # a breakage that comes back sooner is not told again
CHECKPOINT_EVERY = 500  # entries
FOREVER = float("inf")

StepCommand = c.RunPlaybook | c.CancelStep | c.SettleStep


@dataclass(slots=True)
class Ports:
    """What carries commands out; each returns at once, and what comes of it comes back as events."""

    steps: Callable[[StepCommand], None]
    probe_now: Callable[[tuple[str, ...]], None]
    use_cadence: Callable[[Mapping[str, float]], None]
    tell: Callable[[c.TellPeople], None]
    answered: Callable[[c.Answered], None] = field(default=lambda _answer: None)
    forget_run: Callable[[str], None] = field(default=lambda _run: None)
    entry: Callable[[Entry], None] = field(default=lambda _entry: None)


class Shell:
    """One engine over one journal, under one lease."""

    def __init__(
        self,
        journal: Journal,
        lease: Lease,
        ports: Ports,
        now: Callable[[], float],
        wall: Callable[[], float],
        *,
        attends: bool = True,
    ) -> None:
        """`now` is the journal's axis. With `attends=False` incidents are left alone: only words and runs go on."""
        self._journal = journal
        self._lease = lease
        self._ports = ports
        self._now = now
        self._wall = wall
        self._attends = attends
        self._rows = TakenRows()  # that changed since rows were written last
        self._rows_at = 0.0
        self._since_checkpoint = 0
        self._started: e.ControllerStarted | None = None
        self._broken: str | None = None
        self._retry_at = 0.0
        self._told_broken = 0
        self._tell_at = 0.0
        self.wake_at = FOREVER
        self.engine = rebuild(journal, attends)

    @property
    def broken(self) -> str | None:
        """Why it cannot act now, or None."""
        return self._broken

    def begin(self, started: e.ControllerStarted) -> None:
        """Take over: what ran is unseen, what was to be told is told."""
        self._started = started
        self.handle(started)

    def configure(self, model: Model) -> list[str]:
        """Put a model in force; the objections if it cannot be now.

        Raises JournalUnwritable, StaleEpoch.
        """
        objections = self.engine.objections(model)
        if not objections:
            self._journal.store_model(model.digest, encode(model))
            self.handle(e.ConfigurationLoaded(model))
            if self._broken is not None:
                return [f"bascule cannot act: {self._broken}"]
        return objections

    def handle(self, event: e.Event) -> None:
        """Take one event: step, commit, act. Raises StaleEpoch when somebody else decides by now."""
        now = self._now()
        if self._broken is not None and not self._mended(now):
            return
        try:
            outcome = self.engine.step(event, now)
        except Exception as defect:  # whatever it is: the engine is half way through a step, and must not be used
            log.exception("defect", event_kind=type(event).__name__)
            self._break(f"defect: {type(defect).__name__}: {defect}", now)
            return
        try:
            self._commit(outcome, now)
        except (JournalUnwritable, CodecError) as refused:
            self._break(str(refused), now)
            return
        self.wake_at = outcome.wake_at
        for command in outcome.commands:
            self._carry_out(command)

    def close(self) -> None:
        """Keep the rows that are still to be kept, and give the lease back."""
        try:
            if self._rows and self._broken is None:
                self._journal.write_rows(self._lease, self._rows)
            self._journal.release(self._lease)
        except (JournalUnwritable, StaleEpoch) as refused:
            log.warning("could not close the journal cleanly", why=str(refused))

    # ---- commit

    def _commit(self, outcome: Outcome, now: float) -> None:
        if outcome.records:  # where this fails, the rows of the step go with its records
            rows = TakenRows(self._rows.values_taken)
            rows.take(outcome.rows)
            entry = self._journal.append(self._lease, now, self._wall(), outcome.records, rows)
            self._rows, self._rows_at = TakenRows(), now
            self._log(entry)
            self._ports.entry(entry)
            for record in outcome.records:
                if isinstance(record, RunEnded):
                    self._ports.forget_run(record.run)
            self._checkpoint(entry)
            return
        self._rows.take(outcome.rows)  # now: the engine goes on changing them, and a later step may fail half way
        if now - self._rows_at >= ROWS_EVERY_S and self._rows:
            self._journal.write_rows(self._lease, self._rows)
            self._rows, self._rows_at = TakenRows(), now

    def _checkpoint(self, entry: Entry) -> None:
        self._since_checkpoint += 1
        if self._since_checkpoint >= CHECKPOINT_EVERY:
            self._since_checkpoint = 0
            try:
                self._journal.checkpoint(entry.seq, encode(self.engine.decided))
            except JournalUnwritable as refused:  # a checkpoint is a cache
                log.warning("no checkpoint was kept", why=str(refused))

    def _log(self, entry: Entry) -> None:
        for record in entry.records:
            fields = {
                k: v for k, v in encode(record).items() if k not in ("at", "tasks", "measures") and v not in ("", None)
            }
            log.info(type(record).__name__, **fields)

    # ---- act

    def _carry_out(self, command: c.Command) -> None:
        ports = self._ports
        if isinstance(command, c.RunPlaybook | c.CancelStep | c.SettleStep):
            ports.steps(command)
        elif isinstance(command, c.ProbeNow):
            ports.probe_now(command.checks)
        elif isinstance(command, c.UseCadence):
            ports.use_cadence(command.cadence)
        elif isinstance(command, c.TellPeople):
            ports.tell(command)
        else:
            ports.answered(command)

    # ---- broken and mended

    def _break(self, why: str, now: float) -> None:
        """Act on nothing from now on; say so, but not at every try of one that comes back; and try again later."""
        if self._broken is None:
            log.error("cannot act", why=why)
        if self._broken is None and now >= self._tell_at:
            self._told_broken += 1
            self._tell_at = now + TELL_AGAIN_S
            notice = f"cannot act/{self._lease.epoch}/{self._told_broken}"
            text = f"bascule cannot act: {why}"
            self._ports.tell(c.TellPeople(notice, c.NoticeKind.CANNOT_ACT, "", "", text))
        self._broken = why
        self._retry_at = now + REBUILD_EVERY_S
        self.wake_at = self._retry_at

    def _mended(self, now: float) -> bool:
        """Rebuild from the journal, if it is time to and it works."""
        if now < self._retry_at or self._started is None:
            self.wake_at = self._retry_at
            return False
        why = self._broken
        try:
            self._journal.write_rows(self._lease, self._rows)
            engine = rebuild(self._journal, self._attends)
            began = engine.decided.epoch == self._lease.epoch  # else even the start was not made durable
            outcome = engine.recover(now) if began else engine.step(self._started, now)
            self._broken, self.engine, self._rows = None, engine, TakenRows()
            self._commit(outcome, now)
        except StaleEpoch:
            raise
        except Exception as refused:
            self._broken = str(refused) or type(refused).__name__
            self._retry_at = now + REBUILD_EVERY_S
            self.wake_at = self._retry_at
            return False
        log.info("can act again", after=why)
        self.wake_at = outcome.wake_at
        for command in outcome.commands:
            self._carry_out(command)
        return True


def rebuild(journal: Journal, attends: bool = True) -> Engine:
    """The engine as the journal has it: the newest checkpoint, the entries after it, the rows, the model in force.

    Raises JournalUnreadable, IllegalRecord.
    """
    decided, after = Decided(), 0
    checkpoint = journal.latest_checkpoint()
    if checkpoint is not None:
        try:
            after, decided = checkpoint[0], decode(Decided, checkpoint[1])
        except CodecError as error:  # of another version: a checkpoint is a cache
            log.info("checkpoint not used", why=str(error))
            decided, after = Decided(), 0
    for entry in journal.entries(after):
        for record in entry.records:
            apply(decided, record)
    stored = journal.load_model(decided.configuration) if decided.configuration else None
    model = decode(Model, stored) if stored is not None else Model("")
    rows = {name: decode(Row, row) for name, row in journal.rows().items()}
    return Engine(model, decided, rows, attends=attends)
