"""The shape of what downtime costs, and of what a tier costs.

The one rule it keeps: an amount has a currency, and what is paid again and again says how often.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from orchestrator.config.shape import Count, Duration, Shape, Text

_MONTHS = {"month": 1.0, "year": 12.0}
Money = tuple[float, str]  # an amount, and its currency


def _rate(value: Any) -> Money:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Z]{3})\s*/\s*(min|h)", value.strip() if isinstance(value, str) else "")
    if found is None:
        raise ValueError(f"{value!r} is no cost: write an amount, a currency and /min or /h, like 180 EUR/min")
    return float(found[1]) / (60 if found[3] == "h" else 1), found[2]


def _amount(value: Any) -> Money:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Z]{3})", value.strip() if isinstance(value, str) else "")
    if found is None:
        raise ValueError(f"{value!r} is no amount: write a number and a currency, like 2000 EUR")
    return float(found[1]), found[2]


def _monthly(value: Any) -> Money:
    text = value.strip() if isinstance(value, str) else ""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Z]{3})\s*/\s*(month|year)", text)
    if found is None:
        raise ValueError(f"{value!r} is no cost: write an amount, a currency and /month or /year, like 400 EUR/month")
    return float(found[1]) / _MONTHS[found[3]], found[2]


def _rate_or_inputs(value: Any) -> Any:
    return value if isinstance(value, dict) else {"rate": _checked(value)}


def _checked(value: Any) -> Any:
    _rate(value)
    return value


def _rate_or_once(value: Any) -> Any:
    return value if isinstance(value, dict) else {"rate": _checked(value)}


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
    penalty: Annotated[PenaltyShape, BeforeValidator(_rate_or_once)] | None = None
    source: Text | None = None


DowntimeCost = Annotated[DowntimeCostShape, BeforeValidator(_rate_or_inputs)]
