"""A slice against heads of the journal that were kept elsewhere, and what a chain of hashes alone cannot show.

The one rule it keeps: what could not be compared is said, beside what was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    met = sorted(head.seq for head in heads if hashes.get(head.seq) == head.hash)
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
    if met:
        notes.append(f"entry {met[-1]} is the one whose hash was kept elsewhere; of later ones that cannot be said")
    elif heads:
        notes.append("none of the heads given is of an entry in it: that somebody wrote it all anew could not be seen")
    else:
        notes.append(
            "compared with no head kept elsewhere: that somebody wrote the records anew, and this report from them,"
            " could not be seen (`--head`)"
        )
    return wrong, tuple(notes)
