"""When calendars are looked at, and what the core is told then: the same in a daemon and in the simulator.

The one rule it keeps: it decides nothing and remembers nothing that counts. What is due follows from what is on record
and from the wall clock (`due.py`). One that was put on or back is believed once it has stood by that for a while, and
so is the one of a machine that was started anew: a wrong year, mended soon, misses no drill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator.core import events as e
from orchestrator.core.engine import Engine
from orchestrator.core.model import Model
from orchestrator.core.state.decided import Decided
from orchestrator.drills import due, maintenance
from orchestrator.drills.surprise import seed_of
from orchestrator.drills.worth import Exposure, Exposures, exposure, key

BEAT_S = 1.0
JUMP_S = 30.0  # that the wall clock and the journal's axis part by, between two beats
BELIEVED_AFTER_S = 300.0
LONGEST_S = 3600.0  # without a look, whatever is ahead


@dataclass(slots=True)
class Clock:
    """The wall clock beside the axis. `jumped`: is told by how many seconds it was put on or back."""

    jumped: Callable[[float], None] = field(default=lambda _by_s: None)
    apart_s: float | None = None
    jumped_at: float = -float("inf")

    def believed(self, wall: float, axis: float) -> bool:
        """Whether what it says now may be gone by: it has not been put on or back lately."""
        apart_s = wall - axis
        if self.apart_s is not None and abs(apart_s - self.apart_s) > JUMP_S:
            self.jumped_at = axis
            self.jumped(apart_s - self.apart_s)
        self.apart_s = apart_s
        return axis - self.jumped_at >= BELIEVED_AFTER_S


@dataclass(slots=True)
class Looks:
    """Of one controller. `secret`: from which the seeds of surprises are made.

    `booted_at`: when its machine was started, by the axis. It may not have been told the time of day yet. What is
    missed stays missed, so drills wait. Announced work does not: with it unknown, something would act in its middle.
    """

    secret: Callable[[], bytes]
    clock: Clock = field(default_factory=Clock)
    booted_at: float = -float("inf")
    unknown: dict[str, str] = field(default_factory=dict)  # schedules that cannot be worked out here, and why
    _again_at: float = 0.0  # by the wall clock
    _looked_at: float = 0.0  # by the axis
    _model: Model | None = None

    def wanted(self, model: Model, wall: float, now: float) -> bool:
        """Whether something may have come to its time; asked at each beat, for the clock is watched here."""
        if not self.clock.believed(wall, now):
            self._again_at = 0.0  # it was worked out for another time
            return False
        return model is not self._model or wall >= self._again_at or now - self._looked_at >= LONGEST_S

    def by_value(self, engine: Engine, wall: float, now: float) -> bool:
        """Whether something is due that is to be chosen by what is proven: only then that is worked out."""
        if self._waits_s(now) > 0:
            return False
        schedules = engine.decided.schedules
        looked = due.look(schedules, engine.model.drills, wall, now, self._seed, {})
        return any(isinstance(x, e.DrillDue) and schedules[x.schedule].plan.by_value for x in looked.events)

    def look(self, engine: Engine, wall: float, now: float, exposures: Exposures) -> list[e.Event]:
        """What the core is to be told now."""
        decided, model = engine.decided, engine.model
        looked = due.look(decided.schedules, model.drills, wall, now, self._seed, exposures)
        windows = maintenance.look(decided.maintenance, model.maintenance, wall, now)
        self._model, self._looked_at = model, now
        self.unknown = looked.unknown | windows.unknown
        found, again_at = [x for x in looked.events if not _known(x, decided)], looked.again_at
        if (left_s := self._waits_s(now)) > 0:
            found, again_at = [], wall + left_s
        self._again_at = wall if found else min(again_at, windows.again_at)
        return [*windows.events, *found]

    def _waits_s(self, now: float) -> float:
        """For how long drills wait yet."""
        return self.booted_at + BELIEVED_AFTER_S - now

    def _seed(self, schedule: str, occurrence: str) -> str:
        return seed_of(self.secret(), schedule, occurrence)


def _known(event: e.Event, decided: Decided) -> bool:
    """Whether it was told before, and nothing comes of it again."""
    if isinstance(event, e.DrillNear):
        return any(x.startswith(f"{event.schedule}@{event.occurrence}/ahead/") for x in decided.told)
    if isinstance(event, e.DrillSealed):
        seal = decided.schedules[event.schedule].seal
        return seal is not None and (seal.occurrence, seal.seal) == (event.occurrence, event.seal)
    return False


def exposures_of(model: Model, decided: Decided, ages: Mapping[str, float]) -> dict[str, Exposure]:
    """What is not known of every tier. `ages`: since when what is proven is, in seconds."""
    return {
        (name := key(service.id, tier.move)): exposure(
            service, ages.get(name), decided.durations.get(tier.move, ()), decided.drilled.get(tier.move, ())
        )
        for service in model.services.values()
        for tier in service.ladder
    }
