"""What is told of cuts and what came of them: medians with their spread, and the budget of milliseconds for people.

The one rule it keeps: a round that did not recover is told as a fault, and is in no median.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Round:
    """One cut and what came of it. `marks` are seconds after the cut, `tasks` too."""

    marks: dict[str, float] = field(default_factory=dict)
    outages: dict[str, float] = field(default_factory=dict)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    fault: str = ""


MARKS = (
    ("first bad question", "the first question that the cut swallowed"),
    ("detected", "third bad answer, and a reference has answered: down"),
    ("decided", "incident opened, tier chosen, run begun: one entry of the journal"),
    ("preflight", "ISP B asked anew, and it answers"),
    ("intent", "the step's intent is durable; its command goes out"),
    ("worker", "the worker has the job"),
    ("guard", "the epoch guard's last task has ended"),
    ("route", "the router's default route is by ISP B"),
    ("staff", "STAFF BACK, at their own meter"),
    ("name", "the name server serves the address on ISP B"),
    ("users", "USERS BACK, at their own meter, their resolver's TTL of 1 s included"),
    ("step ended", "the playbook is over, and its end on record"),
    ("verified", "a real transaction of the staff's service, asked after the step"),
)


def spread(values: list[float]) -> dict[str, float]:
    """Median, quartiles, extremes; in the unit of the values."""
    known = sorted(v for v in values if not math.isnan(v))
    if not known:
        return {}
    low, middle, high = statistics.quantiles(known, n=4, method="inclusive") if len(known) > 1 else known * 3
    return {"median": middle, "q1": low, "q3": high, "min": known[0], "max": known[-1], "n": len(known)}


def summary(rounds: list[Round]) -> dict[str, Any]:
    """Medians with their spread: outages as the meters saw them, marks after the cut, each task."""
    whole = [x for x in rounds if not x.fault]
    tasks: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in whole:
        for task in one.tasks:
            tasks.setdefault((task["host"], task["name"]), []).append(task)
    return {
        "rounds": len(rounds),
        "faults": [x.fault for x in rounds if x.fault],
        "outages_s": {name: spread([x.outages[name] for x in whole]) for name in ("staff", "users")},
        "marks_s": {name: spread([x.marks.get(name, math.nan) for x in whole]) for name, _ in MARKS},
        "tasks": [
            {
                "host": host,
                "name": name,
                "began_s": spread([t["began_s"] for t in found]),
                "took_s": spread([t["took_s"] for t in found]),
            }
            for (host, name), found in tasks.items()
        ],
    }


def table(told: dict[str, Any], pace: str) -> list[str]:
    """The budget, for people: milliseconds after the cut."""
    lines = [f"Cut to restored, {pace}, {told['rounds']} rounds: median ms after the cut (quartiles; extremes)"]

    def row(text: str, s: dict[str, float], note: str = "") -> str:
        if not s:
            return f"  {text:<22} {'-':>7}"
        ms = {k: round(v * 1000) for k, v in s.items()}
        return f"  {text:<22} {ms['median']:>6}  ({ms['q1']} to {ms['q3']}; {ms['min']} to {ms['max']})  {note}"

    order = sorted(MARKS, key=lambda m: told["marks_s"][m[0]].get("median", math.inf))
    lines += [row(name, told["marks_s"][name], note) for name, note in order]
    lines.append("Tasks: median ms: began after the cut, took")
    for task in sorted(told["tasks"], key=lambda t: t["began_s"].get("median", math.inf)):
        began, took = (round(task[k].get("median", math.nan) * 1000) for k in ("began_s", "took_s"))
        lines.append(f"  {began:>6} {took:>6}  {task['host']}: {task['name']}")
    lines.append("Outages at the users' own meters")
    lines += [row(name, told["outages_s"][name]) for name in ("staff", "users")]
    lines += [f"  fault: {fault}" for fault in told["faults"]]
    return lines
