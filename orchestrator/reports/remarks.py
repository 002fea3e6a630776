"""Remarks on an account, so that nobody takes its figures for more than they are.

A remark is about what is unknown, or does not come from a measurement.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.durations import show_duration
from orchestrator.core.kinds import By
from orchestrator.core.reasons import Reason
from orchestrator.core.state.decided import Run, Step
from orchestrator.reports import claims
from orchestrator.reports.entries import WallClock
from orchestrator.reports.status_parts import recorded_before, taken_out
from orchestrator.reports.story import Story

NEVER_SEEN = "no good answer is on record before the first bad one: whether it worked then is not known"
SET_S = 2.0  # a wall clock that moved by less was steered, and not set


def remarks(story: Story, unwatched_s: float | None, clock: WallClock) -> list[str]:
    """A sentence each. `unwatched_s`: for so long no controller has written anything; None: one is at work."""
    found = [*clock_set(clock.set_s(story.began_at, story.ended_at))]
    for c in story.controllers:
        found.append(f"controller {c.controller} took over with epoch {c.epoch}")
        if c.assumed_gap_s:
            found.append(f"of this, {show_duration(c.assumed_gap_s)} are assumed from the wall clock")
    if len(story.episodes) > 1:
        found.append(
            f"{len(story.episodes)} outages, each a relapse of the one before; RTA and phases count the time without"
            " service in all of them"
        )
    found += [*_unseen_before(story), *_changed(story), *_meanwhile(story)]
    service = story.of
    if service is not None:
        for run in story.runs:
            tier = next((t for t in service.ladder if t.move == run.started.move), None)
            if tier is not None and tier.accept_loss_s is not None:
                loss = show_duration(tier.accept_loss_s)
                found.append(f"{run.started.move}: a loss of up to {loss} is accepted there by its author")
    found += _led_elsewhere(story)
    if (out := claims.taken_out(story)) is not None:
        found.append(taken_out(*out))
    if unwatched_s is not None and story.ended_at is None:
        found.append(unwatched(unwatched_s))
    return found


def clock_set(set_s: float) -> Iterator[str]:
    """That the wall clock was set meanwhile, by so much, so that times of day and durations do not fit."""
    if abs(set_s) >= SET_S:
        way = f"{'forward' if set_s > 0 else 'back'} by {show_duration(abs(set_s))}"
        yield f"the controller's clock was set {way} meanwhile: no duration has that in it"


def _changed(story: Story) -> Iterator[str]:
    """Objectives that were edited while the incident was open: it is judged by those that were in force at its end."""
    was, now = story.began_under, story.of
    if was is None or now is None or not story.episodes:
        return
    each = (("RTO", was.rto_s, now.rto_s), ("RPO", was.rpo_s, now.rpo_s), ("MTD", was.mtd_s, now.mtd_s))
    for name, before, after in each:
        if before == after:
            continue
        if before is None:
            yield f"no {name} was declared when it began; {show_duration(after or 0.0)} was declared meanwhile"
        elif after is None:
            yield f"its {name} was {show_duration(before)} when it began, and none is declared any more"
        else:
            told = f"its {name} was {show_duration(before)} when it began, and was changed meanwhile"
            yield f"{told}: it is judged by {show_duration(after)}"


def _meanwhile(story: Story) -> Iterator[str]:
    """What was done with a service when it fell, and what fell while something was done."""
    for run in claims.before_it(story):
        ended = run.ended.reason.value if run.ended is not None else ""
        yield f"{run.started.run} ({run.started.move}) was at work while {story.service} fell, and ended: {ended}"
    for began in claims.drilled_then(story):
        yield f"drill {began.drill} ({began.move}) was under way when {story.service} fell"
    for incident in dict.fromkeys(story.felled):
        yield f"{incident} of {story.service} began while it was at work"


def _unseen_before(story: Story) -> list[str]:
    """Where nothing good was heard before an outage's first bad answer, it may have begun earlier."""
    known = [gap_s for gap_s in claims.unseen_before(story) if gap_s]
    if never := [gap_s for gap_s in known if gap_s == claims.NEVER]:
        known = known[len(never) :]
    gaps = (show_duration(gap_s) for gap_s in known)
    return [NEVER_SEEN for _ in never] + [
        f"the last good answer came {gap} before the first bad one: whether it worked then is not known" for gap in gaps
    ]


def _led_elsewhere(story: Story) -> list[str]:
    """Where it came back with a move of another service that it has too, and is on record where it was before."""
    episode, service = (story.episodes[-1] if story.episodes else None), story.of
    if episode is None or episode.ended is None or episode.ended.reason is not Reason.RECOVERED_WITH_ANOTHER:
        return []
    run, moved = episode.by, claims.moved(story)
    place = moved.to_place if moved is not None else episode.opened.place
    if run is None or service is None or run.started.to_place in (None, place) or claims.acted_at(run) is None:
        return []
    shared = any(t.move == run.started.move for t in service.ladder)
    return [recorded_before(place, run.started)] if shared else []


def unwatched(for_s: float) -> str:
    """Nothing that is told as open or running is known to be so now."""
    return f"nobody has watched for {show_duration(for_s)}: what is open or running here was so then"


def partly_unwatched(run: Run, step: Step) -> bool:
    """Whether for a part of this step nobody watched: what it took is at most that. Of what waits for a person it is on
    record when the answer came.
    """
    if step.began_at is None or step.traits.by is By.PERSON or run.measured_since(step.began_at):
        return False
    return step.ended_at is None or (run.broken_off_at or 0.0) <= step.ended_at
