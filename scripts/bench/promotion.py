"""The primary's power is cut: how long until the standby takes writes, and nothing acknowledged is lost.

Patroni with etcd on three hosts, with its defaults and tuned to the smallest lease that it accepts; ours on the lab, as
its workspace has it, and with a detection as slow as Patroni's tuned lease. The one rule it keeps: the time is that of
a writer, who tries to commit at the standby every 50 ms; and every row that the primary had acknowledged is looked for.

They are not the same thing. Patroni also carries consensus: no controller of it can be lost. Ours fences the site
through its console first, and then starts the application and moves the name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from statistics import median

from orchestrator.lab.programs import postgres_setup
from orchestrator.lab.system import home
from scripts.bench import promotion_ours
from scripts.bench.cell import Cell
from scripts.bench.patroni import DEFAULTS, PASSWORD, TUNED, UID, Cluster, Lease
from scripts.bench.people import know
from scripts.bench.rounds import in_turns
from scripts.bench.shape import Comparison, Row
from scripts.bench.tables import shown

BEAT_S = 0.05
PROMOTED_S = 150.0
AS_SLOW = "bascule, detection as slow as that (1 s, fall 20)"
OURS = {"bascule, the lab's checks (1 s, fall 3)": promotion_ours.AS_IT_IS, AS_SLOW: promotion_ours.SLOW}


def measure(cell: Cell) -> Iterator[Comparison]:
    """In turns; Patroni's two clusters stand all the while, ours is built anew each round."""
    know(cell.directory, f"postgres:x:{UID}:{UID}::{cell.directory}:/bin/sh")
    programs = postgres_setup.prepare(home() / ".bascule-cache" / "postgresql") / "programs"
    leases = {name_of(TUNED): TUNED} if cell.quick else {name_of(DEFAULTS): DEFAULTS, name_of(TUNED): TUNED}
    clusters = {
        name: Cluster(cell.directory, programs, f"p{number}", f"10.98.{number}", lease)
        for number, (name, lease) in enumerate(leases.items())
    }
    try:
        for cluster in clusters.values():
            cluster.start()
        contenders = {name: partial(_of_patroni, cluster) for name, cluster in clusters.items()}
        users: dict[str, list[float]] = {}
        lost: list[int] = []
        for name, changes in OURS.items():
            contenders[name] = partial(_of_ours, changes, users.setdefault(name, []), lost)
        values = in_turns(contenders, cell.rounds(3, 1), warm=0, say=cell.say)
    finally:
        for cluster in clusters.values():
            cluster.wire.take_down()
    yield Comparison(
        "promotion",
        "primary's power cut, until the standby takes writes",
        tuple(Row(name, found) for name, found in values.items()),
        ((AS_SLOW, name_of(TUNED)),),
        note=f"Acknowledged rows lost: Patroni 0 (a round that loses one is no round), bascule {sum(lost)} in "
        f"{len(lost)} rounds. Patroni also carries consensus; bascule also fences the site through its console. "
        "Its end users' transactions succeed again, the application started there and the name moved, after "
        + ", ".join(f"{shown(median(found))} s ({name})" for name, found in users.items())
        + ".",
    )


def name_of(lease: Lease) -> str:
    """As the tables have it."""
    return f"Patroni with etcd, ttl {lease.ttl_s} s, loop {lease.loop_s} s"


def _of_ours(changes: Mapping[str, Mapping[str, object]], users: list[float], lost: list[int]) -> float:
    """One cut on a lab of its own."""
    written_s, back_s, rows = promotion_ours.once(changes)
    users.append(back_s)
    lost.append(rows)
    return written_s


def _of_patroni(cluster: Cluster) -> float:
    """One cut. The host comes back afterwards, as a standby."""
    old = cluster.primary()
    new = "b" if old == "a" else "a"
    with _writer(cluster.wire.addresses[old]) as acknowledged:
        time.sleep(1.0)
        cut_s = time.time()
        cluster.wire.cut_power(old)
        taken_s, found = _first_write(cluster.wire.addresses[new], PROMOTED_S)
    lost = set(acknowledged) - found
    if lost or len(acknowledged) < 5:
        raise RuntimeError(f"{len(lost)} of {len(acknowledged)} acknowledged rows were lost")
    cluster.bring_back(old)
    return taken_s - cut_s


def _conninfo(address: str) -> str:
    return (
        f"host={address} dbname=postgres user=postgres password={PASSWORD} connect_timeout=2 "
        "tcp_user_timeout=1000 keepalives_idle=1"
    )


@contextmanager
def _writer(address: str) -> Iterator[list[int]]:
    """Commits a row every beat until it cannot; the numbers that were acknowledged."""
    import psycopg

    acknowledged: list[int] = []
    over = threading.Event()

    def write() -> None:
        try:
            with psycopg.connect(_conninfo(address), autocommit=True) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS written (id bigint PRIMARY KEY)")
                while not over.is_set():
                    number = time.time_ns()
                    connection.execute("INSERT INTO written VALUES (%s)", (number,))
                    acknowledged.append(number)
                    time.sleep(BEAT_S)
        except psycopg.Error:
            pass  # its power is gone

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield acknowledged
    finally:
        over.set()
        thread.join(10)


def _first_write(address: str, limit_s: float) -> tuple[float, set[int]]:
    """When the first row was committed there (epoch seconds), and the rows that are there."""
    import psycopg

    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        try:
            with psycopg.connect(_conninfo(address), autocommit=True) as connection:
                while True:
                    try:
                        connection.execute("INSERT INTO written VALUES (%s)", (time.time_ns(),))
                        taken_s = time.time()
                        return taken_s, {number for (number,) in connection.execute("SELECT id FROM written")}
                    except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.UndefinedTable):
                        if time.monotonic() > until:
                            break
                        time.sleep(BEAT_S)
        except psycopg.OperationalError:
            time.sleep(BEAT_S)
    raise TimeoutError(f"{address} took no write within {limit_s:.0f} s")
