"""From the answer that completes a fall to the decision about its service, while thousands of other checks fall too.

The one rule it keeps: the clock starts when the probe hands the answer over, before any queue, and stops when the entry
with the decision (the incident is opened, and judged) is durable and its commands are about to be carried out. It is
the controller that a daemon runs, with real connections that are refused from one instant on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.bench.cell import Cell
from scripts.bench.many import address
from scripts.bench.responders import Responders
from scripts.bench.shape import Comparison, Row

FALL = 3


@dataclass
class Watched:
    """What was seen of the services' checks."""

    bad: dict[str, list[float]] = field(default_factory=dict)  # check to when its bad answers in a row were handed over
    decided: dict[str, float] = field(default_factory=dict)  # service to when it was decided

    def delays_s(self) -> list[float]:
        """Of all services, sorted."""
        return sorted(
            at - self.bad[f"bench/s{service.rpartition('/s')[2]}"][FALL - 1] for service, at in self.decided.items()
        )


def write(where: Path, flood: int, services: int, port: int) -> None:
    """A workspace: `services` with a check each, and `flood` checks that no service rests on."""
    for name in ("checks", "inventories/bench", "playbooks"):
        (where / name).mkdir(parents=True, exist_ok=True)
    hosts = {f"h{n}": {"ansible_host": address(n)} for n in range(flood)} or {"h0": {"ansible_host": address(0)}}
    (where / "inventories/bench/hosts.yml").write_text(json.dumps({"all": {"children": {"many": {"hosts": hosts}}}}))
    (where / "playbooks/help.yml").write_text("- hosts: all\n  gather_facts: false\n  tasks: []\n")
    lines = ["- {name: sees, probe: icmp, target: 127.0.0.1, reference: true}"]
    if flood:
        lines.append(f"- {{name: port, hosts: many, probe: tcp, port: {port}, every: 2s}}")
    lines += [f"- {{name: s{n}, probe: tcp, target: {address(n, 60)}, port: {port}}}" for n in range(services)]
    (where / "checks/all.yml").write_text("\n".join(lines) + "\n")
    service = {"mode": "observe", "home": "here", "rto": "15m", "ladder": ["help"]}
    told: dict[str, Any] = {
        "domains": ["here"],
        "places": {"here": {}},
        "moves": {"help": {"playbook": "help.yml", "verify": {"all": ["sees"]}}},
        "services": {f"s{n}": {**service, "healthy_when": {"all": [f"s{n}"]}} for n in range(services)},
    }
    (where / "inventories/bench/services.yml").write_text(json.dumps(told))


async def delays(workspace: Path, responders: Responders, flood: int, services: int) -> list[float]:
    """Watch until all is well, cut, and wait until every service is decided; the delays in seconds."""
    from orchestrator.core import events as e
    from orchestrator.core import records as r
    from orchestrator.shell.wiring import Controller, Watchers

    watched, up = Watched(), set()

    def entry(written: Any) -> None:
        now = time.perf_counter()
        for record in written.records:
            if isinstance(record, r.VerdictChanged) and record.verdict is r.Verdict.UP:
                up.add(record.check)
            elif isinstance(record, r.IncidentOpened):
                watched.decided[record.service] = now

    controller = Controller(workspace, watchers=Watchers(entry))
    await controller.start()
    prober = controller.prober
    take_in = prober._emit

    def emit(seen: e.Observed) -> None:
        if seen.check.startswith("bench/s"):
            if seen.answer is e.Answer.BAD:
                watched.bad.setdefault(seen.check, []).append(time.perf_counter())
            else:
                watched.bad.pop(seen.check, None)
        take_in(seen)

    prober._emit = emit
    try:
        await _until(lambda: len(up) > flood + services, 120.0)
        await asyncio.sleep(3.0)
        responders.stop()
        await _until(lambda: len(watched.decided) == services, 60.0)
    finally:
        await controller.close()
    return watched.delays_s()


async def _until(so: Any, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not so():  # noqa: ASYNC110 - a look in a while costs what is measured nothing
            await asyncio.sleep(0.05)


def measure(cell: Cell) -> Iterator[Comparison]:
    """One service and a hundred, alone and in a flood of five thousand."""
    found: list[Row] = []
    for flood in (0, 1000) if cell.quick else (0, 1000, 5000):
        for services in (1, 10, 100):
            workspace = cell.directory / f"{flood}-{services}"
            with Responders() as responders:
                write(workspace, flood, services, responders.ports["tcp"])
                values = asyncio.run(delays(workspace, responders, flood, services))
            name = f"{services} services, {flood} other checks"
            for share, label in ((0.5, "median"), (0.99, "p99"), (1.0, "most")):
                value = values[min(len(values) - 1, int(share * len(values)))]
                found.append(Row(f"{name}: {label}", (1000 * value,), "ms"))
            cell.say(f"{name}: most {1000 * values[-1]:.1f} ms")
    yield Comparison("decisions", "from the answer that completes a fall to the decision", tuple(found), readme=False)
