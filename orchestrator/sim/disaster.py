"""How each kind of fault begins and ends in a simulated world.

The one rule it keeps: a fault that ends takes back exactly what it brought. What playbooks and people changed stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from orchestrator.core import events as e
from orchestrator.core.model import Json, Model
from orchestrator.core.state.decided import Run
from orchestrator.sim.disk import Moment
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.nature import host_of
from orchestrator.sim.planning import Planning
from orchestrator.sim.stage import Stage
from orchestrator.sim.targets import Misfortune

T = TypeVar("T")

OPERATOR = "Ada Byron"  # of a plan that names nobody

Undo = Callable[[], None]
PLAYBOOKS = {
    FaultKind.PLAYBOOK_FAILS: "fails",
    FaultKind.PLAYBOOK_HANGS: "hangs",
    FaultKind.PLAYBOOK_HALF: "half",
    FaultKind.PLAYBOOK_USELESS: "useless",
    FaultKind.PLAYBOOK_UNSEEN: "unseen",
}


class Disasters:
    """The faults of one simulation: those that last, and how to end them."""

    def __init__(self, simulation: Stage, changed: Model | None) -> None:
        """Nothing has gone wrong yet."""
        self.begun: Counter[str] = Counter()
        self.active: dict[int, Fault] = {}
        self._sim = simulation
        self._world = simulation.world
        self._planning = Planning(simulation, changed)
        self._undo: dict[int, Undo] = {}
        self._held: dict[str, dict[int, Any]] = {}  # what several faults of a kind bring at once
        self._holds = 0
        self._count = 0
        self._words = 0
        self._calm = False

    def begin(self, fault: Fault) -> None:
        """It goes wrong now, and ends by itself where it says so."""
        if self._calm:
            return
        self.begun[fault.kind.value] += 1
        self._sim.happens(str(fault))
        undo = self._begin(fault)
        if undo is None:
            return
        self._count += 1
        number = self._count
        self._undo[number], self.active[number] = undo, fault
        if fault.for_s is not None:
            self._sim.timeline.after(fault.for_s, lambda: self._end(number))

    def calm(self) -> None:
        """No new faults, and those that were to end, end now."""
        self._calm = True
        for number, fault in list(self.active.items()):
            if fault.for_s is not None:
                self._end(number)
        self._sim.happens("no more faults from here on")
        if self._sim.active() is None and not any(x.alive for x in self._sim.controllers):
            self._sim.start("c1")

    def end(self, kind: FaultKind, subject: str = "") -> None:
        """Whatever of this kind and subject still goes on ends now."""
        for number, fault in list(self.active.items()):
            if fault.kind is kind and fault.subject == subject:
                self._end(number)

    def _end(self, number: int) -> None:
        fault, undo = self.active.pop(number, None), self._undo.pop(number, None)
        if fault is not None and undo is not None:
            self._sim.happens(f"over: {fault.kind.value}{' of ' + fault.subject if fault.subject else ''}")
            undo()

    def _begin(self, fault: Fault) -> Undo | None:
        if fault.kind in PLAYBOOKS:
            return self._playbook(fault)
        return _BEGIN[fault.kind](self, fault)

    # ---- the world

    def _power(self, fault: Fault) -> Undo:
        self._world.cut_power(fault.subject)
        return lambda: self._world.cut_power(fault.subject, -1)

    def _cut(self, fault: Fault) -> Undo:
        self._world.kill(fault.subject)
        return lambda: self._world.kill(fault.subject, -1)

    def _flap(self, fault: Fault) -> Undo:
        down = False
        going = True

        def turn() -> None:
            nonlocal down
            if going:
                down = not down
                self._world.kill(fault.subject, 1 if down else -1)
                self._sim.timeline.after(fault.strength * (1.0 if down else 0.6), turn)

        def stop() -> None:
            nonlocal going
            going = False
            if down:
                self._world.kill(fault.subject, -1)

        turn()
        return stop

    def _loss(self, fault: Fault) -> Undo:
        return self._put(self._world.loss, fault.subject, min(1.0, fault.strength), FaultKind.LOSS)

    def _one_way(self, fault: Fault) -> Undo:
        """Replies are lost: checks see losses, playbooks work and their ends are not seen."""
        place = self._world.nature.place_in(fault.subject)
        moves = [m.id for m in self._world.nature.model.moves.values() if place is not None and m.to == place]
        undo = [self._misfortune(move, "unseen", fault.strength) for move in moves]
        return _all([self._put(self._world.loss, fault.subject, min(1.0, fault.strength), FaultKind.LOSS), *undo])

    def _slow(self, fault: Fault) -> Undo:
        return self._put(self._world.slow, fault.subject, fault.strength, fault.kind)

    def _put(self, where: dict[str, T], name: str, value: T, kind: FaultKind) -> Undo:
        def use(held: T | None) -> None:
            if held is None:
                where.pop(name, None)
            else:
                where[name] = held
            self._world.changed()

        return self._hold(f"{kind.value} {name}", value, use)

    def _hold(self, what: str, value: T, use: Callable[[T | None], None]) -> Undo:
        """The newest of several such faults holds; when it ends, the one before it does. None: no more of them."""
        held: dict[int, Any] = self._held.setdefault(what, {})
        self._holds += 1
        number = self._holds
        held[number] = value
        use(value)

        def undo() -> None:
            del held[number]
            use(held[max(held)] if held else None)

        return undo

    def _blind(self, fault: Fault) -> Undo:
        vantage = fault.subject or "local"
        self._world.make_blind(vantage)
        return lambda: self._world.make_blind(vantage, -1)

    def _references(self, fault: Fault) -> Undo:
        hosts = {host_of(c) for c in self._world.nature.model.checks.values() if c.reference}
        return self._kill_all(sorted(hosts))

    def _everything(self, fault: Fault) -> Undo:
        return self._kill_all([*self._world.nature.domains, *self._world.nature.hosts])

    def _kill_all(self, names: list[str]) -> Undo:
        for name in names:
            self._world.kill(name)

        def undo() -> None:
            for name in names:
                self._world.kill(name, -1)

        return undo

    def _crash(self, fault: Fault) -> Undo:
        truth = self._world.services[fault.subject]
        place = truth.place
        self._world.crash(fault.subject, fault.kind is FaultKind.HANG)

        def undo() -> None:
            if place in truth.crashed_at:
                truth.crashed_at.discard(place)
                truth.hangs = False
            self._world.changed()

        return undo

    def _playbook(self, fault: Fault) -> Undo:
        return self._misfortune(fault.subject, PLAYBOOKS[fault.kind], fault.strength)

    def _misfortune(self, subject: str, kind: str, share: float) -> Undo:
        each = Misfortune(kind, share)
        kept = self._sim.targets.misfortunes.setdefault(subject, [])
        kept.append(each)
        return lambda: kept.remove(each)

    def _broken(self, fault: Fault) -> Undo:
        broken = self._world.broken
        broken[fault.subject] = broken.get(fault.subject, 0) + 1
        self._world.changed()

        def undo() -> None:
            broken[fault.subject] -= 1
            if not broken[fault.subject]:
                del broken[fault.subject]
            self._world.changed()

        return undo

    def _lag(self, fault: Fault) -> Undo:
        since = (self._sim.timeline.now, fault.strength)
        return self._put(self._world.lag, fault.subject, since, fault.kind)

    def _mute(self, fault: Fault) -> Undo:
        def use(held: bool | None) -> None:
            (self._world.mute.add if held else self._world.mute.discard)(fault.subject)
            self._world.changed()

        return self._hold(f"{fault.kind.value} {fault.subject}", True, use)

    def _late(self, fault: Fault) -> Undo:
        return self._put(self._world.late, fault.subject, fault.strength, fault.kind)

    # ---- the controller and its machine

    def _disk_slow(self, fault: Fault) -> Undo:
        return self._hold(fault.kind, fault.strength, lambda held: setattr(self._sim.disk, "slow_s", held or 0.0))

    def _disk_full(self, fault: Fault) -> Undo:
        full = "the disk is full"
        return self._hold(fault.kind, full, lambda held: setattr(self._sim.disk, "refuses", held or ""))

    def _killed(self, fault: Fault) -> None:
        controller = self._sim.active()
        if controller is not None:
            controller.die()
            self._sim.restart_after(controller.name, fault.for_s or 3.0)

    def _killed_at(self, fault: Fault) -> None:
        moment = Moment(self._entry(fault), fault.before, fault.command)
        self._meet(moment, lambda name: self._sim.restart_after(name, fault.for_s or 3.0))

    def _frozen_at(self, fault: Fault) -> None:
        moment = Moment(self._entry(fault), False, fault.command, stop=True)

        def stopped(name: str) -> None:
            controller = next((x for x in self._sim.controllers if x.alive and x.name == name), None)
            if controller is not None:
                self._sim.timeline.after(fault.for_s or 60.0, controller.thaw)
                self._sim.timeline.after(0.0, self._stand_by)

        self._meet(moment, stopped)

    def _entry(self, fault: Fault) -> int:
        return fault.entry or self._sim.disk.last_seq() + 1

    def _meet(self, moment: Moment, then: Callable[[str], None]) -> None:
        self._sim.disk.moments.setdefault(moment.entry, []).append(moment)
        before = self._sim.disk.on_moment

        def met(found: Moment) -> None:
            if found is moment:
                controller = self._sim.active()
                self._sim.happens(f"controller {controller.name if controller else ''} {moment}")
                then(controller.name if controller else "c1")
            else:
                before(found)

        self._sim.disk.on_moment = met

    def _stand_by(self) -> None:
        if len([x for x in self._sim.controllers if x.alive]) < 2:
            self._sim.start()

    def _reboot(self, fault: Fault) -> None:
        for controller in self._sim.controllers:
            controller.die()
        self._sim.lose_all()
        self._sim.timeline.after(fault.for_s or 40.0, self._boot)

    def _boot(self) -> None:
        self._sim.clocks.reboot()
        self._sim.start("c1")

    def _frozen(self, fault: Fault) -> None:
        controller = self._sim.active()
        if controller is not None:
            controller.freeze()
            self._stand_by()
            self._sim.timeline.after(fault.for_s or 60.0, controller.thaw)

    def _clock(self, fault: Fault) -> None:
        self._sim.clocks.wall_error_s += fault.strength

    # ---- people

    def _people(self, fault: Fault) -> Undo:
        people = self._sim.people
        return self._hold(fault.kind, True, lambda held: setattr(people, "reachable", not held))

    def _word(self, fault: Fault) -> None:
        self.say(e.WordKind(fault.word), fault.subject, dict(fault.options))

    def say(self, kind: e.WordKind, subject: str, options: dict[str, Json]) -> None:
        """An operator says it; of a run, the one that waits for a person now. A place said to be fenced is fenced."""
        controller = self._sim.active()
        if controller is None or controller.shell is None:
            return
        about = subject
        if kind in (e.WordKind.APPROVE, e.WordKind.REJECT, e.WordKind.ABORT):
            waiting = [x for x in controller.shell.engine.decided.unfinished_runs() if self._waits(x, kind)]
            if not waiting:
                return
            run = waiting[0]
            subject, about = run.id, run.started.service
            if options.pop("fence", False) and kind is e.WordKind.APPROVE:
                place = next((s.place for s in run.fences if s.place), None)
                if place is not None:
                    self._sim.happens(f"{OPERATOR} goes to {place} and switches it off by hand")
                    self._world.switch_off(place)
                    options["fenced"] = place
        if kind in e.OF_DRILLS:
            under_way = controller.shell.engine.decided.unfinished_drills()
            if not under_way:
                return
            subject, about = under_way[0].id, under_way[0].began.service
        self._words += 1
        who = operator(controller.model, about)
        word = e.WordSpoken(f"w{self._words}", kind, who, subject, "simulated", options)
        controller.hear(word)

    def _waits(self, run: Run, kind: e.WordKind) -> bool:
        if kind is e.WordKind.ABORT:
            return True
        return run.asks_a_person or (kind is e.WordKind.APPROVE and run.human is not None)

    def _reload(self, fault: Fault) -> None:
        self._planning.reload()

    def _schedule(self, fault: Fault) -> Undo:
        return self._planning.schedule(fault)


def _all(undo: list[Undo]) -> Undo:
    def each() -> None:
        for one in undo:
            one()

    return each


_BEGIN: dict[FaultKind, Callable[[Disasters, Fault], Undo | None]] = {
    FaultKind.POWER: Disasters._power,
    FaultKind.CUT: Disasters._cut,
    FaultKind.FLAP: Disasters._flap,
    FaultKind.LOSS: Disasters._loss,
    FaultKind.ONE_WAY: Disasters._one_way,
    FaultKind.SLOW: Disasters._slow,
    FaultKind.BLIND: Disasters._blind,
    FaultKind.REFERENCES: Disasters._references,
    FaultKind.CRASH: Disasters._crash,
    FaultKind.HANG: Disasters._crash,
    FaultKind.BROKEN: Disasters._broken,
    FaultKind.LAG: Disasters._lag,
    FaultKind.MUTE: Disasters._mute,
    FaultKind.LATE: Disasters._late,
    FaultKind.DISK_SLOW: Disasters._disk_slow,
    FaultKind.DISK_FULL: Disasters._disk_full,
    FaultKind.KILLED: Disasters._killed,
    FaultKind.KILLED_AT: Disasters._killed_at,
    FaultKind.REBOOT: Disasters._reboot,
    FaultKind.FROZEN: Disasters._frozen,
    FaultKind.FROZEN_AT: Disasters._frozen_at,
    FaultKind.CLOCK: Disasters._clock,
    FaultKind.PEOPLE: Disasters._people,
    FaultKind.WORD: Disasters._word,
    FaultKind.RELOAD: Disasters._reload,
    FaultKind.DRILLS: Disasters._schedule,
    FaultKind.WORK: Disasters._schedule,
    FaultKind.EVERYTHING: Disasters._everything,
}


def operator(model: Model, about: str) -> str:
    """Who says a word about this service or client, or about all: somebody who may."""
    client = about.partition("/")[0]
    may = [s for s in model.speakers.values() if not s.tool and not s.logins]
    own = [s for s in may if s.client in ("", client)] or may
    return own[0].id.rpartition("/")[2] if own else OPERATOR
