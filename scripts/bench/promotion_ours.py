"""Ours, for `promotion.py`: the lab's head office loses its power, and the second site's standby is promoted.

The one rule it keeps: each round has a lab and a journal of its own, so that no round meets what an earlier one has
left; and the daemon is never helped.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping

import yaml

from orchestrator.core.records import Verdict
from orchestrator.demo.acts import SCENES, existing_ids
from orchestrator.demo.stage import Stage, stage
from orchestrator.lab.system import home

READY_S, PROMOTED_S, RESTORED_S = 120.0, 180.0, 120.0
WELL_S = 1.0
POWER_CUT = SCENES[1]

AS_IT_IS: Mapping[str, Mapping[str, object]] = {}
SLOW: Mapping[str, Mapping[str, object]] = {"erp-transaction": {"every": "1s", "fast": "1s", "fall": 20}}
"""Detection as slow as a lease of 20 s."""

WRITER = """
import time
import psycopg
while True:
    try:
        with psycopg.connect("host=/run/postgresql user=postgres dbname=erp", autocommit=True) as connection:
            while True:
                try:
                    connection.execute("CREATE TABLE IF NOT EXISTS bench_was_here ()")
                    print(time.time(), flush=True)
                    raise SystemExit
                except psycopg.errors.ReadOnlySqlTransaction:
                    time.sleep(0.05)
    except psycopg.OperationalError:
        time.sleep(0.05)
"""


def once(changes: Mapping[str, Mapping[str, object]]) -> tuple[float, float, int]:
    """Seconds from the power cut until the standby takes a write, and until the end user's next transaction; rows lost.

    `changes` are keys of checks, by name. Raises StageFailed, LabError, TimeoutError.
    """
    with stage(home(), "bench") as built:
        _change(built, changes)
        built.start(lambda _: None)
        built.wait(lambda: _ready(built), READY_S, "ready for the power cut", lambda: None)
        writer = built.lab.popen("geo-db", [sys.executable, "-c", WRITER], stdout=subprocess.PIPE, text=True)
        try:
            time.sleep(1.0)
            cut_s = time.time()
            built.lab.stop("hq")
            built.wait(lambda: writer.poll() is not None, PROMOTED_S, "the standby takes a write", lambda: None)
            written_s = float(writer.stdout.read()) if writer.stdout is not None else 0.0
        finally:
            writer.kill()
            writer.wait()
        built.wait(lambda: _first_after(built, cut_s) is not None, RESTORED_S, "the end user is back", lambda: None)
        back_s = _first_after(built, cut_s) or 0.0
        existing = existing_ids(built, 0.0) or frozenset()
        lost = [a.id for a in built.user.attempts if a.acknowledged and a.ended_s < cut_s and a.id not in existing]
        return written_s - cut_s, back_s - cut_s, len(lost)


def _change(built: Stage, changes: Mapping[str, Mapping[str, object]]) -> None:
    for path in (built.workspace / "checks").glob("*.yml"):
        checks = yaml.safe_load(path.read_text(encoding="utf-8"))
        for check in checks:
            check.update(changes.get(check["name"], {}))
        path.write_text(yaml.safe_dump(checks, sort_keys=False, width=1000), encoding="utf-8")


def _ready(built: Stage) -> bool:
    state, model = built.stories.decided, built.stories.model
    if model is None:
        return False
    wanted = [c.id for c in model.checks.values() if c.client == "lab" and c.name in POWER_CUT.ready]
    up = all(check in state.verdicts and state.verdicts[check].verdict is Verdict.UP for check in wanted)
    known = all(c.id in state.verdicts for c in model.checks.values() if c.client == "lab")
    since_s = time.time() - WELL_S
    recent = [a for a in built.user.attempts[-200:] if a.ended_s > since_s]
    return up and known and len(recent) > 20 and all(a.acknowledged for a in recent)


def _first_after(built: Stage, cut_s: float) -> float | None:
    """When the end user's first transaction after the outage was acknowledged."""
    later = sorted(a.ended_s for a in built.user.attempts if a.acknowledged and a.ended_s > cut_s + 1.0)
    return later[0] if later else None
