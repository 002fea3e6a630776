"""What comes to its day: findings that are due, proofs that get old, certificates that end. For a calendar.

The one rule it keeps: a day is taken from a record or a measurement of that very thing, and each says which. Days are
in UTC. What has passed its day and is still so stands at its day, and says that it is over it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from orchestrator.core.health.detector import Row
from orchestrator.core.model import Model
from orchestrator.core.outside import evidence
from orchestrator.core.state.finding import KeptFinding
from orchestrator.reports.entries import WallClock
from orchestrator.reports.papers.edition import Mask
from orchestrator.reports.proof_ages import Shown, Tier

DAYS_LEFT = "cert_days_left"  # as the http probe measures it
FOREVER_DAYS = 365 * 100  # a certificate that ends later than that ends on no day that a calendar has


@dataclass(frozen=True, slots=True)
class Dated:
    """One. `id`: the same as long as it is the same thing, and no other's. `kind`: finding, proof or certificate."""

    id: str
    kind: str
    day: date
    summary: str
    description: str


def due_findings(
    findings: Iterable[KeptFinding], model: Model, clock: WallClock, today: date, mask: Mask | None
) -> Iterator[Dated]:
    """Those that nobody has closed. With a mask: without the provider's own, and without free text."""
    for x in findings:
        opened = x.opened
        if x.closed is not None or (mask is not None and opened.internal):
            continue
        day = _day_of(opened.due) or _day(clock.wall(opened.due_at) - 1.0)
        speaker = model.speakers.get(opened.owner)
        owner = f"{speaker.name} ({opened.owner})" if speaker is not None else opened.owner
        said = "" if mask is not None else f": {evidence(opened.text)}"
        shown = owner if mask is None or mask.person(opened.owner) == opened.owner else mask.person(opened.owner)
        told = [f"after {opened.about} of {opened.service}", f"owner: {shown}"]
        if mask is None:
            told += [f"opened by {opened.who}", f"to close it: bascule findings close {x.id} --reason TEXT"]
        over = "was due, and nobody has closed it" if day < today else "due"
        yield Dated(f"finding-{x.id}", "finding", day, f"Finding {x.id} {over}{said}", "\n".join(told))


def old_proofs(shown: Mapping[Tier, Shown], model: Model, age_s: float, today: date) -> Iterator[Dated]:
    """When each proof is as old as one that counts for nothing where drills are chosen by value."""
    for (service, move), last in shown.items():
        day = _day(last.wall + age_s)
        over = "is old" if day < today else "gets old"
        told = (
            f"{last.by} on {_day(last.wall)}, and nothing has shown it since; it does not become void by its age, "
            f"but where drills are chosen by value it counts from this day on as never proven"
        )
        name = model.moves[move].name if move in model.moves else move
        yield Dated(f"proof-{_word(service)}-{_word(move)}", "proof", day, f"Proof {over}: {name} of {service}", told)


def certificates(
    rows: Mapping[str, Row], model: Model, clock: WallClock, today: date, mask: Mask | None
) -> Iterator[Dated]:
    """When each certificate ends that a check has seen, by its last answer that told so."""
    for name, row in rows.items():
        days, asked_at = row.measures.get(DAYS_LEFT), row.measured_at
        if days is None or asked_at is None or not abs(days) < FOREVER_DAYS or name not in model.checks:
            continue
        wall = clock.wall(asked_at)
        day = _day(wall + days * 86400.0)
        shown = mask.check(name) if mask is not None else name
        over = "has expired" if day < today else "expires"
        told = f"its server showed it to the check {shown} on {_day(wall)}, with {days:.1f} days left"
        hidden = hashlib.sha256(name.encode()).hexdigest()[:16]  # the name of a check may hold its host's
        yield Dated(f"certificate-{hidden}", "certificate", day, f"Certificate {over}: {shown}", told)


def _word(name: str) -> str:
    """A name as a part of an id."""
    return name.replace("/", ".")


def _day(wall: float) -> date:
    return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=wall)).date()


def _day_of(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None  # of a client of the socket that wrote it in its own way: then the moment counts
