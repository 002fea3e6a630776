"""The application against a real PostgreSQL: what it says is true, and it comes back by itself."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.lab.programs import erp
from orchestrator.lab.programs.postgres_setup import ERP_PASSWORD, Kind
from tests.ports import free_port

from .conftest import Cluster, Programs, http, listens, wait_until

Make = Callable[[Kind], Cluster]


def settings(directory: Path, port: int, served_by: str = "hq") -> Path:
    """An erp.env."""
    path = directory / f"erp-{served_by}.env"
    password = f"DATABASE_PASSWORD='{ERP_PASSWORD}'\n"
    path.write_text(f"# lab\nDATABASE_HOST=127.0.0.1\nDATABASE_PORT={port}\n{password}SERVED_BY={served_by}\n")
    return path


@pytest.fixture
def primary(cluster: Make) -> Cluster:
    """A running primary."""
    made = cluster("primary")
    made.start()
    return made


@pytest.fixture
def app(primary: Cluster, programs: Programs, tmp_path: Path, python: str) -> str:
    """The application's URL."""
    port = free_port()
    file = settings(tmp_path, primary.port)
    programs.start(*erp.argv(python, settings=str(file), listen="127.0.0.1", ports=(port,)))
    wait_until(lambda: listens(port), "the application listens")
    return f"http://127.0.0.1:{port}"


def posted(app: str, identity: str) -> int:
    """The status of one transaction."""
    return http("POST", f"{app}/transactions", {"id": identity}).status


def test_what_was_acknowledged_is_committed(app: str, primary: Cluster) -> None:
    since = time.time()
    reply = http("POST", f"{app}/transactions", {"id": "a/1"})
    assert (reply.status, reply.headers["X-Served-By"]) == (201, "hq")
    assert primary.ask("SELECT id, served_by FROM transactions", "erp") == "a/1|hq"
    assert posted(app, "a/1") == 201, "the same id again is no fault"
    assert primary.ask("SELECT count(*) FROM transactions", "erp") == "1"
    read = http("GET", f"{app}/transactions/a%2F1")
    assert read.status == 200
    assert http("GET", f"{app}/transactions/nobody").status == 404
    assert http("GET", f"{app}/transactions?since={since - 5:.3f}").json() == {"ids": ["a/1"]}
    assert http("GET", f"{app}/transactions?since={since + 60:.3f}").json() == {"ids": []}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"id": 7}', b'{"id": ""}', b'{"id": "\\u0000"}', b"{"])
def test_a_bad_body_is_refused(app: str, body: bytes) -> None:
    assert http("POST", f"{app}/transactions", body).status == 400


def test_health_writes_and_reads_back(app: str, primary: Cluster) -> None:
    health = http("GET", f"{app}/health")
    assert health.status == 200
    value = primary.ask("SELECT value FROM heartbeat WHERE served_by = 'hq'", "erp")
    assert health.json() == {"status": "ok", "value": value}
    assert http("GET", f"{app}/ready").json() == {"status": "ready", "database": "primary"}


def test_it_recovers_by_itself_when_the_database_comes_back(app: str, primary: Cluster) -> None:
    assert posted(app, "before") == 201
    primary.stop(signal.SIGQUIT)
    wait_until(lambda: posted(app, "during") == 503, "refused while the database is away")
    began = time.monotonic()
    assert http("GET", f"{app}/health").status == 503
    assert time.monotonic() - began < 0.5, "the refusal is quick"
    primary.start()
    wait_until(lambda: posted(app, "after") == 201, "served again", 15.0)
    assert primary.ask("SELECT count(*) FROM transactions WHERE id IN ('before', 'after')", "erp") == "2"


def test_a_database_that_hangs_costs_a_second_and_no_more(app: str, primary: Cluster) -> None:
    assert posted(app, "before") == 201
    assert primary.process is not None
    group = subprocess.run(("ps", "-o", "pid=", "--ppid", str(primary.process.pid)), capture_output=True, text=True)
    pids = [primary.process.pid, *map(int, group.stdout.split())]
    for pid in pids:
        subprocess.run(("kill", "-STOP", str(pid)), check=False)
    try:
        began = time.monotonic()
        assert posted(app, "hanging") in {503, 504}
        assert time.monotonic() - began < 2.0
        assert posted(app, "next") in {503, 504}
    finally:
        for pid in pids:
            subprocess.run(("kill", "-CONT", str(pid)), check=False)
    wait_until(lambda: posted(app, "after") == 201, "served again", 15.0)


def test_its_table_is_made_on_a_primary_without_one(app: str, primary: Cluster) -> None:
    primary.ask("DROP TABLE transactions", "erp")
    wait_until(lambda: posted(app, "first") == 201, "the table is made again", 15.0)


def test_a_standby_is_read_and_says_why_it_cannot_be_written(
    cluster: Make, primary: Cluster, programs: Programs, tmp_path: Path, python: str
) -> None:
    standby = cluster("standby")
    conninfo = f"host=127.0.0.1 port={primary.port} user=replicator passfile={standby.data.parent}/.pgpass"
    (standby.data / "postgresql.auto.conf").write_text(f"primary_conninfo = '{conninfo}'\n")
    standby.start()
    port = free_port()
    app = f"http://127.0.0.1:{port}"
    file = settings(tmp_path, standby.port, "geo")
    programs.start(*erp.argv(python, settings=str(file), listen="127.0.0.1", ports=(port,)))
    wait_until(lambda: listens(port), "the application listens")
    refusal = http("POST", f"{app}/transactions", {"id": "x"})
    assert refusal.status == 503
    assert b"is a standby" in refusal.body
    assert http("GET", f"{app}/ready").json() == {"status": "ready", "database": "standby"}
    primary.ask("INSERT INTO transactions (id, served_by) VALUES ('streamed', 'hq')", "erp")
    wait_until(lambda: http("GET", f"{app}/transactions/streamed").status == 200, "the standby follows")
    assert standby.ask("SELECT pg_promote()") == "t"
    wait_until(lambda: posted(app, "x") == 201, "served after the promotion, with no restart", 15.0)


def ready(python: str, file: Path) -> tuple[int, str]:
    """What `--ready` says."""
    done = subprocess.run(erp.ready_argv(python, settings=str(file)), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_ready_answers_without_serving(primary: Cluster, tmp_path: Path, python: str) -> None:
    assert ready(python, settings(tmp_path, primary.port)) == (
        0,
        f"ready: database 127.0.0.1:{primary.port} is a primary\n",
    )
    code, words = ready(python, settings(tmp_path, free_port()))
    assert code == 1
    assert "refused" in words
    code, words = ready(python, tmp_path / "missing.env")
    assert (code, words) == (1, f"not ready: {tmp_path}/missing.env: No such file or directory\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("DATABASE_HOST\n", ":1: expected NAME=VALUE"),
        ("DATABASE_HOST=h\nSERVED_BY=\n", "DATABASE_PASSWORD, SERVED_BY not set"),
        ("DATABASE_HOST=h\nDATABASE_PASSWORD=p\nSERVED_BY=s\nDATABASE_PORT=x\n", "DATABASE_PORT='x': expected a port"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "erp.env"
    file.write_text(text)
    with pytest.raises(erp.SettingsError) as caught:
        erp.read_settings(file)
    assert words in str(caught.value)
