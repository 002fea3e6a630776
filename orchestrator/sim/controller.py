"""One simulated controller: the real shell, journal and schedule, with the world in place of sockets and Ansible.

The one rule it keeps: it may die or stand still before and after any entry and after any command. Whatever it had not
passed on by then is lost, or late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import get_args

from orchestrator.core import commands as c
from orchestrator.core import events as e
from orchestrator.core.model import Check, Model
from orchestrator.drills.looking import BEAT_S
from orchestrator.journal.journal import Entry, JournalError, StaleEpoch
from orchestrator.journal.lease import Lease, Refused
from orchestrator.probes.in_flight import InFlight
from orchestrator.probes.schedule import Schedule
from orchestrator.runner.scripted import ScriptedRunner
from orchestrator.shell.lease import LEASE_S
from orchestrator.shell.loop import Ports, Shell
from orchestrator.sim.calendars import Calendars
from orchestrator.sim.disk import Disk, Killed
from orchestrator.sim.targets import Targets
from orchestrator.sim.world import World

TAKE_AGAIN_S = 2.0  # how often a controller without the lease asks for it again
DELIVERY_S = 0.5  # of a notice
MACHINE = "noc"  # it keeps its attempts over a restart
HAIR_S = 1e-6  # more than two clocks differ by rounding
FOREVER = float("inf")


@dataclass(slots=True)
class People:
    """Who is told what, and whether it reaches them."""

    reachable: bool = True
    told: list[tuple[float, c.TellPeople]] = field(default_factory=list)
    answers: dict[str, c.Answered] = field(default_factory=dict)


@dataclass(slots=True)
class Watch:
    """What oracles want to know of a controller, beside its entries."""

    observed: Callable[[e.Observed, float], None] = field(default=lambda _seen, _at: None)
    carried_out: Callable[[c.Command, int], None] = field(default=lambda _command, _epoch: None)
    defect: Callable[[str], None] = field(default=lambda _why: None)


class Controller:
    """One process that decides, from its start until it dies or loses its lease."""

    def __init__(
        self,
        name: str,
        model: Model,
        world: World,
        disk: Disk,
        targets: Targets,
        ledger: ScriptedRunner,
        people: People,
        watch: Watch,
    ) -> None:
        """`ledger` is a runner whose ledger this one goes on with."""
        self.name = name
        self.model = model
        self.alive = True
        self.frozen = False
        self.shell: Shell | None = None
        self._world = world
        self._timeline = world.timeline
        self._disk = disk
        self._people = people
        self._watch = watch
        self._lease: Lease | None = None
        self._queue: deque[e.Event] = deque()
        self._handling = False
        self._late: list[Callable[[], None]] = []  # what would have happened while it stood still
        self._woken_for = FOREVER
        self._ahead_s = 0.0
        self._next_beat = FOREVER
        self._schedule = Schedule()
        self._in_flight: dict[str, InFlight] = {}
        self._asked: dict[str, Check] = {}
        self._commands = 0  # of the present entry
        self.runner = ScriptedRunner(self._emit_step, ledger=ledger.ledger, plays=targets.plays, later=self._soon)

    # ---- life

    def start(self) -> None:
        """Take the lease, or try again until it can be had; then take over."""
        if not self.alive or self.frozen:
            return self._or_late(self.start)
        try:
            taken = self._disk.acquire(self.name, LEASE_S)
            if isinstance(taken, Refused):
                self._timeline.after(TAKE_AGAIN_S, self.start)
                return None
            self._begin(taken)
        except Killed:
            self.die()
        except StaleEpoch:
            self.alive = False
        except JournalError:
            self._timeline.after(TAKE_AGAIN_S, self.start)
        return None

    def _begin(self, lease: Lease) -> None:
        self._lease = lease
        self._axis = self._disk.open_axis()
        self._ahead_s = self._timeline.now - self._axis.now()  # of the journal's axis; the same for this boot
        ports = Ports(
            {
                **dict.fromkeys(get_args(c.Command), lambda x: self._port(lambda: None, x)),  # it may die after any
                **dict.fromkeys(
                    (c.RunPlaybook, c.CancelStep, c.SettleStep),
                    lambda x: self._port(lambda: self.runner.carry_out(x), x),
                ),
                c.ProbeNow: lambda x: self._port(lambda: self._probe_now(x.checks), None),
                c.UseCadence: lambda x: self._port(lambda: self._cadence(x.cadence), None),
                c.TellPeople: lambda x: self._port(lambda: self._tell(x), x),
                c.Answered: lambda x: self._port(lambda: self._answered(x), x),
            },
            forget_run=self.runner.forget,
            entry=self._entry,
        )
        self.shell = Shell(self._disk, lease, ports, self._axis.now, self._axis.wall)
        self._use_checks(self.model)
        self._handling = True
        try:
            axis = self._axis
            began = e.ControllerStarted(
                self.name, lease.epoch, axis.boot, axis.same_boot, axis.assumed_gap_s, MACHINE, "simulated"
            )
            self.shell.begin(began)
            self.shell.configure(self.model)
        finally:
            self._handling = False
        self._timeline.after(LEASE_S / 4, self._renew)
        self._calendars = Calendars(self._disk, self._axis, self._emit)
        self._look()
        self._drain()

    def die(self) -> None:
        """Killed: nothing more comes of it. Its playbooks' workers go on."""
        self.alive = False
        self.runner.closed = True
        self._queue.clear()
        self._late.clear()

    def freeze(self) -> None:
        """Stopped, as by SIGSTOP or a snapshot."""
        self.frozen = True

    def thaw(self) -> None:
        """It goes on as if nothing had been."""
        self.frozen = False
        late, self._late = self._late, []
        for do in late:
            if self.alive:
                do()

    def hear(self, word: e.WordSpoken) -> None:
        """A person says something."""
        self._emit(word)

    def configure(self, model: Model) -> bool:
        """Reload; whether the model was put in force."""
        if not self.alive or self.frozen or self.shell is None or self._handling:
            return False
        self._handling = True
        try:
            objections = self.shell.configure(model)
        except Killed:
            self.die()
            return False
        except (StaleEpoch, JournalError):
            return False
        finally:
            self._handling = False
        if not objections:
            self.model = model
            self._use_checks(model)
        self._drain()
        return not objections

    # ---- events in

    def _emit_step(self, event: e.StepProgressed | e.StepEnded | e.StepAdopted) -> None:
        if not isinstance(event, e.StepProgressed):
            self._emit(event)

    def _emit(self, event: e.Event) -> None:
        if not self.alive:
            return
        if self.frozen:
            self._late.append(lambda: self._emit(event))
            return
        self._queue.append(event)
        if not self._handling:
            self._drain()

    def _drain(self) -> None:
        if self._handling or self.shell is None or not self.alive:
            return
        self._handling = True
        shell, queue = self.shell, self._queue
        try:
            while queue and self.alive and not self.frozen:
                self._commands = 0
                shell.handle(queue.popleft())
                if (broken := shell.broken) is not None and broken.startswith("defect"):
                    self._watch.defect(broken)
        except Killed:
            self.die()
        except StaleEpoch:
            self.die()  # it has lost the lease, and says so
        finally:
            self._handling = False
        self._wake()

    def _wake(self) -> None:
        if self.shell is None or not self.alive:
            return
        at = self.shell.wake_at + self._ahead_s
        if at >= self._woken_for:
            return
        if at <= self._timeline.now and (early_s := self.shell.wake_at - self._axis.now()) > 0.0:
            at = self._timeline.now + max(early_s, HAIR_S)  # due by the world's clock, not yet by the machine's
        if at < self._woken_for:
            self._woken_for = at
            self._timeline.at(at, lambda: self._tick(at))

    def _tick(self, at: float) -> None:
        if at != self._woken_for:
            return  # an earlier one has taken its place
        if not self.alive or self.frozen:
            self._or_late(lambda: self._tick(at))
            return
        self._woken_for = FOREVER
        if self.shell is not None and self._timeline.now >= self.shell.wake_at + self._ahead_s:
            self._emit(e.Ticked())
        else:
            self._wake()

    # ---- commands out

    def _port(self, act: Callable[[], None], command: c.Command | None) -> None:
        """Hand a command on; a death after it comes here, and what is handed on while it stands still is late."""
        epoch = self._lease.epoch if self._lease else 0

        def go() -> None:
            if command is not None:
                self._watch.carried_out(command, epoch)
            act()

        if self.frozen:
            self._late.append(go)
            return
        go()
        self._commands += 1
        self._disk.after_command(self._commands, self)

    def _entry(self, entry: Entry) -> None:
        self._disk.committed(entry, self)

    def _soon(self, tell: Callable[[], None]) -> None:
        self._timeline.at(self._timeline.now, tell)

    def _tell(self, notice: c.TellPeople) -> None:
        def deliver() -> None:
            if self._people.reachable:
                self._people.told.append((self._timeline.now, notice))
                self._emit(e.NoticeDelivered(notice.id, "chat"))
            else:
                self._emit(e.NoticeFailed(notice.id, "nobody could be reached"))

        self._timeline.after(DELIVERY_S, deliver)

    def _answered(self, answer: c.Answered) -> None:
        self._people.answers[answer.word] = answer

    def _renew(self) -> None:
        if not self.alive or self._lease is None:
            return
        if self.frozen:
            self._or_late(self._renew)
            return
        try:
            if not self._disk.renew(self._lease):
                self.die()
                return
        except JournalError:
            pass  # asked again; if it was lost meanwhile, the next entry says so
        self._timeline.after(LEASE_S / 4, self._renew)

    def _look(self) -> None:
        """At the calendars, at each beat."""
        if not self.alive or self.frozen:
            return self._or_late(self._look)
        if self.shell is not None and self.shell.broken is None:
            self._calendars.beat(self.shell.engine)
        self._timeline.after(BEAT_S, self._look)
        return None

    def _or_late(self, do: Callable[[], None]) -> None:
        if self.alive:
            self._late.append(do)

    # ---- asking

    def _use_checks(self, model: Model) -> None:
        now, wanted = self._timeline.now, model.checks
        before = self._asked
        self._asked = dict(wanted)
        for name in [n for n in self._in_flight if wanted.get(n) != before.get(n)]:
            self._schedule.remove(name)
            del self._in_flight[name]
        for name, check in wanted.items():
            if name not in self._in_flight:
                self._in_flight[name] = InFlight()
                self._schedule.add(name, check.every_s, now)
        self._beat_later()

    def _cadence(self, intervals_s: Mapping[str, float]) -> None:
        self._schedule.cadence(intervals_s, self._timeline.now)
        self._beat_later()

    def _probe_now(self, checks: tuple[str, ...]) -> None:
        for name in checks:
            in_flight = self._in_flight.get(name)
            if in_flight is not None and in_flight.now():
                self._ask_soon(name, in_flight)

    def _beat_later(self) -> None:
        at = self._schedule.next_at()
        if at is not None and at < self._next_beat:
            self._next_beat = at
            self._timeline.at(at, lambda: self._beat(at))

    def _beat(self, at: float) -> None:
        if not self.alive or at != self._next_beat:
            return  # an earlier one has taken its place
        if self.frozen:
            self._late.append(lambda: self._beat(at))
            return
        self._next_beat = FOREVER
        for name, _ in self._schedule.due(self._timeline.now):
            in_flight = self._in_flight.get(name)
            if in_flight is not None and in_flight.beat():
                self._ask(name, in_flight)
                if not self.alive:
                    return
        self._beat_later()

    def _ask_soon(self, name: str, in_flight: InFlight) -> None:
        self._soon(lambda: self._ask(name, in_flight))

    def _ask(self, name: str, in_flight: InFlight) -> None:
        if not self.alive or self._in_flight.get(name) is not in_flight:
            return  # taken out of the configuration meanwhile, or changed
        sent_at = self._axis.now()
        judged, delay_s = self._world.ask(name)
        seen = e.Observed(name, sent_at, judged.answer, judged.measures, judged.detail)
        if delay_s <= 0.0:
            self._arrive(name, seen, in_flight)
        else:
            self._timeline.after(delay_s, lambda: self._arrive(name, seen, in_flight))

    def _arrive(self, name: str, seen: e.Observed, in_flight: InFlight) -> None:
        if not self.alive:
            return
        if self.frozen:
            self._late.append(lambda: self._arrive(name, seen, in_flight))
            return
        if self._in_flight.get(name) is not in_flight:
            return  # taken out of the configuration, or changed
        again = in_flight.ended()
        self._watch.observed(seen, self._axis.now())
        self._emit(seen)
        if again:
            self._ask_soon(name, in_flight)
