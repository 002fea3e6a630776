"""A slice against heads of the journal that were kept elsewhere, and what a chain of hashes alone cannot show.

The one rule it keeps: what could not be compared is said, beside what was. A head vouches for no entry to which no hash
goes from it in this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from orchestrator.core.durations import counted
from orchestrator.journal.journal import Head
from orchestrator.reports.papers.excerpt import Slice
from orchestrator.reports.papers.shape import Edition

_HEAD = re.compile(r"([0-9]{1,15}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Wrong:
    """What does not fit: where in the file, and why."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


def head_of(text: str) -> Head | None:
    """The end of a journal, NUMBER:HASH; None: it is none."""
    found = _HEAD.fullmatch(text)
    return Head(int(found[1]), found[2]) if found is not None else None


def compared_with(found: Slice, heads: Sequence[Head]) -> tuple[list[Wrong], tuple[str, ...]]:
    """Heads that were kept elsewhere, against the hashes in the slice; and what even so cannot be seen."""
    hashes = {x.seq: x.hash for x in found.pieces}
    if (end := head_of(found.head)) is not None:
        hashes.setdefault(end.seq, end.hash)
    wrong = [
        Wrong(f"entry {head.seq}", "it is not the one whose hash was kept elsewhere")
        for head in heads
        if hashes.get(head.seq, head.hash) != head.hash
    ]
    notes = []
    apart = sum(1 for a, b in pairwise(found.pieces) if b.seq != a.seq + 1)
    if found.edition is Edition.CLIENT:
        notes.append(
            "its entries are extracts: that the journal says so is shown by whoever has it, by the hash beside each"
        )
    elif apart:
        notes.append(
            f"in {counted(apart, 'place')} other entries of the journal lie between these: that nothing in them is of"
            " these services cannot be seen here (`--workspace` compares with the journal itself)"
        )
    notes.append("the objectives are parts of the models named: that they are parts of these cannot be seen here")
    if found.ages:
        notes.append("how old data was is noted beside the journal: no hash of the journal is over these hours")
    met = {head.seq for head in heads if hashes.get(head.seq) == head.hash}
    return wrong, (*notes, _vouched_for(found, met, given=bool(heads)))


def _vouched_for(found: Slice, met: set[int], *, given: bool) -> str:
    """What heads that fit say of the entries: of those alone that lead to one without a gap.

    No hash goes over a gap, as what lies in it is not in the file. Whoever wrote the entries before it anew has to
    change nothing behind it.
    """
    numbers = [x.seq for x in found.pieces]
    if not given:
        return (
            "compared with no head kept elsewhere: that somebody wrote the records anew, and this report from them,"
            " could not be seen (`--head`)"
        )
    if found.edition is Edition.CLIENT and met & set(numbers):
        last = max(met & set(numbers))
        return (
            f"the hash beside entry {last} is the one that was kept elsewhere; it says nothing of the extract: whoever"
            " has the journal can compare that (`--workspace`)"
        )
    stretches = list(_stretches(numbers))
    under = [(first, max(met & set(range(first, last + 1)), default=0)) for first, last in stretches]
    under = [(first, last) for first, last in under if last]
    if numbers and under == stretches:
        return "every entry is under a hash that was kept elsewhere"
    if under:
        told = _and([str(first) if first == last else f"{first} to {last}" for first, last in under])
        one = len(under) == 1 and under[0][0] == under[0][1]
        are = f"entry {told} is" if one else f"entries {told} are"
        return (
            f"{are} under the hash that was kept elsewhere; that somebody wrote the others anew could not be seen here"
            " (`--workspace`)"
        )
    if met:
        return (
            f"the journal's end that it names, entry {max(met)}, is the one that was kept elsewhere, and what leads"
            " there from these entries is not in the file: that somebody wrote them anew could not be seen here"
            " (`--workspace`)"
        )
    return "none of the heads given is of an entry in it: that somebody wrote it all anew could not be seen"


def _stretches(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of those that follow each other without a gap."""
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = number
        elif number != last + 1:
            yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last


def _and(told: Sequence[str]) -> str:
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def ends_otherwise(found: Slice) -> list[Wrong]:
    """Whether the journal's end that it names stands before its last entry, or is that one with another hash."""
    end, last = head_of(found.head), found.pieces[-1] if found.pieces else None
    if end is None or last is None or last.seq < end.seq or (last.seq, last.hash) == (end.seq, end.hash):
        return []
    return [Wrong("proof.head.journal", f"by it the journal ended at {end.seq}, and entry {last.seq} says otherwise")]
