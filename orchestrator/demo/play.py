"""Runs the three acts, one after the other, and tells their results.

The one rule it keeps: the daemon is never helped. After a fault is injected, the demo only watches.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from orchestrator.core.durations import counted
from orchestrator.core.records import Verdict
from orchestrator.demo.acts import SCENES, SERVICE, STAFF, Played, Scene, existing_ids, settle_accounts
from orchestrator.demo.show import Narrator, act_lines
from orchestrator.demo.stage import Stage, StageFailed, stage
from orchestrator.reports.incident_text import summary_lines
from orchestrator.reports.page import page
from orchestrator.reports.summary import rows
from orchestrator.reports.text import Part, line, show

READY_S = 120.0
RECOVERED_S = 240.0
AFTER_S = 2.0  # the end user has to be well for so long before an act is over
CLIENT = "lab"


def play(workspace: Path, *, lab: str, html: Path, json_to: Path | None) -> int:
    """Build, play, tell and take down; the exit code: 0 every act recovered as expected, 1 one did not."""
    played: list[Played] = []
    with stage(workspace, lab) as built:
        began = time.monotonic()
        try:
            built.start(_headline)
            narrator = Narrator(built)
            for number, scene in enumerate(SCENES, start=1):
                played.append(_act(built, narrator, number, scene))
                if played[-1].failure:
                    break
        except StageFailed as failed:
            _say(f"the demo cannot go on: {failed}", "bold red")
            if not played:
                return 1
            played[-1].failure = played[-1].failure or str(failed)
        settle_accounts(built, played, built.user.attempts, built.staff.attempts)
        for one in played:
            one.failure = one.failure or _verdict(one)
        return _conclude(played, html, json_to, time.monotonic() - began)


def _act(built: Stage, narrator: Narrator, number: int, scene: Scene) -> Played:
    _ready(built, scene)
    narrator.skip()
    _say("")
    _say(f"Act {number}: {scene.title}", "bold")
    _say(f"  {scene.happens}", "dim")
    one = Played(scene, time.time())
    narrator.begin(one.began_s)
    scene.fault(built.lab)
    try:
        built.wait(lambda: _recovered(built, one), RECOVERED_S, f"{SERVICE} at {scene.place}", narrator.tell)
    except StageFailed as failed:
        one.failure = f"{failed}; {_stands(built)}"
    one.ended_s = time.time()
    one.existing = existing_ids(built, 0.0)
    settle_accounts(built, [one], built.user.attempts, built.staff.attempts)
    if number > 1:
        one.staff = None
    act_lines(one)
    return one


def _ready(built: Stage, scene: Scene) -> None:
    """Wait until everything is well, and what the act's tiers need is known to be there."""
    first = time.monotonic()

    def ready() -> bool:
        state, model = built.stories.decided, built.stories.model
        if model is None or time.monotonic() - first < scene.pause_s:
            return False
        wanted = [c for c in model.checks.values() if c.client == CLIENT and c.name in scene.ready]
        up = all(c.id in state.verdicts and state.verdicts[c.id].verdict is Verdict.UP for c in wanted)
        known = all(c.id in state.verdicts for c in model.checks.values() if c.client == CLIENT)
        return up and known and _well(built) and state.services[SERVICE].incident is None

    built.wait(ready, READY_S, f"ready for: {scene.title}", lambda: None)


def _well(built: Stage) -> bool:
    """Whether the end user's last seconds were all successes."""
    now = time.time()
    recent = [a for a in built.user.attempts[-200:] if a.ended_s > now - AFTER_S]
    return len(recent) > 20 and all(a.acknowledged for a in recent)


def _recovered(built: Stage, one: Played) -> bool:
    state = built.stories.decided
    service = state.services.get(SERVICE)
    if service is None or service.incident is not None or service.place != one.scene.place:
        return False
    clock = built.stories.clock
    seen = [
        i for i in state.incidents.values() if i.service == SERVICE and clock.wall(i.episode_opened_at) > one.began_s
    ]
    staff = state.services.get(STAFF)
    staff_back = one.scene.tier != 1 or (staff is not None and staff.incident is None)
    return bool(seen) and staff_back and not state.unfinished_runs() and _well(built)


def _stands(built: Stage) -> str:
    """Where the incident stands, for an act that did not recover."""
    state = built.stories.decided
    for incident in state.open_incidents():
        if incident.service == SERVICE and incident.judged is not None:
            tiers = "; ".join(
                f"tier {n} {t.move}: {t.state.value}: {t.reason.value}: {t.evidence}"
                for n, t in sorted(incident.tiers.items())
            )
            return f"{incident.judged.reason.value}: {incident.judged.evidence}; {tiers}"
    return "no incident is open"


def _verdict(one: Played) -> str:
    """Why the act did not go as it should, or nothing."""
    if one.account is None or one.account.state != "recovered":
        return "the journal tells of no recovery"
    by = [run.tier for run in one.account.runs if run.state == "done"]
    if by != [one.scene.tier]:
        return f"recovered by tier {by}, expected tier {one.scene.tier}"
    if one.user is not None and one.user.fenced_acknowledgements:
        return f"{counted(len(one.user.fenced_acknowledgements), 'transaction')} acknowledged by a fenced side"
    if one.user is not None and not one.user.recovered:
        return "the end user's outage did not end"
    return ""


def _conclude(played: list[Played], html: Path, json_to: Path | None, took_s: float) -> int:
    accounts = [one.account for one in played if one.account is not None]
    _say("")
    if accounts:
        show(summary_lines(accounts, 160), sys.stdout)
        html.write_text(page(accounts, wall=time.time(), title="bascule: three tiers of failover"), encoding="utf-8")
    failed = [one for one in played if one.failure]
    if json_to is not None:
        told = {
            "ok": not failed and len(played) == len(SCENES),
            "took_s": round(took_s, 1),
            "summary": rows(accounts) if accounts else [],
            "acts": [
                {
                    "title": one.scene.title,
                    "failure": one.failure,
                    "account": asdict(one.account) if one.account else None,
                    "end_user": one.user.as_json() if one.user else None,
                    "staff": one.staff.as_json() if one.staff else None,
                }
                for one in played
            ],
        }
        json_to.write_text(json.dumps(told, indent=2, default=str) + "\n", encoding="utf-8")
    _say("")
    if accounts:
        _say(f"The page with the timelines: {html}" + (f"; as data: {json_to}" if json_to else ""), "dim")
    for one in failed:
        _say(f"{one.scene.title}: did not go as it should: {one.failure}", "bold red")
    return 1 if failed or len(played) < len(SCENES) else 0


def _headline(text: str) -> None:
    _say(text, "dim")


def _say(text: str, style: str = "") -> None:
    show([line(Part(text, style))], sys.stdout)
    sys.stdout.flush()
