"""A report as one HTML page: no script, no font, no picture from anywhere else, and its own file within it.

The one rule it keeps: everything is escaped by the template's environment but what is made here: the style, the
timeline (which escapes its labels) and the file, in which nothing can end its element.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from orchestrator.reports.papers.blocks import Block

_OPENS = '<script type="application/json" id="bascule-report">'
_CLOSES = "</script>"
_EXTRA = """
h1 { margin: 0 0 .4rem; } h1 .state { font-size: .9rem; }
.numbers.cells .text { min-width: 0; padding-left: 0; padding-right: 1rem; }
.numbers.cells td.text { white-space: normal; min-width: 5rem; overflow-wrap: anywhere; }
.numbers.cells td.text:last-child, .numbers.cells td.text:not(:has(~ .text)):first-child { min-width: 12rem; }
.cells .text .state { white-space: nowrap; }
.pairs th { white-space: nowrap; } .pairs td { overflow-wrap: anywhere; }
ul { margin: .3rem 0; padding-left: 1.3rem; }
@media print {
  @page { size: A4; margin: 15mm; }
  table { font-size: 9pt; } h2 { margin-top: 1.2rem; } thead { display: table-header-group; }
}
"""


def page(blocks: Sequence[Block], file: str, language: str, heading: str) -> str:
    """The whole document. `file`: the text of the report's own file."""
    return _template().render(
        blocks=blocks, language=language, heading=heading, style=_style(), data=file.replace("<", "\\u003c"),
        kind_of=lambda block: type(block).__name__, trusted=Markup,
    )  # fmt: skip


def file_in(text: str) -> tuple[str, str] | None:
    """The report's own file within a page, and the page's language; None: there is none."""
    at = text.rfind(_OPENS)
    end = text.find(_CLOSES, at)
    language = re.search(r'<html lang="([a-z]{2})">', text[:2000])
    if at < 0 or end < 0 or language is None:
        return None
    return text[at + len(_OPENS) : end], language.group(1)


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    text = (files("orchestrator.reports.papers") / "report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(re.sub(r"\n\s*(?={)", "", text))  # lines are for whoever reads the template


@cache
def _style() -> str:
    """`page.css` and what this page has beside, without comments and line breaks."""
    text = (files("orchestrator.reports") / "page.css").read_text(encoding="utf-8") + _EXTRA
    return " ".join(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).split())
