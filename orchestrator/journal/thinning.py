"""Removes old entries that nobody needs any more: a check that flaps writes millions of entries a month.

The one rule it keeps: the fold of what stays is the fold of everything, and every report says the same. An entry is
removed only if all of this holds: it has only verdict changes; no story tells of it (`slices.py`); it binds nothing
still in use; and it is neither the latest verdict of a check, nor one of its latest "down" which the fold remembers,
among those that are looked at together.

A gap takes their place: the hash before it, the hash of its last entry, and an entry that binds both. So the chain goes
on through it by that entry, and entries on either side cannot be changed without changing it. A head that was kept
elsewhere before that entry was written vouches only for what is behind the gap's last entry. So the entry of the newest
kept head stays until a later one is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from orchestrator.core.records import Record, Verdict, VerdictChanged
from orchestrator.core.state.retention import FELL_BEFORE
from orchestrator.journal.chain import Gap

BLOCK = 2000  # entries looked at, and deleted, in one transaction: some tens of milliseconds

HashAt = Callable[[int], bytes]
GapAt = Callable[[int], Gap | None]


def unneeded(block: Sequence[tuple[int, Sequence[Record]]]) -> list[int]:
    """Of these entries, which hold verdict changes alone: those that no fold needs."""
    latest: dict[str, int] = {}
    fell: dict[str, list[int]] = defaultdict(list)
    for seq, records in block:
        for record in records:
            if isinstance(record, VerdictChanged):
                latest[record.check] = seq
                if record.verdict is Verdict.DOWN:
                    fell[record.check].append(seq)
    keep = {*latest.values(), *(seq for falls in fell.values() for seq in falls[-1 - FELL_BEFORE :])}
    return [seq for seq, _ in block if seq not in keep]


def gaps_for(gone: Iterable[int], hash_at: HashAt, gap_at: GapAt) -> tuple[list[Gap], list[Gap]]:
    """The gaps that these entries leave, and the old gaps that they take in. `gone` is in order.

    `gap_at`: the gap that a number is in; `hash_at`: the hash of an entry that is still there.
    """
    made: list[Gap] = []
    taken_in: list[Gap] = []
    for seq in gone:
        if made and made[-1].last == seq - 1:
            begun = made.pop()
        else:
            before = gap_at(seq - 1)
            if before is not None:
                taken_in.append(before)
                begun = before
            else:
                begun = Gap(seq, seq - 1, hash_at(seq - 1), b"")
        grown = Gap(begun.first, seq, begun.before, hash_at(seq))
        behind = gap_at(seq + 1)
        if behind is not None:
            taken_in.append(behind)
            grown = Gap(grown.first, behind.last, grown.before, behind.after)
        made.append(grown)
    return made, taken_in
