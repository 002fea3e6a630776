"""How old a tier's data was, from the hours that a daemon noted beside the journal.

The one rule it keeps: what was not measured is said to be so. A share is of the answers that told an age, and how many
told none stands beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.ages import HOUR_S, Ages, Hours, outside_s, together
from orchestrator.core.durations import show_duration
from orchestrator.core.model import Model


@dataclass(frozen=True, slots=True)
class HourAge:
    """One hour; `wall`: its beginning, since 1970. None: no age was told."""

    wall: float
    count: int
    unmeasured: int
    outside: int
    least_s: float | None
    median_s: float | None
    p99_s: float | None
    most_s: float | None


@dataclass(frozen=True, slots=True)
class DataAge:
    """Of one check and measure: all hours together, and each. `outside_s`: for how long it was outside of the RPO;
    `worst_day`: the day of this machine's time zone on which that was longest (`Tuesday 2026-11-24`: a week
    has parts of eight days), and for how long.
    """

    check: str
    measure: str
    whole: HourAge
    outside_s: float
    worst_day: str
    worst_day_s: float
    hours: tuple[HourAge, ...]

    @property
    def share_outside(self) -> float:
        """Of the answers that told an age."""
        return self.whole.outside / self.whole.count if self.whole.count else 0.0


def data_age(model: Model, service: str, move: str, ages: Hours) -> tuple[DataAge, ...]:
    """Of the check that tells the age of this move's data, each measure that was told; nothing was noted: none."""
    name = model.moves[move].data_age if move in model.moves else None
    return tuple(_told(service, name, ages)) if name is not None else ()


def _told(service: str, check: str, ages: Hours) -> Iterator[DataAge]:
    for measure in sorted({k.measure for k in ages if (k.service, k.check) == (service, check)}):
        mine = {k.hour: x for k, x in ages.items() if (k.service, k.check, k.measure) == (service, check, measure)}
        days: dict[str, float] = {}
        for hour, one in mine.items():
            day = time.strftime("%A %Y-%m-%d", time.localtime(hour * HOUR_S))
            days[day] = days.get(day, 0.0) + outside_s([one])
        worst, worst_s = max(days.items(), key=lambda x: x[1])
        hours = tuple(_hour(mine[hour], hour * HOUR_S) for hour in sorted(mine))
        whole = _hour(together(mine.values()), min(mine) * HOUR_S)
        yield DataAge(check, measure, whole, outside_s(mine.values()), worst if worst_s else "", worst_s, hours)


def _hour(x: Ages, wall: float) -> HourAge:
    some = x.count > 0
    return HourAge(
        wall, x.count, x.unmeasured, x.outside, x.least_s if some else None, x.median_s, x.p99_s,
        x.most_s if some else None,
    )  # fmt: skip


def outside(x: DataAge, when: str = "") -> str:
    """How much of it was outside of the RPO: `above the RPO in 3.0% of the answers, 41:00 on Tuesday 2026-11-24`."""
    share = f"{x.share_outside:.1%}" if x.share_outside >= 0.001 else "less than 0.1%"
    worst = f", {show_duration(x.worst_day_s)} on {x.worst_day}" if x.worst_day_s >= 1.0 else ""
    return f"above the RPO in {share} of the answers{when}{worst}"
