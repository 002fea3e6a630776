"""What the demo prints while it runs: a line for everything that is decided or done, as it happens.

The one rule it keeps: every line comes from a record of the journal or from the meter. Times count from the fault.
"""

from __future__ import annotations

import sys

from orchestrator.core import records as r
from orchestrator.core.durations import show_duration
from orchestrator.demo.acts import Played
from orchestrator.demo.stage import Stage
from orchestrator.reports.text import SIGN, Part, bounded, line, precise, show, value_of

MARKS = {r.StepState.DONE: ("✓", "green"), r.StepState.FAILED: ("✗", "bold red"), r.StepState.SKIPPED: ("–", "dim")}


class Narrator:
    """Tells the records that have come since it was asked last."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._told: set[tuple[str, object]] = set()
        self._zero_s = 0.0
        self._user = ""

    def begin(self, zero_s: float) -> None:
        """From now on times count from here; what is known already is not told again."""
        self._zero_s = zero_s
        self._user = "up"

    def skip(self) -> None:
        """Take what is there as told."""
        for key, _ in self._news():
            self._told.add(key)

    def tell(self) -> None:
        """Say what is new."""
        for key, (at, text, style) in self._news():
            if key in self._told:
                continue
            self._told.add(key)
            self._say(self._stage.stories.clock.wall(at), text, style)
        self._tell_user()

    def _tell_user(self) -> None:
        """The end user's own word, when it changes."""
        if not self._stage.user.attempts:
            return
        newest = self._stage.user.attempts[-1]
        recent = self._stage.user.attempts[-25:]
        state = "up" if any(a.acknowledged for a in recent) else "down"
        if state != self._user:
            self._user = state
            text = f"end user: served by {newest.by or 'nobody'}" if state == "up" else f"end user: {newest.why}"
            self._say(newest.ended_s, text, "cyan")

    def _say(self, wall_s: float, text: str, style: str) -> None:
        since_s = max(0.0, wall_s - self._zero_s)
        show([line(Part(f"  +{since_s:5.1f}s  ", "dim"), Part(text, style))], sys.stdout)

    def _news(self) -> list[tuple[tuple[str, object], tuple[float, str, str]]]:
        """Everything tellable so far, oldest first, each with a key of its own."""
        found: list[tuple[tuple[str, object], tuple[float, str, str]]] = []
        for story in self._stage.stories.stories.values():
            short = story.service.rpartition("/")[2]
            for number, episode in enumerate(story.episodes):
                opened = episode.opened
                found.append(((story.id, number), (opened.at, f"{short} is down: {opened.evidence}", "bold red")))
                for tier in episode.tiers:
                    if tier.state in (r.TierState.INELIGIBLE, r.TierState.FAILED, r.TierState.RUNNING):
                        text = f"{short}: tier {tier.tier} {tier.move.rpartition('/')[2]} {tier.state.value}"
                        told = f"{text}: {tier.reason.value}: {tier.evidence}"
                        found.append(((story.id, (number, tier.at, tier.tier)), (tier.at, told, "yellow")))
                if episode.ended:
                    text = f"{short} works again: {episode.ended.reason.value}"
                    found.append(((story.id, (number, "ended")), (episode.ended.at, text, "bold green")))
            for run in story.runs:
                for name, step in run.steps.items():
                    if step.ended_at is None or step.began_at is None or step.state not in MARKS:
                        continue
                    mark, style = MARKS[step.state]
                    took = precise(step.ended_at - step.began_at)
                    why = f"  {step.reason}: {step.evidence}" if step.state is r.StepState.FAILED else ""
                    key = (run.started.run, (name, step.attempts))
                    text = f"{run.started.move.rpartition('/')[2]}: {name} {took} {mark}{why}"
                    found.append((key, (step.ended_at, text, style)))
        return sorted(found, key=lambda item: item[1][0])


def act_lines(played: Played) -> None:
    """An act's account: phases, steps, and what the end user measured."""
    a = played.account
    out = sys.stdout
    if a is None:
        return
    phases = "   ".join(f"{p.phase} {precise(p.seconds)}" for p in a.phases)
    show([line(Part("  phases   ", "bold"), phases)], out)
    rto = f" of {show_duration(a.rto_s)} ({a.rta.seconds / a.rto_s:.1%})" if a.rto_s and a.rta.seconds else ""
    show(
        [line(Part("  RTA      ", "bold"), value_of(a.rta), rto)],
        out,
    )
    for step in a.steps:
        if step.took_s is None:
            continue
        left = show_duration(step.budget_left_s) if step.budget_left_s is not None else ""
        took = bounded(step.took_s, step.at_most, SIGN)
        text = f"{step.step:<12} {took:>7}  {step.share or 0.0:>6.1%} of the RTO, {left} left"
        show([line(Part("  step     ", "bold"), text)], out)
    if played.user is not None:
        show([line(Part("  end user ", "bold"), _user_text(played, a.rpo_s))], out)
    if played.staff is not None and played.staff.attempts:
        text = f"{precise(played.staff.longest_s)} without the internet"
        show([line(Part("  staff    ", "bold"), text)], out)


def _user_text(played: Played, rpo_s: float | None) -> str:
    user = played.user
    if user is None:
        return ""
    text = f"{precise(user.longest_s)} without a successful transaction; "
    if not user.loss_known:
        return text + "loss not measured: nobody answered"
    text += f"{len(user.lost_ids)} of {played.promised} acknowledged so far lost"
    if user.oldest_lost_age_s is not None:
        rpo = f" (RPO {show_duration(rpo_s)})" if rpo_s is not None else ""
        text += f", the oldest {precise(user.oldest_lost_age_s)} old{rpo}"
    if user.fenced_acknowledgements:
        text += f"; {len(user.fenced_acknowledgements)} ACKNOWLEDGED BY A FENCED SIDE"
    return text
