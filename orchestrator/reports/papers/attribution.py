"""Whose a record is: the service, client or check that it is about, by its own names and by those of records before it.

The one rule it keeps: a record that names no service, client, incident, run or check is of the workspace. Whoever cuts
out what is of one client takes nothing on the ground of a text.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.core import records as r
from orchestrator.core.events import OF_DRILLS, OF_FINDINGS, OF_RUNS
from orchestrator.core.state.decided import EVERYTHING, covers

OF_THE_WORKSPACE = ""


@dataclass(slots=True)
class Attribution:
    """Reads records in order, and knows whose incidents, runs and notices there are."""

    incidents: dict[str, str] = field(default_factory=dict)  # to their service
    runs: dict[str, str] = field(default_factory=dict)
    moves: dict[str, str] = field(default_factory=dict)  # of runs
    notices: dict[str, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)  # drills, findings and what else has an id: to their service

    def of(self, x: r.Record) -> str:
        """A service, a client, `client/check` of a verdict, `*` for everybody, or empty: of the workspace alone."""
        match x:
            case r.ControllerBegan() | r.Configured():
                return EVERYTHING
            case r.VerdictChanged():
                return x.check
            case r.IncidentOpened():
                self.incidents[x.incident] = x.service
                return x.service
            case r.RunStarted():
                self.runs[x.run], self.moves[x.run] = x.service, x.move
                return x.service
            case r.WordAccepted() | r.WordRefused():
                of_run = x.run if isinstance(x, r.WordAccepted) and x.run else x.subject if x.kind in OF_RUNS else ""
                by_id = self.known(x.subject) if x.kind in (*OF_DRILLS, *OF_FINDINGS) else ""
                return self.known(of_run) or by_id or x.subject
            case r.NoticeDue():
                self.notices[x.notice] = self._told_of(x)
                return self.notices[x.notice]
            case r.NoticeSettled() | r.NoticeRepeated() | r.NoticeDropped():
                return self.notices.get(x.notice, OF_THE_WORKSPACE)
        return self._by_its_names(x)

    def known(self, name: object) -> str:
        """The service of this incident, run, or other thing with an id; empty: there is none."""
        if not isinstance(name, str):
            return ""
        return self.incidents.get(name) or self.runs.get(name) or self.named.get(name) or ""

    def _by_its_names(self, x: r.Record) -> str:
        service = getattr(x, "service", None)
        for name in ("drill", "finding"):
            if isinstance(own := getattr(x, name, None), str) and own:
                if isinstance(service, str) and service:
                    self.named[own] = service
                elif own in self.named:
                    return self.named[own]
        if isinstance(service, str):
            return service
        for name in ("incident", "run", "about"):
            if found := self.known(getattr(x, name, None)):
                return found
        subject = getattr(x, "subject", None)
        return subject if isinstance(subject, str) else OF_THE_WORKSPACE

    def _told_of(self, x: r.NoticeDue) -> str:
        for name in (x.details.get("incident"), x.notice.partition("/")[0], x.notice.partition(".")[0], x.subject):
            found = self.known(name)
            if found and covers(x.client, found):
                return found
        return x.subject if covers(x.client, x.subject) and "/" in x.subject else x.client or OF_THE_WORKSPACE
