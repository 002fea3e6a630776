"""Which checks are asked faster now: where a streak has begun, where somebody waits, and what those stand on.

The one rule it keeps: a cadence is said only when it changes, and who is awaited for the first time is asked at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from orchestrator.core import detector
from orchestrator.core.commands import ProbeNow, UseCadence
from orchestrator.core.detector import Row
from orchestrator.core.model import Model, Service
from orchestrator.core.policy import dependencies
from orchestrator.core.turn import Turn


class Cadence:
    """The checks that are asked at their fast interval, `fast`; all that is awaited is among them.

    `steady`: the last look changed nothing. Then another one would not either, as long as no check in `fast` answers,
    no other one becomes suspicious, and nothing is decided.
    """

    __slots__ = ("_rests_on", "fast", "steady")

    def __init__(self, model: Model) -> None:
        """Nothing is asked faster yet."""
        self.fast: set[str] = set()
        self.steady = False
        self._rests_on = _resting(model)

    def use(self, turn: Turn, changed: Mapping[str, Row | None], awaited: AbstractSet[str]) -> None:
        """Say what changes in the cadence, now that these rows have changed and these checks are awaited."""
        rows, checks = turn.rows, turn.model.checks
        wanted = {c for c in self.fast.union(changed) if (row := rows.get(c)) is not None and detector.suspicious(row)}
        waits = awaited | self._needed_by(turn, {c for c in wanted if turn.in_doubt(c)})
        wanted |= waits & checks.keys()
        self.steady = wanted == self.fast
        if self.steady:
            return
        cadence = {c: checks[c].fast_s for c in wanted - self.fast if c in checks}
        cadence |= {c: checks[c].every_s for c in self.fast - wanted if c in checks}
        self.fast = wanted
        if cadence:
            turn.command(UseCadence(cadence))
        fresh = tuple(sorted(c for c in wanted & waits if c in cadence))
        if fresh:
            turn.command(ProbeNow(fresh))

    def _needed_by(self, turn: Turn, doubtful: set[str]) -> set[str]:
        """Checks of what the services depend on whose own health has come into doubt.

        Asked at once and at the fast interval too, so that the dependency's incident is not opened after theirs.
        """
        found: set[str] = set()
        for check in doubtful:
            for service in self._rests_on.get(check, ()):
                for name in dependencies(turn, service):
                    found.update(turn.model.services[name].healthy_when.checks())
        return found


def _resting(model: Model) -> dict[str, list[Service]]:
    """Check id to the services with dependencies whose health rests on it."""
    found: dict[str, list[Service]] = {}
    for service in model.services.values():
        for check in set(service.healthy_when.checks()) if service.depends_on else ():
            found.setdefault(check, []).append(service)
    return found
