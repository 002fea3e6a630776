"""RPA: how old the data were with which a service was opened elsewhere.

The one rule it keeps: it is claimed only of data that were opened, from a measurement before that. Otherwise it is
unknown.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core import records as r
from orchestrator.core.durations import rounded_up
from orchestrator.reports import claims
from orchestrator.reports.shape import Figure, Known
from orchestrator.reports.story import Episode, RunStory, Story
from orchestrator.reports.text import value_of


def worst_rpa(story: Story, rpo_s: float | None) -> Figure:
    """The oldest data that any outage ended with: a relapse takes nothing back that an earlier move lost.

    Where data were opened elsewhere once more and nothing was measured, the worst is not known, unless it is a miss.
    """
    told = [run for e in story.episodes for run in _that_moved(e)]
    told = told if story.episodes else story.runs[:1]
    found = [rpa_of(run) for run in told]
    known = [x for x in found if x.seconds is not None]
    missed = [x for x in known if x.within(rpo_s) is False]
    worst = max(missed or known, key=lambda x: x.seconds or 0.0, default=None)
    if worst is not None and not missed:
        for run, figure in zip(told, found, strict=True):
            if figure.seconds is None and run.started.to_place is not None and claims.begun(run):
                source = f"{run.started.run} ({run.started.move}): {figure.source}; before it {value_of(worst)}"
                return Figure(None, Known.UNKNOWN, source)
    return worst if worst is not None else found[-1] if found else rpa_of(None)


def rpo_met(story: Story, rpa: Figure, rpo_s: float | None) -> bool | None:
    """Whether an RPO was. In an outage that goes on, another move may still open older data: that it was met is not
    known until it is over. That it was missed stays so.
    """
    within, goes_on = rpa.within(rpo_s), bool(story.episodes) and story.episodes[-1].ended is None
    return None if within and goes_on else within


def _that_moved(episode: Episode) -> Iterator[RunStory]:
    """What may have opened data elsewhere in an outage: also a run that had ended when its incident was opened."""
    before, first_bad_at = episode.before, episode.opened.first_bad_at
    if before is not None and before.started.to_place is not None and claims.begun(before):
        acted_at = claims.acted_at(before)
        if acted_at is None or acted_at > first_bad_at:
            yield before
    if (run := claims.telling(episode.runs)) is not None:
        led = [x for x in episode.runs if x.started.to_place is not None and claims.acted_at(x) is not None]
        yield led[-1] if run.started.to_place is None and led else run  # what is tried there afterwards stays there


def rpa_of(run: RunStory | None) -> Figure:
    """The age of the data that the service was opened with elsewhere: its last measurement before that."""
    if run is None:
        return Figure(None, Known.UNKNOWN, "no move was made")
    acted_at, to_place = claims.acted_at(run), run.started.to_place
    if to_place is None:
        return Figure(None, Known.UNKNOWN, "the service stayed where its data is")
    if acted_at is None and run.ended is None:
        begun = f"{run.started.move} has not ended: what data was opened at {to_place} is not known"
        yet = f"{run.started.move} has not been made yet"
        return Figure(None, Known.UNKNOWN, begun if claims.begun(run) else yet)
    if acted_at is None:
        begun = f"{run.started.move} was begun and did not end well: what data was opened at {to_place} is not known"
        return Figure(None, Known.UNKNOWN, begun if claims.begun(run) else f"{run.started.move} was not made")
    found = [
        (s.ended_at, s.measures["data_age_s"], s.planned.name)
        for s in run.steps.values()
        if "data_age_s" in s.measures and s.ended_at is not None and s.ended_at <= acted_at
    ]
    if not found:
        return Figure(None, Known.UNKNOWN, "not measured")
    at, age, step = max(found)
    return _aged(run, at, age, step, acted_at)


def _aged(run: RunStory, at: float, age_s: float, step: str, acted_at: float) -> Figure:
    """Data ages until nothing can be written at the place left any more, or until the service runs elsewhere.

    Only what was measured counts as lost for sure. After a clean stop not even that: the copy may have caught up.
    """
    out = claims.fenced(run)
    until = out.at if out is not None else acted_at
    later_s = max(0.0, until - at)
    made = (s for s in run.steps.values() if s.planned.hand_over and s.traits.takes_out and s.state is r.StepState.DONE)
    counted_s = 0.0 if any(made) else age_s if later_s else None
    bound = counted_s is not None
    old = rounded_up(age_s, 10) if bound else age_s
    source = f"the data found at step {step} was {old:.1f}s old"
    if out is not None and out.by:
        source += f", and {later_s:.1f}s later {out.by} stated that the place left cannot act"
    elif out is not None and later_s:
        source += f", and {later_s:.1f}s later the place left was proven unable to act"
    elif later_s:
        source += f", and {later_s:.1f}s later {run.started.move} had ended"
    stated = out is not None and bool(out.by)
    source, known = f"at most: {source}" if bound else source, Known.ASSUMED if stated else Known.MEASURED
    return Figure(age_s + later_s, known, source, at_most=bound, counted_s=counted_s)
