"""A simulation as a story that an operator can read: what happened in the world, and what bascule did.

The one rule it keeps: every decision stands with its named reason and its evidence. Nothing is told that is not in the
journal or in the script.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from orchestrator.core import records as r
from orchestrator.core.durations import show_bound, show_duration
from orchestrator.core.kinds import TRAITS, Reach
from orchestrator.core.model import Model
from orchestrator.core.reasons import Reason
from orchestrator.core.state.decided import was_refused
from orchestrator.journal.journal import Entry
from orchestrator.sim.simulation import WARM_UP_S, Result

MARGIN = 13  # where the text of a line begins

Told = tuple[str, str]  # mark, text
_DECIDED = {
    r.Decision.ACT: "acts",
    r.Decision.WAIT: "waits",
    r.Decision.ASK: "a person is asked",
    r.Decision.REFRAIN: "does nothing",
}
_NEEDLESS = (Reason.RECOVERED_BY_ITSELF, Reason.RECOVERED_WITH_ANOTHER, Reason.NOT_NEEDED)


def tell(result: Result, *, checks: bool | Collection[str] = True) -> Iterator[str]:
    """One line for each thing, in order: time, mark, text. Time 0 is the script's; the world has 30 s to come up.

    Marks: `*` the world, `>` what people are told, `!` a violation, none: the controller. `checks`: whose changes of
    verdict are told (but not those by which everything was first found well): all, none, or those of these names.
    """
    events: list[tuple[float, int, Told]] = [(at, n, ("*", what)) for n, (at, what) in enumerate(result.happened)]
    teller = _Teller(checks)
    for entry in result.entries:
        events += [(entry.at, len(events), told) for told in teller.entry(entry)]
    events += [(v.at, len(events), ("!", str(v))) for v in result.violations]
    for at, _, (mark, text) in sorted(events, key=lambda x: (x[0], x[1])):
        yield f"{_time(at - WARM_UP_S)}  {mark:1} {text}"


def that_matter(model: Model) -> frozenset[str]:
    """The checks by which services are judged and vantages are found blind."""
    references = {c.id for c in model.checks.values() if c.reference}
    return frozenset(references.union(*(s.healthy_when.checks() for s in model.services.values())))


def wrapped(lines: Iterable[str], width: int) -> Iterator[str]:
    """Told lines, broken at this width, with what follows below the text."""
    for line in lines:
        yield from textwrap.wrap(
            line, width, subsequent_indent=" " * MARGIN, break_long_words=False, break_on_hyphens=False
        )


def _time(at: float) -> str:
    tenths = round(abs(at) * 10)
    shown = f"{tenths // 600}:{tenths % 600 / 10:04.1f}"
    return f"{'-' + shown if at < 0 and tenths else shown:>9}"


class _Teller:
    """Remembers which incident is of which service, and when each step began."""

    def __init__(self, checks: bool | Collection[str]) -> None:
        self._checks = checks
        self._services: dict[str, str] = {}
        self._began: dict[tuple[str, str], float] = {}
        self._tries: dict[tuple[str, str], int] = {}
        self._kinds: dict[tuple[str, str], r.StepKind] = {}
        self._failed: set[str] = set()  # runs of which a step failed, or had been begun
        self._digest = ""
        self._said: dict[str, tuple[object, ...]] = {}  # by incident: what was judged last

    def entry(self, entry: Entry) -> Iterator[Told]:
        judged = {(x.incident, x.reason) for x in entry.records if isinstance(x, r.ServiceJudged)}
        over = {(x.run, x.step) for x in entry.records if isinstance(x, r.StepFinished)}
        skipped: list[r.StepFinished] = []
        for x in entry.records:
            if isinstance(x, r.StepFinished):
                self._count(x)
            if isinstance(x, r.StepFinished) and x.state is r.StepState.SKIPPED:
                skipped.append(x)
                continue
            if skipped:
                yield self._skipped(skipped)
                skipped = []
            if isinstance(x, r.VerdictChanged) and not self._wanted(x, entry.at):
                continue
            if isinstance(x, r.ServiceJudged) and not self._new(x):
                continue
            if isinstance(x, r.TierJudged) and x.state is r.TierState.RUNNING and (x.incident, x.reason) in judged:
                continue  # the judgement has just said so, and the run follows
            if isinstance(x, r.StepBegan):
                self._began[x.run, x.step] = entry.at
                self._tries[x.run, x.step] = x.attempt
                if (x.run, x.step) in over:
                    continue  # begun and ended in the same moment
            tell = _TELL.get(type(x))
            if tell is not None:
                yield (">" if isinstance(x, r.NoticeDue) else ""), tell(self, x)
        if skipped:
            yield self._skipped(skipped)

    def _count(self, x: r.StepFinished) -> None:
        """Whether its run fails with it, should it not end well; the reports go by the same rule (`claims.failed`)."""
        tries = self._tries.get((x.run, x.step), 0)
        acted = tries > 0 and TRAITS[self._kinds[x.run, x.step]].reach > Reach.QUIET
        if (x.state is r.StepState.FAILED or acted) and not was_refused(x.reason, tries):
            self._failed.add(x.run)

    def _wanted(self, x: r.VerdictChanged, at: float) -> bool:
        if isinstance(self._checks, bool):
            return self._checks and at >= WARM_UP_S
        return x.check in self._checks and at >= WARM_UP_S

    def _new(self, x: r.ServiceJudged) -> bool:
        """Whether it is another answer, and not only whether the service is known to be down that has changed."""
        last, self._said[x.incident] = self._said.get(x.incident), (x.decision, x.reason, x.evidence)
        return self._said[x.incident] != last

    def _skipped(self, steps: list[r.StepFinished]) -> Told:
        first = steps[0]
        names = ", ".join(x.step for x in steps)
        return "", f"{first.run} {names} left out: {first.reason.value}: {first.evidence}"

    def _configured(self, x: r.Configured) -> str:
        another, self._digest = bool(self._digest) and x.digest != self._digest, x.digest
        return f"{'another' if another else 'the'} configuration is in force"

    def _opened(self, x: r.IncidentOpened) -> str:
        self._services[x.incident] = x.service
        return f"{x.service} is DOWN{_at(x.place)} ({x.incident}): {x.evidence}"

    def _reopened(self, x: r.IncidentReopened) -> str:
        self._said.pop(x.incident, None)
        return f"{self._of(x.incident)} is DOWN again{_at(x.place)} ({x.incident}): {x.evidence}"

    def _ended(self, x: r.IncidentEnded) -> str:
        took = f"at most {show_bound(_outage_s(x))}" if x.perhaps_s else show_duration(_outage_s(x))
        return f"{self._of(x.incident)} works again after {took} ({x.incident}): {x.reason.value}"

    def _judged(self, x: r.ServiceJudged) -> str:
        return f"{self._of(x.incident)}: {_DECIDED[x.decision]}: {x.reason.value}: {x.evidence}"

    def _tier(self, x: r.TierJudged) -> str:
        return f"{self._of(x.incident)} tier {x.tier} {x.move}: {x.state.value}: {x.reason.value}: {x.evidence}"

    def _started(self, x: r.RunStarted) -> str:
        steps = ", ".join(s.name for s in x.steps)
        self._kinds.update(((x.run, s.name), s.kind) for s in x.steps)
        where = f", {x.from_place} → {x.to_place}" if x.to_place else ""
        who = f" by {x.who}" if x.who else ""
        return f"{x.run} {x.move} for {x.service}{where}, {x.origin.value}{who}: {steps}"

    def _added(self, x: r.RecheckAdded) -> str:
        self._kinds[x.run, x.step] = x.planned.kind
        return f"{x.run} {x.step} comes before {x.before}: {x.reason.value}: {x.evidence}"

    def _finished(self, x: r.StepFinished) -> str:
        took_s = x.at - self._began.get((x.run, x.step), x.at)
        took = f" after {show_duration(took_s)}" if took_s >= 0.05 else ""
        return f"{x.run} {x.step} {x.state.value}{took}: {x.reason.value}: {x.evidence}"

    def _run_ended(self, x: r.RunEnded) -> str:
        if x.ok:
            how = "ends well"
        elif x.reason in _NEEDLESS:
            how = "is not needed any more"
        else:
            how = "fails" if x.run in self._failed else "is stopped"
        return f"{x.run} {how}: {x.reason.value}: {x.evidence}"

    def _of(self, incident: str) -> str:
        return self._services.get(incident, incident)


def _at(place: str | None) -> str:
    return f" at {place}" if place else ""


def _outage_s(x: r.IncidentEnded) -> float:
    return x.rta_s if x.outage_s is None else x.outage_s


def _verdict(x: r.VerdictChanged) -> str:
    return f"{x.check} {x.was.value} → {x.verdict.value}: {x.evidence.removeprefix(x.check + ': ')}"


_TELL: dict[type, Callable[[_Teller, Any], str]] = {
    r.ControllerBegan: lambda _, x: f"controller {x.controller} decides from here on, epoch {x.epoch}",
    r.Configured: _Teller._configured,
    r.VerdictChanged: lambda _, x: _verdict(x),
    r.IncidentOpened: _Teller._opened,
    r.IncidentReopened: _Teller._reopened,
    r.IncidentEnded: _Teller._ended,
    r.ServiceJudged: _Teller._judged,
    r.TierJudged: _Teller._tier,
    r.RunStarted: _Teller._started,
    r.RecheckAdded: _Teller._added,
    r.StepBegan: lambda _, x: f"{x.run} {x.step} begins{f', attempt {x.attempt}' if x.attempt > 1 else ''}",
    r.StepLeftUnseen: lambda _, x: f"{x.run} {x.step} was running when the last controller stopped: end not seen",
    r.StepLooked: lambda _, x: f"{x.run} {x.step} is looked at: {x.reason.value}: {x.evidence}",
    r.StepRetried: lambda _, x: f"{x.run} {x.step} is tried again: {x.reason.value}: {x.evidence}",
    r.StepFinished: _Teller._finished,
    r.RunNeedsHuman: lambda _, x: f"{x.run} needs a person: {x.reason.value}: {x.evidence}",
    r.RunEnded: _Teller._run_ended,
    r.RunApproved: lambda _, x: f"{x.run} approved by {x.who}{f', who fenced {x.fenced}' if x.fenced else ''}",
    r.AbortAsked: lambda _, x: f"{x.run}: {x.who} wants it stopped",
    r.PlacementChanged: lambda _, x: f"{x.service} is at {x.place} now",
    r.MayActAdded: lambda _, x: f"{x.service} may act at {x.place} from here on",
    r.MayActRemoved: lambda _, x: f"{x.service} cannot act at {x.place} any more: {x.reason.value}: {x.evidence}",
    r.MoveEngaged: lambda _, x: f"{x.move} is {'in effect' if x.engaged else 'taken back'}",
    r.ServiceFrozen: lambda _, x: f"{x.service} is frozen: {x.reason.value}: {x.evidence}",
    r.WordAccepted: lambda _, x: f"{x.who}: {x.kind.value} {x.subject}: accepted: {x.reason.value}: {x.evidence}",
    r.WordRefused: lambda _, x: f"{x.who}: {x.kind.value} {x.subject}: refused: {x.reason.value}: {x.evidence}",
    r.WindowOpened: lambda _, x: f"maintenance of {x.subject} begins: {x.window}",
    r.WindowClosed: lambda _, x: f"maintenance of {x.subject} ends: {x.window}",
    r.NoticeDue: lambda _, x: x.text,
}
