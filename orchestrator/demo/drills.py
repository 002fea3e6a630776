"""Plays three drills on the lab and tells what they show: a rehearsal, the real move and back, an emptied backup.

The one rule it keeps: everything that it says of a drill comes from the journal, and of the end user from the meter.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.core.records import Verdict
from orchestrator.demo.acts import SERVICE, existing_ids
from orchestrator.demo.stage import Stage, StageFailed, stage
from orchestrator.lab.account import Act, ActAccount, account
from orchestrator.lab.lab import Lab
from orchestrator.reports.drills import DrillTold, drills
from orchestrator.reports.text import Part, line, precise, show

READY_S = 180.0
ENDS_S = 420.0
READY = (
    "erp-transaction", "hq-internet", "isp-a-path", "isp-b-path", "geo-replica", "geo-ready", "hq-mains", "geo-mains",
    "backup-age", "cloud-instance-there", "rehearsal-apart",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill as written. `expected`: whether it is to end well."""

    title: str
    why: str
    words: tuple[str, ...]
    expected: bool
    before: Callable[[Lab], None] = lambda _lab: None


@dataclass(slots=True)
class Drilled:
    """One drill as it went."""

    scene: Drill
    told: DrillTold | None = None
    user: ActAccount | None = None
    failure: str = ""


def _emptied(lab: Lab) -> None:
    """The newest backup becomes a whole dump of the right name, without a row: as by a filter that is wrong."""
    lab.exec("hq-db", ["service", "backup", "stop"], check=True, timeout=60)
    lab.exec("hq-db", ["sh", "-c", EMPTIED], check=True, timeout=60)


SCENES = (
    Drill(
        "A rehearsal of tier 2, beside what serves",
        "a clone of the standby is promoted in a network of its own, compared with it, and removed",
        ("--move", "geo-site"),
        True,
    ),
    Drill(
        "Tier 2 at full scale: to the second site and back",
        "the head office hands over, the second site serves for five seconds, and hands back",
        ("--move", "geo-site", "--full-scale", "--stay", "5s", "--return-within", "10m"),
        True,
    ),
    Drill(
        "A restore of the newest backup, which somebody has emptied",
        "its name, its age and its hash are as they should be; only what it holds is not",
        ("--move", "cloud-instance"),
        False,
        _emptied,
    ),
)


def play(workspace: Path, *, lab: str, json_to: Path | None) -> int:
    """Build, drill, tell and take down; the exit code: 0 every drill went as expected, 1 one did not."""
    done: list[Drilled] = []
    began_s = time.monotonic()
    with stage(workspace, lab) as built:
        try:
            built.start(lambda text: _say(text, "dim"))
            for number, scene in enumerate(SCENES, start=1):
                done.append(Drilled(scene))
                _play_one(built, number, done[-1])
                if done[-1].failure:
                    break
        except StageFailed as failed:
            _say(f"the demo cannot go on: {failed}", "bold red")
            if done:
                done[-1].failure = done[-1].failure or str(failed)
    ok = len(done) == len(SCENES) and not any(one.failure for one in done)
    _say("")
    if json_to is not None:
        json_to.write_text(json.dumps(_as_json(done, ok, time.monotonic() - began_s), indent=2, default=str) + "\n")
    if ok:
        _say("All three as expected: two proven, and one backup found that would have restored nothing.", "bold green")
    return 0 if ok else 1


def _play_one(built: Stage, number: int, one: Drilled) -> None:
    scene = one.scene
    built.wait(lambda: _ready(built), READY_S, f"ready for: {scene.title}", lambda: None)
    scene.before(built.lab)
    _say("")
    _say(f"{number}. {scene.title}", "bold")
    _say(f"  {scene.why}", "dim")
    known = {x.drill for x in _told(built)}
    began_s = time.time()
    words = [sys.executable, "-P", "-m", "orchestrator.cli.main", "drill", "run", SERVICE, *scene.words]
    words += ["--by", "Alice Martin", "--workspace", str(built.workspace)]
    running = built.lab.popen("noc", words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    shown: set[tuple[str, str]] = set()

    def over() -> bool:
        one.told = next((x for x in _told(built) if x.drill not in known), None)
        if one.told is None and running.poll() not in (None, 0):
            said = running.stdout.read().decode(errors="replace").strip() if running.stdout else ""
            raise StageFailed(f"the drill was refused: {said[-400:]}")
        return one.told is not None and one.told.ok is not None

    built.wait(over, ENDS_S, f"the end of: {scene.title}", lambda: _tell_steps(one, shown))
    _tell_steps(one, shown)
    running.wait(60)
    ended_s = time.time()
    there = existing_ids(built, 0.0)
    built.poll()
    one.user = account(built.user.attempts, [Act(scene.title, began_s, ended_s)], [there], [])[0]
    one.failure = _conclude(one)


def _told(built: Stage) -> list[DrillTold]:
    return list(drills(built.stories.decided, built.stories.clock, lambda name: name == SERVICE))


def _tell_steps(one: Drilled, shown: set[tuple[str, str]]) -> None:
    for step in one.told.steps if one.told is not None else ():
        key = step.run, step.name
        if key in shown or step.took_s is None or step.made.value not in ("live", "simulated", "failed"):
            continue
        shown.add(key)
        style = {"live": "green", "failed": "bold red"}.get(step.made.value, "yellow")
        why = f": {step.evidence}" if step.made.value == "failed" else ""
        _say(f"  {step.run} {step.name:<14} {precise(step.took_s):>7}  {step.made.value}{why}", style)


def _conclude(one: Drilled) -> str:
    """Say how it ended; why that is not as it should be, or nothing."""
    told, user = one.told, one.user
    if told is None or user is None:
        return "it did not begin"
    well = "ended well" if told.ok else "found it"
    _say(f"  {well if told.ok is one.scene.expected else 'ended'}: {told.reason}: {told.evidence}", "bold")
    lost = f"{len(user.lost_ids)} acknowledged transactions lost" if user.loss_known else "loss not measured"
    _say(f"  end user: {precise(user.longest_s)} without a successful transaction; {lost}", "cyan")
    if told.ok is not one.scene.expected:
        return f"ended {'well' if told.ok else 'badly'}: {told.reason}: {told.evidence}"
    if user.lost_ids or not user.loss_known:
        return lost
    return ""


def _ready(built: Stage) -> bool:
    state, model = built.stories.decided, built.stories.model
    if model is None or state.open_incidents() or state.unfinished_runs() or state.unfinished_drills():
        return False
    wanted = [c.id for c in model.checks.values() if c.client == "lab" and c.name in READY]
    return all(x in state.verdicts and state.verdicts[x].verdict is Verdict.UP for x in wanted)


def _as_json(done: list[Drilled], ok: bool, took_s: float) -> dict[str, object]:
    acts = [
        {
            "title": one.scene.title,
            "failure": one.failure,
            "drill": asdict(one.told) if one.told else None,
            "end_user": one.user.as_json() if one.user else None,
        }
        for one in done
    ]
    return {"ok": ok, "took_s": round(took_s, 1), "drills": acts}


def _say(text: str, style: str = "") -> None:
    show([line(Part(text, style))], sys.stdout)
    sys.stdout.flush()


EMPTIED = """
set -e
cd /tmp
/opt/postgresql/bin/pg_dump -h /run/postgresql -U postgres -d erp -Fc --schema-only > emptied.dump
/opt/lab/venv/bin/python - <<'PY'
import asyncio, time
from orchestrator.lab.programs import aws_rest
api = aws_rest.Api("http://198.51.100.34:5000")
async def main():
    listed = aws_rest.parsed(await api.call("s3", "GET", "/acme-backups?list-type=2&prefix=erp/"))
    newest = max(key.text for key in aws_rest.elements(listed, "Key"))
    headers = {"x-amz-meta-snapshot-time": f"{time.time():.3f}", "Content-Type": "application/octet-stream"}
    body = open("emptied.dump", "rb").read()
    await api.call("s3", "PUT", f"/acme-backups/{newest}", body=body, headers=headers, timeout_s=5.0)
asyncio.run(main())
PY
rm emptied.dump
"""
