"""What a measurement is, and what it hands back: comparisons, each with rows of values, one value a round.

The one rule it keeps: raw values are kept, in the order of their rounds. Medians, spreads and ratios are derived from
them (`figures.py`) and never stored in their stead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from scripts.bench.cell import Cell


@dataclass(frozen=True, slots=True)
class Row:
    """What one contender showed: `values` in `unit`, one a round. `more_is_better`: a rate rather than a time."""

    name: str
    values: tuple[float, ...]
    unit: str = "s"
    more_is_better: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What we set out to reach: `ours` at least `times` better than `peer`.

    Without a peer (empty) `times` is a number in our own unit: at least so many of a rate, at most so much else.
    """

    ours: str
    peer: str
    times: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was measured in the same rounds.

    `ratios`: pairs (ours, peer) of row names; how many times better ours was is shown, round by round. `targets` are
    shown as met or missed. `note`: what the figures are not. `readme`: whether docs/benchmarks.md has it.
    """

    measurement: str
    title: str
    rows: tuple[Row, ...]
    ratios: tuple[tuple[str, str], ...] = ()
    targets: tuple[Target, ...] = ()
    note: str = ""
    readme: bool = True

    def row(self, name: str) -> Row:
        """By its name. Raises KeyError that names those there are."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"{self.title} has no row {name!r}; there are: {', '.join(r.name for r in self.rows)}")

    def as_json(self) -> dict[str, Any]:
        """For a file or a pipe."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Comparison:
        """What `as_json` gave."""
        rows = tuple(Row(**{**row, "values": tuple(row["values"])}) for row in told["rows"])
        ratios = tuple((ours, peer) for ours, peer in told["ratios"])
        targets = tuple(Target(**target) for target in told["targets"])
        return cls(**{**told, "rows": rows, "ratios": ratios, "targets": targets})


Measure = Callable[[Cell], Iterator[Comparison]]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A row of the catalogue. `measure` runs in a cell and yields each comparison as soon as it is there.

    `limit_s` and `quick_limit_s`: when it is ended, whatever it does. `peers`: those of `peers.py` that it cannot do
    without. `module`, or `module:function` where a file has several: imported in the cell, so that one that cannot be
    imported takes no other along.
    """

    name: str
    what: str
    module: str
    limit_s: float
    quick_limit_s: float
    peers: tuple[str, ...] = ()
