"""A simulated year of drills, by value and by a fixed calendar of equal effort: how the unproven cost falls.

    python -m scripts.value_curve        writes the table and the picture of docs/schedules.md anew

The one rule it keeps: both calendars drill once a night in the same nights, under the same limits, and are judged by
the same figures (`drills/worth.py`). Only the order differs.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from orchestrator.core.model import Combine, Condition, DrillKind, Service
from orchestrator.core.schedules import Calendar, Candidate, DrillPlan, Hours, Schedule
from orchestrator.core.state.decided import ScheduleState
from orchestrator.drills.due import picks
from orchestrator.drills.occurrences import occurrences
from orchestrator.drills.times import at, written
from orchestrator.drills.worth import Exposure, exposure, key

DOC = Path(__file__).parents[1] / "docs" / "schedules.md"
PICTURE = Path(__file__).parents[1] / "docs" / "value.svg"
BEGIN, END = "<!-- value curve: begin (written by python -m scripts.value_curve) -->", "<!-- value curve: end -->"
FIRST = at(1767225600.0)  # 1 January 2026
WEEKS = (0, 1, 2, 4, 8, 13, 26, 39, 52)
COSTS = (600, 240, 180, 120, 60, 40, 30, 20, 15, 10, 8, 5)  # of twelve services, EUR a minute
TIERS = 2
SUCCEEDS = 0.9  # of the drills; one that fails proves nothing
EDITED = 0.15  # of the proofs that are void after a month, because what they rest on was edited


@dataclass(slots=True)
class Year:
    """One year under one calendar. `unproven`: what of all outages' costs is unproven, by night."""

    services: dict[str, Service]
    plan: DrillPlan
    proven: dict[str, float] = field(default_factory=dict)
    took: dict[str, list[float]] = field(default_factory=dict)
    unproven: list[float] = field(default_factory=list)

    def exposures(self, now: float) -> dict[str, Exposure]:
        """What is not known of every tier, that night."""
        return {
            (name := key(x.service, x.move)): exposure(
                self.services[x.service],
                now - self.proven[name] if name in self.proven else None,
                (),
                self.took.get(name, ()),
            )
            for x in self.plan.of
        }


def services() -> dict[str, Service]:
    """Twelve, from a web shop to an archive; each with an RTO of half an hour to four hours."""
    healthy = Condition(Combine.ALL, ("acme/up",))
    return {
        f"acme/s{n:02}": Service(
            f"acme/s{n:02}", "acme", f"s{n:02}", healthy, (), 1800.0 * (1 + n % 8), downtime_cost=float(cost)
        )
        for n, cost in enumerate(COSTS)
    }


def year(by_value: bool, seed: int = 1) -> Year:
    """Of one drill a night, from nothing proven at all."""
    known = services()
    of = tuple(Candidate(name, f"acme/tier-{tier}") for name in known for tier in range(1, TIERS + 1))
    nights = Calendar("Europe/Paris", (Hours((0, 1, 2, 3, 4), 22 * 3600, 5 * 3600),))
    schedule = Schedule("" if by_value else "0 22 * * mon-fri", 7 * 3600.0, (nights,))
    plan = DrillPlan("acme/nightly", "acme", "nightly", DrillKind.FUNCTIONAL, schedule, of, by_value=by_value)
    lived, state = Year(known, plan), ScheduleState(plan, "", "")
    dice = [random.Random(f"{seed} {night}") for night in range(400)]  # noqa: S311 -- a simulation
    for night, one in enumerate(occurrences(schedule, (), FIRST, FIRST + timedelta(days=365))):
        now = one.opens.timestamp()
        exposures = lived.exposures(now)
        lived.unproven.append(sum(x.worth for x in exposures.values()))
        chosen = picks(state, one, None, exposures)[0]
        name, die = key(chosen.service, chosen.move), dice[night]
        state.drilled[name] = written(one.opens)
        if die.random() < SUCCEEDS:
            lived.proven[name] = now
            lived.took.setdefault(name, []).append(known[chosen.service].rto_s * die.uniform(0.3, 0.9))
        if night % 21 == 20:  # a month of nights: roles were edited
            for proof in [x for x in sorted(lived.proven) if die.random() < EDITED]:
                del lived.proven[proof]
    return lived


def table(value: Year, fixed: Year) -> list[str]:
    """What is unproven after so many weeks, and the mean of the year."""
    rows = ["| after | by value | fixed calendar |", "|---|---|---|"]
    for week in WEEKS:
        night = min(5 * week, len(value.unproven) - 1)
        rows.append(f"| {week} weeks | {value.unproven[night]:,.0f} EUR | {fixed.unproven[night]:,.0f} EUR |")
    mean: Callable[[Year], float] = lambda x: sum(x.unproven) / len(x.unproven)  # noqa: E731 -- one line of a table
    return [*rows, f"| mean of the year | {mean(value):,.0f} EUR | {mean(fixed):,.0f} EUR |"]


def picture(value: Year, fixed: Year) -> str:
    """Both curves, as SVG."""
    width, height, left, top = 640, 240, 70, 20
    most = max(value.unproven[0], fixed.unproven[0])

    def curve(of: Year) -> str:
        last = len(of.unproven) - 1
        return " ".join(
            f"{left + n * width / last:.1f},{top + height * (1 - y / most):.1f}" for n, y in enumerate(of.unproven)
        )

    style = 'font-family="sans-serif" font-size="12" fill="#555"'
    marks = [
        f'<text x="{left + width * m / 12:.0f}" y="{top + height + 16}" {style} text-anchor="middle">{m}</text>'
        for m in range(0, 13, 2)
    ]
    scale = [
        f'<text x="{left - 6}" y="{top + height * (1 - y) + 4:.0f}" {style} text-anchor="end">{most * y:,.0f}</text>'
        for y in (0, 0.5, 1)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 20} {top + 284}" role="img">',
            "<title>Unproven cost over a simulated year, by value and by a fixed calendar</title>",
            f'<rect width="{left + width + 20}" height="{top + height + 44}" fill="#fff"/>',
            f'<path d="M{left},{top}V{top + height}H{left + width}" fill="none" stroke="#999"/>',
            *marks,
            *scale,
            f'<text x="{left + width / 2:.0f}" y="{top + height + 36}" {style} text-anchor="middle">months</text>',
            f'<polyline points="{curve(fixed)}" fill="none" stroke="#b44" stroke-width="1.5" stroke-dasharray="5 3"/>',
            f'<polyline points="{curve(value)}" fill="none" stroke="#246" stroke-width="2"/>',
            f'<text x="{left + width - 4}" y="{top + 14}" {style} text-anchor="end">EUR unproven; '
            "solid: by value, dashed: fixed calendar</text>",
            "</svg>",
            "",
        ]
    )


def main() -> None:
    """Write both."""
    value, fixed = year(by_value=True), year(by_value=False)
    PICTURE.write_text(picture(value, fixed), encoding="utf-8")
    text = DOC.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOC.write_text("\n".join([f"{before}{BEGIN}", *table(value, fixed), f"{END}{after}"]), encoding="utf-8")


if __name__ == "__main__":
    main()
