"""The ledger of what is proven: whether the objectives of each tier are measured, predicted or unproven.

The one rule it keeps: a figure is from a run that ended verified under what is in force now. None can be typed in.

    the tier's last run under what is in force         its RTO
    ----------------------------------------------     -----------------------------------------------------------
    ended an incident, verified                        measured: the outage's RTA
    was verified, without an incident                  predicted: the move alone was measured, and no detection
    was verified, and what it rests on was changed     void, since that was loaded
    failed, or there was none                          unproven
    was verified, and the service did not come back    unproven
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from statistics import median_high

from orchestrator.core import records as r
from orchestrator.core.ages import Hours
from orchestrator.core.forecast import DRILLED, LIVE, Forecast, forecast
from orchestrator.core.model import Model, Service
from orchestrator.reports import claims, cost
from orchestrator.reports.account import account
from orchestrator.reports.cost import Cost, PaysOff
from orchestrator.reports.data_age import DataAge, data_age
from orchestrator.reports.data_lost import rpa_of
from orchestrator.reports.drills import holding
from orchestrator.reports.entries import WallClock
from orchestrator.reports.feasibility import Finding, findings
from orchestrator.reports.proofs import Basis, basis, changed
from orchestrator.reports.shape import Account, Figure, Known
from orchestrator.reports.stories import Stories
from orchestrator.reports.story import RunStory, Story
from orchestrator.reports.text import bounded, lasting, value_of


class Standing(StrEnum):
    """How an objective stands, the worst first."""

    UNPROVEN = "unproven"
    VOID = "void"
    PREDICTED = "predicted"
    MEASURED = "measured"


RANK = list(Standing)
Told = tuple[Story, RunStory]
Rested = Callable[[str, str, str], Basis]
"""Of a configuration's digest, a service and a move: what a proof of that move rested on."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The last run of a tier that ended verified. `took_s`: from its start to its verification, without waiting for a
    person. `rta`: of the outage that it ended, which `outage` names where there were several. `rpa`: of its own data.
    `left_out`: steps that were skipped, each with why. `wall`: when it was verified, seconds since 1970.
    """

    run: str
    incident: str | None
    wall: float
    took_s: float
    rta: Figure
    rpa: Figure
    left_out: tuple[str, ...]
    outage: str = ""
    by: str = ""  # an incident, a full-scale drill, or a move that was wanted
    unwatched: bool = False  # for a part of `took_s` nobody watched: it is a bound
    early: bool = False  # nothing was heard of the service before its first bad answer: it may have failed long before


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The last rehearsal of a tier under what is in force, which went well: `live` of its steps, others simulated."""

    drill: str
    wall: float
    live: int
    simulated: int


@dataclass(frozen=True, slots=True)
class TierEvidence:
    """One tier; of a service without a ladder tier 0, without a move.

    `rto`, `rpo`: how the objective stands (None: there is none, or no data is moved), and `…_said`: why. `…_met`:
    whether what was measured is within it; None: that is not known. `since`: since when it stands so, seconds since
    1970; None: since ever. `times`: how many runs were verified under what is in force. `void`: what has changed since
    the proof. `trend_s`: how much longer the last run took than the median of those before. `forecast` is of live runs
    alone, and `drilled` of drills alone. `rehearsed`: beside what serves; it proves what was live, and no RTO.
    `data_age`: how old its data was in the last week, by measure.
    `findings`: what cannot be met as things are; those of the whole service stand with its first row.
    `a_minute`: what a minute of downtime costs, and by what source. `outage_cost`: of the outage that the proof ended.
    `unproven_cost`: what hangs on a service of which no tier is proven. `pays_off`: see `cost.py`.
    """

    service: str
    tier: int
    move: str
    rto_s: float
    rpo_s: float | None
    mtd_s: float | None
    rto: Standing
    rto_said: str
    rto_met: bool | None
    rpo: Standing | None
    rpo_said: str
    rpo_met: bool | None
    since: float | None
    proof: Proof | None
    times: int
    void: tuple[str, ...]
    trend_s: float | None
    forecast: Forecast | None
    drilled: Forecast | None = None
    rehearsed: Rehearsed | None = None
    data_age: tuple[DataAge, ...] = ()
    findings: tuple[Finding, ...] = ()
    a_minute: str = ""
    outage_cost: Cost | None = None
    unproven_cost: str = ""
    pays_off: PaysOff | None = None


def evidence(
    stories: Stories, model: Model, now: float, wants: Callable[[str], bool], ages: Hours | None = None
) -> list[TierEvidence]:
    """Every tier of the services that are wanted, worst service first. `now`: on the journal's axis. `ages`: how old
    data was, in the last week.
    """
    runs: dict[tuple[str, str], list[Told]] = {}
    for story in stories.stories.values():
        for run in story.runs:
            runs.setdefault((run.started.service, run.started.move), []).append((story, run))
    rested = cache(lambda digest, service, move: basis(stories.model_of(digest), service, move))
    found = []
    rehearsed = _rehearsed(stories, model, wants)
    lacks = findings(model, stories.decided, ages or {}, stories.clock.wall, wants)
    for service in model.services.values():
        if wants(service.id):
            mine = [x for x in lacks if x.service == service.id]
            rungs = enumerate(service.ladder, 1)
            tiers = [
                _tier(stories, model, service, n, x.move, runs.get((service.id, x.move), []), rested, now)
                for n, x in rungs
            ]
            tiers = [
                replace(
                    x,
                    data_age=data_age(model, service.id, x.move, ages or {}),
                    rehearsed=rehearsed.get((service.id, x.move)),
                )
                for x in tiers
            ]
            tiers = _priced(service, tiers, stories, now)
            rows = tiers or [_without_a_ladder(service)]
            of_row = [tuple(f for f in mine if f.tier == x.tier or (f.tier == 0 and not n)) for n, x in enumerate(rows)]
            found.append([replace(x, findings=told) for x, told in zip(rows, of_row, strict=True)])
    return [tier for tiers in sorted(found, key=_worst_first) for tier in tiers]


def _priced(service: Service, tiers: list[TierEvidence], stories: Stories, now: float) -> list[TierEvidence]:
    """The same with what the author's costs say of them."""
    outages = sum(len(x.episodes) for x in stories.stories.values() if x.service == service.id)
    for_s = now - _known_since(service, stories, now)
    known = [x.forecast for x in tiers]
    shown = any(x.rto in (Standing.MEASURED, Standing.PREDICTED) for x in tiers)
    found = []
    for n, x in enumerate(tiers):
        rta = x.proof.rta.seconds if x.proof is not None else None
        found.append(
            replace(
                x,
                a_minute=cost.a_minute(service),
                outage_cost=cost.of_outage(service, rta) if rta is not None else None,
                unproven_cost="" if shown else cost.unproven(service),
                pays_off=cost.pays_off(service, n, known, outages, for_s),
            )
        )
    return found


def _known_since(service: Service, stories: Stories, now: float) -> float:
    """Since when it is watched: an outage before that is on no record."""
    with_it = (at for at, digest in stories.configured if (m := stories.model_of(digest)) and service.id in m.services)
    first_outage = (x.began_at for x in stories.stories.values() if x.service == service.id and x.episodes)
    return min([*itertools.islice(with_it, 1), *itertools.islice(first_outage, 1), now])


def _worst_first(tiers: Sequence[TierEvidence]) -> tuple[int, int, str]:
    ranks = [0 if x.rto_met is False else RANK.index(x.rto) for x in tiers]
    return max(ranks), sum(ranks), tiers[0].service


def _without_a_ladder(service: Service) -> TierEvidence:
    """Its objective stands all the same, and nothing can meet it."""
    rpo = Standing.UNPROVEN if service.rpo_s is not None else None
    return TierEvidence(
        service=service.id, tier=0, move="", rto_s=service.rto_s, rpo_s=service.rpo_s, mtd_s=service.mtd_s,
        rto=Standing.UNPROVEN, rto_said="it has no ladder: nothing restores it", rto_met=None, rpo=rpo, rpo_said="",
        rpo_met=None, since=None,
        proof=None, times=0, void=(), trend_s=None, forecast=None,
    )  # fmt: skip


def _tier(
    stories: Stories,
    model: Model,
    service: Service,
    tier: int,
    move: str,
    runs: list[Told],
    rested: Rested,
    now: float,
) -> TierEvidence:
    clock = stories.clock
    tried = sorted(runs, key=lambda x: x[1].started.at)
    verified = [
        (s, x)
        for s, x in tried
        if claims.verified_at(x) is not None and x.ended is not None and x.ended.ok and not claims.in_vain(s, x)
    ]
    in_force = basis(model, service.id, move)
    holding = [(s, x) for s, x in verified if not changed(_then(rested, x), in_force)]
    rows = (holding or verified)[-1:]
    proof = _proof(*rows[0], clock, now) if rows else None
    failed = _failed_after(tried, rows[0][1] if rows else None)
    void = () if holding or not rows else changed(_then(rested, rows[0][1]), in_force)
    rto, said, since = _rto(proof, void, failed, stories, rows[0][1] if rows else None, rested)
    if not tried and stories.decided.durations.get(move):
        said += " for this service; what it took was measured of others"
    rpo, rpo_said = _rpo(service, model, move, proof, rto)
    spent = [claims.took_s(x) for _, x in holding if not claims.unwatched(x)]
    return TierEvidence(
        service=service.id, tier=tier, move=move, rto_s=service.rto_s, rpo_s=service.rpo_s, mtd_s=service.mtd_s,
        rto=rto, rto_said=said, rto_met=_unless_early(proof, _met(rto, _rto_figure(proof), service.rto_s)),
        rpo=rpo, rpo_said=rpo_said,
        rpo_met=_met(rpo, proof.rpa if proof else None, service.rpo_s), since=since, proof=proof,
        times=len(holding), void=void,
        trend_s=spent[-1] - median_high(spent[:-1]) if len(spent) > 1 and proof and not proof.unwatched else None,
        forecast=forecast(stories.decided.durations.get(move, []), of=LIVE),
        drilled=forecast(stories.decided.drilled.get(move, []), of=DRILLED),
    )  # fmt: skip


def _then(rested: Rested, run: RunStory) -> Basis:
    """What the run rested on."""
    return rested(run.started.configuration, run.started.service, run.started.move)


def _proof(story: Story, run: RunStory, clock: WallClock, now: float) -> Proof:
    at = claims.verified_at(run) or run.started.at
    by_it = next((n for n, e in reversed([*enumerate(story.episodes)]) if claims.ended_by(e, run)), None)
    told = account(story, clock, now)
    left_out = tuple(f"{s.planned.name}: {s.reason}" for s in run.steps.values() if s.state is r.StepState.SKIPPED)
    return Proof(
        run.started.run,
        run.started.incident if by_it is not None else None,
        clock.wall(at),
        claims.took_s(run),
        _outage(story, told, by_it) if by_it is not None else Figure(None, Known.UNKNOWN, "nothing had failed"),
        rpa_of(run),
        left_out,
        f", outage {by_it + 1} of {len(story.episodes)}" if by_it is not None and len(story.episodes) > 1 else "",
        f"incident {run.started.incident}" if by_it is not None else _wanted_by(run),
        claims.unwatched(run),
        by_it is not None and bool(claims.unseen_before(story)[by_it]),
    )


def _wanted_by(run: RunStory) -> str:
    """What a run was that ended no outage."""
    started = run.started
    if started.drill:
        return f"full-scale drill {started.drill}"
    if started.incident is not None:
        return f"a move in incident {started.incident}"
    return f"a move that {started.who} wanted" if started.who else "a failback by itself"


def _rehearsed(stories: Stories, model: Model, wants: Callable[[str], bool]) -> dict[tuple[str, str], Rehearsed]:
    """By service and move: by drills that are kept, the last one."""
    found = {}
    for drill, runs in holding(stories, model, wants):
        if runs and not drill.full_scale and drill.ended is not None:
            done = [s.simulated for s in runs[0].steps if s.state is r.StepState.DONE]
            wall = stories.clock.wall(drill.ended.at)
            found[drill.began.service, drill.began.move] = Rehearsed(
                drill.id, wall, done.count(False), done.count(True)
            )
    return found


def _outage(story: Story, told: Account, number: int) -> Figure:
    """The time without service in the outage that the run ended; another tier's time before or after is not its own."""
    ended, alone = story.episodes[number].ended, len(story.episodes) == 1
    known = Known.ASSUMED if claims.assumed(story, story.episodes[number]) else Known.MEASURED
    source = told.rta.source if alone else "first bad answer to the good answer that ended it"
    at_most = ended is not None and ended.perhaps_s > 0.0
    return Figure(told.outages[number].seconds, known, source, at_most=at_most)


def _rto(
    proof: Proof | None,
    void: tuple[str, ...],
    failed: RunStory | None,
    stories: Stories,
    run: RunStory | None,
    rested: Rested,
) -> tuple[Standing, str, float | None]:
    """How it stands, why, and since when."""
    if proof is None or run is None:
        return (Standing.UNPROVEN, *_unproven(failed, stories.clock))
    if failed is not None:
        return (Standing.UNPROVEN, *_unproven(failed, stories.clock))
    if void:
        return Standing.VOID, f"changed since {proof.run}: {', '.join(void)}", _void_since(stories, run, rested)
    if proof.rta.seconds is not None:
        return Standing.MEASURED, f"RTA {value_of(proof.rta)} in {proof.incident}{proof.outage}", proof.wall
    why = "its outage did not end by it" if run.started.incident is not None else "nothing had failed"
    took = bounded(proof.took_s, proof.unwatched, show=lasting)
    return Standing.PREDICTED, f"{proof.run} took {took}; no detection is in it, for {why}", proof.wall


def _rto_figure(proof: Proof | None) -> Figure | None:
    """What stands for the RTA: it, or the move alone, which is less than that."""
    if proof is None or proof.rta.seconds is not None:
        return proof.rta if proof else None
    return Figure(proof.took_s, Known.PREDICTED, "the move alone", at_most=proof.unwatched)


def _unless_early(proof: Proof | None, met: bool | None) -> bool | None:
    return None if met and proof is not None and proof.early else met


def _met(standing: Standing | None, figure: Figure | None, objective_s: float | None) -> bool | None:
    if standing not in (Standing.MEASURED, Standing.PREDICTED) or figure is None:
        return None
    within = figure.within(objective_s)
    if within:
        return True if standing is Standing.MEASURED else None  # the move alone, or data of an age that was stated
    return None if figure.at_most and figure.counted_s is None else within


def _unproven(failed: RunStory | None, clock: WallClock) -> tuple[str, float | None]:
    if failed is None or failed.ended is None:
        return "no run of it was ever verified", None
    name, since = failed.started.run, clock.wall(failed.ended.at)
    if failed.ended.ok:
        return f"{name} was verified, and the service did not come back with it", since
    what = ", a rehearsal, failed" if claims.rehearsed(failed) else " failed"
    return f"{name}{what}: {failed.ended.reason.value}", since


def _rpo(service: Service, model: Model, move: str, proof: Proof | None, rto: Standing) -> tuple[Standing | None, str]:
    if service.rpo_s is None:
        return None, ""
    if model.moves[move].to is None:
        return None, "the service stays where its data is"
    if proof is None or rto in (Standing.UNPROVEN, Standing.VOID):
        return rto, ""
    if proof.rpa.seconds is None:
        return Standing.UNPROVEN, proof.rpa.source
    known = Standing.MEASURED if proof.rpa.known is Known.MEASURED else Standing.PREDICTED
    return known, f"RPA {value_of(proof.rpa)} in {proof.run}"


def _failed_after(tried: list[Told], proven: RunStory | None) -> RunStory | None:
    """The last run that failed, where none was verified since. A drill that was stopped says nothing of its move."""
    since = proven.started.at if proven is not None else -1.0
    later = [x for s, x in tried if x.started.at > since and (_failed(x) or claims.in_vain(s, x))]
    return later[-1] if later else None


def _failed(run: RunStory) -> bool:
    stopped = bool(run.started.drill) and run.abort is not None
    return run.ended is not None and not run.ended.ok and claims.failed(run) and not stopped


def _void_since(stories: Stories, run: RunStory, rested: Rested) -> float | None:
    """When what differs from the proof was loaded: the beginning of the last stretch of models that differ from it."""
    then = _then(rested, run)
    began: float | None = None
    for at, digest in _later(stories, run):
        if stories.model_of(digest) is None:
            continue  # it was let go of: that it differed is not known
        differs = bool(changed(then, rested(digest, run.started.service, run.started.move)))
        began = (at if began is None else began) if differs else None
    return None if began is None else stories.clock.wall(began)


def _later(stories: Stories, run: RunStory) -> Iterator[tuple[float, str]]:
    return (x for x in stories.configured if x[0] >= run.started.at)
