"""Lines of text, each part with a style: the status, a report and a live run in a terminal.

The one rule it keeps: without colour the text says the same. Each part is one line and shows as it is (`visible`), so
that no evidence forges a line, a colour or a direction of writing. A command stays in one line: whoever copies the
first of two would say another word.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Protocol, TextIO

from orchestrator.core.durations import rounded_up, show_bound, show_duration
from orchestrator.core.outside import visible
from orchestrator.reports.shape import Figure

if TYPE_CHECKING:
    from rich.text import Text


@dataclass(frozen=True, slots=True)
class Part:
    """Some text in one style: a word of rich's, or nothing."""

    text: str
    style: str = ""


Line = tuple[Part, ...]
VERBS = (
    "abort", "approve", "calendar", "check", "clear", "daemon", "demo", "drill", "evidence", "failback", "failover",
    "findings", "hold", "incidents", "journal", "lab", "maintenance", "notify", "playbook", "ready",
    "reject", "reload", "report", "resume", "simulate", "status", "suspect", "validate",
)  # fmt: skip
_WORD = re.compile(r"(?:'[^']*'|[^\s'])+")
_COMMAND = re.compile(rf"(?<![\w-])bascule (?:{'|'.join(VERBS)})\b(?:(?<![,;:.)`]) {_WORD.pattern})*")
SIGN = "≤"


def line(*parts: str | Part) -> Line:
    """A line from plain texts and styled parts."""
    return tuple(p if isinstance(p, Part) else Part(p) for p in parts)


def plain(lines: Iterable[Line]) -> str:
    """The lines without any style, each ended."""
    return "".join("".join(visible(p.text) for p in parts).rstrip() + "\n" for parts in lines)


def show(lines: Iterable[Line], to: TextIO | None = None) -> None:
    """Write the lines: with colours on a terminal, plain otherwise."""
    out = sys.stdout if to is None else to
    if not out.isatty():
        out.write(plain(lines))
        out.flush()
        return
    from rich.console import Console

    console = Console(file=out, highlight=False)
    for parts in lines:  # a command that is broken over two lines is another one: the terminal itself wraps it
        typed = "bascule " in "".join(p.text for p in parts)
        console.print(rich_text([parts]), soft_wrap=typed, no_wrap=False, end="")


def rich_text(lines: Iterable[Line], *, last: bool = True) -> Text:
    """The lines as one rich renderable. `last`: whether a line break ends it."""
    from rich.text import Text

    whole = Text()
    for parts in lines:
        for part in parts:
            whole.append(visible(part.text), part.style or None)
        whole.append("\n")
    if not last:
        whole.right_crop(1)
    return whole


def as_html(text: object) -> str:
    """For a page: escaped, and acting on nothing."""
    return escape(visible(str(text), "\n"))


def value_of(figure: Figure, unknown: str = "not known") -> str:
    """Its seconds, as a bound where they are one."""
    if figure.seconds is None:
        return unknown
    return bounded(figure.seconds, figure.at_most)


class Shows(Protocol):
    """Tells a number; `up`: rounded up, for whatever it is of is at most that."""

    def __call__(self, value: float, /, *, up: bool = False) -> str:
        """As text."""
        ...


def precise(seconds: float, /, *, up: bool = False) -> str:
    """A duration in an account: tenths of a second up to two minutes, where seconds are compared."""
    tenths = rounded_up(abs(seconds), 10) if up else round(round(abs(seconds), 6), 1)
    sign = "-" if seconds < 0 < tenths else ""
    if tenths < 60:
        return f"{sign}{tenths:.1f}s"
    if tenths < 120:
        return f"{sign}1:{tenths - 60:04.1f}"
    return lasting(seconds, up=up)


def lasting(seconds: float, /, *, up: bool = False) -> str:
    """A duration as an operator reads it."""
    return show_bound(seconds) if up else show_duration(seconds)


def bounded(value: float, at_most: bool, mark: str = "at most ", show: Shows = precise) -> str:
    """A figure, or an amount, as a bound where it is one; the one place that says so. `mark`: `SIGN` in a table."""
    return mark + show(value, up=True) if at_most else show(value)


def bar(share: float, cells: int = 12) -> str:
    """How much of a budget is used: `▕██░░░░░░░░░░▏`."""
    full = min(cells, max(0, round(share * cells)))
    if share > 0 and full == 0:
        full = 1
    return "▕" + "█" * full + "░" * (cells - full) + "▏"


def hanging(text: str, width: int) -> list[str]:
    """A line that is continued four places to the right of where it begins; one with a command stays whole."""
    import textwrap

    if "bascule " in text:
        return [text]
    indent = " " * (len(text) - len(text.lstrip(" ")))
    return textwrap.wrap(
        visible(text.strip()), width, initial_indent=indent, subsequent_indent=indent + "    ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def folded(head: Line, tail: Line, width: int) -> list[Line]:
    """One line where there is room for it; else the tail stands below the head, indented."""
    size = sum(len(visible(p.text)) for p in (*head, *tail))
    return [(*head, Part("  "), *tail)] if size + 2 <= width else [head, (Part("    "), *tail)]


def wrap(prefix: str, text: str, width: int) -> list[str]:
    """The text after the prefix, continued below itself; a command in it is not broken, and may be too long."""
    import textwrap

    room = max(20, width - len(prefix))
    whole = _COMMAND.sub(lambda found: found[0].replace(" ", "\0"), visible(text))
    pieces = textwrap.wrap(whole, room, break_long_words=False, break_on_hyphens=False) or [""]
    first, *rest = (piece.replace("\0", " ") for piece in pieces)
    return [prefix + first, *(" " * len(prefix) + piece for piece in rest)]


def in_rows(lines: Iterable[Line], width: int, encoding: str = "utf-8") -> list[Line]:
    """For a screen, whose rows are cut: no line wider than `width` cells; it goes on below from a word on.

    A command that does not fit has a row of its own; one that is longer goes on as a shell reads it. `encoding`: of the
    screen; what it does not have is written out, as `cli/terminal.py` does, and so is longer.
    """
    from rich.cells import cell_len  # of some letters one takes two cells

    found: list[Line] = []
    for told in lines:
        parts = tuple(Part(_in(p.text, encoding), p.style) for p in told)
        text = "".join(p.text for p in parts)
        at, cuts = 0, [(0, 0, "")]
        while cell_len(text[at:]) > width:
            end, at, mark = _cut(text, at, width)
            cuts.append((end, at, mark))
        for (_, begin, _), (end, _, mark) in zip(cuts, [*cuts[1:], (len(text), 0, "")], strict=True):
            row = _between(parts, begin, end)
            found.append((*row, Part(mark)) if mark else row)
    return found


def _in(text: str, encoding: str) -> str:
    return visible(text).encode(encoding, "backslashreplace").decode(encoding)


def _reach(text: str, at: int, width: int) -> int:
    """Where what begins there has filled so many cells; at least one character further."""
    from rich.cells import cell_len

    if text.isascii():
        return max(at + 1, min(at + width, len(text)))
    end = at + 1
    while end < len(text) and cell_len(text[at : end + 1]) <= width:
        end += 1
    return end


def _cut(text: str, at: int, width: int) -> tuple[int, int, str]:
    """Where a row that begins there ends, where the next one begins, and what says that it goes on."""
    end = _reach(text, at, width)
    gap = text.rfind(" ", at, end + 1)
    between = bool(text[at : max(at, gap)].strip())  # words: half a figure is another one
    cut = gap if between else end
    broken = next((x for x in _COMMAND.finditer(text) if x.start() < cut < x.end()), None)
    if broken is None:
        return cut, cut + between, ""
    if broken.start() > at:
        return len(text[: broken.start()].rstrip()) if text[at : broken.start()].strip() else at, broken.start(), ""
    room = _reach(text, at, width - 2) if width > 2 else at
    words = [x.end() for x in _WORD.finditer(text, at, broken.end()) if x.end() <= room]
    if words:
        return words[-1], words[-1] + 1, " \\"
    cut = _reach(text, at, width - 1)
    return cut, cut, "\\"


def _between(parts: Line, begin: int, end: int) -> Line:
    row, at = [], 0
    for part in parts:
        if piece := part.text[max(0, begin - at) : max(0, end - at)]:
            row.append(Part(piece, part.style))
        at += len(part.text)
    return tuple(row)
