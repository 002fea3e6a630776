"""From a cable that is cut to users who are back: how long, at the users' own meters, and where each millisecond goes.

    .venv/bin/python -m scripts.bench cut-to-restored cut-to-restored-100ms
    .venv/bin/python -m scripts.bench.cut_to_restored [--pace 100ms|default] [--rounds 20] [--json FILE]

The lab is built, the daemon started on a copy of this workspace, and then, again and again: the cable of ISP A is cut
silently, the daemon brings the service back by tier 1, the cable is healed, `bascule failback` goes home. The one rule:
times of users come from their meters, effects from those who have them (the router's own word of its routes, the name
server's file), and only the rest from the journal; nothing is taken from what the daemon thinks of itself.

`default` asks every second, fall 3, and at a faster interval once something looks wrong; `100ms` asks what matters to
tier 1 every 100 ms, fall 3, and no faster. Both lift the brakes that would stop the twentieth failover in an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import yaml

from orchestrator.core import records as r
from orchestrator.demo.stage import Stage, stage
from orchestrator.lab.meter_log import MeterLog
from scripts.bench.cell import Cell, MeasurementFailed
from scripts.bench.cut_figures import MARKS, Round, summary, table
from scripts.bench.shape import Comparison, Row, Target

WORKSPACE = Path(__file__).resolve().parents[2]
STAFF, USERS = "lab/hq-internet", "lab/erp"
READY = ("isp-a-path", "isp-b-path", "hq-internet", "erp-transaction", "backup-age", "geo-replica", "geo-ready")
READY_S, RECOVERED_S = 90.0, 60.0
WELL_S = 1.0
"""For so long both meters must have had nothing but successes before the next cut."""
PAUSE_S = 0.73
"""Between being well and the cut, a little more each round, so that cuts fall anywhere between two beats."""

BETWEEN: dict[str, dict[str, object]] = {"edge-uses-isp-b": {"every": "1s", "fast": "500ms"}}
"""What shortens the time between two cuts, and nothing else: home again is seen sooner."""

_PING = "ping -c 1 -W {} -I {{{{ lan_address }}}} {{{{ hostvars['www'].ansible_host }}}}"
_FAST: dict[str, object] = {"every": "100ms", "fast": "100ms", "timeout": "100ms"}

PACES: dict[str, dict[str, dict[str, object]]] = {
    "default": {
        "hq-internet": {"every": "1s", "fast": "300ms", "fall": 3, "command": _PING.format("0.3")},
    },
    "100ms": {
        "isp-a-path": _FAST,
        "isp-b-path": _FAST,
        "noc-sees-www": _FAST,
        "noc-sees-dns": _FAST,
        "hq-internet": {"every": "100ms", "fast": "100ms", "fall": 3, "command": _PING.format("0.07")},
        "erp-transaction": {"every": "100ms", "fast": "100ms", "timeout": "250ms"},
    },
}
"""What a pace changes in the checks of the workspace, by name."""


def by_default(cell: Cell) -> Iterator[Comparison]:
    """Checks every second."""
    yield from _told(cell, "default", "checks every 1 s, fall 3, faster once something looks wrong", 3.0, 4.0)


def every_100ms(cell: Cell) -> Iterator[Comparison]:
    """Checks ten times a second."""
    yield from _told(cell, "100ms", "checks every 100 ms, fall 3", 0.8, 1.6)


def _told(cell: Cell, pace: str, title: str, staff_s: float, users_s: float) -> Iterator[Comparison]:
    staff, users = "staff behind the head office's edge", "users on the internet, their TTL of 1 s included"
    found = measure(cell.rounds(20, 2), pace, WORKSPACE, say=cell.say)
    if faults := [one.fault for one in found if one.fault]:
        raise MeasurementFailed("; ".join(faults))
    outages = {name: tuple(one.outages[key] for one in found) for name, key in ((staff, "staff"), (users, "users"))}
    yield Comparison(
        "cut-to-restored",
        f"a provider's cable cut, until users are back: {title}",
        tuple(Row(name, values) for name, values in outages.items()),
        targets=(Target(staff, "", staff_s), Target(users, "", users_s)),
        note="In the lab: SSH to a router, route, conntrack, DNS, verification by a real transaction. The lab's name "
        "server follows its zone at once; the real Route 53 takes up to a minute.",
    )
    marks = [(name, [one.marks.get(name, math.nan) for one in found], note) for name, note in MARKS]
    known = [(name, values, note) for name, values, note in marks if not any(map(math.isnan, values))]
    yield Comparison(
        "cut-to-restored",
        f"where each millisecond of it goes, after the cut: {title}",
        tuple(Row(name, tuple(values), note=note) for name, values, note in known),
        readme=False,
    )
    took: dict[str, list[float]] = {}
    for task in (task for one in found for task in one.tasks):
        took.setdefault(f"{task['host']}: {task['name'].rpartition(' : ')[2]}", []).append(task["took_s"])
    yield Comparison(
        "cut-to-restored",
        f"the playbook's tasks, those of one host beside those of the other: {title}",
        tuple(Row(name, tuple(values)) for name, values in took.items() if len(values) == len(found)),
        readme=False,
    )


def measure(
    rounds: int,
    pace: str,
    workspace: Path,
    *,
    lab: str = "bench",
    limit_s: float = math.inf,
    say: Callable[[str], None] = print,
) -> list[Round]:
    """Build, cut `rounds` times, or as often as there is time for, take down.

    Raises LabError, StageFailed where it cannot go on.
    """
    ends = time.monotonic() + limit_s
    found: list[Round] = []
    with stage(workspace, lab) as built:
        prepare(built.workspace, PACES[pace] | BETWEEN)
        built.start(say)
        with _routes(built) as routes:
            for number in range(rounds):
                _ready(built)
                time.sleep(PAUSE_S + number * 0.137 % 1.0)
                found.append(_round(built, routes))
                one = found[-1]
                told = ", ".join(f"{k} {v:.2f}" for k, v in one.outages.items())
                say(f"  {pace} {number + 1}/{rounds}: {told}{' ' + one.fault if one.fault else ''}")
                if one.fault or time.monotonic() > ends:
                    break
                _return(built)
            keep = os.environ.get("BENCH_KEEP")
            if keep:
                Path(keep).write_bytes(built.log.read_bytes())
    return found


def prepare(workspace: Path, changes: dict[str, dict[str, object]]) -> None:
    """Change the copy: its checks by name, and brakes that a bench of many failovers in an hour would meet."""
    left = set(changes)
    for path in sorted((workspace / "checks").glob("*.yml")):
        checks = yaml.safe_load(path.read_text(encoding="utf-8"))
        for check in checks:
            if check["name"] in changes:
                check.update(changes[check["name"]])
                left.discard(check["name"])
        path.write_text(yaml.safe_dump(checks, sort_keys=False, width=1000), encoding="utf-8")
    if left:
        raise SystemExit(f"the workspace has no checks {', '.join(sorted(left))}: mend PACES")
    with (workspace / "bascule.yml").open("a", encoding="utf-8") as file:
        file.write("limits: {moves_per_service: 1000, relapse: 1s}\n")


# ---- one round


def _ready(built: Stage) -> None:
    """Everything up, nothing open, the route by ISP A, and both meters well for a while."""

    def ready() -> bool:
        state, model = built.stories.decided, built.stories.model
        if model is None or state.unfinished_runs() or state.open_incidents():
            return False
        wanted = [c for c in model.checks.values() if c.client == "lab" and c.name in READY]
        away = [c for c in model.checks.values() if c.client == "lab" and c.name == "edge-uses-isp-b"]
        up = all(c.id in state.verdicts and state.verdicts[c.id].verdict is r.Verdict.UP for c in wanted)
        home = all(c.id in state.verdicts and state.verdicts[c.id].verdict is r.Verdict.DOWN for c in away)
        return up and home and all(_well(meter) for meter in (built.user, built.staff))

    built.wait(ready, READY_S, "ready for a cut", lambda: None)


def _well(meter: MeterLog) -> bool:
    since = time.time() - WELL_S
    recent = [a for a in meter.attempts[-200:] if a.ended_s > since]
    return len(recent) > 20 and all(a.acknowledged for a in recent)


def _round(built: Stage, routes: list[tuple[float, str]]) -> Round:
    one = Round()
    del routes[:]
    cut_s = time.time()
    built.lab.cut("isp-a")
    one.marks["cut done"] = time.time() - cut_s
    workers: dict[str, float] = {}
    ends = time.monotonic() + RECOVERED_S
    while not _recovered(built, cut_s):
        with contextlib.suppress(OSError):  # the daemon drops what is over
            for path in (built.workspace / ".bascule" / "runs").glob("*/execute.*/worker.json"):
                workers.setdefault(path.parts[-3], path.stat().st_mtime_ns / 1e9)
        if time.monotonic() > ends:
            one.fault = f"not recovered within {RECOVERED_S:.0f} s"
            return one
        built.poll()
        time.sleep(0.05)
    time.sleep(0.5)  # the meters write what they have every 200 ms
    built.poll()
    _read_journal(built, one, cut_s, workers)
    for name, meter in (("staff", built.staff), ("users", built.user)):
        last, first = _around(meter, cut_s)
        one.marks[name] = first - cut_s
        one.outages[name] = first - last
    one.marks["route"] = routes[0][0] - cut_s if routes else math.nan
    zone = built.lab.file("dns", "/var/lib/lab/zone.json")
    one.marks["name"] = zone.stat().st_mtime_ns / 1e9 - cut_s
    return one


def _recovered(built: Stage, cut_s: float) -> bool:
    state, clock = built.stories.decided, built.stories.clock
    seen = {i.service for i in state.incidents.values() if clock.wall(i.episode_opened_at) > cut_s}
    over = STAFF in seen and not state.open_incidents() and not state.unfinished_runs()
    return over and all(_well(meter) for meter in (built.user, built.staff))


def _around(meter: MeterLog, cut_s: float) -> tuple[float, float]:
    """The last success of what was begun before the cut bit, and the first one after the longest gap."""
    good = sorted(a.ended_s for a in meter.attempts[-5000:] if a.acknowledged and a.ended_s > cut_s - 1.0)
    gaps = [(later - earlier, earlier, later) for earlier, later in pairwise(good)]
    _, last, first = max(gaps)
    return last, first


def _read_journal(built: Stage, one: Round, cut_s: float, workers: dict[str, float]) -> None:
    clock = built.stories.clock

    def since(at: float | None) -> float:
        return clock.wall(at) - cut_s if at is not None else math.nan

    stories = [s for s in built.stories.stories.values() if s.service == STAFF and s.episodes]
    episode = stories[-1].episodes[-1]
    runs = [run for story in built.stories.stories.values() for run in story.runs]
    run = next((x for x in runs if x.started.origin is r.Origin.AUTOMATIC and since(x.started.at) > 0), None)
    if run is None:
        one.fault = "no run"
        return
    fell = [c.at for c in stories[-1].checks if c.check.startswith(f"{STAFF}@") and c.verdict is r.Verdict.DOWN]
    execute, worker_s = run.steps["execute"], workers.get(run.started.run, math.nan)
    one.marks |= {
        "first bad question": since(episode.opened.first_bad_at),
        "detected": since(fell[-1] if fell else None),
        "decided": since(run.started.at),
        "preflight": since(run.steps["preflight"].ended_at),
        "intent": since(execute.began_at),
        "worker": worker_s - cut_s,
        "step ended": since(execute.ended_at),
        "verified": since(episode.ended.at if episode.ended else None),
    }
    for task in execute.tasks:
        began_s = worker_s + task.started_s - cut_s
        one.tasks.append(
            {"name": task.name, "host": task.host, "status": task.status, "began_s": began_s, "took_s": task.took_s}
        )
    guards = [t["began_s"] + t["took_s"] for t in one.tasks if t["name"].startswith("bascule: epoch guard")]
    one.marks["guard"] = max(guards, default=math.nan)


@contextlib.contextmanager
def _routes(built: Stage) -> Iterator[list[tuple[float, str]]]:
    """What the router's kernel says of its default routes, as it happens: (epoch seconds, line)."""
    heard: list[tuple[float, str]] = []
    watch = built.lab.popen("hq-edge", ["ip", "monitor", "route"], stdout=subprocess.PIPE, text=True)

    def listen() -> None:
        for line in watch.stdout or ():
            if line.startswith("default via"):
                heard.append((time.time(), line.strip()))  # noqa: PERF401  (as they come)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield heard
    finally:
        watch.terminate()
        watch.wait()


def _return(built: Stage) -> None:
    """Heal the cable and go home, as an operator would."""
    built.lab.heal("isp-a")

    def healed() -> bool:
        model, verdicts = built.stories.model, built.stories.decided.verdicts
        checks = [c.id for c in model.checks.values() if c.client == "lab" and c.name in READY] if model else []
        return bool(checks) and all(c in verdicts and verdicts[c].verdict is r.Verdict.UP for c in checks)

    built.wait(healed, READY_S, "ISP A up again", lambda: None)
    argv = [sys.executable, "-m", "orchestrator.cli.main", "failback", USERS, "--by", "alice"]
    done = built.lab.exec("noc", argv, cwd=built.workspace, timeout=60)
    if done.returncode != 0:
        raise SystemExit(f"failback: {done.stdout}{done.stderr}")
    over = lambda: not built.stories.decided.unfinished_runs()  # noqa: E731
    built.wait(over, READY_S, "home again", lambda: None)


def main() -> int:
    """Measure and print; 1 if a round did not recover."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pace", choices=tuple(PACES), default="100ms")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--workspace", type=Path, default=WORKSPACE)
    parser.add_argument("--lab", default="bench")
    parser.add_argument("--limit", type=float, default=math.inf, help="seconds after which no round is begun")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rounds = measure(given.rounds, given.pace, given.workspace, lab=given.lab, limit_s=given.limit)
    told = summary(rounds)
    print("\n".join(table(told, given.pace)))
    if given.json is not None:
        whole = {"pace": given.pace, **told, "each": [asdict(x) for x in rounds]}
        given.json.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    return 1 if told["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
