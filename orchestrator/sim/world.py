"""The truth of a simulated world: what lives, what acts where, what users have, and what a question would find.

The one rule it keeps: it knows nothing of any controller. Faults, playbooks and people change it. Checks and oracles
read it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from orchestrator.probes.results import Judged, NotAsked, Silence
from orchestrator.sim.classified import Classified
from orchestrator.sim.nature import Asks, Nature, Path, Question
from orchestrator.sim.timeline import Timeline

RTT_S = 0.004
FRESH_DATA_S = 0.2  # age of the data at a destination that follows its source

Ask = tuple[Judged, float]  # what came of a question, and after how long


@dataclass(slots=True)
class ServiceTruth:
    """One service as it is."""

    place: str | None  # where its users are led
    runs_at: set[str | None] = field(default_factory=set)  # where it has been started and not stopped
    crashed_at: set[str | None] = field(default_factory=set)
    hangs: bool = False  # crashed, but whoever asks gets no refusal
    lost_at: float | None = None  # since when the source of its data is gone
    down_since: float | None = None


class World:
    """Everything that a question or a playbook may meet."""

    def __init__(self, nature: Nature, timeline: Timeline, seed: str) -> None:
        """All is well: every service runs at its home."""
        self.nature = nature
        self.timeline = timeline
        self.dead: dict[str, int] = {}  # failure domains and hosts, and by how many faults
        self.dark: dict[str, int] = {}  # places without power
        self.off: set[str] = set()  # places switched off for good
        self.isolated: set[str] = set()  # places cut off on purpose, by a playbook
        self.blind: dict[str, int] = {}  # vantages that see nothing
        self._blinked: dict[str, list[float]] = {}  # a vantage: when it became blind, saw again, became blind, …
        self.engaged: set[str] = set()
        self.broken: dict[str, int] = {}  # moves whose destination is not in order
        self.loss: dict[str, float] = {}  # domain: share of questions lost
        self.slow: dict[str, float] = {}  # domain: seconds added to every answer
        self.lag: dict[str, tuple[float, float]] = {}  # check: lag grows since, by so much a second
        self.mute: set[str] = set()  # checks whose probe cannot ask
        self.late: dict[str, float] = {}  # checks whose answers come so much later
        self.services = {s.id: ServiceTruth(s.home, {s.home}) for s in nature.model.services.values()}
        self.watchers: list[Callable[[], None]] = []  # told after every change
        self._classified = Classified(nature.model)
        self._seed = seed
        self._noise: dict[str, Random] = {}
        self._known: dict[str, Ask] = {}  # answers until something changes

    def say_beside(self, texts: tuple[str, ...]) -> None:
        """From now on what cannot be asked, is silent or refuses, does so with one of these texts of strangers."""
        self._classified.strangers = texts
        self._known.clear()

    @property
    def not_modelled(self) -> tuple[str, ...]:
        """What the simulation leaves out."""
        return (*self.nature.not_modelled, *self._classified.not_modelled)

    # ---- what is so

    def lives(self, name: str) -> bool:
        """Whether this failure domain or host lives, and may be reached."""
        return name not in self.dead

    def has_power(self, place: str | None) -> bool:
        """Whether things run at this place at all."""
        return place is None or (place not in self.dark and place not in self.off)

    def connected(self, place: str | None) -> bool:
        """Whether anybody outside reaches this place."""
        return place is None or (
            place not in self.isolated and all(d not in self.dead for d in self.nature.domains_of(place))
        )

    def acts(self, service: str, place: str | None) -> bool:
        """Whether the service does anything at this place, reachable or not."""
        truth = self.services[service]
        return place in truth.runs_at and place not in truth.crashed_at and self.has_power(place)

    def acting(self, service: str) -> list[str]:
        """Every place where the service acts."""
        return sorted(p for p in self.services[service].runs_at if p is not None and self.acts(service, p))

    def works_at(self, service: str, place: str | None, _asked: frozenset[str] = frozenset()) -> bool:
        """Whether users led to this place would be served."""
        if not (self.acts(service, place) and self.connected(place)):
            return False
        if not all(self._open(path) for path in self.nature.paths[service] if path.place == place):
            return False
        wanted = self.nature.model.services[service].depends_on
        asked = _asked | {service}
        return all(
            self.works_at(d.service, self.services[d.service].place, asked)
            for d in wanted
            if (not d.at or place in d.at) and d.service not in asked
        )

    def works(self, service: str) -> bool:
        """Whether the service's users are served now."""
        return self.works_at(service, self.services[service].place)

    def _open(self, path: Path) -> bool:
        detours = [via for move, via in path.detours if move in self.engaged]
        return all(self.lives(d) for d in (detours or path.primary))

    def data_age_s(self, question: Question) -> float:
        """The true age of the data that this check measures."""
        since, rate = self.lag.get(question.check.id, (self.timeline.now, 0.0))
        age_s = FRESH_DATA_S + max(0.0, self.timeline.now - since) * rate
        users = [s for m in question.about for s in self.nature.uses.get(m, ())]
        lost = [t for s in users if (t := self.services[s].lost_at) is not None]
        return age_s + (self.timeline.now - min(lost) if lost else 0.0)

    # ---- what a question finds

    def ask(self, check: str) -> Ask:
        """What comes of asking this check now, and after how long."""
        known = self._known.get(check)
        if known is not None:
            return known
        question = self.nature.questions[check]
        answer, lasting = self._answer(question)
        if lasting:
            self._known[check] = answer
        return answer

    def _answer(self, question: Question) -> tuple[Ask, bool]:
        check = question.check
        if check.id in self.mute:
            return (self._classified.judge(check.id, NotAsked("the probe cannot ask")), 0.0), True
        if check.vantage in self.blind:
            return self._silence(check.id, f"no reply within {check.timeout_s:g} s"), True
        dead = next((n for n in question.needs if n in self.dead), None)
        unpowered = question.inside is not None and (
            not self.has_power(question.inside) or question.inside in self.isolated
        )
        if dead is not None or unpowered:
            return self._silence(check.id, f"no reply within {check.timeout_s:g} s"), True
        lossy = [self.loss[n] for n in question.needs if n in self.loss]
        if lossy and self._random(check.id).random() < max(lossy):
            return self._silence(check.id, "lost on the way"), False
        delay_s = sum(self.slow.get(n, 0.0) for n in question.needs) + self.late.get(check.id, 0.0)
        if delay_s > check.timeout_s and check.id not in self.late:
            return self._silence(check.id, f"slower than {check.timeout_s:g} s"), not lossy
        true, silent = self._true(question)
        if silent:
            return self._silence(check.id, "no reply: it hangs"), not lossy
        if question.asks is Asks.VIABLE:
            measures = {"rtt_s": RTT_S + delay_s, **self._measured(question)}
            return (self._classified.answer(check.id, true, measures), delay_s), not lossy and len(measures) == 1
        return (self._classified.answer(check.id, true, {"rtt_s": RTT_S + delay_s}), delay_s), not lossy

    def _silence(self, check: str, why: str) -> Ask:
        return self._classified.judge(check, Silence(why)), self.nature.model.checks[check].timeout_s

    def _measured(self, question: Question) -> dict[str, float]:
        moves = self.nature.model.moves
        if any(moves[m].data_age == question.check.id for m in question.about):
            age_s = self.data_age_s(question)
            return {"data_age_s": age_s, "lag_s": age_s}
        return {}

    def _true(self, question: Question) -> tuple[bool, bool]:
        """Whether what the check asks for is so; and whether it gets silence instead of a no."""
        about, inside = question.about, question.inside
        match question.asks:
            case Asks.NOTHING:
                return True, False
            case Asks.SERVICE:
                return self._served(about, inside)
            case Asks.OFF:
                return all(p in self.off for p in about), False
            case Asks.DARK:
                return all(p in self.dark for p in about), False
            case Asks.HANDED_OVER:
                return all(not self.acts(s, p) for m in about for s in self.nature.uses[m] for p in (inside,)), False
            case Asks.EFFECT:
                return any(self.in_effect(m) for m in about), False
            case Asks.VIABLE:
                return all(self.in_order(m, inside) for m in about), False

    def _served(self, services: Iterable[str], inside: str | None) -> tuple[bool, bool]:
        for service in services:
            place = self.services[service].place if inside is None else inside
            if not self.works_at(service, place):
                unheard = not self.has_power(place) or not self.connected(place) or self.services[service].hangs
                shut = not all(self._open(p) for p in self.nature.paths[service] if p.place == place)
                return False, unheard or shut
        return True, False

    def in_effect(self, move_id: str) -> bool:
        """Whether the move has taken effect: its services are led there, or its path is in use."""
        move = self.nature.model.moves[move_id]
        if move.to is not None:
            return any(self.services[s].place == move.to for s in self.nature.uses[move_id])
        if move.undoes is not None:
            return move.undoes not in self.engaged
        if move.via is not None:
            return move_id in self.engaged
        return all(self.works(s) for s in self.nature.uses[move_id])

    def in_order(self, move_id: str, inside: str | None = None) -> bool:
        """Whether the move's destination could take the services."""
        if move_id in self.broken:
            return False
        to = self.nature.model.moves[move_id].to
        return to is None or inside == to or (to not in self.dark and self.connected(to))

    def blind_for_s(self, vantage: str, at: float) -> float:
        """For how long this vantage has been blind, or was, around this time; 0 if it was not."""
        blinked = self._blinked.get(vantage, ())
        n = bisect_right(blinked, at)
        return 0.0 if n % 2 == 0 else (blinked[n] if n < len(blinked) else self.timeline.now) - blinked[n - 1]

    # ---- what changes it

    def changed(self) -> None:
        """Something is not as it was: forget answers, note outages, tell the oracles."""
        self._known.clear()
        for name, truth in self.services.items():
            works = self.works(name)
            if works:
                truth.down_since = None
            elif truth.down_since is None:
                truth.down_since = self.timeline.now
            source_lives = self.acts(name, truth.place) and self.connected(truth.place)
            if source_lives:
                truth.lost_at = None
            elif truth.lost_at is None:
                truth.lost_at = self.timeline.now
        for watcher in self.watchers:
            watcher()

    def kill(self, name: str, more: int = 1) -> None:
        """A failure domain or host fails (`more=1`), or one fault of it ends (`more=-1`)."""
        _count(self.dead, name, more)
        self.changed()

    def make_blind(self, vantage: str, more: int = 1) -> None:
        """A vantage's own uplink fails, or one fault of it ends."""
        was = vantage in self.blind
        _count(self.blind, vantage, more)
        if was is not (vantage in self.blind):
            self._blinked.setdefault(vantage, []).append(self.timeline.now)
        self.changed()

    def cut_power(self, place: str, more: int = 1) -> None:
        """A place loses its mains, or one fault of it ends; what ran there comes back with them."""
        _count(self.dark, place, more)
        for domain in self.nature.domains_of(place):
            _count(self.dead, domain, more)
        self.changed()

    def switch_off(self, place: str) -> None:
        """For good: nothing acts there until a move starts it there."""
        self.off.add(place)
        for truth in self.services.values():
            truth.runs_at.discard(place)
        self.changed()

    def start_at(self, service: str, place: str | None) -> None:
        """A move begins to run the service at this place. If it was switched off it is on again, and what is led there
        and needs no move to start (it may act at two places) starts with it.
        """
        if place is not None:
            self.isolated.discard(place)
        if place in self.off:
            self.off.discard(place)
            for name, truth in self.services.items():
                if truth.place == place and not self.nature.model.services[name].exclusive:
                    truth.runs_at.add(place)
        self.services[service].runs_at.add(place)
        self.services[service].crashed_at.discard(place)
        self.changed()

    def lead_to(self, service: str, place: str | None) -> None:
        """Users are led there from now on."""
        truth = self.services[service]
        truth.place, truth.lost_at = place, None
        self.changed()

    def stop_at(self, service: str, place: str | None) -> None:
        """The service is stopped there in good order."""
        self.services[service].runs_at.discard(place)
        self.changed()

    def crash(self, service: str, hangs: bool = False) -> None:
        """The service's program ends, where its users are led."""
        truth = self.services[service]
        truth.crashed_at.add(truth.place)
        truth.hangs = hangs
        self.changed()

    def restart(self, service: str) -> None:
        """The service's program runs again, where its users are led."""
        truth = self.services[service]
        truth.crashed_at.discard(truth.place)
        truth.hangs = False
        self.changed()

    def _random(self, name: str) -> Random:
        found = self._noise.get(name)
        if found is None:
            found = self._noise[name] = Random(f"{self._seed}/{name}")  # noqa: S311 -- a seed must replay
        return found


def _count(counts: dict[str, int], name: str, more: int) -> None:
    counts[name] = counts.get(name, 0) + more
    if counts[name] <= 0:
        del counts[name]
