"""The shape of what downtime costs, and of what a tier costs.

The one rule it keeps: an amount has a currency, and what is paid again and again says how often.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from orchestrator.config.shape import Count, Duration, Shape, Text

_PER = {"min": 1.0, "h": 60.0, "month": 1.0, "year": 12.0}  # minutes, or months
Money = tuple[float, str]  # an amount, and its currency


def _money(value: Any, units: str, wrong: str) -> Money:
    """An amount, a currency and one of these units, if there are any; what is read is for one minute, or month."""
    per = rf"\s*/\s*({units})" if units else "()"
    found = re.fullmatch(rf"(\d+(?:\.\d+)?)\s*([A-Z]{{3}}){per}", value.strip() if isinstance(value, str) else "")
    if found is None:
        raise ValueError(f"{value!r} is no {wrong}")
    return float(found[1]) / _PER.get(found[3], 1.0), found[2]


def _rate(value: Any) -> Money:
    return _money(value, "min|h", "cost: write an amount, a currency and /min or /h, like 180 EUR/min")


def _amount(value: Any) -> Money:
    return _money(value, "", "amount: write a number and a currency, like 2000 EUR")


def _monthly(value: Any) -> Money:
    return _money(value, "month|year", "cost: write an amount, a currency and /month or /year, like 400 EUR/month")


def _rate_or_more(value: Any) -> Any:
    """A bare rate as a mapping: of one that is wrong it is said here, since a mapping hides what was written."""
    if isinstance(value, dict):
        return value
    _rate(value)
    return {"rate": value}


Rate = Annotated[Money, BeforeValidator(_rate), WithJsonSchema({"type": "string", "examples": ["180 EUR/min"]})]
Amount = Annotated[Money, BeforeValidator(_amount), WithJsonSchema({"type": "string", "examples": ["2000 EUR"]})]
Monthly = Annotated[Money, BeforeValidator(_monthly), WithJsonSchema({"type": "string", "examples": ["400 EUR/month"]})]


class StaffShape(Shape):
    """People who cannot work meanwhile."""

    REQUIRED = ("people", "each")
    people: Count | None = None
    each: Rate | None = None


class PenaltyShape(Shape):
    """What a contract asks for: as long as it lasts, or once, when it has lasted for so long."""

    rate: Rate | None = None
    once: Amount | None = None
    after: Duration | None = None


class DowntimeCostShape(Shape):
    """What downtime costs, and by what source. A bare rate is short for `rate`."""

    rate: Rate | None = None
    revenue: Rate | None = None
    staff: StaffShape | None = None
    penalty: Annotated[PenaltyShape, BeforeValidator(_rate_or_more)] | None = None
    source: Text | None = None


DowntimeCost = Annotated[DowntimeCostShape, BeforeValidator(_rate_or_more)]
