"""What the time without service cost: of an outage as it was measured, of a planned move or drill as a bound.

The one rule it keeps: an amount is of a time that records show. Where nothing had failed, no outage is measured: the
service was away for no longer than from the first step that may stop it until a good answer showed the move to do what
it promises: what a move prepares beside it stops nothing. Of a run without such an answer nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.core.durations import rounded_up
from orchestrator.core.kinds import Reach
from orchestrator.core.model import Service
from orchestrator.reports import claims, cost
from orchestrator.reports.papers.shape import Price, Said
from orchestrator.reports.shape import Account
from orchestrator.reports.story import RunStory, Story


def priced(
    service: Service | None, pairs: Sequence[tuple[Story, Account]], fallen: Sequence[str]
) -> tuple[Price | None, Said]:
    """The price of what these tell, and what is to be said of it. `fallen`: incidents that were a part of it."""
    outages = [x.seconds for _, a in pairs for x in a.outages]
    if outages:
        text = "{down_s} without the service, at what the configuration says of a minute"
        at_most = any(a.down_at_most for _, a in pairs)
        made = _price(service, outages, at_most=at_most)
        return made, Said(text, {"down_s": sum(outages)}) if made is not None else _no_cost()
    if fallen:
        text = "no outage is a part of it: what {incidents} cost is told in the report of each"
        return None, Said(text, {"incidents": ", ".join(fallen)})
    acted = [(x, began) for story, _ in pairs for x in story.runs if (began := _acted_at(x)) is not None]
    if not acted:
        return None, Said("no outage is a part of it: it has no cost of one")
    return _of_moves(service, acted)


def _no_cost() -> Said:
    return Said("not known: the configuration says nothing of what a minute without the service costs")


def _price(service: Service | None, times: Sequence[float], *, at_most: bool) -> Price | None:
    found = [cost.of_outage(service, x) for x in times] if service is not None else []
    each = [x for x in found if x is not None]
    if service is None or not each:
        return None
    once, amount = sum(x.parts.get(cost.ONCE, 0.0) for x in each), sum(x.amount for x in each)
    amount = rounded_up(amount, 100) if at_most else round(amount, 2)
    return Price(sum(times), service.downtime_cost, service.currency, amount, at_most, once)


def _of_moves(service: Service | None, acted: Sequence[tuple[RunStory, float]]) -> tuple[Price | None, Said]:
    """Of runs in which nothing had failed, each with when the service may have stopped."""
    for run, _ in acted:
        if claims.verified_at(run) is None:
            text = "not known: {run} was not verified, and nobody measured for how long the service was away"
            if run.ended is None:
                text = "not known yet: {run} goes on"
            return None, Said(text, {"run": run.started.run})
    made = _price(service, list(_away(acted)), at_most=True)
    if made is None:
        return None, _no_cost()
    text = "nobody measured it: no longer than from when {runs} may have stopped it until it was verified"
    if len(acted) > 1:
        text = "nobody measured it: no longer than from when {runs} may have stopped it until each was verified"
    return made, Said(text, {"runs": ", ".join(run.started.run for run, _ in acted)})


def _away(acted: Sequence[tuple[RunStory, float]]) -> Iterator[float]:
    for run, began in acted:
        until = claims.verified_at(run)
        if until is not None:
            yield max(0.0, until - began)


def _acted_at(run: RunStory) -> float | None:
    """When a step of it began that may stop what serves; None: none did, as in a rehearsal."""
    if claims.rehearsed(run):
        return None
    steps = (s for s in run.steps.values() if s.begun and s.traits.reach is Reach.COMMITTED and not s.planned.simulated)
    return min((s.began_at for s in steps if s.began_at is not None), default=None)
