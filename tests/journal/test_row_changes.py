"""Rows on their way to the journal: what was taken says what was so then, and can be written."""

from __future__ import annotations

import math
import random

import pytest

from orchestrator.core.codec import CodecError, encode
from orchestrator.core.events import Answer, Observed
from orchestrator.core.health import detector
from orchestrator.core.health.detector import Row
from orchestrator.core.model import LatencyWindow, LossWindow
from orchestrator.journal.row_changes import TakenRows
from tests.core.world import check

WEB = check("web")


def heard(answer: Answer = Answer.GOOD, measures: object = None, detail: object = "", sent_at: object = 1.0) -> Row:
    """A row after one answer."""
    row = Row()
    seen = Observed(WEB.id, sent_at, answer, {} if measures is None else measures, detail)  # type: ignore[arg-type]
    row.verdict = detector.observe(row, WEB, seen, None, 1.0, in_sight=True)
    return row


def test_what_was_taken_does_not_change_with_the_next_answers() -> None:
    link = check("link", loss=LossWindow(0.4, 0.1, 30.0), latency=LatencyWindow(0.5, 0.1, 30.0))
    luck, row, rows = random.Random(3), Row(), TakenRows()
    before = encode(row)
    for n in range(200):
        answer = luck.choice([Answer.GOOD, Answer.GOOD, Answer.BAD, Answer.SILENT, Answer.NONE])
        seen = Observed(link.id, float(n), answer, {"rtt_s": luck.random()}, answer.value)
        row.verdict = detector.observe(row, link, seen, None, float(n), in_sight=True)
        if n:
            assert rows == {"link": before}
        rows.take({"link": row})
        before = encode(row)
        assert rows["link"] == before


def test_a_row_that_was_forgotten_is_none() -> None:
    rows = TakenRows()
    rows.take({"web": heard()})
    rows.take({"web": None})
    assert dict(rows) == {"web": None}


def test_more_rows_can_be_taken_beside_what_was() -> None:
    rows = TakenRows()
    rows.take({"web": heard()})
    more = TakenRows(rows.values_taken)
    more.take({"mail": heard()})
    assert (list(rows), list(more)) == (["web"], ["web", "mail"])


@pytest.mark.parametrize(
    "row",
    [
        heard(measures={"rtt_s": math.nan}),
        heard(measures={"rtt_s": "soon"}),
        heard(measures={"rtt_s": True}),
        heard(measures={7: 0.1}),
        heard(measures=[("rtt_s", 0.1)]),
        heard(detail=b"bytes"),
        heard(detail=None),
        heard(sent_at=math.nan),
        heard(answer="good"),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_what_could_not_be_written_is_refused_at_once(row: Row) -> None:
    rows = TakenRows()
    with pytest.raises(CodecError, match=r"Row\."):
        rows.take({"mail": heard(), "web": row})
    assert dict(rows) == {}


@pytest.mark.parametrize(
    "row", [heard(measures={"lag_bytes": 7}), heard(measures={"rtt_s": math.inf}), heard(sent_at=1)], ids=str
)
def test_what_the_codec_lets_pass_passes(row: Row) -> None:
    rows = TakenRows()
    rows.take({"web": row})
    assert rows["web"] == encode(row)
