"""A report as PDF, set by typst: an extra, for it is large.

The one rule it keeps: the texts of a report are handed over as data, which the template never reads as markup. The same
report gives the same bytes, so only the fonts that typst brings are used. A character that none of them has is written
out (`\\u65e5`), as one is that cannot be shown: a document that can be read aloud may not lack any.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.resources import files
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
    lacking = dict.fromkeys(_lacking("".join(sorted({c for c in data if not c.isascii()}))))
    inputs = {"report": data.translate({ord(c): json.dumps(_written(c))[1:-1] for c in lacking})}
    made: bytes | list[bytes]
    if kind == "png":
        made = typst.compile(template, format="png", ppi=110.0, sys_inputs=inputs, ignore_system_fonts=True)
    else:  # tagged, so that it can be read aloud
        made = typst.compile(
            template, format="pdf", sys_inputs=inputs, ignore_system_fonts=True, timestamp=int(wall),
            pdf_standards="ua-1",
        )  # fmt: skip
    return made if isinstance(made, list) else [made]


def _lacking(chars: str) -> Iterator[str]:
    """Those of these characters that no font has: found by halves, for typst names only the first."""
    import typst

    if not chars:
        return
    inputs = {"chars": json.dumps(" ".join(chars))}
    try:
        typst.compile(_PROBE, format="pdf", sys_inputs=inputs, ignore_system_fonts=True, pdf_standards="ua-1")
    except typst.TypstError:
        if len(chars) == 1:
            yield chars
        else:
            half = len(chars) // 2
            yield from (*_lacking(chars[:half]), *_lacking(chars[half:]))


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
