"""A report as PDF, set by typst: an extra, for it is large.

The one rule it keeps: the texts of a report are handed over as data, which the template never reads as markup. The same
report gives the same bytes, so only the fonts that typst brings are used. A character that none of them has is written
out (`\\u65e5`), as one is that cannot be shown: a document that can be read aloud may not lack any.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib.resources import files
from itertools import groupby
from time import gmtime

from orchestrator.reports.papers.blocks import Block, Cells

SET = "Install it with: pip install 'bascule[pdf]'"
COLOURS = {
    "detect": "#c9d1d9", "decide": "#a9c7f5", "human": "#f3d27a", "dependency": "#d9c7f0", "fence": "#f2a98f",
    "execute": "#8fd3c1", "verify": "#a8d98a", "outage": "#e58a94",
}  # fmt: skip
_STYLE = """
text { fill: #1b1f24; font-size: 11.5px; font-family: "Libertinus Serif", "DejaVu Sans Mono"; }
.tick { fill: #57606a; text-anchor: middle; font-size: 11px; }
.lane { text-anchor: end; fill: #57606a; } .end { text-anchor: end; } .task-label { font-size: 10.5px; }
.grid { stroke: #d5dae0; stroke-width: 1; }
.deadline { stroke: #b3121d; stroke-width: 2; stroke-dasharray: 5 3; }
.deadline-label { fill: #b3121d; text-anchor: end; font-weight: 600; }
.bar.task { fill: #57606a; } .bar.failed { stroke: #b3121d; stroke-width: 2; }
.dot { fill: #fff; stroke: #1b1f24; stroke-width: 2; }
.dot.down, .dot.refused, .dot.human-needed { stroke: #b3121d; }
.dot.up, .dot.accepted, .dot.recovered, .dot.move-done { stroke: #116329; } .dot.approval-needed { stroke: #7a4b00; }
"""
_PROBE = b"""
#set document(title: "-")
#set text(font: ("Libertinus Serif", "DejaVu Sans Mono"))
#json(bytes(sys.inputs.chars))
"""
STRETCH = 12  # bits: 4096 characters, as scripts are laid out
MANY = 12  # in a stretch, from which on it is judged by three of them
WIDE = 24  # a column with a longer text shares what room is left


class NoTypesetter(Exception):
    """The extra is not installed."""


def pdf(blocks: Sequence[Block], *, heading: str, by: str, language: str, wall: float) -> bytes:
    """The whole document. Raises NoTypesetter."""
    return _compiled(blocks, heading, by, language, wall, "pdf")[0]


def pictures(blocks: Sequence[Block], *, heading: str, by: str, language: str, wall: float) -> list[bytes]:
    """Its pages as PNG, to be looked at. Raises NoTypesetter."""
    return _compiled(blocks, heading, by, language, wall, "png")


def _compiled(blocks: Sequence[Block], heading: str, by: str, language: str, wall: float, kind: str) -> list[bytes]:
    try:
        import typst
    except ImportError:
        raise NoTypesetter("a PDF is set by typst, which is not installed") from None
    day = gmtime(wall)
    given = {
        "heading": heading, "by": by, "language": language, "date": [day.tm_year, day.tm_mon, day.tm_mday],
        "colours": COLOURS, "blocks": [_given(b) for b in blocks],
    }  # fmt: skip
    template = (files("orchestrator.reports.papers") / "report.typ").read_bytes()
    data = json.dumps(given, ensure_ascii=False)
    foreign = sorted({c for c in data if not c.isascii()})
    lacking = set(_lacking("".join(foreign)))
    marks = {c for c in foreign if unicodedata.category(c).startswith("M")}
    for written_out in (lacking, lacking | marks):
        try:
            return _set(template, data, written_out, int(wall), kind)
        except typst.TypstError:  # two that are there each, and not one upon the other: a keycap on a digit
            continue
    return _set(template, data, set(foreign), int(wall), kind)


def _set(template: bytes, data: str, written_out: Iterable[str], wall: int, kind: str) -> list[bytes]:
    import typst

    inputs = {"report": data.translate({ord(c): json.dumps(_written(c))[1:-1] for c in written_out})}
    made: bytes | list[bytes]
    if kind == "png":
        made = typst.compile(template, format="png", ppi=110.0, sys_inputs=inputs, ignore_system_fonts=True)
    else:  # tagged, so that it can be read aloud
        made = typst.compile(
            template, format="pdf", sys_inputs=inputs, ignore_system_fonts=True, timestamp=wall, pdf_standards="ua-1"
        )
    return made if isinstance(made, list) else [made]


def _lacking(chars: str) -> Iterator[str]:
    """Those of these characters that no font has: by stretches of a script, then by halves.

    Typst names only the first, and is asked thousands of times for what a page in Chinese holds. So of a long stretch
    its ends and its middle are asked for: where none of them is there, nothing of it is taken to be.
    """
    for _, found in groupby(chars, key=lambda c: ord(c) >> STRETCH):
        stretch = "".join(found)
        signs = {stretch[0], stretch[len(stretch) // 2], stretch[-1]}
        if len(stretch) > MANY and all(not _there(c) for c in signs):
            yield from stretch
        else:
            yield from _halved(stretch)


def _halved(chars: str) -> Iterator[str]:
    if _there(chars):
        return
    if len(chars) == 1:
        yield chars
        return
    half = len(chars) // 2
    yield from (*_halved(chars[:half]), *_halved(chars[half:]))


def _there(chars: str) -> bool:
    """Whether all of them are in a font."""
    import typst

    inputs = {"chars": json.dumps(" ".join(chars))}
    try:
        typst.compile(_PROBE, format="pdf", sys_inputs=inputs, ignore_system_fonts=True, pdf_standards="ua-1")
    except typst.TypstError:
        return False
    return True


def _written(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode("ascii")


def _given(b: Block) -> dict[str, object]:
    found: dict[str, object] = {"kind": type(b).__name__, **asdict(b)}
    if "svg" in found:
        found["svg"] = _alone(str(found["svg"]))
    if isinstance(b, Cells):
        longest = [max((len(row[n]) for row in b.rows), default=0) for n in range(len(b.columns))]
        wide = [n for n, size in enumerate(longest) if size > WIDE and not b.columns[n].number]
        found["wide"] = wide or ([len(longest) - 1] if longest and not b.columns[-1].number else [])
    return found


def _alone(svg: str) -> str:
    """The picture with its own style: what stands in a page has the page's."""
    bars = "".join(f".bar.{name} {{ fill: {colour}; }}" for name, colour in COLOURS.items())
    begin = svg.index(">") + 1
    return f'{svg[: begin - 1]} xmlns="http://www.w3.org/2000/svg"><style>{bars}{_STYLE}</style>{svg[begin:]}'
