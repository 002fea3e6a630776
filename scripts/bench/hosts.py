"""Small hosts on one wire, each with a network and a PID namespace: to be cut off and to lose their power.

The one rule it keeps: a power cut says nothing. The cable goes first, then everything on the host at once, so that the
kernel's farewells (it closes what a dead process had open) reach nobody.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class Wire:
    """A bridge and its hosts, at `prefix`.1, .2, … in the order of their names; the bench itself is at .254."""

    def __init__(self, name: str, prefix: str, hosts: Sequence[str]) -> None:
        self.name = name
        self.prefix = prefix
        self.addresses = {host: f"{prefix}.{number}" for number, host in enumerate(hosts, start=1)}
        self._first: dict[str, subprocess.Popen[bytes]] = {}

    def build(self) -> None:
        """Namespaces and cables; every host has power."""
        _ip("link", "add", self.name, "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
        _ip("link", "set", self.name, "up")
        _ip("address", "add", f"{self.prefix}.254/24", "dev", self.name)
        for host, address in self.addresses.items():
            space = self._space(host)
            _ip("netns", "add", space)
            _ip("link", "add", space, "type", "veth", "peer", "name", "eth", "netns", space)
            _ip("link", "set", space, "master", self.name, "up")
            _ip("-n", space, "link", "set", "lo", "up")
            _ip("-n", space, "link", "set", "eth", "up")
            _ip("-n", space, "address", "add", f"{address}/24", "dev", "eth")
            self.give_power(host)

    def give_power(self, host: str) -> None:
        """A host without processes but its first; its cable is in."""
        _ip("link", "set", self._space(host), "master", self.name)
        isolated = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        argv = [
            "ip",
            "netns",
            "exec",
            self._space(host),
            *isolated,
            "sh",
            "-c",
            "trap : CHLD; echo; exec sleep infinity",
        ]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        self._first[host] = process
        if process.stdout is None or not process.stdout.readline():
            raise RuntimeError(f"host {host} does not start")
        process.stdout.close()

    def start(
        self, host: str, argv: Sequence[str | Path], log: Path, environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start a program on a host."""
        inside = Path(f"/proc/{self._first[host].pid}/task/{self._first[host].pid}/children").read_text().split()
        enter = ["nsenter", f"--target={inside[0]}", "--pid", "--net", "--mount"]
        with log.open("ab") as output:
            return subprocess.Popen([*enter, *argv], stdout=output, stderr=output, env={**os.environ, **environment})

    def cut_power(self, host: str) -> None:
        """Cable and everything that runs."""
        _ip("link", "set", self._space(host), "nomaster")
        self._first[host].send_signal(signal.SIGKILL)
        self._first[host].wait()

    def take_down(self) -> None:
        """All of it."""
        for process in self._first.values():
            process.kill()
            process.wait()
        for host in self.addresses:
            _ip("netns", "delete", self._space(host))
        _ip("link", "delete", self.name)

    def _space(self, host: str) -> str:
        return f"{self.name}-{host}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
