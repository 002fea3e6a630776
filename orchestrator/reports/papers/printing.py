"""A slice as papers: its file, a page, Markdown, a PDF; and the check of a file or of a page.

The one rule it keeps: all of them are made from the same report and the same blocks. A page is checked by making it
again from the file that it carries: a figure that was changed on the page alone is found as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from orchestrator.journal.journal import Head
from orchestrator.reports.papers import html, typeset
from orchestrator.reports.papers.blocks import Block
from orchestrator.reports.papers.composition import compose
from orchestrator.reports.papers.excerpt import Slice
from orchestrator.reports.papers.heads import Wrong
from orchestrator.reports.papers.layout import heading, laid_out
from orchestrator.reports.papers.made import Made
from orchestrator.reports.papers.markdown import markdown
from orchestrator.reports.papers.sealing import Checked, Unreadable, by_another, check, sealed, text_of
from orchestrator.reports.papers.shape import Report
from orchestrator.reports.papers.tongue import LANGUAGES, Tongue


@dataclass(frozen=True)
class Papers:
    """What is printed of one slice, in one language. `by`: the program (`maker.py`)."""

    slice: Slice
    by: str
    language: str = "en"

    @cached_property
    def report(self) -> Report:
        """The report that it tells."""
        return compose(self.slice)

    @cached_property
    def file(self) -> str:
        """The report's own file: JSON, in no language but the records'."""
        return text_of(sealed(self.slice, self.by, self.report))

    @property
    def heading(self) -> str:
        """What it is called."""
        return heading(self.report, Tongue(self.language))

    @cached_property
    def blocks(self) -> list[Block]:
        """Laid out."""
        made = Made(self.slice.wall, self.by, len(self.slice.pieces), self.slice.head)
        return laid_out(self.report, made, Tongue(self.language))

    def html(self) -> str:
        """One page."""
        return html.page(self.blocks, self.file, self.language, self.heading)

    def markdown(self) -> str:
        """The text."""
        return markdown(self.blocks)

    def pdf(self) -> bytes:
        """The document. Raises NoTypesetter."""
        return typeset.pdf(
            self.blocks, heading=self.heading, by=self.by, language=self.language, wall=self.slice.wall
        )  # fmt: skip

    def pictures(self) -> list[bytes]:
        """The document's pages as PNG. Raises NoTypesetter."""
        return typeset.pictures(
            self.blocks, heading=self.heading, by=self.by, language=self.language, wall=self.slice.wall
        )  # fmt: skip


def verified(text: str, by: str, heads: Sequence[Head] = ()) -> Checked:
    """Everything that can be said of a report's file, or of a page that carries it. Raises Unreadable."""
    if not text.lstrip()[:9].lower().startswith("<!doctype"):
        return check(text, by, heads)
    found = html.file_in(text)
    if found is None or found[1] not in LANGUAGES:
        raise Unreadable("this page carries no report of bascule: only a page that `bascule report` wrote does")
    result = check(found[0], by, heads, canonical=False)
    if result.slice is None or result.report is None:
        return result
    try:
        written = Papers(result.slice, result.made_by, found[1]).html()
    except (ArithmeticError, OSError, ValueError) as error:  # a time of no calendar
        return replace(result, wrong=(*result.wrong, Wrong("page", f"no page follows from its file: {error}")))
    if written == text:
        return result
    more = by_another(result.made_by, by) if not result.wrong else []  # else it is told already
    return replace(result, wrong=(*result.wrong, *_on_the_page(text, written), *more))


def _on_the_page(text: str, written: str) -> Sequence[Wrong]:
    """Where the page says otherwise than the report that it carries: what stands there, and what should."""
    at = next((n for n, (a, b) in enumerate(zip(text, written, strict=False)) if a != b), min(len(text), len(written)))
    begin = max(text.rfind(">", 0, at) + 1, at - 40)
    line = text.count("\n", 0, at) + 1
    why = f"it reads {text[begin : at + 40]!r}, and the report that it carries makes it {written[begin : at + 40]!r}"
    return (Wrong(f"page, line {line}, character {at}", why),)
