"""Configurations under which nothing happened are let go of, on record; all that reports and proofs rest on stay."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.core.schedules import DrillKind
from orchestrator.journal.clocks import Clocks
from orchestrator.journal.journal import Entry, JournalUnwritable
from orchestrator.journal.lease import Lease
from orchestrator.journal.memory import MemoryJournal
from orchestrator.journal.models_kept import unneeded
from orchestrator.journal.sqlite import SqliteJournal
from orchestrator.sim.timeline import MachineClocks, Timeline

DAY_S = 86400.0
FIRST = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
AnyJournal = SqliteJournal | MemoryJournal


class Diary:
    """Writes a day's records; each model is stored before it is in force."""

    def __init__(self, journal: AnyJournal) -> None:
        self.journal = journal
        lease = journal.acquire("noc", 20.0)
        assert isinstance(lease, Lease)
        self.lease = lease
        self.write(0.0, r.ControllerBegan(0.0, "noc", lease.epoch, "boot", False, 0.0))

    def write(self, day: float, *records: r.Record) -> None:
        self.journal.append(self.lease, day * DAY_S, FIRST + day * DAY_S, records, {})

    def load(self, day: float, digest: str) -> None:
        self.journal.store_model(digest, {"digest": digest, "of": "x" * 50})
        self.write(day, r.Configured(day * DAY_S, digest, {"acme/erp": None} if day < 2 else {}))

    def kept(self, *digests: str) -> list[str]:
        return [x for x in digests if self.journal.load_model(x) is not None]


def opened(day: float) -> r.IncidentOpened:
    return r.IncidentOpened(day * DAY_S, f"i{day}", "acme/erp", day * DAY_S - 5.0, None, "down")


def ended(day: float, of: float) -> r.IncidentEnded:
    return r.IncidentEnded(day * DAY_S, f"i{of}", Reason.RECOVERED_BY_ITSELF, "up", day * DAY_S, 60.0)


@pytest.fixture(params=["sqlite", "memory"])
def diary(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Diary]:
    """Nobody has written anything yet."""
    clocks: Clocks = MachineClocks(Timeline())
    journal = SqliteJournal(tmp_path / "journal.db") if request.param == "sqlite" else MemoryJournal(clocks)
    yield Diary(journal)
    journal.close()


def test_those_under_which_nothing_happened_go_and_the_chain_says_so(diary: Diary) -> None:
    for day, digest in ((1, "a"), (3, "b"), (5, "c"), (8, "d"), (40, "e")):
        diary.load(day, digest)
    assert diary.journal.thin_models(diary.lease, 50 * DAY_S) == 3
    assert diary.kept("a", "b", "c", "d", "e") == ["d", "e"]  # d at the end of January, e by now
    assert diary.journal.verify() == []
    assert diary.journal.thin_models(diary.lease, 50 * DAY_S) == 0


def test_within_the_time_that_entries_are_kept_all_stay(diary: Diary) -> None:
    for day, digest in ((1, "a"), (3, "b"), (5, "c"), (8, "d")):
        diary.load(day, digest)
    assert diary.journal.thin_models(diary.lease, 4 * DAY_S) == 1
    assert diary.kept("a", "b", "c", "d") == ["b", "c", "d"]  # b was in force 4 days after the start


def test_what_an_incident_a_run_or_a_drill_rests_on_stays(diary: Diary) -> None:
    diary.load(1, "a")
    diary.load(2, "quiet")
    diary.load(3, "b")
    diary.write(3.5, opened(3.5))
    diary.load(3.6, "within")
    diary.write(3.7, ended(3.7, 3.5))
    diary.load(4, "quiet too")
    diary.load(5, "drilled")
    move = ("acme/erp", "acme/geo-site", "drilled", Reason.ASKED_BY_OPERATOR)
    diary.write(5.5, r.DrillBegan(5.5 * DAY_S, "d1", DrillKind.FUNCTIONAL, *move))
    diary.write(5.6, r.DrillEnded(5.6 * DAY_S, "d1", True, Reason.CONDITIONS_MET, ""))
    diary.load(6, "quiet three")
    diary.load(7, "now")
    diary.journal.thin_models(diary.lease, 50 * DAY_S)
    names = ("a", "quiet", "b", "within", "quiet too", "drilled", "quiet three", "now")
    assert diary.kept(*names) == ["b", "within", "drilled", "now"]


def test_one_that_was_let_go_of_comes_into_force_again(diary: Diary) -> None:
    for day, digest in ((1, "a"), (3, "b"), (5, "c")):
        diary.load(day, digest)
    diary.journal.thin_models(diary.lease, 50 * DAY_S)
    assert diary.kept("a") == []
    diary.load(60, "a")
    assert diary.kept("a") == ["a"]
    assert diary.journal.verify() == []
    assert diary.journal.thin_models(diary.lease, 50 * DAY_S) == 0


def test_one_that_somebody_took_away_is_missed(tmp_path: Path) -> None:
    diary = Diary(SqliteJournal(tmp_path / "journal.db"))
    diary.load(1, "a")
    diary.load(3, "b")
    for taken in ("DELETE FROM models WHERE digest = 'a'", "UPDATE models SET model = '' WHERE digest = 'b'"):
        with sqlite3.connect(tmp_path / "journal.db") as file:
            file.execute(taken)
    assert [x.what for x in diary.journal.verify()] == ["model a", "model b"]
    diary.journal.close()


def test_one_that_was_let_go_of_while_it_was_stored_is_stored_again(tmp_path: Path) -> None:
    """Between storing and the entry that puts it in force somebody else thins."""
    diary = Diary(SqliteJournal(tmp_path / "journal.db"))
    for day, digest in ((1, "a"), (3, "b"), (5, "c")):
        diary.load(day, digest)
    diary.journal.store_model("a", {"digest": "a", "of": "x" * 50})
    assert diary.journal.thin_models(diary.lease, 50 * DAY_S) == 2
    with pytest.raises(JournalUnwritable, match="let go of meanwhile"):
        diary.write(60, r.Configured(60 * DAY_S, "a", {}))
    diary.load(61, "a")
    assert diary.kept("a") == ["a"]
    assert diary.journal.verify() == []
    diary.journal.close()


def test_the_entry_that_says_so_is_never_let_go_of(diary: Diary) -> None:
    for day, digest in ((1, "a"), (3, "b"), (5, "c")):
        diary.load(day, digest)
    diary.journal.thin_models(diary.lease, 50 * DAY_S)
    for day in range(6, 12):
        diary.write(day, r.VerdictChanged(day * DAY_S, "acme/x", r.Verdict.UP, r.Verdict.DOWN, 1.0, "x"))
        diary.write(day, r.VerdictChanged(day * DAY_S, "acme/x", r.Verdict.DOWN, r.Verdict.UP, None, "x"))
    last = diary.journal.last_seq()
    diary.journal.checkpoint(last, {})
    assert sum(diary.journal.thin(diary.lease, 50 * DAY_S)) > 0
    assert diary.journal.verify() == []


def test_an_incident_that_began_before_it_was_seen_keeps_what_was_in_force_then() -> None:
    entries = [
        Entry(1, 0.0, FIRST, 1, (r.Configured(0.0, "a", {}),), {}),
        Entry(2, 100.0, FIRST + 100.0, 1, (r.Configured(100.0, "b", {}),), {}),
        Entry(3, 160.0, FIRST + 160.0, 1, (r.IncidentOpened(160.0, "i1", "acme/erp", 90.0, None, "down"),), {}),
        Entry(4, 200.0, FIRST + 200.0, 1, (r.Configured(200.0, "c", {}),), {}),
        Entry(5, 9000.0, FIRST + 9000.0, 1, (ended(1.0, 1.0),), {}),
    ]
    assert unneeded(entries, 1e9) == set()
