"""The account of one incident or planned move: everything that a report shows, worked out once.

The one rule it keeps: text, JSON and page are made from this and compute nothing themselves, so they cannot differ.
Times are seconds after the first bad answer (after the start, for a planned move). Each figure says what it is:
measured, predicted or assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.core import records as r
from orchestrator.core.events import TaskTime
from orchestrator.core.forecast import bound_by
from orchestrator.core.kinds import Phase
from orchestrator.core.reasons import Reason
from orchestrator.core.state.decided import EVERYTHING
from orchestrator.reports import claims
from orchestrator.reports.data_lost import rpo_met, worst_rpa
from orchestrator.reports.entries import WallClock
from orchestrator.reports.phases import deadline_of, milestones, segments, totals
from orchestrator.reports.remarks import remarks
from orchestrator.reports.shape import (
    Account,
    Figure,
    Known,
    Meter,
    Moment,
    OutageLine,
    PhaseLine,
    RunLine,
    StepLine,
    Stretch,
    TaskLine,
    TierLine,
)
from orchestrator.reports.status_parts import NOT_MADE
from orchestrator.reports.story import RunStory, Story
from orchestrator.reports.text import bounded, precise

__all__ = ["Account", "account"]

STOPPED = "stopped"  # of a tier: the incident is over, and its run ended before without a judgement of the tier


def account(
    story: Story,
    clock: WallClock,
    now: float,
    meter: Mapping[str, object] | None = None,
    title: str = "",
    unwatched_s: float | None = None,
) -> Account:
    """The account at `now`, on the journal's axis. `meter`: the keys of `Meter`; others are ignored.

    `unwatched_s`: for so long no controller has written anything; None: one is at work.
    """
    zero = story.began_at
    service = story.of
    rto_s = None if claims.leads_back(story) else service.rto_s if service else _rto_from(story)
    parts = segments(story, now)
    moved = claims.moved(story)
    outages = tuple(_outages(story, zero, now))
    last = story.episodes[-1] if story.episodes else None
    state, reason, evidence = _state(story)
    rpo_s = service.rpo_s if service else None
    rta, rpa, perhaps_s = _rta(story, outages), worst_rpa(story, rpo_s), _perhaps_s(story, now, unwatched_s or 0.0)
    seen = _meter(meter)
    stretches = tuple(Stretch(p.phase.value, p.began_at - zero, p.ended_at - zero, p.run, p.step) for p in parts)
    steps = tuple(_steps(story, zero, rto_s, now))
    ends = [*(x.to_s for x in stretches), *(s.to_s for s in steps if s.to_s is not None)]
    end_s = max([*ends, seen.outage_to_s or 0.0 if seen else 0.0])
    start_s = min(0.0, (seen.outage_from_s or 0.0) if seen else 0.0)
    return Account(
        id=story.id,
        planned=last is None,
        drill=story.runs[0].started.drill if last is None and story.runs else "",
        service=story.service,
        state=state,
        reason=reason,
        evidence=evidence,
        began_wall=clock.wall(zero),
        ended_wall=clock.wall(story.ended_at) if story.ended_at is not None else None,
        episodes=len(story.episodes),
        configuration=story.configuration,
        from_place=moved.from_place if moved else _place(story),
        to_place=moved.to_place if moved else None,
        rto_s=rto_s,
        rpo_s=rpo_s,
        rta=rta,
        rpa=rpa,
        rto_met=met(story, rta, rto_s, outages, perhaps_s),
        rpo_met=rpo_met(story, rpa, rpo_s),
        milestones=_milestones(story, zero),
        phases=tuple(PhaseLine(p.value, s, s / rto_s if rto_s else None) for p, s in totals(parts).items()),
        stretches=stretches,
        runs=tuple(_run(x, zero) for x in story.runs),
        steps=steps,
        tiers=tuple(_tiers(story, zero)),
        decisions=tuple(
            Moment(j.at - zero, j.decision.value, j.reason.value, j.evidence)
            for e in story.episodes
            for j in claims.decisions(e)
        ),
        words=tuple(_word(w, zero) for w in story.words),
        notices=tuple(_notice(n, s, story.dropped.get(n.notice), zero) for n, s in story.notices),
        checks=tuple(
            Moment(c.at - zero, c.check, f"{c.was.value} → {c.verdict.value}", c.evidence, kind=c.verdict.value)
            for c in story.checks
        ),
        changes=tuple(_change(c, zero) for c in story.placements),
        remarks=tuple(remarks(story, unwatched_s, clock)),
        meter=seen,
        title=title,
        extent=(start_s, end_s),
        outages=outages,
        taken_out=claims.taken_out(story) is not None,
        move_verified=moved is not None and moved.verified,
        rto_at_s=_rto_at(outages, rto_s),
        perhaps_s=perhaps_s,
    )


def _rto_from(story: Story) -> float | None:
    """Without the model: a run's deadline tells the RTO."""
    if not story.episodes:
        return None
    deadlines = [x.started.deadline for x in story.runs if x.started.deadline is not None]
    return deadlines[0] - story.began_at if deadlines else None


def _place(story: Story) -> str | None:
    """Where it was when it began."""
    return story.episodes[0].opened.place if story.episodes else story.runs[0].started.from_place


def _outages(story: Story, zero: float, now: float) -> Iterator[OutageLine]:
    for episode in story.episodes:
        first, ended = episode.opened.first_bad_at, episode.ended
        until = ended.recovered_at if ended else now
        yield OutageLine(
            first - zero,
            until - zero if ended else None,
            max(0.0, until - first),
            ended.reason.value if ended else "",
            ended is not None and ended.perhaps_s > 0.0,
        )


def _rto_at(outages: Sequence[OutageLine], rto_s: float | None) -> float | None:
    """When the RTO is spent: by time without service alone, so from where all outages would begin if they were one."""
    if not outages or rto_s is None:
        return None
    return outages[-1].from_s - sum(x.seconds for x in outages[:-1]) + rto_s


def _state(story: Story) -> tuple[str, str, str]:
    if not story.episodes:
        return _run_state(story.runs[0])
    ended = story.episodes[-1].ended
    if ended is not None:
        return "recovered", ended.reason.value, ended.evidence
    waiting = next((x for x in story.runs if x.ended is None and claims.waits_for(x)), None)
    if waiting is not None:
        return _run_state(waiting)
    judged = [*claims.decisions(story.episodes[-1])]
    at_work = next((x.started for x in reversed(story.runs) if x.ended is None), None)
    if at_work is not None and (not judged or judged[-1].at < at_work.at):  # it was judged before
        return "open", at_work.reason.value, f"{at_work.run} ({at_work.move}) is at work"
    over = story.runs[-1].ended if story.runs else None
    if over is not None and judged and judged[-1].at < over.at:  # and nobody has judged it since
        return "open", over.reason.value, f"{over.run} has ended: {over.evidence}"
    if judged:
        return "open", judged[-1].reason.value, judged[-1].evidence
    return "open", "", story.episodes[-1].opened.evidence


def _run_state(run: RunStory) -> tuple[str, str, str]:
    if run.ended is not None:
        state = "done" if run.ended.ok else "failed" if claims.failed(run) else "stopped"
        return state, run.ended.reason.value, run.ended.evidence
    if (waits := claims.waits_for(run)) is not None:
        return "with a person", *waits
    return "running", run.started.reason.value, ""


def _rta(story: Story, outages: Sequence[OutageLine]) -> Figure:
    if not outages:
        return Figure(None, Known.UNKNOWN, "a planned move: nothing had failed")
    if outages[-1].to_s is None:
        return Figure(None, Known.UNKNOWN, "not recovered yet")
    total_s = sum(x.seconds for x in outages)
    several = ""
    if len(outages) > 1:
        worked_s = (outages[-1].to_s or 0.0) - outages[0].from_s - total_s
        each = ", ".join(bounded(x.seconds, x.at_most) for x in outages)
        worked = bounded(worked_s, any(claims.unseen_before(story)[1:]))
        several = f", of {len(outages)} outages ({each}); it worked for {worked} in between"
    ends = [e.ended for e in story.episodes if e.ended is not None]
    unseen_s, well_s = sum(e.unseen_s for e in ends), sum(e.well_s for e in ends)
    doubted_s = sum(e.doubted_s for e in ends)
    if any(e.perhaps_s for e in ends):
        unseen = f"nothing was heard of its checks for {precise(unseen_s)} before the first good answer"
        well = f"its checks had been good for {precise(well_s)} by then, and what was at work for it had not ended"
        doubted = f"for {precise(doubted_s)} too few vantages saw it down, none saw anything, or nobody looked"
        found = ((unseen, unseen_s), (well, well_s), (doubted, doubted_s))
        why = "; ".join(text for text, seconds in found if seconds)
        known = Known.ASSUMED if any(claims.assumed(story, e) for e in story.episodes) else Known.MEASURED
        return Figure(total_s, known, f"{why}{several}", at_most=True)
    if any(claims.assumed(story, e) for e in story.episodes):
        source = f"the controller's machine restarted: part is from the wall clock{several}"
        return Figure(total_s, Known.ASSUMED, source)
    return Figure(total_s, Known.MEASURED, f"first bad answer to the good answer that ended it{several}")


def _perhaps_s(story: Story, now: float, unwatched_s: float) -> float:
    """So long of the time without service it may have worked. `unwatched_s`: nobody looks, up to now."""
    since = claims.well_since(story)
    open_s = unwatched_s if since is None else max(unwatched_s, now - since)
    open_s += claims.doubted_s(story, now - open_s)
    return sum(open_s if e.ended is None else e.ended.perhaps_s for e in story.episodes)


def met(story: Story, rta: Figure, of_s: float | None, outages: Sequence[OutageLine], perhaps_s: float) -> bool | None:
    """Whether an RTO or MTD was. Of an outage that goes on nothing is known, until it is over: that stays so.

    Nor is it where it may have come back in time: while nobody looked, or while what was at work went to its end.
    """
    total_s = sum(x.seconds for x in outages)
    over = of_s is not None and total_s > of_s
    if over and of_s is not None and total_s - perhaps_s <= of_s:
        return None
    return _unless_early(story, False if rta.seconds is None and over else rta.within(of_s))


def _unless_early(story: Story, met: bool | None) -> bool | None:
    """What nobody looked at before its first bad answer may have failed long before: that it was met is not known."""
    return None if met and any(claims.unseen_before(story)) else met


def _milestones(story: Story, zero: float) -> dict[str, float | None]:
    found = milestones(story)
    names = ("last_good", "first_bad", "detected", "decided", "fenced", "acted", "verified", "recovered")
    values = {name: getattr(found, name) for name in names}
    return {name: None if at is None else at - zero for name, at in values.items()}


def _run(x: RunStory, zero: float) -> RunLine:
    state, reason, evidence = _run_state(x)
    s = x.started
    predicted = (
        Figure(x.usual_s, Known.PREDICTED, bound_by(x.usual_runs, "earlier live run"))
        if x.usual_s is not None
        else Figure(None, Known.ASSUMED, "no live run measured before: assumed to fit")
    )
    return RunLine(
        s.run, s.move, s.tier, s.origin.value, s.from_place, s.to_place, s.at - zero,
        x.ended.at - zero if x.ended else None, state, reason, evidence, s.who, s.why,
        x.approved.who if x.approved else "", s.overrides, predicted,
    )  # fmt: skip


def _steps(story: Story, zero: float, rto_s: float | None, now: float) -> list[StepLine]:
    lines = []
    for run in story.runs:
        deadline, over = deadline_of(story, run, rto_s), claims.over_at(story, run)
        for step in run.steps.values():
            if step.began_at is None and step.ended_at is None:
                continue
            begun = step.began_at  # None: it was left out, or could not begin; then it has no times
            end = step.ended_at if step.ended_at is not None else now
            took = end - begun if begun is not None else None
            spent = took if begun is not None and begun < over else None  # later ones take nothing of the RTO
            lines.append(
                StepLine(
                    run=run.started.run,
                    step=step.planned.name,
                    kind=step.planned.kind.value,
                    state=step.state.value,
                    attempts=step.attempts,
                    from_s=begun - zero if begun is not None else None,
                    to_s=end - zero if begun is not None and step.ended_at is not None else None,
                    took_s=took,
                    share=spent / rto_s if spent is not None and rto_s else None,
                    budget_left_s=deadline - min(end, over) if begun is not None and deadline is not None else None,
                    reason=step.reason,
                    evidence=step.evidence,
                    measures=step.measures,
                    tasks=tuple(_task(x, begun - zero) for x in step.tasks) if begun is not None else (),
                    looks=tuple(_look(x) for x in step.looks),
                    unguarded=step.unguarded,
                    at_most=begun is not None and claims.unwatched_in(run, step),
                )
            )
    return lines


def _task(x: TaskTime, from_s: float) -> TaskLine:
    return TaskLine(x.name, x.host, x.status, from_s + x.started_s, x.took_s)


def _look(x: r.StepLooked | r.StepRetried | r.StepLeftUnseen) -> str:
    if isinstance(x, r.StepLeftUnseen):
        return f"attempt {x.attempt}: the controller stopped while it ran"
    what = "looked at" if isinstance(x, r.StepLooked) else "to be tried again"
    return f"{what}: {x.reason.value}: {x.evidence}"


def _tiers(story: Story, zero: float) -> list[TierLine]:
    if not story.episodes:
        return []
    judged: dict[str, list[r.TierJudged]] = {}  # by move: a ladder may be changed meanwhile, and its numbers with it
    for one in story.episodes[-1].tiers:
        judged.setdefault(one.move, []).append(one)
    rungs = [(n, t.move) for n, t in enumerate(story.of.ladder, 1)] if story.of is not None else []
    now = {move for _, move in rungs}
    rungs += sorted((x[-1].tier, move) for move, x in judged.items() if move not in now)
    over = story.episodes[-1].ended is not None
    lines = []
    for number, move in rungs:
        history = judged.get(move, [])
        mine = [x for x in story.episodes[-1].runs if x.started.tier is not None and x.started.move == move]
        judged_so = bool(history) and history[-1].state is r.TierState.RUNNING
        if mine and mine[-1].ended is None and not judged_so:  # by a person's word too, whatever it was judged before
            moments = tuple(Moment(t.at - zero, t.state.value, t.reason.value, t.evidence) for t in history)
            began, what = mine[-1].started, "waits for a person" if claims.waits_for(mine[-1]) else "is at work"
            known = (r.TierState.RUNNING.value, began.reason.value, f"{began.run} {what}", began.at - zero, moments)
            lines.append(TierLine(number, move, *known))
            continue
        if not history:
            lines.append(TierLine(number, move, "not needed" if over else "not judged yet", "", "", 0.0, ()))
            continue
        last = history[-1]
        moments = tuple(Moment(t.at - zero, t.state.value, t.reason.value, t.evidence) for t in history)
        state = _tier_state(story, last, over)
        reason, evidence = last.reason.value, last.evidence
        unjudged = last.state is r.TierState.RUNNING and state == r.TierState.WAITING.value
        if (state == STOPPED or unjudged) and mine and mine[-1].ended is not None:
            # why it was chosen says nothing of its end
            reason, evidence = mine[-1].ended.reason.value, mine[-1].ended.evidence
        if now and move not in now:
            evidence = f"{evidence}; no tier of the present ladder"
        lines.append(TierLine(number, move, state, reason, evidence, last.at - zero, moments))
    return lines


def _tier_state(story: Story, last: r.TierJudged, over: bool) -> str:
    """As it was judged last; but nothing waits in an incident that is over, nor runs without a run."""
    runs = [x for x in story.episodes[-1].runs if x.started.tier is not None and x.started.move == last.move]
    if last.state is r.TierState.RUNNING and not any(x.ended is None for x in runs):
        settling = runs and runs[-1].ended is not None and runs[-1].ended.ok
        return STOPPED if over else "settling" if settling else r.TierState.WAITING.value
    if last.state is r.TierState.FAILED and runs and runs[-1].ended is not None and not runs[-1].ended.ok:
        return last.state.value if claims.failed(runs[-1]) else NOT_MADE
    return "not needed" if over and last.state is r.TierState.WAITING else last.state.value


def _word(w: r.WordAccepted | r.WordRefused, zero: float) -> Moment:
    accepted = isinstance(w, r.WordAccepted)
    what = f"{w.kind.value} {w.subject}" + (f": {w.why}" if w.why else "")
    outcome = w.reason.value if accepted else f"refused: {w.reason.value}"
    answered = "" if w.subject == EVERYTHING else w.evidence  # it tells of all clients, and this is one's report
    said = "; ".join(filter(None, (answered, f"said by {w.peer}" if w.peer else "")))
    return Moment(w.at - zero, what, outcome, said, w.who, "accepted" if accepted else "refused")


def _notice(n: r.NoticeDue, settled: r.NoticeSettled | None, dropped: r.NoticeDropped | None, zero: float) -> Moment:
    outcome = "not delivered yet" if settled is None else "delivered" if settled.delivered else "could not be delivered"
    evidence = settled.evidence if settled else ""
    if settled is None and dropped is not None:
        outcome, evidence = f"not {'known to be ' * dropped.unseen}delivered: no longer so", dropped.evidence
    return Moment(n.at - zero, n.text, outcome, evidence, ", ".join(n.to), n.kind.value)


def _change(c: r.PlacementChanged | r.MayActAdded | r.MayActRemoved | r.MoveEngaged, zero: float) -> Moment:
    match c:
        case r.PlacementChanged():
            return Moment(c.at - zero, f"placed at {c.place}", f"was at {c.was or 'no place'}", f"by {c.run}")
        case r.MayActAdded():
            return Moment(c.at - zero, f"{c.place} may be acting", "about to be activated", "")
        case r.MayActRemoved():
            by_hand = c.reason is Reason.FENCED_BY_HAND
            what = f"{c.place} {'is stated to be unable to act' if by_hand else 'cannot act any more'}"
            return Moment(c.at - zero, what, c.reason.value, c.evidence)
        case r.MoveEngaged():
            return Moment(c.at - zero, f"{c.move} {'in effect' if c.engaged else 'taken back'}", "", "")


def _meter(given: Mapping[str, object] | None) -> Meter | None:
    if not given:
        return None
    known = {name: given[name] for name in Meter.__slots__ if name in given}
    return Meter(**{"meter": "client", **known})  # type: ignore[arg-type]


def waiting_s(found: Account) -> float:
    """Seconds spent waiting for a human."""
    return sum(p.seconds for p in found.phases if p.phase == Phase.HUMAN.value)
