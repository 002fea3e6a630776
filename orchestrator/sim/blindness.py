"""A vantage that is blind for long is news, with or without an incident: people must be told.

The one rule it keeps: it counts by the answers that reached a controller that could write, and by the notices in the
journal. It does not use how the core finds it out.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.core import records as r
from orchestrator.core.awareness.readiness import Lack
from orchestrator.core.commands import NoticeKind
from orchestrator.core.durations import show_duration
from orchestrator.core.model import Model
from orchestrator.core.state.decided import covers
from orchestrator.sim.answers import Answers
from orchestrator.sim.violation import BESIDE, Report

RULE = "who cannot see is told"
MARGIN_S = 15.0  # until it is looked at, beside `doubt`
STOOD_STILL_S = 10.0  # so long without any reference's answer: nobody was there to see or to tell


class Blindness:
    """For how long each client has been blind from each vantage, and who was told."""

    def __init__(self, answers: Answers, windows: Mapping[str, float], report: Report) -> None:
        """`windows`: announced maintenance, subject to its end."""
        self._answers = answers
        self._windows = windows
        self._report = report
        self._since: dict[tuple[str, str], float] = {}  # vantage and client
        self._told: set[tuple[str, str]] = set()
        self._told_at: dict[str, float] = {}  # client: when anything of this kind was said
        self._seen_at: dict[str, float] = {}

    def began(self) -> None:
        """A controller began, or could not write: what was counted is counted anew."""
        self._since.clear()

    def told(self, x: r.NoticeDue) -> None:
        """Somebody is told."""
        if x.kind not in (NoticeKind.CANNOT_SEE, NoticeKind.SEES_AGAIN) or x.details.get("lack") != Lack.BLIND.value:
            return
        subjects = x.details.get("subjects")
        pairs = {(str(v), x.client) for v in subjects} if isinstance(subjects, list | tuple) else set()
        self._told = self._told | pairs if x.kind is NoticeKind.CANNOT_SEE else self._told - pairs
        self._told_at[x.client] = x.at

    def observed(self, model: Model, name: str, at: float) -> None:
        """A reference has answered, or has been asked in vain."""
        check = model.checks.get(name)
        if check is None or not check.reference:
            return
        vantage = check.vantage
        clients = sorted({c.client for c in model.checks.values() if c.vantage == vantage})
        stood_still = at - self._seen_at.get(vantage, at) > STOOD_STILL_S
        self._seen_at[vantage] = at
        blind = self._answers.blind(vantage, at)
        for client in clients:
            pair = (vantage, client)
            if not blind or stood_still or self._excused(model, client, at):
                self._since.pop(pair, None)
                continue
            since = self._since.setdefault(pair, at)
            doubt_s = model.client_limits.get(client, model.limits).doubt_s
            due = max(since + doubt_s, self._told_at.get(client, 0.0) + doubt_s) + MARGIN_S
            if at > due and pair not in self._told:
                told = f"{client}: vantage {vantage} has been blind for {show_duration(at - since)}"
                self._report(BESIDE, RULE, told)

    def _excused(self, model: Model, client: str, at: float) -> bool:
        """Whether an announced maintenance may explain it: a part of it is enough here."""
        own = [s for s in model.services if s.startswith(f"{client}/")]
        return any(
            at < ends_at and any(covers(subject.partition("#")[0], s) for s in own)
            for subject, ends_at in self._windows.items()
        )
