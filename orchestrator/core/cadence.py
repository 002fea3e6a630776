"""Which checks are asked faster now.

These are the checks with a streak that has begun, those for which somebody waits, and those on which these depend. The
one rule it keeps: a cadence is told only when it changes, and a check that somebody begins to wait for is asked at
once.

The cost depends on what has changed, not on how many checks are asked faster: thousands may fail in one second.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from orchestrator.core.commands import ProbeNow, UseCadence
from orchestrator.core.deciding import drilling
from orchestrator.core.health import detector
from orchestrator.core.health.detector import Row
from orchestrator.core.health.diagnosis import USABLE
from orchestrator.core.model import Model, Service
from orchestrator.core.rules.policy import dependencies
from orchestrator.core.runs import steps
from orchestrator.core.transaction import Transaction


class Cadence:
    """The checks that are asked at their fast interval, `fast`; all that is awaited is among them.

    `steady`: the last look changed nothing. Then another one would not either, as long as no check in `fast` answers,
    no other one becomes suspicious, and nothing is decided.
    """

    __slots__ = ("_doubtful", "_rests_on", "_suspicious", "_waits", "fast", "steady")

    def __init__(self, model: Model) -> None:
        """Nothing is asked faster yet."""
        self.fast: set[str] = set()
        self.steady = False
        self._suspicious: set[str] = set()  # of those that were looked at
        self._doubtful: set[str] = set()  # of those that others' health rests on
        self._waits: AbstractSet[str] = frozenset()  # whose answers somebody waited for at the last look
        self._rests_on = _resting(model)

    def use(self, tx: Transaction, changed: Mapping[str, Row | None], awaited: AbstractSet[str]) -> None:
        """Say what changes in the cadence, now that these rows have changed and these checks are awaited."""
        rows, checks, fast = tx.rows(), tx.model.checks, self.fast
        looked_at = {c for c in changed if self._look(c, rows.get(c))}
        waits = awaited | self._needed_by(tx) if self._doubtful else awaited
        if waits != self._waits:
            looked_at |= waits ^ self._waits
            self._waits = frozenset(waits)
            for check in waits:
                self._look(check, rows.get(check))
        suspicious = self._suspicious
        begin = [c for c in looked_at if c not in fast and c in checks and (c in suspicious or c in waits)]
        end = [c for c in looked_at if c in fast and c not in suspicious and not (c in waits and c in checks)]
        self.steady = not begin and not end
        if self.steady:
            return
        fast.update(begin)
        fast.difference_update(end)
        cadence = {c: checks[c].fast_s for c in begin} | {c: checks[c].every_s for c in end if c in checks}
        if cadence:
            tx.command(UseCadence(cadence))
        fresh = tuple(sorted(c for c in begin if c in waits))
        if fresh:
            tx.command(ProbeNow(fresh))

    def _look(self, check: str, row: Row | None) -> bool:
        """Note what its row says of a check; always true: it was looked at."""
        if row is not None and detector.suspicious(row):
            self._suspicious.add(check)
        else:
            self._suspicious.discard(check)
        if check in self._rests_on:
            doubtful = row is not None and row.bad_streak > 0 and row.verdict in USABLE
            (self._doubtful.add if doubtful else self._doubtful.discard)(check)
        return True

    def _needed_by(self, tx: Transaction) -> set[str]:
        """Checks of what the services depend on whose own health has come into doubt.

        Asked at once and at the fast interval too, so that the dependency's incident is not opened after theirs.
        """
        found: set[str] = set()
        for check in self._doubtful:
            for service in self._rests_on.get(check, ()):
                for name in dependencies(tx, service):
                    found.update(tx.model.services[name].healthy_when.checks())
        return found


def _resting(model: Model) -> dict[str, list[Service]]:
    """Check id to the services with dependencies whose health rests on it."""
    found: dict[str, list[Service]] = {}
    for service in model.services.values():
        for check in set(service.healthy_when.checks()) if service.depends_on else ():
            found.setdefault(check, []).append(service)
    return found


def awaited(tx: Transaction) -> set[str]:
    """Whose answers matter at once: what runs and open incidents wait for, and what their services depend on."""
    found: set[str] = set()
    for unfinished in tx.decided.unfinished_runs():
        found.update(steps.awaited(tx, unfinished))
    for drill in tx.decided.unfinished_drills():
        found.update(drilling.awaited(tx, drill))
    for open_ in tx.decided.open_incidents():
        service = tx.model.services.get(open_.service)
        if service is None:
            continue
        found.update(service.healthy_when.checks())
        for name in dependencies(tx, service):
            found.update(tx.model.services[name].healthy_when.checks())
    return found
