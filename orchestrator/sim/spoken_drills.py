"""Statement 22 of drills: every sentence that people are told of them, compared with the records.

The one rule it keeps: each judge answers with what is wrong, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.model import DrillKind
from orchestrator.core.reasons import Reason
from orchestrator.core.sentences import Sentence
from orchestrator.sim.facts import Facts

Slots = Mapping[str, str]
Judge = Callable[[Facts, Slots, r.NoticeDue], str]


def _same(facts: Facts, slots: Slots) -> str:
    """Whether there is such a drill, of this service, move and kind."""
    began = facts.drills.get(slots["drill"])
    if began is None:
        return f"there is no drill {slots['drill']}"
    told = (slots["service"], slots.get("move", began.move), slots.get("kind", began.kind.value))
    return "" if told == (began.service, began.move, began.kind.value) else f"{slots['drill']} is another: {told}"


def _began(facts: Facts, slots: Slots, _x: r.NoticeDue) -> str:
    run = facts.runs.get(slots["run"])
    if run is None or run.started.drill != slots["drill"]:
        return f"{slots['run']} is no run of {slots['drill']}"
    return _same(facts, slots)


def _over(ok: bool, *, left: bool = False) -> Judge:
    """Of a drill that is told to be over; `left`: with something that a person has to see to."""

    def judge(facts: Facts, slots: Slots, x: r.NoticeDue) -> str:
        if wrong := _same(facts, slots):
            return wrong
        ended = facts.drills_over.get(slots["drill"])
        if ended is None:
            return f"{slots['drill']} is not over"
        if ended.ok is not ok:
            return f"{slots['drill']} ended {'well' if ended.ok else 'without success'}"
        if left is not (x.kind is NoticeKind.HUMAN_NEEDED):
            return "whoever is needed is told so, and nobody else"
        if "what was rehearsed is well" in x.text and not _confirmed(facts, slots["drill"]):
            return "no good answer was heard of what was rehearsed"
        return _as_it_was(facts, slots["drill"], ended) if not left else ""

    return judge


def _as_it_was(facts: Facts, drill: str, ended: r.DrillEnded) -> str:
    """What nobody is called for is as it was, by the records."""
    began = facts.drills[drill]
    if began.kind is DrillKind.FUNCTIONAL:
        return "it is not clean" if ended.reason is Reason.NOT_CLEAN and not _nothing_made(facts, drill) else ""
    place = facts.places.get(began.service)
    return "" if place == began.place else f"{began.service} is at {place}, and was at {began.place}"


def _nothing_made(facts: Facts, drill: str) -> bool:
    """Whether nothing but its surveys was begun."""
    runs = [x for x in facts.runs.values() if x.started.drill == drill]
    made = (r.StepKind.SET_UP, r.StepKind.REHEARSE, r.StepKind.CLEAN_UP)
    return not any(s.begun_at is not None and not s.refused for run in runs for s in run.of(*made))


def _confirmed(facts: Facts, drill: str) -> bool:
    """Whether a check of what was rehearsed was asked, and answered well."""
    return any(x.done_at(r.StepKind.CONFIRM) is not None for x in facts.runs.values() if x.started.drill == drill)


def _cleaned(facts: Facts, slots: Slots, _x: r.NoticeDue) -> str:
    """It is a rehearsal that goes on, and another configuration was put in force since it started."""
    run = facts.runs.get(slots["run"])
    if run is None or run.started.drill != slots["drill"] or not run.started.cleans_by:
        return f"{slots['run']} is no rehearsal of {slots['drill']}"
    return _same(facts, slots) or (f"{slots['drill']} is over" if slots["drill"] in facts.drills_over else "")


def _late(facts: Facts, slots: Slots, _x: r.NoticeDue) -> str:
    if wrong := _same(facts, slots):
        return wrong
    return f"{slots['drill']} is over" if slots["drill"] in facts.drills_over else ""


def _not_back(facts: Facts, slots: Slots, _x: r.NoticeDue) -> str:
    """It was begun to lead back, it is over and something of it failed; and that very incident is open."""
    began, run = facts.drills.get(slots["drill"]), facts.runs.get(slots["run"])
    if began is None or run is None or run.started.drill != began.drill or run.started.move != slots["move"]:
        return f"{slots['run']} is no run of {slots['drill']}"
    if run.started.move != began.back:
        return f"{slots['run']} does not lead back"
    if run.ended is None or run.ended.ok:
        return f"{slots['run']} {'is at work' if run.ended is None else 'ended well'}"
    open_ = facts.open_of(began.service)
    wrong = began.service != slots["service"] or open_ is None or open_.incident != slots["incident"]
    return f"{slots['incident']} of {slots['service']} is not open" if wrong else ""


def _missed(facts: Facts, slots: Slots, x: r.NoticeDue) -> str:
    missed = facts.missed.get((slots["schedule"], slots["when"]))
    if missed is None:
        return f"nothing of {slots['schedule']} was missed at {slots['when']}"
    if slots["why"] != f"{missed.reason.value}: {missed.evidence}":
        return f"it was missed by {missed.reason.value}: {missed.evidence}"
    return _mistaken(facts, slots, x) or _began_all_the_same(facts, missed)


def _several_missed(facts: Facts, slots: Slots, x: r.NoticeDue) -> str:
    first, last = slots["when"], slots["until"]
    found = [y for (name, at), y in facts.missed.items() if name == slots["schedule"] and first <= at <= last]
    if len(found) != int(slots["times"]):
        return f"{len(found)} were missed from {first} to {last}"
    if wrong := _mistaken(facts, slots, x):
        return wrong
    return next((wrong for y in found if (wrong := _began_all_the_same(facts, y))), "")


def _mistaken(facts: Facts, slots: Slots, x: r.NoticeDue) -> str:
    """Whether the time of a surprise's period is told as its hour, or the other way round."""
    known = facts.schedules.get(slots["schedule"])
    if known is None or known.plan is None or slots["why"].startswith(Reason.SCHEDULE_CHANGED.value):
        return ""
    told = any(y.read(x.text) is not None for y in (Sentence.SURPRISE_MISSED, Sentence.SURPRISES_MISSED))
    return "" if told is known.plan.surprise else f"{slots['when']} is {'its period' if known.plan.surprise else 'due'}"


def _began_all_the_same(facts: Facts, missed: r.DrillMissed) -> str:
    began = [x for x in facts.drills.values() if (x.scheduled, x.occurrence) == (missed.schedule, missed.occurrence)]
    return f"{began[0].drill} of {missed.occurrence} began" if began else ""


def _ahead(facts: Facts, slots: Slots, _x: r.NoticeDue) -> str:
    known = facts.schedules.get(slots["schedule"])
    if known is None or known.plan is None:
        return f"{slots['schedule']} is not in force"
    wrong = known.plan.surprise or known.plan.kind.value != slots["kind"] or slots["when"] <= known.since
    return f"{slots['schedule']} is another" if wrong else ""


JUDGES: Mapping[Sentence, Judge] = {
    Sentence.DRILL_BEGAN: _began,
    Sentence.DRILL_DONE: _over(ok=True),
    Sentence.DRILL_FAILED: _over(ok=False),
    Sentence.DRILL_LEFT: _over(ok=False, left=True),
    Sentence.CLEANED_BY_ANOTHER: _cleaned,
    Sentence.DRILL_LATE: _late,
    Sentence.DRILL_NOT_BACK: _not_back,
    Sentence.DRILL_AHEAD: _ahead,
    Sentence.DRILL_MISSED: _missed,
    Sentence.DRILLS_MISSED: _several_missed,
    Sentence.SURPRISE_MISSED: _missed,
    Sentence.SURPRISES_MISSED: _several_missed,
}
