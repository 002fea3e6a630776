"""Not being able to see or act is news: a person is told after `doubt`, also without an incident.

The one rule it keeps: each lack is told once until it is over, and its end once. There is one notice for each client
and kind, however many things are concerned, and no sooner than `doubt` after the last one of that kind. What an
announced maintenance explains is not told. Which lacks were told is decided state, so that a restart neither repeats
nor forgets one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from shlex import quote

from orchestrator.core.awareness import readiness
from orchestrator.core.awareness.readiness import Item, Lack
from orchestrator.core.commands import NoticeKind
from orchestrator.core.durations import named, show_duration
from orchestrator.core.sentences import Sentence
from orchestrator.core.transaction import FOREVER, Transaction

LOOK_S = 10.0  # how often what is lacking is looked at, beside the moments that are known beforehand
TOGETHER_S = 5.0  # what would be told so soon after is told with it
LISTED = 5  # in a notice; the rest is counted


@dataclass(slots=True)
class Memory:
    """What a controller has seen of each lack (client, kind, subject): since when, and until when it was explained."""

    look_at: float = 0.0  # when to look again
    seen: dict[tuple[str, str, str], float] = field(default_factory=dict)
    excused: dict[tuple[str, str, str], float] = field(default_factory=dict)


def look(tx: Transaction, memory: Memory) -> None:
    """Tell what is to be told now, and note when to look again. `memory`: of this controller alone."""
    if not tx.model.checks:
        memory.look_at = FOREVER
        return
    again = tx.now() + LOOK_S
    groups: dict[tuple[str, Lack], list[Item]] = {}
    for item in readiness.assess(tx):
        if item.lack is Lack.UNHEARD and not tx.decided.unheard[item.client].delivered:
            continue  # nobody can be told: what needs somebody is told again until it is heard
        groups.setdefault((item.client, item.lack), []).append(item)
    there = {(client, lack.value, x.subject) for (client, lack), found in groups.items() for x in found}
    memory.seen = {key: at for key, at in memory.seen.items() if key in there}
    told = {(key.partition("#")[0], Lack(key.partition("#")[2])) for key in tx.decided.lacking}
    for client, lack in sorted({*groups, *told}):
        again = min(again, _group(tx, client, lack, groups.get((client, lack), []), memory))
    memory.look_at = again


def _group(tx: Transaction, client: str, lack: Lack, items: list[Item], memory: Memory) -> float:
    """One client and kind of lack; when to look again."""
    doubt_s = tx.limits(client).doubt_s
    known = tx.decided.lacking.get(f"{client}#{lack.value}")
    quiet_until = known.told_at + doubt_s if known else 0.0
    again = FOREVER
    waits: list[tuple[float, Item]] = []
    for item in items:
        if known is not None and item.subject in known.subjects:
            continue
        key = (client, lack.value, item.subject)
        if item.excused:
            memory.excused[key] = tx.now()
            continue
        since = memory.seen.setdefault(key, tx.now())  # it outlives a reload, which gives changed checks new rows
        since = since if item.since is None else min(since, item.since)
        at = max(since, memory.excused.get(key, 0.0)) + _patience_s(tx, item, doubt_s)
        at = max(at, quiet_until)
        waits.append((at, item))
        again = min(again, at)
    if tx.now() >= again:
        _tell(tx, client, lack, [item for at, item in waits if at <= tx.now() + TOGETHER_S])
        return min((at for at, _ in waits if at > tx.now() + TOGETHER_S), default=FOREVER)
    there = {item.subject for item in items}
    ended = [x for x in known.subjects if x not in there and readiness.over(tx, lack, x)] if known else []
    if ended and tx.now() >= quiet_until:
        _tell_over(tx, client, lack, ended, [x for x in known.subjects if x not in ended] if known else [])
    elif ended:
        again = min(again, quiet_until)
    return again


def _patience_s(tx: Transaction, item: Item, doubt_s: float) -> float:
    """How long it may last before it is news: a check that is asked once an hour is not answered any sooner."""
    check = tx.model.checks.get(item.subject)
    return doubt_s if check is None or item.lack is not Lack.NOT_ANSWERED else max(doubt_s, check.stale_after_s)


def _tell(tx: Transaction, client: str, lack: Lack, items: list[Item]) -> None:
    said = []
    for item in items[:LISTED]:
        for_s = f" for {show_duration(tx.now() - item.since)}" if item.since is not None else ""
        subject = f"vantage {item.subject}" if lack in (Lack.BLIND, Lack.NO_REFERENCE) else item.subject
        said.append(f"{subject}{for_s}: {item.evidence}; {item.means}")
    more = f"; and {len(items) - LISTED} more" if len(items) > LISTED else ""
    text = Sentence.CANNOT_SEE.say(client=client, lack=lack.value, what=f"{'; '.join(said)}{more}")
    say = f"bascule ready {quote(client)}" if client else "bascule ready"
    _due(tx, NoticeKind.CANNOT_SEE, client, lack, [x.subject for x in items], text, say)


def _tell_over(tx: Transaction, client: str, lack: Lack, ended: list[str], left: list[str]) -> None:
    still = f"; still so: {named(left)}" if left else ""
    text = Sentence.SEES_AGAIN.say(client=client, lack=lack.value, what=f"{named(ended)}{still}")
    _due(tx, NoticeKind.SEES_AGAIN, client, lack, ended, text, "")


def _due(tx: Transaction, kind: NoticeKind, client: str, lack: Lack, subjects: list[str], text: str, say: str) -> None:
    notice = f"{kind.value}/{client}/{lack.value}/{tx.now():.3f}"
    tx.tell(notice, kind, client, text, say=say, details={"lack": lack.value, "subjects": list(subjects)})
