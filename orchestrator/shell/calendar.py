"""Looks at the calendars while a daemon attends: tells the core what is due, and when announced work begins and ends.

The one rule it keeps: it decides nothing and remembers nothing that counts. What is due follows from what is on record
and from the wall clock (`drills/due.py`); here is the clock. One that was put on or back is believed once it has stood
by that for a while: a wrong year, mended soon, misses no drill.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from orchestrator.config.whole_file import write_whole
from orchestrator.core import events as e
from orchestrator.core.engine import Engine
from orchestrator.core.model import Model
from orchestrator.core.state.decided import Decided
from orchestrator.drills import due, maintenance
from orchestrator.drills.surprise import seed_of
from orchestrator.drills.worth import Exposure, Exposures, exposure, key
from orchestrator.journal.axis import Axis
from orchestrator.journal.journal import JournalError
from orchestrator.reports.proof_ages import last_shown
from orchestrator.reports.reader import reading_all

log = structlog.get_logger(__name__)

BEAT_S = 1.0
JUMP_S = 30.0  # that the wall clock and the journal's axis part by, between two beats
BELIEVED_AFTER_S = 300.0
LONGEST_S = 3600.0  # without a look, whatever is ahead
SECRET = Path(".bascule") / "surprises.key"  # from which seeds are made; without it surprises are drawn anew
SECRET_LEAST = 32  # bytes


@dataclass(slots=True)
class Clock:
    """The wall clock beside the axis. `believed`: it has not been put on or back lately."""

    apart_s: float | None = None
    jumped_at: float = -float("inf")

    def believed(self, wall: float, axis: float) -> bool:
        """Whether what it says now may be gone by."""
        apart_s = wall - axis
        if self.apart_s is not None and abs(apart_s - self.apart_s) > JUMP_S:
            self.jumped_at = axis
            log.warning(
                "the wall clock was put on or back", by_s=round(apart_s - self.apart_s), wait_s=BELIEVED_AFTER_S
            )
        self.apart_s = apart_s
        return axis - self.jumped_at >= BELIEVED_AFTER_S


@dataclass(slots=True)
class Calendars:
    """Of one controller. `engine` gives what is in force; `emit` takes what is due."""

    workspace: Path
    engine: Callable[[], Engine]
    axis: Axis
    emit: Callable[[e.Event], None]
    clock: Clock = field(default_factory=Clock)
    _again_at: float = 0.0  # by the wall clock
    _looked_at: float = 0.0  # by the axis
    _model: Model | None = None
    _secret: bytes = b""

    async def keep(self) -> None:
        """For as long as the controller lives."""
        while True:
            await self.beat()
            await asyncio.sleep(BEAT_S)

    async def beat(self) -> None:
        """Look, where something may have come to its time."""
        wall, now = self.axis.wall(), self.axis.now()
        engine = self.engine()
        if not self.clock.believed(wall, now):
            self._again_at = 0.0  # it was worked out for another time
            return
        edited = engine.model is not self._model
        if not edited and wall < self._again_at and now - self._looked_at < LONGEST_S:
            return
        if self._by_value(engine, wall, now):
            exposures = await asyncio.to_thread(self._exposures, engine.model, wall)
            self._look(self.engine(), wall, now, exposures)
        else:
            self._look(engine, wall, now, {})

    def _by_value(self, engine: Engine, wall: float, now: float) -> bool:
        """Whether something is due that is to be chosen by what is proven: only then that is worked out."""
        schedules = engine.decided.schedules
        looked = due.look(schedules, engine.model.drills, wall, now, self._seed, {})
        return any(isinstance(x, e.DrillDue) and schedules[x.schedule].plan.by_value for x in looked.events)

    def _look(self, engine: Engine, wall: float, now: float, exposures: Exposures) -> None:
        decided, model = engine.decided, engine.model
        looked = due.look(decided.schedules, model.drills, wall, now, self._seed, exposures)
        windows = maintenance.look(decided.maintenance, model.maintenance, wall, now)
        self._model, self._looked_at = model, now
        found = [x for x in looked.events if not _known(x, decided)]
        self._again_at = wall if found else min(looked.again_at, windows.again_at)
        for event in [*windows.events, *found]:
            self.emit(event)

    def _seed(self, schedule: str, occurrence: str) -> str:
        if not self._secret:
            try:
                self._secret = secret_in(self.workspace)
            except OSError as error:  # surprises alone suffer from it: they are drawn anew after a restart
                log.warning("the secret of surprises can be neither read nor written", why=str(error))
                self._secret = secrets.token_bytes(SECRET_LEAST)
        return seed_of(self._secret, schedule, occurrence)

    def _exposures(self, model: Model, wall: float) -> Exposures:
        """What is proven of every tier, read from the journal. In a thread: a long journal takes a while."""
        try:
            with reading_all(self.workspace) as journal:
                now, stories = journal.now(wall), journal.state
                shown = last_shown(stories, model, now)
        except JournalError as error:
            log.warning("what is proven could not be read", why=str(error))
            return {}
        ages = {key(service, move): wall - last.wall for (service, move), last in shown.items()}
        return exposures_of(model, stories.decided, ages)


def _known(event: e.Event, decided: Decided) -> bool:
    """Whether it was told before, and nothing comes of it again."""
    if isinstance(event, e.DrillNear):
        return any(x.startswith(f"{event.schedule}@{event.occurrence}/ahead/") for x in decided.told)
    if isinstance(event, e.DrillSealed):
        seal = decided.schedules[event.schedule].seal
        return seal is not None and (seal.occurrence, seal.seal) == (event.occurrence, event.seal)
    return False


def exposures_of(model: Model, decided: Decided, ages: dict[str, float]) -> dict[str, Exposure]:
    """What is not known of every tier. `ages`: since when what is proven is, in seconds."""
    return {
        (name := key(service.id, tier.move)): exposure(
            service, ages.get(name), decided.durations.get(tier.move, ()), decided.drilled.get(tier.move, ())
        )
        for service in model.services.values()
        for tier in service.ladder
    }


def secret_in(workspace: Path) -> bytes:
    """From which the seeds of surprises are made; made where there is none, or no whole one. Raises OSError."""
    path = workspace / SECRET
    kept = path.read_bytes() if path.exists() else b""
    if len(kept) < SECRET_LEAST:  # empty, or cut off: anybody could guess it, and draw what is drawn
        write_whole(path, secrets.token_hex(SECRET_LEAST))
        kept = path.read_bytes()
    return kept
