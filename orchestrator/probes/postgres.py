"""postgres: is this database what it should be, and how old would its data be if the other one were gone?

The one rule it keeps: the age of the data is never understated. `data_age_s` is an upper bound of how much committed
work would be missing here, if this server took over now:

* A primary misses nothing: 0.
* A standby has everything that was committed before a moment T; the age is now − T. Two things vouch for a T, and
  the later one counts:
  1. The WAL receiver is streaming, and all WAL that the primary had when it sent its last message has arrived
     (`flushed_lsn` ≥ `latest_end_lsn`; what has arrived is replayed before a promotion). T is when that message was
     sent or received, whichever is earlier. With an idle primary, messages are as rare as half of
     `wal_receiver_timeout` (30 s by default): set it to a few seconds where the age matters.
  2. The last transaction replayed: what was committed before it is here. T is its commit time, on the primary's
     clock. (So with a dead, formerly idle primary the age grows from its last transaction. That overstates, and an
     earlier observation's age plus the time since then is a bound as well: whoever keeps observations takes the less.)
  The primary's clock is taken to be right unless its messages come "from the future": the excess is added. (Known
  gap: a keep-alive tells how much was sent, not how much there was to send, so on a congested link it can vouch for
  too much until the next data message, which follows at once, says better.)
* Neither is known (no transaction replayed since the start, no right to see the receiver): no age is measured.
  What nobody may see of the receiver (`hidden`) says nothing: neither that it streams, nor that it does not.

`lag_bytes` is WAL the primary is known to have, or that has arrived, and is not replayed yet; `lag_s` is how far back
a reader of this server looks. A standby whose primary is dead is as good a standby as before: `max_lag` bounds the age
and is for watching replication; leave it out of what decides whether a move is viable, and let the RPO judge the age.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from orchestrator.core.durations import show_duration
from orchestrator.core.events import Answer
from orchestrator.probes.kind import Kind, Question, first_judged
from orchestrator.probes.names import NameFailed
from orchestrator.probes.options import UNPINNED, Duration, Options, Port, Text
from orchestrator.probes.results import Judged, Raw, Refusal, Silence
from orchestrator.probes.sockets import is_address

if TYPE_CHECKING:
    import psycopg

_NO_FILE = "/dev/null/none"  # else libpq reads the one in the home directory, or that of the environment
_ANSWER_MAX_BYTES = 16 << 20  # of all that comes on one connection
_LOOK_EVERY_S = 0.05  # at how much has come
_STATE = """
SELECT pg_is_in_recovery() AS standby,
       extract(epoch FROM clock_timestamp())::float8 AS now,
       extract(epoch FROM pg_last_xact_replay_timestamp())::float8 AS replayed_at,
       CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')::float8 END AS received,
       CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::float8 END AS replayed,
       r.status AS receiver,
       r.pid IS NOT NULL AND r.status IS NULL AS hidden,
       pg_wal_lsn_diff(r.flushed_lsn, '0/0')::float8 AS flushed,
       pg_wal_lsn_diff(r.latest_end_lsn, '0/0')::float8 AS primary_end,
       extract(epoch FROM r.last_msg_send_time)::float8 AS message_sent_at,
       extract(epoch FROM r.last_msg_receipt_time)::float8 AS message_received_at
  FROM (SELECT 1) AS one LEFT JOIN pg_stat_wal_receiver AS r ON true
"""


class PostgresOptions(Options):
    """Options of `probe: postgres`."""

    target: Text
    port: Port = 5432
    dbname: Text = "postgres"
    user: Text = "postgres"
    password_secret: Text | None = None
    password_file: Text | None = None
    passfile: Text | None = Field(default=None, description="a .pgpass file")
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    sslrootcert: Text | None = None
    sslcert: Text | None = Field(default=None, description="a client certificate; without it none is shown")
    sslkey: Text | None = None
    role: Literal["primary", "standby", "any"] = "any"
    streaming: bool = Field(default=False, description="a standby must be receiving WAL right now")
    max_lag: Duration | None = Field(default=None, description="largest age of the data (data_age_s)")
    max_lag_bytes: Annotated[int, Field(ge=0)] | None = None
    query: Text | None = Field(default=None, description="one read-only statement; its first value is compared")
    expect: str | None = Field(default=None, description="what that value must be, as text")

    @model_validator(mode="after")
    def _fits(self) -> PostgresOptions:
        if self.expect is not None and self.query is None:
            raise ValueError("expect is given without query: what should be compared?")
        if self.streaming and self.role == "primary":
            raise ValueError("a primary receives no WAL: streaming is for role: standby")
        return self


@dataclass(frozen=True, slots=True)
class State:
    """What a server says of itself. Times are epoch seconds of its own clock unless said otherwise; LSNs are bytes."""

    standby: bool
    now: float
    rtt_s: float = 0.0
    replayed_at: float | None = None  # commit time of the last transaction replayed, on the primary's clock
    received: float | None = None
    replayed: float | None = None
    receiver: str | None = None  # "streaming" while it is; None without a receiver, or without the right to see it
    hidden: bool = False  # there is a receiver, and no right to see what it does
    flushed: float | None = None
    primary_end: float | None = None  # end of the primary's WAL when it sent its last message
    message_sent_at: float | None = None  # on the primary's clock
    message_received_at: float | None = None
    value: str | None = None  # first value of the author's query


_KINDS = {
    f.name: {"bool": bool, "float": float, "str | None": str | None}.get(str(f.type), float | None)
    for f in fields(State)
}


async def ask(question: Question[PostgresOptions]) -> Raw:
    """Connect, look, leave."""
    import psycopg

    options = question.options
    where = f"{options.target} port {options.port}"
    loop = asyncio.get_running_loop()
    password = question.secret(options.password_secret, options.password_file)
    question.stamp()
    started = loop.time()
    deadline = started + question.timeout_s
    connection = None
    try:
        async with asyncio.timeout_at(deadline):
            addresses = await question.tools.names.addresses(options.target, None, UNPINNED, whom=question.whom)
            connection = await psycopg.AsyncConnection.connect(
                _conninfo(options, addresses[0], question.timeout_s),
                password=password or "",  # none, and not that of the environment, which may be another client's
                autocommit=True,
            )
    except NameFailed as failed:
        return failed.meaning
    except TimeoutError:
        return Silence(f"{where}: no connection within {question.timeout_s:g} s")
    except psycopg.Error as error:
        return _meaning(error, where)
    try:
        work = asyncio.ensure_future(_look(connection, options))
        flooded = await _wait(work, connection, deadline)
        if not work.done():
            # Cancelling would make psycopg talk to the server again, which may be the one that hangs.
            _hang_up(connection)
            await asyncio.wait({work}, timeout=0.2)
            work.cancel()
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
            if flooded:
                return Refusal(f"{where}: it answers with more than {_ANSWER_MAX_BYTES >> 20} MiB")
            return Silence(f"{where}: connected, no answer within {question.timeout_s:g} s")
        return replace(work.result(), rtt_s=loop.time() - started)
    except psycopg.Error as error:
        return Refusal(f"{where}: {_first_line(error)}")
    except (ValueError, TypeError) as error:  # values that are none of their type, columns that nobody asked for
        return Refusal(f"{where}: it answers otherwise than PostgreSQL does: {error}")
    finally:
        await connection.close()


async def _wait(work: asyncio.Future[Any], connection: psycopg.AsyncConnection[Any], deadline: float) -> bool:
    """Until the answer is there, the time is over, or more has come than any answer needs: whether that was it.

    libpq keeps all that comes, however much it is.
    """
    loop = asyncio.get_running_loop()
    while not work.done() and (left_s := deadline - loop.time()) > 0:
        await asyncio.wait({work}, timeout=min(left_s, _LOOK_EVERY_S))
        if not work.done() and _received_bytes(connection) > _ANSWER_MAX_BYTES:
            return True
    return False


def _received_bytes(connection: psycopg.AsyncConnection[Any]) -> int:
    """What has come on this connection, says the kernel (`tcpi_bytes_received`); 0 where it does not say."""
    try:
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as sock:
            told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
    except Exception:
        return 0  # it is closed already
    return int.from_bytes(told[128:136], sys.byteorder)


async def _look(connection: psycopg.AsyncConnection[Any], options: PostgresOptions) -> State:
    from psycopg.rows import dict_row

    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_STATE)
        found: dict[str, Any] = await cursor.fetchone() or {}
    if options.query is not None:
        async with connection.cursor() as plain:
            await plain.execute(options.query.encode())
            row = await plain.fetchone() if plain.description else None
            found["value"] = "" if row is None or row[0] is None else str(row[0])
    state = State(**found)
    for name, kind in _KINDS.items():
        if not isinstance(getattr(state, name), kind):
            raise TypeError(f"{name} is {str(getattr(state, name))[:80]!r}")
    return state


def _conninfo(options: PostgresOptions, address: str, timeout_s: float) -> str:
    from psycopg.conninfo import make_conninfo

    limit_ms = max(1, int(timeout_s * 1000))
    return make_conninfo(
        "",
        host=options.target if not is_address(options.target) else address,
        hostaddr=address,
        port=options.port,
        dbname=options.dbname,
        user=options.user,
        passfile=options.passfile or _NO_FILE,
        sslmode=options.sslmode,
        sslrootcert=options.sslrootcert,
        sslcert=options.sslcert or _NO_FILE,
        sslkey=options.sslkey,
        gssencmode="disable",
        application_name="bascule-probe",
        client_encoding="UTF8",  # whatever the database has: of SQL_ASCII texts would come as bytes
        options=f"-c statement_timeout={limit_ms} -c default_transaction_read_only=on",
    )


def _hang_up(connection: psycopg.AsyncConnection[Any]) -> None:
    """Shut the socket down under the connection: whoever waits on it wakes up, and no packet needs an answer."""
    try:
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as sock:
            sock.shutdown(socket.SHUT_RDWR)
    except Exception:
        return  # it is closed already


def _first_line(error: Exception) -> str:
    """libpq's message without its preamble and advice."""
    lines = [
        line for line in str(error).strip().splitlines() if line.strip() and not line.startswith(("\t", "LINE", " "))
    ]
    return (lines or [type(error).__name__])[-1].rpartition(" failed: ")[2]


def _meaning(error: psycopg.Error, where: str) -> Silence | Refusal:
    """libpq has words only. What is not known to be silence was said by somebody."""
    text = str(error).strip()
    low = text.lower()
    if any(
        word in low for word in ("no route to host", "network is unreachable", "timed out", "timeout", "host is down")
    ):
        return Silence(f"{where}: {_first_line(error)}")
    return Refusal(f"{where}: {_first_line(error)}")


def data_age_s(state: State) -> float | None:
    """Upper bound of the age of the data that would survive here; None if nothing vouches for any."""
    if not state.standby:
        return 0.0
    ahead_s = 0.0
    if state.message_sent_at is not None and state.message_received_at is not None:
        ahead_s = max(0.0, state.message_sent_at - state.message_received_at)
    moments = []
    if (
        state.receiver == "streaming"
        and state.flushed is not None
        and state.primary_end is not None
        and state.flushed >= state.primary_end
        and state.message_sent_at is not None
        and state.message_received_at is not None
    ):
        moments.append(min(state.message_sent_at, state.message_received_at))
    if state.replayed_at is not None:
        moments.append(state.replayed_at - ahead_s)
    return max(0.0, state.now - max(moments)) if moments else None


def _measures(state: State) -> dict[str, float]:
    measures = {"rtt_s": state.rtt_s}
    age_s = data_age_s(state)
    if age_s is not None:
        measures["data_age_s"] = age_s
    if not state.standby:
        return measures
    ends = [lsn for lsn in (state.received, state.primary_end) if lsn is not None]
    if ends and state.replayed is not None:
        measures["lag_bytes"] = max(0.0, max(ends) - state.replayed)
        if not measures["lag_bytes"] and age_s is not None:
            measures["lag_s"] = age_s
        elif state.replayed_at is not None:
            measures["lag_s"] = max(0.0, state.now - state.replayed_at)
    return measures


def judge(options: PostgresOptions, state: State) -> Judged:
    """Role, then streaming, then lag, then the author's query."""
    measures = _measures(state)
    role = "standby" if state.standby else "primary"
    seen = role
    if state.standby:
        streams = "streaming" if state.receiver == "streaming" else "not streaming"
        seen += ", whether it streams is not known (that needs pg_monitor)" if state.hidden else f", {streams}"
        age_s = measures.get("data_age_s")
        seen += ", age of data unknown" if age_s is None else f", data {show_duration(age_s)} old"

    def bad(why: str) -> Judged:
        return Judged(Answer.BAD, measures, f"{seen}: {why}")

    if options.role not in ("any", role):
        return bad(f"expected {options.role}")
    if options.streaming and state.hidden:
        return Judged(Answer.NONE, measures, seen)
    if options.streaming and state.receiver != "streaming":
        return bad("expected to be streaming")
    if options.max_lag is not None:
        age_s = measures.get("data_age_s")
        if age_s is None or (state.hidden and age_s > options.max_lag):  # a bound, and a better one may be hidden
            return Judged(Answer.NONE, measures, f"{seen}: max_lag cannot be judged")
        if age_s > options.max_lag:
            return bad(f"more than {show_duration(options.max_lag)}")
    if options.max_lag_bytes is not None and state.standby:
        lag_bytes = measures.get("lag_bytes")
        if lag_bytes is None:
            return Judged(Answer.NONE, measures, f"{seen}: max_lag_bytes cannot be judged")
        if lag_bytes > options.max_lag_bytes:
            return bad(f"{lag_bytes:.0f} bytes behind, more than {options.max_lag_bytes}")
    if options.expect is not None and state.value != options.expect:
        return bad(f"the query says {state.value!r}, expected {options.expect!r}")
    return Judged(Answer.GOOD, measures, seen)


def invent(options: PostgresOptions, so: bool, measures: Mapping[str, float]) -> State | Refusal:
    """The database as it should be; else with another value, not streaming, too far behind, or in the other role.

    A given `data_age_s` is never understated: a standby is not turned into a primary, which misses nothing.
    """
    if so:
        return _primary(options, measures) if options.role == "primary" else _standby(options, measures)
    refused = Refusal(f"{options.target} port {options.port}: the database system is starting up")
    return first_judged(judge, options, Answer.BAD, _not_so(options, measures)) or refused


def _not_so(options: PostgresOptions, measures: Mapping[str, float]) -> Iterator[State]:
    if options.role == "primary":
        yield _standby(options, measures)
        return
    right = _standby(options, measures)
    yield replace(right, value=f"not {options.expect}")
    yield replace(right, receiver=None)
    if options.max_lag is not None and not {"data_age_s", "lag_s"} & set(measures):
        yield _standby(options, {**measures, "data_age_s": 2 * options.max_lag + 60.0})
    if options.max_lag_bytes is not None and "lag_bytes" not in measures:
        yield _standby(options, {**measures, "lag_bytes": 2.0 * options.max_lag_bytes + 1024.0})
    if not measures.get("data_age_s", measures.get("lag_s", 0.0)):
        yield _primary(options, measures)


def _primary(options: PostgresOptions, measures: Mapping[str, float]) -> State:
    return State(standby=False, now=0.0, rtt_s=measures.get("rtt_s", 0.0), value=options.expect)


def _standby(options: PostgresOptions, measures: Mapping[str, float]) -> State:
    """One that measures this. Its clock stands at 0, so that no digit of an age is lost.

    An age that is neither given nor asked for is not measured; a reader's lag (`lag_s`) is at least the data's age.
    """
    age_s = measures.get("data_age_s", measures.get("lag_s", None if options.max_lag is None else 0.0))
    behind_bytes = measures.get("lag_bytes", None if options.max_lag_bytes is None else 0.0)
    lag_s = measures.get("lag_s")
    if lag_s is not None and behind_bytes is None:
        behind_bytes = 0.0 if age_s is not None and lag_s <= age_s else 1.0  # it lags: something is not replayed yet
    state = State(
        standby=True,
        now=0.0,
        rtt_s=measures.get("rtt_s", 0.0),
        receiver="streaming",
        received=behind_bytes,
        replayed=None if behind_bytes is None else 0.0,
        value=options.expect,
    )
    if age_s is None:
        return state
    return replace(
        state,
        replayed_at=-max(age_s, lag_s or 0.0),
        flushed=behind_bytes or 0.0,
        primary_end=behind_bytes or 0.0,
        message_sent_at=-age_s,
        message_received_at=-age_s,
    )


KIND = Kind("postgres", PostgresOptions, ask, State, judge, invent, grace_s=1.0, imports=("psycopg", "psycopg.rows"))
