"""A report laid out: which parts stand where, under which headings, in one language.

The one rule it keeps: it works nothing out. Each value is one of the report's, each sentence one of ours by the
catalogue, or a text of the journal as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.core.outside import visible
from orchestrator.reports.papers.blocks import Block, Cells, Column, Pairs, Picture, Points, Title, Words
from orchestrator.reports.papers.known import MOMENTS
from orchestrator.reports.papers.made import Made, proof
from orchestrator.reports.papers.shape import Edition, FindingLine, Report, ReportKind, Said, Then
from orchestrator.reports.papers.tongue import Tongue
from orchestrator.reports.shape import Account, Figure, Moment
from orchestrator.reports.timeline import CLASSES, timeline

_SLOT = re.compile(r"\\\{(\w+)\\\}")  # as `re.escape` writes it
_OWN = re.compile("|".join(_SLOT.sub(lambda x: ".*" if x[1] == "reason" else r"\S+", re.escape(y)) for y in MOMENTS))
HEADINGS = {
    ReportKind.INCIDENT: "Incident {id}",
    ReportKind.PLANNED_MOVE: "Planned move {id}",
    ReportKind.DRILL: "Drill {id}",
    ReportKind.PERIOD: "What happened at {client}",
}


def heading(x: Report, tongue: Tongue) -> str:
    """What the whole is called."""
    name = tongue.say(Said(HEADINGS[x.kind], {"id": x.id, "client": x.scope.client}))
    if x.kind is ReportKind.PERIOD:
        last = (x.scope.to_wall or 0.0) - 1.0  # a day ends where the next one begins
        until = tongue.date(max(last, x.scope.from_wall)) if x.scope.to_wall is not None else "–"
        return f"{name}, {tongue.date(x.scope.from_wall)} – {until}"
    return tongue.joined(name, ", ".join(x.scope.services))


def laid_out(x: Report, made: Made, tongue: Tongue) -> list[Block]:
    """The whole report."""
    return [*_Page(tongue).whole(x, 1), *proof(x, made, tongue)]


class _Page:
    """Lays out in one language."""

    def __init__(self, tongue: Tongue) -> None:
        self._tongue = tongue
        self._pictures = 0

    def whole(self, x: Report, level: int) -> Iterator[Block]:
        t = self._tongue
        yield Title(level, heading(x, t), t.text("draft") if x.draft else "")
        if x.draft:
            names = ", ".join(self._part(name) for name in x.empty)
            yield Words(t.say(Said("It is a draft: these parts are empty: {parts}.", {"parts": names})))
        if level == 1 and x.edition is Edition.CLIENT:
            yield Words(
                t.text("Edition for the client: texts and names of the provider's own are left out."), soft=True
            )
        yield from self._scope(x, level + 1)
        if x.kind is ReportKind.PERIOD:
            yield from self._period(x, level)
            return
        yield from self._told(x, level + 1)

    def _part(self, name: str) -> str:
        known, colon, part = name.rpartition(": ")
        return self._tongue.joined(known, self._tongue.text(part)) if colon else self._tongue.text(part)

    def _told(self, x: Report, level: int) -> Iterator[Block]:
        t = self._tongue
        yield Title(level, t.text("Scenario"))
        yield Points(self._say(x.scenario))
        yield Title(level, t.text("Objectives and what was reached"))
        yield from self._objectives(x)
        yield from self._unmet(x, level)
        yield Title(level, t.text("Timeline"))
        for part in x.parts:
            if len(x.parts) > 1:
                yield Title(level + 1, self._part_of(part))
            yield self._picture(part)
            yield from self._phases(part)
        yield Title(level, t.text("What worked"))
        yield self._points(x.worked, "nothing that a record shows")
        yield Title(level, t.text("What did not"))
        yield self._points(x.failed, "nothing that a record shows")
        yield Title(level, t.text("Findings"))
        yield from self._findings(x.findings, x.no_findings)
        yield Title(level, t.text("What is proven by it"))
        yield Points(self._say(x.proven))
        if x.until:
            yield Words(t.text("It is proven until one of these changes:"))
            yield Points(tuple(t.known(name) for name in x.until))
        yield Title(level, t.text("Steps: live, simulated or skipped"))
        yield from self._steps(x)
        yield Title(level, t.text("Compared with the last time"))
        yield from self._then(x.last, x.last_said)
        yield Title(level, t.text("Cost"))
        yield from self._cost(x)
        yield Title(level, t.text("Participants"))
        yield self._participants(x)
        yield from self._record(x, level)

    # ---- the parts

    def _scope(self, x: Report, level: int) -> Iterator[Block]:
        t = self._tongue
        yield Title(level, t.text("Scope"))
        rows = [
            ("client", x.scope.client),
            ("services", ", ".join(x.scope.services)),
            ("places", ", ".join(x.scope.places)),
            ("moves", ", ".join(x.scope.moves)),
            ("from", t.time(x.scope.from_wall)),
            ("to", t.time(x.scope.to_wall) if x.scope.to_wall is not None else t.text("it goes on")),
            ("configuration", x.scope.configuration),
        ]
        yield Pairs(tuple((t.text(name), visible(value) or "–") for name, value in rows))

    def _objectives(self, x: Report) -> Iterator[Block]:
        t = self._tongue
        if not x.objectives:
            yield Words(t.text("The configuration of that time is not kept: no objective is known."))
            return
        met, missed = t.text("met"), t.text("missed")
        rows = [
            (
                t.text("return") if o.objective == "return" else o.objective,
                t.duration(o.of_s),
                self._figure(o.actual),
                {True: met, False: missed, None: t.text("not known")}[o.met],
                t.joined(t.text(o.actual.known.value), t.known(o.actual.source)),
            )
            for o in x.objectives
        ]
        columns = (
            Column(""),
            self._number("objective"),
            self._number("reached"),
            self._text(""),
            self._text("how it is known"),
        )
        yield Cells(columns, tuple(rows), (met,), (missed,))

    def _unmet(self, x: Report, level: int) -> Iterator[Block]:
        """Of a whole report: what is inside of a period is judged with the period."""
        if level > 2:
            return
        t = self._tongue
        yield Title(level, t.text("Objectives that cannot be met as things are"))
        if x.unmet is None:
            yield Words(t.text("not known: the configuration of that time is not kept"))
            return
        yield self._points([y.said for y in x.unmet], "none that a measurement or the plan itself shows")

    def _picture(self, a: Account) -> Picture:
        t = self._tongue
        self._pictures += 1
        phases = ", ".join(f"{t.text(p.phase)} {t.duration(p.seconds)}" for p in a.phases)
        legend = [(CLASSES.get(p.phase, "decide"), t.text(p.phase)) for p in a.phases]
        legend += [("outage", t.text("without service"))] if a.outages else []
        seen = dict.fromkeys(legend)
        about = t.say(Said("Timeline of {service}: {phases}", {"service": a.service, "phases": phases}))
        return Picture(timeline(a, f"t{self._pictures}", t, outages=True), about, tuple(seen))

    def _phases(self, a: Account) -> Iterator[Block]:
        t = self._tongue
        rows = [(t.text(p.phase), t.duration(p.seconds), t.share(p.share)) for p in a.phases]
        total = sum(p.seconds for p in a.phases)
        rows.append(
            (t.text("together"), t.bounded(total, a.down_at_most), t.share(total / a.rto_s if a.rto_s else None))
        )
        columns = (self._text("phase"), self._number("took"), self._number("of the RTO"))
        width = len(columns) if a.rto_s else len(columns) - 1
        yield Cells(columns[:width], tuple(row[:width] for row in rows))

    def _findings(self, found: Sequence[FindingLine], nobody: str) -> Iterator[Block]:
        t = self._tongue
        if not found:
            text = (
                "none, as {who} stated" if nobody else "nobody has said yet what is to be improved, or that nothing is"
            )
            yield Words(t.say(Said(text, {"who": nobody})))
            return
        open_, closed, overdue = t.text("open"), t.text("closed"), t.text("overdue")
        rows = [
            (
                f.id,
                visible(f.text) or "–",
                t.known(f.owner),
                f.due,
                closed if f.closed_by else overdue if f.overdue else open_,
                " ".join(x for x in (t.known(f.closed_by), visible(f.closed_why)) if x),
            )
            for f in found
        ]
        columns = [self._text(name) for name in ("", "to be improved", "owner", "due", "state", "closed by")]
        yield Cells(tuple(columns), tuple(rows), (closed,), (overdue,))

    def _steps(self, x: Report) -> Iterator[Block]:
        t = self._tongue
        if not x.steps:
            yield Words(t.text("no move was made"))
            return
        rows = [
            (
                visible(s.run), visible(s.step), t.text(s.done.value), t.bounded(s.took_s, s.at_most), t.share(s.share),
                t.text(s.state), ": ".join(visible(w) for w in (s.reason, s.evidence) if w),
            )
            for s in x.steps
        ]  # fmt: skip
        columns = (
            self._text("run"), self._text("step"), self._text("how"), self._number("took"), self._number("of the RTO"),
            self._text("ended"), self._text("why"),
        )  # fmt: skip
        of_none = all(s.share is None for s in x.steps)  # of a way back the RTO says nothing
        shown = [n for n in range(len(columns)) if not of_none or columns[n].title != t.text("of the RTO")]
        yield Cells(
            tuple(columns[n] for n in shown), tuple(tuple(row[n] for n in shown) for row in rows),
            (t.text("done"),), (t.text("failed"),),
        )  # fmt: skip

    def _then(self, then: Then | None, said: Said) -> Iterator[Block]:
        t = self._tongue
        yield Words(t.say(said))
        if then is None:
            return
        lines = ("the move, without waits for a person", "RTA", "RPA")
        rows = []
        for name, key in zip(lines, ("took", "rta", "rpa"), strict=True):
            was, now = (getattr(then, x) for x in (f"{key}_s", f"{key}_now_s"))
            most = [x in then.bounds for x in (f"{key}_s", f"{key}_now_s")]
            told = (t.bounded(x, so) for so, x in zip(most, (was, now), strict=True))
            if was is not None or now is not None:
                rows.append((t.text(name), *told, "–" if any(most) else self._difference(was, now)))
        day = Column(f"{then.id}, {t.date(then.wall)}", number=True)
        yield Cells((Column(""), day, self._number("now"), self._number("difference")), tuple(rows))

    def _difference(self, was: float | None, now: float | None) -> str:
        if was is None or now is None:
            return "–"
        return ("+" if round(now - was, 1) > 0 else "") + self._tongue.duration(now - was)

    def _cost(self, x: Report) -> Iterator[Block]:
        t = self._tongue
        if x.cost is None:
            yield Words(t.say(x.cost_said))
            return
        amount = t.money(x.cost.amount, x.cost.currency)
        minute = t.money(x.cost.per_minute, x.cost.currency)
        text = "{amount}: {down_s} without the service, at {minute} a minute"
        if x.cost.at_most:
            text = "at most {amount}: at most {down_s} without the service, at {minute} a minute"
        if any(o.to_s is None for a in x.parts for o in a.outages):
            text = "{amount} so far: {down_s} without the service, at {minute} a minute"
            if x.cost.at_most:
                text = "at most {amount} so far: at most {down_s} without the service, at {minute} a minute"
        yield Words(t.say(Said(text, {"amount": amount, "down_s": x.cost.down_s, "minute": minute})))
        if x.kind is not ReportKind.INCIDENT:
            yield Words(t.say(x.cost_said), soft=True)
        if x.cost.once:
            once = t.money(x.cost.once, x.cost.currency)
            yield Words(t.say(Said("{once} of it is a penalty that is due once an outage", {"once": once})))

    def _participants(self, x: Report) -> Block:
        t = self._tongue
        rows = tuple((t.known(p.name), t.say(p.did), t.time(p.at_wall)) for p in x.participants)
        return Cells((self._text("who"), self._text("did"), self._text("when")), rows)

    # ---- what is on record

    def _record(self, x: Report, level: int) -> Iterator[Block]:
        t = self._tongue
        yield Title(level, t.text("What is on record"))
        yield Words(t.text("Times count from the first bad answer; of a planned move, from its start."), soft=True)
        for a in x.parts:
            if len(x.parts) > 1:
                yield Title(level + 1, self._part_of(a))
            if a.tiers:
                yield Title(level + 1, t.text("Tiers") if a.episodes < 2 else t.text("Tiers, in the last outage"))
                rows = tuple(
                    (
                        str(y.tier),
                        y.move,
                        t.text(y.state),
                        ": ".join(visible(w) for w in (y.reason, self._own(y.evidence)) if w),
                    )
                    for y in a.tiers
                )
                columns = (self._text("tier"), self._text("move"), self._text("state"), self._text("why"))
                yield Cells(columns, rows, (t.text("recovered"),), (t.text("failed"),))
            named = (("Decisions", a.decisions), ("Checks", a.checks), ("Placement", a.changes), ("Words", a.words))
            for name, found in (*named, ("Notices", a.notices)):
                yield from self._moments(level + 1, name, found)
            if a.remarks:
                yield Title(level + 1, t.text("Notes"))
                yield Points(tuple(t.known(remark) for remark in a.remarks))

    def _own(self, text: str) -> str:
        """What the account says of a record in words of its own; what the record says stays as it is."""
        return self._tongue.known(text) if _OWN.fullmatch(text) else text

    def _part_of(self, a: Account) -> str:
        """Of a drill's runs, which one this is of."""
        return ", ".join(visible(text) for text in (a.id, *(run.move for run in a.runs[:1])))

    def _moments(self, level: int, name: str, found: Sequence[Moment]) -> Iterator[Block]:
        t = self._tongue
        if not found:
            return
        yield Title(level, t.text(name))
        rows = tuple(
            (
                t.offset(m.at_s),
                ": ".join(visible(w) for w in (t.known(m.who) if m.who else "", self._own(m.what) or m.kind) if w),
                ": ".join(visible(w) for w in (self._own(m.reason), self._own(m.evidence)) if w),
            )
            for m in found
        )
        yield Cells((self._number("at"), self._text("what"), self._text("why")), rows)

    # ---- a period

    def _period(self, x: Report, level: int) -> Iterator[Block]:
        t = self._tongue
        yield Title(level + 1, t.text("Services"))
        rows = tuple(
            (
                s.service, str(s.incidents), str(s.moves), str(s.drills),
                *(t.bounded(seconds, s.at_most) for seconds in (s.down_s, s.longest_s)), t.duration(s.rto_s),
                str(s.met), str(s.missed), str(s.unknown),
            )
            for s in x.totals
        )  # fmt: skip
        numbers = (
            "incidents", "planned moves", "drills", "without service", "longest", "RTO", "RTO met", "RTO missed",
            "not known",
        )  # fmt: skip
        yield Cells((self._text("service"), *(self._number(name) for name in numbers)), rows)
        if x.scenario:  # of what these figures are
            yield Points(self._say(x.scenario))
        if x.missed:
            yield Title(level + 1, t.text("Scheduled drills that were missed"))
            missed = tuple(
                (t.known(y.schedule), y.occurrence, ": ".join(visible(w) for w in (y.reason, y.evidence) if w))
                for y in x.missed
            )
            named = ("schedule", "its time, or the begin of its period", "why")
            yield Cells(tuple(self._text(name) for name in named), missed)
        yield from self._unmet(x, level + 1)
        yield Title(level + 1, t.text("Findings"))
        if x.findings:
            yield from self._findings(x.findings, "")
        else:
            yield Words(t.text("none that is on record"))
        for one in x.inside:
            yield from self.whole(one, level + 1)

    # ---- words

    def _say(self, found: Iterable[Said]) -> tuple[str, ...]:
        return tuple(self._tongue.say(x) for x in found)

    def _points(self, found: Sequence[Said], nothing: str) -> Block:
        return Points(self._say(found)) if found else Words(self._tongue.text(nothing))

    def _figure(self, figure: Figure) -> str:
        return self._tongue.bounded(figure.seconds, figure.at_most)

    def _text(self, name: str) -> Column:
        return Column(self._tongue.text(name))

    def _number(self, name: str) -> Column:
        return Column(self._tongue.text(name), number=True)
