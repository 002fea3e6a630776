"""A report as Markdown, as GitHub and most editors read it.

The one rule it keeps: no text of others is taken for markup: what could begin any is written with a backslash.
The timeline is told by its table of phases, for Markdown has no pictures of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.reports.papers.blocks import Block, Cells, Pairs, Picture, Points, Title, Words

_ACTS = re.compile(r"([\\`*_\[\]<>#|~$&@]|:(?=//)|(?<=www)\.|^[-+=](?=[\s=-]|$))", re.MULTILINE)
_COUNTS = re.compile(r"^(\d+)([.)])(?=\s|$)")


def markdown(blocks: Sequence[Block]) -> str:
    """The whole text."""
    return "\n".join(_block(b) for b in blocks)


def _block(b: Block) -> str:
    match b:
        case Title():
            mark = f" ({plain(b.mark)})" if b.mark else ""
            return f"{'#' * min(b.level, 6)} {plain(b.text)}{mark}\n"
        case Words():
            return f"{plain(b.text)}\n"
        case Points():
            return "".join(f"* {plain(item)}\n" for item in b.items)
        case Pairs():
            return "".join(f"* **{plain(name)}**: {plain(value)}\n" for name, value in b.rows)
        case Picture():
            return f"{plain(b.about)}\n"
        case Cells():
            return _table(b)


def _table(b: Cells) -> str:
    head = "| " + " | ".join(plain(c.title) for c in b.columns) + " |"
    rule = "|" + "|".join("---:" if c.number else "---" for c in b.columns) + "|"
    rows = ["| " + " | ".join(plain(text) for text in row) + " |" for row in b.rows]
    return "\n".join([head, rule, *rows]) + "\n"


def plain(text: str) -> str:
    """A text in which nothing is markup, on one line."""
    return _COUNTS.sub(r"\1\\\2", _ACTS.sub(r"\\\1", " ".join(text.split("\n"))))
