"""Statement 22, of the ledger and of drills: what `evidence` and `drill show` say, read back.

The one rule it keeps: it reads the lines that a person would, and compares each with the records that it has heard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.core import records as r
from orchestrator.journal.journal import Entry
from orchestrator.reports.drills import one_lines, told
from orchestrator.reports.evidence import evidence
from orchestrator.reports.evidence_text import evidence_lines
from orchestrator.reports.stories import Stories
from orchestrator.reports.text import plain
from orchestrator.sim.facts import Facts
from orchestrator.sim.spoken_truth import NO_RECORD, STATEMENT
from orchestrator.sim.violation import Report

WIDTH = 4000  # nothing is wrapped
_TIER = re.compile(r"  \d+ (\S+): (measured|predicted|void|unproven)\b.*")
_PROVEN = re.compile(r"      (?:proven|verified before): .*; (r\d+) took .*")
_FAILED = re.compile(r"      RTO: (r\d+)(?:, a rehearsal,)? failed: .*")
_IN_VAIN = re.compile(r"      RTO: (r\d+) was verified, and the service did not come back with it.*")


class ShownLedger:
    """Renders the ledger when an outage or a drill is over, and a drill whenever it goes on."""

    def __init__(self, facts: Facts, report: Report) -> None:
        """Nothing is there to be shown."""
        self._facts = facts
        self._report = report
        self._in_vain: set[str] = set()  # runs that were verified, and whose tier failed after that
        self._stopped: set[str] = set()
        self._turned: set[str] = set()  # drills

    def entry(self, entry: Entry, stories: Stories) -> None:
        """One entry, which the facts and the stories have heard of."""
        drills: list[str] = []
        over = False
        for x in entry.records:
            match x:
                case r.TierJudged(state=r.TierState.FAILED):
                    self._in_vain.update(self._last_verified(x))
                case r.AbortAsked():
                    self._stopped.add(x.run)
                case r.DrillTurnedBack():
                    self._turned.add(x.drill)
                    drills.append(x.drill)
                case r.DrillBegan() | r.DrillEnded():
                    drills.append(x.drill)
                    over = over or isinstance(x, r.DrillEnded)
                case r.IncidentEnded():
                    over = True
        for wrong in (*(self._ledger(stories, entry.at) if over else ()), *self._drills(stories, drills)):
            self._report(STATEMENT, NO_RECORD, f"at {entry.at:.1f}: {wrong}")

    def _last_verified(self, x: r.TierJudged) -> list[str]:
        mine = [y for y in self._facts.runs.values() if (y.started.incident, y.started.move) == (x.incident, x.move)]
        last = max(mine, key=lambda y: y.started.at, default=None)
        return [last.started.run] if last is not None and last.ended is not None and last.ended.ok else []

    def _ledger(self, stories: Stories, now: float) -> Iterator[str]:
        model = stories.model
        if model is None:
            return
        stands = ""
        for line in plain(evidence_lines(evidence(stories, model, now, lambda _s: True), WIDTH)).splitlines():
            if found := _TIER.fullmatch(line):
                stands = found.group(2)
            elif found := _PROVEN.fullmatch(line):
                run = self._facts.runs[found.group(1)]
                well = run.ended is not None and run.ended.ok and run.done_at(r.StepKind.VERIFY) is not None
                if not well or found.group(1) in self._in_vain:
                    yield f"{stands} by {found.group(1)}, which brought nothing back: {line.strip()}"
                if "      proven" in line and stands not in ("measured", "predicted"):
                    yield f"{stands}, and told as proven: {line.strip()}"
            elif found := _FAILED.fullmatch(line):
                run = self._facts.runs[found.group(1)]
                if run.ended is None or run.ended.ok or (run.started.drill and found.group(1) in self._stopped):
                    yield f"{found.group(1)} did not fail: {line.strip()}"
            elif (found := _IN_VAIN.fullmatch(line)) and found.group(1) not in self._in_vain:
                yield f"{found.group(1)} did not fail its tier: {line.strip()}"

    def _drills(self, stories: Stories, names: list[str]) -> Iterator[str]:
        for name in dict.fromkeys(names):
            drill = stories.decided.drills.get(name)
            if drill is None:
                continue
            text = plain(one_lines(told(stories.decided, stories.clock, drill), WIDTH))
            began, over = self._facts.drills[name], name in self._facts.drills_over
            if "under way" in text and over:
                yield f"{name} is over, and told as under way"
            if "bascule drill cancel" in text and (over or name in self._turned):
                yield f"{name} goes back already, or is over, and is to be cancelled"
            place = self._facts.places.get(began.service)
            if "the service is where it was" in text and place != began.place:
                yield f"{name}: {began.service} is told as where it was, and is at {place}"
