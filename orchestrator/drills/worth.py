"""What a drill is worth: how much of the cost of an outage rests on a move of which nobody knows what it would do.

The one rule it keeps: it is three figures multiplied, each of which is said. There is no score.

    cost a minute    of the service, as its author writes it
    age of proof     since the move was last proven, or rehearsed well, as a share of a year; a year where it never was,
                     or is void
    width            of the forecast: the share of runs that it does not bound (with one run 90 %, with seven 48 %, with
                     29 at most 5 %), of the RTO, or of the forecast where that is longer
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.durations import counted, numeral, show_bound, show_duration
from orchestrator.core.forecast import forecast
from orchestrator.core.model import Service
from orchestrator.core.schedules import Candidate

YEAR_S = 365 * 86400.0
RESTS_S = 3 * 86400.0  # what was drilled gives way to others for so long


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is not known of one move of one service. `proven_s`: since when it is proven, in seconds; None: it is not.

    A rehearsal that was live counts as well. `width_s`: see the head. `runs`: on which the forecast rests; `live`: they
    were no drills. `bound_s`: the forecast, where it is longer than the RTO. `priced`: its author says what it costs.
    """

    cost_per_min: float
    currency: str
    proven_s: float | None
    width_s: float
    runs: int = 0
    live: bool = False
    bound_s: float | None = None
    priced: bool = True

    @property
    def share(self) -> float:
        """The age of the proof, as a share of a year."""
        return 1.0 if self.proven_s is None else min(max(self.proven_s, 0.0), YEAR_S) / YEAR_S

    @property
    def worth(self) -> float:
        """What of the cost of one outage is unproven, in its currency."""
        return self.cost_per_min * self.width_s / 60 * self.share

    def __str__(self) -> str:
        """The three figures, and what they come to; without a cost they come to nothing."""
        proven = (
            "neither proven nor rehearsed" if self.proven_s is None else f"proven or rehearsed {_ago(self.proven_s)}"
        )
        runs = counted(self.runs, "live run" if self.live else "drill") if self.runs else "no run"
        of = "its RTO"
        if self.bound_s is not None:
            of = f"the {show_bound(self.bound_s)} of its forecast, which is longer than its RTO,"
        width = f"{show_duration(self.width_s)} of {of} not bounded by a forecast ({runs})"
        if not self.priced:
            return f"no cost is declared, {proven}, {width}"
        worth = f"{self.worth:.0f}" if self.worth >= 10 or not self.worth else numeral(float(f"{self.worth:.2g}"))
        return f"{numeral(self.cost_per_min)} {self.currency}/min, {proven}, {width}: {worth} {self.currency} unproven"


def _ago(seconds: float) -> str:
    days = int(seconds / 86400.0)
    return f"{counted(days, 'day')} ago" if days > 1 else f"{show_duration(max(0.0, seconds))} ago"


Exposures = Mapping[str, Exposure]  # of a service and a move, with a space between: see `key`


def key(service: str, move: str) -> str:
    """By which an exposure, and a last time, is found."""
    return f"{service} {move}"


def exposure(
    service: Service, proven_s: float | None, live: Sequence[float] = (), drilled: Sequence[float] = ()
) -> Exposure:
    """Of one move of the service, which took so long; live runs are a forecast's basis before drills are."""
    basis = live or drilled
    known = forecast(basis)
    width_s = service.rto_s if known is None else (1.0 - known.confidence) * max(service.rto_s, known.bound_s)
    longer = known.bound_s if known is not None and known.bound_s > service.rto_s else None
    priced = bool(service.downtime_cost) or service.cost is not None
    return Exposure(
        service.downtime_cost, service.currency, proven_s, width_s, len(basis), bool(live), longer, priced
    )  # fmt: skip


def ranked(
    of: Iterable[Candidate], exposures: Exposures, drilled: Mapping[str, str], lately: str = "~"
) -> list[Candidate]:
    """What is worth most first; of what is worth the same, the oldest proof, then what was drilled longest ago.

    What was drilled at `lately` or later comes after all others, whatever came of it: a tier of which every drill
    fails, or proves nothing, does not keep the others from theirs.
    """

    def order(candidate: Candidate) -> tuple[bool, float, float, str]:
        name = key(candidate.service, candidate.move)
        known = exposures.get(name)
        last = drilled.get(name, "")
        worth, share = (known.worth, known.share) if known is not None else (-float("inf"), 0.0)
        return last >= lately, -worth, -share, last

    return sorted(of, key=order)
