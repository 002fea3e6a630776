"""How long a move will take, by order statistics: nothing is assumed of how its durations are spread.

The one rule it keeps: what a few runs cannot show is not claimed. The k-th smallest of n durations is at least the
90th percentile with the probability that fewer than k of n lie below it: P(B(n, 0.9) < k), B the binomial
distribution (the distribution-free bound of a quantile; David and Nagaraja, Order Statistics, section 7.1). With fewer
than 29 runs even the largest is such a bound with less than 95 %; then the forecast says with how much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.durations import counted, show_bound

QUANTILE = 0.9
CONFIDENCE = 0.95
LIVE, DRILLED = "live run", "drill"  # kinds of runs, which are never taken together


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of `runs` durations. `usual_s`: their 90th percentile, by nearest rank. `bound_s`: what the 90th percentile of
    all such runs is at most, with `confidence`; the largest duration where nothing gives 95 %. `missing`: runs more
    until something can. `of`: what kind of runs they are.
    """

    runs: int
    usual_s: float
    bound_s: float
    confidence: float
    missing: int
    of: str = "run"

    @property
    def basis(self) -> str:
        """What it rests on, in words: `the largest of 7 runs: bounds the 90th percentile with 52 %`."""
        if not self.missing:
            return f"{counted(self.runs, self.of)}: bounds the 90th percentile with {CONFIDENCE:.0%}"
        missing = f"{counted(self.missing, 'run')} missing for {CONFIDENCE:.0%}"
        known = math.floor(self.confidence * 100 + 1e-6)  # 28 runs do not give 95 %, nor almost
        return f"{largest_of(self.runs, self.of)}: bounds the 90th percentile with {known}%, {missing}"

    def __str__(self) -> str:
        """`at most 7:12 (the largest of 7 runs: …)`."""
        return f"at most {show_bound(self.bound_s)} ({self.basis})"


def largest_of(runs: int, of: str = "run") -> str:
    """`the largest of 7 runs`; of one there is nothing larger or smaller."""
    return f"1 {of}" if runs == 1 else f"the largest of {counted(runs, of)}"


def forecast(
    durations: Sequence[float], quantile: float = QUANTILE, confidence: float = CONFIDENCE, *, of: str = "run"
) -> Forecast | None:
    """What these durations, in seconds, say of the next one. None: there are none. `of`: what kind of runs they are."""
    if not durations:
        return None
    ranked, runs = sorted(durations), len(durations)
    usual_s = ranked[max(0, math.ceil(quantile * runs) - 1)]
    needed = runs_needed(quantile, confidence)
    if runs < needed:
        return Forecast(runs, usual_s, ranked[-1], 1.0 - quantile**runs, needed - runs, of)
    rank = next(k for k in range(1, runs + 1) if below(runs, quantile, k) >= confidence)
    return Forecast(runs, usual_s, ranked[rank - 1], below(runs, quantile, rank), 0, of)


def bound_by(runs: int, of: str = "run") -> str:
    """What the bound of so many runs is, in a few words."""
    return largest_of(runs, of) if runs < runs_needed() else f"{CONFIDENCE:.0%} bound of {counted(runs, of)}"


def at_most_s(durations: Sequence[float]) -> float | None:
    """The bound of their forecast; None: there are none."""
    found = forecast(durations)
    return found.bound_s if found is not None else None


def runs_needed(quantile: float = QUANTILE, confidence: float = CONFIDENCE) -> int:
    """How many runs there must be until the largest of them bounds the quantile with this confidence."""
    return math.ceil(math.log(1.0 - confidence) / math.log(quantile))


def below(runs: int, quantile: float, rank: int) -> float:
    """The probability that fewer than `rank` of so many runs lie below the quantile."""
    return math.fsum(math.comb(runs, i) * quantile**i * (1.0 - quantile) ** (runs - i) for i in range(rank))
