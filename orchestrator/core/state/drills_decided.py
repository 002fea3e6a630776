"""What is decided of drills and of their schedules: nouns of the decided state (`decided.py` brings all together).

The one rule it keeps: nothing here changes anything. `fold.apply` alone does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.core import records as r
from orchestrator.core.model import DrillKind
from orchestrator.core.schedules import DrillPlan


@dataclass(slots=True)
class Drill:
    """One drill: its run, or its way there and back."""

    began: r.DrillBegan
    runs: list[str] = field(default_factory=list)
    turned_back: r.DrillTurnedBack | None = None
    ended: r.DrillEnded | None = None

    @property
    def id(self) -> str:
        """Its id."""
        return self.began.drill

    @property
    def full_scale(self) -> bool:
        """Whether it makes the real move."""
        return self.began.kind is DrillKind.FULL_SCALE


@dataclass(slots=True)
class DueDrill:
    """One that is due and has not begun; `held`: what stands against it."""

    came: r.DrillCameDue
    held: r.DrillHeldUp | None = None


@dataclass(slots=True)
class ScheduleState:
    """A schedule of drills as it is in force. `dealt`: the last time with which something was done; empty: none."""

    plan: DrillPlan
    since: str
    dealt: str
    due: DueDrill | None = None
    seal: r.DrillDrawn | None = None
    latest: str = ""  # the service that it drilled last
    drilled: dict[str, str] = field(default_factory=dict)  # service and move, with a space: its last time

    @property
    def upto(self) -> str:
        """Times up to this one are dealt with, or are none of its times."""
        return max(self.since, self.dealt)
