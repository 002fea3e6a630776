"""What drills did: each step live, simulated or skipped, when it began, and how it ended.

The one rule it keeps: only what was live proves anything. What was simulated or skipped is told as exactly that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from orchestrator.core.durations import counted
from orchestrator.core.model import Model
from orchestrator.core.records import StepState
from orchestrator.core.state.decided import Decided, Drill, Run, Step, covers
from orchestrator.reports.clock_times import stamp
from orchestrator.reports.entries import WallClock
from orchestrator.reports.proofs import basis, changed, rehearsed_on
from orchestrator.reports.remarks import clock_set, partly_unwatched, unwatched
from orchestrator.reports.stories import Stories
from orchestrator.reports.text import Line, Part, bounded, folded, lasting, line, wrap


class StepMade(StrEnum):
    """How a step of a drill was made."""

    LIVE = "live"
    SIMULATED = "simulated"
    SKIPPED = "skipped"
    FAILED = "failed"
    GOING = "under way"
    UNSEEN = "not seen"  # its attempt is over, or was left: how it ended is not known
    NOT_YET = "not yet"


@dataclass(frozen=True, slots=True)
class DrillStep:
    """One step. `took_s`: None where it was not made. `at_most`: for a part of it nobody watched: it is a bound."""

    run: str
    name: str
    made: StepMade
    took_s: float | None
    reason: str
    evidence: str
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class DrillTold:
    """One drill. `began`, `ended`: seconds since 1970. `ok`: None while it is under way. `turned_back`: why, if so.

    `back_by`: of one that is to go back and is not over, by when it is to be back.
    """

    drill: str
    kind: str
    service: str
    move: str
    began: float
    ended: float | None
    ok: bool | None
    reason: str
    evidence: str
    returned: bool | None
    stage: str
    who: str
    scheduled: str
    drawn: str
    runs: tuple[str, ...]
    steps: tuple[DrillStep, ...]
    turned_back: str = ""
    remarks: tuple[str, ...] = ()
    back_by: float | None = None


def drills(decided: Decided, clock: WallClock, wants: Callable[[str], bool]) -> list[DrillTold]:
    """Every drill that is kept of the services that are wanted, the oldest first."""
    found = sorted(decided.drills.values(), key=lambda x: (x.began.at, x.id))
    return [told(decided, clock, x) for x in found if wants(x.began.service)]


def holding(stories: Stories, model: Model, wants: Callable[[str], bool]) -> Iterator[tuple[Drill, list[Run]]]:
    """Drills that ended well and rest on what is in force in this model, with those of their runs that are kept; of
    the services that are wanted, the oldest first.
    """
    kept = stories.whole
    then = cache(lambda of, digest, service, move: of(stories.model_of(digest), service, move))
    now = cache(lambda of, service, move: of(model, service, move))
    for drill in sorted(kept.drills.values(), key=lambda x: (x.began.at, x.id)):
        began, of = drill.began, basis if drill.full_scale else rehearsed_on
        if drill.ended is None or not drill.ended.ok or not wants(began.service):
            continue
        rested = then(of, began.configuration, began.service, began.move)
        if not changed(rested, now(of, began.service, began.move)):
            yield drill, [kept.runs[x] for x in drill.runs if x in kept.runs]


def told(decided: Decided, clock: WallClock, drill: Drill) -> DrillTold:
    """One drill, by its records."""
    began, ended = drill.began, drill.ended
    runs = [decided.runs[x] for x in drill.runs if x in decided.runs]
    return DrillTold(
        drill=drill.id,
        kind=began.kind.value,
        service=began.service,
        move=began.move,
        began=clock.wall(began.at),
        ended=clock.wall(ended.at) if ended is not None else None,
        ok=ended.ok if ended is not None else None,
        reason=ended.reason.value if ended is not None else "",
        evidence=ended.evidence if ended is not None else "",
        returned=ended.returned if ended is not None else None,
        stage=stage(decided, drill),
        who=began.who,
        scheduled=began.scheduled,
        drawn=began.drawn,
        runs=tuple(drill.runs),
        steps=tuple(_step(x, s) for x in runs for s in x.steps),
        turned_back=drill.turned_back.reason.value if drill.turned_back is not None else "",
        remarks=tuple(clock_set(clock.set_s(began.at, ended.at if ended is not None else None))),
        back_by=clock.wall(at) if (at := _back_by(drill, runs)) is not None else None,
    )


def _back_by(drill: Drill, runs: Sequence[Run]) -> float | None:
    """By when it is to be back: from the end of its stay, or from when it was turned back before."""
    if drill.turned_back is None or drill.ended is not None or not drill.full_scale:
        return None
    there = runs[0].ended if runs else None
    stayed = there.at + drill.began.stays_s if there is not None else drill.turned_back.at
    return min(stayed, drill.turned_back.at) + drill.began.within_s


def _kept_away(decided: Decided, service: str) -> Iterator[str]:
    """What people have said, or what is open, that keeps it from going back."""
    yield from (f"{x.who} holds {y}" for y, x in decided.holds.items() if covers(y, service))
    yield from (f"{x.who} suspects a compromise of {y}" for y, x in decided.suspected.items() if covers(y, service))
    announced = dict.fromkeys(x.partition("#")[0] for x in decided.maintenance)
    yield from (f"work on {x} is announced" for x in announced if covers(x, service))
    yield from (f"{x.id} is open" for x in decided.open_incidents() if x.service == service)


def stage(decided: Decided, drill: Drill) -> str:
    """Where it stands, in a few words."""
    if drill.ended is not None:
        return "over"
    runs = [run for x in drill.runs if (run := decided.runs.get(x)) is not None]
    at_work = next((x for x in runs if x.ended is None), None)
    where = "nothing is at work"
    other = decided.run_for(drill.began.service)
    if drill.full_scale and at_work is None and other is not None:  # an incident's, or a person's
        return f"{other.id} ({other.started.move}), which is none of its runs, {other.at_what}"
    if at_work is not None:
        where = f"{at_work.id} {at_work.at_what}"
    if drill.turned_back is None:
        return where if at_work is not None or not drill.full_scale else "it stays there"
    if not drill.full_scale:
        return f"on its way to its end: {where}"
    there, back = decided.runs.get(drill.runs[0]), runs[-1] if len(drill.runs) > 1 and runs else None
    if there is not None and there.ended is None:  # what is at work leads away still
        return f"{where}; {'then it goes back' if there.committed else 'it is being stopped'}"
    if at_work is not None:
        return f"on its way back: {where}"
    ended = back.ended if back is not None else None
    if _at_home(decided, drill) and (ended is None or ended.ok) and not _half_made(there):
        return "where it was, by the records; its checks are asked"
    tried = [f"{back.id} has ended: {ended.reason.value}"] if back and ended else []
    return "; ".join(["it is to go back", *tried, *_kept_away(decided, drill.began.service)])


def _at_home(decided: Decided, drill: Drill) -> bool:
    state, began = decided.services.get(drill.began.service), drill.began
    away = state is None or state.place != began.place or state.taken_out
    return not away and began.move not in decided.engaged


def _half_made(there: Run | None) -> bool:
    """Whether the move was begun, and did not end well."""
    return there is not None and there.past_the_fence and there.ended is not None and not there.ended.ok


def made(step: Step) -> StepMade:
    """How it was made."""
    if step.state is StepState.DONE:
        return StepMade.SIMULATED if step.simulated else StepMade.LIVE
    ends = {StepState.SKIPPED: StepMade.SKIPPED, StepState.FAILED: StepMade.FAILED, StepState.PENDING: StepMade.NOT_YET}
    ends |= dict.fromkeys((StepState.UNSEEN, StepState.LOOKING), StepMade.UNSEEN)
    return ends.get(step.state, StepMade.GOING)


def _step(run: Run, step: Step) -> DrillStep:
    how = made(step)
    took_s = step.took_s if how in (StepMade.LIVE, StepMade.SIMULATED, StepMade.FAILED) else None
    reason = step.reason.value if step.reason else ""
    bound = took_s is not None and partly_unwatched(run, step)
    return DrillStep(run.id, step.name, how, took_s, reason, step.evidence, bound)


# ---- as an operator reads it

_COLOUR = {
    StepMade.LIVE: "green",
    StepMade.SIMULATED: "yellow",
    StepMade.SKIPPED: "yellow",
    StepMade.FAILED: "bold red",
}


def list_lines(
    found: Sequence[DrillTold],
    width: int = 100,
    unwatched_s: float | None = None,
    of: str = "",
) -> list[Line]:
    """A line each, or two where it is long. `unwatched_s`: for so long nobody has watched. `of`: what was asked for."""
    if not found:
        where = f"of {of}" if of else "here"
        return [line(f"no drill was ever made {where}; to see what one would do: bascule drill plan SERVICE")]
    lines = []
    for x in found:
        how = "under way" if x.ok is None else "ok" if x.ok else "failed"
        colour = {"ok": "green", "failed": "bold red"}.get(how, "yellow")
        why = x.stage if x.ok is None else x.reason
        head = line(f"{x.drill:<5} {stamp(x.began)}  ", Part(f"{how:<9}", colour), f" {x.service}")
        lines += folded(head, line(f"{x.kind}  {x.move}  {why}"), width)
    return [*lines, *(_unwatched(unwatched_s, width) if any(x.ok is None for x in found) else ())]


def _unwatched(unwatched_s: float | None, width: int) -> list[Line]:
    told = f"{unwatched(unwatched_s)}. Start it: bascule daemon" if unwatched_s is not None else ""
    return [line(Part(x, "yellow")) for x in wrap("  ", told, width)] if told else []


def one_lines(x: DrillTold, width: int, unwatched_s: float | None = None) -> list[Line]:
    """One drill in full. `unwatched_s`: for so long no controller has written anything; None: one is at work."""
    lines = [line(Part(f"{x.drill}  {x.kind}  {x.service}  {x.move}", "bold"))]
    wanted = f"asked by {x.who}" if x.who else f"of the schedule {x.scheduled}" if x.scheduled else ""
    lines.append(line(f"  began {stamp(x.began)}", f", {wanted}" if wanted else ""))
    lines += [line(text) for text in wrap("  drawn: ", x.drawn, width)] if x.drawn else []
    run = ""
    for s in x.steps:
        if s.run != run:
            run = s.run
            lines.append(line(f"  {run}"))
        took = f"  {bounded(s.took_s, s.at_most, show=lasting)}" if s.took_s is not None else ""
        lines.append(line(f"    {s.name:<16} ", Part(f"{s.made.value:<10}", _COLOUR.get(s.made, "")), took))
        if s.evidence and s.made is not StepMade.LIVE:
            lines += [line(text) for text in wrap("      ", f"{s.reason}: {s.evidence}", width)]
    notes = [line(Part(text, "yellow")) for told in x.remarks for text in wrap("  note: ", told, width)]
    if x.ok is None:
        stop = f" ({x.turned_back})" if x.turned_back else f"; to stop it: bascule drill cancel {x.drill}"
        stop = stop if unwatched_s is None or x.turned_back else ""  # nobody would hear it
        lines.append(line("  ", Part("under way", "yellow"), f": {x.stage}{stop}"))
        lines += [line(f"  it is to be back by {stamp(x.back_by)}")] if x.back_by is not None else []
        return [*lines, *notes, *_unwatched(unwatched_s, width)]
    head = Part("ok", "green") if x.ok else Part("failed", "bold red")
    where = "the service is where it was" if x.ok else "on record the service is where it was"
    back = {True: f"; {where}", False: "; the service is NOT where it was", None: ""}[x.returned]
    lines.append(line(f"  ended {stamp(x.ended or x.began)}: ", head, f", {x.reason}{back}"))
    lines += [line(text) for text in wrap("    ", x.evidence, width)] if x.evidence else []
    live = [s for s in x.steps if s.made is StepMade.LIVE]
    others = [s for s in x.steps if s.made in (StepMade.SIMULATED, StepMade.SKIPPED)]
    if others:
        several = len({s.run for s in x.steps}) > 1  # a step of one run may be live in another
        named = ", ".join(f"{f'{s.run} ' if several else ''}{s.name} ({s.made.value})" for s in others)
        lines += [
            line(text) for text in wrap("  ", f"proves nothing of: {named}; live: {counted(len(live), 'step')}", width)
        ]
    return [*lines, *notes]
