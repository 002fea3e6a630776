"""Which detector rows are to be written, and when. Most say no more than "one more good answer".

The one rule it keeps: a killed program may lose only some last good answers of a check that was up, and good, when its
row was written last, and no more of them than a third of the time after which its verdict would be stale. A row that
says anything else (a bad answer, none, the first good one after them, a window) is due at the next beat, and goes with
the next entry. At ten thousand checks this is the difference between a disk that is always busy and one at rest.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core.events import Answer
from orchestrator.core.records import Verdict
from orchestrator.journal.row_changes import ROW_FIELDS, Taken, TakenRows

_VERDICT, _BAD, _NONE, _ANSWER, _SENT_AT = (
    ROW_FIELDS.index(name) for name in ("verdict", "bad_streak", "none_streak", "last_answer", "last_sent_at")
)


class Keeping:
    """The rows of one shell between its writes. `due`: what the next write must contain."""

    __slots__ = ("_calm", "_calm_at", "due")

    def __init__(self) -> None:
        """Nothing is known to be written yet, so everything is due when it comes."""
        self.due = TakenRows()
        self._calm: dict[str, Taken] = {}  # may wait
        self._calm_at: dict[str, float] = {}  # of rows that were calm when they were written: their `last_sent_at`

    def take(self, rows: TakenRows, patience_s: Callable[[str], float]) -> None:
        """Keep these in mind. `patience_s`: how old a check's written row may become."""
        due, calm, calm_at = self.due.values_taken, self._calm, self._calm_at
        for check, taken in rows.values_taken.items():
            if taken is not None and check not in due and _is_calm(taken):
                at = calm_at.get(check)
                if at is not None and taken[0][_SENT_AT] - at < patience_s(check):
                    calm[check] = taken
                    continue
            calm.pop(check, None)
            due[check] = taken

    def all(self) -> TakenRows:
        """Everything that is not written, due or not."""
        return TakenRows({**self._calm, **self.due.values_taken})

    def written(self, rows: TakenRows) -> None:
        """These are in the journal now, as the latest that is known of their checks."""
        for check, taken in rows.values_taken.items():
            self._calm.pop(check, None)
            if taken is not None and _is_calm(taken):
                self._calm_at[check] = taken[0][_SENT_AT]
            else:
                self._calm_at.pop(check, None)
        self.due = TakenRows()


def _is_calm(taken: Taken) -> bool:
    values, window = taken
    return (
        values[_ANSWER] is Answer.GOOD
        and values[_VERDICT] is Verdict.UP
        and not values[_BAD]
        and not values[_NONE]
        and not window
    )
