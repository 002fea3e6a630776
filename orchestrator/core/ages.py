"""How old data was, hour by hour: counts by size, from which least, median, p99 and most are told.

The one rule it keeps: an age is never understated. Ages are counted in steps of two per cent and told by the upper edge
of their step, and the most is exact. Two counts of the same hour may be joined, so nothing is lost by a restart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

HOUR_S = 3600.0
STEP = 1.02
LEAST_S = 0.001  # ages below are told as this
MEASURES = ("data_age_s", "lag_s")


@dataclass(frozen=True, slots=True)
class Kept:
    """Which ages are kept together: a service's, by one check, of one measure, in one hour (hours since 1970)."""

    service: str
    check: str
    measure: str
    hour: int


@dataclass(slots=True)
class Ages:
    """Ages that were measured: how many, how many outside of the RPO in force then, first and last when (since 1970).

    `unmeasured`: answers that told no age. `steps`: how many ages of each step; empty in what is old, where `median_s`
    and `p99_s` are all that is left of them.
    """

    count: int = 0
    outside: int = 0
    unmeasured: int = 0
    least_s: float = math.inf
    most_s: float = 0.0
    first_at: float = math.inf
    last_at: float = 0.0
    steps: dict[int, int] = field(default_factory=dict)
    kept_median_s: float | None = None
    kept_p99_s: float | None = None

    def note(self, age_s: float | None, rpo_s: float | None, wall: float) -> None:
        """One answer."""
        if age_s is None or not age_s >= 0.0 or math.isinf(age_s):
            self.unmeasured += 1
            return
        self.count += 1
        self.outside += rpo_s is not None and age_s > rpo_s
        self.least_s, self.most_s = min(self.least_s, age_s), max(self.most_s, age_s)
        self.first_at, self.last_at = min(self.first_at, wall), max(self.last_at, wall)
        step = step_of(age_s)
        self.steps[step] = self.steps.get(step, 0) + 1

    def join(self, other: Ages) -> None:
        """Those of another count, too."""
        self.count, self.outside = self.count + other.count, self.outside + other.outside
        self.unmeasured += other.unmeasured
        self.least_s, self.most_s = min(self.least_s, other.least_s), max(self.most_s, other.most_s)
        self.first_at, self.last_at = min(self.first_at, other.first_at), max(self.last_at, other.last_at)
        for step, count in other.steps.items():
            self.steps[step] = self.steps.get(step, 0) + count

    @property
    def share_outside(self) -> float:
        """Of the ages that were measured."""
        return self.outside / self.count if self.count else 0.0

    @property
    def median_s(self) -> float | None:
        """By nearest rank."""
        return self.at(0.5) if self.steps else self.kept_median_s

    @property
    def p99_s(self) -> float | None:
        """By nearest rank."""
        return self.at(0.99) if self.steps else self.kept_p99_s

    def at(self, share: float) -> float | None:
        """The age that this share of them was at most."""
        rank, seen = math.ceil(share * sum(self.steps.values())), 0
        for step in sorted(self.steps):
            seen += self.steps[step]
            if seen >= rank:
                return min(self.most_s, edge_s(step))
        return None


def step_of(age_s: float) -> int:
    """The step that an age is counted in."""
    return max(0, math.ceil(math.log(max(age_s, LEAST_S) / LEAST_S) / math.log(STEP) - 1e-9))


def edge_s(step: int) -> float:
    """The largest age of a step."""
    return float(LEAST_S * STEP**step)


def together(hours: Iterable[Ages]) -> Ages:
    """All of them as one."""
    found = Ages()
    for one in hours:
        found.join(one)
    return found


def outside_s(hours: Iterable[Ages]) -> float:
    """For how long an age was outside of its RPO: the share of answers that were, of the time in which some came."""
    return sum(x.share_outside * max(0.0, x.last_at - x.first_at) for x in hours)


Hours = Mapping[Kept, Ages]
