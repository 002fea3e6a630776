"""What is to be said of a story beside its figures: who took over, what is assumed, what nobody watched.

The one rule it keeps: each remark is of a record of this very story.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.durations import show_duration
from orchestrator.reports.entries import WallClock
from orchestrator.reports.story import Story


def remarks(story: Story, clock: WallClock) -> list[str]:
    found = []
    for c in story.controllers:
        found.append(f"controller {c.controller} took over with epoch {c.epoch}")
        if c.assumed_gap_s:
            found.append(f"{c.assumed_gap_s:.0f}s of this are assumed from the wall clock")
    if len(story.episodes) > 1:
        found.append(
            f"{len(story.episodes)} outages, each a relapse of the one before; RTA and phases count the time without"
            " service in all of them"
        )
    service = story.of
    if service is not None:
        for run in story.runs:
            tier = next((t for t in service.ladder if t.move == run.started.move), None)
            if tier is not None and tier.accept_loss_s is not None:
                found.append(
                    f"{run.started.move}: a loss of up to {tier.accept_loss_s:g}s is accepted there by its author"
                )
    return found


def unwatched(story: Story, for_s: float | None) -> Iterator[str]:
    """Nothing that is told as open or running is known to be so now."""
    if for_s is not None and story.ended_at is None:
        yield f"nobody has watched for {show_duration(for_s)}: what is open or running here was so then"
