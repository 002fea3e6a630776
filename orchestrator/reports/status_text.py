"""The status as an operator reads it at three in the morning.

The one rule it keeps: what is wrong stands at the top, each line with its reason. What is to be typed stands in full.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from shlex import quote

from orchestrator.core.awareness.readiness import Lack
from orchestrator.core.durations import counted, show_bound, show_duration
from orchestrator.core.reasons import Reason
from orchestrator.reports.clock_times import when
from orchestrator.reports.lacks_text import lack_lines
from orchestrator.reports.status_parts import SETTLING, RunNow, ServiceNow, StatusNow, StepNow, TierNow
from orchestrator.reports.text import SIGN, Line, Part, bar, bounded, in_rows, lasting, line, wrap

STYLE = {
    "up": "green",
    "degraded": "yellow",
    "down": "bold red",
    "unknown": "magenta",
    "running": "bold cyan",
    "failed": "red",
    "not made": "yellow",
    "recovered": "green",
    "ineligible": "dim",
    "waiting": "",
}
MARK = {"done": "✓", "failed": "✗", "skipped": "–", "running": "…", "looking": "?", "unseen": "?", "pending": ""}


def status_lines(status: StatusNow, width: int = 100, *, moves: bool = False) -> list[Line]:
    """The whole status for a terminal `width` columns wide. `moves`: with the ways that each service has."""
    lines = [*_head(status, width)]
    for block in _blocks(status, width, moves):
        lines += block
    if not status.services:
        lines.append(line(Part("no services: nothing has been configured in this journal yet", "yellow")))
    while lines and not lines[-1]:
        lines.pop()
    return [*lines, line(), *_foot(status, width)]


def screen_lines(status: StatusNow, width: int, height: int, encoding: str = "utf-8") -> list[Line]:
    """As much of the status as fits a screen, the worst first, what does not fit counted; who watches stands last."""
    foot = in_rows(_foot(status, width), width, encoding)[-max(1, height // 2) :]
    head = in_rows(_head(status, width), width, encoding)
    room = height - len(foot)
    blocks = [in_rows(block, width, encoding) for block in _blocks(status, width, moves=False)]
    body: list[Line] = []
    if len(head) > room // 2 and len(head) + sum(map(len, blocks)) > room:
        cut = max(1, room // 2 - 1)
        head = [*head[:cut], line(Part(f"{len(head) - cut} more lines: bascule ready", "yellow"))]
    left = len(blocks)
    for block in blocks:
        needed = len(head) + len(body) + len(block) + (1 if left > 1 else 0)
        if needed > room:
            break
        body += block
        left -= 1
    if left:
        begun = blocks[0] if not body and room - len(head) > 3 else []  # the worst, as far as there is room
        others = left - bool(begun)
        told = [counted(others, "more service")] if others else []
        told += [f"more of {status.services[0].id}"] if begun else []
        said = line(Part(f"{', '.join(told)}: bascule status CLIENT, bascule status CLIENT/SERVICE", "yellow"))
        more = in_rows([said], width, encoding)
        body = [*[*body, *begun][: max(0, room - len(head) - len(more))], *more]
    return [*head, *body, *foot][-height:]


def _blocks(status: StatusNow, width: int, moves: bool) -> Iterable[list[Line]]:
    """The lines of each service, the worst first."""
    column = max([len(s.id) for s in status.services], default=0)
    for service in status.services:
        own = (
            [*_in_incident(service, width, status.wall)]
            if service.incident
            else [*_quiet(service, column, width, status.wall)]
        )
        own += _ways(service, width) if moves else ()
        yield [*own, line()] if service.incident or moves else own


def _head(status: StatusNow, width: int) -> list[Line]:
    """What cannot be seen or done: it stands first."""
    nobody = [x for x in status.cannot if x.kind != Lack.NOBODY.value]  # that stands in the last line
    lines = lack_lines(nobody, width, status.wall)
    return [*lines, line()] if lines else []


def _ways(s: ServiceNow, width: int) -> Iterable[Line]:
    """The moves that a service has, each with where it leads and what is known of it."""
    if not s.moves:
        yield line("  no move is declared for it")
    for move in s.moves:
        to = f" to {_short(move.to)}" if move.to else ""
        usual_ = usual(TierNow(0, move.move, "", "", "", move.usual_s, move.usual_runs, True)).partition(", ")[0]
        viable = {"up": "; its preconditions hold", "down": "; its preconditions do not hold"}.get(move.viable, "")
        viable = viable or ("; its preconditions are not known to hold" if move.viable == "unknown" else "")
        yield from _wrapped(f"  {move.rung}: {_short(move.move)}{to}  ", f"{usual_}{viable}", width, "dim")
    for move in s.moves[:1]:
        typed = f"bascule failover {quote(s.id)} --move {_short(move.move)} --dry-run"
        yield line("  try one: ", Part(typed, "bold"))


def run_lines(run: RunNow, width: int = 100) -> list[Line]:
    """A run on its own: its steps, what it does at this moment, what it waits for."""
    lines = [line(f"{run.service}  ", Part(_short(run.move), "bold"), f"  run {run.id} ({run.origin})")]
    lines += [line("  ", *row) for row in _rows(run.steps, width - 2)]
    return [*lines, *_run_extra(run, "  ", width)]


def _in_incident(s: ServiceNow, width: int, wall: float) -> Iterable[Line]:
    left = s.budget_left_s if s.budget_left_s is not None else s.rto_s
    down = s.down_s or 0.0
    share = (s.rto_s - left) / s.rto_s if s.rto_s else 1.0
    over = left < 0
    colour = "red" if over or share >= 0.8 else "yellow" if share >= 0.5 else "green"
    bound = s.unseen_s + s.perhaps_s > 0.0
    budget = f"RTO missed by {bounded(-left, bound, show=_clock)}" if over else f"budget left {_clock(left)}"
    if over and left + s.unseen_s + s.perhaps_s >= 0:
        budget = "RTO perhaps missed" + (", nobody looked" if s.unseen_s else "")
    at = f"   {_at(s)}" if s.place else ""
    yield line(
        Part(s.id, "bold"),
        "  ",
        Part(_standing(s, down), STYLE[s.condition]),
        f"{at}   RTO {_goal(s.rto_s)} ",
        Part(bar(share), colour),
        " ",
        Part(budget, colour),
    )
    began = f" since {when(s.since_wall, wall)}" if s.since_wall is not None else ""
    silent = "nothing is known of its checks" if s.condition == "unknown" else "its checks are not down any more"
    why = "; ".join(s.bad_checks) or silent
    which = f"{s.incident}, outage {s.outages}," if s.outages > 1 else s.incident
    yield from _wrapped(f"  {which}{began}: ", why, width, "red")
    asked = s.run is None or (s.run.origin != "manual" and bool(s.run.needs))  # else it was judged before the run
    asked = asked and (s.run is not None or s.reason != Reason.TIER_CHOSEN.value)  # that run has ended
    if s.reason and s.decision != "act" and asked:
        below = s.reason == Reason.NO_TIER_LEFT.value and s.tiers  # its evidence is the tiers, which follow
        why = f"{s.reason}: {s.evidence}" if s.evidence and not below else s.reason
        yield from _wrapped(f"  {s.decision}: ", why, width, "yellow")
    moves = max([len(_short(t.move)) for t in s.tiers], default=0)
    for tier in s.tiers:
        run = s.run if s.run and tier.state == "running" else None
        yield from _tier(tier, run, moves, width)
    if s.run and not any(t.state == "running" for t in s.tiers):
        yield from run_lines(s.run, width)
    if s.rehearsal:
        yield from run_lines(s.rehearsal, width)
    for note in s.notes:
        yield from _wrapped("  ", note, width, "yellow")
    if s.say:
        yield line("  type: ", Part(s.say, "bold"))


def _standing(s: ServiceNow, down_s: float) -> str:
    """What its checks say now; an incident may be open all the same, until what was done about it has ended."""
    several = f" ({_clock(s.down_together_s or 0.0)} in {s.outages} outages)" if s.outages > 1 else ""
    if s.condition == "down" and s.reason == Reason.NO_QUORUM.value:
        return f"SEEN DOWN for {_clock(down_s)}{several}, by too few vantages"
    if s.condition == "down":
        return f"DOWN for {bounded(down_s, s.doubted, show=_clock)}{several}"
    if s.condition == "unknown":
        last = f", {s.was} when last seen" if s.was and s.was != s.condition else ""
        return f"UNKNOWN{last}; {s.incident} not over, for {_clock(down_s)}{several}"
    return f"{s.condition.upper()} again; {s.incident} not over, for {_clock(down_s)}{several}"


def _at(s: ServiceNow) -> str:
    if not s.taken_out:
        return f"at {_short(s.place)}"
    return f"{_short(s.place)} out, {s.stated_out} states" if s.stated_out else f"{_short(s.place)} is out"


def _tier(t: TierNow, run: RunNow | None, moves: int, width: int) -> Iterable[Line]:
    head = f"  tier {t.tier} {_short(t.move):<{moves}}  "
    state = Part(f"{t.state:<10}  ", STYLE.get(t.state, ""))
    indent = " " * (len(head) + len(state.text))
    if run is not None:
        rows = _rows(run.steps, width - len(indent))
        yield line(head, state, *rows[0])
        for row in rows[1:]:
            yield line(indent, *row)
        yield from _run_extra(run, indent, width)
        return
    if t.state == "waiting":
        text = f"{t.reason}: {t.evidence}" if t.reason and t.evidence else usual(t)
    elif t.state == SETTLING:
        text = "its run has ended well, and the service's own checks are awaited"
    else:
        text = f"{t.reason}: {t.evidence}" if t.evidence else t.reason
    pieces = wrap(indent, text, width)
    yield line(head, state, pieces[0][len(indent) :])
    for piece in pieces[1:]:
        yield line(piece)


def usual(t: TierNow) -> str:
    """What is known of how long the tier takes."""
    if t.usual_s is None:
        over = "and the RTO is perhaps over" if t.perhaps else "and the RTO is over"
        return "no live run measured, " + ("assumed to fit" if t.fits else over)
    if t.usual_runs == 1:
        known = f"took {show_duration(t.usual_s)} (1 run)"
    else:
        known = f"{show_bound(t.usual_s)} at most ({counted(t.usual_runs, 'run')})"
    return f"{known}, " + ("fits" if t.fits else "perhaps does not fit" if t.perhaps else "does not fit")


def _steps(steps: tuple[StepNow, ...]) -> list[Part]:
    parts: list[Part] = []
    for step in steps:
        if step.state == "pending":
            continue
        took = ""
        if step.took_s is not None and step.state != "skipped":
            took = f" {bounded(step.took_s, step.at_most, SIGN, lasting)}"
        colour = {"done": "green", "failed": "red", "running": "cyan"}.get(step.state, "yellow")
        again = f" (attempt {step.attempt})" if step.attempt > 1 else ""
        parts += [Part(f"{_short(step.name)}{took}{again} "), Part(MARK[step.state] + "  ", colour)]
    return parts or [Part("about to start")]


def _rows(steps: tuple[StepNow, ...], room: int) -> list[list[Part]]:
    """The steps broken into rows, never inside a step."""
    rows: list[list[Part]] = [[]]
    used = 0
    parts = _steps(steps)
    for index in range(0, len(parts), 2):
        pair = parts[index : index + 2]
        size = sum(len(p.text) for p in pair)
        if rows[-1] and used + size > room + 2:
            rows.append([])
            used = 0
        rows[-1] += pair
        used += size
    return rows


def _run_extra(run: RunNow, indent: str, width: int) -> Iterable[Line]:
    if run.task:
        yield from _wrapped(indent + "↳ ", run.task, width, "dim")
    if run.needs:
        indent = indent[:4]  # far to the right there would be no room for a sentence
        yield from _wrapped(indent + "waits for a person: ", run.needs, width, "bold yellow")
        for sentence in run.would:
            yield from _wrapped(indent + "if approved: ", sentence, width, "yellow")
        if run.expires_s is not None:
            left = show_duration(run.expires_s)
            yield from _wrapped(indent, f"if nobody answers within {left}, it is not made", width, "yellow")
        if run.say:
            yield line(indent, "type: ", Part(run.say, "bold"))
        if run.refuse:
            yield line(indent, "or:   ", Part(run.refuse, "bold"))


def _quiet(s: ServiceNow, column: int, width: int, wall: float) -> Iterable[Line]:
    away = f"   (home is {_short(s.home)})" if s.home and s.place and s.place != s.home else ""
    at = _at(s) if s.place else "no place"
    engaged = "   by " + ", ".join(_short(m) for m in s.engaged) if s.engaged else ""
    mode = "" if s.mode == "auto" else f"   mode {s.mode}"
    was = f" (was {s.was})" if s.was and s.was != s.condition else ""
    yield line(
        f"{s.id:<{column}}  ",
        Part(f"{s.condition:<8}", STYLE[s.condition]),
        Part(was, "magenta"),
        f"  {at}",
        Part(away + engaged, "yellow"),
        f"   RTO {_goal(s.rto_s)}",
        Part(mode, "dim"),
    )
    began = f"since {when(s.since_wall, wall)} ({show_duration(s.for_s or 0.0)}): " if s.since_wall is not None else ""
    for number, bad in enumerate(s.bad_checks):
        yield from _wrapped("  ", (began if number == 0 else "") + bad, width, STYLE.get(s.condition, "red"))
    for note in s.notes:
        yield from _wrapped("  ", note, width, "yellow")
    for run in (s.run, s.rehearsal):
        yield from (line("  ", *parts) for parts in (run_lines(run, width - 2) if run else ()))
    if s.say and s.condition != "up":
        yield line("  type: ", Part(s.say, "bold"))


def _foot(status: StatusNow, width: int) -> Iterable[Line]:
    for stands in status.left:
        yield from _wrapped("", stands, width, "yellow")
    for told in status.undelivered:
        yield from _wrapped("not delivered yet: ", told, width, "yellow")
    if not status.controller:
        yield line(Part("no controller has ever run here; start one: bascule daemon", "yellow"))
        return
    who = f"controller {status.controller}, epoch {status.epoch}"
    if status.daemon:
        yield line(Part(who, "dim"))
        if told := _asking(status):
            yield from _wrapped("", told, width, "dim")
        return
    since = f" for {show_duration(status.silent_s)}" if status.silent_s is not None else ""
    stamp = when(status.wall - (status.silent_s or 0.0), status.wall)
    since += f" (since {stamp})" if status.silent_s is not None else ""
    yield from _wrapped("", f"{who}: silent{since}; nobody watches. Start it: bascule daemon", width, "bold red")


def _asking(status: StatusNow) -> str:
    """How many checks are asked and how late their questions went out; empty where a daemon does not tell."""
    late = status.asking.get("late_last_minute")
    if not isinstance(late, dict) or not late.get("count"):
        return ""
    p50, p99, most = (1000 * float(str(late.get(name, 0))) for name in ("p50_s", "p99_s", "max_s"))
    asked = counted(int(str(status.asking.get("checks", 0))), "check")
    return f"{asked}; asked late in the last minute by {p50:.1f} ms (median), {p99:.1f} ms (p99), {most:.1f} ms (most)"


def _wrapped(prefix: str, text: str, width: int, style: str) -> Iterable[Line]:
    for piece in wrap(prefix, text, width):
        yield line(piece[: len(prefix)], Part(piece[len(prefix) :], style))


def _short(name: str | None) -> str:
    """`fence:acme/hq` and `acme/hq` as `fence:hq` and `hq`: the client stands at the head of the block."""
    head, colon, tail = (name or "").rpartition(":")
    return head + colon + tail.rpartition("/")[2]


def _clock(seconds: float, /, *, up: bool = False) -> str:
    """A budget: always minutes and seconds."""
    whole = math.ceil(round(seconds, 6)) if up else int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}"


def _goal(seconds: float) -> str:
    """An objective, as a budget is shown; one of half a second is not nought."""
    return _clock(seconds) if seconds >= 10 or seconds == int(seconds) else show_duration(seconds)
