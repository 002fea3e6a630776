"""A daemon at rest: how much of one core and of memory 1,000 and 10,000 checks take, and how late they are asked.

The one rule it keeps: it is the daemon that a user starts, on files that a user could write; whoever answers runs in a
process of its own. A check that is found down, although all targets answer, fails the measurement.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from scripts.bench.cell import Cell
from scripts.bench.many import Daemon, Mix, daemon_on, verdicts_down, write_workspace
from scripts.bench.responders import Responders
from scripts.bench.shape import Comparison, Row, Target

THOUSAND = Mix(icmp=1000)
TEN_THOUSAND = Mix(icmp=5000, tcp=3000, http=2000)
NOTE = "ICMP every 1 s, TCP every 5 s, HTTP every 10 s; targets on loopback, so the kernel's work for both sides counts"


def measure(cell: Cell) -> Iterator[Comparison]:
    """Both, one after the other."""
    for mix, warm_s in ((THOUSAND, 15.0), (TEN_THOUSAND, 45.0)):
        for_s = 10.0 if cell.quick else 60.0
        rows = tuple(Row(name, (value,), unit) for name, value, unit in _seen(cell, mix, warm_s, for_s))
        title = f"a daemon at rest: {mix.icmp} ICMP, {mix.tcp} TCP, {mix.http} HTTP checks"
        targets = (Target("CPU", "", 10.0 if mix is THOUSAND else 100.0), Target("checks falsely down", "", 0.0))
        yield Comparison("at-rest", title, rows, targets=targets, note=NOTE)


def _seen(cell: Cell, mix: Mix, warm_s: float, for_s: float) -> list[tuple[str, float, str]]:
    workspace = cell.directory / str(mix.checks)
    with Responders() as responders:
        write_workspace(workspace, mix, responders.ports)
        with daemon_on(workspace) as daemon:
            up_s = daemon.wait_until_up()
            time.sleep(warm_s)
            found = [("start", up_s, "s"), *_while_it_rests(daemon, for_s)]
        found.append(("checks falsely down", float(verdicts_down(workspace)), ""))
    for name, value, unit in found:
        cell.say(f"{mix.checks} checks: {name} {value:.3g} {unit}")
    return found


def _while_it_rests(daemon: Daemon, for_s: float) -> list[tuple[str, float, str]]:
    before, used_s, began = daemon.asking(), daemon.cpu_s(), time.monotonic()
    time.sleep(for_s)
    after, used_s, took_s = daemon.asking(), daemon.cpu_s() - used_s, time.monotonic() - began
    late = after["late_last_minute"]
    return [
        ("CPU", 100 * used_s / took_s, "% of a core"),
        ("memory", daemon.memory_mib(), "MiB"),
        ("questions", (after["asked"] - before["asked"]) / took_s, "a second"),
        ("beats skipped", float(after["skipped"] - before["skipped"]), ""),
        ("asked late: median", 1000 * late["p50_s"], "ms"),
        ("asked late: p99", 1000 * late["p99_s"], "ms"),
        ("asked late: most", 1000 * late["max_s"], "ms"),
    ]
