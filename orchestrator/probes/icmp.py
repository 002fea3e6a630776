"""icmp: does the host answer pings, how fast, and how many of them?

The one rule it keeps: only the asked host's own echo reply is a reply.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from orchestrator.core.events import Answer
from orchestrator.probes.echo import Echo, Ping
from orchestrator.probes.kind import Duration, Judged, Kind, Pinned, Question, Raw, Refusal, Silence, Text
from orchestrator.probes.names import NameFailed
from orchestrator.probes.sockets import meaning_of


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


async def ask(question: Question[IcmpOptions]) -> Raw:
    """Send `count` packets on the shared socket and wait for their replies."""
    options = question.options
    try:
        async with asyncio.timeout(question.timeout_s):
            addresses = await question.tools.names.addresses(options.target, None, options)
    except NameFailed as failed:
        return failed.meaning
    except TimeoutError:
        return Silence(f"no address for {options.target} within {question.timeout_s:g} s")
    echo = question.tools.echoes.towards(addresses[0], options)
    sent: list[tuple[tuple[int, int], Ping]] = []
    notes: list[str] = []
    question.stamp()
    deadline = asyncio.get_running_loop().time() + question.timeout_s
    try:
        for index in range(options.count):
            if index:
                await asyncio.sleep(min(options.gap, question.timeout_s / options.count))
            _send(question, echo, addresses[0], sent, notes)
        waiting = [ping.arrived for _, ping in sent]
        if waiting:
            await asyncio.wait(waiting, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
    except OSError as error:
        if error.errno in (errno.EBADF, errno.EADDRNOTAVAIL, errno.ENODEV):
            question.tools.echoes.drop(echo)
        return meaning_of(error, options.target)
    finally:
        for key, _ in sent:
            echo.forget(key)
    for _, ping in sent:
        notes += ping.notes
    rtts = tuple(p.arrived.result() for _, p in sent if p.arrived.done() and not p.arrived.cancelled())
    return Echoed(options.count, rtts, tuple(dict.fromkeys(notes)))


def _send(
    question: Question[IcmpOptions],
    echo: Echo,
    address: str,
    sent: list[tuple[tuple[int, int], Ping]],
    notes: list[str],
) -> None:
    try:
        sent.append(echo.send(address, question.options.size))
    except OSError as error:
        if error.errno not in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN):
            raise
        notes.append((error.strerror or str(error)).lower())  # a packet that found no way is a packet lost


def judge(options: IcmpOptions, reply: Echoed) -> Judged:
    """Enough replies: good. Some: bad. None: silent."""
    got = len(reply.rtts_s)
    measures = {"loss": 1 - got / reply.sent}
    said = f" ({'; '.join(reply.notes)})" if reply.notes else ""
    if not got:
        return Judged(Answer.SILENT, measures, f"0/{reply.sent} replies from {options.target}{said}")
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


KIND = Kind("icmp", IcmpOptions, ask, Echoed, judge, invent)
