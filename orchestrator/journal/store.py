"""The SQLite file under the journal: opened safely, written in whole transactions, its faults told in plain words.

The one rule it keeps: after any failed write the connection is thrown away. Whether a failed commit reached the disk
is not known then; the next one to open the file sees what is really there.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

import tenacity

from orchestrator.journal import form, queries
from orchestrator.journal.chain import GENESIS
from orchestrator.journal.journal import JournalError, JournalUnreadable, JournalUnwritable

T = TypeVar("T")
PUT_BACK = (
    "Put the right file back. To begin anew, or with an older copy, stop the daemon first (Copies, docs/operating.md)."
)

WRITE_WAIT_S = 2.0  # for another process's transaction; ours are short
OPEN_WAIT_S = 10.0  # at the start, and for reads: another process may be recovering the file

# SQLite's primary result codes: what it means here, and what a person can do.
_FAULTS = {
    sqlite3.SQLITE_FULL: ("no space is left for it", "Free some space on its disk (or raise its quota)"),
    sqlite3.SQLITE_BUSY: (
        "it is locked by another program",
        "Find who holds it with `fuser {path}` and end that program",
    ),
    sqlite3.SQLITE_LOCKED: (
        "it is locked by another program",
        "Find who holds it with `fuser {path}` and end that program",
    ),
    sqlite3.SQLITE_READONLY: ("it may only be read", "Make {path} and its directory writable for this user"),
    sqlite3.SQLITE_PERM: ("this user may not open it", "Make {path} and its directory accessible for this user"),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened",
        "Make sure that {path} and its directory exist and are accessible",
    ),
    sqlite3.SQLITE_IOERR: ("the disk reports an error or is full", "Look at `df` and at the kernel's log (`dmesg`)"),
    sqlite3.SQLITE_CORRUPT: (
        "it is damaged",
        "Keep {path}* aside and restore a copy; `bascule journal verify` shows what is left",
    ),
    sqlite3.SQLITE_NOTADB: ("it is no SQLite file, or its head is damaged", "Keep {path}* aside and restore a copy"),
}


def fault(error: sqlite3.Error, path: Path, kind: type[JournalError]) -> JournalError:
    """What this error of SQLite means for an operator."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    known = _FAULTS.get(code & 0xFF)
    if known is None:
        return kind(f"journal {path}: {error}", "Look at the file with `bascule journal verify`.")
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        kind = JournalUnreadable if kind is JournalUnreadable else JournalUnwritable
    name = getattr(error, "sqlite_errorname", "")
    return kind(f"journal {path}: {known[0]} ({name}: {error})", known[1].format(path=path) + ".")


def _is_busy(error: BaseException) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.Error) and code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Store:
    """One connection to the file, reopened when needed. May be used from several threads, one at a time."""

    def __init__(self, path: Path, read_only: bool = False) -> None:
        """Open it; a writer makes file and tables if there are none. Raises JournalUnreadable, JournalUnwritable."""
        self.path = path
        self.read_only = read_only
        self._turn = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        with self._turn:
            self._open()

    @contextmanager
    def writing(self, *, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """One durable transaction: committed and synced when the block is left, undone if it raises.

        Without `synced` it outlives this program, but perhaps not a power cut. Raises JournalUnwritable.
        """
        with self._turn:
            if self.read_only:
                raise JournalUnwritable(f"journal {self.path} was opened to be read only", "Use the daemon's socket.")
            try:
                with self._syncing(self._here(), synced) as connection, self._transaction(connection):
                    yield connection
            except sqlite3.Error as error:
                self._drop()
                raise fault(error, self.path, JournalUnwritable) from error
            except JournalUnreadable as error:  # what cannot be read must not be written to
                raise JournalUnwritable(error.reason, error.remedy) from error

    @contextmanager
    def _syncing(self, connection: sqlite3.Connection, synced: bool) -> Iterator[sqlite3.Connection]:
        """Whether the next transaction waits for the disk; all later ones do."""
        if synced:
            yield connection
            return
        connection.execute("PRAGMA synchronous = NORMAL")
        try:
            yield connection
        finally:
            if self._connection is connection:
                connection.execute("PRAGMA synchronous = FULL")

    @property
    def version(self) -> int:
        """The file's format. One that is only read may be of an earlier version."""
        return cast(int, self.read("PRAGMA user_version")[0][0])

    def read(self, query: str, arguments: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query. Waits for a busy file. Raises JournalUnreadable."""
        with self._turn:
            try:
                return self._patiently(lambda: self._here().execute(query, arguments).fetchall())
            except sqlite3.Error as error:
                self._drop()
                raise fault(error, self.path, JournalUnreadable) from error
            except JournalUnwritable as error:
                raise JournalUnreadable(error.reason, error.remedy) from error

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self._undo(connection)
            raise

    def close(self) -> None:
        """Let go of the file."""
        with self._turn:
            self._drop()

    def _here(self) -> sqlite3.Connection:
        """The connection; opened again after a fault. Notices a file that was removed or replaced under it."""
        if self._connection is not None and self._file != _identity(self.path):
            self._drop()
            raise JournalUnwritable(f"journal {self.path} was removed or replaced while it was in use", PUT_BACK)
        if self._connection is None:
            self._open()
        if self._connection is None:
            raise JournalUnreadable(f"journal {self.path} is not open", "Open it again.")
        return self._connection

    def _open(self) -> None:
        kind = JournalUnreadable if self.read_only else JournalUnwritable
        try:
            if not self.read_only and self._file is None:
                _make_private(self.path)
            elif not self.read_only and not self.path.exists():  # an empty one would forget holds and placements
                raise JournalUnwritable(f"journal {self.path} was removed while it was in use", PUT_BACK)
            elif not self.path.exists():
                raise JournalUnreadable(f"there is no journal {self.path}", "Start the daemon once, or give its place.")
        except OSError as error:
            reason = f"journal {self.path}: {error.strerror}"
            raise kind(reason, "Make its directory exist, with space, writable for this user.") from error
        try:
            self._connection = self._patiently(self._connect)
        except sqlite3.Error as error:
            raise fault(error, self.path, kind) from error
        self._file = _identity(self.path)

    def _connect(self) -> sqlite3.Connection:
        mode = "ro" if self.read_only else "rw"
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={mode}",
            uri=True,
            timeout=WRITE_WAIT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")  # damaged text shows by its hash
            if not self.read_only:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA journal_size_limit = 16777216")
            self._settle(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _settle(self, connection: sqlite3.Connection) -> None:
        """Make the tables in a new file, bring an older one up to date; refuse a file that is something else."""
        if self._is_ours(connection):
            self._refuse_strange(connection)
            form.refuse_broken(connection, self.path)
            if not self.read_only:
                self._bring_up_to_date(connection)
            return
        if self.read_only:
            raise JournalUnreadable(f"{self.path} is no journal yet", "Start the daemon once.")
        if self._file is not None:
            raise JournalUnwritable(f"journal {self.path} was emptied while it was in use", PUT_BACK)
        with self._transaction(connection):
            if self._is_ours(connection):  # another process was first
                return
            for statement in _statements(queries.SCHEMA + queries.SECOND):
                connection.execute(statement)
            connection.execute(queries.BEGIN_STORE, (GENESIS,))
            connection.execute(queries.BEGIN_LEASE)
            connection.execute(f"PRAGMA application_id = {queries.APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {queries.VERSION}")

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        """From one format to the next. Nothing that was written changes its meaning."""
        if connection.execute("PRAGMA user_version").fetchone()[0] == queries.VERSION:
            if form.gone(connection):
                with self._transaction(connection):
                    form.put_back(connection)
            return
        with self._transaction(connection):
            if connection.execute("PRAGMA user_version").fetchone()[0] == queries.VERSION:
                return  # another process was first
            for statement in _statements(queries.SECOND):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {queries.VERSION}")

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application == queries.APPLICATION_ID:
            if version > queries.VERSION:
                raise JournalUnreadable(
                    f"journal {self.path} has format {version}; this version knows up to {queries.VERSION}",
                    "Use the version of bascule that wrote it, or a later one.",
                )
            return True
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application or version or tables:
            raise JournalUnreadable(f"{self.path} is a SQLite file, but no journal", "Give the journal's own place.")
        return False

    def _refuse_strange(self, connection: sqlite3.Connection) -> None:
        """A trigger is a program that runs when we write, a view answers in a table's place: only our own may."""
        for kind, name, text in connection.execute(queries.PROGRAMS).fetchall():
            if (kind, name, form.plain(text)) not in form.our_programs():
                raise JournalUnreadable(
                    f"journal {self.path} holds a {kind} {name!r} that is not one of bascule's: it would act or answer"
                    " in the journal's place",
                    f"Find out who put it there; DROP {kind.upper()} it with sqlite3, then `bascule journal verify`.",
                )

    def _patiently(self, action: Callable[[], T]) -> T:
        """Again while the file is busy, for a while; only for reads and for opening."""
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_busy),
            stop=tenacity.stop_after_delay(OPEN_WAIT_S),
            wait=tenacity.wait_random_exponential(multiplier=0.02, max=0.5),
            reraise=True,
        )(action)

    def _undo(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop()  # closing undoes it as well

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                pass  # it is of no use any more


def _make_private(path: Path) -> None:
    """The file, made if need be, readable by its owner only; a directory that is made here as well."""
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if path.stat().st_mode & 0o077 and os.access(path, os.W_OK):
            path.chmod(0o600)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would commit in between."""
    pending = ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
