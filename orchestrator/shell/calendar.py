"""Looks at the calendars while a daemon attends: tells the core what is due, and when announced work begins and ends.

The one rule it keeps: it is the clock, the secret and the journal's proofs, and no more. When to look and what to tell
is worked out in `drills/looking.py`, as in the simulator.
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
from orchestrator.core.commands import NoticeKind, TellPeople
from orchestrator.core.engine import Engine
from orchestrator.core.model import Json, Model
from orchestrator.drills.looking import BEAT_S, BELIEVED_AFTER_S, Clock, Looks, exposures_of
from orchestrator.drills.worth import Exposures, key
from orchestrator.journal.axis import Axis
from orchestrator.journal.journal import JournalError
from orchestrator.reports.proof_ages import last_shown
from orchestrator.reports.reader import reading_all

log = structlog.get_logger(__name__)

SECRET = Path(".bascule") / "surprises.key"  # from which seeds are made; without it surprises are drawn anew
SECRET_LEAST = 32  # bytes


@dataclass(slots=True)
class Calendars:
    """Of one controller. `engine` gives what is in force; `emit` takes what is due; `tell` reaches people."""

    workspace: Path
    engine: Callable[[], Engine]
    axis: Axis
    emit: Callable[[e.Event], None]
    tell: Callable[[TellPeople], None] = lambda _: None
    _looks: Looks = field(init=False)
    _secret: bytes = b""

    def __post_init__(self) -> None:
        """Nothing was looked at yet."""
        self._looks = Looks(self._kept_secret, Clock(_jumped), self.axis.now() - self.axis.uptime())

    async def keep(self) -> None:
        """For as long as the controller lives."""
        while True:
            await self.beat()
            await asyncio.sleep(BEAT_S)

    async def beat(self) -> None:
        """Look, where something may have come to its time."""
        wall, now = self.axis.wall(), self.axis.now()
        engine = self.engine()
        if not self._looks.wanted(engine.model, wall, now):
            return
        exposures: Exposures = {}
        if self._looks.by_value(engine, wall, now):
            exposures = await asyncio.to_thread(self._exposures, engine.model, wall)
            engine = self.engine()
        before = self._looks.unknown
        for event in self._looks.look(engine, wall, now, exposures):
            self.emit(event)
        for name, why in self._looks.unknown.items():
            if before.get(name) != why:
                log.error("a schedule cannot be worked out", schedule=name, why=why)
                text = f"{name}: {why}: nothing of this schedule begins, and none of its times is told"
                self.tell(
                    TellPeople(f"schedule/{name}/{now:.0f}", NoticeKind.CANNOT_ACT, name.partition("/")[0], name, text)
                )

    def unknown(self) -> dict[str, Json]:
        """Schedules that cannot be worked out here, and why."""
        return dict(self._looks.unknown)

    def _kept_secret(self) -> bytes:
        if not self._secret:
            try:
                self._secret = secret_in(self.workspace)
            except OSError as error:  # surprises alone suffer from it: they are drawn anew after a restart
                log.warning("the secret of surprises can be neither read nor written", why=str(error))
                self._secret = secrets.token_bytes(SECRET_LEAST)
        return self._secret

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


def _jumped(by_s: float) -> None:
    log.warning("the wall clock was put on or back", by_s=round(by_s), wait_s=BELIEVED_AFTER_S)


def secret_in(workspace: Path) -> bytes:
    """From which the seeds of surprises are made; made where there is none, or no whole one. Raises OSError."""
    path = workspace / SECRET
    kept = path.read_bytes() if path.exists() else b""
    if len(kept) < SECRET_LEAST:  # empty, or cut off: anybody could guess it, and draw what is drawn
        write_whole(path, secrets.token_hex(SECRET_LEAST))
        kept = path.read_bytes()
    return kept
