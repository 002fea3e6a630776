"""Schedules in small, and a shell in small that looks at them: it tells a world's engine what the calendars say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from orchestrator.core import events as e
from orchestrator.core.model import DrillKind, Model
from orchestrator.core.schedules import Calendar, Candidate, DrillPlan, Hours, Schedule
from orchestrator.drills import due
from orchestrator.drills.surprise import seed_of
from orchestrator.drills.worth import Exposures
from orchestrator.testing import World

NIGHTS = Hours((0, 1, 2, 3, 4, 5, 6), 20 * 3600, 6 * 3600)
WINDOW_S = 1200.0


def moment(text: str) -> datetime:
    """`2026-11-03T21:00`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def plan(name: str = "geo", cron: str = "0 22 * * *", zone: str = "Europe/Paris", **changes: object) -> DrillPlan:
    """A rehearsal of the second tier each evening, within twenty minutes."""
    made = DrillPlan(
        f"acme/{name}",
        "acme",
        name,
        DrillKind.FUNCTIONAL,
        Schedule(cron, WINDOW_S, (Calendar(zone),)),
        (Candidate("acme/erp", "acme/geo-site"),),
    )
    made = replace(made, **changes)  # type: ignore[arg-type]
    return replace(made, digest=f"digest of {made}")


def seeds(schedule: str, occurrence: str) -> str:
    """Of a secret that everybody here knows."""
    return seed_of(b"secret", schedule, occurrence)


class Desk:
    """Looks at the calendars of a world. `begins`: what the wall clock says when the world's time is 0."""

    def __init__(self, world: World, begins: str, *plans: DrillPlan, exposures: Exposures | None = None) -> None:
        self.world, self.exposures = world, exposures or {}
        self.begins = moment(begins).timestamp() - world.now
        self.load(*plans)

    @property
    def wall(self) -> float:
        """Seconds since 1970."""
        return self.begins + self.world.now

    def load(self, *plans: DrillPlan) -> None:
        """Have these schedules in force."""
        model: Model = self.world.model
        digest = f"{model.digest.partition('~')[0]}~{'+'.join(p.digest for p in plans)}"
        self.world.model = replace(model, digest=digest, drills={p.id: p for p in plans})
        self.world.hears(e.ConfigurationLoaded(self.world.model))
        self.look()

    def look(self) -> None:
        """As the shell does, until there is nothing to tell."""
        for _ in range(5):
            engine = self.world.engine
            looked = due.look(
                engine.decided.schedules, engine.model.drills, self.wall, self.world.now, seeds, self.exposures
            )
            for event in looked.events:
                self.world.hears(event)
            if not any(isinstance(x, e.CalendarRead | e.DrillsPassed | e.DrillDue) for x in looked.events):
                return

    def run(self, seconds: float, every: float = 60.0) -> None:
        """Time passes, and it looks every minute."""
        until = self.world.now + seconds
        while self.world.now < until:
            self.world.run(min(every, until - self.world.now))
            self.look()
