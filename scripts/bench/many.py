"""A workspace with any number of checks and services, and a real daemon on it, for measurements of growth.

The one rule it keeps: nothing in it is special. Checks, inventory and services are files as a user would write them,
and the daemon is the one that a user starts.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.lab.system import home
from scripts.bench import cpu


def address(number: int, net: int = 10) -> str:
    """One of 60,000 loopback addresses of a net."""
    return f"127.{net + number // 60000}.{number // 240 % 250}.{1 + number % 240}"


@dataclass(frozen=True, slots=True)
class Mix:
    """How many checks of each kind."""

    icmp: int = 0
    tcp: int = 0
    http: int = 0

    @property
    def checks(self) -> int:
        """All of them."""
        return self.icmp + self.tcp + self.http


def write_workspace(where: Path, mix: Mix, ports: Mapping[str, int], *, every: str = "", more: str = "") -> None:
    """Checks on hosts of an inventory: ICMP each second, TCP every 5 s, HTTP every 10 s (or all at `every`)."""
    for name in ("checks", "inventories/bench", "playbooks"):
        (where / name).mkdir(parents=True, exist_ok=True)
    groups = {kind: count for kind, count in (("icmp", mix.icmp), ("tcp", mix.tcp), ("http", mix.http)) if count}
    hosts: dict[str, Any] = {"all": {"children": {}}}
    number = 0
    for kind, count in groups.items():
        named = {}
        for _ in range(count):
            named[f"{kind}{number}"] = {"ansible_host": address(number)}
            number += 1
        hosts["all"]["children"][f"by_{kind}"] = {"hosts": named}
    (where / "inventories/bench/hosts.yml").write_text(json.dumps(hosts))
    asked = {
        "icmp": f"- {{name: ping, hosts: by_icmp, probe: icmp, every: {every or '1s'}}}\n",
        "tcp": f"- {{name: port, hosts: by_tcp, probe: tcp, port: {ports['tcp']}, every: {every or '5s'}}}\n",
        "http": f"- {{name: page, hosts: by_http, probe: http, every: {every or '10s'}, "
        f'url: "http://{{{{ ansible_host }}}}:{ports["http"]}/"}}\n',
    }
    reference = "- {name: sees, probe: icmp, target: 127.0.0.1, reference: true}\n"
    (where / "checks/all.yml").write_text(reference + "".join(asked[kind] for kind in groups) + more)
    (where / "inventories/bench/services.yml").write_text("services: {}\n")


class Daemon:
    """A running `bascule daemon`."""

    def __init__(self, workspace: Path, log: Path) -> None:
        self.workspace = workspace
        self.log = log
        environment = {**os.environ, "PYTHONPATH": str(home())}
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "orchestrator.cli.main",
                    "daemon",
                    "--workspace",
                    str(workspace),
                    "--log",
                    "json",
                ],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    def wait_until_up(self, within_s: float = 300.0) -> float:
        """Until it asks; how long that took."""
        began = time.monotonic()
        while time.monotonic() - began < within_s:
            if self.process.poll() is not None:
                raise RuntimeError(f"the daemon ended: {self.log.read_text()[-2000:]}")
            if "daemon is up" in self.log.read_text(errors="replace"):
                return time.monotonic() - began
            time.sleep(0.05)
        raise RuntimeError(f"the daemon was not up within {within_s:.0f} s")

    def cpu_s(self) -> float:
        """CPU seconds so far, without those of the processes that it has started."""
        return cpu.of_processes([self.process.pid])

    def memory_mib(self) -> float:
        """Memory of its own, in MiB."""
        return cpu.resident_mib(self.process.pid)

    def asking(self) -> dict[str, Any]:
        """How the schedule is kept, as `bascule status --json` tells it."""
        from orchestrator.daemon.address import where_to_speak
        from orchestrator.daemon.client import ask

        told: Any = ask(where_to_speak(self.workspace), {"op": "status"}, timeout_s=10.0)["status"]
        return dict(told["asking"])

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def daemon_on(workspace: Path) -> Iterator[Daemon]:
    """A daemon for as long as the block lasts."""
    running = Daemon(workspace, workspace / "daemon.log")
    try:
        yield running
    finally:
        running.stop()


def verdicts_down(workspace: Path) -> int:
    """How many verdicts of down stand in the journal."""
    from orchestrator.journal.stores import read_journal

    journal = read_journal(workspace)
    if journal is None:
        return 0
    try:
        found = 0
        for entry in journal.entries():
            for record in entry.records:
                found += getattr(record, "verdict", None) == "down"
        return found
    finally:
        journal.close()
