"""Real parts on loopback: programs as processes, a PostgreSQL primary and its standby, the cloud."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.lab.programs import cloud, postgres_setup
from tests.ports import free_port
from tests.tied import tied


def wait_until(question: Callable[[], object], what: str, limit_s: float = 60.0) -> None:
    """Ask until the answer is true; `what` is said when it never is."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if question():
            return
        time.sleep(0.05)
    pytest.fail(f"not within {limit_s:g} s: {what}")


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        with socket.create_connection(("127.0.0.1", port), 0.5):
            return True
    except OSError:
        return False


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """Its body as JSON."""
        return json.loads(self.body)


def http(method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None) -> Reply:
    """One request; an error status is an answer too."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return Reply(answer.status, dict(answer.headers.items()), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, dict(error.headers.items()), error.read())


class Programs:
    """Starts programs of the lab and ends every one of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a command line as it stands."""
        log = self._stack.enter_context((self._directory / f"{time.monotonic_ns()}.log").open("wb"))
        process = subprocess.Popen([*tied(), *argv], stdout=log, stderr=log)
        self._stack.callback(end, process)
        return process

    def close(self) -> None:
        """End them all."""
        self._stack.close()


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """End a process and wait for it."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """A starter of programs."""
    starter = Programs(tmp_path)
    yield starter
    starter.close()


@pytest.fixture(scope="session")
def room() -> Iterator[Path]:
    """A directory that the user postgres can walk into (pytest's own is closed)."""
    if os.geteuid() != 0:
        pytest.skip("PostgreSQL is started as a user of its own: needs root")
    directory = Path(tempfile.mkdtemp(prefix="bascule-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def made(room: Path) -> Path:
    """The prepared clusters."""
    return postgres_setup.prepare(room / "cache")


@dataclass
class Cluster:
    """One PostgreSQL on loopback."""

    made: Path
    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def bin(self) -> Path:
        """The programs."""
        return self.made / "programs" / "bin"

    @property
    def sockets(self) -> Path:
        """Where its Unix socket is."""
        return self.data.parent

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = (self.data.parent / "log").open("ab")
        self.process = subprocess.Popen(
            (
                *tied(),
                self.bin / "postgres",
                "-D",
                self.data,
                "-p",
                str(self.port),
                "-c",
                f"unix_socket_directories={self.sockets}",
            ),
            stdout=log,
            stderr=log,
            user=postgres_setup.USER_ID,
            group=postgres_setup.GROUP_ID,
            extra_groups=[],
            cwd="/",
        )
        log.close()
        wait_until(lambda: self.ask("SELECT 1") == "1", f"PostgreSQL at {self.data}")

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it: SIGINT is the fast stop, SIGQUIT leaves as a crash does."""
        if self.process is not None:
            end(self.process, number)
            self.process = None

    def ask(self, statement: str, database: str = "postgres") -> str:
        """One answer, as the superuser; empty when there is none."""
        command = (self.bin / "psql", "-XAtq", "-h", self.sockets, "-p", str(self.port), "-U", "postgres", database)
        return subprocess.run((*command, "-c", statement), capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture
def cluster(made: Path, room: Path) -> Iterator[Callable[[postgres_setup.Kind], Cluster]]:
    """Makes clusters, stopped at the end."""
    clusters: list[Cluster] = []

    def make(kind: postgres_setup.Kind) -> Cluster:
        home = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=room))
        postgres_setup.install(made, kind, home / "data")
        home.chmod(0o755)
        clusters.append(Cluster(made, home / "data", free_port()))
        return clusters[-1]

    yield make
    for each in clusters:
        each.stop()
        shutil.rmtree(each.data.parent)


@pytest.fixture
def python() -> str:
    """The interpreter that runs the programs."""
    return sys.executable


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A seeded cloud's URL; its hypervisor finds no power process."""
    starter = Programs(tmp_path_factory.mktemp("cloud"))
    port = free_port()
    starter.start(*cloud.argv(sys.executable, listen="127.0.0.1", port=port, socket="/nonexistent/power.sock"))
    wait_until(lambda: listens(port), "the cloud listens")
    yield f"http://127.0.0.1:{port}"
    starter.close()
