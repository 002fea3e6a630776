"""Statement 19, of drills: but in mode auto a way back that asks nobody is the one that was shown with the drill.

The one rule it keeps: what was shown is worked out here, from the configurations themselves: what the way back plays,
what takes out the place that it leaves, what proves that, and what is asked for this proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.core import records as r
from orchestrator.core.model import Mode, Model
from orchestrator.sim.step_kinds import OF_MOVES, PLAYED
from orchestrator.sim.violation import Report


@dataclass(slots=True)
class _Shown:
    """A drill, the configuration with which it began, and those under which somebody approved its way back."""

    began: r.DrillBegan
    model: Model
    approved: set[str] = field(default_factory=set)


class WayBackTruth:
    """What drills go back by."""

    def __init__(self, models: Mapping[str, Model], report: Report) -> None:
        """`models`: every configuration there is, by digest."""
        self._models, self._report = models, report
        self._configuration = ""
        self._drills: dict[str, _Shown] = {}
        self._runs: dict[str, r.RunStarted] = {}  # that lead back

    def record(self, record: r.Record) -> None:
        """One record became durable."""
        match record:
            case r.Configured():
                self._configuration = record.digest
            case r.DrillBegan() if record.back and (model := self._models.get(self._configuration)):
                self._drills[record.drill] = _Shown(record, model)
            case r.RunStarted() if (
                record.drill in self._drills and record.move == self._drills[record.drill].began.back
            ):
                self._runs[record.run] = record
            case r.RunApproved() if record.run in self._runs:
                started = self._runs[record.run]
                self._drills[started.drill].approved.add(started.configuration)
            case r.StepBegan() if record.run in self._runs:
                self._begun(record, self._runs[record.run])

    def _begun(self, x: r.StepBegan, started: r.RunStarted) -> None:
        kind = next((step.kind for step in started.steps if step.name == x.step), None)
        shown, now = self._drills[started.drill], self._models.get(self._configuration)
        service = now.services.get(started.service) if now else None
        if kind not in PLAYED or now is None or service is None or service.mode is Mode.AUTO:
            return
        if self._configuration not in shown.approved and _way(shown.model, shown.began) != _way(now, shown.began):
            self._report(19, "a way back that asks nobody is the one that was shown", f"{x.run}/{x.step}")


def _way(model: Model, began: r.DrillBegan) -> list[object]:
    there, back = model.moves.get(began.move), model.moves.get(began.back or "")
    if back is None:
        return []
    left = model.places.get(there.to or "") if there is not None and back.to else None
    fence = back.hand_over or (left.fence if left is not None else None)
    found: list[object] = [getattr(back, key) for key in OF_MOVES]
    if fence is not None:
        asked = (model.checks.get(name) for name in fence.proven_when.checks())
        found += [fence.playbook, fence.proven_when]
        found += [(x.host, x.probe, x.vantage, dict(x.options)) for x in asked if x is not None]
    return found
