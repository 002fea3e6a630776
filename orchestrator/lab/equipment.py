"""What runs on each host, and the files that belong to it: it connects `programs` with the topology.

A host's own files are all here, as text. Only `disk` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from orchestrator.lab.service import Service
from orchestrator.lab.topology import CONSOLES, HOSTS, HYPERVISOR, INSTANCE, SCRATCH

PYTHON: Final = "/opt/lab/venv/bin/python"
API: Final = "http://198.51.100.34:5000"
POWER_SOCKET: Final = "/run/lab/power.sock"
# The lab's passwords protect nothing outside it; its inventory keeps the same ones in a vaulted file.
DATABASE_PASSWORD: Final = "erp-of-the-lab"  # noqa: S105
REPLICATION_PASSWORD: Final = "replicator-of-the-lab"  # noqa: S105
VAULT_PASSWORD: Final = "vault-of-the-lab"  # noqa: S105
POSTGRES_ID: Final = 990

DATABASES: Final[dict[str, Literal["primary", "standby", "empty"]]] = {
    "hq-db": "primary",
    "geo-db": "standby",
    "cloud-app": "empty",
    "cloud-drill": "empty",
}
_ERP: Final[dict[str, tuple[str, str, int]]] = {  # host: served by, its database, port
    "hq-app": ("hq", "10.10.0.20", 8080),
    "geo-app": ("geo", "10.20.0.20", 8080),
    "cloud-app": ("cloud", "127.0.0.1", 80),
}


@dataclass(frozen=True)
class File:
    """A file on a host: text, mode, numeric owner."""

    text: str
    mode: int = 0o644
    owner: int = 0


def _program(name: str, program: str, *arguments: str, enabled: bool = True) -> Service:
    """A service that runs one of the lab's programs."""
    argv = (PYTHON, "-m", f"orchestrator.lab.programs.{program}", *arguments)
    port = int(arguments[arguments.index("--port") + 1]) if "--port" in arguments else None
    return Service(name, argv, env=(("HOME", "/root"), ("LANG", "C.UTF-8")), enabled=enabled, port=port)


def services(host: str) -> tuple[Service, ...]:
    """The services of a host, `enabled` telling which its init starts at boot."""
    found: list[Service] = []
    where: tuple[str, ...]
    if HOSTS[host].ssh:
        found.append(Service("ssh", ("/usr/sbin/sshd", "-D", "-e"), before_start=("mkdir", "-p", "/run/sshd"), port=22))
    if host == "dns":
        zone = ("--zone", "acme.example", "--api", API, "--store", "/var/lib/lab/zone.json")
        found.append(_program("dns", "dns", "--listen", "198.51.100.53", "--port", "53", *zone))
    if host == "www":
        found.append(_program("www", "page", "--listen", "0.0.0.0", "--port", "80", "--served-by", "www"))  # noqa: S104
    if host == "watch":
        log = ("--log", "/var/lib/lab/received.jsonl")
        found.append(_program("receiver", "receiver", "--listen", "0.0.0.0", "--port", "8080", *log))  # noqa: S104
    if host in CONSOLES:
        rest = ("--token-file", "/etc/lab/console-token", "--socket", POWER_SOCKET)
        found.append(_program("console", "console", "--listen", "0.0.0.0", "--port", "8443", *rest))  # noqa: S104
    if host == HYPERVISOR:
        machines = ("--socket", POWER_SOCKET, "--host", INSTANCE, "--scratch", SCRATCH)
        found.append(_program("cloud", "cloud", "--listen", "0.0.0.0", "--port", "5000", *machines))  # noqa: S104
    if host in DATABASES:
        found.append(_postgresql())
        where = ("--api", API, "--bucket", "acme-backups", "--prefix", "erp/", "--host", host)
        pace = ("--every", "5", "--keep", "20", "--programs", "/opt/postgresql/bin")
        # What is restored for a drill is nobody's newest data.
        found.append(_program("backup", "backup", *where, *pace, enabled=host != SCRATCH))
    if host in _ERP:
        where = ("--settings", "/etc/erp/erp.env", "--listen", "0.0.0.0", "--port", str(_ERP[host][2]))  # noqa: S104
        found.append(_program("erp", "erp", *where, enabled=host == "hq-app"))
    if host == "client":
        where = ("http://erp.acme.example/transactions", "--resolver", "198.51.100.53")
        found.append(_program("meter", "meter", "--mode", "transaction", *where, "--log", METER_LOG))
    if host == "hq-user":
        found.append(_program("meter", "meter", "--mode", "fetch", "http://198.51.100.54/", "--log", METER_LOG))
    return tuple(found)


METER_LOG: Final = "/var/lib/lab/meter.jsonl"
METERS: Final = ("client", "hq-user")


def _postgresql() -> Service:
    """PostgreSQL in the foreground; INT is its fast shutdown (TERM would wait for every client to leave)."""
    line = (
        "install -d -o 990 -g 990 /run/postgresql && exec setpriv --reuid=990 --regid=990 --clear-groups "
        "/opt/postgresql/bin/postgres -D /var/lib/postgresql/data"
    )
    environment = (("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8"), ("HOME", "/var/lib/postgresql"))
    shell = ("/bin/sh", "-c", line)
    return Service("postgresql", shell, env=environment, stop_signal="INT", stop_timeout_s=10, port=5432)


def files(host: str, console_token: str) -> dict[str, File]:
    """The files that a host has for what runs on it (ssh keys apart), by absolute path."""
    found: dict[str, File] = {}
    if host in CONSOLES:
        found["/etc/lab/console-token"] = File(console_token + "\n", 0o600)
    if host in _ERP:
        site, database, _ = _ERP[host]
        found["/etc/erp/erp.env"] = File(
            f"DATABASE_HOST={database}\nDATABASE_PORT=5432\nDATABASE_PASSWORD={DATABASE_PASSWORD}\nSERVED_BY={site}\n",
            0o600,
        )
    if host in DATABASES:
        lines = f"*:*:*:replicator:{REPLICATION_PASSWORD}\n*:*:*:erp:{DATABASE_PASSWORD}\n"
        found["/var/lib/postgresql/.pgpass"] = File(lines, 0o600, POSTGRES_ID)
    if host == "noc":
        found["/etc/bascule/console-token"] = File(console_token + "\n", 0o600)
        found["/etc/bascule/vault-password"] = File(VAULT_PASSWORD + "\n", 0o600)
        found["/root/.aws/config"] = File(f"[default]\nregion = us-east-1\nendpoint_url = {API}\n")
        found["/root/.aws/credentials"] = File(
            "[default]\naws_access_key_id = lab\naws_secret_access_key = lab\n", 0o600
        )
    return found
