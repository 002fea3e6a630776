"""Which configuration is to be in force in a simulated world: the plan, or an edited one, with schedules of faults.

The one rule it keeps: a schedule is put in force as an author would do it, by a reload. So what it makes happen is what
the calendars of a real controller make happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from orchestrator.core.model import DrillKind, Model
from orchestrator.core.schedules import Calendar, Candidate, DrillPlan, MaintenancePlan, Schedule
from orchestrator.sim.faults import Fault, FaultKind
from orchestrator.sim.stage import Stage

AGAIN_S = 5.0  # nobody is there to read it, or it cannot be read just now: once more after so long
Planned = DrillPlan | MaintenancePlan


class Planning:
    """What a reload brings."""

    def __init__(self, stage: Stage, changed: Model | None) -> None:
        """The plan alone."""
        self._stage = stage
        self._changed = changed
        self._planned: dict[int, Planned] = {}
        self._count = 0

    def reload(self) -> None:
        """The edited plan in place of the plan, or back again."""
        controller = self._stage.active()
        if controller is not None and self._changed is not None:
            there = _plan_of(controller.model) != self._stage.model.digest
            controller.configure(self._with_schedules(self._stage.model if there else self._changed))

    def schedule(self, fault: Fault) -> Callable[[], None]:
        """A schedule more from now on; what is returned takes it out."""
        self._count += 1
        number = self._count
        self._planned[number] = planned(fault, number)
        self._put_in_force()

        def take_out() -> None:
            del self._planned[number]
            self._put_in_force()

        return take_out

    def _put_in_force(self) -> None:
        controller = self._stage.active()
        if controller is not None:
            plans = {x.digest: x for x in (self._stage.model, self._changed) if x is not None}
            wanted = self._with_schedules(plans.get(_plan_of(controller.model), self._stage.model))
            if controller.model.digest == wanted.digest or controller.configure(wanted):
                return
        self._stage.timeline.after(AGAIN_S, self._put_in_force)

    def _with_schedules(self, model: Model) -> Model:
        made = with_schedules(model, self._planned.values())
        self._stage.knows(made)
        return made


def with_schedules(model: Model, plans: Iterable[Planned]) -> Model:
    """The same plan with these schedules beside its own."""
    found = list(plans)
    if not found:
        return model
    return replace(
        model,
        digest="+".join([model.digest, *(x.id for x in found)]),
        drills={**model.drills, **{x.id: x for x in found if isinstance(x, DrillPlan)}},
        maintenance={**model.maintenance, **{x.id: x for x in found if isinstance(x, MaintenancePlan)}},
    )


def _plan_of(model: Model) -> str:
    return model.digest.partition("+")[0]


def planned(fault: Fault, number: int) -> Planned:
    """The schedule that such a fault is about."""
    client = fault.subject.partition("/")[0]
    name = f"{fault.kind.name.lower()}-{number}"
    cron = f"*/{round(fault.strength / 60.0)} * * * *" if fault.strength < 3600.0 else "0 * * * *"
    if fault.kind is FaultKind.WORK:
        schedule = Schedule(cron, _seconds(fault, "lasts_s", 60.0), (Calendar(),))
        return MaintenancePlan(f"{client}/{name}", client, name, (fault.subject,), schedule)
    stays = fault.options.get("stays_s")
    plan = DrillPlan(
        f"{client}/{name}",
        client,
        name,
        DrillKind.FUNCTIONAL if stays is None else DrillKind.FULL_SCALE,
        Schedule(cron, _seconds(fault, "window_s", 60.0), (Calendar(),)),
        (Candidate(fault.subject, str(fault.options["move"])),),
        stays_s=None if stays is None else _seconds(fault, "stays_s", 0.0),
    )
    return replace(plan, digest=f"digest of {plan}")


def _seconds(fault: Fault, name: str, otherwise: float) -> float:
    said = fault.options.get(name)
    return float(said) if isinstance(said, int | float) else otherwise
