"""The calendars of one simulated controller: it looks at them as a daemon does, by its machine's clocks.

The one rule it keeps: when it looks and what it tells is `drills/looking.py`, as in production. Here are the clocks,
and what is proven, from the simulated journal.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core import events as e
from orchestrator.core.codec import decode
from orchestrator.core.engine import Engine
from orchestrator.core.model import Model
from orchestrator.drills.looking import Looks, exposures_of
from orchestrator.drills.worth import Exposures, key
from orchestrator.journal.axis import Axis
from orchestrator.reports.proof_ages import last_shown
from orchestrator.reports.stories import Stories
from orchestrator.sim.disk import Disk

SECRET = b"a secret that everybody in the simulator knows"


class Calendars:
    """Of one controller, from its start until it dies."""

    def __init__(self, disk: Disk, axis: Axis, emit: Callable[[e.Event], None]) -> None:
        """Nothing was looked at yet."""
        self._disk = disk
        self._axis = axis
        self._emit = emit
        self._looks = Looks(lambda: SECRET)

    def beat(self, engine: Engine) -> None:
        """Look, where something may have come to its time."""
        wall, now = self._axis.wall(), self._axis.now()
        if not self._looks.wanted(engine.model, wall, now):
            return
        by_value = self._looks.by_value(engine, wall, now)
        for event in self._looks.look(engine, wall, now, self._exposures(engine.model, wall, now) if by_value else {}):
            self._emit(event)

    def _exposures(self, model: Model, wall: float, now: float) -> Exposures:
        stories = Stories(self._model_of).read(self._disk.entries())
        shown = last_shown(stories, model, now)
        ages = {key(service, move): wall - last.wall for (service, move), last in shown.items()}
        return exposures_of(model, stories.decided, ages)

    def _model_of(self, digest: str) -> Model | None:
        stored = self._disk.load_model(digest)
        return None if stored is None else decode(Model, stored)
