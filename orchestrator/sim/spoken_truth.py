"""Statement 22: what people are told, compared with the records and the world: every sentence of every notice.

The one rule it keeps: a sentence is read back by the table from which it was made (`core/sentences.py`), and each of
its parts must follow from a record of that very thing. A sentence of completion that the table does not know is itself
a violation. `shown_truth.py` reads what is shown (status, list, report, page, data).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import inf

from orchestrator.core import records as r
from orchestrator.core.awareness.readiness import Lack
from orchestrator.core.commands import MUST_BE_HEARD
from orchestrator.core.durations import show_duration
from orchestrator.core.model import Model
from orchestrator.core.reasons import Reason
from orchestrator.core.sentences import How, Sentence, heard, how_heard
from orchestrator.sim import spoken_drills
from orchestrator.sim.facts import Facts, OutageFacts, RunFacts
from orchestrator.sim.text_judge import bounded
from orchestrator.sim.violation import Report
from orchestrator.sim.world import World

STATEMENT = 22
BLINK_S = 30.0  # a vantage that saw for a moment may be blind again when it is told
SLACK_S = 1.0  # between the world's clock and the journal's
NO_RECORD = "nothing is told without its record"
UNKNOWN_SENTENCE = "whatever tells of something done is a sentence that can be judged"
AGAINST_THE_WORLD = "nothing is told that the world knows better"
NOTHING_TO_TYPE = "whoever is needed is told what to type"
IN_THE_DARK = "whoever was told that it goes back is told how that ended"
OVER = re.compile(
    r"\b(works again|recovered|verified|proven|fenced|moved|cannot act|has been|was made|is done|succeeded|healed)\b"
)

Slots = Mapping[str, str]


class Worked:
    """When each service of the world worked last, whatever anybody thinks of it."""

    def __init__(self, world: World) -> None:
        """Everything works."""
        self._world = world
        self._last: dict[str, float] = dict.fromkeys(world.services, 0.0)
        self._works: dict[str, bool] = dict.fromkeys(world.services, True)
        world.watchers.append(self._changed)

    def since(self, service: str, at: float) -> bool:
        """Whether it worked at any moment since then."""
        return self._works[service] or self._last[service] >= at

    def _changed(self) -> None:
        for name, truth in self._world.services.items():
            works = truth.down_since is None
            if self._works[name] and not works:
                self._last[name] = self._world.timeline.now
            self._works[name] = works


class SpokenTruth:
    """Every notice, as it becomes due."""

    def __init__(self, world: World, facts: Facts, report: Report) -> None:
        """Nothing has been said."""
        self._world = world
        self._facts = facts
        self._report = report
        self._worked = Worked(world)
        self._due: dict[str, r.NoticeDue] = {}
        self._unheard: set[str] = set()  # runs that went back by themselves and have just ended
        self._lacking: set[tuple[str, str, str]] = set()  # client, kind and subject that people were told of
        self._bad_since: dict[str, float] = {}  # by incident: its present outage, by the world's clock

    def record(self, x: r.Record, model: Model) -> None:
        """One record, which the facts have heard of."""
        if isinstance(x, r.RunEnded):
            started = self._facts.runs[x.run].started
            by_itself = started.incident is None and started.origin is r.Origin.AUTOMATIC
            self._unheard |= {x.run} if by_itself else set()
        if isinstance(x, r.NoticeDue):
            self._unheard.discard(x.notice.removesuffix("/ended"))
            self._due[x.notice] = x
            self._notice(x, model)
        elif isinstance(x, r.NoticeRepeated):
            self._again(self._due[x.notice], model)
        elif isinstance(x, r.IncidentOpened | r.IncidentReopened):
            self._bad_since[x.incident] = self._world.timeline.now - (x.at - x.first_bad_at) - SLACK_S
        elif isinstance(x, r.MayActRemoved):
            self._out(x)
        elif isinstance(x, r.StepFinished) and x.reason is Reason.FENCED_BY_HAND:
            self._stated(x)
        elif isinstance(x, r.IncidentEnded):
            outage = self._facts.outages[x.incident][-1]
            if not self._worked.since(outage.service, self._bad_since[x.incident]):
                self._report(STATEMENT, AGAINST_THE_WORLD, f"{x.incident}: {outage.service} has not worked since")

    def entry_over(self) -> None:
        """All records of an entry were heard: who is to be told of something is told in the same one."""
        for run in sorted(self._unheard):
            self._report(STATEMENT, IN_THE_DARK, f"{run}: nobody is told how it ended")
        self._unheard.clear()

    def _out(self, x: r.MayActRemoved) -> None:
        """What was proven to be out acts nowhere; what a person states is theirs."""
        stated = x.reason is Reason.FENCED_BY_HAND
        if not stated and x.service in self._world.services and x.place in self._world.acting(x.service):
            self._report(STATEMENT, AGAINST_THE_WORLD, f"{x.place} is said to be out, and {x.service} acts there")

    def _stated(self, x: r.StepFinished) -> None:
        """Who is said to vouch for a place has vouched for it."""
        place = self._facts.runs[x.run].steps[x.step].place
        if place is None:
            return  # the approval itself
        who = self._facts.runs[x.run].vouched.get(place, "nobody")
        if not x.evidence.startswith(f"{who} states that {place} cannot act"):
            self._report(STATEMENT, NO_RECORD, f"{x.run} {x.step}: it was {who} who stated it: {x.evidence}")

    def _notice(self, x: r.NoticeDue, model: Model) -> None:
        if x.kind in MUST_BE_HEARD and not x.say:
            self._report(STATEMENT, NOTHING_TO_TYPE, f"{x.notice}: {x.text}")
        found = heard(x.text)
        if found is None:
            if OVER.search(x.text):
                self._report(STATEMENT, UNKNOWN_SENTENCE, f"{x.notice}: {x.text}")
            return
        sentence, slots = found
        drills = spoken_drills.JUDGES.get(sentence)
        wrong = drills(self._facts, slots, x) if drills is not None else _JUDGES[sentence](self, slots, x, model)
        if wrong:
            self._report(STATEMENT, NO_RECORD, f"{x.notice}: {wrong}: {x.text}")

    def _again(self, x: r.NoticeDue, model: Model) -> None:
        """It is told once more: what it calls for is called for still."""
        found = heard(x.text)
        if found is not None and found[0] in _WAITS:
            wrong = _WAITS[found[0]](self, found[1], x, model)
            if wrong:
                self._report(STATEMENT, NO_RECORD, f"{x.notice}, told again: {wrong}: {x.text}")

    # ---- one judge a sentence; each answers with what is wrong, or nothing

    def _down(self, slots: Slots, x: r.NoticeDue, model: Model) -> str:
        outage = self._facts.open_of(slots["service"])
        if outage is None:
            return "no incident is open"
        if few := self._seen_by_few(slots["service"], model):
            return few
        down = bounded(x.at - outage.first_bad_at, outage.doubted_s(x.at))
        if slots["outage"] != down:
            return f"it is down for {down}"
        place = self._facts.places.get(slots["service"]) or "its place"
        if self._facts.taken_out(slots["service"]):
            place = " or ".join(sorted(self._facts.may_act[slots["service"]])) or place
        led = [c for c in self._facts.changes if isinstance(c, r.PlacementChanged) and c.service == slots["service"]]
        place = ", then ".join([*(c.was or "" for c in led if c.at > outage.first_bad_at), place])
        if slots["place"] != place:
            return f"it is at {place}"
        return self._together(slots, outage, x.at)

    def _seen_by_few(self, name: str, model: Model) -> str:
        """Of a service that is seen from several vantages: that too few of them have anything of it down."""
        service = model.services.get(name)
        asked = service.healthy_when.checks() if service is not None else ()
        vantages = {model.checks[c].vantage for c in asked}
        down = {model.checks[c].vantage for c in asked if self._facts.verdicts.get(c) is r.Verdict.DOWN}
        limits = model.client_limits.get(name.partition("/")[0], model.limits)
        need = max(2, limits.quorum or len(vantages) // 2 + 1)
        few = len(vantages) > 1 and len(down) < need
        return f"{len(down)} of {len(vantages)} vantages see it down, {need} are needed" if few else ""

    def _seen_down(self, slots: Slots, x: r.NoticeDue, model: Model) -> str:
        outage, service = self._facts.open_of(slots["service"]), model.services.get(slots["service"])
        if outage is None or service is None:
            return "no incident is open"
        if len({model.checks[c].vantage for c in service.healthy_when.checks()}) < 2:
            return "it is seen from one vantage"
        seconds = show_duration(x.at - outage.first_bad_at)
        return "" if slots["outage"] == seconds else f"it is seen down for {seconds}"

    def _together(self, slots: Slots, outage: OutageFacts, at: float) -> str:
        """What is said of several outages; where there were several, it is said."""
        if "outages" not in slots:
            return f"it is outage {outage.number} of {outage.incident}" if outage.number > 1 else ""
        told = (slots["outages"], slots["incident"])
        if told != (str(outage.number), outage.incident):
            return f"it is outage {outage.number} of {outage.incident}"
        perhaps_s = outage.earlier_perhaps_s + (outage.ended.perhaps_s if outage.ended else outage.doubted_s(at))
        seconds = bounded(outage.earlier_s + outage.seconds(at), perhaps_s if "together" in slots else 0.0)
        return "" if slots.get("together", slots.get("down")) == seconds else f"together it is {seconds}"

    def _back(self, slots: Slots, x: r.NoticeDue, model: Model) -> str:
        outage = self._facts.latest(slots["service"])
        if outage is None or outage.ended is None or outage.ended.at != x.at:
            return "no incident of it has ended"
        seconds, together_s = outage.seconds(x.at), outage.earlier_s + outage.seconds(x.at)
        perhaps_s = outage.ended.perhaps_s
        if slots["outage"] != bounded(seconds, perhaps_s):
            return f"it was down for {show_duration(seconds)}, and may have worked for {perhaps_s} s of them"
        service = model.services.get(slots["service"])
        if service is not None:
            known = outage.kept(service, model, x.at, perhaps_s)
            if (slots["kept"], slots["rto"]) != (known, show_duration(service.rto_s)):
                return f"it was down for {show_duration(together_s)} of {show_duration(service.rto_s)}"
        return self._together(slots, outage, x.at) or self._how(slots["how"], outage)

    def _how(self, text: str, outage: OutageFacts) -> str:
        found = how_heard(text)
        if found is None:
            return f"no record says how: {text}"
        how, slots = found
        if how is How.BY_ITSELF:
            over = {
                x.started.run for x in self._own(outage) if (x.done_at(r.StepKind.VERIFY) or inf) < outage.opened_at
            }
            tried = [x.started.run for x in self._own(outage) if x.tried and x.started.run not in over]
            return f"{', '.join(tried)} had been tried" if tried else ""
        run = self._facts.runs.get(slots["run"])
        if run is None or run.started.move != slots["move"]:
            return f"{slots['run']} is no run of {slots['move']}"
        whose = slots.get("other", outage.service)
        if run.started.service != whose:
            return f"{slots['run']} is for {run.started.service}"
        return self._put_down_to(how, run)

    def _put_down_to(self, how: How, run: RunFacts) -> str:
        name, verified = run.started.run, run.done_at(r.StepKind.VERIFY) is not None
        if how in (How.BY_RUN, How.DURING_RUN):
            return "" if verified else f"{name} was not verified"
        if how is How.NOT_VERIFIED:
            return "" if run.tried else f"{name} was not tried"
        if how is How.AFTER_ANOTHER:
            return "" if run.ended is not None and run.ended.ok else f"{name} has not ended well"
        return "" if run.ended is None and run.changed else f"{name} has ended, or changed nothing"

    def _own(self, outage: OutageFacts) -> list[RunFacts]:
        since = outage.opened_at
        return [
            x
            for x in self._facts.runs.values()
            if x.started.service == outage.service and (x.started.at >= since or x.ended is None or x.ended.at > since)
        ]

    def _mtd(self, slots: Slots, x: r.NoticeDue, model: Model) -> str:
        outage = self._facts.open_of(slots["service"])
        if outage is None:
            return "no incident is open"
        down_s = outage.earlier_s + outage.seconds(x.at)
        if slots["down"] not in (show_duration(down_s), bounded(down_s, 1.0)):
            return f"it is down for {show_duration(down_s)}"
        slots = {**slots, "down": show_duration(down_s)}
        service = model.services.get(slots["service"])
        least_s = down_s - outage.earlier_perhaps_s - outage.doubted_s(x.at)
        sure_s = down_s if slots["near"].startswith("perhaps ") else least_s
        if (
            service is not None
            and service.mtd_s is not None
            and slots["near"].endswith("over")
            and sure_s < service.mtd_s
        ):
            return f"{show_duration(sure_s)} of {show_duration(service.mtd_s)}"
        return self._together(slots, outage, x.at)

    def _chosen(self, slots: Slots, _x: r.NoticeDue, _model: Model) -> str:
        run = self._facts.runs.get(slots["run"])
        if run is None or (run.started.move, run.started.service) != (slots["move"], slots["service"]):
            return f"{slots['run']} is no run of {slots['move']} for {slots['service']}"
        return "" if slots.get("tier", str(run.started.tier)) == str(run.started.tier) else "another tier"

    def _tier_out(self, slots: Slots, _x: r.NoticeDue, _model: Model) -> str:
        outage = self._facts.open_of(slots["service"])
        judged = outage.tiers.get(slots["move"]) if outage is not None else None
        if judged is None or str(judged.tier) != slots["tier"]:
            return f"tier {slots['tier']} {slots['move']} is not judged"
        return "" if judged.state is r.TierState.FAILED else f"tier {slots['tier']} is {judged.state.value}"

    def _tier_not_made(self, slots: Slots, x: r.NoticeDue, model: Model) -> str:
        run = self._facts.runs.get(x.notice.partition("/")[0])
        changed = run is not None and run.changed
        return f"{x.notice} had begun" if changed else self._tier_out(slots, x, model)

    def _in_incident(self, slots: Slots, _x: r.NoticeDue, _model: Model) -> str:
        return "" if self._facts.open_of(slots["service"]) is not None else "no incident is open"

    def _left_alone(self, slots: Slots, x: r.NoticeDue, model: Model) -> str:
        """That it is down is said of what is seen to be down: not blind, nor where its checks cannot be asked."""
        unseen = (Reason.BLIND, Reason.HEALTH_UNKNOWN, Reason.NO_QUORUM)
        doubted = any(slots["why"].startswith(reason.text) for reason in unseen)
        if doubted and x.text.startswith(f"{slots['service']} is down"):
            return "that it is down is not seen"
        return self._in_incident(slots, x, model)

    def _run_over(self, ok: bool | None) -> Callable[[Slots, r.NoticeDue, Model], str]:
        """Of a run that is told to have ended; `ok`: well; None: it was not made at all."""

        def judge(slots: Slots, x: r.NoticeDue, _model: Model) -> str:
            run = self._facts.runs.get(x.notice.partition("/")[0])
            if run is None or run.ended is None or run.started.move != slots["move"]:
                return "no such run has ended"
            if "who" in slots and not slots["who"].startswith(run.started.who):
                return f"{run.started.who} asked for it"
            if run.ended.ok is not (ok is True):
                return f"{run.started.run} ended {'well' if run.ended.ok else 'without success'}"
            return f"{run.started.run} had begun" if ok is None and run.changed else ""

        return judge

    def _left_failed(self, slots: Slots, x: r.NoticeDue, model: Model) -> str:
        """A run failed, and no incident of its service is open."""
        open_ = [o[-1].incident for o in self._facts.outages.values() if o[-1].ended is None]
        mine = [i for i in open_ if self._facts.outages[i][-1].service == slots["service"]]
        return self._run_over(ok=False)(slots, x, model) or (f"{mine[0]} is open" if mine else "")

    def _goes_back(self, slots: Slots, _x: r.NoticeDue, _model: Model) -> str:
        run = self._facts.runs.get(slots["run"])
        by_itself = run is not None and run.started.origin is r.Origin.AUTOMATIC and run.started.incident is None
        return "" if by_itself else f"{slots['run']} does not go back by itself"

    def _stuck(self, slots: Slots, _x: r.NoticeDue, _model: Model) -> str:
        run = self._facts.runs.get(slots["run"])
        return "" if run is not None and run.human is not None else f"{slots['run']} is with nobody"

    def _asks(self, _slots: Slots, x: r.NoticeDue, _model: Model) -> str:
        run = self._facts.runs.get(x.notice.partition("/")[0])
        asked = run is not None and any(s.state is r.StepState.RUNNING for s in run.of(r.StepKind.APPROVAL))
        return "" if asked else "no approval is asked"

    def _lacks(self, slots: Slots, x: r.NoticeDue, _model: Model) -> str:
        """It is of this client and this kind, and has not been told already."""
        if (slots["client"], slots["lack"]) != (x.client, x.details.get("lack")):
            return f"it is about {x.client}: {x.details.get('lack')}"
        twice = self._lacking & self._subjects(x)
        self._lacking |= self._subjects(x)
        return f"it was told already of {sorted(twice)[0][2]}" if twice else ""

    def _lacks_still(self, _slots: Slots, x: r.NoticeDue, _model: Model) -> str:
        """Told again: nobody was told meanwhile that all of it is over."""
        return "" if self._lacking & self._subjects(x) else "it was told that it is so no longer"

    def _lacks_no_more(self, slots: Slots, x: r.NoticeDue, _model: Model) -> str:
        """It was told that it lacked; and a vantage that sees again is not blind in the world all the time."""
        unknown = self._subjects(x) - self._lacking
        self._lacking -= self._subjects(x)
        if unknown:
            return f"it was never told of {sorted(unknown)[0][2]}"
        now = self._world.timeline.now
        if slots["lack"] != Lack.BLIND.value:
            return ""
        dark = [v for _, _, v in self._subjects(x) if self._world.blind_for_s(v, now) > BLINK_S]
        return f"{dark[0]} has seen nothing for {self._world.blind_for_s(dark[0], now):.0f} s" if dark else ""

    @staticmethod
    def _subjects(x: r.NoticeDue) -> set[tuple[str, str, str]]:
        subjects = x.details.get("subjects")
        names = subjects if isinstance(subjects, list | tuple) else ()
        return {(x.client, str(x.details.get("lack")), str(name)) for name in names}


_JUDGES: dict[Sentence, Callable[[SpokenTruth, Slots, r.NoticeDue, Model], str]] = {
    Sentence.IS_DOWN: SpokenTruth._down,
    Sentence.IS_DOWN_AGAIN: SpokenTruth._down,
    Sentence.SEEN_DOWN: SpokenTruth._seen_down,
    Sentence.WORKS_AGAIN: SpokenTruth._back,
    Sentence.WORKS_AFTER_SEVERAL: SpokenTruth._back,
    Sentence.MTD: SpokenTruth._mtd,
    Sentence.MTD_OF_SEVERAL: SpokenTruth._mtd,
    Sentence.MTD_OPEN: SpokenTruth._mtd,
    Sentence.MTD_OPEN_OF_SEVERAL: SpokenTruth._mtd,
    Sentence.TIER_CHOSEN: SpokenTruth._chosen,
    Sentence.WOULD_RUN: SpokenTruth._in_incident,
    Sentence.TIER_FAILED: SpokenTruth._tier_out,
    Sentence.TIER_NOT_MADE: SpokenTruth._tier_not_made,
    Sentence.NO_TIER_LEFT: SpokenTruth._in_incident,
    Sentence.NOTHING_BY_ITSELF: SpokenTruth._left_alone,
    Sentence.NOT_KNOWN: SpokenTruth._left_alone,
    Sentence.GOES_BACK: SpokenTruth._goes_back,
    Sentence.DONE: lambda self, *told: self._run_over(ok=True)(*told),
    Sentence.FAILED: lambda self, *told: self._run_over(ok=False)(*told),
    Sentence.NOT_MADE: lambda self, *told: self._run_over(ok=None)(*told),
    Sentence.WENT_BACK: lambda self, *told: self._run_over(ok=True)(*told),
    Sentence.RUN_FAILED: lambda self, *told: self._run_over(ok=False)(*told),
    Sentence.NOT_GONE_BACK: lambda self, *told: self._run_over(ok=None)(*told),
    Sentence.LEFT_FAILED: SpokenTruth._left_failed,
    Sentence.CANNOT_GO_ON: SpokenTruth._stuck,
    Sentence.APPROVAL: SpokenTruth._asks,
    Sentence.FINDING_OVERDUE: lambda *_told: "nobody finds anything in a simulation",
    Sentence.CANNOT_SEE: SpokenTruth._lacks,
    Sentence.SEES_AGAIN: SpokenTruth._lacks_no_more,
}
_OPEN = (Sentence.MTD, Sentence.MTD_OF_SEVERAL, Sentence.MTD_OPEN, Sentence.MTD_OPEN_OF_SEVERAL, Sentence.NO_TIER_LEFT)
_WAITS: dict[Sentence, Callable[[SpokenTruth, Slots, r.NoticeDue, Model], str]] = {
    **dict.fromkeys((*_OPEN, Sentence.NOTHING_BY_ITSELF, Sentence.NOT_KNOWN), SpokenTruth._in_incident),
    Sentence.CANNOT_GO_ON: SpokenTruth._stuck,
    Sentence.APPROVAL: SpokenTruth._asks,
    Sentence.CANNOT_SEE: SpokenTruth._lacks_still,
}
