"""keepalived's VRRP losing its neighbour, adverts 1 s and 0.1 s: a lower bound beside "cut to restored".

It is a simpler job: two routers on one wire, one stops being heard, the other takes its address. Nothing is asked of
what lies beyond the router, so the loss of a provider's path, with the line up, would not be seen at all. The one rule
it keeps: the time is the user's, from the last ping that was answered by the virtual address to the next one.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from scripts.bench import peers
from scripts.bench.cell import Cell
from scripts.bench.rounds import in_turns
from scripts.bench.shape import Comparison, Row

BEAT_S = 0.01
VIRTUAL = "10.99.0.100"
ADVERTS_S = (1.0, 0.1)
RESTORED_S, SETTLED_S = 30.0, 2.5
ECHO, OURS = 8, 77  # the kind of packet, and our id in it

CONFIGURATION = """
global_defs {{
    vrrp_version 3
    script_user root
    enable_script_security
}}
vrrp_instance bench {{
    state {state}
    interface eth
    virtual_router_id 51
    priority {priority}
    advert_int {advert_s}
    virtual_ipaddress {{
        {virtual}/24
    }}
}}
"""


def measure(cell: Cell) -> Iterator[Comparison]:
    """Both intervals in turns, on two wires of their own."""
    with _wire(cell.directory, ADVERTS_S[0]) as slow, _wire(cell.directory, ADVERTS_S[1]) as quick:
        contenders = {name_of(wire.advert_s): wire.lose_neighbour for wire in (slow, quick)}
        values = in_turns(contenders, cell.rounds(15, 3), warm=0, say=cell.say)
    yield Comparison(
        "neighbour",
        "a router's neighbour lost, until its address answers again",
        tuple(Row(name, found) for name, found in values.items()),
        note="A simpler job than cut to restored, and so a lower bound to approach: the loss of a provider's path "
        "behind a neighbour that lives is not noticed by VRRP.",
    )


def name_of(advert_s: float) -> str:
    """As the tables have it."""
    return f"keepalived VRRP, adverts {advert_s:g} s (a simpler job)"


class Wire:
    """Two routers and a user on a bridge."""

    def __init__(self, directory: Path, advert_s: float) -> None:
        self.advert_s = advert_s
        self._name = f"v{round(advert_s * 10)}"
        self._directory = directory / self._name
        self._directory.mkdir()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._beats = self._directory / "beats"

    def build(self) -> None:
        """Namespaces, cables, routers, user."""
        ip("link", "add", self._name, "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
        ip("link", "set", self._name, "up")
        for number, host in enumerate(("a", "b", "user"), start=1):
            space = f"{self._name}-{host}"
            ip("netns", "add", space)
            ip("link", "add", space, "type", "veth", "peer", "name", "eth", "netns", space)
            ip("link", "set", space, "master", self._name, "up")
            for words in (("link", "set", "lo", "up"), ("link", "set", "eth", "up")):
                ip("-n", space, *words)
            ip("-n", space, "address", "add", f"10.99.0.{number}/24", "dev", "eth")
        for host, priority in (("a", 150), ("b", 100)):
            self._start_router(host, priority)
        with self._beats.open("wb") as beats:
            self._start("user", [sys.executable, "-m", "scripts.bench.neighbour", VIRTUAL], beats)
        self._settle()

    def _start_router(self, host: str, priority: int) -> None:
        file = self._directory / f"{host}.conf"
        state = "MASTER" if host == "a" else "BACKUP"
        file.write_text(
            CONFIGURATION.format(state=state, priority=priority, advert_s=f"{self.advert_s:g}", virtual=VIRTUAL)
        )
        argv = [str(peers.program("keepalived")), "--dont-fork", "--log-console", "--vrrp", "-f", str(file)]
        argv += ["-p", str(file.with_suffix(".pid")), "-r", str(file.with_suffix(".vrrp"))]
        with file.with_suffix(".log").open("wb") as log:
            self._start(host, argv, log)

    def _start(self, host: str, argv: list[str], output: object) -> None:
        environment = {**os.environ, **peers.environment()}
        space = ["ip", "netns", "exec", f"{self._name}-{host}"]
        self._processes.append(
            subprocess.Popen([*space, *argv], env=environment, stdout=output, stderr=subprocess.STDOUT)  # type: ignore[call-overload]
        )

    def lose_neighbour(self) -> float:
        """Take the master off the wire, its carrier staying up; seconds without an answer. Then put it back."""
        began_s = time.time()
        ip("link", "set", f"{self._name}-a", "nomaster")
        until = time.monotonic() + RESTORED_S
        while (found := self._outage(began_s)) is None:
            if time.monotonic() > until:
                logs = "".join(path.read_text() for path in self._directory.glob("*.log"))
                raise TimeoutError(f"not restored within {RESTORED_S:.0f} s: {logs[-1000:]}")
            time.sleep(0.1)
        ip("link", "set", f"{self._name}-a", "master", self._name)
        self._settle()
        return found

    def _settle(self) -> None:
        """Wait until the user has had an answer to every ping for a while."""
        until = time.monotonic() + RESTORED_S
        quiet_from = time.monotonic()
        while time.monotonic() - quiet_from < SETTLED_S + 2 * self.advert_s:
            if self._last() < time.time() - 0.3:
                quiet_from = time.monotonic()
            if time.monotonic() > until:
                logs = "".join(path.read_text() for path in self._directory.glob("*.log"))
                raise TimeoutError(f"{VIRTUAL} does not answer: {logs[-1000:]}")
            time.sleep(0.1)

    def _times(self) -> list[float]:
        size = self._beats.stat().st_size // 8
        with self._beats.open("rb") as file:
            file.seek(max(0, size - 6000) * 8)
            data = file.read()
        return [value for (value,) in struct.iter_unpack("d", data[: len(data) // 8 * 8])]

    def _last(self) -> float:
        return max(self._times(), default=0.0)

    def _outage(self, cut_s: float) -> float | None:
        """The longest gap since the cut; None as long as nothing has answered for half a second after it."""
        times = sorted(self._times())
        gaps = [(b - a, b) for a, b in pairwise(times) if b > cut_s and b - a > 5 * BEAT_S]
        if not gaps or times[-1] < max(gaps)[1] + 0.5:
            return None
        return max(gaps)[0]

    def take_down(self) -> None:
        """The cell would do it too; another measurement may follow in this one."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(10)
        for host in ("a", "b", "user"):
            ip("netns", "delete", f"{self._name}-{host}")
        ip("link", "delete", self._name)


@contextmanager
def _wire(directory: Path, advert_s: float) -> Iterator[Wire]:
    wire = Wire(directory, advert_s)
    wire.build()
    try:
        yield wire
    finally:
        wire.take_down()


def ip(*words: str) -> None:
    """Raises CalledProcessError; what it said is on standard error."""
    subprocess.run(["ip", *words], check=True)


def beat(target: str) -> None:
    """The user: a ping every 10 ms, for ever; of each answer its time, as a double, to standard output."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        due = time.monotonic()
        number = 0
        while True:
            number = (number + 1) & 0xFFFF
            total = (ECHO << 8) + OURS + number
            total = (total & 0xFFFF) + (total >> 16)
            try:
                raw.sendto(struct.pack("!BBHHH", ECHO, 0, ~total & 0xFFFF, OURS, number), (target, 0))
            except OSError:
                pass  # nobody has the address just now
            due += BEAT_S
            while (left_s := due - time.monotonic()) > 0:
                raw.settimeout(left_s)
                try:
                    packet, (sender, _) = raw.recvfrom(2048)
                except TimeoutError:
                    break
                body = packet[(packet[0] & 0xF) * 4 :]
                if sender == target and body[0] == 0 and body[4:6] == struct.pack("!H", OURS):
                    os.write(1, struct.pack("d", time.time()))


if __name__ == "__main__":
    beat(sys.argv[1])
