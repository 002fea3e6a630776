"""What downtime and tiers cost, from their shapes to the model.

The one rule it keeps: all amounts of a service are of one currency, and inputs name their source.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.config.client import Compiler
from orchestrator.config.cost_shapes import DowntimeCostShape, Money
from orchestrator.config.shapes import ServiceShape, written
from orchestrator.config.strict_yaml import Path_
from orchestrator.core.durations import numeral
from orchestrator.core.model import DowntimeCost, Service, default_of

INPUTS = ("revenue", "staff", "penalty")


def downtime_cost(c: Compiler, name: str, shape: ServiceShape) -> tuple[float, str, DowntimeCost | None]:
    """A minute's cost, its currency, and where it comes from; None: nothing was written."""
    given, path, what = shape.downtime_cost, ("services", name, "downtime_cost"), f"service {name}: downtime_cost"
    usual: str = default_of(Service, "currency")
    tiers = [
        (tier.costs, ("services", name, "ladder", n, "costs"))
        for n, tier in enumerate(shape.ladder or ())
        if tier.costs
    ]
    amounts = [*_amounts(given, path), *tiers] if given is not None else tiers
    currency = amounts[0][0][1] if amounts else usual
    for (_, other), at in amounts[1:]:
        if other != currency:
            c.faults.add(
                c.at(*at), f"service {name}: amounts in {currency} and {other}", f"one currency, like {currency}"
            )
    if given is None:
        return default_of(Service, "downtime_cost"), currency, None
    if given.rate is not None and any(getattr(given, key) is not None for key in INPUTS):
        c.faults.add(c.at(*path, "rate"), f"{what}: a rate and its inputs", "either the rate, or what it is made of")
    if given.rate is None and all(getattr(given, key) is None for key in INPUTS):
        c.faults.add(c.file.document.key(*path), f"{what} says no cost", "a rate, or revenue, staff or penalty")
    inputs = given.rate is None or given.source is not None
    if inputs and given.source is None:
        c.faults.add(
            c.file.document.key(*path), f"{what} has no 'source'", "the key 'source': where its figures are from"
        )
    parts, told = _parts(given)
    once, once_after_s = 0.0, 0.0
    if given.penalty is not None and given.penalty.once is not None:
        once, once_after_s = given.penalty.once[0], given.penalty.after or 0.0
        told["penalty, once"] = f"{numeral(once)} {currency} after {written(once_after_s)}"
        if given.penalty.after is None:
            at = (*path, "penalty")
            c.faults.add(c.file.document.key(*at), f"{what}: penalty has no 'after'", "the key 'after', like 4h")
    elif given.penalty is not None and given.penalty.after is not None:
        c.faults.add(c.at(*path, "penalty", "after"), f"{what}: penalty has no 'once'", "the key 'once', like 2000 EUR")
    cost = DowntimeCost(parts, told, once, once_after_s, given.source or "")
    return sum(parts.values()), currency, cost


def _amounts(given: DowntimeCostShape, path: Path_) -> Iterator[tuple[Money, Path_]]:
    """Every amount, and where it stands."""
    staff, penalty = given.staff, given.penalty
    found: list[tuple[Money | None, Path_]] = [
        (given.rate, (*path, "rate")),
        (given.revenue, (*path, "revenue")),
        (staff.each if staff else None, (*path, "staff", "each")),
        (penalty.rate if penalty else None, (*path, "penalty", "rate")),
        (penalty.once if penalty else None, (*path, "penalty", "once")),
    ]
    return ((money, at) for money, at in found if money is not None)


def _parts(given: DowntimeCostShape) -> tuple[dict[str, float], dict[str, str]]:
    """What a minute costs, by what it is for; and each as a person reads it."""
    parts: dict[str, float] = {}
    told: dict[str, str] = {}
    for key, money in (("rate", given.rate), ("revenue", given.revenue)):
        if money is not None:
            parts[key], told[key] = money[0], f"{numeral(money[0])} {money[1]}/min"
    if given.staff is not None and given.staff.each is not None and given.staff.people is not None:
        each, currency = given.staff.each
        parts["staff"] = given.staff.people * each
        told["staff"] = f"{given.staff.people} × {numeral(each * 60)} {currency}/h"
    if given.penalty is not None and given.penalty.rate is not None:
        parts["penalty"] = given.penalty.rate[0]
        told["penalty"] = f"{numeral(given.penalty.rate[0])} {given.penalty.rate[1]}/min"
    return parts, told
