"""Which rows wait: one more good answer of a check that was up and good when it was written, and nothing else."""

from __future__ import annotations

from orchestrator.core.events import Answer
from orchestrator.core.health.detector import Row
from orchestrator.core.records import Verdict
from orchestrator.journal.row_changes import TakenRows
from orchestrator.journal.row_writes import Keeping

PATIENCE_S = 2.0


def row(at: float, **other: object) -> Row:
    """One more good answer, but for what is said otherwise."""
    told = {"verdict": Verdict.UP, "good_streak": 9, "last_sent_at": at, "last_good_at": at, "last_answer": Answer.GOOD}
    return Row(**{**told, **other})  # type: ignore[arg-type]


def takes(keeping: Keeping, **rows: Row | None) -> set[str]:
    """Take these; what is due then."""
    taken = TakenRows()
    taken.take(rows)
    keeping.take(taken, lambda _: PATIENCE_S)
    return set(keeping.due)


def written(keeping: Keeping) -> Keeping:
    """Everything due is in the journal."""
    keeping.written(keeping.due)
    return keeping


def test_one_more_good_answer_waits_for_so_long_and_no_longer() -> None:
    keeping = Keeping()
    assert takes(keeping, a=row(1.0)) == {"a"}, "what is in the journal is not known yet"
    written(keeping)
    assert takes(keeping, a=row(2.0)) == set()
    assert takes(keeping, a=row(3.0)) == {"a"}
    written(keeping)
    assert takes(keeping, a=row(4.0)) == set()


def test_whatever_else_a_row_says_is_due() -> None:
    for other in (
        row(2.0, last_answer=Answer.BAD, bad_streak=1),
        row(2.0, last_answer=Answer.NONE, none_streak=1),
        row(2.0, verdict=Verdict.DEGRADED),
        row(2.0, verdict=Verdict.DOWN),
        row(2.0, window=[(2.0, 0.1)]),
        None,
    ):
        keeping = Keeping()
        takes(keeping, a=row(1.0))
        assert takes(written(keeping), a=other) == {"a"}


def test_the_first_good_answer_after_them_is_due_too() -> None:
    keeping = Keeping()
    takes(keeping, a=row(1.0))
    takes(written(keeping), a=row(1.5, last_answer=Answer.BAD, bad_streak=1))
    assert takes(written(keeping), a=row(1.6)) == {"a"}, "the journal still says bad"


def test_a_good_answer_does_not_hide_a_bad_one_that_is_not_written_yet() -> None:
    keeping = Keeping()
    takes(keeping, a=row(1.0))
    takes(written(keeping), a=row(1.5, last_answer=Answer.BAD, bad_streak=1))
    assert takes(keeping, a=row(1.6)) == {"a"}


def test_all_of_them_are_kept_in_mind() -> None:
    keeping = Keeping()
    takes(keeping, a=row(1.0), b=row(1.0))
    takes(written(keeping), a=row(2.0), b=row(2.0, bad_streak=1, last_answer=Answer.BAD))
    assert set(keeping.due) == {"b"}
    assert set(keeping.all()) == {"a", "b"}
    written(keeping)
    assert set(keeping.all()) == {"a"}
