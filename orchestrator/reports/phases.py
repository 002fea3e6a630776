"""The split clock: every second between the first bad answer and the verified recovery belongs to one phase.

The one rule it keeps: the phases of an outage add up to it exactly. They are cut from the records' own times and never
measured twice. Waiting for a human is its own phase, so that nobody's thinking hides in "decide".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from orchestrator.core.kinds import Phase
from orchestrator.core.reasons import Reason
from orchestrator.core.records import Decision
from orchestrator.reports import claims
from orchestrator.reports.story import Episode, RunStory, Story

ALWAYS_SHOWN = (Phase.DETECT, Phase.DECIDE, Phase.FENCE, Phase.EXECUTE, Phase.VERIFY)


@dataclass(frozen=True, slots=True)
class Segment:
    """An unbroken stretch of one phase; `step` when a step of `run` was on."""

    phase: Phase
    began_at: float
    ended_at: float
    run: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Milestones:
    """The instants of the split clock, on the journal's axis; None: not reached, or not part of this story."""

    last_good: float | None = None
    first_bad: float | None = None
    detected: float | None = None
    decided: float | None = None
    fenced: float | None = None
    acted: float | None = None
    verified: float | None = None
    recovered: float | None = None


def episode_segments(episode: Episode, now: float) -> tuple[Segment, ...]:
    """The outage cut into phases, up to its recovery, or to `now` while it lasts."""
    opened = episode.opened
    end = episode.ended.recovered_at if episode.ended else now
    runs = [*([episode.before] if episode.before is not None else []), *episode.runs]
    return _cut(opened.first_bad_at, max(end, opened.first_bad_at), runs, episode, now)


def detected_at(episode: Episode) -> float:
    """When its checks had fallen. What fell while a run was at work for it was opened when that was over."""
    fell_at = episode.fell_at
    if fell_at is None or fell_at < episode.opened.first_bad_at:
        return episode.opened.at
    runs = [*([episode.before] if episode.before is not None else []), *episode.runs]
    at_work = any(x.started.at <= fell_at and claims.verified_at(x) is None for x in runs)
    return fell_at if at_work else episode.opened.at


def run_segments(run: RunStory, now: float) -> tuple[Segment, ...]:
    """A planned move cut into phases: from its start to its verify, or to its end."""
    verify = next((s for s in run.steps.values() if s.traits.verifies and s.ended_at is not None), None)
    end = verify.ended_at if verify else run.ended.at if run.ended else now
    return _cut(run.started.at, end if end is not None else now, [run], None, now)


def segments(story: Story, now: float) -> tuple[Segment, ...]:
    """All episodes of an incident, one after the other, or the planned run."""
    if not story.episodes:
        return run_segments(story.runs[0], now)
    return tuple(s for e in story.episodes for s in episode_segments(e, now))


def totals(parts: tuple[Segment, ...]) -> dict[Phase, float]:
    """Seconds a phase; waiting phases only where there was waiting."""
    sums = dict.fromkeys(Phase, 0.0)
    for part in parts:
        sums[part.phase] += part.ended_at - part.began_at
    return {p: s for p, s in sums.items() if p in ALWAYS_SHOWN or s > 0}


def milestones(story: Story) -> Milestones:
    """Of the last episode and the run that brought it back (or the last one tried); see `claims`."""
    episode = story.episodes[-1] if story.episodes else None
    run = claims.telling(episode.runs if episode else story.runs)
    decided = fenced = acted = verified = None
    if run is not None:
        out = claims.fenced(run)
        decided, acted, verified = claims.decided_at(run), claims.acted_at(run), claims.verified_at(run)
        fenced = out.at if out is not None else None
    if decided is not None and episode is not None and decided < episode.opened.first_bad_at:
        decided = None  # it was at work before
    if episode is None:
        return Milestones(decided=decided, fenced=fenced, acted=acted, verified=verified)
    opened = episode.opened
    recovered = episode.ended.recovered_at if episode.ended else None
    seen_at = detected_at(episode)
    return Milestones(opened.last_good_at, opened.first_bad_at, seen_at, decided, fenced, acted, verified, recovered)


def _cut(begin: float, end: float, runs: list[RunStory], episode: Episode | None, now: float) -> tuple[Segment, ...]:
    """Elementary intervals between all known instants, each given to one phase, neighbours joined."""
    instants = {begin, end}
    for run in runs:
        instants.update(x for since, until, _ in run.human for x in (since, until) if x is not None)
        instants.update(x for s in run.steps.values() for x in (s.began_at, s.ended_at) if x is not None)
        if run.ended:
            instants.add(run.ended.at)
    if episode is not None:
        instants.update((detected_at(episode), episode.opened.at))
        instants.update(j.at for j in episode.judged)
    inside = sorted(x for x in instants if begin <= x <= end)
    parts: list[Segment] = []
    for a, b in pairwise(inside):
        phase, in_run, step = _phase_at(a, runs, episode, now)
        last = parts[-1] if parts else None
        if last and (last.phase, last.run, last.step) == (phase, in_run, step):
            parts[-1] = Segment(phase, last.began_at, b, in_run, step)
        else:
            parts.append(Segment(phase, a, b, in_run, step))
    return tuple(parts)


def _phase_at(
    at: float, runs: list[RunStory], episode: Episode | None, now: float
) -> tuple[Phase, str | None, str | None]:
    if episode is not None and at < detected_at(episode):
        return Phase.DETECT, None, None
    for run in runs:
        if any(since <= at < (now if until is None else until) for since, until, _ in run.human):
            return Phase.HUMAN, run.started.run, None
    for run in runs:
        for step in run.steps.values():
            if step.began_at is not None and step.began_at <= at < (now if step.ended_at is None else step.ended_at):
                return step.traits.phase, run.started.run, step.planned.name
    if any(run.ended and run.ended.ok and run.ended.at <= at for run in runs):
        return Phase.VERIFY, None, None
    if episode is not None:
        judged = next((j for j in reversed(episode.judged) if j.at <= at), None)
        if judged and judged.decision in (Decision.ASK, Decision.REFRAIN):  # held, a window: a person's doing
            return Phase.HUMAN, None, None
        if judged and judged.reason is Reason.DEPENDENCY_RECOVERING:
            return Phase.DEPENDENCY, None, None
    return Phase.DECIDE, None, None


def deadline_of(story: Story, run: RunStory, rto_s: float | None) -> float | None:
    """When the RTO is over that is told, for a run of an outage: it may be another than when the run began."""
    of = [e for e in story.episodes if e.opened.first_bad_at <= run.started.at]
    if not of or rto_s is None or not (run.started.deadline is not None or run.started.incident):
        return None
    ends = [(e.opened.first_bad_at, e.ended.recovered_at) for e in of[:-1] if e.ended is not None]
    return of[-1].opened.first_bad_at - sum(until - since for since, until in ends) + rto_s
