"""A gap that somebody put into a journal stands for nothing that a head kept elsewhere can show.

Whoever can write the file can have entries "let go of", and name the gap in an entry of their own. An anchor from
before that entry says nothing of what is behind the gap, and nothing of what is in it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from orchestrator.core.records import StepBegan, Verdict, VerdictChanged
from orchestrator.journal.chain import GENESIS, Gap, body_of, link
from orchestrator.journal.journal import Draft, Examined, Head
from orchestrator.journal.lease import Lease
from orchestrator.journal.sqlite import SqliteJournal

COUNT = 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of a hundred entries."""
    found = tmp_path / "journal.db"
    journal = SqliteJournal(found)
    lease = journal.acquire("noc", 20.0)
    assert isinstance(lease, Lease)
    for n in range(1, COUNT + 1):
        journal.append(lease, float(n), float(n), [StepBegan(float(n), "r1", "execute", n)], {})
    journal.close()
    return found


class Forger:
    """Somebody who can write the file, and knows how entries and gaps are made."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path)
        self.triggers = self.db.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE 'entries_sta%'").fetchall()
        for name, _ in self.triggers:
            self.db.execute(f"DROP TRIGGER {name}")

    def hash(self, seq: int) -> bytes:
        return bytes(self.db.execute("SELECT hash FROM entries WHERE seq = ?", (seq,)).fetchone()[0])

    def cut_off(self, after: int) -> None:
        self.db.execute("DELETE FROM entries WHERE seq > ?", (after,))
        self.db.execute("DELETE FROM told WHERE seq > ?", (after,))

    def write(self, seq: int, previous: bytes, binds: tuple[Gap, ...] = (), who: str = "mallory") -> bytes:
        """Put this entry there, whatever was there before; its hash."""
        records = () if binds else (StepBegan(float(seq), who, "execute", seq),)
        body = body_of(seq, float(seq), float(seq), 1, records, {}, tuple(gap.bind for gap in binds))
        digest = link(previous, body)
        self.db.execute("DELETE FROM entries WHERE seq = ?", (seq,))
        self.db.execute("INSERT INTO entries (seq, body, hash) VALUES (?, ?, ?)", (seq, body.decode(), digest))
        return digest

    def let_go(self, gap: Gap, bound: int) -> None:
        query = "INSERT INTO gaps (first, last, before, after, bound) VALUES (?, ?, ?, ?, ?)"
        self.db.execute(query, (gap.first, gap.last, gap.before, gap.after, bound))
        for table in ("entries", "told"):
            self.db.execute(f"DELETE FROM {table} WHERE seq BETWEEN ? AND ?", (gap.first, gap.last))

    def end(self, seq: int) -> None:
        self.db.execute("UPDATE head SET seq = ?, hash = ?", (seq, self.hash(seq)))
        for _, sql in self.triggers:
            self.db.execute(sql)
        self.db.commit()
        self.db.close()


def examined(path: Path, *heads: Head) -> Examined:
    journal = SqliteJournal(path, read_only=True)
    found = journal.examine(heads)
    journal.close()
    return found


def head_of(path: Path) -> Head:
    journal = SqliteJournal(path, read_only=True)
    found = journal.head()
    journal.close()
    return found


@pytest.mark.parametrize(
    "last", [COUNT, COUNT + 5], ids=["its last is the anchored entry", "the entry is in its midst"]
)
def test_an_end_that_was_cut_off_is_not_passed_off_as_let_go_of(path: Path, last: int) -> None:
    head = head_of(path)
    forger = Forger(path)
    after = forger.hash(COUNT)
    forger.cut_off(60)
    gap = Gap(61, last, forger.hash(60), after)
    forger.write(last + 1, gap.after, (gap,))
    forger.let_go(gap, last + 1)
    forger.end(last + 1)
    found = examined(path, head)
    assert [str(f) for f in found.faults if f.seq == COUNT], found
    assert not any("it is the journal" in note for note in found.notes), found.notes
    journal = SqliteJournal(path, read_only=True)
    assert "was let go of" in (journal.differs(head, newest=True) or "")
    journal.close()


def test_what_was_written_anew_before_a_gap_is_not_said_to_be_what_it_was(path: Path) -> None:
    head = head_of(path)
    forger = Forger(path)
    previous = GENESIS
    after = forger.hash(50)
    for seq in range(1, 50):
        previous = forger.write(seq, previous)
    gap = Gap(50, 50, previous, after)  # so that what follows fits as ever
    forger.write(COUNT + 1, forger.hash(COUNT), (gap,))
    forger.let_go(gap, COUNT + 1)
    forger.end(COUNT + 1)
    found = examined(path, head)
    assert any("of its entries up to 50 that cannot be told" in note for note in found.notes), found.notes


def test_what_was_let_go_of_before_the_head_was_kept_is_covered_by_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    lease = journal.acquire("noc", 20.0)
    assert isinstance(lease, Lease)
    gone = 0
    for _ in range(3):
        start = journal.last_seq()
        changes = [
            VerdictChanged(float(n), "a/x", Verdict.UP, Verdict.DOWN, None, "") for n in range(start, start + 500)
        ]
        journal.append_all(lease, [Draft(x.at, x.at, [x], {}) for x in changes])
        journal.checkpoint(journal.last_seq(), {})
        between = journal.head()
        before, gone = gone, gone + sum(journal.thin(lease, before=1e9))
    assert 0 < before < gone
    last = journal.head()
    assert journal.examine([last]).notes == ()
    assert journal.examine([last]).faults == ()
    found = journal.examine([between])
    assert any("of its entries up to" in note for note in found.notes)
    assert found.faults == ()
    journal.close()
