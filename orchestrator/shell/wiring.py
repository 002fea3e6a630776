"""The one place where rooms are joined: configuration, journal, probes, runner and notifier around one shell.

The one rule it keeps: it decides nothing. It reads, opens and connects, passes every event to the shell in the order in
which it came, and calls the shell when it wants to be woken.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from pydantic import BaseModel

from orchestrator.config import Loaded, in_force, load
from orchestrator.config.beside_model import Beside
from orchestrator.core import commands as c
from orchestrator.core import events as e
from orchestrator.core.codec import decode
from orchestrator.core.model import Json, Model, Playbook
from orchestrator.core.people import NotifySettings
from orchestrator.core.reasons import Reason
from orchestrator.drills import judging
from orchestrator.journal.journal import Entry, Head, Journal, JournalError, JournalUnwritable, StaleEpoch
from orchestrator.journal.lease import Lease, Refused
from orchestrator.journal.stores import has_journal, open_journal
from orchestrator.notify.apprise_way import trouble_of
from orchestrator.notify.heartbeat import HeartbeatSender
from orchestrator.notify.in_thread import in_thread
from orchestrator.notify.notifier import PeopleNotifier
from orchestrator.probes.kinds import KINDS, asked_from
from orchestrator.probes.prober import Prober
from orchestrator.runner.playbooks import PlaybookRunner
from orchestrator.shell.ages import DataAges
from orchestrator.shell.answers import Answers
from orchestrator.shell.beating import Beating
from orchestrator.shell.calendar import Calendars
from orchestrator.shell.files import Files
from orchestrator.shell.identity import identity_for
from orchestrator.shell.intake import Intake
from orchestrator.shell.lease import LEASE_S, SLOW_S, LeaseLost, LeaseRefused, keep_axis, keep_lease
from orchestrator.shell.logins import Logins
from orchestrator.shell.loop import Ports, Shell
from orchestrator.shell.plans import FILES_SILENT, Plans
from orchestrator.shell.unread import ask_again
from orchestrator.shell.upkeep import Upkeep
from orchestrator.shell.waiting import keep_going

log = structlog.get_logger(__name__)


def option_models() -> Mapping[str, type[BaseModel]]:
    """Kind of probe to the model of its options, as the configuration wants them."""
    return {name: kind.options for name, kind in KINDS.items()}


def read_workspace(workspace: Path) -> Loaded:
    """The workspace's configuration. Raises ConfigurationInvalid."""
    return load(workspace, probe_kinds=option_models(), logins=True, ask_url=trouble_of, judge=judging)


@dataclass(slots=True)
class Watchers:
    """Who is shown what happens, beside the journal."""

    entry: Callable[[Entry], None] = field(default=lambda _entry: None)
    progress: Callable[[e.StepProgressed], None] = field(default=lambda _event: None)


class Controller:
    """One controller of one workspace, in one event loop. `start`, then `run`, then `close`."""

    def __init__(
        self,
        workspace: Path,
        *,
        name: str = "",
        attends: bool = True,
        watchers: Watchers | None = None,
        new_epochs: bool = False,
        after: Head | None = None,
    ) -> None:
        """With `attends=False` (one-shot commands) incidents are left alone: only words and runs go on.

        `new_epochs`: targets are to count this workspace's epochs anew, under another name. `after`: the
        journal's head when its lease was last refused.
        """
        self.workspace = workspace.resolve()
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.watchers = watchers or Watchers()
        self._attends, self._new_epochs, self._after = attends, new_epochs, after
        self._over = False  # closed, or not the decider any more: nothing is taken in
        self._timer: asyncio.TimerHandle | None = None
        self._answers = Answers()
        self._tasks: list[asyncio.Task[None]] = []
        self._beating = Beating(lambda x: HeartbeatSender(x, lambda: self.shell.broken is None).run())
        self._lost: asyncio.Future[None] | None = None
        self._opened = AsyncExitStack()
        self._began = False
        self.files = Files(self.workspace, lambda: read_workspace(self.workspace))

    # ---- life

    async def start(self) -> None:
        """Read, open, take the lease and take over. Where that fails, everything opened so far is closed again.

        Raises ConfigurationInvalid where the files are invalid and the journal knows no earlier model; LeaseRefused;
        JournalUnwritable; JournalUnreadable.
        """
        self._loop = asyncio.get_running_loop()
        self._lost = self._loop.create_future()
        self._intake = Intake(self._loop, self._handle, self._set_timer)
        await self.files.begin(lambda: has_journal(self.workspace))
        try:
            self._take_over()
        except BaseException:
            await self.close()
            raise
        self._intake.take()

    def _take_over(self) -> None:
        self.journal: Journal = open_journal(self.workspace, self._after)
        self._opened.callback(self.journal.close)
        self.upkeep = Upkeep(self.workspace, self.journal, self.files.keeping, in_thread)
        lease = self.journal.acquire(self.name, LEASE_S)
        if isinstance(lease, Refused):
            raise LeaseRefused(str(lease), head if (head := self.journal.head()).seq else None)
        self.lease: Lease = lease
        if self._attends:
            self._opened.push_async_callback(self.upkeep.end)
        self._opened.callback(self._give_back)
        self.axis = self.journal.open_axis()
        self._make_ports()
        ports = Ports(
            {
                **dict.fromkeys((c.RunPlaybook, c.CancelStep, c.SettleStep), self.runner.carry_out),
                c.ProbeNow: lambda x: self.prober.ask_now(x.checks),
                c.UseCadence: lambda x: self.prober.cadence(x.cadence),
                c.TellPeople: self.notifier.carry_out,
                c.Answered: self._answers.give,
            },
            forget_run=self.runner.forget,
            entry=lambda entry: self.watchers.entry(entry),  # noqa: PLW0108 -- who watches is exchanged
        )
        self.shell = Shell(self.journal, lease, ports, self.axis.now, self.axis.wall, attends=self._attends)
        model = self._model()
        self._ask(model)
        self._began = True
        self.shell.begin(
            e.ControllerStarted(
                self.name,
                lease.epoch,
                self.axis.boot,
                self.axis.same_boot,
                self.axis.assumed_gap_s,
                self.runner.machine,
                identity_for(self.workspace, 1 if self._new_epochs else lease.epoch),
                anew=self._new_epochs,
            )
        )
        for objection in self._configure(model):
            log.error("the new configuration cannot be put in force", why=objection)
            self.files.not_in_force.append(objection)
        tell = self.notifier.carry_out
        self.calendars = Calendars(self.workspace, lambda: self.shell.engine, self.axis, self.emit, tell)
        self.plans = Plans(lambda: self.shell.engine, self.files.differ, self.emit)
        lasting: list[Callable[[], Coroutine[None, None, None]]] = [
            lambda: keep_lease(self.journal, lease, self.axis, self._lose),
            lambda: keep_axis(self.axis, self._say_lateness),
            lambda: self.plans.keep_looking(self.axis.now),
        ]
        if self._attends:
            lasting += [self.ages.run, lambda: self.upkeep.run(lease, self.axis.now, self.notifier.carry_out)]
            lasting.append(self.calendars.keep)
            lasting.append(lambda: ask_again(self.files.valid, self.files.edited, self._ask_inventory, self.reload))
            self._tell_unread()
        self._tasks = [asyncio.create_task(keep_going(work)) for work in lasting]
        self._beat()

    def _beat(self) -> None:
        """Send the heartbeat that is in force now, and no other."""
        self._beating.use(self.files.beside.notify.heartbeat if self._attends else None)

    async def lost(self) -> None:
        """Returns never; raises LeaseLost when another controller has taken over."""
        if self._lost is None:
            raise RuntimeError("the controller was not started")
        await asyncio.shield(self._lost)

    async def close(self) -> None:
        """Stop asking and telling; attempts that run go on, and the next controller adopts them."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._opened.push_async_callback(self.files.close)
        self._opened.push_async_callback(self._beating.end)
        await self._opened.aclose()  # the latest first, and each of them: see `_take_over` and `_make_ports`

    async def reload(self) -> list[str]:
        """Read the files again; keep the old configuration, and return why, where it cannot be put in force now."""
        why = await self.files.reload(self._put_in_force)
        if not self._over:
            self.files.not_in_force = why
        return why

    def _put_in_force(self, loaded: Loaded, found: Mapping[str, str], also: Beside) -> list[str]:
        """As a whole, or not at all: then why not."""
        files, model = self.files, self.shell.engine.model
        before = files.loaded, files.secrets, files.beside
        # First: a step that begins with the new model begins with the new inventories.
        self._use(loaded, found, also)
        try:
            objections = self._configure(loaded.model)
        except JournalUnwritable as refused:
            objections = [str(refused)]
        except StaleEpoch as stale:
            self._lose(str(stale))
            return [str(stale)]
        except BaseException:
            self._use(*before)
            raise
        if objections:
            self._use(*before)
            self._ask(model)
            files.refuse(loaded.model)
            return objections
        self._beat()
        self._intake.take()  # it may want to be woken sooner now
        self._tell_unread()
        log.info("configuration reloaded", digest=loaded.model.digest)
        return []

    # ---- words

    async def speak(self, word: e.WordSpoken) -> c.Answered:
        """Put one word to the engine; its answer. While nothing can be remembered, it is a refusal, at once.

        Raises LeaseLost; TimeoutError when it cannot answer now.
        """
        if self._over:
            raise LeaseLost("this controller does not decide any more: say the word to the one that does")
        try:
            await self.plans.before(word, self.axis.now())
        except TimeoutError:
            return c.Answered(word.id, False, Reason.CANNOT_ACT.value, FILES_SILENT)
        return await self._answers.to(word.id, lambda: self.emit(word))

    def emit(self, event: e.Event) -> None:
        """Take in one event, after those that came before it."""
        self._intake.put(event)

    # ---- inside

    def _use(self, loaded: Loaded | None, found: Mapping[str, str], also: Beside) -> None:
        """Take into use what belongs to a model: secrets, inventories, who is told."""
        self.files.use(loaded, found, also)
        self.notifier.use(also.notify)
        self.runner.use_inventories(also.to_play())
        self.upkeep.use(self.files.keeping)

    def _model(self) -> Model:
        """The model to be in force: the files', or the last one journaled when the files are invalid."""
        files = self.files
        if files.loaded is not None:
            return files.loaded.model
        digest = self.shell.engine.decided.configuration
        stored = self.journal.load_model(digest) if digest else None
        if stored is None:
            if files.invalid is None:
                raise RuntimeError("neither a configuration nor its faults")
            raise files.invalid
        notice, text = f"invalid configuration/{self.lease.epoch}", files.say_older(digest)
        self.notifier.carry_out(c.TellPeople(notice, c.NoticeKind.CANNOT_ACT, "", "", text))
        return decode(Model, stored)

    def _tell_unread(self) -> None:
        """Those on call: what was read of an inventory some other day acts now. Once for each reading."""
        for client, stale in self.files.beside.stale.items():
            notice, text = f"inventory unread/{client}/{stale}", f"{client}: inventory unread: it is served by {stale}"
            self.notifier.carry_out(c.TellPeople(notice, c.NoticeKind.CANNOT_ACT, client, "", text, "bascule validate"))

    def _make_ports(self) -> None:
        """What is opened last is closed first: nobody asks and tells any more when the last events are taken in."""
        files = self.files
        self.runner = PlaybookRunner(self.workspace, {}, self._progressed, differs=self._differs)
        self._opened.push_async_callback(self.runner.close)
        self.sources = in_force.Sources(self.workspace)
        self._opened.push_async_callback(asyncio.to_thread, self.sources.close)
        self._opened.callback(self._take_in_the_last)
        self.notifier = PeopleNotifier(NotifySettings(), self.emit)
        self._opened.push_async_callback(self.notifier.close)
        logins = Logins(files.leads_elsewhere, self.runner.can_log_in)
        self.ages = DataAges(self.workspace, lambda: self.shell.engine.model, self.axis.wall, lambda: files.keeping)
        self.prober = Prober(self.ages.passing(self.emit), self.axis.now, files.secrets, logins=logins.ask)
        self._opened.push_async_callback(self.prober.close)
        self._use(files.loaded, files.secrets, files.beside)
        if self._attends:
            self.runner.warm_up(files.beside.daemon.playbooks)

    def _take_in_the_last(self) -> None:
        if self._began:
            self._intake.take_all()

    def _give_back(self) -> None:
        """The lease; with it, the rows that are still to be kept."""
        self._over = self._intake.closed = True
        try:
            self.shell.close() if self._began else self.journal.release(self.lease)
        except JournalError as refused:
            log.warning("the lease could not be released: it lapses by itself", why=str(refused))

    def _differs(self, client: str, book: Playbook) -> str:
        """Asked in a thread, before a step begins: a computed inventory runs as it was decided upon, or not at all."""
        books = {book.digest: (client, book.path)}
        if (now := self.files.valid()) is not None and self.sources.to_be_asked(now, client):
            if told := self.files.differ(books)[book.digest]:
                return told
            self._ask_inventory(client)
        return self.files.differ(books)[book.digest]

    def _ask_inventory(self, client: str) -> None:
        if (now := self.files.valid()) is not None and (found := self.sources.unread_now(now, client)):
            self._loop.call_soon_threadsafe(self._play_with, found)

    def _play_with(self, also: Beside) -> None:
        """The same, but for an inventory whose source has gone since the files were read."""
        if also.digest == self.files.beside.digest:
            self._use(self.files.loaded, self.files.secrets, also)
            self._tell_unread()

    def _configure(self, model: Model) -> list[str]:
        before = self.shell.engine.model
        objections = self.shell.configure(model)
        if not objections:
            self.files.remember()
        self._ask(before if objections else model)
        return objections

    def condition(self) -> dict[str, Json]:
        """What no journal knows of how this controller does: what is in force, and which ways to tell people fail."""
        found = self.files.condition(self.shell.engine.decided)
        clients = sorted({s.client for s in self.shell.engine.model.services.values()})
        told = {"ways": self.notifier.told(), "untold": self.notifier.untold(clients)}
        failed = {"unanchored": self.upkeep.failed(), "unscheduled": self.calendars.unknown()}
        return {"configuration": found, **told, **failed}

    def _ask(self, model: Model) -> None:
        """Have the checks asked that can be asked from here, by whatever vantage."""
        self.prober.here = self.files.beside.daemon.vantage
        self.prober.use(asked_from(self.prober.here, model.checks.values()), self.files.secrets)

    def _progressed(self, event: e.StepProgressed | e.StepEnded | e.StepAdopted) -> None:
        if isinstance(event, e.StepProgressed):
            self.watchers.progress(event)
            return
        if isinstance(event, e.StepEnded):
            event = in_force.with_its_inventory(event, self.files.beside, self.shell.engine.decided)
        self.emit(event)

    def _handle(self, event: e.Event, *, more: bool) -> None:
        began = self._loop.time()
        try:
            self.shell.handle(event, more=more)
        except StaleEpoch as stale:
            self._lose(str(stale))
            return
        if isinstance(event, e.WordSpoken) and self.shell.broken is not None:
            again = f"repeat it safely with --word-id {event.id}"
            why = f"{self.shell.broken}; whether the word was kept is not known: {again}"
            self._answers.give(c.Answered(event.id, False, Reason.CANNOT_ACT.value, why))
        took_s = self._loop.time() - began
        if took_s > SLOW_S:
            log.warning("slow", event_kind=type(event).__name__, took_s=round(took_s, 2), hint="a busy disk?")

    def _set_timer(self) -> None:
        """Be woken when the core wants to be."""
        if self._timer is not None:
            self._timer.cancel()
        delay_s = min(max(0.0, self.shell.wake_at - self.axis.now()), 3600.0)
        self._timer = self._loop.call_later(delay_s, lambda: self.emit(e.Ticked()))

    def _lose(self, why: str) -> None:
        self._over = self._intake.closed = True
        log.error("the lease is lost: this controller acts no more", why=why)
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(LeaseLost(why))
        self._answers.end(lambda: LeaseLost(why))

    def _say_lateness(self) -> None:
        late = self.prober.measured.late.lately(self._loop.time())
        if late.p99_s > SLOW_S:
            told = {"p50_s": round(late.p50_s, 3), "p99_s": round(late.p99_s, 3), "max_s": round(late.max_s, 3)}
            log.warning("checks are asked late", hint="too many for this machine?", **told)
