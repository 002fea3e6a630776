"""The summary table over several accounts: one row an act, the same for terminal, page and demo.

The one rule it keeps: our figures and the end user's stand in separate columns. An unknown is a dash.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.durations import show_duration
from orchestrator.core.kinds import Phase
from orchestrator.reports.shape import Account
from orchestrator.reports.text import precise, value_of


def rows(accounts: Sequence[Account]) -> list[list[str]]:
    """Heading, then a row each; columns that nobody fills are left out."""
    heading = ["", "by", *(p.value for p in Phase), "RTA", "RTO", "RPA", "RPO", "user: outage", "lost", "oldest lost"]
    body = [_row(a) for a in accounts]
    optional = {Phase.HUMAN.value, Phase.DEPENDENCY.value, "RPA", "RPO", "user: outage", "lost", "oldest lost"}
    kept = [i for i, name in enumerate(heading) if name not in optional or any(r[i] != "–" for r in body)]
    return [[row[i] for i in kept] for row in (heading, *body)]


def _row(a: Account) -> list[str]:
    phases = {p.phase: p.seconds for p in a.phases}
    m = a.meter
    return [
        a.title or f"{a.service} {a.id}",
        _by(a),
        *(_time(phases.get(p.value) or None) for p in Phase),
        value_of(a.rta, a.state),
        _objective(a.rto_s),
        value_of(a.rpa, "–"),
        _objective(a.rpo_s),
        _time(m.outage_s if m else None),
        "–" if m is None or m.lost is None else str(m.lost),
        _time(m.oldest_lost_age_s if m else None),
    ]


def _by(a: Account) -> str:
    done = [r for r in a.runs if r.state == "done"]
    if not done:
        return "–"
    tier = f"tier {done[-1].tier} " if done[-1].tier else ""
    return tier + done[-1].move.rpartition("/")[2]


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else precise(seconds)


def _objective(seconds: float | None) -> str:
    return "–" if seconds is None else show_duration(seconds)
