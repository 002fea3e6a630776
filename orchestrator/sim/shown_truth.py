"""Statement 22, of what is shown: the report as text, page and data, and the list of incidents.

The one rule it keeps: it reads what was rendered, not what it was rendered from, and compares each figure and each
claim with `facts`. A figure that it cannot find where it belongs is a violation too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.core import records as r
from orchestrator.core.health.diagnosis import USABLE, evaluate
from orchestrator.core.model import Model
from orchestrator.journal.journal import Entry
from orchestrator.reports.account import account
from orchestrator.reports.incident_text import account_lines, list_lines, offset
from orchestrator.reports.page import page
from orchestrator.reports.shape import Account
from orchestrator.reports.stories import Stories
from orchestrator.reports.story import Story
from orchestrator.reports.text import plain, precise
from orchestrator.sim.facts import Facts, OutageFacts, RunFacts, StepFacts
from orchestrator.sim.report_lines import (
    BUT,
    DATA,
    ENGAGED,
    FIGURE,
    INSTANT,
    LISTED,
    MAY,
    MOVED,
    NOTE,
    OUT,
    PHASE,
    PLACED,
    RUN,
    STEP,
    TIER,
    parts_of,
    same_move,
    seconds_of,
)
from orchestrator.sim.shown_ledger import ShownLedger
from orchestrator.sim.shown_status import WIDTH, ShownStatus
from orchestrator.sim.spoken_truth import NO_RECORD, STATEMENT
from orchestrator.sim.violation import Report

LAGS_S = 0.06  # what a figure with one decimal may be away from its value
WHOLE_S = 0.501  # the same of one in whole seconds


class ShownTruth:
    """Renders what can be shown, at the moments at which it matters, and reads it back."""

    def __init__(self, model: Model, facts: Facts, report: Report) -> None:
        """Nothing is there to be shown."""
        self._models = {model.digest: model}
        self._facts = facts
        self._report = report
        self._stories = Stories(self._models.get)
        self._status, self._ledger = ShownStatus(facts, report), ShownLedger(facts, report)
        self._dirty: set[str] = set()  # stories that have changed since they were read last
        self._fell: dict[str, list[r.VerdictChanged]] = {}  # by incident: with which its outages began
        self._changed: dict[str, r.VerdictChanged] = {}  # by check: its last change

    def knows(self, model: Model) -> None:
        """A model that may be put in force."""
        self._models[model.digest] = model

    def entry(self, entry: Entry) -> None:
        """One entry, which the facts have heard of."""
        self._stories.read([entry])
        over: set[str] = set()
        for x in entry.records:
            if isinstance(x, r.RunStarted | r.RunEnded):
                story = self._stories.find(x.run)
                if story is not None:
                    self._dirty.add(story.id)
                    over |= {story.id} if isinstance(x, r.RunEnded) else set()
            elif isinstance(x, r.IncidentOpened | r.IncidentReopened | r.IncidentEnded):
                self._dirty.add(x.incident)
                over |= {x.incident} if isinstance(x, r.IncidentEnded) else set()
            elif isinstance(x, r.VerdictChanged):
                self._changed[x.check] = x
            if isinstance(x, r.IncidentOpened | r.IncidentReopened):
                self._began(x)
        if over:
            self._read([self._stories.stories[name] for name in sorted(over)], entry.at)
        self._status.entry(entry, self._stories)
        self._ledger.entry(entry, self._stories)

    def _began(self, x: r.IncidentOpened | r.IncidentReopened) -> None:
        """What had fallen since its first bad answer, in the very entry that opened it or long before."""
        service = self._stories.stories[x.incident].of
        asked = dict.fromkeys(service.healthy_when.checks()) if service is not None else {}
        last = [self._changed[c] for c in asked if c in self._changed]
        fell = [c for c in last if c.verdict is r.Verdict.DOWN and c.at >= x.first_bad_at]
        self._fell.setdefault(x.incident, []).extend(fell)

    def at_rest(self) -> None:
        """The end of everything: whatever has not been read since it changed."""
        last = self._stories.last
        if last is not None and self._dirty:
            self._read([self._stories.stories[name] for name in sorted(self._dirty)], last.at)
            self._status.read(self._stories, last.at)

    # ---- a story

    def _read(self, stories: Sequence[Story], now: float) -> None:
        told = [account(story, self._stories.clock, now) for story in stories]
        for story, a, listed in zip(stories, told, plain(list_lines(told, WIDTH)).splitlines(), strict=True):
            self._dirty.discard(story.id)
            for wrong in (
                *self._list(story, listed),
                *self._text(story, plain(account_lines(a, WIDTH)), now),
                *self._data(story, json.loads(json.dumps(asdict(a))), now),
                *self._page(story, a, now),
            ):
                self._report(STATEMENT, NO_RECORD, f"{story.id} at {now:.1f}: {wrong}")

    def _outages(self, story: Story) -> list[OutageFacts]:
        return self._facts.outages.get(story.id, [])

    def _runs(self, story: Story) -> list[RunFacts]:
        """Of the incident, or the planned one."""
        if story.id in (runs := self._facts.runs):
            return [runs[story.id]]
        outages = self._outages(story)
        return [
            x
            for x in runs.values()
            if x.started.incident == story.id
            or (x.started.service == story.service and any(x.was_at_work(o.opened_at) for o in outages))
        ]

    def _before(self, story: Story) -> list[RunFacts]:
        """Those that were over when an outage was opened, and not yet at its first bad answer."""
        mine = [x for x in self._facts.runs.values() if x.started.service == story.service and x.ended is not None]
        outages = self._outages(story)
        return [x for x in mine if any(x.started.at < o.opened_at and x.ended.at > o.first_bad_at for o in outages)]  # type: ignore[union-attr]

    def _led(self, story: Story) -> tuple[str | None, str, bool] | None:
        """From where, to where, and whether verified."""
        outages = self._outages(story)
        since = outages[0].opened_at if outages else self._facts.runs[story.id].started.at
        until = outages[-1].ended.at if outages and outages[-1].ended else float("inf")
        mine = {x.started.run for x in self._runs(story)}
        found = [
            x
            for x in self._facts.changes
            if isinstance(x, r.PlacementChanged)
            and x.service == story.service
            and (x.run in mine or (bool(outages) and since < x.at <= until))  # what ended as it opened came before
        ]
        if not found or found[-1].place == found[0].was:
            return None
        run = self._facts.runs[found[-1].run]
        verified = run.done_at(r.StepKind.VERIFY) is not None
        return found[0].was, found[-1].place, verified

    def _seconds(self, story: Story, now: float) -> float:
        return sum(x.seconds(now) for x in self._outages(story))

    def _well_s(self, story: Story, now: float) -> float:
        """Of an outage that goes on: how long its service's checks have been good again."""
        service, verdicts = story.of, self._facts.verdicts
        if (
            service is None
            or evaluate(service.healthy_when, lambda c: verdicts.get(c, r.Verdict.UNKNOWN)) not in USABLE
        ):
            return 0.0
        changed = [self._facts.changed_at[c] for c in service.healthy_when.checks() if c in verdicts]
        return now - max([self._outages(story)[-1].opened_at, *changed])

    def _rta(self, story: Story) -> str:
        """Of what is over, and as a bound where a part of it was seen by nobody."""
        unseen = any(x.ended is not None and x.ended.perhaps_s for x in self._outages(story))
        return f"{'at most ' if unseen else ''}{precise(self._seconds(story, 0.0), up=unseen)}"

    def _list(self, story: Story, line: str) -> Iterator[str]:
        found = LISTED.fullmatch(line.rstrip())
        if found is None:
            yield f"the list cannot be read: {line}"
            return
        led = self._led(story)
        shown = re.search(rf"(\S+) → (\S+){BUT}", found.group(3))
        yield from same_move(shown and (shown.group(1), shown.group(2), not shown.group(3)), led)
        outages = self._outages(story)
        if outages and outages[-1].ended is not None:
            wanted = f"RTA {self._rta(story)}"
            if wanted not in found.group(3):
                yield f"the list does not say {wanted}: {line}"
        if not outages and "RTA" in found.group(3):
            yield f"an RTA, and nothing had failed: {line}"

    def _text(self, story: Story, text: str, now: float) -> Iterator[str]:
        lines = text.splitlines()
        parts = parts_of(lines)
        led = self._led(story)
        moved = next((m for x in lines[:12] if (m := MOVED.fullmatch(x))), None)
        yield from same_move(moved and (moved.group(1), moved.group(2), not moved.group(3)), led)
        yield from self._figures(story, lines, parts.get("phases", []), now)
        yield from self._instants(story, parts.get("instants", []))
        yield from self._tiers(story, parts.get("tiers", []))
        yield from self._run_states(story, lines)
        yield from self._steps(story, lines)
        yield from self._placement(story, parts.get("placement", []))
        yield from self._checks(story, parts.get("checks", []))
        yield from self._proof(story, "\n".join(lines[:14]))

    def _figures(self, story: Story, lines: list[str], phases: list[str], now: float) -> Iterator[str]:
        outages = self._outages(story)
        rows = [(m.group(1), seconds_of(m.group(2))) for x in phases if (m := PHASE.fullmatch(x))]
        sums = [s for name, s in rows if name != "together"]
        if (together := next((s for name, s in rows if name == "together"), None)) is None:
            yield "the phases are not added up"
            return
        coarse = max(WHOLE_S if s >= 120 else LAGS_S for s in [*sums, together])
        if abs(sum(sums) - together) > coarse * (len(sums) + 1):
            yield f"the phases add up to {sum(sums):.1f} s, and together they are {together:.1f} s"
        if not outages:
            return
        expected = self._seconds(story, now)
        near, half = (WHOLE_S, 0.5) if expected >= 120 else (LAGS_S, 0.05)
        up = half if any("≤" in x for x in phases) else 0.0  # what is told as a bound is rounded up
        if abs(together - up - expected) > near:
            yield f"the phases together are {together:.1f} s, its outages {expected:.1f} s"
        rta = next((m for x in lines[:12] if (m := FIGURE.fullmatch(x))), None)
        if rta is None:
            yield "no RTA is shown"
        elif outages[-1].ended is None:
            if rta.group(1) != "not known":
                yield f"RTA {rta.group(1)} of an outage that goes on"
            well_s, before = self._well_s(story, now), outages[-1].earlier_perhaps_s
            least = expected - well_s - outages[-1].doubted_s(now - well_s) - before
            if story.of is not None and (least > story.of.rto_s) is not ("MISSED" in (rta.group(2) or "")):
                yield f"RTO{rta.group(2) or ''} of an outage that goes on, after {expected:.1f} s of {story.of.rto_s} s"
        elif rta.group(1) != self._rta(story):
            yield f"RTA {rta.group(1)}, and its outages were {self._rta(story)}"
        elif rta.group(2) and story.of is not None and (expected <= story.of.rto_s) is not ("met" in rta.group(2)):
            yield f"RTO {rta.group(2).strip()} with {expected:.1f} s"

    def _instants(self, story: Story, lines: list[str]) -> Iterator[str]:
        """Each shown instant of a run is that of a run of the story, done; what is not so is not shown."""
        shown = {m.group(1): m.group(2) for x in lines if (m := INSTANT.fullmatch(x))}
        outages = self._outages(story)
        zero = outages[0].first_bad_at if outages else self._facts.runs[story.id].started.at
        since = outages[-1].opened_at if outages else zero
        runs = [x for x in self._runs(story) if x.started.at >= since or x.was_at_work(since)]

        def instants(of: Callable[[RunFacts], float | None]) -> set[str]:
            return {offset(at - zero) for x in runs if (at := of(x)) is not None}

        known: dict[str, set[str]] = {
            "fenced": instants(lambda x: out[0] if (out := x.out_at()) else None),
            "acted": instants(lambda x: x.done_at(r.StepKind.EXECUTE)),
            "verified": instants(lambda x: x.done_at(r.StepKind.VERIFY)),
            "decided": {offset(s.begun_at - zero) for x in runs for s in x.steps.values() if s.begun_at is not None},
        }
        ended = outages[-1].ended if outages else None
        known["works again"] = {offset(ended.recovered_at - zero)} if ended is not None else set()
        for name, at in shown.items():
            if name in known and at not in known[name]:
                yield f"{name} {at}, and no record says so"

    def _tiers(self, story: Story, lines: list[str]) -> Iterator[str]:
        outages = self._outages(story)
        if not outages:
            return
        last = outages[-1]
        at_work = {x.started.move for x in self._runs(story) if x.ended is None and x.started.tier is not None}
        for line in lines:
            found = TIER.fullmatch(line)
            if found is None:
                yield f"a tier cannot be read: {line}"
                continue
            tier, move, state = int(found.group(1)), found.group(2), found.group(3).strip()
            judged = last.tiers[move].state if move in last.tiers else None
            if state == "running" and move not in at_work:
                yield f"tier {tier} is running, and no run of it is at work"
            elif state == "recovered" and judged is not r.TierState.RECOVERED:
                yield f"tier {tier} recovered, and no record says so"
            elif state == "failed" and judged is not r.TierState.FAILED:
                yield f"tier {tier} failed, and no record says so"
            elif state == "not needed" and last.ended is None:
                yield f"tier {tier} is not needed, and {last.incident} is open"
            elif state in ("waiting", "settling", "not judged yet") and last.ended is not None:
                yield f"tier {tier} is {state}, and {last.incident} is over"

    def _run_states(self, story: Story, lines: list[str]) -> Iterator[str]:
        for found in (m for x in lines if (m := RUN.fullmatch(x))):
            run, state = self._facts.runs[found.group(1)], found.group(3)
            ended = run.ended
            if ended is None:
                asked = any(s.begun_at is not None and s.at is None for s in run.of(r.StepKind.APPROVAL))
                true = ("with a person",) if run.human is not None or asked else ("running",)
            else:
                true = ("done",) if ended.ok else ("failed",) if run.changed else ("stopped",)
            if state not in true:
                yield f"{found.group(1)} is told as {state}, it is {true[0]}"

    def _steps(self, story: Story, lines: list[str]) -> Iterator[str]:
        """What never began stands there without times, and what began with them: below its run."""
        steps: dict[str, StepFacts] = {}
        for line in lines:
            if run := RUN.fullmatch(line):
                steps = self._facts.runs[run.group(1)].steps
            elif found := STEP.fullmatch(line):
                step, began = steps.get(found.group(1)), found.group(2) != "–"
                if step is not None and began is not (step.begun_at is not None):
                    yield f"{found.group(1)} began at {found.group(2)}, on record is {step.begun_at}"

    def _placement(self, story: Story, lines: list[str]) -> Iterator[str]:
        changes = [x for x in self._facts.changes if getattr(x, "service", story.service) == story.service]
        for line in lines:
            if found := PLACED.fullmatch(line):
                told = any(isinstance(x, r.PlacementChanged) and x.place == found.group(1) for x in changes)
            elif found := OUT.fullmatch(line):
                stated = "stated" in found.group(2)
                told = any(
                    isinstance(x, r.MayActRemoved)
                    and x.place == found.group(1)
                    and ("fenced by hand" in x.reason.value) is stated
                    for x in changes
                )
            elif found := MAY.fullmatch(line):
                told = any(isinstance(x, r.MayActAdded) and x.place == found.group(1) for x in changes)
            elif found := ENGAGED.fullmatch(line):
                engaged = found.group(2) == "in effect"
                told = any(
                    isinstance(x, r.MoveEngaged) and x.move == found.group(1) and x.engaged is engaged
                    for x in self._facts.changes
                )
            else:
                told = NOTE.fullmatch(line) is not None
            if not told:
                yield f"no record says: {line.strip()}"

    def _checks(self, story: Story, lines: list[str]) -> Iterator[str]:
        """What each outage began with stands there, of the first and of a relapse."""
        for x in self._fell.get(story.id, []):
            head = f"{offset(x.at - self._outages(story)[0].first_bad_at)}  {x.check} ({x.was.value} → down: "
            if not any(line.lstrip().startswith(head) for line in lines):
                yield f"{x.check} fell at {x.at:.1f}, with which an outage began, and that is not told"

    def _proof(self, story: Story, text: str) -> Iterator[str]:
        """What the source of the RPA says of the place left, and whether data was opened elsewhere at all."""
        runs = [*self._runs(story), *self._before(story)]
        if "proven unable to act" in text and not any((out := x.out_at()) and out[1] for x in runs):
            yield "the place left was proven unable to act, and nothing proved it"
        if "stated that the place left" in text and not any((out := x.out_at()) and not out[1] for x in runs):
            yield "somebody stated that the place left cannot act, and nobody did"
        for who in re.findall(r"later (.+?) stated that the place left", text.replace("\n", " ")):
            if not any(set(who.split(" and ")) <= set(x.vouched.values()) for x in runs):
                yield f"{who} stated that the place left cannot act, and somebody else did"
        data = next((m for x in text.splitlines() if (m := DATA.fullmatch(x))), None)
        opened = any(x.started.to_place and x.done_at(r.StepKind.EXECUTE) is not None for x in runs)
        if data is not None and data.group(1) != "not known" and not opened:
            yield f"RPA {data.group(1)}, and no data was opened elsewhere"

    def _data(self, story: Story, told: dict[str, Any], now: float) -> Iterator[str]:
        """As JSON: the figures once more, unrounded."""
        led, to_place = self._led(story), told["to_place"]
        if to_place != (led[1] if led else None):
            yield f"JSON says that it was led to {to_place}"
        phases, rta = told["phases"], told["rta"]
        for step in told["steps"]:
            facts, times = (
                self._facts.runs[step["run"]].steps[step["step"]],
                ("from_s", "to_s", "took_s", "budget_left_s"),
            )
            if facts.begun_at is None and any(step[x] is not None for x in times):
                yield f"JSON: {step['run']} {step['step']} never began, and has times"
        if self._outages(story):
            expected, total = self._seconds(story, now), sum(p["seconds"] for p in phases)
            if abs(total - expected) > 1e-6:
                yield f"JSON: the phases add up to {total}, the outages to {expected}"
            if rta["seconds"] is not None and abs(rta["seconds"] - expected) > 1e-6:
                yield f"JSON: RTA {rta['seconds']}, the outages add up to {expected}"
            if rta["seconds"] is not None and rta["at_most"] is not self._rta(story).startswith("at most"):
                yield f"JSON: RTA {rta['seconds']}, {'' if rta['at_most'] else 'no '}bound, in truth {self._rta(story)}"

    def _page(self, story: Story, a: Account, now: float) -> Iterator[str]:
        """The page shows the same: its words, without its marks."""
        text = re.sub(r"<style>.*?</style>", "", page([a], wall=0.0), flags=re.DOTALL)
        words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
        led = self._led(story)
        head = words[: words.find("Phases")]
        shown = re.search(rf", (\S+) → (\S+?){BUT},", head)
        yield from same_move(shown and (shown.group(1), shown.group(2), not shown.group(3)), led)
        outages = self._outages(story)
        if outages and outages[-1].ended is not None and f"RTA {self._rta(story)}" not in head:
            yield "the page shows another RTA"
        if "proven unable to act" in head:
            yield from self._proof(story, "proven unable to act")
