"""Probes a CPU-second by kind: ours, blackbox_exporter's and, for pings, fping's.

The one rule it keeps: a probe counts only if it was answered well, and if one was not the round fails. The CPU is that
of the whole process which asks, its kernel time too, never of whoever answers or drives it. The same targets for all.

What is compared is not the same job: ours keeps a schedule, and each answer of ours goes through a check's own
judgement to a receiver; blackbox_exporter answers an HTTP request for each probe, with a dozen measurements, which is
how it is used; fping sends one packet to each of a list and says who answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from scripts.bench import cpu, peers
from scripts.bench.cell import Cell
from scripts.bench.many import address
from scripts.bench.responders import Responders
from scripts.bench.rounds import Contender, in_turns
from scripts.bench.shape import Comparison, Row, Target

KINDS = ("icmp", "tcp", "http")
TARGETS = {"icmp": 5000, "tcp": 2000, "http": 1000}  # ours: each is asked once a second
ASKED_S = 3.0
BLACKBOX_TARGETS = 1000
AT_ONCE = 8
TIMES = {"icmp": 5.0, "tcp": 2.0, "http": 2.0}
_MODULES = """\
modules:
  icmp: {prober: icmp}
  tcp: {prober: tcp}
  http: {prober: http, http: {preferred_ip_protocol: ip4}}
"""


def measure(cell: Cell) -> Iterator[Comparison]:
    """Kind by kind, in turns."""
    with Responders() as responders, _blackbox(cell.directory) as blackbox:
        for kind in KINDS:
            contenders: dict[str, Contender] = {
                "bascule": partial(ours, kind, responders.ports),
                "blackbox_exporter": partial(_of_blackbox, blackbox, kind, responders.ports),
            }
            if kind == "icmp":
                contenders["fping"] = partial(_of_fping, cell.directory)
            values = in_turns(contenders, cell.rounds(7, 1), warm=0 if cell.quick else 1, say=cell.say)
            rows = tuple(Row(name, found, "probes/CPU-s", more_is_better=True) for name, found in values.items())
            target = Target("bascule", "blackbox_exporter", TIMES[kind])
            yield Comparison(
                "probes", f"{kind} probes a CPU-second", rows, (("bascule", "blackbox_exporter"),), (target,)
            )


def ours(kind: str, ports: dict[str, int]) -> float:
    """Good answers a CPU-second of a prober that asks this kind, in a process of its own. Raises RuntimeError."""
    words = [sys.executable, "-m", "scripts.bench.probes", kind, json.dumps(ports)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(done.stderr[-500:])
    told = json.loads(done.stdout)
    if told["answers"].keys() != {"good"}:
        raise RuntimeError(f"not all of them good: {told['answers']}")
    return float(told["answers"]["good"] / told["cpu_s"])


async def _ask(kind: str, ports: dict[str, int]) -> dict[str, object]:
    """In the child: ask for a while, and count once it has warmed up."""
    from orchestrator.core.events import Observed
    from orchestrator.core.model import Check, Json
    from orchestrator.probes.prober import Prober

    def options(target: str) -> dict[str, Json]:
        if kind == "icmp":
            return {"target": target}
        return {"target": target, "port": ports["tcp"]} if kind == "tcp" else {"url": _page(target, ports)}

    answers: Counter[str] = Counter()

    def emit(seen: Observed) -> None:
        answers[seen.answer.value] += 1

    prober = Prober(emit, time.monotonic)
    targets = [address(n) for n in range(TARGETS[kind])]
    prober.use(Check(f"bench/{t}", "bench", t, "", kind, options(t), every_s=1.0, timeout_s=1.0) for t in targets)
    await asyncio.sleep(1.5)
    answers.clear()
    before = _own_cpu_s()
    await asyncio.sleep(ASKED_S)
    used_s, found = _own_cpu_s() - before, dict(answers)
    await prober.close()
    return {"answers": found, "cpu_s": used_s}


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _page(target: str, ports: dict[str, int]) -> str:
    return f"http://{target}:{ports['http']}/"


class _blackbox:  # noqa: N801 - used as a function
    """A running blackbox_exporter: its process id."""

    def __init__(self, directory: Path) -> None:
        self._settings = directory / "blackbox.yml"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> int:
        self._settings.write_text(_MODULES)
        program = str(peers.program("blackbox_exporter"))
        words = [program, f"--config.file={self._settings}", "--web.listen-address=127.0.0.1:9115", "--log.level=error"]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1.0)
        return self._process.pid

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _of_blackbox(pid: int, kind: str, ports: dict[str, int]) -> float:
    """Successful probes a CPU-second of this blackbox_exporter."""
    targets = [address(n) for n in range(BLACKBOX_TARGETS)]
    if kind == "tcp":
        targets = [f"{t}:{ports['tcp']}" for t in targets]
    elif kind == "http":
        targets = [_page(t, ports) for t in targets]
    before = cpu.of_processes([pid])
    good = asyncio.run(_drive([f"/probe?target={t}&module={kind}" for t in targets]))
    used_s = cpu.of_processes([pid]) - before
    if good < len(targets):
        raise RuntimeError(f"{len(targets) - good} of {len(targets)} probes of blackbox_exporter failed")
    return good / used_s


async def _drive(paths: list[str]) -> int:
    """Ask for all of these over a few connections that stay; how many were successful."""
    waiting, good = iter(paths), 0

    async def one() -> None:
        nonlocal good
        reader, writer = await asyncio.open_connection("127.0.0.1", 9115)
        for path in waiting:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"content-length:" in head:
                body = await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
            else:
                body = b""
                while size := int((await reader.readline()).strip(), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readexactly(2)
            good += b"\nprobe_success 1" in body
        writer.close()

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return good


def _of_fping(directory: Path) -> float:
    """Answered pings a CPU-second of one fping over as many targets as ours has."""
    targets = directory / "targets"
    targets.write_text("\n".join(address(n) for n in range(TARGETS["icmp"])) + "\n")
    words = [str(peers.program("fping")), "-a", "-q", "-r", "0", "-i", "1", "-f", str(targets)]
    environment = {**os.environ, **peers.environment()}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    alive = len((process.stdout.read() if process.stdout else b"").splitlines())
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    if alive < TARGETS["icmp"]:
        raise RuntimeError(f"fping saw {alive} of {TARGETS['icmp']} alive")
    return alive / (used.ru_utime + used.ru_stime)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_ask(sys.argv[1], json.loads(sys.argv[2])))))
