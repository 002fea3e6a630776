"""Drills that nobody knows of: what and when is drawn at the beginning of a period, and sealed.

The one rule it keeps: what was drawn is on record before anybody could know how it would suit, and can be read by
nobody until it happens. On record is the hash of what was drawn together with a seed; the seed is told when the drill
begins, or was missed. Then everybody can draw again, find the same, and compare the hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.core.schedules import Candidate, DrillPlan
from orchestrator.drills.calendars import stretches
from orchestrator.drills.occurrences import Occurrence
from orchestrator.drills.times import read, written

MINUTE = timedelta(minutes=1)
_TOLD = re.compile(r"drawn at random for (\S+), seed ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn: this move of this service, at `opens`; it may begin until `closes`."""

    candidate: Candidate
    opens: datetime
    closes: datetime
    seed: str

    @property
    def told(self) -> str:
        """What opens the seal."""
        return f"drawn at random for {written(self.opens)}, seed {self.seed}"

    @property
    def number(self) -> float:
        """By which its playbooks draw what they choose from; at least 0, less than 1."""
        return (_number(self.seed, "backup") >> 203) / 2.0**53


def seed_of(secret: bytes, schedule: str, occurrence: str) -> str:
    """The seed of one draw: nobody who does not have the secret can tell it, and it tells nothing of the next one."""
    return hmac.new(secret, f"{schedule}\n{occurrence}".encode(), hashlib.sha256).hexdigest()


def draw(plan: DrillPlan, candidates: Sequence[Candidate], occurrence: Occurrence, seed: str) -> Drawn | None:
    """One of these, and a minute of the time that all calendars admit; None: they admit none."""
    left = sorted(candidates, key=lambda x: (x.service, x.move))
    while left:
        chosen = left.pop(_number(seed, f"candidate {len(left)}") % len(left))
        calendars = [*plan.schedule.calendars, *chosen.calendars]
        open_ = stretches(calendars, occurrence.opens, occurrence.closes)
        minutes = [int((b - a) / MINUTE) for a, b in open_]
        if not sum(minutes):
            continue
        at = _number(seed, "minute") % sum(minutes)
        for (opens, closes), inside in zip(open_, minutes, strict=True):
            if at < inside:
                return Drawn(chosen, opens + at * MINUTE, closes, seed)
            at -= inside
    return None


def _number(seed: str, what: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {what}".encode()).digest())


def seal(schedule: str, occurrence: str, service: str, move: str, at: str, seed: str) -> str:
    """The hash that is kept."""
    return hashlib.sha256("\n".join((schedule, occurrence, service, move, at, seed)).encode()).hexdigest()


def seal_of(plan: DrillPlan, occurrence: Occurrence, drawn: Drawn) -> str:
    """The same, of what was drawn."""
    chosen = drawn.candidate
    return seal(plan.id, occurrence.name, chosen.service, chosen.move, written(drawn.opens), drawn.seed)


def opens(sealed: str, schedule: str, occurrence: str, service: str, move: str, told: str) -> bool:
    """Whether what is told with the drill is what had been sealed."""
    found = _TOLD.search(told)
    return found is not None and seal(schedule, occurrence, service, move, found[1], found[2]) == sealed


def drawn_for(told: str) -> datetime | None:
    """The hour that was drawn, of what is told with the drill."""
    found = _TOLD.search(told)
    return read(found[1]) if found is not None else None
