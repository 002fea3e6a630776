"""What the end user's meter says about each act of a disaster. Pure: records in, account out.

Times are epoch seconds of one machine's clock. The one rule it keeps: a loss is an *acknowledged* transaction that does
not exist any more. It belongs to the first act after which it is missing and is counted once. A refused or unknown
transaction was never promised.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from itertools import pairwise

OUTAGE_MIN_S = 0.5
"""A shorter gap between two successes is a hiccup (its attempts still count as refused or unknown), no outage."""


@dataclass(frozen=True)
class Attempt:
    """One line of the meter's log."""

    n: int
    id: str
    wall_s: float
    took_s: float
    outcome: str
    by: str
    why: str = ""
    address: str = ""

    @property
    def ended_s(self) -> float:
        """When its outcome was known."""
        return self.wall_s + self.took_s

    @property
    def acknowledged(self) -> bool:
        """The user was told that it is done."""
        return self.outcome == "acknowledged"


@dataclass(frozen=True)
class Fence:
    """A place that was proven fenced, and until when (None: still)."""

    place: str
    since_s: float
    until_s: float | None = None


@dataclass(frozen=True)
class Act:
    """One act: from the fault's injection to its end.

    `lost_at_s` is the instant after which nothing of the place left could be saved (the power cut); where it is not
    given, the last success before the act's longest outage stands for it.
    """

    name: str
    began_s: float
    ended_s: float
    lost_at_s: float | None = None


@dataclass(frozen=True)
class Outage:
    """From the last success before to the first success after. `over` is false when there was no success after."""

    began_s: float
    ended_s: float
    over: bool
    failed: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.ended_s - self.began_s


@dataclass(frozen=True)
class ActAccount:
    """What the end user measured during one act."""

    act: str
    attempts: int
    acknowledged: int
    refused: int
    unknown: int
    outages: tuple[Outage, ...]
    served_by: Mapping[str, int]
    lost_ids: tuple[str, ...]
    oldest_lost_age_s: float | None
    """How long before the loss the oldest lost transaction had been acknowledged; None when none was lost."""
    loss_known: bool
    """False when nobody could be asked which transactions exist: then the loss is not measured, rather than zero."""
    fenced_acknowledgements: tuple[str, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def longest_s(self) -> float:
        """Seconds of the longest outage."""
        return max((outage.seconds for outage in self.outages), default=0.0)

    @property
    def total_s(self) -> float:
        """Seconds of all outages."""
        return sum(outage.seconds for outage in self.outages)

    @property
    def recovered(self) -> bool:
        """Every outage ended in a success."""
        return all(outage.over for outage in self.outages)

    def as_json(self) -> dict[str, object]:
        """Everything, for a report."""
        whole = asdict(self)
        whole["lost"] = len(self.lost_ids)
        whole["lost_ids"] = list(self.lost_ids[:100])
        whole["longest_s"] = round(self.longest_s, 3)
        whole["total_s"] = round(self.total_s, 3)
        whole["recovered"] = self.recovered
        return whole


def attempts_of(lines: Iterable[str]) -> list[Attempt]:
    """The attempts in a meter's log, in the order they were begun. Headers and a torn last line are skipped."""
    attempts = []
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue  # torn: the meter's host lost its power while writing
        if isinstance(value, dict) and "outcome" in value:
            attempts.append(
                Attempt(
                    value["n"],
                    value["id"],
                    value["wall"],
                    value["took_s"],
                    value["outcome"],
                    value.get("by", ""),
                    value.get("why", ""),
                    value.get("address", ""),
                )
            )
    attempts.sort(key=lambda attempt: (attempt.wall_s, attempt.n))
    return attempts


def outages(attempts: Sequence[Attempt], at_least_s: float = OUTAGE_MIN_S) -> list[Outage]:
    """Gaps without a success of at least that length, with at least one failed attempt inside, oldest first.

    Before the first success there is no outage: nothing had worked yet. A meter that itself paused leaves no failed
    attempt, hence no outage.
    """
    successes = sorted(attempt.ended_s for attempt in attempts if attempt.acknowledged)
    failed = sorted(attempt.ended_s for attempt in attempts if not attempt.acknowledged)
    if not successes or not failed:
        return []
    gaps = [(began, ended, True) for began, ended in pairwise(successes)]
    gaps.append((successes[-1], max(successes[-1], failed[-1]), False))
    found = []
    for began, ended, over in gaps:
        inside = bisect_left(failed, ended) - bisect_left(failed, began) + (not over)
        if ended - began >= at_least_s and inside:
            found.append(Outage(began, ended, over, inside))
    return found


def account(
    attempts: Sequence[Attempt],
    acts: Sequence[Act],
    existing: Sequence[Set[str] | None],
    fences: Sequence[Fence] = (),
    at_least_s: float = OUTAGE_MIN_S,
) -> list[ActAccount]:
    """The account of each act.

    Args:
        attempts: what `attempts_of` gave.
        acts: in order; they may leave time between them.
        existing: for each act the ids that existed after it (None: nobody could be asked).
        fences: an acknowledgement by a fenced place, of a transaction begun while it was fenced, is a failure.
        at_least_s: see `outages`.

    Raises:
        ValueError: `existing` is not one a act.
    """
    if len(existing) != len(acts):
        raise ValueError(f"{len(acts)} acts, but {len(existing)} lists of existing ids")
    of_act: dict[int, list[Outage]] = {index: [] for index in range(len(acts))}
    for outage in outages(attempts, at_least_s):
        shares = [min(outage.ended_s, act.ended_s) - max(outage.began_s, act.began_s) for act in acts]
        best = max(range(len(acts)), key=shares.__getitem__, default=None)
        if best is not None and shares[best] > 0:
            of_act[best].append(outage)
    already: set[str] = set()
    accounts = []
    for index, act in enumerate(acts):
        there = existing[index]
        lost = [] if there is None else _lost(attempts, act, there, already)
        already.update(attempt.id for attempt in lost)
        accounts.append(_account_of(act, attempts, of_act[index], lost, fences, loss_known=there is not None))
    return accounts


def _lost(attempts: Sequence[Attempt], act: Act, there: Set[str], already: Set[str]) -> list[Attempt]:
    promised = (attempt for attempt in attempts if attempt.acknowledged and attempt.ended_s < act.ended_s)
    return [attempt for attempt in promised if attempt.id not in there and attempt.id not in already]


def _account_of(
    act: Act,
    attempts: Sequence[Attempt],
    found: Sequence[Outage],
    lost: Sequence[Attempt],
    fences: Sequence[Fence],
    *,
    loss_known: bool,
) -> ActAccount:
    during = [attempt for attempt in attempts if act.began_s <= attempt.wall_s < act.ended_s]
    outcomes = Counter(attempt.outcome for attempt in during)
    lost_at_s = act.lost_at_s
    if lost_at_s is None:
        longest = max(found, key=lambda outage: outage.seconds, default=None)
        lost_at_s = act.began_s if longest is None else longest.began_s
    age_s = max(0.0, lost_at_s - min(attempt.ended_s for attempt in lost)) if lost else None
    return ActAccount(
        act=act.name,
        attempts=len(during),
        acknowledged=outcomes["acknowledged"],
        refused=outcomes["refused"],
        unknown=outcomes["unknown"],
        outages=tuple(found),
        served_by=dict(Counter(attempt.by for attempt in during if attempt.acknowledged)),
        lost_ids=tuple(attempt.id for attempt in lost),
        oldest_lost_age_s=age_s,
        loss_known=loss_known,
        fenced_acknowledgements=tuple(attempt.id for attempt in during if _by_fenced(attempt, fences)),
        reasons=dict(Counter(attempt.why for attempt in during if attempt.why).most_common(8)),
    )


def _by_fenced(attempt: Attempt, fences: Sequence[Fence]) -> bool:
    return attempt.acknowledged and any(
        fence.place == attempt.by
        and attempt.wall_s >= fence.since_s
        and (fence.until_s is None or attempt.wall_s < fence.until_s)
        for fence in fences
    )
