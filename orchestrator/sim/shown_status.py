"""Statement 22, of the status: what it says of services and runs, with a controller at work and with none.

The one rule it keeps: it reads what was rendered, not what it was rendered from, and compares it with `facts`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from orchestrator.core import records as r
from orchestrator.core.durations import show_duration
from orchestrator.core.health.diagnosis import USABLE, evaluate
from orchestrator.core.model import Model
from orchestrator.journal.journal import Entry
from orchestrator.reports.status import status_now
from orchestrator.reports.status_parts import Live
from orchestrator.reports.status_text import status_lines
from orchestrator.reports.stories import State
from orchestrator.reports.text import plain
from orchestrator.sim.facts import Facts, OutageFacts
from orchestrator.sim.report_lines import seconds_of
from orchestrator.sim.spoken_truth import NO_RECORD, STATEMENT
from orchestrator.sim.violation import Report

WIDTH = 4000  # nothing is wrapped
EVERY = 40  # entries, beside those in which something begins, ends or changes in an incident
TELLING = (r.IncidentOpened, r.IncidentReopened, r.RunEnded, r.PlacementChanged, r.IncidentEnded, r.RunNeedsHuman)


class ShownStatus:
    """Renders the status at the moments at which it matters, and reads it back."""

    def __init__(self, facts: Facts, report: Report) -> None:
        """Nothing is there to be shown."""
        self._facts = facts
        self._report = report
        self._entries = 0

    def entry(self, entry: Entry, state: State) -> None:
        """One entry, which the facts and the state have heard of."""
        self._entries += 1
        told = any(isinstance(x, TELLING) for x in entry.records)
        changed = any(isinstance(x, r.VerdictChanged) for x in entry.records) and bool(state.decided.open_incidents())
        if self._entries % EVERY == 0 or told or changed:
            self.read(state, entry.at)

    def read(self, state: State, now: float) -> None:
        """As it is shown now, with a controller at work and with none."""
        model = state.model
        if model is None:
            return
        status = status_now(state.decided, model, now, 0.0, Live(daemon=True))
        text = plain(status_lines(status, WIDTH))
        for wrong in self._status_wrong(status, text, model, now):
            self._report(STATEMENT, NO_RECORD, f"status at {now:.1f}: {wrong}")
        alone = status_now(state.decided, model, now, 0.0, Live(daemon=False, silent_s=1.0))
        for wrong in self._unwatched_wrong(plain(status_lines(alone, WIDTH)).splitlines(), model):
            self._report(STATEMENT, NO_RECORD, f"status that nobody watches at {now:.1f}: {wrong}")

    def _unwatched_wrong(self, lines: list[str], model: Model) -> Iterator[str]:
        """With the controller gone nothing is said to be so now, and what was is what the last verdicts say."""
        for name, service in model.services.items():
            head = next((x for x in lines if x.startswith(f"{name} ")), "")
            was = evaluate(service.healthy_when, lambda c: self._facts.verdicts.get(c, r.Verdict.UNKNOWN)).value
            shown = re.search(r"(\w+) when last seen|\(was (\w+)\)", head)
            said = next(filter(None, shown.groups()), "") if shown else r.Verdict.UNKNOWN.value
            if "unknown" not in head.lower() or said != was:
                yield f"{name} is told as {head!r}, and was {was}"
        if any(x.endswith("its checks are not down any more") for x in lines):
            yield "checks that nobody asks are told as not down"

    def _status_wrong(self, status: object, text: str, model: Model, now: float) -> Iterator[str]:
        for s in json.loads(json.dumps(asdict(status)))["services"]:  # type: ignore[call-overload]
            name = s["id"]
            outage, service = self._facts.open_of(name), model.services[name]
            if s["place"] != self._facts.places.get(name):
                yield f"{name} at {s['place']}, recorded at {self._facts.places.get(name)}"
            head = next((x for x in text.splitlines() if x.startswith(f"{name}  ")), "")
            if self._facts.taken_out(name) is bool(re.search(r"  at \S+ ", head)) and s["place"]:
                yield f"{name} is told as {head!r}, and its place was {'' if s['taken_out'] else 'not '}taken out"
            if (s["incident"] or None) != (outage.incident if outage else None):
                yield f"{name} in incident {s['incident']}"
            said = evaluate(service.healthy_when, lambda c: self._facts.verdicts.get(c, r.Verdict.UNKNOWN))
            if s["condition"] in ("up", "degraded") and said not in USABLE:
                yield f"{name} is {s['condition']}, and its checks say {said.value}"
            if s["condition"] == "down" and said is not r.Verdict.DOWN:
                yield f"{name} is down, and its checks say {said.value}"
            if outage is not None:
                yield from self._status_of(outage, s, text, service.rto_s, now)
            shown, rehearsed = s["run"] and s["run"]["id"], s["rehearsal"] and s["rehearsal"]["id"]
            if (shown and self._facts.runs[shown].rehearses) or (
                rehearsed and not self._facts.runs[rehearsed].rehearses
            ):
                yield f"{name}: {shown} is shown as at work for it, and {rehearsed} as a rehearsal"
        runs = {x["id"] for x in json.loads(json.dumps(asdict(status)))["runs"]}  # type: ignore[call-overload]
        known = {name for name, x in self._facts.runs.items() if x.ended is None}
        if runs != known:
            yield f"runs {', '.join(sorted(runs))}, unfinished are {', '.join(sorted(known))}"

    def _status_of(self, outage: OutageFacts, s: dict[str, Any], text: str, rto_s: float, now: float) -> Iterator[str]:
        seconds = outage.seconds(now)
        down, left = s["down_s"], s["budget_left_s"]
        if not isinstance(down, float) or abs(down - max(0.0, seconds)) > 1e-6:
            yield f"{outage.service} down for {down} s, it is {seconds}"
        if not isinstance(left, float) or abs(left - (rto_s - outage.earlier_s - seconds)) > 1e-6:
            yield f"{outage.service}: {left} s left of {rto_s}, {outage.earlier_s + seconds} are gone"
        at_work = {
            x.started.move
            for x in self._facts.runs.values()
            if x.ended is None and x.started.incident == outage.incident
        }
        for tier in s["tiers"]:
            if tier["state"] == "running" and tier["move"] not in at_work:
                yield f"{outage.service}: tier {tier['tier']} is running, and no run of it is at work"
            if tier["reason"] and tier["move"] not in outage.tiers and not self._tried(outage, tier["move"]):
                yield f"{outage.service}: tier {tier['tier']} {tier['reason']}, and it was neither judged nor tried"
        head = next((x for x in text.splitlines() if x.startswith(f"{outage.service}  ")), "")
        shown = re.search(r"DOWN for ([\d:]+)", head)
        if shown is not None and abs(seconds_of(shown.group(1)) - seconds) > 1.0:
            yield f"{outage.service} DOWN for {shown.group(1)}, it is {show_duration(seconds)}"

    def _tried(self, outage: OutageFacts, move: str) -> bool:
        """Whether a run of it went on, or began, in this outage."""
        runs = (x for x in self._facts.runs.values() if x.started.service == outage.service and x.started.move == move)
        return any(x.ended is None or x.ended.at > outage.opened_at for x in runs)
