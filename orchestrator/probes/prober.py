"""Asks checks on their beat and passes on the answers.

The one rule it keeps: every question gives exactly one observation, stamped when the question went out, and no question
waits for another check's. `in_flight.py` says how many of one check may be in the air, `turns.py` how many that need a
connection, `schedule.py` when a check's beat comes. Asking now does not move the beat. One timer serves all beats. What
is due within a hundredth of the shortest interval goes out together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from pydantic import ValidationError

from orchestrator.core.events import Answer, Observed
from orchestrator.core.model import Check, Json
from orchestrator.probes.asking import Asking, explain
from orchestrator.probes.in_flight import InFlight
from orchestrator.probes.kind import Kind, Secrets
from orchestrator.probes.kinds import KINDS
from orchestrator.probes.lateness import Lateness
from orchestrator.probes.options import Options
from orchestrator.probes.results import Judged, Raw
from orchestrator.probes.schedule import Schedule
from orchestrator.probes.tools import Logins, Tools

_LOOKS = 100  # at the schedule, within the shortest interval; each costs as much as a question or two
_LOOK_S_MIN, _LOOK_S_MAX = 0.001, 0.01
_SHORTEST_AGAIN_S = 30.0  # a shorter interval is noticed at once, that it is over somewhat later
_HUNG_S = 1.0  # how long `close` waits for questions that will not be broken off


@dataclass(slots=True)
class Measured:
    """How well the schedule is kept: questions, and how late those of a beat went out."""

    asked: int = 0
    skipped: int = 0  # beats that found one waiting already
    late: Lateness = field(default_factory=Lateness)


@dataclass(slots=True)
class _Asked:
    """One check and its questions."""

    check: Check
    kind: Kind[Any, Any] | None
    options: Options | None
    fault: str = ""
    air: InFlight = field(default_factory=InFlight)
    questions: set[Asking] = field(default_factory=set)  # in the air
    answered: Callable[[Asking, Judged], None] = field(default=lambda _asking, _judged: None)


class Prober:
    """Asks checks. Lives in one event loop.

    `emit` is called in that loop, once a question. `axis` tells the journal's time. `secrets` are what options refer
    to by name. `here` is this vantage: a check of another is asked from the host that its probe logs in to. Without it
    every check is asked as one of this vantage. `logins` is who `probe: login` asks: whoever runs playbooks here.
    """

    def __init__(
        self,
        emit: Callable[[Observed], None],
        axis: Callable[[], float],
        secrets: Mapping[str, str] | None = None,
        kinds: Mapping[str, Kind[Any, Any]] = KINDS,
        *,
        here: str | None = None,
        logins: Logins | None = None,
    ) -> None:
        self.here = here
        self.measured = Measured()
        self._emit = emit
        self._axis = axis
        self._secrets = Secrets(secrets or {})
        self._kinds = kinds
        self._tools = Tools()
        self._tools.logins = logins
        self._schedule = Schedule()
        self._asked: dict[str, _Asked] = {}
        self._abandoned: set[asyncio.Task[Raw]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._looked_at = 0.0
        self._look_s = _LOOK_S_MAX
        self._shortest_at = 0.0  # when the shortest interval was looked up last
        self._closed = False

    @property
    def asking(self) -> frozenset[str]:
        """Ids of the checks that are asked."""
        return frozenset(self._asked)

    def told(self) -> dict[str, Json]:
        """How the schedule is kept, in numbers: for whoever asks how the daemon is. Late: of beats' questions."""
        late, now = self.measured.late, asyncio.get_running_loop().time()
        return {
            "checks": len(self._asked),
            "in_air": sum(asked.air.in_air for asked in self._asked.values()),
            "asked": self.measured.asked,
            "skipped": self.measured.skipped,
            "turns": self._tools.turns_in_use(),
            "late_last_minute": asdict(late.lately(now)),
            "late_ever": asdict(late.ever()),
        }

    def use(self, checks: Iterable[Check], secrets: Mapping[str, str] | None = None) -> None:
        """Ask these from now on, and no others. A check that has not changed keeps its beat and its cadence.

        `secrets` replaces those known so far, if it is given.
        """
        self._open()
        if secrets is not None:
            self._secrets = Secrets(secrets)
        wanted = {check.id: check for check in checks}
        for gone in [name for name, asked in self._asked.items() if wanted.get(name) != asked.check]:
            asked = self._asked.pop(gone)
            self._schedule.remove(gone)
            self._abandon(asked)  # its answer would be one to a question that nobody asks any more
        new = [check for check in wanted.values() if check.id not in self._asked]
        for check in new:
            asked = self._asked[check.id] = self._prepare(check)
            asked.answered = partial(self._answered, asked)
        now = asyncio.get_running_loop().time()  # after the imports
        for check in new:
            self._schedule.add(check.id, check.every_s, now)
        self._shortest_at = now
        self._look_every(self._schedule.shortest_s())
        self._set_timer()

    def cadence(self, intervals_s: Mapping[str, float]) -> None:
        """Ask these checks at these intervals from now on; ids that are not asked, or not any more, are passed over."""
        if self._closed or not intervals_s:
            return
        self._schedule.cadence(intervals_s, asyncio.get_running_loop().time())
        self._look_every(min(self._look_s * _LOOKS, *intervals_s.values()))
        self._set_timer()

    def ask_now(self, ids: Iterable[str]) -> None:
        """Ask these checks at once, out of their beat; ids that are not asked are passed over, all after `close`."""
        for name in ids:
            asked = self._asked.get(name)
            if asked is not None and asked.air.now():
                self._start(asked)

    async def close(self) -> None:
        """Stop asking; no observation comes after this, and no process or socket is left."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for asked in self._asked.values():
            self._abandon(asked)
        self._asked.clear()
        if self._abandoned:
            await asyncio.wait(self._abandoned, timeout=_HUNG_S)
        await self._tools.close()

    def _abandon(self, asked: _Asked) -> None:
        for asking in asked.questions:
            asking.cancel()
            if asking.task is not None and not asking.task.done():
                self._abandoned.add(asking.task)
                asking.task.add_done_callback(self._abandoned.discard)
        asked.questions.clear()

    def _open(self) -> None:
        if self._closed:
            raise RuntimeError("the prober is closed: make another")

    def _prepare(self, check: Check) -> _Asked:
        kind = self._kinds.get(check.probe)
        if kind is None:
            known = ", ".join(sorted(self._kinds))
            return _Asked(check, None, None, f"there is no probe {check.probe!r} (there are: {known})")
        if self.here is not None and check.vantage != self.here:
            if not kind.options.FROM_HOST:
                fault = f"vantage {check.vantage} is not here ({self.here}), and {check.probe} asks from here alone"
                return _Asked(check, None, None, fault)
            kind = kind.from_there()
        try:
            kind.warm()
            return _Asked(check, kind, kind.options.model_validate(dict(check.options)))
        except ValidationError as error:
            return _Asked(check, None, None, f"options of probe {check.probe}: {explain(error)}")
        except ImportError as error:
            return _Asked(check, None, None, f"probe {check.probe} is not installed: {error}")

    def _look_every(self, shortest_s: float) -> None:
        self._look_s = min(max(shortest_s / _LOOKS, _LOOK_S_MIN), _LOOK_S_MAX)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        next_at = self._schedule.next_at()
        if next_at is not None and not self._closed:
            self._timer = asyncio.get_running_loop().call_at(max(next_at, self._looked_at + self._look_s), self._beat)

    def _beat(self) -> None:
        loop, measured = asyncio.get_running_loop(), self.measured
        self._looked_at = now = loop.time()
        if now - self._shortest_at > _SHORTEST_AGAIN_S:
            self._shortest_at = now
            self._look_every(self._schedule.shortest_s())
        for name, at in self._schedule.due(now):
            asked = self._asked.get(name)
            if asked is None:
                continue
            skipped = asked.air.skipped
            if asked.air.beat():
                self._start(asked)
                sent = loop.time()
                measured.late.note(sent - at, sent)
            measured.skipped += asked.air.skipped - skipped
        self._set_timer()

    def _start(self, asked: _Asked) -> None:
        self.measured.asked += 1
        if asked.kind is None:
            judged = Judged(Answer.NONE, {}, asked.fault)
            asyncio.get_running_loop().call_soon(self._tell, asked, self._axis(), judged)
            return
        asking = Asking(
            asked.kind, asked.options, asked.check.timeout_s, self._axis, asked.answered, asked.check.client
        )
        asked.questions.add(asking)
        asking.begin(self._secrets, self._tools)

    def _answered(self, asked: _Asked, asking: Asking, judged: Judged) -> None:
        asked.questions.discard(asking)
        self._tell(asked, asking.sent_at, judged)

    def _tell(self, asked: _Asked, sent_at: float, judged: Judged) -> None:
        name = asked.check.id
        if self._asked.get(name) is not asked:  # closed, or not wanted any more
            return
        try:
            self._emit(Observed(name, sent_at, judged.answer, judged.measures, judged.detail, judged.way_gone))
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"the receiver of observations failed on {name}", "exception": error}
            )
        if asked.air.ended() and self._asked.get(name) is asked:
            asyncio.get_running_loop().call_soon(self._start_if_asked, asked)

    def _start_if_asked(self, asked: _Asked) -> None:
        if self._asked.get(asked.check.id) is asked:
            self._start(asked)
