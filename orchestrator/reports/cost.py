"""What downtime costs: an outage, an objective that nobody has proven; and where the next tier up pays for itself.

The one rule it keeps: an amount is worked out from what an author wrote and from what was measured, and both stand
beside it. Without one of them there is no amount.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core.durations import numeral, rounded_up, show_duration
from orchestrator.core.forecast import Forecast
from orchestrator.core.model import Service

ONCE = "penalty, once"
ONE = "1 outage"
MONTH_S = 365.25 * 86400.0 / 12


@dataclass(frozen=True, slots=True)
class Cost:
    """An amount, what it is made of, and the source that the author names."""

    amount: float
    currency: str
    parts: Mapping[str, float] = field(default_factory=dict)
    source: str = ""

    def __str__(self) -> str:
        return self.told(self.amount)

    def told(self, amount: float, /, *, up: bool = False) -> str:
        """This amount in its currency; `up`: rounded up."""
        return money(amount, self.currency, up=up)


@dataclass(frozen=True, slots=True)
class PaysOff:
    """From how many outages a month on a tier pays for itself, against the next one that costs less to have.

    `more_s`: how much longer the other one takes; `saves`: what that costs, an outage. `seen`: outages a month, over
    `months`; None: fewer than one month is known.
    """

    other: str
    monthly: float
    more_s: float
    saves: float
    currency: str
    outages: float
    seen: float | None
    months: float

    def __str__(self) -> str:
        of = f"{money(self.monthly, self.currency)} a month; {self.other.partition('/')[2]} takes"
        longer = f"{of} {show_duration(self.more_s)} longer by the forecasts of both"
        longer += f", which costs {money(self.saves, self.currency)} an outage"
        at = f"it pays for itself from {_outages(self.outages)} a month on"
        if self.seen is None:
            return f"{longer}: {at}; less than a month is on record"
        if not self.seen:
            return f"{longer}: {at}; there was none in {self.months:.1f} months"
        seen = _outages(self.seen)
        return f"{longer}: {at}; there {'was' if seen == ONE else 'were'} {seen} a month in {self.months:.1f} months"


def of_outage(service: Service, down_s: float) -> Cost | None:
    """What it costs to be down for so long; None: the author says no cost. That it costs nothing is one."""
    if not service.downtime_cost and service.cost is None:
        return None
    known = service.cost
    minutes = down_s / 60.0
    parts = {name: rate * minutes for name, rate in known.parts.items()} if known is not None else {}
    if known is not None and known.once and down_s >= known.once_after_s:
        parts[ONCE] = known.once
    amount = sum(parts.values()) if parts else service.downtime_cost * minutes
    return Cost(amount, service.currency, parts, known.source if known is not None else "")


def a_minute(service: Service) -> str:
    """`180 EUR/min (revenue 120 EUR/min, staff 12 × 40 EUR/h; by contract 2026-14)`; empty: nothing is said."""
    if of_outage(service, 60.0) is None:
        return ""
    told = f"{numeral(service.downtime_cost)} {service.currency}/min"
    known = service.cost
    if known is None or not known.source:
        return told
    return f"{told} ({', '.join(f'{name} {said}' for name, said in known.written.items())}; by {known.source})"


def unproven(service: Service) -> str:
    """What hangs on an objective that nothing shows to be met; empty: no cost is said."""
    rto = of_outage(service, service.rto_s)
    if rto is None:
        return ""
    mtd = of_outage(service, service.mtd_s) if service.mtd_s is not None else None
    more = f", and to the MTD {mtd}" if mtd is not None else ""
    return f"an outage of the RTO costs {rto}{more}; that it ends by then is not shown"


def pays_off(
    service: Service, index: int, forecasts: Sequence[Forecast | None], outages: int, for_s: float
) -> PaysOff | None:
    """Where a tier (from 0) pays for itself; None: not known, or nothing that costs less to have comes after it.

    `forecasts`: of each tier. `outages`: of this service, in the time that is on record.
    """
    tier, mine = service.ladder[index], forecasts[index]
    if tier.monthly_cost is None or mine is None or not service.downtime_cost:
        return None
    for other, its in zip(service.ladder[index + 1 :], forecasts[index + 1 :], strict=True):
        cheaper = tier.monthly_cost - (other.monthly_cost or 0.0)
        if cheaper <= 0:
            continue
        more_s = its.bound_s - mine.bound_s if its is not None else 0.0
        if its is None or more_s <= 0:
            return None
        slow, quick = of_outage(service, its.bound_s), of_outage(service, mine.bound_s)
        saves = slow.amount - quick.amount if slow is not None and quick is not None else 0.0
        if saves <= 0:
            return None
        months = for_s / MONTH_S
        seen = outages / months if months >= 1.0 else None
        return PaysOff(other.move, cheaper, more_s, saves, service.currency, cheaper / saves, seen, months)
    return None


def money(amount: float, currency: str, *, up: bool = False) -> str:
    """`2,700 EUR`, `0.50 EUR`; `up`: rounded up."""
    if up:
        amount = rounded_up(amount) if amount >= 100 else rounded_up(amount, 100)
    return f"{amount:,.0f} {currency}" if amount >= 100 or amount == int(amount) else f"{amount:,.2f} {currency}"


def _outages(number: float) -> str:
    told = numeral(float(f"{number:.2g}")) if number < 10 else f"{number:.0f}"
    return ONE if told == "1" else f"{told} outages"
