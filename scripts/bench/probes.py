"""Probes a CPU-second by kind: ours, and the same targets for others.

The one rule it keeps: a probe counts when it was answered well, and the CPU is that of the whole process which asks
(its kernel time too), never of whoever answers or drives it. The same targets for all who are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections import Counter

KINDS = ("icmp", "tcp", "http")


def addresses(count: int) -> list[str]:
    """So many different loopback addresses."""
    return [f"127.{10 + n // 60000}.{n // 240 % 250}.{1 + n % 240}" for n in range(count)]


def options_of(kind: str, address: str, ports: dict[str, int]) -> dict[str, object]:
    """What our check of this kind is told."""
    if kind == "icmp":
        return {"target": address}
    if kind == "tcp":
        return {"target": address, "port": ports["tcp"]}
    return {"url": f"http://{address}:{ports['http']}/"}


async def _ours(kind: str, ports: dict[str, int], rate: int, for_s: float) -> dict[str, float]:
    from orchestrator.core.model import Check
    from orchestrator.probes.prober import Prober

    seen: Counter[str] = Counter()
    rtts: list[float] = []

    def emit(observed: object) -> None:
        seen[observed.answer] += 1  # type: ignore[attr-defined]
        rtts.append(observed.measures.get("rtt_s", 0.0))  # type: ignore[attr-defined]

    prober = Prober(emit, time.monotonic)  # type: ignore[arg-type]
    prober.use(
        Check(
            id=f"bench/{kind}-{address}",
            client="bench",
            name=kind,
            host="",
            probe=kind,
            options=options_of(kind, address, ports),  # type: ignore[arg-type]
            every_s=1.0,
            timeout_s=1.0,
        )
        for address in addresses(rate)
    )
    await asyncio.sleep(1.5)
    seen.clear()
    rtts.clear()
    before, began = _cpu_s(), time.monotonic()
    await asyncio.sleep(for_s)
    cpu_s, took_s, found, times = _cpu_s() - before, time.monotonic() - began, dict(seen), sorted(rtts)
    await prober.close()
    good = found.get("good", 0)
    return {
        "good": good,
        "other": sum(found.values()) - good,
        "cpu_s": round(cpu_s, 4),
        "took_s": round(took_s, 3),
        "probes_per_cpu_s": round(good / cpu_s) if cpu_s else 0,
        "rtt_ms_p50": round(1000 * times[len(times) // 2], 3) if times else 0,
    }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ours(kind: str, ports: dict[str, int], rate: int = 1000, for_s: float = 5.0) -> dict[str, float]:
    """Ask `rate` targets of this kind once a second for so long; what came of it. Call it in a process of its own."""
    return asyncio.run(_ours(kind, ports, rate, for_s))


def main() -> None:
    """`python -m scripts.bench.probes [--rate N] [--seconds S] [KIND…]`."""
    from scripts.bench.apart import go_apart
    from scripts.bench.responders import responders

    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0)
    told = parser.parse_args()
    go_apart()
    with responders() as ports:
        found = {kind: ours(kind, ports, told.rate, told.seconds) for kind in told.kinds}
    json.dump(found, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
