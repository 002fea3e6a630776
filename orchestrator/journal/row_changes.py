"""Detector rows on their way to the journal: taken at every answer, written once a beat or with an entry.

The one rule it keeps: what was taken can be written, and says what the row said then, whatever its check answers later.
So a row whose answer is not plainly as declared goes through the codec at once, which accepts or refuses it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from orchestrator.core.codec import encode
from orchestrator.core.events import Answer
from orchestrator.core.health.detector import Row
from orchestrator.core.model import Json

Taken = tuple[tuple[Any, ...], tuple[tuple[float, float], ...]]
"""A row's fields at one moment, the window apart: the only one that is changed in place."""

_INFINITY = float("inf")
ROW_FIELDS = tuple(f.name for f in dataclasses.fields(Row) if f.name != "window")
"""The names of what is taken first, in their order."""

_values = attrgetter(*ROW_FIELDS)


class TakenRows(Mapping[str, Json]):
    """Rows as they were when each was taken last; None: forgotten. Read as JSON.

    Taking costs a tenth of encoding, and an answer is far more often replaced by the next one than read. Whoever has
    written these rows starts with new ones: then they do not change any more, and a journal may read them later.
    """

    __slots__ = ("values_taken",)

    def __init__(self, taken: Mapping[str, Taken | None] | None = None) -> None:
        """`taken`: the rows to begin with."""
        self.values_taken: dict[str, Taken | None] = dict(taken or {})

    def take(self, changed: Mapping[str, Row | None]) -> None:
        """Take these rows as they are now, all or none. Raises CodecError where one could not be written."""
        if len(changed) == 1:
            for check, row in changed.items():
                self.values_taken[check] = _taken(row)
        else:
            self.values_taken.update({check: _taken(row) for check, row in changed.items()})

    def __getitem__(self, check: str) -> Json:
        return written(self.values_taken[check])

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_taken)

    def __len__(self) -> int:
        return len(self.values_taken)


def written(taken: Taken | None) -> Json:
    """The JSON of a row that was taken."""
    if taken is None:
        return None
    values, window = taken
    return encode(Row(**dict(zip(ROW_FIELDS, values, strict=True)), window=list(window)))


def _taken(row: Row | None) -> Taken | None:
    if row is None:
        return None
    if not _plain(row):
        encode(row)
    return _values(row), tuple(row.window)


def _plain(row: Row) -> bool:
    """Whether what the latest answer put into the row is of the very classes that the row declares.

    The rest is the detector's own counting, or came with earlier answers and was looked at then.
    """
    measures = row.measures
    if measures.__class__ is not dict or row.last_answer.__class__ is not Answer or row.detail.__class__ is not str:
        return False
    if row.last_sent_at.__class__ is not float or not -_INFINITY < row.last_sent_at < _INFINITY:
        return False
    for name, value in measures.items():
        if value.__class__ is not float or not -_INFINITY < value < _INFINITY or name.__class__ is not str:
            return False
    return True
