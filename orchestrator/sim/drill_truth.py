"""Statement 23, judged against the world: a drill never lengthens an outage and leaves nothing behind.

The one rule it keeps: it reads the journal's records, what playbooks did and where services really are; never the
engine's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import StepKey, WordKind
from orchestrator.core.model import DrillKind
from orchestrator.core.state.decided import covers
from orchestrator.sim.targets import Targets
from orchestrator.sim.violation import Report
from orchestrator.sim.world import World

CLEANED = "clean up"
MADE = ("set up", "rehearse")  # kinds of a rehearsal's steps that leave something at its target
RULE = "a drill leaves nothing behind"
BACK_S = 300.0  # after its stay, in a calm world, until it is over


@dataclass(slots=True)
class Seen:
    """One drill, as the journal and the targets tell."""

    began: r.DrillBegan
    runs: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)  # runs that left something at their target, and have not cleaned up
    ended: r.DrillEnded | None = None
    moved_at: float | None = None  # when its run there was over


class DrillTruth:
    """What drills did to a simulated world."""

    def __init__(self, world: World, targets: Targets, report: Report) -> None:
        """No drill was made yet."""
        self._world = world
        self._report = report
        self._drills: dict[str, Seen] = {}
        self._run_of: dict[str, str] = {}
        self._planned: dict[str, r.RunStarted] = {}
        self._open: dict[str, tuple[str, float]] = {}  # incident to its service, and since when this outage
        self._effects: dict[str, float] = {}  # run to when it first changed anything
        self._stand: dict[str, set[str]] = {"held": set(), "suspected": set()}
        self._windows: dict[str, float] = {}
        self._known: dict[str, str] = {}  # incident to its service, also of those that are over
        self._asked: dict[str, str] = {}  # drill to what it left, of which somebody is to be told in the same entry
        self._told: dict[str, float] = {}  # service to when a person was last asked to do something about it
        targets.on_effect.append(self._effect)

    def record(self, record: r.Record) -> None:
        """One record became durable."""
        told = _TOLD.get(type(record))
        if told is not None:
            told(self, record)

    def at_rest(self, now: float) -> None:
        """After the calm every drill is over, or stays where it is for as long as it was to, or a person was told."""
        for name, seen in self._drills.items():
            stays = seen.moved_at is not None and now < seen.moved_at + seen.began.stays_s + BACK_S
            if seen.ended is None and not stays and self._told.get(seen.began.service, -1.0) < seen.began.at:
                self._report(23, "every drill ends, or a person is told", f"{name} of {seen.began.service}")

    # ---- in the world

    def _effect(self, key: StepKey, kind: r.StepKind) -> None:
        drill = self._drills.get(self._run_of.get(key.run, ""))
        if drill is None:
            return
        self._effects.setdefault(key.run, self._world.timeline.now)
        simulated = any(s.simulated for s in self._planned[key.run].steps if s.name == key.step)
        if kind.value in MADE and not simulated:  # in check mode nothing is made
            drill.made.add(key.run)
        elif kind.value == CLEANED:
            drill.made.discard(key.run)

    def _left(self, seen: Seen) -> Iterator[str]:
        began, world = seen.began, self._world
        if began.kind is DrillKind.FUNCTIONAL:
            yield from (f"what {run} made at its target" for run in sorted(seen.made))
            return
        place = world.services[began.service].place
        if place != began.place:
            yield f"{began.service} is at {place}, and was at {began.place}"
        if began.move in world.engaged:
            yield f"{began.move} is in effect"

    # ---- in the journal

    def _began(self, x: r.DrillBegan) -> None:
        self._drills[x.drill] = Seen(x)
        client = x.service.partition("/")[0]
        trouble = [f"{i} is open" for i, (service, _) in self._open.items() if covers(client, service)]
        trouble += [
            f"{name} is {how}" for how, those in self._stand.items() for name in those if covers(name, x.service)
        ]
        trouble += [f"{n} is in maintenance" for n, at in self._windows.items() if covers(n, x.service) and x.at < at]
        if trouble:
            self._report(23, "a drill begins only where all is well", f"{x.drill}: {'; '.join(sorted(trouble))}")

    def _run_started(self, x: r.RunStarted) -> None:
        self._planned[x.run] = x
        if x.drill:
            self._run_of[x.run] = x.drill
            self._drills[x.drill].runs.add(x.run)

    def _run_ended(self, x: r.RunEnded) -> None:
        drill = self._drills.get(self._run_of.get(x.run, ""))
        if drill is not None and drill.moved_at is None:
            drill.moved_at = x.at

    def _step_began(self, x: r.StepBegan) -> None:
        """What has not changed anything yet must not begin to while its service is down: that would be the outage's."""
        drill = self._drills.get(self._run_of.get(x.run, ""))
        if drill is None or x.run in self._effects or drill.began.kind is DrillKind.FUNCTIONAL:
            return
        kind = next((s.kind for s in self._planned[x.run].steps if s.name == x.step), None)
        if kind not in (r.StepKind.PREPARE, r.StepKind.FENCE, r.StepKind.EXECUTE):
            return
        for incident, (service, since) in self._open.items():
            if service == drill.began.service and since < x.at:
                self._report(
                    23, "a drill never lengthens an outage", f"{x.run}/{x.step} begins, and {incident} is open"
                )

    def _ended(self, x: r.DrillEnded) -> None:
        seen = self._drills[x.drill]
        seen.ended = x
        left = list(self._left(seen))
        if not left:
            return
        if x.ok:
            self._report(23, RULE, f"{x.drill} ended well: {'; '.join(left)}")
        elif self._told.get(seen.began.service, -1.0) < seen.began.at:
            self._asked[x.drill] = "; ".join(left)

    def _notice(self, x: r.NoticeDue) -> None:
        if x.kind is NoticeKind.HUMAN_NEEDED:
            self._told[x.subject] = x.at

    def entry_over(self) -> None:
        """What is told of a drill stands in the entry of its end."""
        for drill, left in self._asked.items():
            began = self._drills[drill].began
            if self._told.get(began.service, -1.0) < began.at:
                self._report(23, "whoever can mend what a drill left is told", f"{drill}: {left}")
        self._asked.clear()

    def _opened(self, x: r.IncidentOpened | r.IncidentReopened) -> None:
        service = x.service if isinstance(x, r.IncidentOpened) else self._known.get(x.incident, "")
        self._known[x.incident] = service
        self._open[x.incident] = (service, x.at)

    def _over(self, x: r.IncidentEnded) -> None:
        self._open.pop(x.incident, None)

    def _word(self, x: r.WordAccepted) -> None:
        held, suspected = self._stand["held"], self._stand["suspected"]
        if x.kind is WordKind.HOLD:
            held.add(x.subject)
        elif x.kind is WordKind.RESUME:
            held.discard(x.subject)
        elif x.kind is WordKind.SUSPECT:
            suspected.add(x.subject)
        elif x.kind is WordKind.CLEAR:
            suspected.discard(x.subject)
        elif x.kind is WordKind.MAINTENANCE:
            self._windows[x.subject] = x.ends_at if x.ends_at is not None else x.at
        elif x.kind is WordKind.MAINTENANCE_END:
            self._windows.pop(x.subject, None)


_TOLD: dict[type, Callable[[DrillTruth, Any], None]] = {
    r.DrillBegan: DrillTruth._began,
    r.RunStarted: DrillTruth._run_started,
    r.RunEnded: DrillTruth._run_ended,
    r.StepBegan: DrillTruth._step_began,
    r.DrillEnded: DrillTruth._ended,
    r.NoticeDue: DrillTruth._notice,
    r.IncidentOpened: DrillTruth._opened,
    r.IncidentReopened: DrillTruth._opened,
    r.IncidentEnded: DrillTruth._over,
    r.WordAccepted: DrillTruth._word,
}
