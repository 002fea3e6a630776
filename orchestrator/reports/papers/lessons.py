"""What worked and what did not, and who had a part: sentences from the records of one story.

The one rule it keeps: each sentence rests on a record of that very thing, by `claims` or by the account. Nothing is
praised that was only planned, left out or not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.reports import claims
from orchestrator.reports.papers.shape import ObjectiveLine, Participant, Said
from orchestrator.reports.phases import detected_at
from orchestrator.reports.shape import Account, Known, TierLine
from orchestrator.reports.story import Episode, RunStory, Story

LEAST_S = 1.0  # of what took less nobody speaks
ALONE = "the move alone: no detection is in it, for nothing had failed"
REHEARSED = "what was rehearsed alone: a rehearsal is not the move"
Wall = Callable[[float], float]


def worked(story: Story, a: Account) -> Iterator[Said]:
    """What did what it is there for."""
    for episode in story.episodes:
        detected: dict[str, str | float] = {
            "service": story.service,
            "took_s": detected_at(episode) - episode.opened.first_bad_at,
        }
        yield Said("{service} was found down {took_s} after its first bad answer", detected)
    for run in story.runs:
        yield from _of_run(run)
    if a.rto_met is True and a.rta.seconds is not None and a.rto_s is not None:
        text = "the RTO of {rto_s} was met: at most {rta_s}" if a.rta.at_most else "the RTO of {rto_s} was met: {rta_s}"
        yield Said(text, {"rto_s": a.rto_s, "rta_s": a.rta.seconds})
    if a.rpo_met is True and a.rpa.seconds is not None and a.rpo_s is not None:
        text = "{run}: the RPO of {rpo_s} was met: {rpa_s}"
        text = text if a.drill else "the RPO of {rpo_s} was met: {rpa_s}"
        if a.rpa.at_most:
            text = "{run}: the RPO of {rpo_s} was met: at most {rpa_s}"
            text = text if a.drill else "the RPO of {rpo_s} was met: at most {rpa_s}"
        yield Said(text, {**_of(a), "rpo_s": a.rpo_s, "rpa_s": a.rpa.seconds})


Notices = Sequence[tuple[r.NoticeDue, r.NoticeSettled | None]]


def reached(notices: Notices) -> Iterator[Said]:
    """How many notices did."""
    told = sum(1 for _, settled in notices if settled is not None and settled.delivered)
    if told:
        yield Said("{n} notice reached somebody", {"n": told}, "{n} notices reached somebody")


def reached_nobody(notices: Notices) -> Iterator[Said]:
    """How many did not."""
    silent = sum(1 for _, settled in notices if settled is not None and not settled.delivered)
    if silent:
        yield Said("{n} notice reached nobody", {"n": silent}, "{n} notices reached nobody")


def _of_run(run: RunStory) -> Iterator[Said]:
    slots: dict[str, str | float] = {"run": run.started.run, "move": run.started.move}
    out = claims.fenced(run)
    if out is not None and out.by:
        yield Said("{run}: the place left was out of the way, as {who} stated", {**slots, "who": out.by})
    elif out is not None:
        yield Said("{run}: the place left was proven unable to act", slots)
    verified = claims.verified_at(run)
    if verified is not None:
        took = {**slots, "took_s": claims.took_s(run)}
        text = "{run}: {move} was made and verified in {took_s}, not counting waits for a person"
        if claims.unwatched(run):
            text = "{run}: {move} was made and verified in at most {took_s}, not counting waits for a person"
        yield Said(text, took)


def failed(story: Story, a: Account) -> Iterator[Said]:
    """What did not, was missed, or had to be done again."""
    yield from _missed(a)
    for tier in a.tiers:
        if tier.state in (r.TierState.INELIGIBLE.value, r.TierState.FAILED.value):
            slots: dict[str, str | float] = {"tier": tier.tier, "move": tier.move, "reason": _why(tier)}
            text = "tier {tier}, {move}, failed: {reason}"
            lacking = "tier {tier}, {move}, could not help: {reason}"
            if a.episodes > 1:  # tiers are judged anew in each outage
                text = "in the last outage, tier {tier}, {move}, failed: {reason}"
                lacking = "in the last outage, tier {tier}, {move}, could not help: {reason}"
            yield Said(lacking if tier.state == r.TierState.INELIGIBLE.value else text, slots)
    for reason, time_s in _left_alone(story, a).items():
        if time_s >= LEAST_S:
            yield Said("nothing was done automatically for {time_s}: {reason}", {"time_s": time_s, "reason": reason})
    for run in story.runs:
        yield from _failed_in(run)
    yield from _meanwhile(story)
    for word in story.words:
        if isinstance(word, r.WordRefused):
            said: dict[str, str | float] = {"who": word.who, "what": word.kind.value, "reason": word.reason.value}
            yield Said("{who}'s word, {what}, was refused: {reason}", said)
    gaps = [c for c in story.controllers if c.assumed_gap_s]
    if gaps:
        slots = {"gap_s": sum(c.assumed_gap_s for c in gaps)}
        yield Said("the controller's machine restarted: {gap_s} of this are from the wall clock alone", slots)


def beyond(found: Iterable[ObjectiveLine]) -> Iterator[Said]:
    """Where no outage missed an objective: a move, or a rehearsal, lets expect more than it admits; or it was not back
    in time, or is not.
    """
    for x in found:
        if x.met is not False or x.of_s is None:
            continue
        if x.objective == "return" and x.actual.seconds is None:
            yield Said("it was to be back within {within_s}, and was not", {"within_s": x.of_s})
        elif x.actual.seconds is None:
            continue
        elif x.objective == "return":
            slots: dict[str, str | float] = {"within_s": x.of_s, "took_s": x.actual.seconds}
            yield Said("it was to be back within {within_s}, and was after {took_s}", slots)
        elif x.actual.source in (ALONE, REHEARSED):
            slots = {"took_s": x.actual.seconds, "rto_s": x.of_s}
            text = "what was rehearsed took {took_s}, and the RTO is {rto_s}"
            yield Said(
                text if x.actual.source == REHEARSED else "the move alone took {took_s}, and the RTO is {rto_s}", slots
            )
        elif x.objective == "RPO" and x.actual.known is Known.PREDICTED:
            slots = {"age_s": x.actual.seconds, "rpo_s": x.of_s}
            yield Said("the data that were there for it were {age_s} old, and the RPO is {rpo_s}", slots)


def _left_alone(story: Story, a: Account) -> dict[str, float]:
    """How long, by the judgements on record, an outage was left to people, and why; but for what they did meanwhile."""
    found: dict[str, float] = {}
    for episode, outage in zip(story.episodes, a.outages, strict=True):
        over = episode.opened.first_bad_at + outage.seconds
        ends = [*(x.at for x in episode.judged[1:]), over]
        for judged, end in zip(episode.judged, ends, strict=False):
            asked = judged.decision is r.Decision.ASK and judged.reason is not Reason.TIER_CHOSEN
            if judged.decision is r.Decision.REFRAIN or asked:
                found[judged.reason.value] = found.get(judged.reason.value, 0.0) + _idle_s(episode, judged.at, end)
    return found


def _idle_s(episode: Episode, begin: float, end: float) -> float:
    """How much of this time no run of the outage was at work."""
    busy_s, at = 0.0, begin
    for run in sorted(episode.runs, key=lambda x: x.started.at):
        first, last = max(run.started.at, at), min(run.ended.at if run.ended is not None else end, end)
        busy_s, at = busy_s + max(0.0, last - first), max(at, last)
    return max(0.0, end - begin - busy_s)


def _why(tier: TierLine) -> str:
    """Why it failed; or why it could not help, in order: what stood against it first was why another was chosen."""
    if tier.state != r.TierState.INELIGIBLE.value:
        return tier.reason
    return "; ".join(dict.fromkeys(x.reason for x in tier.history if x.what == tier.state))


def _meanwhile(story: Story) -> Iterator[Said]:
    """What was done with the service when it fell, and is told elsewhere. A drill's report says itself what struck."""
    of: dict[str, str | float] = {"service": story.service}
    for run in claims.before_it(story):
        ended = run.ended.reason.value if run.ended is not None else ""
        slots: dict[str, str | float] = {"run": run.started.run, "move": run.started.move, "reason": ended}
        yield Said("{run} ({move}) was at work while {service} fell, and ended: {reason}", of | slots)
    for began in claims.drilled_then(story):
        slots = {"drill": began.drill, "move": began.move}
        yield Said("drill {drill} ({move}) was under way when {service} fell", of | slots)
    for incident in dict.fromkeys(() if story.runs and story.runs[0].started.drill else story.felled):
        yield Said("{incident} of {service} began while it was at work", of | {"incident": incident})


def _missed(a: Account) -> Iterator[Said]:
    down_s = a.rta.seconds if a.rta.seconds is not None else sum(x.seconds for x in a.outages)
    if a.rto_met is False and a.rto_s is not None:
        text = "the RTO of {rto_s} was missed: {rta_s}"
        text = "the RTO of {rto_s} was missed: at most {rta_s}" if a.rta.at_most else text
        if a.rta.seconds is None:
            text = "the RTO of {rto_s} is missed: {rta_s} so far"
            text = "the RTO of {rto_s} is missed: at most {rta_s} so far" if a.down_at_most else text
        yield Said(text, {"rto_s": a.rto_s, "rta_s": down_s})
    over = a.rta.seconds is not None or (a.rto_s is not None and down_s > a.rto_s)
    if a.rto_met is None and a.rto_s is not None and a.outages and over:
        yield Said("whether the RTO of {rto_s} was met is not known", {"rto_s": a.rto_s})
    if a.rpo_met is False and a.rpo_s is not None and a.rpa.seconds is not None:
        text = "{run}: the RPO of {rpo_s} was missed: {rpa_s}"
        text = text if a.drill else "the RPO of {rpo_s} was missed: {rpa_s}"
        if a.rpa.at_most:
            text = "{run}: the RPO of {rpo_s} was missed: at most {rpa_s}"
            text = text if a.drill else "the RPO of {rpo_s} was missed: at most {rpa_s}"
        yield Said(text, {**_of(a), "rpo_s": a.rpo_s, "rpa_s": a.rpa.seconds})
    unsettled = a.rpa.within(a.rpo_s) is True  # so far: its outage goes on
    if a.rpo_met is None and a.rpo_s is not None and a.to_place is not None and not unsettled:
        text = "{run}: whether the RPO of {rpo_s} was met is not known"
        text = text if a.drill else "whether the RPO of {rpo_s} was met is not known"
        yield Said(text, {**_of(a), "rpo_s": a.rpo_s})


def _of(a: Account) -> dict[str, str | float]:
    """Of a drill, which of its runs is told of: one leads there, another back."""
    return {"run": a.id} if a.drill else {}


def _failed_in(run: RunStory) -> Iterator[Said]:
    slots: dict[str, str | float] = {"run": run.started.run, "move": run.started.move}
    if run.ended is not None and not run.ended.ok:
        reason = {**slots, "reason": run.ended.reason.value}
        text = "{run}: {move} failed: {reason}" if claims.failed(run) else "{run}: {move} was not made: {reason}"
        if claims.rehearsed(run):
            text = "{run}: the rehearsal of {move} was not made: {reason}"
        if claims.rehearsed(run) and claims.failed(run):
            text = "{run}: the rehearsal of {move} failed: {reason}"
        if claims.rehearsed(run) and run.abort is not None:
            text = "{run}: the rehearsal of {move} was stopped: {reason}"
        yield Said(text, reason)
    for step in run.steps.values():
        at = {**slots, "step": step.planned.name}
        if step.attempts > 1:
            yield Said("{run}: step {step} took {n} attempts", {**at, "n": step.attempts})
        if step.unguarded:
            hosts = {**at, "n": len(step.unguarded)}
            text = "{run}: step {step} acted on {n} host without the epoch guard"
            yield Said(text, hosts, "{run}: step {step} acted on {n} hosts without the epoch guard")
    for since, until, why in run.human:
        waited = {**slots, "reason": why.reason.value}
        if until is not None:
            text = "{run}: it waited {wait_s} for a person: {reason}"
            yield Said(text, {**waited, "wait_s": until - since})
        else:
            yield Said("{run}: it waits for a person: {reason}", waited)


# ---- people


def participants(story: Story, wall: Wall) -> Iterator[Participant]:
    """Everybody whom a record names, once for each thing that they did; and the controller, if it acted by itself."""
    automatic = [x for x in story.runs if x.started.origin is r.Origin.AUTOMATIC]
    if automatic or not story.runs:
        at = automatic[0].started.at if automatic else story.began_at
        acted = [x for x in automatic if claims.decided_at(x) is not None]
        text = "decided, and acted once it was approved"
        if not automatic:
            text = "watched"
        elif not acted:
            text = "decided what to do, and began nothing of it"
        elif any(x.approved is None for x in acted):
            text = "decided and acted by itself"
        yield Participant("bascule", Said(text), wall(at))
    seen: set[tuple[str, str]] = set()
    for found in (*_who_spoke(story, wall), *_who_was_told(story, wall)):
        if (found.name, found.did.text + str(found.did.slots)) not in seen:
            seen.add((found.name, found.did.text + str(found.did.slots)))
            yield found


def _who_spoke(story: Story, wall: Wall) -> Iterator[Participant]:
    for word in story.words:
        accepted = isinstance(word, r.WordAccepted)
        text = "said: {what} {subject}" if accepted else "said: {what} {subject}, and was refused"
        slots: dict[str, str | float] = {"what": word.kind.value, "subject": word.subject}
        yield Participant(word.who, Said(text, slots), wall(word.at), word.person)
    for run in story.runs:
        for place, by in run.vouched.items():
            yield Participant(by.who, Said("stated that {place} cannot act", {"place": place}), wall(by.at))
        fenced = run.started.reason is Reason.FENCED_BY_HAND
        asked = run.started.who and not run.started.drill  # who wanted a drill asked for none of its runs
        if asked and not story.words and not fenced:
            yield Participant(
                run.started.who, Said("asked for {move}", {"move": run.started.move}), wall(run.started.at)
            )


def _who_was_told(story: Story, wall: Wall) -> Iterator[Participant]:
    """Persons to whom a notice was addressed; that it reached anybody is said of the notice."""
    speakers = story.model.speakers if story.model is not None else {}
    for due, settled in story.notices:
        text = "was to be told: {what}"
        if settled is not None:
            text = "was told, or somebody in their place: {what}" if settled.delivered else "could not be told: {what}"
        for person in due.to:
            name = speakers[person].name if person in speakers else person
            yield Participant(name, Said(text, {"what": due.kind.value}), wall(due.at), person)
