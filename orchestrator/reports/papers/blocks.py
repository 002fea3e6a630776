"""What a page consists of: headings, sentences, tables and pictures, in one language and for any kind of paper.

The one rule it keeps: every text in a block is fit to be shown, and nothing in it acts: each paper escapes it as its
own kind needs. So a report is laid out once (`layout.py`), and HTML, Markdown and PDF say the same.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Title:
    """A heading; `mark` stands beside it: a draft."""

    level: int
    text: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence or some; `soft`: said beside the matter."""

    text: str
    soft: bool = False


@dataclass(frozen=True, slots=True)
class Points:
    """Sentences, one under the other."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column; `number`: what stands in it lines up on the right."""

    title: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Cells:
    """A table. `good`, `bad`: words that say how something went, to be marked where they stand alone."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pairs:
    """Names and what belongs to them."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG element, what it shows in a sentence, and its legend: class and name."""

    svg: str
    about: str
    legend: tuple[tuple[str, str], ...] = ()


Block = Title | Words | Points | Cells | Pairs | Picture
