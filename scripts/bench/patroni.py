"""A Patroni cluster: PostgreSQL on two hosts, etcd on these and on a third one.

The one rule it keeps: it is set up as its own documentation has it, with replication that loses nothing that was
acknowledged (`synchronous_mode`). Only the three times of its lease differ.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.bench import peers
from scripts.bench.hosts import Wire

PASSWORD = "of-the-bench"  # noqa: S105
UID = 990
READY_S = 120.0


@dataclass(frozen=True, slots=True)
class Lease:
    """Patroni's `ttl`, `loop_wait` and `retry_timeout`, in seconds."""

    ttl_s: int
    loop_s: int
    retry_s: int


DEFAULTS = Lease(30, 10, 10)
TUNED = Lease(20, 1, 3)  # the smallest that Patroni accepts


class Cluster:
    """Started with `start`; `wire` tells its addresses."""

    def __init__(self, directory: Path, programs: Path, name: str, prefix: str, lease: Lease) -> None:
        self.wire = Wire(name, prefix, ("a", "b", "c"))
        self._directory = directory / name
        self._programs = programs
        self._lease = lease

    def start(self) -> None:
        """Until a primary has a synchronous standby. Raises TimeoutError."""
        self._directory.mkdir()
        self.wire.build()
        for host in self.wire.addresses:
            (self._directory / host).mkdir()
            os.chown(self._directory / host, UID, UID)
        self._start_etcd("new", *self.wire.addresses)
        self._start_patroni("a")
        self._wait(lambda: self.primary() == "a", "a primary")
        self._start_patroni("b")
        self.settle()

    def bring_back(self, host: str) -> None:
        """Give a host its power again, and start on it what had run there."""
        self.wire.give_power(host)
        self._start_etcd("existing", host)
        self._start_patroni(host)
        self.settle()

    def settle(self) -> None:
        """Wait until the other one is a synchronous standby, and etcd is whole."""
        self._wait(lambda: "sync_standby" in self._roles().values(), "a synchronous standby")

    def primary(self) -> str:
        """Its host; empty if there is none."""
        return next((host for host, role in self._roles().items() if role in ("leader", "master", "primary")), "")

    def _roles(self) -> dict[str, str]:
        for host in ("a", "b"):
            try:
                url = f"http://{self.wire.addresses[host]}:8008/cluster"
                members = self._ask(url)["members"]
            except (OSError, ValueError):
                continue
            return {m["name"]: m["role"] for m in members if m.get("state") in ("running", "streaming")}
        return {}

    def _ask(self, url: str) -> dict[str, Any]:
        """The bench is on the wire too."""
        with urllib.request.urlopen(url, timeout=1) as reply:  # noqa: S310
            told: dict[str, Any] = json.load(reply)
            return told

    def _start_etcd(self, state: str, *hosts: str) -> None:
        peers_of_it = ",".join(f"{host}=http://{address}:2380" for host, address in self.wire.addresses.items())
        for host in hosts:
            address = self.wire.addresses[host]
            options = {
                "name": host,
                "data-dir": str(self._directory / host / "etcd"),
                "listen-client-urls": f"http://{address}:2379",
                "advertise-client-urls": f"http://{address}:2379",
                "listen-peer-urls": f"http://{address}:2380",
                "initial-advertise-peer-urls": f"http://{address}:2380",
                "initial-cluster": peers_of_it,
                "initial-cluster-state": state,
                "logger": "zap",
            }
            argv = [str(peers.program("etcd")), *(f"--{name}={value}" for name, value in options.items())]
            self.wire.start(host, argv, self._directory / f"{host}.etcd.log", {})

    def _start_patroni(self, host: str) -> None:
        file = self._directory / f"{host}.yml"
        file.write_text(yaml.safe_dump(self._described(host), sort_keys=False))
        file.chmod(0o644)
        # PostgreSQL refuses root, and a Python below a home directory is closed to others.
        drop = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
        drop += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        argv = [*drop, str(peers.program("patroni")), str(file)]
        home = str(self._directory / host)
        self.wire.start(host, argv, self._directory / f"{host}.patroni.log", {"HOME": home})

    def _described(self, host: str) -> dict[str, Any]:
        address = self.wire.addresses[host]
        lease = {"ttl": self._lease.ttl_s, "loop_wait": self._lease.loop_s, "retry_timeout": self._lease.retry_s}
        return {
            "scope": "bench",
            "name": host,
            "restapi": {"listen": f"{address}:8008", "connect_address": f"{address}:8008"},
            "etcd3": {"hosts": [f"{each}:2379" for each in self.wire.addresses.values()]},
            "bootstrap": {
                "dcs": {
                    **lease,
                    "synchronous_mode": True,
                    "postgresql": {"use_pg_rewind": True, "parameters": {"shared_buffers": "32MB"}},
                },
                "initdb": ["data-checksums", {"encoding": "UTF8"}, {"locale": "C"}],
            },
            "postgresql": {
                "listen": f"{address}:5432",
                "connect_address": f"{address}:5432",
                "data_dir": str(self._directory / host / "data"),
                "bin_dir": str(self._programs / "bin"),
                "pgpass": str(self._directory / host / "pgpass"),
                "pg_hba": ["local all all trust", "host all all 0.0.0.0/0 md5", "host replication all 0.0.0.0/0 md5"],
                "parameters": {"unix_socket_directories": str(self._directory / host), "jit": "off"},
                "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True,
                "authentication": {
                    "superuser": {"username": "postgres", "password": PASSWORD},
                    "replication": {"username": "replicator", "password": PASSWORD},
                    "rewind": {"username": "rewinder", "password": PASSWORD},
                },
            },
        }

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + READY_S
        while not condition():
            if time.monotonic() > until:
                logs = "\n".join(
                    f"{path.name}: {path.read_text(errors='replace')[-600:]}" for path in self._directory.glob("*.log")
                )
                raise TimeoutError(f"waited {READY_S:.0f} s for {what}: {logs}")
            time.sleep(0.2)
