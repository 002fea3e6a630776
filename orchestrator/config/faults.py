"""What is wrong with a configuration, where, and what was expected instead.

The one rule it keeps: a fault is collected, not raised where it is found, so that an author sees all of them at once.
Only `Faults.raise_if_any` raises, at the end.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.core.outside import visible


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong. Line and column count from 1; 0 means the file as a whole."""

    file: str  # relative to the workspace
    line: int
    column: int
    message: str
    expected: str = ""
    nearest: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{place}: {self.message}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.nearest:
            text += f"; did you mean {self.nearest!r}?"
        return visible(text)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file that a fault can point at."""

    file: str
    line: int = 0
    column: int = 0


class ConfigurationInvalid(Exception):
    """The configuration cannot be used. `faults` holds everything that is wrong, in file order."""

    def __init__(self, faults: Iterable[Fault], warnings: Iterable[Fault] = ()) -> None:
        self.faults = tuple(faults)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(slots=True)
class Faults:
    """Collects faults and warnings while a workspace is read."""

    found: list[Fault] = field(default_factory=list)
    warned: list[Fault] = field(default_factory=list)

    def add(self, at: Position, message: str, expected: str = "", nearest: str | None = None) -> None:
        """Note something that makes the configuration unusable."""
        self.found.append(Fault(at.file, at.line, at.column, message, expected, nearest))

    def unknown(self, at: Position, what: str, name: str, known: Iterable[str], client: str = "") -> None:
        """Note a name that leads nowhere (in a client), with the nearest right one, or with all if they are few."""
        names = sorted(set(known))
        near = nearest(name, names)
        expected = f"one of {', '.join(names)}" if near is None and 0 < len(names) <= 8 else ""
        where = f" in client {client}" if client else ""
        self.add(at, f"there is no {what} {name!r}{where}" + ("" if names else ": none is declared"), expected, near)

    def warn(self, at: Position, message: str, expected: str = "") -> None:
        """Note something odd that stops nobody."""
        self.warned.append(Fault(at.file, at.line, at.column, message, expected))

    def sorted(self) -> tuple[Fault, ...]:
        """All faults, once each, in file and line order."""
        return tuple(sorted(set(self.found), key=_order))

    def warnings(self) -> tuple[Fault, ...]:
        """All warnings, once each, in file and line order."""
        return tuple(sorted(set(self.warned), key=_order))

    def raise_if_any(self) -> None:
        """Raise `ConfigurationInvalid` with everything found so far."""
        if self.found:
            raise ConfigurationInvalid(self.sorted(), self.warnings())


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one, if any does."""
    names = sorted(set(known))
    folded = {candidate.lower().replace("_", "-"): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower().replace("_", "-"), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def _order(fault: Fault) -> tuple[str, int, int, str, str, str]:
    return (fault.file, fault.line, fault.column, fault.message, fault.expected, fault.nearest or "")
