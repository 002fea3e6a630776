"""The application's way to its database: a few connections that come back by themselves.

The one rule it keeps: nobody waits longer than `LIMIT_S`. While the database is known to be away, callers are told at
once and one background task tries again every `RETRY_S`. A call that never came back is left to die in the background
(psycopg waits up to 5 s when it cancels a statement on a dead line) and its connection is thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import LiteralString, TypeVar

import psycopg
from psycopg.rows import TupleRow

from orchestrator.lab.programs.postgres_setup import TABLES

CONNECTIONS_MAX = 4
LIMIT_S = 1.0
RETRY_S = 0.2

Connection = psycopg.AsyncConnection[TupleRow]
T = TypeVar("T")

INSERT: LiteralString = "INSERT INTO transactions (id, served_by) VALUES (%s, %s) ON CONFLICT (id) DO NOTHING"
READ: LiteralString = "SELECT extract(epoch FROM made_at)::float8, served_by FROM transactions WHERE id = %s"
LIST: LiteralString = "SELECT id FROM transactions WHERE made_at >= to_timestamp(%s) ORDER BY made_at"
ROLE: LiteralString = "SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END"
BEAT: LiteralString = (
    "INSERT INTO heartbeat (served_by, value) VALUES (%s, %s)"
    " ON CONFLICT (served_by) DO UPDATE SET value = excluded.value, at = clock_timestamp()"
)
BEAT_READ: LiteralString = "SELECT value FROM heartbeat WHERE served_by = %s"
TABLES_THERE: LiteralString = "SELECT to_regclass('transactions') IS NOT NULL AND to_regclass('heartbeat') IS NOT NULL"


class UnavailableError(Exception):
    """The database cannot be asked or refused; certainly nothing was changed."""


class InDoubtError(Exception):
    """The connection or the time ended while a change was under way: it may have been committed."""


class Database:
    """A small pool. Every method raises UnavailableError; those that write may raise InDoubtError."""

    def __init__(self, host: str, port: int, password: str) -> None:
        self._where = f"database {host}:{port}"
        self._host = host
        self._port = port
        self._password = password
        self._idle: list[Connection] = []
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)
        self._away = ""  # why, while the database is known to be away
        self._tables_made = False
        self._tasks: set[asyncio.Task[object]] = set()
        self._retrying = False

    def connect_soon(self) -> None:
        """Begin to connect in the background, so that the first caller need not wait."""
        self._retry_in_background()

    async def close(self) -> None:
        """Drop every connection without waiting for anything."""
        for task in self._tasks:
            task.cancel()
        await self._drop_idle()

    async def write(self, identity: str, served_by: str) -> None:
        """Commit one transaction; the same id again changes nothing."""

        async def work(connection: Connection) -> None:
            await connection.execute(INSERT, (identity, served_by))

        await self._limited(work, writes=True)

    async def read(self, identity: str) -> dict[str, object] | None:
        """One transaction, or None."""

        async def work(connection: Connection) -> dict[str, object] | None:
            row = await (await connection.execute(READ, (identity,))).fetchone()
            return None if row is None else {"id": identity, "made_at": row[0], "served_by": row[1]}

        return await self._limited(work)

    async def ids(self, since_s: float) -> list[str]:
        """Ids of the transactions made since then (epoch seconds), oldest first."""

        async def work(connection: Connection) -> list[str]:
            return [row[0] for row in await (await connection.execute(LIST, (since_s,))).fetchall()]

        return await self._limited(work)

    async def beat(self, served_by: str, value: str) -> None:
        """Write a heartbeat row and read it back.

        Raises:
            UnavailableError: also when another value came back.
        """

        async def work(connection: Connection) -> object:
            await connection.execute(BEAT, (served_by, value))
            row = await (await connection.execute(BEAT_READ, (served_by,))).fetchone()
            return None if row is None else row[0]

        read = await self._limited(work, writes=True)
        if read != value:
            raise UnavailableError(f"{self._where}: wrote heartbeat {value}, read back {read}")

    async def role(self) -> str:
        """`primary` or `standby`."""

        async def work(connection: Connection) -> str:
            row = await (await connection.execute(ROLE)).fetchone()
            return str(row[0]) if row else "unknown"

        return await self._limited(work)

    async def _limited(self, work: Callable[[Connection], Awaitable[T]], *, writes: bool = False) -> T:
        """Run `work` on a connection, all within LIMIT_S."""
        if self._away:
            raise UnavailableError(self._away)
        started = asyncio.Event()  # set when the first statement leaves
        task: asyncio.Task[T] = asyncio.get_running_loop().create_task(self._run(work, started))
        self._keep(task)
        done, _ = await asyncio.wait({task}, timeout=LIMIT_S)
        if not done:
            task.cancel()
            why = f"{self._where}: no answer within {LIMIT_S:g} s"
            self._mark_away(why)
            raise (InDoubtError if writes and started.is_set() else UnavailableError)(why)
        try:
            return task.result()
        except psycopg.OperationalError as error:
            why = f"{self._where}: {_first_line(error)}"
            self._mark_away(why)
            raise (InDoubtError if writes and started.is_set() else UnavailableError)(why) from error
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise UnavailableError(f"{self._where} is a standby: {_first_line(error)}") from error
        except psycopg.errors.UndefinedTable as error:
            self._tables_made = False
            why = f"{self._where}: {_first_line(error)}"
            self._mark_away(why)
            raise UnavailableError(why) from error
        except psycopg.Error as error:
            raise UnavailableError(f"{self._where}: {_first_line(error)}") from error

    async def _run(self, work: Callable[[Connection], Awaitable[T]], started: asyncio.Event) -> T:
        async with self._slots:  # evaluated once: a later generation of slots is not released by us
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                started.set()
                result = await work(connection)
            except psycopg.errors.ReadOnlySqlTransaction:
                self._idle.append(connection)  # a standby: after its promotion this very connection can write
                raise
            except BaseException:
                with contextlib.suppress(Exception):
                    connection.pgconn.finish()  # at once; close() is a coroutine and we may be cancelled
                raise
            self._idle.append(connection)
            return result

    async def _connect(self) -> Connection:
        connection = await psycopg.AsyncConnection.connect(
            host=self._host,
            port=self._port,
            user="erp",
            password=self._password,
            dbname="erp",
            autocommit=True,
            connect_timeout=2,
            keepalives_idle=1,
            keepalives_interval=1,
            keepalives_count=2,
            tcp_user_timeout=1000,
            application_name="erp",
            options="-c statement_timeout=900 -c synchronous_commit=on",
        )
        if not self._tables_made:
            await self._make_tables(connection)
        return connection

    async def _make_tables(self, connection: Connection) -> None:
        role = await (await connection.execute(ROLE)).fetchone()
        if role is None or role[0] != "primary":
            return
        there = await (await connection.execute(TABLES_THERE)).fetchone()
        if there is None or not there[0]:
            await connection.execute(TABLES.encode())
        self._tables_made = True

    def _mark_away(self, why: str) -> None:
        self._away = why
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)  # those that hang keep the old ones for seconds
        self._retry_in_background()

    def _retry_in_background(self) -> None:
        if not self._retrying:
            self._retrying = True
            self._keep(asyncio.get_running_loop().create_task(self._retry()))

    async def _retry(self) -> None:
        try:
            await self._drop_idle()
            while True:
                attempt = asyncio.get_running_loop().create_task(self._connect())
                self._keep(attempt)
                done, _ = await asyncio.wait({attempt}, timeout=LIMIT_S)
                if not done:
                    attempt.cancel()
                    self._away = f"{self._where}: no connection within {LIMIT_S:g} s"
                elif (error := attempt.exception()) is None:
                    self._idle.append(attempt.result())
                    self._away = ""
                    return
                else:
                    self._away = f"{self._where}: {_first_line(error)}"
                await asyncio.sleep(RETRY_S)
        finally:
            self._retrying = False

    async def _drop_idle(self) -> None:
        while self._idle:
            with contextlib.suppress(Exception):
                self._idle.pop().pgconn.finish()

    def _keep(self, task: asyncio.Task[T]) -> None:
        """Hold a reference, and fetch an exception that nobody else will."""

        def ended(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            if not task.cancelled():
                task.exception()

        self._tasks.add(task)
        task.add_done_callback(ended)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
