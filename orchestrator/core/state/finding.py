"""Findings: what a named person says is to be improved, by whom and by when; and what was said to be well.

The one rule it keeps: a finding that is open is never forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.core import records as r


@dataclass(slots=True)
class KeptFinding:
    """One of them. `told_at`: when its owner was last told that it is overdue."""

    opened: r.FindingOpened
    closed: r.FindingClosed | None = None
    told_at: float | None = None
    times: int = 0

    @property
    def id(self) -> str:
        """Its id."""
        return self.opened.finding


@dataclass(slots=True)
class Findings:
    """All of them, by id; `nothing`: after what nothing was found."""

    known: dict[str, KeptFinding] = field(default_factory=dict)
    nothing: dict[str, r.NothingFound] = field(default_factory=dict)
    count: int = 0

    def open(self) -> list[KeptFinding]:
        """Those that nobody has closed, the first that is due first."""
        found = [x for x in self.known.values() if x.closed is None]
        return sorted(found, key=lambda x: (x.opened.due_at, x.opened.at, x.id))
