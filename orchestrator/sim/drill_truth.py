"""Statement 23, judged against the world: a drill never lengthens an outage and leaves nothing behind.

The one rule it keeps: it reads the journal's records, what playbooks did and where services really are; never the
engine's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import StepKey, WordKind
from orchestrator.core.model import Condition, DrillKind, Mode, Model
from orchestrator.core.reasons import Reason
from orchestrator.core.state.decided import covers
from orchestrator.sim.answers import Answers
from orchestrator.sim.schedule_truth import ScheduleTruth, TrueWall
from orchestrator.sim.step_kinds import APART, CHANGES, LEAVES, PLAYED
from orchestrator.sim.targets import Targets
from orchestrator.sim.violation import Report
from orchestrator.sim.way_back_truth import WayBackTruth
from orchestrator.sim.world import World

BEGINS = (*CHANGES, *(kind for kind in APART if not PLAYED[kind].always))  # a clean-up is made whoever forbids it
RULE = "a drill leaves nothing behind"
SOON_S = 120.0  # after its stay: it has looked, and gone back by then, unless something stands against it
LATE_S = 60.0  # after that: until whoever is told has been


@dataclass(slots=True)
class Seen:
    """One drill, as the journal and the targets tell."""

    began: r.DrillBegan
    runs: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)  # runs that left something at their target, and have not cleaned up
    cleaned: bool = False  # its clean-up was begun, or is a person's, or nobody says any more how it is made
    going: set[str] = field(default_factory=set)  # its runs that are not over
    turned: bool = False
    ended: r.DrillEnded | None = None
    moved_at: float | None = None  # when its run there was over


class DrillTruth:
    """What drills did to a simulated world."""

    def __init__(
        self,
        world: World,
        targets: Targets,
        answers: Answers,
        report: Report,
        true_wall: TrueWall = lambda: None,
        models: Mapping[str, Model] | None = None,
    ) -> None:
        """No drill was made yet. `true_wall`: see `schedule_truth`; `models`: see `way_back_truth`."""
        self._way_back = WayBackTruth(models or {}, report)
        self._schedules = ScheduleTruth(true_wall, report)
        self._world = world
        self._answers = answers
        self._over_at: dict[str, float] = {}  # run to its end
        self._report = report
        self._drills: dict[str, Seen] = {}
        self._run_of: dict[str, str] = {}
        self._planned: dict[str, r.RunStarted] = {}
        self._open: dict[str, tuple[str, float]] = {}  # incident to its service, and since when this outage
        self._effects: dict[str, float] = {}  # run to when it first changed anything
        self._stand: dict[str, set[str]] = {"held": set(), "suspected": set()}
        self._windows: dict[str, float] = {}  # announced by a word; with `#` and its name, by a calendar
        self._frozen: set[str] = set()  # services that flapped
        self._known: dict[str, str] = {}  # incident to its service, also of those that are over
        self._asked: dict[str, str] = {}  # drill to what it left, of which somebody is to be told in the same entry
        self._told: dict[str, float] = {}  # service to when a person was last asked to do something about it
        self._approving: dict[str, float] = {}  # the same, of approvals: its recovery is in somebody's hands
        targets.on_effect.append(self._effect)

    def record(self, record: r.Record) -> None:
        """One record became durable."""
        self._schedules.record(record)
        self._way_back.record(record)
        told = _TOLD.get(type(record))
        if told is not None:
            told(self, record)

    def at_rest(self, now: float) -> None:
        """After the calm every drill is over, or within its stay and its time to return, or a person was told."""
        self._schedules.at_rest(now)
        for name, seen in self._drills.items():
            began, service = seen.began, seen.began.service
            stays = seen.moved_at is not None and now < seen.moved_at + began.stays_s + began.within_s + LATE_S
            told_at = max(self._told.get(service, -1.0), self._approving.get(service, -1.0))
            if seen.ended is None and not stays and told_at < seen.began.at:
                self._report(23, "every drill ends, or a person is told", f"{name} of {seen.began.service}")
            if self._stays_away(seen, now):
                self._report(23, "a drill goes back when its stay is over", f"{name}: {'; '.join(self._left(seen))}")

    def _stays_away(self, seen: Seen, now: float) -> bool:
        """Whether it has long been time to go back, nothing stands against it, and nothing was begun."""
        began, model = seen.began, self._world.nature.model
        if seen.ended is not None or not began.back or len(seen.runs) != 1 or seen.moved_at is None or seen.going:
            return False
        due = now >= seen.moved_at + began.stays_s + SOON_S and any(self._left(seen))
        client = began.service.partition("/")[0]
        against = [name for name, (service, _) in self._open.items() if covers(client, service)]
        against += [*self._forbidden(began.service, now), *self._frozen.intersection({began.service})]
        ready = model.moves[began.back].viable_when
        for condition in (self._health(began), ready):
            against += self._answers.not_up(condition) if condition is not None else []
        return due and not against

    # ---- in the world

    def _effect(self, key: StepKey, kind: r.StepKind) -> None:
        drill = self._drills.get(self._run_of.get(key.run, ""))
        if drill is None:
            return
        self._effects.setdefault(key.run, self._world.timeline.now)
        simulated = any(s.simulated for s in self._planned[key.run].steps if s.name == key.step)
        if kind in LEAVES and not simulated:  # in check mode nothing is made
            drill.made.add(key.run)
        elif kind is r.StepKind.CLEAN_UP:
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
        trouble += self._forbidden(x.service, x.at)
        trouble += [f"{x.service} is frozen"] if x.service in self._frozen else []
        trouble += [f"{c} is not up" for c in self._answers.not_up(self._health(x))]
        if trouble:
            self._report(23, "a drill begins only where all is well", f"{x.drill}: {'; '.join(sorted(trouble))}")

    def _forbidden(self, service: str, at: float) -> list[str]:
        """What people said that stands against it."""
        found = [f"{name} is {how}" for how, those in self._stand.items() for name in those if covers(name, service)]
        return found + [
            f"{n} is in maintenance"
            for n, ends in self._windows.items()
            if covers(n.partition("#")[0], service) and at < ends
        ]

    def _health(self, began: r.DrillBegan) -> Condition:
        return self._world.nature.model.services[began.service].healthy_when

    def _run_started(self, x: r.RunStarted) -> None:
        self._planned[x.run] = x
        if x.drill:
            mode = self._world.nature.model.services[x.service].mode
            asks = [s.kind for s in x.steps if s.kind is r.StepKind.APPROVAL or PLAYED.get(s.kind)][:1]
            first = not self._drills[x.drill].runs and self._drills[x.drill].began.scheduled
            if first and mode is not Mode.AUTO and asks != [r.StepKind.APPROVAL]:
                self._report(19, "modes are honoured", f"{x.run} asks nobody, and {x.service} is in mode {mode.value}")
            self._run_of[x.run] = x.drill
            self._drills[x.drill].runs.add(x.run)
            self._drills[x.drill].going.add(x.run)

    def _run_ended(self, x: r.RunEnded) -> None:
        drill = self._drills.get(self._run_of.get(x.run, ""))
        if drill is not None:
            drill.going.discard(x.run)
            drill.moved_at = x.at if drill.moved_at is None else drill.moved_at
            self._over_at[x.run] = x.at

    def _step_began(self, x: r.StepBegan) -> None:
        """What has changed nothing yet must not begin to where somebody forbade it, or while its service is down."""
        drill = self._drills.get(self._run_of.get(x.run, ""))
        kind = next((s.kind for s in self._planned[x.run].steps if s.name == x.step), None) if drill else None
        if drill is None or kind is None:
            return
        drill.cleaned |= kind is r.StepKind.CLEAN_UP
        first = x.run not in self._effects and x.attempt == 1
        if first and kind in BEGINS and (said := self._forbidden(drill.began.service, x.at)):
            self._report(23, "a drill honours what people said", f"{x.run}/{x.step} begins, and {'; '.join(said)}")
        if not first or kind not in CHANGES or self._takes_back_what_failed(x.run, drill):
            return
        for incident, (service, since) in self._open.items():
            if service == drill.began.service and since < x.at:
                self._report(
                    23, "a drill never lengthens an outage", f"{x.run}/{x.step} begins, and {incident} is open"
                )

    def _takes_back_what_failed(self, run: str, drill: Seen) -> bool:
        """Whether it takes back a move in place whose own way is down: that ends an outage, and lengthens none."""
        moves = self._world.nature.model.moves
        forth = moves.get(moves[self._planned[run].move].undoes or "")
        if forth is None or forth.id != drill.began.move or forth.viable_when is None:
            return False
        return self._answers.says(forth.viable_when) is r.Verdict.DOWN

    def _left_alone(self, x: r.RunNeedsHuman | r.StepFinished) -> None:
        """A clean-up that a person has to see to, or of which nobody says any more how it is made."""
        drill = self._drills.get(self._run_of.get(x.run, ""))
        if drill is not None and (isinstance(x, r.RunNeedsHuman) or x.reason is Reason.PLAN_CHANGED):
            drill.cleaned = True

    def _turned(self, x: r.DrillTurnedBack) -> None:
        self._drills[x.drill].turned = True

    def _ended(self, x: r.DrillEnded) -> None:
        seen = self._drills[x.drill]
        seen.ended = x
        left = list(self._left(seen))
        if seen.made and not seen.cleaned:
            self._report(23, "a rehearsal is cleaned up whatever became of it", f"{x.drill}: {'; '.join(left)}")
        if x.ok and x.returned is not None:
            since = max(self._over_at.get(run, 0.0) for run in seen.runs)
            if unheard := self._answers.not_good_since(self._health(seen.began), since):
                self._report(23, "the return is shown by answers", f"{x.drill}: {', '.join(unheard)}")
        if not left:
            return
        if x.ok:
            self._report(23, RULE, f"{x.drill} ended well: {'; '.join(left)}")
        elif self._told.get(seen.began.service, -1.0) < seen.began.at:
            self._asked[x.drill] = "; ".join(left)

    def _notice(self, x: r.NoticeDue) -> None:
        if x.kind is NoticeKind.HUMAN_NEEDED:
            self._told[x.subject] = x.at
        elif x.kind is NoticeKind.APPROVAL_NEEDED:
            self._approving[x.subject] = x.at

    def entry_over(self) -> None:
        """What is told of a drill stands in the entry of its end."""
        for drill, left in self._asked.items():
            began = self._drills[drill].began
            if self._told.get(began.service, -1.0) < began.at:
                self._report(23, "whoever can mend what a drill left is told", f"{drill}: {left}")
        self._asked.clear()
        for name, seen in self._drills.items():
            if seen.ended is None and not seen.turned and not seen.going:
                for incident, (service, since) in self._open.items():
                    if service == seen.began.service and since >= seen.began.at:
                        self._report(23, "harm leads a drill back", f"{name} goes on, and {incident} is open")

    def _opened(self, x: r.IncidentOpened | r.IncidentReopened) -> None:
        service = x.service if isinstance(x, r.IncidentOpened) else self._known.get(x.incident, "")
        self._known[x.incident] = service
        self._open[x.incident] = (service, x.at)

    def _over(self, x: r.IncidentEnded) -> None:
        self._open.pop(x.incident, None)

    def _window(self, x: r.WindowOpened | r.WindowClosed) -> None:
        """Announced by a calendar."""
        name = f"{x.subject}#{x.window}"
        if isinstance(x, r.WindowOpened):
            self._windows[name] = x.ends_at
        else:
            self._windows.pop(name, None)

    def _flapped(self, x: r.ServiceFrozen) -> None:
        if x.reason is not Reason.MASS_FAILURE:  # that one lets go when the checks come back
            self._frozen.add(x.service)

    def _word(self, x: r.WordAccepted) -> None:
        held, suspected = self._stand["held"], self._stand["suspected"]
        if x.kind is WordKind.HOLD:
            held.add(x.subject)
        elif x.kind is WordKind.RESUME:
            held.discard(x.subject)
            self._frozen = {name for name in self._frozen if not covers(x.subject, name)}
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
    r.RunNeedsHuman: DrillTruth._left_alone,
    r.StepFinished: DrillTruth._left_alone,
    r.DrillTurnedBack: DrillTruth._turned,
    r.DrillEnded: DrillTruth._ended,
    r.NoticeDue: DrillTruth._notice,
    r.IncidentOpened: DrillTruth._opened,
    r.IncidentReopened: DrillTruth._opened,
    r.IncidentEnded: DrillTruth._over,
    r.WordAccepted: DrillTruth._word,
    r.WindowOpened: DrillTruth._window,
    r.WindowClosed: DrillTruth._window,
    r.ServiceFrozen: DrillTruth._flapped,
}
