"""icmp: does the host answer pings, how fast, and how many of them?

The one rule it keeps: only the asked host's own echo reply is a reply. Where a name has several addresses, of both
families, each is sent the same packets, and the answer is that of the one that replied best: replies of two addresses
are never added up.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from orchestrator.core.events import Answer
from orchestrator.probes.domain_names import Target
from orchestrator.probes.echo import Echo, Ping
from orchestrator.probes.kind import Done, Kind, Question, by_launching
from orchestrator.probes.launched import Launched
from orchestrator.probes.options import Addressed, Duration
from orchestrator.probes.results import Judged, NotAsked, Raw, Refusal, Unanswerable
from orchestrator.probes.sockets import meaning_of

_NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)


MOST_ADDRESSES = 16  # of one name; each is sent every packet


class IcmpOptions(Addressed):
    """Options of `probe: icmp`."""

    target: Target
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
    address: str = ""  # where the target has several: whose replies these are


class _Asked:
    """One address, and the packets that it was sent."""

    __slots__ = ("address", "echo", "notes", "pings")

    def __init__(self, address: str, echo: Echo) -> None:
        self.address = address
        self.echo = echo
        self.pings: list[Ping] = []
        self.notes: list[str] = []

    def forget(self) -> None:
        """Nobody waits for its replies any more."""
        for ping in self.pings:
            if ping.rtt_s is None:
                self.echo.forget(ping)
        self.pings = []  # they know the question: no work for the garbage collector

    def replies(self, timeout_s: float) -> list[float]:
        """Round-trips of what came in time; one that came too late is none, whenever this loop read it."""
        most_s = timeout_s + (self.pings[0].sent_ns / 1e9 if self.pings else 0.0)
        return [p.rtt_s for p in self.pings if p.rtt_s is not None and p.sent_ns / 1e9 + p.rtt_s <= most_s]


class _Asking(Launched[IcmpOptions]):
    """One question on its way: its packets, and what came of each."""

    __slots__ = ("_asked", "_sent", "_several", "_trouble")

    def __init__(self, question: Question[IcmpOptions], done: Done) -> None:
        super().__init__(question, done)
        self._asked: list[_Asked] = []
        self._several = False
        self._trouble: Raw | None = None  # of an address that cannot be asked, where others can
        self._sent = 0  # packets tried

    @property
    def _host(self) -> str:
        return self._question.options.target

    def _begin(self) -> None:
        self._find(self._question.timeout_s)

    def _reach(self, addresses: list[str]) -> None:
        options, echoes = self._question.options, self._question.tools.echoes
        addresses = addresses[:MOST_ADDRESSES]
        self._several = len(addresses) > 1
        for address in addresses:
            try:
                self._asked.append(_Asked(address, echoes.towards(address, options)))
            except Unanswerable as error:
                self._trouble = self._trouble or NotAsked.of(error)
        if not self._asked:
            self._finish(self._trouble or NotAsked("there is no way to ask"))
            return
        self._set_out()
        self._send()

    def _send(self) -> None:
        """One packet to each address, and the next ones after the gap."""
        question = self._question
        options = question.options
        self._sent += 1
        for asked in tuple(self._asked):
            try:
                asked.pings.append(asked.echo.send(asked.address, options.size, self._heard))
            except OSError as error:
                if error.errno not in _NO_WAY:
                    self._give_up(asked, self._meaning(error, asked.echo))
                else:
                    asked.notes.append((error.strerror or str(error)).lower())  # found no way: a packet that is lost
            except Unanswerable as error:
                self._give_up(asked, NotAsked.of(error))
        if self.over:
            return
        if self._sent < options.count:
            gap_s = min(options.gap, question.timeout_s / options.count)
            self._timer = self._loop.call_later(gap_s, self._send)
        else:
            self._timer = None
            self._look()

    def _meaning(self, error: OSError, echo: Echo) -> Raw:
        meaning: Raw = meaning_of(error, self._question.options.target)
        if error.errno in (errno.EBADF, errno.EADDRNOTAVAIL, errno.ENODEV):
            self._question.tools.echoes.drop(echo)
            if isinstance(meaning, NotAsked) and self._is_pinned:
                meaning = NotAsked(meaning.why, way_gone=True)
        return meaning

    def _give_up(self, asked: _Asked, why: Raw) -> None:
        """This address cannot be asked; the question is over where no other one can."""
        self._asked.remove(asked)
        asked.forget()
        self._trouble = self._trouble or why
        if not self._asked:
            self._finish(self._trouble)

    @property
    def _is_pinned(self) -> bool:
        options = self._question.options
        return options.interface is not None or options.source is not None

    def _heard(self, _ping: Ping) -> None:
        if self._sent == self._question.options.count and self._timer is None:
            self._look()

    def _look(self) -> None:
        """Whether all that can come has come: every reply, or all of one address."""
        count = self._question.options.count
        open_ = False
        for asked in self._asked:
            if None in [ping.rtt_s for ping in asked.pings]:
                open_ = True
            elif len(asked.pings) == count:
                self._tell()
                return
        if not open_:
            self._tell()

    def late(self) -> None:
        """The time is up: what has come by now counts, also what this loop has not read yet."""
        for asked in tuple(self._asked):
            if not self.over and not asked.echo.closed:
                asked.echo.drain()
            if not self.over and asked.echo.closed:
                self._give_up(
                    asked, NotAsked("the way out was lost while the question was on its way", self._is_pinned)
                )
        if not self.over:
            self._tell()

    def _tell(self) -> None:
        timeout_s, best = self._question.timeout_s, self._asked[0]
        rtts = best.replies(timeout_s)
        for asked in self._asked[1:]:
            if len(found := asked.replies(timeout_s)) > len(rtts):
                best, rtts = asked, found
        notes = []
        for asked in (best,) if rtts else self._asked:
            said = asked.notes + [note for ping in asked.pings for note in ping.notes]
            notes += [f"{asked.address}: {note}" for note in said] if self._several else said
        address = best.address if self._several and rtts else ""
        self._finish(Echoed(self._question.options.count, tuple(rtts), tuple(dict.fromkeys(notes)), address))

    def _let_go(self) -> None:
        for asked in self._asked:
            asked.forget()


def launch(question: Question[IcmpOptions], done: Done) -> Callable[[], None]:
    """Send `count` packets on the shared socket; all replies, or the end of the time, make the answer."""
    return _Asking(question, done).launch()


def judge(options: IcmpOptions, reply: Echoed) -> Judged:
    """Enough replies: good. Some: bad. None: silent."""
    got = len(reply.rtts_s)
    measures = {"loss": 1 - got / reply.sent}
    said = f" ({'; '.join(reply.notes)})" if reply.notes else ""
    if not got:
        return Judged(Answer.SILENT, measures, f"no reply from {options.target}{said}")
    measures["rtt_s"] = sum(reply.rtts_s) / got
    where = f"{options.target} ({reply.address})" if reply.address else options.target
    text = f"{got}/{reply.sent} replies from {where}, {measures['rtt_s'] * 1000:.1f} ms"
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
