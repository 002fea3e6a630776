"""Medians, spreads and ratios; pure.

The one rule it keeps: a ratio of medians is no median of ratios. Ratios are taken within each round, then summarised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from scripts.bench.shape import Comparison, Row, Target


@dataclass(frozen=True, slots=True)
class Summary:
    """Of `count` values: median, the middle half (`low` to `high`) and the extremes."""

    count: int
    median: float
    low: float
    high: float
    least: float
    most: float


def summary(values: Sequence[float]) -> Summary:
    """Raises ValueError if there are none. With fewer than four values the middle half is all of them."""
    if not values:
        raise ValueError("no value was measured")
    least, most = min(values), max(values)
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) >= 4 else (least, 0.0, most)
    return Summary(len(values), median(values), low, high, least, most)


def ratios(ours: Row, peer: Row) -> tuple[float, ...]:
    """How many times better ours was, round by round (2.0: half the time, or twice the rate).

    Raises ValueError if the two are in different units, had different rounds, or a value is not above 0.
    """
    if ours.unit != peer.unit or ours.more_is_better != peer.more_is_better:
        raise ValueError(f"{ours.name} ({ours.unit}) and {peer.name} ({peer.unit}) cannot be compared")
    if len(ours.values) != len(peer.values):
        raise ValueError(f"{ours.name} had {len(ours.values)} rounds, {peer.name} had {len(peer.values)}")
    if min((*ours.values, *peer.values), default=1.0) <= 0:
        raise ValueError(f"{ours.name} and {peer.name}: a value is not above 0")
    pairs = zip(ours.values, peer.values, strict=True)
    return tuple(a / b if ours.more_is_better else b / a for a, b in pairs)


def reached(comparison: Comparison, target: Target) -> tuple[float, bool]:
    """What was reached of a target, and whether that is enough.

    With a peer, the median ratio, at least `times`; without one, our own median: at least `times` if more is better,
    else at most.
    """
    ours = comparison.row(target.ours)
    if target.peer:
        got = summary(ratios(ours, comparison.row(target.peer))).median
        return got, got >= target.times
    got = summary(ours.values).median
    return got, got >= target.times if ours.more_is_better else got <= target.times


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed."""
    if not values:
        raise ValueError("no value was measured")
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[min(len(ordered), int(rank)) - 1]
