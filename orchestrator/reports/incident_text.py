"""An account as text: the split clock, every step, tier, word and notice, for a terminal or a log.

The one rule it keeps: a figure always says what it is (measured, predicted, assumed) and where it is from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.core.durations import numeral, show_duration
from orchestrator.core.kinds import TRAITS
from orchestrator.core.records import StepKind
from orchestrator.reports.clock_times import stamp
from orchestrator.reports.remarks import unwatched
from orchestrator.reports.shape import Account, Figure, Known, Meter, Moment, StepLine
from orchestrator.reports.status_text import MARK, STYLE
from orchestrator.reports.text import SIGN, Line, Part, bar, bounded, folded, line, precise, value_of, wrap

TITLES = {
    "last_good": "last good answer",
    "first_bad": "first bad answer",
    "detected": "detected",
    "decided": "decided",
    "fenced": "fenced",
    "acted": "acted",
    "verified": "verified",
    "recovered": "works again",
}
STATE_STYLE = {"recovered": "bold green", "done": "bold green", "failed": "bold red", "open": "bold red"}


def list_lines(accounts: Sequence[Account], width: int = 100, unwatched_s: float | None = None) -> list[Line]:
    """One line each, or two where it is long, oldest first.

    `unwatched_s`: for so long no controller has written anything; None: one does.
    """
    if not accounts:
        return [line("nothing has happened here yet")]
    ids = max(len(a.id) for a in accounts)
    services = max(len(a.service) for a in accounts)
    lines = []
    for a in accounts:
        what = f"{a.from_place or '?'} → {a.to_place}{a.but}" if a.to_place else _last_move(a)
        figure = f"RTA {value_of(a.rta)}" if a.rta.seconds is not None else ""
        of = f" of RTO {show_duration(a.rto_s)}" if figure and a.rto_s else ""
        missed = "  RTO missed" if a.rto_met is False else ""
        state = f"{'drill ' if a.drill else 'planned ' if a.planned else ''}{a.state}"
        head = line(
            f"{a.id:<{ids}}  {stamp(a.began_wall)}  {a.service:<{services}}  ",
            Part(state, STATE_STYLE.get(a.state, "bold yellow")),
        )
        lines += folded(head, line(f"{what}  {figure}{of}".rstrip(), Part(missed, "red")), width)
    if unwatched_s is not None and any(a.ended_wall is None for a in accounts):
        lines += [line(Part(x, "yellow")) for x in wrap("", unwatched(unwatched_s), width)]
    return lines


def account_lines(a: Account, width: int = 100) -> list[Line]:
    """One account in full."""
    return [
        *_head(a, width),
        *_phases(a),
        *_meter(a.meter, a),
        *_milestones(a),
        *_tiers(a, width),
        *_runs(a, width),
        *_moments("decisions", a.decisions, width),
        *_moments("checks", a.checks, width),
        *_moments("placement", a.changes, width),
        *_moments("words", a.words, width),
        *_moments("notices", a.notices, width),
        *_remarks(a, width),
    ]


def summary_lines(accounts: Sequence[Account], width: int = 100) -> list[Line]:
    """A table over several acts: phases, RTA, what the end user measured."""
    from orchestrator.reports.summary import rows

    table = rows(accounts)
    sizes = [max(len(r[i]) for r in table) for i in range(len(table[0]))]
    return [
        line(
            *(
                Part(
                    ("  " if i else "") + (f"{cell:<{sizes[i]}}" if i == 0 else f"{cell:>{sizes[i]}}"),
                    "bold" if not n else "",
                )
                for i, cell in enumerate(row)
            )
        )
        for n, row in enumerate(table)
    ]


def figure_text(figure: Figure) -> str:
    """`41s (measured: …)`."""
    if figure.seconds is None:
        return f"{'not known' if figure.known is Known.UNKNOWN else figure.known.value} ({figure.source})"
    return f"{value_of(figure)} ({figure.known.value}: {figure.source})"


def offset(seconds: float | None) -> str:
    """A time after the first bad answer: `+0:41.2`."""
    if seconds is None:
        return "–"
    tenths = round(round(abs(seconds), 6) * 10)  # no minute has sixty seconds
    sign = "-" if seconds < 0 < tenths else "+"
    minutes, rest = divmod(tenths, 600)
    head = f"{minutes // 60}:{minutes % 60:02d}" if minutes >= 60 else f"{minutes}"
    return f"{sign}{head}:{rest / 10:04.1f}"


def percent(share: float | None) -> str:
    """A share of the RTO."""
    if share is None:
        return ""
    return f"{share * 100:.1f}%" if 0 < share < 0.1 else f"{share * 100:.0f}%"


def _last_move(a: Account) -> str:
    if not a.runs:
        return "no move"
    last = a.runs[-1]
    what = "rehearsal of " if any(TRAITS[StepKind(s.kind)].rehearses for s in a.steps) else ""
    return what + last.move.rpartition("/")[2] + ("" if last.state == "done" else f" {last.state}")


def _head(a: Account, width: int) -> Iterable[Line]:
    kind = f"drill {a.drill}, run" if a.drill else "planned move" if a.planned else "incident"
    yield line(Part(a.title or f"{kind} {a.id}", "bold"), f"  {a.service}  {stamp(a.began_wall)}")
    why = ": ".join(x for x in (a.reason, a.evidence) if x)
    first, *rest = wrap("  " + a.state + "  ", why, width)
    yield line("  ", Part(a.state, STATE_STYLE.get(a.state, "bold yellow")), first[2 + len(a.state) :])
    yield from (line(x) for x in rest)
    if a.to_place:
        yield line(f"  from {a.from_place or 'no place'} to {a.to_place}{a.but}")
    elif a.from_place:
        yield line(f"  {'was ' if a.taken_out else ''}at {a.from_place}")
    if not a.planned:
        yield from _figure("RTO", a.rto_s, "RTA", a.rta, a.rto_met, width)
    if a.rpo_s is not None or a.rpa.seconds is not None:
        yield from _figure("RPO", a.rpo_s, "RPA", a.rpa, a.rpo_met, width)


def _figure(
    objective: str, of_s: float | None, actual: str, figure: Figure, met: bool | None, width: int
) -> Iterable[Line]:
    """The objective, what was reached, and how that is known."""
    verdict = {True: "  met", False: "  MISSED", None: ""}[met]
    value = value_of(figure)
    of = f"{objective} {show_duration(of_s)}   " if of_s is not None else ""
    yield line(f"  {of}{actual} ", Part(value, "bold"), Part(verdict, "red" if met is False else "green"))
    known = "" if figure.known is Known.UNKNOWN else f"{figure.known.value}: "
    yield from (line(Part(x, "dim")) for x in wrap("    ", known + figure.source, width))


def _phases(a: Account) -> Iterable[Line]:
    yield line()
    yield line(Part("  phases", "bold"))
    size = max(len(p.phase) for p in a.phases)
    total = sum(p.seconds for p in a.phases)
    for p in a.phases:
        share = p.share if p.share is not None else p.seconds / total if total else 0.0  # without an RTO: of them all
        yield line(f"    {p.phase:<{size}}  {precise(p.seconds):>7}  {percent(p.share):>6}  ", bar(share, 20))
    together = bounded(total, a.down_at_most, SIGN)
    yield line(f"    {'together':<{size}}  {together:>7}  {percent(total / a.rto_s if a.rto_s else None):>6}")


def _meter(m: Meter | None, a: Account) -> Iterable[Line]:
    if m is None:
        return
    yield line()
    yield line(Part(f"  measured by the end user's meter ({m.meter})", "bold"))
    for text in meter_texts(m, a.rpo_s):
        yield line("    ", text)


def meter_texts(m: Meter, rpo_s: float | None) -> list[str]:
    """What the end user's meter says, a sentence each."""
    found = []
    if m.outage_s is not None:
        found.append(f"without a successful transaction: {precise(m.outage_s)}")
    if m.longest_outage_s is not None and m.longest_outage_s != m.outage_s:
        found.append(f"longest stretch of it: {precise(m.longest_outage_s)}")
    if m.acknowledged is not None or m.lost is not None:
        of = f" of {m.acknowledged} acknowledged" if m.acknowledged is not None else ""
        found.append(f"transactions lost: {m.lost if m.lost is not None else 'unknown'}{of}")
    if m.oldest_lost_age_s is not None:
        against = f", RPO {show_duration(rpo_s)}" if rpo_s is not None else ""
        found.append(f"age of the oldest lost one: {precise(m.oldest_lost_age_s)}{against}")
    if m.served_by:
        found.append(f"served by {m.served_by} afterwards")
    return found


def _milestones(a: Account) -> Iterable[Line]:
    yield line()
    of = " of the last outage, after" if a.episodes > 1 else ", after"
    first = " the first bad answer" + (" of the first" if a.episodes > 1 else "")
    yield line(Part("  instants", "bold"), ", after the start" if a.planned else of + first)
    for name, at in a.milestones.items():
        if at is not None:
            yield line(f"    {TITLES[name]:<16}  {offset(at)}")


def _tiers(a: Account, width: int) -> Iterable[Line]:
    if not a.tiers:
        return
    yield line()
    yield line(Part("  tiers", "bold"), ", in the last outage" if a.episodes > 1 else "")
    names = max(len(t.move) for t in a.tiers)
    for t in a.tiers:
        why = ": ".join(x for x in (t.reason, t.evidence) if x)
        head = f"    {t.tier} {t.move:<{names}}  {t.state:<10}  "
        first, *rest = wrap(head, why, width)
        cut = len(head) - 12
        yield line(first[:cut], Part(first[cut : cut + 10], STYLE.get(t.state, "")), first[cut + 10 :])
        yield from (line(x) for x in rest)


def _runs(a: Account, width: int) -> Iterable[Line]:
    for run in a.runs:
        tier = f", tier {run.tier}" if run.tier else ""
        who = f", asked by {run.who}" if run.who else ""
        yield line()
        yield line(Part(f"  run {run.run}", "bold"), f"  {run.move} ({run.origin}{tier}{who})  {run.state}")
        yield line(f"    forecast: {figure_text(run.predicted)}")
        if run.overrides:
            yield line(Part("    against the guards: " + ", ".join(run.overrides), "yellow"))
        if run.approved_by:
            yield line(f"    approved by {run.approved_by}")
        steps = [s for s in a.steps if s.run == run.run]
        yield from _steps(steps, width)


def _steps(steps: Sequence[StepLine], width: int) -> Iterable[Line]:
    if not steps:
        return
    names = max(len(s.step) for s in steps)
    yield line(Part(f"    {'step':<{names}}  {'start':>9} {'end':>9} {'took':>7} {'of RTO':>6} {'left':>7}", "dim"))
    for s in steps:
        left = precise(s.budget_left_s) if s.budget_left_s is not None else ""
        again = f"  attempt {s.attempts}" if s.attempts > 1 else ""
        took = bounded(s.took_s, s.at_most, SIGN) if s.took_s is not None else "–"
        yield line(
            f"    {s.step:<{names}}  {offset(s.from_s):>9} {offset(s.to_s):>9} {took:>7}"
            f" {percent(s.share):>6} {left:>7}  ",
            Part(MARK.get(s.state, "") or s.state, "green" if s.state == "done" else "yellow"),
            again,
        )
        if s.state != "done" or s.measures:
            measured = ", ".join(f"{k} {numeral(v)}" for k, v in s.measures.items())
            text = ": ".join(x for x in (s.reason, s.evidence, measured) if x)
            yield from (line(Part(x, "dim")) for x in wrap("      ", text, width) if text)
        for said in (*s.looks, *(f"not guarded: {host}" for host in s.unguarded)):
            yield from (line(Part(x, "yellow")) for x in wrap("      ", said, width))
        for task in s.tasks:
            if task.status == "skipped" or (task.took_s < 0.05 and task.status in ("ok", "changed")):
                continue
            colour = "red" if task.status in ("failed", "unreachable") else "dim"
            head = f"      {offset(task.from_s):>9} {task.took_s:>6.1f}s {task.status:<8} "
            first, *rest = wrap(head, f"{task.host}: {task.name}", width)
            yield line(Part(head, colour), first[len(head) :])
            yield from (line(x) for x in rest)


def _moments(title: str, moments: Sequence[Moment], width: int) -> Iterable[Line]:
    if not moments:
        return
    yield line()
    yield line(Part("  " + title, "bold"))
    for m in moments:
        who = f"{m.who}: " if m.who else ""
        tail = ": ".join(x for x in (m.reason, m.evidence) if x)
        yield from (
            line(x)
            for x in wrap(f"    {offset(m.at_s):>9}  ", f"{who}{m.what}" + (f" ({tail})" if tail else ""), width)
        )


def _remarks(a: Account, width: int) -> Iterable[Line]:
    if a.remarks:
        yield line()
    for remark in a.remarks:
        yield from (line(Part(x, "yellow")) for x in wrap("  note: ", remark, width))
