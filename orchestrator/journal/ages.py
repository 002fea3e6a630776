"""The ages of data by the hour, kept beside the journal in a file of their own: `.bascule/ages.db`.

The one rule it keeps: it is no part of the chain, and nothing that decides reads it. It is bounded: hours are kept for
so many days, and their steps for a few.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from orchestrator.core.ages import HOUR_S, Ages, Hours, Kept

STEPS_KEPT_HOURS = 8 * 24  # a week can be told as one
BUSY_S = 5.0
_TABLE = """\
CREATE TABLE IF NOT EXISTS ages (
  service TEXT, check_id TEXT, measure TEXT, hour INTEGER, count INTEGER, outside INTEGER, unmeasured INTEGER,
  least_s REAL, most_s REAL, first_at REAL, last_at REAL, median_s REAL, p99_s REAL, steps TEXT,
  PRIMARY KEY (service, check_id, measure, hour)) WITHOUT ROWID"""
_ONE = """\
SELECT count, outside, unmeasured, least_s, most_s, first_at, last_at, median_s, p99_s, steps FROM ages
WHERE service = ? AND check_id = ? AND measure = ? AND hour = ?"""
_SINCE = """\
SELECT service, check_id, measure, hour, count, outside, unmeasured, least_s, most_s, first_at, last_at, median_s,
  p99_s, steps FROM ages WHERE hour >= ?"""
_OF_ONE = f"{_SINCE} AND service = ?"
_PUT = "INSERT OR REPLACE INTO ages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def ages_path(workspace: Path) -> Path:
    """Where they are."""
    return workspace / ".bascule" / "ages.db"


def add(workspace: Path, news: Hours, wall: float, keep_s: float) -> None:
    """Join these with what is kept, and let go of what is too old. Raises OSError, sqlite3.Error: then nothing is."""
    path = ages_path(workspace)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=BUSY_S)) as db, db:
        db.execute(_TABLE)
        for kept, ages in news.items():
            key = (kept.service, kept.check, kept.measure, kept.hour)
            row = db.execute(_ONE, key).fetchone()
            whole = Ages()
            if row is not None:
                whole.join(_read(row))
            whole.join(ages)
            db.execute(_PUT, (*key, *_written(whole)))
        hour = int(wall // HOUR_S)
        db.execute("DELETE FROM ages WHERE hour <= ?", (hour - math.ceil(keep_s / HOUR_S),))
        db.execute("UPDATE ages SET steps = '' WHERE hour <= ? AND steps != ''", (hour - STEPS_KEPT_HOURS,))


def read(workspace: Path, since_wall: float = 0.0, services: Iterable[str] | None = None) -> dict[Kept, Ages]:
    """What is kept of this time on, in order; `services`: of these alone. Nothing where there is none yet, or where it
    cannot be read.
    """
    path = ages_path(workspace)
    if not path.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as db:
            hour = int(since_wall // HOUR_S)
            asked = [(_SINCE, (hour,))] if services is None else [(_OF_ONE, (hour, x)) for x in sorted(set(services))]
            rows = [row for text, given in asked for row in db.execute(f"{text} ORDER BY 1, 2, 3, 4", given)]
        return {Kept(str(a), str(b), str(c), int(d)): _read(rest) for a, b, c, d, *rest in rows}
    except (sqlite3.Error, ValueError, TypeError):
        return {}


def _written(x: Ages) -> tuple[object, ...]:
    least_s, first_at = (x.least_s, x.first_at) if x.count else (None, None)
    steps = json.dumps(x.steps, separators=(",", ":"))
    return x.count, x.outside, x.unmeasured, least_s, x.most_s, first_at, x.last_at, x.median_s, x.p99_s, steps


def _read(row: list[object] | tuple[object, ...]) -> Ages:
    count, outside, unmeasured, least_s, most_s, first_at, last_at, median_s, p99_s, steps = row
    told: Mapping[str, int] = json.loads(str(steps)) if steps else {}
    return Ages(
        int(str(count)), int(str(outside)), int(str(unmeasured)), _number(least_s, math.inf), _number(most_s, 0.0),
        _number(first_at, math.inf), _number(last_at, 0.0), {int(k): int(v) for k, v in told.items()},
        None if median_s is None else _number(median_s, 0.0), None if p99_s is None else _number(p99_s, 0.0),
    )  # fmt: skip


def _number(value: object, none: float) -> float:
    return float(value) if isinstance(value, int | float) else none
