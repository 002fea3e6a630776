"""The simulation as seen by the code that breaks something in it.

That code knows what there is to break, and not how it is simulated.
"""

from __future__ import annotations

from typing import Protocol

from orchestrator.core.model import Model
from orchestrator.sim.controller import Controller, People
from orchestrator.sim.disk import Disk
from orchestrator.sim.targets import Targets
from orchestrator.sim.timeline import MachineClocks, Timeline
from orchestrator.sim.world import World


class Stage(Protocol):
    """The simulation that disasters befall."""

    model: Model
    timeline: Timeline
    clocks: MachineClocks
    disk: Disk
    world: World
    targets: Targets
    people: People
    controllers: list[Controller]

    def start(self, name: str = "") -> Controller:
        """Start a controller; without a name, another one that waits for the lease."""

    def active(self) -> Controller | None:
        """The controller that decides, if one is alive and goes."""

    def restart_after(self, name: str, seconds: float) -> None:
        """A supervisor starts the controller of this name again."""

    def knows(self, model: Model) -> None:
        """A model that may be put in force."""

    def lose_all(self) -> None:
        """The machine died: so did every worker on it."""

    def happens(self, what: str) -> None:
        """Note something for the story."""
