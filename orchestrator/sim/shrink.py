"""The shortest script that still shows a violation.

The one rule it keeps: the script that it returns was run, and broke the same statement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestrator.sim.faults import Fault
from orchestrator.sim.simulation import Result

TRIES = 80
MARGIN_S = 5.0

Play = Callable[[Sequence[Fault], float, float], Result]


def shrink(play: Play, faults: Sequence[Fault], statement: int, length_s: float, calm_s: float) -> Result:
    """Leave out faults, then time, then the lengths of faults, while the statement is still broken.

    `play(faults, length_s, calm_s)` plays a script. Raises ValueError where the whole script does not break it.
    """
    best = play(faults, length_s, calm_s)
    if not _breaks(best, statement):
        raise ValueError(f"this script does not break statement {statement}")
    tries = 0
    smaller = True
    while smaller and tries < TRIES:
        smaller = False
        for n in range(len(best.faults)):
            tries += 1
            found = play([*best.faults[:n], *best.faults[n + 1 :]], length_s, calm_s)
            if _breaks(found, statement):
                best, smaller = found, True
                break
    at = next(v.at for v in best.violations if v.statement == statement)
    for fewer_s in (at - 30.0 + MARGIN_S, length_s / 2):
        if 0.0 < fewer_s < length_s:
            found = play(best.faults, fewer_s, MARGIN_S)
            if _breaks(found, statement):
                best, length_s, calm_s = found, fewer_s, MARGIN_S
                break
    for n, fault in enumerate(best.faults):
        if fault.for_s is not None and fault.for_s > 20.0 and tries < TRIES:
            tries += 1
            shorter = [*best.faults[:n], replace(fault, for_s=fault.for_s / 2), *best.faults[n + 1 :]]
            found = play(shorter, length_s, calm_s)
            if _breaks(found, statement):
                best = found
    return best


def _breaks(result: Result, statement: int) -> bool:
    return any(v.statement == statement for v in result.violations)
