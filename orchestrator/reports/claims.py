"""What a report may claim of a move, and from which record: moved, fenced, acted, verified, data opened.

The one rule it keeps: each claim is made here, from a record of that very thing. That a step was planned, skipped or
over claims nothing. What a named person stated is told as their statement.

    claim                          the record that must be there
    ---------------------------    -----------------------------------------------------------------------------
    from one place to another      `PlacementChanged` in it, or between its outages; verified: its run's verify, done
    its place taken out            `MayActRemoved` of the place on record, without one that leads it elsewhere
    decided                        `StepBegan` of a step that prepares, fences or acts
    a place fenced                 its proof step, done; or its proof left out since a named person vouched for it
    acted                          the execute step, done
    verified                       the verify step, done
    works again                    `IncidentEnded`
    with a person                  `RunNeedsHuman` without an answer; `StepBegan` of an approval without its end
    data opened elsewhere (RPA)    the execute step of a move that leads to a place, done
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestrator.core import records as r
from orchestrator.core.health.diagnosis import evaluate
from orchestrator.core.kinds import By, Reach
from orchestrator.core.reasons import Reason
from orchestrator.reports.story import Episode, RunStory, StepStory, Story


@dataclass(frozen=True, slots=True)
class Moved:
    """From one place to another, as recorded; `verified`: a run that led there was verified."""

    from_place: str | None
    to_place: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Fenced:
    """Every place to be left was out by then. `by`: who states it of one; empty: proven."""

    at: float
    by: str


NEVER = float("inf")


def moved(story: Story) -> Moved | None:
    """Where the service was led in this story; None: nowhere else."""
    mine = {x.started.run: x for x in story.runs}
    changes = [x for x in story.placements if isinstance(x, r.PlacementChanged)]
    if not story.episodes:
        changes = [x for x in changes if x.run in mine]
    if not changes or changes[-1].place == changes[0].was:
        return None
    run = mine.get(changes[-1].run) or next((x for x in story.between if x.started.run == changes[-1].run), None)
    return Moved(changes[0].was, changes[-1].place, run is not None and verified_at(run) is not None)


def well_since(story: Story) -> float | None:
    """Since when the checks of a service in an open incident are not down any more, by their verdicts; None: they are.

    A verdict from long before the outage may not have been read: it is what it must have been for the service to be
    down then. After a restart of the machine nothing is known, and unknown is not down.
    """
    service, episode = story.of, story.episodes[-1] if story.episodes else None
    if service is None or episode is None or episode.ended is not None:
        return None
    condition, since, verdicts = service.healthy_when, episode.opened.at, dict(episode.verdicts)
    down = evaluate(condition, lambda name: verdicts.get(name, r.Verdict.UP)) is r.Verdict.DOWN
    unread = r.Verdict.UP if down else r.Verdict.DOWN
    restarts = [c.at for c in story.controllers if not c.same_boot and c.at > since]
    if restarts:
        verdicts, unread, since = {}, r.Verdict.UNKNOWN, restarts[-1]
    asked = set(condition.checks())
    for x in story.checks:
        if x.at >= max([episode.opened.at, *restarts]) and x.check in asked:
            verdicts[x.check], since = x.verdict, x.at
    found = evaluate(condition, lambda name: verdicts.get(name, unread))
    return None if found is r.Verdict.DOWN else since


def decisions(episode: Episode) -> Iterator[r.ServiceJudged]:
    """What was judged, once: what changed may be whether the service is known to be down, which is no decision."""
    for last, x in zip([None, *episode.judged], episode.judged, strict=False):
        if last is None or (last.decision, last.reason, last.evidence) != (x.decision, x.reason, x.evidence):
            yield x


def doubted_s(story: Story, now: float) -> float:
    """How long, of the last outage, it was judged that whether the service is down is not known."""
    judged = story.episodes[-1].judged if story.episodes else []
    ends, doubted_s, going = [*(x.at for x in judged[1:]), now], 0.0, False
    for x, end in zip(judged, ends, strict=False):
        began = x.at if going or x.dark_since is None else x.dark_since
        doubted_s += max(0.0, min(end, now) - began) if x.dark else 0.0
        going = x.dark
    return doubted_s


def unseen_before(story: Story) -> list[float]:
    """For how long nothing good was heard before each outage's first bad answer; 0 where that is the usual beat.

    NEVER: no good answer is on record, as after a restart of the machine. What the row of a check has forgotten is not
    lost: a relapse comes after the good answers that ended the outage before.
    """
    service, model = story.of, story.model
    if service is None or model is None:
        return [0.0] * len(story.episodes)
    asked = [model.checks[c] for c in service.healthy_when.checks() if c in model.checks]
    usual_s = max((c.stale_after_s for c in asked), default=0.0)
    gaps, good_at = [], None
    for episode in story.episodes:
        known = [at for at in (episode.opened.last_good_at, good_at) if at is not None]
        gap_s = episode.opened.first_bad_at - max(known) if known else NEVER
        gaps.append(gap_s if gap_s > usual_s else 0.0)
        good_at = episode.ended.recovered_at if episode.ended is not None else None
    return gaps


def assumed(story: Story, episode: Episode) -> bool:
    """Whether a part of this outage is known from the wall clock alone: the machine was off in it, and not after it."""
    until = episode.ended.recovered_at if episode.ended is not None else NEVER
    gaps = (c for c in story.controllers if c.assumed_gap_s)
    return any(c.at > episode.opened.first_bad_at and c.at - c.assumed_gap_s < until for c in gaps)


def over_at(story: Story, run: RunStory) -> float:
    """From when on what a run does takes nothing of the RTO: its outage is over, or its planned move is verified."""
    if not story.episodes:
        verified = verified_at(run)
        return verified if verified is not None else NEVER
    ends = [e.ended.recovered_at if e.ended is not None else NEVER for e in story.episodes if run in e.runs]
    return max(ends, default=NEVER)


def before_it(story: Story) -> list[RunStory]:
    """Runs during which an outage of this story fell, and that are told elsewhere, for they were over by then."""
    found = (e.before for e in story.episodes if e.before is not None and e.before not in story.runs)
    return list({x.started.run: x for x in found}.values())


def drilled_then(story: Story) -> list[r.DrillBegan]:
    """The drills of its client that were under way when an outage of this story fell."""
    return list({e.drill.drill: e.drill for e in story.episodes if e.drill is not None}.values())


def taken_out(story: Story) -> tuple[str, str, list[str]] | None:
    """The place on record where it is out and nothing was led elsewhere since, who states that, where it may act."""
    place, stated, may_act = _placed(story, float("inf"))
    return None if place is None or place in may_act else (place, stated, may_act)


def where(story: Story, episode: Episode) -> str:
    """Where the service was, as an outage began: its place on record, or where it might act if that one was out."""
    place, _, may_act = _placed(story, episode.opened.at)
    out = place is not None and place not in may_act
    return " or ".join(may_act) if out and may_act else episode.opened.place or ""


def _placed(story: Story, until: float) -> tuple[str | None, str, list[str]]:
    """Its place on record at that instant, who states that it is out there, and where it may act."""
    may_act, stated = set(story.may_act), ""
    place = story.episodes[0].opened.place if story.episodes else story.runs[0].started.from_place
    for x in (x for x in story.placements if x.at <= until):
        match x:
            case r.PlacementChanged():
                place = x.place
            case r.MayActAdded():
                may_act.add(x.place)
            case r.MayActRemoved():
                may_act.discard(x.place)
                if x.place == place:
                    stated = x.evidence.partition(" states that ")[0] if x.reason is Reason.FENCED_BY_HAND else ""
    return place, stated, sorted(may_act)


def telling(runs: list[RunStory]) -> RunStory | None:
    """The run that instants and data are told of: the last that ended well, else the last that acted, else the last."""
    for wanted in (lambda x: x.ended is not None and x.ended.ok, lambda x: acted_at(x) is not None):
        found = next((x for x in reversed(runs) if wanted(x)), None)
        if found is not None:
            return found
    return runs[-1] if runs else None


def decided_at(run: RunStory) -> float | None:
    """When the first thing began that cannot just be left alone any more."""
    begun = [
        s.began_at for s in run.steps.values() if s.traits.reach > Reach.QUIET and s.begun and s.began_at is not None
    ]
    return min(begun, default=None)


def fenced(run: RunStory) -> Fenced | None:
    """When every place that the run was to fence was out; None: not so, or there was none."""
    places = {s.planned.place for s in run.steps.values() if s.traits.takes_out}
    proofs = {s.planned.place: s for s in run.steps.values() if s.traits.proves}
    ends: list[float] = []
    by: list[str] = []
    for place in sorted(x for x in places if x is not None):
        proof = proofs.get(place)
        if proof is None or proof.ended_at is None:
            return None
        if vouched_for(proof):
            by.append(run.vouched[place].who if place in run.vouched else run.started.who)
        elif proof.state is not r.StepState.DONE:
            return None
        ends.append(proof.ended_at)
    return Fenced(max(ends), " and ".join(dict.fromkeys(by))) if ends else None


def vouched_for(step: StepStory) -> bool:
    """Whether a named person's statement stands in place of this step."""
    return step.state is r.StepState.SKIPPED and step.reason == Reason.FENCED_BY_HAND.value


def acted_at(run: RunStory) -> float | None:
    """When the move's playbook ended well."""
    return _done_at(s for s in run.steps.values() if s.traits.moves)


def verified_at(run: RunStory) -> float | None:
    """When a good answer showed that the move does what it promises."""
    return _done_at(s for s in run.steps.values() if s.traits.verifies)


def confirmed(run: RunStory) -> bool:
    """Whether a good answer showed that what was rehearsed is well; its author need not have asked for one."""
    return any(s.traits.confirms and s.state is r.StepState.DONE for s in run.steps.values())


def _shown_at(run: RunStory) -> float | None:
    """When it was verified; of a rehearsal, when it had been made and confirmed: its clean-up is no part of the move.

    None: neither was.
    """
    if (verified := verified_at(run)) is not None or not rehearsed(run):
        return verified
    made = [s for s in run.steps.values() if s.traits.rehearses and not s.traits.always]
    ends = [s.ended_at for s in made if s.state is r.StepState.DONE and s.ended_at is not None]
    return max(ends) if len(ends) == len(made) else None


def took_s(run: RunStory) -> float:
    """From its start to its verification (else its end), without waits for a person."""
    until = _shown_at(run)
    until = until if until is not None else run.ended.at if run.ended is not None else run.started.at
    waited = sum(min(until, end) - min(until, since) for since, end in _waits(run))
    return max(0.0, until - run.started.at - waited)


def unwatched(run: RunStory) -> bool:
    """Whether a controller stopped before it was verified: what it took is a bound, for nobody saw when that was.

    Where it waited for a person, that time is not counted anyway.
    """
    shown = _shown_at(run)
    before = [at for at in run.taken_over if shown is None or at < shown]
    return any(not any(since <= at <= end for since, end in _waits(run)) for at in before)


def unwatched_in(run: RunStory, step: StepStory) -> bool:
    """Whether nobody watched for a part of this step: of a wait for answers no record of it says so. A person who was
    waited for answers whenever it is, and when that was is on record.
    """
    if any(isinstance(x, r.StepLeftUnseen) for x in step.looks):
        return True
    began, end = step.began_at, step.ended_at if step.ended_at is not None else float("inf")
    taken = began is not None and any(began <= at <= end for at in run.taken_over)
    return taken and step.traits.by is not By.PERSON


def _waits(run: RunStory) -> list[tuple[float, float]]:
    """From when to when it waited for a person."""
    asked = [(s.began_at, s.ended_at) for s in run.steps.values() if s.traits.by is By.PERSON]
    told = [(since, end) for since, end, _ in run.human]
    return [(since, end) for since, end in (*asked, *told) if since is not None and end is not None]


def ended_by(episode: Episode, run: RunStory) -> bool:
    """Whether this outage ended verified, by this run; older versions recorded no run with an end."""
    if episode.ended is None or episode.ended.reason is not Reason.VERIFIED:
        return False
    return episode.by is run or (episode.by is None and run is telling(episode.runs))


def in_vain(story: Story, run: RunStory) -> bool:
    """Whether a run was verified, and its tier failed all the same: the service did not come back with it."""
    if run.ended is None or not run.ended.ok:
        return False
    for episode in (e for e in story.episodes if run in e.runs):
        later = [x.started.at for x in episode.runs if x.started.move == run.started.move and x is not run]
        until = min((at for at in later if at > run.ended.at), default=float("inf"))
        for judged in episode.tiers:
            failed = judged.state is r.TierState.FAILED and judged.move == run.started.move
            if failed and run.ended.at <= judged.at < until:
                return True
    return False


def begun(run: RunStory) -> bool:
    """Whether the move itself was begun."""
    return any(s.traits.moves and s.begun for s in run.steps.values())


def failed(run: RunStory) -> bool:
    """Whether a run that did not end well failed: a step did, or something had been begun. Else it was stopped."""
    return any(
        (s.state is r.StepState.FAILED and not s.refused) or (s.begun and s.traits.reach > Reach.QUIET)
        for s in run.steps.values()
    )


def leads_back(story: Story) -> bool:
    """Whether it is a way back alone, after no outage: nobody waits for the service, and no RTO says anything of it."""
    service = story.of
    if story.episodes or service is None or not story.runs:
        return False
    move = story.runs[0].started.move
    return move in service.failback and all(tier.move != move for tier in service.ladder)


def rehearsed(run: RunStory) -> bool:
    """Whether it is a rehearsal, which makes nothing of the move itself."""
    return any(s.traits.rehearses for s in run.steps.values())


def waits_for(run: RunStory) -> tuple[str, str] | None:
    """What a run that has not ended waits for from a person, reason and evidence: its end not seen, or an approval."""
    if run.human and run.human[-1][1] is None:
        return run.human[-1][2].reason.value, run.human[-1][2].evidence
    asked = any(s.traits.by is By.PERSON and s.state is r.StepState.RUNNING for s in run.steps.values())
    return (Reason.APPROVAL_NEEDED.value, "; ".join(run.started.asks)) if asked else None


def _done_at(steps: Iterable[StepStory]) -> float | None:
    return next((s.ended_at for s in steps if s.state is r.StepState.DONE), None)
