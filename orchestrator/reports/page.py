"""One HTML page for one or several accounts: no script, no font, no picture from anywhere else.

The one rule it keeps: everything that came from a journal, a playbook or a person is escaped by the template's
environment. So it triggers nothing, and the page can be mailed, printed and read in ten years.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from orchestrator.core.durations import numeral, show_duration
from orchestrator.core.outside import visible
from orchestrator.reports.clock_times import stamp
from orchestrator.reports.incident_text import TITLES, figure_text, meter_texts, offset, percent
from orchestrator.reports.shape import Account
from orchestrator.reports.summary import rows
from orchestrator.reports.text import SIGN, bounded, precise, value_of
from orchestrator.reports.timeline import CLASSES, timeline


def page(accounts: Sequence[Account], *, wall: float, title: str = "") -> str:
    """The whole document. `wall`: when it is made, seconds since 1970."""
    heading = title or (f"{accounts[0].service}: {accounts[0].id}" if len(accounts) == 1 else "What happened")
    return _template().render(accounts=accounts, wall=wall, heading=heading, summary=rows(accounts))


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, finalize=_acting_on_nothing, undefined=StrictUndefined)
    environment.filters |= {
        "duration": show_duration,
        "precise": precise,
        "offset": offset,
        "percent": percent,
        "measures": _measures,
    }
    environment.globals |= {
        "SIGN": SIGN,
        "bounded": bounded,
        "classes": CLASSES,
        "figure_text": figure_text,
        "meter_texts": meter_texts,
        "style": Markup(_style()),  # noqa: S704 -- ours
        "timeline": lambda account, ident: Markup(timeline(account, ident)),  # noqa: S704 -- it escapes its labels
        "titles": TITLES,
        "value_of": value_of,
        "stamp": stamp,
    }
    text = (files("orchestrator.reports") / "page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(re.sub(r"\n\s*(?=[<{])", "", text))  # lines are for whoever reads the template


def _acting_on_nothing(value: object) -> object:
    """What a value is shown as: without control and direction characters; of nothing, nothing. Escaping comes after."""
    if isinstance(value, Markup):
        return value
    return "" if value is None else visible(str(value), "\n")


def _measures(found: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {numeral(value)}" for name, value in found.items())


@cache
def _style() -> str:
    """`page.css`, without comments and line breaks."""
    text = (files("orchestrator.reports") / "page.css").read_text(encoding="utf-8")
    return " ".join(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).split())
