"""What the oracles know of answers: the streaks behind each verdict, who is blind, what fell together.

The one rule it keeps: it counts the answers that reached a controller, independently and in the plainest way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestrator.core import records as r
from orchestrator.core.events import Answer, Observed
from orchestrator.core.health.diagnosis import evaluate
from orchestrator.core.model import Condition, Limits, Model, Service
from orchestrator.sim.violation import Report

_GOOD, _SILENT, _NONE = Answer.GOOD, Answer.SILENT, Answer.NONE  # named once: a member is slow to look up in 3.11


@dataclass(slots=True)
class Streak:
    """One check's answers of late."""

    good: int = 0
    bad: int = 0
    silent: bool = False  # the whole bad streak was silence
    told: int = 0  # bad answers in the streak that the vantage could have had: it was not blind, in truth
    last_at: float = -1.0
    last: Answer = Answer.NONE
    silent_at: float = -1.0
    good_at: float = -1.0
    bad_at: float = -1.0  # bad or silent
    measured_at: float = -1.0
    measured: tuple[float, float] | None = None  # when the latest sample of the data's age was asked for, and the age


@dataclass(frozen=True, slots=True)
class Fall:
    """A check fell; where its services were then; whether that is over, since it fell once more."""

    x: r.VerdictChanged
    places: frozenset[str]
    over: bool = False


class Answers:
    """Statements 9, 10 and 11, and what 13 and 20 need to know."""

    def __init__(self, model: Model, report: Report) -> None:
        """No answers yet."""
        self._model = model
        self._report = report
        self._streaks: dict[str, Streak] = {}
        self._verdicts: dict[str, r.Verdict] = {}
        self._fell: dict[str, list[Fall]] = {}  # of each check, the latest last
        self._watched = self._services_checks(model)
        self._unheard: dict[str, list[tuple[float, float]]] = {}  # between two answers of a check, too long for a beat

    def use(self, model: Model) -> None:
        """Another model is in force; changed checks start anew."""
        for name in [n for n in self._streaks if model.checks.get(n) != self._model.checks.get(n)]:
            del self._streaks[name]
        self._model = model
        self._watched = self._services_checks(model)

    def restarted(self, same_boot: bool) -> None:
        """A controller began; after another boot nothing of before counts."""
        if not same_boot:
            self._streaks.clear()
            self._verdicts.clear()
            self._fell.clear()

    def observed(self, seen: Observed, at: float, asked_in_sight: bool = True) -> None:
        """One answer reached a controller. Late ones are old ones; one that is too old counts for what it measured.

        `asked_in_sight`: whether its vantage could see anything when the question was sent.
        """
        name, sent_at, answer, measures, *_ = seen
        streak = self._streaks.get(name)
        if streak is None:
            streak = self._streaks[name] = Streak()
        if sent_at <= streak.last_at:
            return
        if measures and sent_at > streak.measured_at:
            age_s = measures.get("data_age_s", measures.get("lag_s"))
            streak.measured_at, streak.measured = sent_at, None if age_s is None else (sent_at, age_s)
        if at > sent_at:
            check = self._model.checks.get(name)
            if check is not None and at > sent_at + check.stale_after_s:
                return
        if name in self._watched and 0.0 <= streak.last_at < sent_at - self._model.checks[name].stale_after_s:
            self._unheard.setdefault(name, []).append((streak.last_at, sent_at))
        streak.last_at, streak.last = sent_at, answer
        if answer is _GOOD:
            streak.good += 1
            streak.bad = streak.told = 0
            streak.good_at = sent_at
        elif answer is not _NONE:
            streak.silent = answer is _SILENT and (streak.silent or not streak.bad)
            streak.bad += 1
            streak.told += asked_in_sight
            streak.good = 0
            streak.bad_at = sent_at
            if answer is _SILENT:
                streak.silent_at = sent_at

    def not_up(self, condition: Condition) -> list[str]:
        """Its checks whose verdict is not up."""
        return [c for c in dict.fromkeys(condition.checks()) if self._verdicts.get(c) is not r.Verdict.UP]

    def not_good_since(self, condition: Condition, since: float) -> list[str]:
        """Its checks whose last answer is not good, or was asked for before."""
        known = {c: self._streaks.get(c, Streak()) for c in condition.checks()}
        return [c for c, x in known.items() if x.last is not _GOOD or x.last_at < since]

    def verdict(self, x: r.VerdictChanged, place_of: Callable[[str], str | None]) -> None:
        """9 and 11: a verdict has its fall or rise of fresh answers behind it. `place_of`: where a service is now."""
        self._verdicts[x.check] = x.verdict
        if x.verdict is r.Verdict.DOWN:
            resting = (s.id for s in self._model.services.values() if x.check in s.healthy_when.checks())
            before = [replace(fall, over=True) for fall in self._fell.get(x.check, ())]
            self._fell[x.check] = [*before, Fall(x, frozenset(p for s in resting if (p := place_of(s)) is not None))]
        check, streak = self._model.checks.get(x.check), self._streaks.get(x.check)
        if check is None:
            return
        if x.verdict is r.Verdict.UP and x.was is not r.Verdict.DEGRADED and (not streak or streak.good < check.rise):
            self._report(11, "no verdict changes without its rise", f"{x.check}: {streak.good if streak else 0} good")
        if x.verdict is not r.Verdict.DOWN or check.loss or (check.latency and check.latency.fails):
            return
        if streak is None or x.at - streak.last_at > check.stale_after_s:
            self._report(9, "every down verdict cites fresh answers", x.check)
        elif streak.bad < check.fall:
            self._report(11, "no verdict changes without its fall", f"{x.check}: {streak.bad} bad")
        elif streak.silent and not self._confirmed(check.vantage, streak.silent_at):
            self._report(10, "silence counts only beside a reference that answers", x.check)

    def only_own(self, check: str) -> bool:
        """Whether every answer of its bad streak was asked for while its vantage was blind, in truth."""
        streak = self._streaks.get(check)
        return streak is not None and streak.bad > 0 and not streak.told

    def _confirmed(self, vantage: str, silent_at: float) -> bool:
        references = self._model.references(vantage)
        return any((s := self._streaks.get(c)) is not None and s.good_at >= silent_at for c in references)

    def blind(self, vantage: str, now: float) -> bool:
        """Whether the last answer of every reference of this vantage was no good one, or is old."""
        references = self._model.references(vantage)
        return bool(references) and not any(
            (s := self._streaks.get(c)) is not None
            and s.last is Answer.GOOD
            and now - s.last_at <= self._model.checks[c].stale_after_s
            for c in references
        )

    def too_many_apart(self, service: Service, now: float, since: float) -> list[str]:
        """What fell apart, if that is more than may fall before this service must not be moved by itself."""
        for limits, client in self._mass_limits(service):
            apart = self.fell_apart(now, limits.failure_window_s, since, client, service.client)
            if len(apart) > limits.failure_domains:
                return apart
        return []

    def too_few_causes(self, service: Service, now: float, since: float) -> int | None:
        """How many causes explain what fell, if these are too few to hold this service up; None: they are enough."""
        causes = None
        for limits, client in self._mass_limits(service):
            causes = self.causes_at_most(now, limits.failure_window_s, since, client, service.client)
            if causes > limits.failure_domains:
                return None
        return causes

    def _mass_limits(self, service: Service) -> tuple[tuple[Limits, str], tuple[Limits, str]]:
        """What may fall at once: everybody's by the larger limit of the two, the client's own by its own."""
        own = self._model.client_limits.get(service.client, self._model.limits)
        return (max(own, self._model.limits, key=lambda x: x.failure_domains), ""), (own, service.client)

    def fell_apart(self, now: float, window_s: float, since: float, client: str = "", beside: str = "") -> list[str]:
        """Checks that fell within one window and have no failure domain in common, two by two: a lower bound.

        `client`: of this one alone; empty: of all. `beside`: what bears on this one.
        """
        fell = [fall for fall in self._counting(now, window_s, since, client, beside) if self._worked_before(fall)]
        most: list[str] = []
        for first in fell:
            together = [fall for fall in fell if 0 <= fall.x.at - first.x.at <= window_s]
            apart: list[str] = []
            seen: set[str] = set()
            for fall in sorted(together, key=lambda fall: len(self._domains(fall))):
                if not self._domains(fall) & seen:
                    seen |= self._domains(fall)
                    apart.append(fall.x.check)
            most = max(most, apart, key=len)
        return most

    def _worked_before(self, fall: Fall) -> bool:
        x, streak = fall.x, self._streaks.get(fall.x.check)
        if fall.over:
            return x.was in (r.Verdict.UP, r.Verdict.DEGRADED)
        if streak is None or x.first_bad_at is None:
            return False
        return streak.good_at >= x.first_bad_at - self._model.checks[x.check].stale_after_s

    def causes_at_most(self, now: float, window_s: float, since: float, client: str = "", beside: str = "") -> int:
        """How many things must have failed at most to explain all that is down, or fell lately: an upper bound."""
        return len({self._domains(fall) for fall in self._counting(now, window_s, since, client, beside)})

    def _counting(self, now: float, window_s: float, since: float, client: str, beside: str) -> list[Fall]:
        """What is down, or fell lately. Of others than `beside` what fell lately, or with something of its own."""
        fell = [
            fall
            for name, falls in self._fell.items()
            if name in self._watched and name in self._model.checks
            for fall in falls
            if fall.x.at > since
            and client in ("", self._model.checks[name].client)
            and (now - fall.x.at <= window_s or (not fall.over and self._verdicts.get(name) is r.Verdict.DOWN))
        ]
        own = [fall.x.at for fall in fell if self._model.checks[fall.x.check].client == beside]
        return [
            fall
            for fall in fell
            if not beside or now - fall.x.at <= window_s or any(abs(fall.x.at - at) <= window_s for at in own)
        ]

    def _domains(self, fall: Fall) -> frozenset[str]:
        """What may have taken the check with it: its host's domains and its way; of an end user's, the site as well."""
        check = self._model.checks[fall.x.check]
        found = set(check.domains)
        if check.host == "":
            for place in fall.places:
                if place in self._model.places:
                    found |= self._model.places[place].domains or {place}
        return frozenset(found) or frozenset({f"{check.client}/{check.host or check.name}"})

    def says(self, condition: Condition | None) -> r.Verdict:
        """What the verdicts on record say; up where nothing is asked."""
        if condition is None:
            return r.Verdict.UP
        return evaluate(condition, lambda c: self._verdicts.get(c, r.Verdict.UNKNOWN))

    def seen_down(self, condition: Condition) -> bool:
        """Whether the verdicts on record say that this is down."""
        return self.says(condition) is r.Verdict.DOWN

    def answered(self, condition: Condition, since: float) -> bool:
        """Whether good answers came to questions asked since then: an upper bound, since a later one may be bad."""
        good = {c: r.Verdict.UP if self.good_at(c) >= since else r.Verdict.DOWN for c in condition.checks()}
        return evaluate(condition, good.__getitem__) is r.Verdict.UP

    def good_at(self, check: str) -> float:
        """When the latest question was asked that was answered well."""
        return streak.good_at if (streak := self._streaks.get(check)) is not None else -1.0

    def bad_at(self, check: str) -> float:
        """When the latest question was asked that was answered badly, or not."""
        return streak.bad_at if (streak := self._streaks.get(check)) is not None else -1.0

    def measured(self, check: str) -> tuple[float, float] | None:
        """When the latest sample of the data's age was asked for, and the age that it told."""
        return streak.measured if (streak := self._streaks.get(check)) is not None else None

    def came_back(self, service: Service, x: r.IncidentEnded, since: float) -> None:
        """22: of an outage without a move, the time in which no check of it was heard is no time of being down.

        `since`: from when on the outage counts.
        """
        checks = service.healthy_when.checks()
        beats_s = max(self._model.checks[c].stale_after_s for c in checks)
        gaps = [(since, x.recovered_at)]
        for name in checks:
            own = self._unheard.get(name, [])
            gaps = [(max(a, c), min(b, d)) for a, b in gaps for c, d in own if max(a, c) < min(b, d)]
        unheard_s = sum(max(0.0, b - a - beats_s) for a, b in gaps)
        if x.perhaps_s < unheard_s:
            evidence = (
                f"{x.incident}: nothing was heard for {unheard_s:.0f} s, and it may have worked {x.perhaps_s:.0f} s"
            )
            self._report(22, "time in which nobody looked is no time of being down", evidence)

    def sees_down(self, service: Service, now: float) -> list[str]:
        """The vantages that see something of this service down: at most these, since an old verdict may not count."""
        checks = [self._model.checks[c] for c in service.healthy_when.checks()]
        down = {c.vantage for c in checks if self._verdicts.get(c.id) is r.Verdict.DOWN}
        return sorted(v for v in down if not self.blind(v, now))

    @staticmethod
    def _services_checks(model: Model) -> set[str]:
        return {c for s in model.services.values() for c in s.healthy_when.checks()}
