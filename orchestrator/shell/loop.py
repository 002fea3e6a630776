"""The one loop around the core: journal, then act, then sleep until it wants to be woken.

The one rule it keeps: no command is carried out before its entry is durable. When the journal refuses, the engine is
thrown away, nothing is acted on, somebody is told, and the engine is rebuilt from the journal. The daemon, one-shot
commands and the simulator run this same loop. They differ in their ports and in who calls `handle`.

If answers come faster than they are handled, those that are there already are taken together (`more`): each is a step
of its own, their entries share one commit, the decision is made once, and the commands follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args

import structlog

from orchestrator.core import commands as c
from orchestrator.core import events as e
from orchestrator.core.codec import CodecError, decode, encode
from orchestrator.core.engine import Engine, Outcome
from orchestrator.core.health.detector import Row, interrupt
from orchestrator.core.model import Model
from orchestrator.core.records import RunEnded, Verdict
from orchestrator.core.runs.replacing import objections
from orchestrator.core.state.decided import Decided
from orchestrator.core.state.fold import apply
from orchestrator.journal.journal import Draft, Entry, Journal, JournalUnwritable, StaleEpoch
from orchestrator.journal.lease import Lease
from orchestrator.journal.row_changes import TakenRows
from orchestrator.journal.row_writes import Keeping

log = structlog.get_logger(__name__)

ROWS_EVERY_S = 1.0  # detector rows that changed without a record are kept at this beat
ROWS_AT_ONCE = 250  # or when there are so many: writing them must not hold up the loop
REBUILD_EVERY_S = 2.0  # how often a shell that cannot write tries again
TELL_AGAIN_S = 600.0  # a breakage that comes back sooner is not told again
CHECKPOINT_EVERY = 500  # entries
CHECKPOINT_REST_S = 10.0  # between two: in a flood of entries they would cost more than it does
FOREVER = float("inf")

SEE_LOG = "what it met is in the log of the daemon, and in bascule status"


@dataclass(slots=True)
class Ports:
    """What carries each kind of command out. It returns at once, and what comes of it comes back as events.

    Raises TypeError for a kind that nobody carries out.
    """

    carry: Mapping[type[c.Command], Callable[[Any], None]]
    forget_run: Callable[[str], None] = field(default=lambda _run: None)
    entry: Callable[[Entry], None] = field(default=lambda _entry: None)

    def __post_init__(self) -> None:
        if missing := set(get_args(c.Command)) - self.carry.keys():
            raise TypeError(f"nobody carries out {', '.join(sorted(kind.__name__ for kind in missing))}")


class _Stepped(NamedTuple):
    """One step of the engine that is to be committed."""

    event: e.Event
    outcome: Outcome
    rows: TakenRows
    now: float
    wall: float


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
        self._rows = Keeping()  # that changed since rows were written last
        self._rows_at = 0.0
        self._batch: list[_Stepped] = []  # steps that are not committed yet
        self._checkpoint_from = 0.0
        self._started: e.ControllerStarted | None = None
        self._broken: str | None = None
        self._missed: set[str] = set()  # checks that were answered in vain
        self._retry_at = 0.0
        self._told_broken = 0
        self._tell_at = 0.0
        self.wake_at = FOREVER
        self.engine, self._since_checkpoint = rebuilt(journal, attends)

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
        against = objections(self.engine.decided, model)
        if not against:
            self._journal.store_model(model.digest, encode(model))
            self.handle(e.ConfigurationLoaded(model))
            if self._broken is not None:
                return [f"bascule cannot act: {self._broken}"]
        return against

    def handle(self, event: e.Event, *, more: bool = False) -> None:
        """Take one event: step, commit, act. With `more` the next one follows at once, and this one may wait for it.

        Raises StaleEpoch when somebody else decides by now.
        """
        now = self._now()
        if self._broken is not None and not self._mended(now):
            self._miss(event)
            return
        more = more and isinstance(event, e.MANY)
        try:
            outcome = self.engine.step(event, now, more=True) if more else self.engine.step(event, now)
            rows = TakenRows()
            rows.take(outcome.rows)  # now: the engine goes on changing them
        except Exception as defect:  # whatever it is: the engine is half way through a step, and must not be used
            self._miss(event)
            if self._batch and not self._flush():  # those before it are whole
                return
            if isinstance(defect, CodecError):
                self._break(str(defect), now)
                return
            log.exception("defect", event_kind=type(event).__name__)
            why = f"defect: {type(defect).__name__}"
            self._break(f"{why}: {defect}", now, told=f"{why}: {SEE_LOG}")
            return
        self._batch.append(_Stepped(event, outcome, rows, now, self._wall() if outcome.records else 0.0))
        if not more:
            self._flush()

    def close(self) -> None:
        """Keep the rows that are still to be kept, and give the lease back."""
        try:
            if self._broken is None and (rows := self._rows.all()):
                self._journal.write_rows(self._lease, rows)
            self._journal.release(self._lease)
        except (JournalUnwritable, StaleEpoch) as refused:
            log.warning("could not close the journal cleanly", why=str(refused))

    # ---- commit

    def _flush(self) -> bool:
        """Commit what has been stepped through, then act; whether the engine may be used on."""
        batch, self._batch = self._batch, []
        try:
            self._commit(batch)
        except (JournalUnwritable, CodecError) as refused:
            if any(stepped.outcome.records for stepped in batch):  # else the rows are kept, and written later
                for stepped in batch:
                    self._miss(stepped.event)
            told = str(refused) if isinstance(refused, JournalUnwritable) else SEE_LOG
            self._break(str(refused), batch[-1].now, told=told)
            return False
        self.wake_at = batch[-1].outcome.wake_at
        for stepped in batch:
            for command in stepped.outcome.commands:
                self._carry_out(command)
        self._checkpoint()
        return True

    def _commit(self, batch: list[_Stepped]) -> None:
        now = batch[-1].now
        drafts: list[Draft] = []
        rows = TakenRows()
        for stepped in batch:
            rows.values_taken.update(stepped.rows.values_taken)
            if stepped.outcome.records:  # where this fails, the rows of the step go with its records
                if not drafts:
                    rows = TakenRows({**self._rows.due.values_taken, **rows.values_taken})
                drafts.append(Draft(stepped.now, stepped.wall, stepped.outcome.records, rows))
                rows = TakenRows()
        if drafts:
            self._append(drafts)
            self._rows_at = now
        self._rows.take(rows, self._patience_s)
        if self._rows.due and (now - self._rows_at >= ROWS_EVERY_S or len(self._rows.due) >= ROWS_AT_ONCE):
            self._journal.write_rows(self._lease, self._rows.due)
            self._rows.written(self._rows.due)
            self._rows_at = now

    def _append(self, drafts: list[Draft]) -> None:
        entries = self._journal.append_all(self._lease, drafts)
        for draft in drafts:
            if isinstance(draft.rows, TakenRows):
                self._rows.written(draft.rows)
        for entry in entries:
            self._log(entry)
            self._ports.entry(entry)
            for record in entry.records:
                if isinstance(record, RunEnded):
                    self._ports.forget_run(record.run)
        self._since_checkpoint += len(entries)

    def _patience_s(self, check: str) -> float:
        known = self.engine.model.checks.get(check)
        return known.stale_after_s / 3 if known is not None else 0.0

    def _checkpoint(self) -> None:
        """The state after the latest entry, when it is time for one: after its commands, which it must not hold up."""
        now = self._now()
        if self._since_checkpoint >= CHECKPOINT_EVERY and now >= self._checkpoint_from:
            self._since_checkpoint, self._checkpoint_from = 0, now + CHECKPOINT_REST_S
            try:
                self._journal.checkpoint(self._journal.last_seq(), encode(self.engine.decided))
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
        self._ports.carry[type(command)](command)

    # ---- broken and mended

    def _miss(self, event: e.Event) -> None:
        """An answer is not taken in; anything else is asked for anew, or repeated by whoever said it."""
        if isinstance(event, e.Observed):
            self._missed.add(event.check)

    def _break(self, why: str, now: float, told: str = SEE_LOG) -> None:
        """Act on nothing from now on; say so, but not at every try of one that comes back; and try again later.

        `told`: what all clients' people may read of why.
        """
        if self._broken is None:
            log.error("cannot act", why=why)
        if self._broken is None and now >= self._tell_at:
            self._told_broken += 1
            self._tell_at = now + TELL_AGAIN_S
            notice = f"cannot act/{self._lease.epoch}/{self._told_broken}"
            text = f"bascule cannot act: {told}"
            self._carry_out(c.TellPeople(notice, c.NoticeKind.CANNOT_ACT, "", "", text))
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
            self._journal.write_rows(self._lease, self._rows.all())
            engine = rebuild(self._journal, self._attends)
            interrupted = interrupt(engine.rows, self._missed)
            began = engine.decided.epoch == self._lease.epoch  # else even the start was not made durable
            outcome = engine.recover(now) if began else engine.step(self._started, now)
            self._broken, self.engine, self._rows = None, engine, Keeping()
            rows = TakenRows()
            rows.take({**interrupted, **outcome.rows})
            self._commit([_Stepped(self._started, outcome, rows, now, self._wall())])
            self._missed.clear()
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
    """The engine as the journal has it. Raises JournalUnreadable, IllegalRecord."""
    return rebuilt(journal, attends)[0]


def rebuilt(journal: Journal, attends: bool = True) -> tuple[Engine, int]:
    """The engine as the journal has it, and how many entries had to be read for it.

    That is the newest checkpoint, the entries after it, the rows, the model in force. A checkpoint that is not as the
    chain says is passed over, loudly; an altered entry or model is not acted on.
    Raises JournalUnreadable, IllegalRecord.
    """

    def passed_over(why: str) -> None:
        log.error("a checkpoint is passed over", why=why, hint="bascule journal verify")

    decided, after = Decided(), 0
    checkpoint = journal.latest_checkpoint(passed_over)
    if checkpoint is not None:
        try:
            after, decided = checkpoint[0], decode(Decided, checkpoint[1])
        except CodecError as error:  # of another version: a checkpoint is a cache
            log.info("checkpoint not used", why=str(error))
            decided, after = Decided(), 0
    read = 0
    for entry in journal.entries(after):
        read += 1
        for record in entry.records:
            apply(decided, record)
    stored = journal.load_model(decided.configuration) if decided.configuration else None
    model = decode(Model, stored) if stored is not None else Model("")
    return Engine(model, decided, _rows(journal, decided), attends=attends), read


def _rows(journal: Journal, decided: Decided) -> dict[str, Row]:
    """The detector rows, which no chain covers: one whose verdict is not the entries' counts for nothing."""
    found: dict[str, Row] = {}
    for name, stored in journal.rows().items():
        try:
            row = decode(Row, stored)
        except CodecError as error:
            log.error("a detector row is passed over: its check begins unknown", check=name, why=str(error))
            continue
        said = decided.verdicts.get(name)
        if row.verdict is not Verdict.UNKNOWN and (said is None or said.verdict is not row.verdict):
            what = said.verdict.value if said else "nothing"
            log.error("a detector row is passed over", check=name, row=row.verdict.value, entries=what)
            continue
        found[name] = row
    return found
