"""icmp: does the host answer pings, how fast, and how many of them?

The one rule it keeps: only the asked host's own echo reply is a reply.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from orchestrator.core.events import Answer
from orchestrator.probes.echo import Echo, Ping
from orchestrator.probes.kind import (
    Done,
    Duration,
    Judged,
    Kind,
    NotAsked,
    Pinned,
    Question,
    Raw,
    Refusal,
    Text,
    Unanswerable,
    by_launching,
)
from orchestrator.probes.names import Failure
from orchestrator.probes.sockets import is_address, meaning_of

_NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


class IcmpOptions(Pinned):
    """Options of `probe: icmp`."""

    target: Text
    count: Annotated[int, Field(ge=1, le=100)] = Field(default=1, description="packets a question")
    gap: Duration = Field(default=0.05, description="between the packets of one question")
    need: Annotated[int, Field(ge=1)] = Field(default=1, description="replies for a good answer")
    size: Annotated[int, Field(ge=16, le=1400)] = Field(default=56, description="bytes of payload")

    @model_validator(mode="after")
    def _need_is_possible(self) -> IcmpOptions:
        if self.need > self.count:
            raise ValueError(f"need {self.need} replies of {self.count} packets: raise count or lower need")
        return self


@dataclass(frozen=True, slots=True)
class Echoed:
    """What came of the packets of one question: round-trips of those answered, what routers said of the others."""

    sent: int
    rtts_s: tuple[float, ...]
    notes: tuple[str, ...] = ()


class _Asking:
    """One question on its way: its packets, and what came of each."""

    __slots__ = ("_address", "_done", "_echo", "_finding", "_notes", "_pings", "_question", "_sent", "_timer", "over")

    def __init__(self, question: Question[IcmpOptions], done: Done) -> None:
        self._question = question
        self._done = done
        self._echo: Echo | None = None
        self._address = ""
        self._pings: list[Ping] = []
        self._notes: list[str] = []
        self._sent = 0  # packets tried
        self._timer: asyncio.TimerHandle | None = None
        self._finding: Callable[[], None] | None = None
        self.over = False

    def begin(self) -> None:
        options = self._question.options
        if is_address(options.target):
            self._go([options.target])
        else:
            names = self._question.tools.names
            self._finding = names.find(options.target, None, options, self._question.timeout_s, self._go)

    def _go(self, found: list[str] | Failure) -> None:
        if not isinstance(found, list):
            self._finish(found)
            return
        question = self._question
        self._address = found[0]
        try:
            self._echo = question.tools.echoes.towards(self._address, question.options)
        except Unanswerable as error:
            self._finish(NotAsked.of(error))
            return
        question.stamp()
        question.tools.deadlines.add(question.timeout_s, self)
        self._send()

    def _send(self) -> None:
        """One packet, and the next one after the gap."""
        question, echo = self._question, self._echo
        options = question.options
        if echo is None:
            return
        self._sent += 1
        try:
            self._pings.append(echo.send(self._address, options.size, self._heard))
        except OSError as error:
            if error.errno not in _NO_WAY:
                meaning: Raw = meaning_of(error, options.target)
                if error.errno in (errno.EBADF, errno.EADDRNOTAVAIL, errno.ENODEV):
                    question.tools.echoes.drop(echo)
                    if isinstance(meaning, NotAsked) and self._is_pinned:
                        meaning = NotAsked(meaning.why, way_gone=True)
                self._finish(meaning)
                return
            self._notes.append((error.strerror or str(error)).lower())  # a packet that found no way is a packet lost
        except Unanswerable as error:
            self._finish(NotAsked.of(error))
            return
        if self._sent < options.count:
            gap_s = min(options.gap, question.timeout_s / options.count)
            self._timer = asyncio.get_running_loop().call_later(gap_s, self._send)
        else:
            self._timer = None
            self._look()

    @property
    def _is_pinned(self) -> bool:
        options = self._question.options
        return options.interface is not None or options.source is not None

    def _heard(self, _ping: Ping) -> None:
        if self._sent == self._question.options.count and self._timer is None:
            self._look()

    def _look(self) -> None:
        """Whether all that can come has come."""
        for ping in self._pings:
            if ping.rtt_s is None:
                return
        self._tell()

    def late(self) -> None:
        """The time is up: what has come by now counts, also what this loop has not read yet."""
        if self._echo is not None and not self._echo.closed:
            self._echo.drain()
        if not self.over and self._echo is not None and self._echo.closed:
            self._finish(NotAsked("the way out was lost while the question was on its way", self._is_pinned))
        if not self.over:
            self._tell()

    def _tell(self) -> None:
        pings, notes = self._pings, self._notes
        rtts = []
        most_s = self._question.timeout_s + (pings[0].sent_ns / 1e9 if pings else 0.0)
        for ping in pings:
            if ping.rtt_s is not None and ping.sent_ns / 1e9 + ping.rtt_s <= most_s:
                rtts.append(ping.rtt_s)  # one that came too late is none, whenever this loop read it
            if ping.notes:
                notes += ping.notes
        self._finish(Echoed(self._question.options.count, tuple(rtts), tuple(dict.fromkeys(notes)) if notes else ()))

    def _finish(self, raw: Raw) -> None:
        if not self.over:
            self.abandon()
            self._done(raw)

    def abandon(self) -> None:
        """Nobody waits any more. Nothing happens the second time."""
        if self.over:
            return
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._finding is not None:
            self._finding()
        if self._echo is not None:
            for ping in self._pings:
                if ping.rtt_s is None:
                    self._echo.forget(ping)
        self._pings = []  # they know this question: no work for the garbage collector


def launch(question: Question[IcmpOptions], done: Done) -> Callable[[], None]:
    """Send `count` packets on the shared socket; all replies, or the end of the time, make the answer."""
    asking = _Asking(question, done)
    asking.begin()
    return asking.abandon


def judge(options: IcmpOptions, reply: Echoed) -> Judged:
    """Enough replies: good. Some: bad. None: silent."""
    got = len(reply.rtts_s)
    measures = {"loss": 1 - got / reply.sent}
    said = f" ({'; '.join(reply.notes)})" if reply.notes else ""
    if not got:
        return Judged(Answer.SILENT, measures, f"no reply from {options.target}{said}")
    measures["rtt_s"] = sum(reply.rtts_s) / got
    text = f"{got}/{reply.sent} replies from {options.target}, {measures['rtt_s'] * 1000:.1f} ms"
    if got < options.need:
        return Judged(Answer.BAD, measures, f"{text}, {options.need} needed{said}")
    return Judged(Answer.GOOD, measures, text)


def invent(options: IcmpOptions, so: bool, measures: Mapping[str, float]) -> Echoed | Refusal:
    """Enough replies, or some but too few; `loss` as near as so many packets can show it.

    Where one reply is enough only silence is too little, and a host that answers at all cannot be bad.
    """
    likely = round(options.count * (1 - measures.get("loss", 0.0)))
    got = min(max(likely, options.need), options.count) if so else min(max(likely, 1), options.need - 1)
    if not got:
        return Refusal(f"{options.target} does not answer pings")
    return Echoed(options.count, (measures.get("rtt_s", 0.0),) * got)


KIND = Kind("icmp", IcmpOptions, by_launching(launch), Echoed, judge, invent, launch=launch)
