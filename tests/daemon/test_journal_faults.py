"""The journal's disk fails under a running daemon: full, locked, torn, altered.

The one rule every story checks: what was answered "accepted" is still there afterwards, nothing is done without a
durable intent, the message says what is wrong and what to do, and the daemon goes on by itself once the cause is gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core import records as r
from orchestrator.core.codec import encode
from orchestrator.core.events import WordKind, WordSpoken
from orchestrator.core.outside import REASON_MAX
from orchestrator.daemon import client
from orchestrator.daemon.address import where_to_speak
from orchestrator.journal.sqlite import SqliteJournal, journal_path
from tests.shell.small import Small

# Root and minutes are needed, the lab itself is not.
pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.crash, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
QUIET_S = 6.0  # several decisions long: time enough to do what must not be done
PATIENCE_S = 120.0


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    """A workspace of one service with a playbook that brings it back."""
    workspace = Small(tmp_path)
    yield workspace
    workspace.close()


class Words:
    """Says holds and resumes to the daemon, and remembers which were accepted."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.accepted: list[str] = []
        self._said = 0

    def say(self, timeout_s: float = 40.0) -> bool:
        """One word; whether the daemon answered that it is accepted. Holds and their ends take turns."""
        kind = WordKind.HOLD if self._said % 2 == 0 else WordKind.RESUME
        word = WordSpoken(f"word-{self._said}", kind, "Ada", "acme/web", "x" * REASON_MAX)
        self._said += 1
        try:
            reply = client.ask(where_to_speak(self.workspace), {"op": "word", "word": encode(word)}, timeout_s)
        except (client.NobodyListens, client.NoReply, client.Rejected):
            return False
        answer = reply["answer"]
        assert isinstance(answer, dict)
        if answer["accepted"]:
            self.accepted.append(word.id)
        return bool(answer["accepted"])

    def let_go(self) -> None:
        """Whatever was held is not any more: a word whose answer did not come may have been heard all the same."""
        self._said += 1 - self._said % 2
        self.say()

    def are_all_there(self, journal: Path) -> None:
        """What was accepted is on record."""
        opened = SqliteJournal(journal, read_only=True)
        try:
            kept = {x.word for e in opened.entries() for x in e.records if isinstance(x, r.WordAccepted)}
        finally:
            opened.close()
        assert set(self.accepted) <= kept


@contextlib.contextmanager
def small_disk(at: Path, size: str) -> Iterator[None]:
    """A file system of its own at this place.

    Its keeper takes it away when the test lets go of it, and also when the test's process is killed: it waits for the
    end of a pipe.
    """
    at.mkdir(mode=0o700, exist_ok=True)
    script = (
        f'trap "" INT TERM HUP; mount -t tmpfs -o size={size},mode=700 bascule-test "$1" || exit 1; echo mounted;'
        ' read -r _; umount -l "$1"'
    )
    argv = ["sh", "-c", script, "sh", str(at)]
    keeper = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "mounted\n"
        yield
    finally:
        keeper.communicate("\n")


def daemon(small: Small) -> subprocess.Popen[bytes]:
    """A daemon of the workspace that has taken over."""
    program = small.daemon()
    small.until(lambda: "daemon is up" in small.log(len(small.started)), "the daemon is up")
    return program


def entries(journal: Path) -> list[r.Record]:
    """All records, in order."""
    opened = SqliteJournal(journal, read_only=True)
    try:
        return [x for entry in opened.entries() for x in entry.records]
    finally:
        opened.close()


def verify(small: Small) -> subprocess.CompletedProcess[str]:
    """What `bascule journal verify` says."""
    return small.bascule("journal", "verify")


def recovered(journal: Path) -> bool:
    """Whether the service's incident has ended, verified."""
    return any(isinstance(x, r.IncidentEnded) for x in entries(journal))


def nothing_is_done(small: Small, journal: Path) -> None:
    """The service is down, and nobody begins anything, for as long as several decisions take."""
    (small.path / "up").unlink()
    before = len(entries(journal))
    time.sleep(QUIET_S)
    assert not (small.path / "up").exists(), "the playbook ran without an intent on record"
    assert not [x for x in entries(journal)[before:] if isinstance(x, r.StepBegan)]


def test_the_disk_is_full(small: Small) -> None:
    disk = small.path / ".bascule"
    with small_disk(disk, "1500k"):
        try:
            _fill_and_free(small, disk / "ballast", journal_path(small.path))
        finally:
            for program in small.started:  # before their disk goes
                program.kill()
                program.wait()
    assert "Traceback" not in small.log() + small.log(2)


def _fill_and_free(small: Small, ballast: Path, journal: Path) -> None:
    first = daemon(small)
    small.until(small.is_up, "the service is seen up")
    words = Words(small.path)
    assert words.say()
    assert words.say()

    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    while words.say():  # what there is of the file's own pages is used up first
        assert len(words.accepted) < 2000
    small.until(lambda: "cannot act" in small.log(), "the daemon says that it cannot act")
    assert "no space is left for it" in small.log() or "the disk reports an error or is full" in small.log()
    assert "Free some space" in small.log() or "Look at `df`" in small.log()
    nothing_is_done(small, journal)
    assert first.poll() is None
    tried = small.bascule("failover", "acme/web", "--dry-run")
    assert "would be refused (cannot act: " in tried.stdout, tried.stdout

    ballast.unlink()
    small.until(lambda: "can act again" in small.log(), "it goes on by itself")
    words.are_all_there(journal)
    words.let_go()
    small.until(lambda: recovered(journal), "the service is back")
    assert (small.path / "up").exists()

    first.kill()
    first.wait()
    daemon(small)
    words.are_all_there(journal)
    checked = verify(small)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "each as it was written" in checked.stdout


def test_another_program_holds_the_file(small: Small) -> None:
    daemon(small)
    journal = journal_path(small.path)
    small.until(lambda: small.is_up(), "the service is seen up")
    words = Words(small.path)
    assert words.say()
    assert words.say()
    holder = sqlite3.connect(journal, isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        assert not words.say(5.0)
        small.until(lambda: "cannot act" in small.log(), "the daemon says that it cannot act")
        assert "it is locked by another program" in small.log()
        assert "fuser" in small.log()
        nothing_is_done(small, journal)
    finally:
        holder.close()
    small.until(lambda: "can act again" in small.log(), "it goes on by itself")
    words.let_go()
    small.until(lambda: recovered(journal), "the service is back")
    words.are_all_there(journal)
    assert verify(small).returncode == 0
    assert "Traceback" not in small.log()


@pytest.mark.parametrize("after_words", [3, 10, 25])
def test_killed_while_it_writes(small: Small, after_words: int) -> None:
    first = daemon(small)
    words = Words(small.path)
    speaking = threading.Thread(target=lambda: [words.say(10.0) for _ in range(200) if first.poll() is None])
    speaking.start()
    small.until(lambda: len(words.accepted) >= after_words, "words are accepted")
    first.send_signal(signal.SIGKILL)
    first.wait()
    speaking.join()
    assert verify(small).returncode == 0
    daemon(small)
    words.are_all_there(journal_path(small.path))
    assert "Traceback" not in small.log(2)


def test_the_last_entry_was_torn(small: Small) -> None:
    """The machine lost its power within a write that nobody had been promised: half of it is in the log."""
    first = daemon(small)
    words = Words(small.path)
    assert words.say()
    assert words.say()
    first.send_signal(signal.SIGKILL)
    first.wait()
    log = journal_path(small.path).with_name("journal.db-wal")
    written = log.read_bytes()
    with log.open("ab") as file:  # a frame like the last one, cut in the middle: no commit
        file.write(written[-4120:-1000])
    journal_path(small.path).with_name("journal.db-shm").unlink(missing_ok=True)
    daemon(small)
    words.are_all_there(journal_path(small.path))
    assert words.say()
    checked = verify(small)
    assert checked.returncode == 0, checked.stdout
    assert "Traceback" not in small.log(2)


def test_an_entry_was_altered(small: Small, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It starts no more, says where, and what to do; with a copy put back it goes on."""
    first = daemon(small)
    words = Words(small.path)
    assert words.say()
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE_S) == 0
    journal = journal_path(small.path)
    copy = tmp_path_factory.mktemp("copy") / "journal.db"
    shutil.copy2(journal, copy)

    db = sqlite3.connect(journal)
    db.execute("DROP TRIGGER entries_stand")
    (seq,) = db.execute("SELECT max(seq) FROM entries WHERE body LIKE '%WordAccepted%'").fetchone()
    db.execute("UPDATE entries SET body = replace(body, 'Ada', 'Eve') WHERE seq = ?", (seq,))
    db.commit()
    db.close()
    checked = verify(small)
    assert checked.returncode == 1
    assert f"entry {seq}: altered" in checked.stdout
    refused = small.bascule("daemon")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert f"entry {seq}: altered" in refused.stderr
    assert "bascule journal verify" in refused.stderr
    assert "restore the journal from a copy" in refused.stderr
    assert "Traceback" not in refused.stderr

    for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
        journal.with_name(name).unlink(missing_ok=True)
    shutil.copy2(copy, journal)
    daemon(small)
    words.are_all_there(journal)


def test_no_mount_is_left_of_a_test_that_failed(tmp_path: Path) -> None:
    left = tmp_path / "disk"
    fails = contextlib.ExitStack()
    fails.enter_context(small_disk(left, "1m"))
    assert os.path.ismount(left)
    fails.__exit__(RuntimeError, RuntimeError("the test fails"), None)
    assert not os.path.ismount(left)


def test_no_mount_is_left_of_a_test_that_was_killed(tmp_path: Path) -> None:
    """Its keeper outlives it, and only just."""
    left = tmp_path / "disk"
    code = (
        "import os, pathlib, signal, sys\n"
        "from tests.daemon.test_journal_faults import small_disk\n"
        "with small_disk(pathlib.Path(sys.argv[1]), '1m'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(left)], cwd=ROOT, timeout=PATIENCE_S, check=False)
    assert killed.returncode == -signal.SIGKILL
    ends = time.monotonic() + PATIENCE_S
    while os.path.ismount(left):
        assert time.monotonic() < ends, "the mount is still there"
        time.sleep(0.05)
