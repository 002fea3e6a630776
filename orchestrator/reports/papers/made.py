"""How a report was made, and the words on its last page: how whoever holds it can check it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.reports.papers.blocks import Block, Title, Words
from orchestrator.reports.papers.shape import Edition, Report, Said
from orchestrator.reports.papers.tongue import Tongue


@dataclass(frozen=True, slots=True)
class Made:
    """How it was made: when, by which version, from how many entries, and the journal's end then."""

    wall: float
    by: str
    entries: int
    head: str


def proof(x: Report, made: Made, tongue: Tongue) -> Iterator[Block]:
    """How whoever holds it can check it."""
    yield Title(2, tongue.text("How this report proves itself"))
    slots: dict[str, str | float] = {"made_wall": made.wall, "by": made.by, "n": made.entries}
    text = "Made {made_wall} by {by}, from {n} entry of the journal."
    yield Words(tongue.say(Said(text, slots, "Made {made_wall} by {by}, from {n} entries of the journal.")))
    yield Words(
        tongue.text(
            "Its file (JSON, or the HTML page) carries these entries. `bascule report verify FILE` works every figure"
            " out again from them, where there is no workspace, and refuses a file of which anything was changed."
        )
    )
    number, _, digest = made.head.partition(":")
    if number.isdigit():
        yield Words(
            tongue.say(Said("The journal ended at entry {number} then: {digest}", {"number": number, "digest": digest}))
        )
    yield Words(
        tongue.text(
            "What no chain of hashes shows by itself: that somebody wrote the whole journal anew. That shows by a head"
            " that was kept elsewhere."
        ),
        soft=True,
    )
    if x.edition is Edition.CLIENT:
        yield Words(
            tongue.text(
                "The entries are extracts. The hash of each whole entry stands beside, for whoever has the journal."
            ),
            soft=True,
        )
