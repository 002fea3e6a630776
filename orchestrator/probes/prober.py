"""Asks checks on their beat and hands over what came of it.

The one rule it keeps: every question gives exactly one observation, stamped when the question went out, and no
question waits for another check's. How many of one check may be in the air stands in `airspace.py`, when its beat comes
in `schedule.py`; asking now does not move the beat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from orchestrator.core.events import Answer, Observed
from orchestrator.core.model import Check
from orchestrator.probes.airspace import Airspace
from orchestrator.probes.asking import ask_once, explain
from orchestrator.probes.kind import Judged, Kind, Options, Secrets
from orchestrator.probes.kinds import KINDS
from orchestrator.probes.schedule import Schedule
from orchestrator.probes.tools import Tools


@dataclass(slots=True)
class Measured:
    """How well the schedule is kept."""

    asked: int = 0
    skipped: int = 0  # beats that found one waiting already
    lateness_s_sum: float = 0.0
    lateness_s_max: float = 0.0


@dataclass(slots=True)
class _Asked:
    """One check and its questions."""

    check: Check
    kind: Kind[Any, Any] | None
    options: Options | None
    fault: str = ""
    air: Airspace = field(default_factory=Airspace)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)  # one for each question in the air


class Prober:
    """Asks checks. Lives in one event loop.

    `emit` is called in that loop, once a question. `axis` tells the journal's time. `secrets` are what options refer
    to by name. `here` is this vantage: a check of another is asked from the host that its probe logs in to. Without it
    every check is asked as one of this vantage.
    """

    def __init__(
        self,
        emit: Callable[[Observed], None],
        axis: Callable[[], float],
        secrets: Mapping[str, str] | None = None,
        kinds: Mapping[str, Kind[Any, Any]] = KINDS,
        *,
        here: str | None = None,
    ) -> None:
        self.here = here
        self.measured = Measured()
        self._emit = emit
        self._axis = axis
        self._secrets = Secrets(secrets or {})
        self._kinds = kinds
        self._tools = Tools()
        self._schedule = Schedule()
        self._asked: dict[str, _Asked] = {}
        self._abandoned: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def asking(self) -> frozenset[str]:
        """Ids of the checks that are asked."""
        return frozenset(self._asked)

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
            for task in asked.tasks:  # its answer would be one to a question that nobody asks any more
                task.cancel()
                self._abandoned.add(task)
                task.add_done_callback(self._abandoned.discard)
        new = [check for check in wanted.values() if check.id not in self._asked]
        self._asked.update({check.id: self._prepare(check) for check in new})
        now = asyncio.get_running_loop().time()  # after the imports
        for check in new:
            self._schedule.add(check.id, check.every_s, now)
        self._set_timer()

    def cadence(self, intervals_s: Mapping[str, float]) -> None:
        """Ask these checks at these intervals from now on; ids that are not asked are passed over."""
        self._open()
        self._schedule.cadence(intervals_s, asyncio.get_running_loop().time())
        self._set_timer()

    def ask_now(self, ids: Iterable[str]) -> None:
        """Ask these checks at once, out of their beat; ids that are not asked are passed over."""
        self._open()
        for name in ids:
            asked = self._asked.get(name)
            if asked is not None and asked.air.now():
                self._start(asked)

    async def close(self) -> None:
        """Stop asking; no observation comes after this, and no process or socket is left."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        tasks = {task for asked in self._asked.values() for task in asked.tasks} | self._abandoned
        for task in tasks:
            task.cancel()
        self._asked.clear()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._tools.close()

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

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        next_at = self._schedule.next_at()
        if next_at is not None and not self._closed:
            self._timer = asyncio.get_running_loop().call_at(next_at, self._beat)

    def _beat(self) -> None:
        now = asyncio.get_running_loop().time()
        for name, at in self._schedule.due(now):
            asked = self._asked[name]
            late_s = now - at
            self.measured.lateness_s_sum += late_s
            self.measured.lateness_s_max = max(self.measured.lateness_s_max, late_s)
            skipped = asked.air.skipped
            if asked.air.beat():
                self._start(asked)
            self.measured.skipped += asked.air.skipped - skipped
        self._set_timer()

    def _start(self, asked: _Asked) -> None:
        self.measured.asked += 1
        task = asyncio.get_running_loop().create_task(self._ask(asked), name=f"ask {asked.check.id}")
        asked.tasks.add(task)
        task.add_done_callback(lambda done: self._ended(asked, done))

    def _ended(self, asked: _Asked, task: asyncio.Task[None]) -> None:
        asked.tasks.discard(task)
        if asked.air.ended() and self._asked.get(asked.check.id) is asked:  # not closed, and still wanted
            self._start(asked)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"the receiver of observations failed on {asked.check.id}", "exception": error}
            )

    async def _ask(self, asked: _Asked) -> None:
        check = asked.check
        sent_at = self._axis()

        def stamp() -> None:
            nonlocal sent_at
            sent_at = self._axis()

        if asked.kind is None:
            judged = Judged(Answer.NONE, {}, asked.fault)
        else:
            judged = await ask_once(
                asked.kind, asked.options, check.timeout_s, secrets=self._secrets, tools=self._tools, stamp=stamp
            )
        self._emit(Observed(check.id, sent_at, judged.answer, judged.measures, judged.detail))
