"""How much of the past the decided state keeps; the journal keeps all of it.

The one rule it keeps: what is not over is never dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.core.records import VerdictChanged
from orchestrator.core.state.decided import Decided

KEPT_RUNS = 200  # ended runs, incidents and words
KEPT_DURATIONS = 50
FELL_BEFORE, FELL_BEFORE_S = 16, 3600.0  # of a check that falls again and again: so many falls, of so long before


def remember(durations: dict[str, list[float]], what: str, took_s: float) -> None:
    """Note how long it took, and drop the oldest beyond KEPT_DURATIONS."""
    kept = durations.setdefault(what, [])
    kept.append(took_s)
    del kept[:-KEPT_DURATIONS]


def remember_fall(d: Decided, x: VerdictChanged) -> None:
    """A check is down: its latest fall, and those before it that may yet matter."""
    before = [*d.fell_before.pop(x.check, ()), *([d.fell[x.check]] if x.check in d.fell else [])]
    if lately := [y for y in before if x.at - y.at <= FELL_BEFORE_S][-FELL_BEFORE:]:
        d.fell_before[x.check] = tuple(lately)
    d.fell[x.check] = x


def forget(kept: dict[str, Any], since: Callable[[Any], float | None], most: int) -> None:
    """Drop the oldest beyond `most`; what `since` gives no time for is never dropped.

    By time and name, not by the dictionary's order: a checkpoint does not keep that.
    """
    if len(kept) > most:
        old = sorted((at, name) for name, value in kept.items() if (at := since(value)) is not None)
        for _, name in old[: len(kept) - most]:
            del kept[name]
