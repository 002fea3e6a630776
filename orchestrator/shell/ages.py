"""Notes how old the data of each service is, at every answer, and has it kept by the hour beside the journal.

The one rule it keeps: it holds nobody up and harms nothing. An answer is noted in memory as it passes. A thread writes,
once a minute; where it cannot (a full disk), what was noted waits, for two days at most.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from orchestrator.core import events as e
from orchestrator.core.ages import HOUR_S, MEASURES, Ages, Kept
from orchestrator.core.model import Model
from orchestrator.journal import ages

log = structlog.get_logger(__name__)

EVERY_S = 60.0
WAITS_HOURS = 48  # in memory, where they cannot be written
KEEP_S = 400 * 86400.0


class KeepsAges(Protocol):
    """What `bascule.yml` says of them."""

    @property
    def ages_s(self) -> float:
        """How long hours are kept."""


class DataAges:
    """One controller's. A daemon has it `run` until it is cancelled."""

    def __init__(
        self,
        workspace: Path,
        model: Callable[[], Model],
        wall: Callable[[], float],
        settings: Callable[[], KeepsAges | None] = lambda: None,
    ) -> None:
        """`model`: the one in force. `wall`: seconds since 1970."""
        self._workspace = workspace
        self._model = model
        self._wall = wall
        self._settings = settings
        self._known: Model | None = None
        self._asked: dict[str, list[tuple[str, float | None]]] = {}
        self._noted: dict[Kept, Ages] = {}
        self._failed = ""

    def passing(self, emit: Callable[[e.Event], None]) -> Callable[[e.Event], None]:
        """The same `emit`, which notes what passes."""

        def noted(event: e.Event) -> None:
            emit(event)
            if isinstance(event, e.Observed):
                self.note(event)

        return noted

    def note(self, event: e.Observed) -> None:
        """One answer of a check that tells the age of a service's data; any other is none of its business."""
        model = self._model()
        if model is not self._known:
            self._known, self._asked = model, asked_for_ages(model)
        for service, rpo_s in self._asked.get(event.check, ()):
            wall = self._wall()
            told = [name for name in MEASURES if name in event.measures]
            for name in told or MEASURES[:1]:
                kept = Kept(service, event.check, name, int(wall // HOUR_S))
                self._noted.setdefault(kept, Ages()).note(event.measures.get(name), rpo_s, wall)

    async def run(self) -> None:
        """Write what was noted, once a minute and at the end."""
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                await self.write()
        finally:
            await self.write()

    async def write(self) -> None:
        """What was noted so far. What cannot be written is noted still."""
        news, self._noted = self._noted, {}
        if not news:
            return
        settings = self._settings()
        keep_s = settings.ages_s if settings is not None else KEEP_S
        try:
            await asyncio.to_thread(ages.add, self._workspace, news, self._wall(), keep_s)
            self._failed = ""
        except (OSError, sqlite3.Error) as error:
            if str(error) != self._failed:
                log.warning("ages of data could not be kept", why=str(error))
            self._failed = str(error)
            since = int(self._wall() // HOUR_S) - WAITS_HOURS
            for kept, found in news.items():
                if kept.hour > since:
                    self._noted.setdefault(kept, Ages()).join(found)


def asked_for_ages(model: Model) -> dict[str, list[tuple[str, float | None]]]:
    """Checks that tell the age of data, each with the services whose moves go by it, and their RPOs."""
    found: dict[str, dict[str, float | None]] = {}
    for service in model.services.values():
        for tier in service.ladder:
            name = model.moves[tier.move].data_age
            if name is not None:
                found.setdefault(name, {})[service.id] = service.rpo_s
    return {name: list(services.items()) for name, services in found.items()}
