"""What can happen to a file: each fault is told clearly, and nothing that was acknowledged is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.core.model import Json
from orchestrator.core.records import StepBegan
from orchestrator.journal import queries
from orchestrator.journal.journal import Fault, JournalError, JournalUnreadable, JournalUnwritable
from orchestrator.journal.lease import Lease
from orchestrator.journal.sqlite import SqliteJournal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def written(path: Path, entries: int = 5) -> SqliteJournal:
    """A journal with some entries, closed by its daemon, then opened again."""
    with_lease(path, entries).close()
    return SqliteJournal(path)


def with_lease(path: Path, entries: int = 0) -> SqliteJournal:
    """A journal with entries, still open."""
    journal = SqliteJournal(path)
    lease = taken(journal)
    for n in range(1, entries + 1):
        append(journal, lease, n)
    return journal


def taken(journal: SqliteJournal, holder: str = "noc") -> Lease:
    lease = journal.acquire(holder, 20.0)
    assert isinstance(lease, Lease), str(lease)
    return lease


def backup(here: Path, there: Path) -> None:
    """By SQLite's own means, over whatever is there."""
    one, other = sqlite3.connect(here), sqlite3.connect(there)
    one.backup(other)
    one.close()
    other.close()


def append(journal: SqliteJournal, lease: Lease, n: int) -> None:
    journal.append(lease, float(n), time.time(), [StepBegan(float(n), "run-1", "fence", n)], {"check": n})


def writer(path: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.journal.writer", str(path), *options]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def tampered(path: Path, *statements: str) -> None:
    """Somebody edits the file with SQL."""
    db = sqlite3.connect(path)
    kept = db.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE 'entries_sta%'").fetchall()
    for trigger, _ in kept:
        db.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        db.execute(statement)
    for _, sql in kept:
        db.execute(sql)
    db.commit()
    db.close()


class TestTheFileIsPrivate:
    """The journal names hosts, people and commands."""

    def test_file_and_directory_are_the_owners_alone(self, path: Path) -> None:
        with_lease(path, 1)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file

    def test_a_file_that_others_could_read_is_closed_to_them(self, path: Path) -> None:
        written(path).close()
        path.chmod(0o644)
        SqliteJournal(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


class TestReaders:
    """`bascule status` beside a daemon."""

    def test_a_reader_sees_entries_as_they_come_and_writes_nothing(self, path: Path) -> None:
        journal = with_lease(path, 2)
        reader = SqliteJournal(path, read_only=True)
        assert [e.seq for e in reader.entries()] == [1, 2]
        held = journal.holder()
        assert held is not None
        append(journal, held, 3)
        assert reader.last_seq() == 3
        assert reader.holder() == held
        with pytest.raises(JournalUnwritable, match="read only"):
            reader.acquire("reader", 20.0)

    def test_a_fold_that_takes_long_does_not_hold_up_the_daemon(self, path: Path) -> None:
        journal = with_lease(path, 3)
        entries = SqliteJournal(path, read_only=True).entries()
        next(entries)
        held = journal.holder()
        assert held is not None
        append(journal, held, 4)
        assert [e.seq for e in entries] == [2, 3, 4]

    def test_where_there_is_no_journal_it_says_so_and_makes_none(self, path: Path) -> None:
        with pytest.raises(JournalUnreadable, match="there is no journal"):
            SqliteJournal(path, read_only=True)
        assert not path.exists()


class TestTheDiskIsFull:
    """Nothing acknowledged is lost, nothing half-written stays, and it goes on once there is space."""

    def test_with_a_limit_on_the_file(self, path: Path) -> None:
        process = writer(path, "--file-limit", "300000")
        said = process.communicate(timeout=60)[0].splitlines()
        assert said[-1].startswith("JournalUnwritable: ")
        assert "disk" in said[-1] or "space" in said[-1]
        acknowledged = len(said) - 1
        assert acknowledged > 5
        journal = SqliteJournal(path)
        assert journal.last_seq() in (acknowledged, acknowledged + 1)
        assert journal.verify() == []
        lease = taken(journal)  # the writer is gone: at once
        append(journal, lease, 1)
        assert journal.verify() == []

    def test_a_real_full_disk_and_space_again(self, tmp_path: Path) -> None:
        """A small file system in a mount namespace of its own."""
        script = r"""
import sys, time, pathlib, os
from orchestrator.journal.sqlite import SqliteJournal
from orchestrator.journal.journal import JournalUnwritable
from orchestrator.core.model import Json
from orchestrator.core.records import StepBegan
disk = pathlib.Path(sys.argv[1])
ballast = disk / "ballast"
ballast.write_bytes(b"x" * 500_000)
journal = SqliteJournal(disk / "journal.db")
lease = journal.acquire("noc", 20.0)
done = 0
try:
    while True:
        journal.append(lease, 1.0, 1.0, [StepBegan(1.0, "r" * 3000, "s", done)], {})
        done += 1
except JournalUnwritable as error:
    print(error.reason, "|", error.remedy)
assert done > 10, done
assert journal.last_seq() in (done, done + 1), (journal.last_seq(), done)
assert journal.verify() == []
ballast.unlink()
assert journal.append(lease, 2.0, 2.0, [], {}).seq in (done + 1, done + 2)
assert journal.verify() == []
print("goes on")
"""
        disk = tmp_path / "disk"
        disk.mkdir()
        shell = 'mount -t tmpfs -o size=1m bascule-test "$1" && exec "$2" -c "$3" "$1"'
        command = ["unshare", "-m", "sh", "-c", shell, "sh", str(disk), sys.executable, script]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        if "unshare:" in done.stderr or "mount:" in done.stderr:
            pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        assert "no space is left for it" in done.stdout
        assert "Free some space" in done.stdout
        assert "goes on" in done.stdout


class TestTheWriterIsKilled:
    """SIGKILL at any moment."""

    @pytest.mark.parametrize("after_entries", [1, 7, 40])
    def test_what_it_acknowledged_is_there_and_the_chain_is_whole(self, path: Path, after_entries: int) -> None:
        process = writer(path)
        assert process.stdout is not None
        acknowledged = 0
        for line in process.stdout:
            acknowledged = int(line.removeprefix("seq "))
            if acknowledged >= after_entries:
                process.kill()
                break
        rest = process.stdout.read()
        acknowledged += len([line for line in rest.splitlines(keepends=True) if line.endswith("\n")])
        process.wait()
        journal = SqliteJournal(path)
        assert journal.last_seq() in (acknowledged, acknowledged + 1)
        assert [e.seq for e in journal.entries()] == list(range(1, journal.last_seq() + 1))
        assert journal.verify() == []
        assert journal.rows() == {"c": journal.last_seq()}
        assert taken(journal).epoch == 2  # at once: it is proven to be gone

    @pytest.mark.parametrize("torn_by", [1, 100, 5000])
    def test_a_torn_last_entry_is_as_if_it_had_not_been(self, path: Path, tmp_path: Path, torn_by: int) -> None:
        """The power fails while the log is written: the file ends in the middle of a transaction."""
        journal = with_lease(path, 9)
        torn = tmp_path / "torn"
        shutil.copytree(path.parent, torn)
        (torn / "journal.db-shm").unlink()
        log = torn / "journal.db-wal"
        os.truncate(log, log.stat().st_size - torn_by)
        journal.close()
        after = SqliteJournal(torn / "journal.db")
        assert 1 <= after.last_seq() < 9
        assert [e.seq for e in after.entries()] == list(range(1, after.last_seq() + 1))
        assert after.rows() == {"check": after.last_seq()}
        assert after.verify() == []


class TestTwoWantTheLease:
    """Processes that ask at the same moment."""

    def test_exactly_one_gets_it(self, path: Path) -> None:
        racers = [writer(path, "--race") for _ in range(3)]
        try:
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write("go\n")
                racer.stdin.flush()
            said = [racer.stdout.readline().strip() for racer in racers if racer.stdout]
        finally:
            for racer in racers:
                racer.communicate("end\n", timeout=30)
        assert sorted(said) == ["epoch 1", "refused", "refused"]

    def test_a_live_one_keeps_it_a_killed_one_loses_it_at_once(self, path: Path) -> None:
        holder = writer(path, "--entries", "1", "--hold")
        assert holder.stdout is not None
        assert holder.stdout.readline() == "seq 1\n"
        journal = SqliteJournal(path)
        assert not isinstance(journal.acquire("noc", 20.0), Lease)
        holder.kill()
        holder.wait()
        holder.communicate()
        assert taken(journal).epoch == 2


class TestTheFileCannotBeWritten:
    """Each message says what is wrong and what to do."""

    def test_locked_by_another_program(self, path: Path) -> None:
        journal = with_lease(path, 1)
        held = journal.holder()
        assert held is not None
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnwritable, match=r"locked by another program.*fuser"):
            append(journal, held, 2)
        assert journal.last_seq() == 1  # reading goes on
        other.execute("ROLLBACK")
        other.close()
        append(journal, held, 2)
        assert journal.verify() == []

    def test_removed_while_in_use(self, path: Path) -> None:
        journal = with_lease(path, 1)
        held = journal.holder()
        assert held is not None
        path.unlink()
        with pytest.raises(JournalUnwritable, match="removed or replaced"):
            append(journal, held, 2)
        for _ in range(2):  # it makes no empty one, which had forgotten everything
            with pytest.raises(JournalUnwritable, match="removed while it was in use"):
                append(journal, held, 2)
            assert not path.exists()
        path.touch()
        with pytest.raises(JournalUnwritable, match="emptied while it was in use"):
            append(journal, held, 2)
        path.unlink()
        path.mkdir()  # in its place, something that is no file
        with pytest.raises(JournalUnwritable):
            append(journal, held, 2)
        with pytest.raises(JournalUnreadable):
            list(journal.entries())

    def test_replaced_while_in_use(self, path: Path, tmp_path: Path) -> None:
        journal = with_lease(path, 1)
        held = journal.holder()
        assert held is not None
        shutil.copy(path, tmp_path / "copy")
        os.replace(tmp_path / "copy", path)
        with pytest.raises(JournalUnwritable, match="removed or replaced"):
            append(journal, held, 2)

    @pytest.mark.parametrize("restored", ["replaced", "in place", "of an earlier epoch"])
    def test_an_older_copy_put_in_its_place_is_not_written_on(self, path: Path, tmp_path: Path, restored: str) -> None:
        """Else what was said since, a hold for one, were forgotten, and the chain would fit."""
        journal = with_lease(path, 2)
        copy, now = tmp_path / "copy", tmp_path / "now"
        backup(path, copy)
        held = journal.holder()
        assert held is not None
        if restored == "of an earlier epoch":
            journal.release(held)
            held = taken(journal)
        append(journal, held, 3)
        backup(path, now)
        if restored == "in place":
            backup(copy, path)
        else:
            for log in ("-wal", "-shm"):  # else SQLite puts into the copy what it lacks
                Path(f"{path}{log}").unlink()
            os.replace(copy, path)
            with pytest.raises(JournalUnwritable, match="removed or replaced"):
                append(journal, held, 4)
        for _ in range(2):
            with pytest.raises(JournalUnwritable, match=r"entry 3 is not there any more .* older copy"):
                append(journal, held, 4)
            with pytest.raises(JournalUnwritable, match="older copy"):
                journal.renew(held)
            with pytest.raises(JournalUnwritable, match="older copy"):
                journal.write_rows(held, {"check": 4})
        backup(now, path)
        append(journal, held, 4)
        assert journal.verify() == []

    def test_a_lease_that_cannot_be_read_stops_the_writing(self, path: Path) -> None:
        journal = with_lease(path, 1)
        held = journal.holder()
        assert held is not None
        db = sqlite3.connect(path)
        db.execute("UPDATE lease SET held = '{'")
        db.commit()
        db.close()
        with pytest.raises(JournalUnwritable, match="lease cannot be read"):
            append(journal, held, 2)
        assert journal.last_seq() == 1

    def test_its_directory_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("")
        with pytest.raises(JournalError, match=r"journal\.db") as caught:
            SqliteJournal(tmp_path / "state" / "journal.db")
        assert caught.value.remedy


class TestTheFileWasDamagedOrAltered:
    """`bascule journal verify` tells where."""

    def test_an_altered_entry_is_found_at_its_number(self, path: Path) -> None:
        written(path).close()
        tampered(path, "UPDATE entries SET body = replace(body, 'fence', 'other') WHERE seq = 3")
        journal = SqliteJournal(path)
        (fault,) = journal.verify()
        assert (fault.seq, fault.fault) == (3, Fault.ALTERED)
        with pytest.raises(JournalUnreadable, match=r"entry 3: altered.*bascule journal verify"):
            list(journal.entries())
        assert [e.seq for e in journal.entries(after=3)] == [4, 5]

    def test_one_rewritten_with_a_hash_of_its_own_breaks_the_next(self, path: Path) -> None:
        written(path).close()
        tampered(path, "UPDATE entries SET hash = x'00' WHERE seq = 3")
        assert [f.seq for f in SqliteJournal(path).verify()] == [3, 4]

    @pytest.mark.parametrize(
        ("gone", "said"), [("seq = 2", (2, "removed")), ("seq >= 4", (4, "entries 4 to 5 are gone"))]
    )
    def test_removed_entries_are_missed_at_the_end_too(self, path: Path, gone: str, said: tuple[int, str]) -> None:
        written(path).close()
        tampered(path, f"DELETE FROM entries WHERE {gone}")
        (fault,) = SqliteJournal(path).verify()
        assert (fault.seq, fault.fault) == (said[0], Fault.MISSING)
        assert said[1] in fault.detail

    def test_an_added_entry_is_found(self, path: Path) -> None:
        written(path).close()
        tampered(path, "INSERT INTO entries (seq, body, hash) SELECT 6, body, hash FROM entries WHERE seq = 5")
        assert {f.seq for f in SqliteJournal(path).verify()} == {6}

    def test_text_that_is_no_text_any_more(self, path: Path) -> None:
        written(path).close()
        tampered(path, "UPDATE entries SET body = CAST(x'ff00fe' AS TEXT) WHERE seq = 2")
        assert [f.seq for f in SqliteJournal(path).verify()] == [2]

    def test_entries_cannot_be_changed_by_accident(self, path: Path) -> None:
        written(path).close()
        db = sqlite3.connect(path)
        for statement in ("DELETE FROM entries", "UPDATE entries SET body = ''"):
            with pytest.raises(sqlite3.IntegrityError, match="entries are never"):
                db.execute(statement)
        db.close()

    def test_a_checkpoint_that_fits_no_entry_is_passed_over(self, path: Path) -> None:
        journal = with_lease(path, 5)
        for seq in (4, 5):
            journal.checkpoint(seq, {"seq": seq})
        journal.close()
        tampered(path, "UPDATE checkpoints SET state = '{}' WHERE seq = 5")
        assert SqliteJournal(path).latest_checkpoint() == (4, {"seq": 4})

    @pytest.mark.parametrize("kept", [0.5, 0.9])
    def test_a_file_cut_short(self, path: Path, kept: float) -> None:
        written(path, entries=300).close()
        os.truncate(path, int(path.stat().st_size * kept))
        with pytest.raises(JournalError, match=r"damaged|no SQLite file"):
            list(SqliteJournal(path).entries())

    def test_a_file_of_something_else(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"# notes\n" * 1000)
        with pytest.raises(JournalError, match="is no SQLite file"):
            SqliteJournal(path)
        assert path.read_bytes() == b"# notes\n" * 1000

    def test_another_programs_sqlite_file(self, path: Path) -> None:
        path.parent.mkdir()
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE bookmarks (url TEXT)")
        db.close()
        with pytest.raises(JournalUnreadable, match="but no journal"):
            SqliteJournal(path)

    def test_a_later_versions_file(self, path: Path) -> None:
        written(path).close()
        db = sqlite3.connect(path)
        db.execute(f"PRAGMA user_version = {queries.VERSION + 1}")
        db.close()
        with pytest.raises(JournalUnreadable, match="a later one"):
            SqliteJournal(path)

    def test_an_entry_of_a_later_version_names_what_is_not_known(self, path: Path) -> None:
        from orchestrator.core.codec import dumps
        from orchestrator.journal.chain import GENESIS, link

        with_lease(path).close()
        entry: Json = {
            "seq": 1,
            "at": 1.0,
            "wall": 1.0,
            "epoch": 1,
            "rows": {},
            "records": [{"kind": "SunRose", "at": 1.0}],
        }
        body = dumps(entry)
        db = sqlite3.connect(path)
        db.execute(queries.ADD_ENTRY, (1, body.decode(), link(GENESIS, body)))
        db.execute(queries.MOVE_HEAD, (1, link(GENESIS, body)))
        db.commit()
        db.close()
        journal = SqliteJournal(path)
        assert [f.fault for f in journal.verify()] == [Fault.UNREADABLE]
        with pytest.raises(JournalUnreadable, match="unknown kind 'SunRose'"):
            list(journal.entries())
