"""The judge of texts: what targets, playbooks and people say, as the journal keeps it.

The one rule it keeps: a record's text is bounded, complete, and triggers nothing in whatever shows it, whoever wrote
it.
"""

from __future__ import annotations

from orchestrator.core.codec import encode
from orchestrator.core.durations import show_bound, show_duration
from orchestrator.core.outside import EVIDENCE_MAX, texts_in, visible
from orchestrator.core.records import Record
from orchestrator.sim.violation import BESIDE, Report

TEXT_MAX = 10 * EVIDENCE_MAX  # a sentence may quote several answers
RULE = "a record's text is bounded and acts on nothing"


class Texts:
    """Reads every record."""

    def __init__(self, report: Report) -> None:
        """`report` takes a statement's number, the rule and the evidence."""
        self._report = report

    def record(self, record: Record) -> None:
        """Something was remembered."""
        for text in texts_in(encode(record)):
            if len(text) > TEXT_MAX or visible(text) != text:
                self._report(BESIDE, RULE, f"{type(record).__name__}: {visible(text[:200])}")


def bounded(seconds: float, perhaps_s: float) -> str:
    """A time without service as a sentence has to have it: a bound where it may have worked in a part of it."""
    return f"at most {show_bound(seconds)}" if perhaps_s else show_duration(seconds)
