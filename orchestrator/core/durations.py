"""Durations with units, as authors write them and operators read them; also counts with their noun.

The one rule it keeps: a number without a unit is not a duration.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
NAMED = 4  # of what is concerned, so many by name
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|s|m|h|d|w)")


def parse_duration(text: str) -> float:
    """`1h30m`, `250ms`, `15 min` as seconds.

    Raises ValueError, with the accepted units, for anything else.
    """
    compact = text.strip()
    parts = list(_PART.finditer(compact))
    if not parts or "".join(p.group(0) for p in parts).replace(" ", "") != compact.replace(" ", ""):
        raise ValueError(
            f"{text!r} is no duration: write a number with a unit ({', '.join(UNITS_S)}), like 30s or 1h30m"
        )
    return sum(float(p.group(1)) * UNITS_S[p.group(2)] for p in parts)


def numeral(value: float) -> str:
    """A number as a person writes it: `2000000`, `0.004`, `5.052`; without exponent, without zeros at its end."""
    text = f"{value:.{3 if abs(value) >= 1 else 6}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def counted(number: int, noun: str) -> str:
    """`1 run`, `3 runs`, `no run`."""
    return f"{number or 'no'} {noun}" + ("s" if number > 1 else "")


def named(names: Iterable[str]) -> str:
    """A few of these names, and how many more there are."""
    found = list(dict.fromkeys(names))
    more = len(found) - NAMED
    return ", ".join(found[:NAMED]) + (f" and {more} more" if more > 0 else "")


def show_duration(seconds: float) -> str:
    """A duration as an operator reads it: `0.2s`, `41s`, `4:10`, `1:02:03`."""
    seconds = round(seconds, 6)  # two sums of the same parts are shown alike
    if seconds < 0:
        return "-" + show_duration(-seconds) if seconds <= -0.05 else "0.0s"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    if seconds < 59.5:
        return f"{seconds:.0f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def show_bound(seconds: float) -> str:
    """A duration that something takes at most, rounded up: what is shown of 10.4 s is `11s`, which it is at most."""
    tenths = rounded_up(seconds, 10)
    return show_duration(tenths if tenths < 10 else rounded_up(seconds))


def rounded_up(value: float, parts: int = 1) -> float:
    """Up to whole parts of one (10: tenths). What a sum of the same parts differs by is nothing."""
    return math.ceil(round(round(value, 6) * parts, 6)) / parts
