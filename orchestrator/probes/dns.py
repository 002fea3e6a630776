"""dns: what does this name server answer for a name?

The one rule it keeps: the question goes to the server that is named, never to this machine's resolver or its cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from orchestrator.core.events import Answer
from orchestrator.probes.dns_values import plain, values_of
from orchestrator.probes.kind import Kind, Question, first_judged
from orchestrator.probes.names import NameFailed, exchange
from orchestrator.probes.options import Pinned, Port, Text
from orchestrator.probes.results import Judged, Raw, Refusal, Silence
from orchestrator.probes.sockets import is_address


def _list_of_one(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


_SHOWN = 20  # values that are told


class DnsOptions(Pinned):
    """Options of `probe: dns`."""

    record: Text
    type: Literal["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "CAA"] = "A"
    server: Text = Field(description="address of the name server")
    port: Port = 53
    tcp: bool = False
    expect: Annotated[tuple[Text, ...], BeforeValidator(_list_of_one)] = Field(
        default=(), description="values that are right; every value answered must be one of them"
    )

    @field_validator("server")
    @classmethod
    def _is_address(cls, server: str) -> str:
        if not is_address(server):
            raise ValueError(f"{server!r} is no address: a name server is asked by its address")
        return server


@dataclass(frozen=True, slots=True)
class Resolved:
    """The server's response code (`NOERROR`, `NXDOMAIN`, …) and the values of the records of the wanted type."""

    rcode: str
    values: tuple[str, ...]
    rtt_s: float


async def ask(question: Question[DnsOptions]) -> Raw:
    """One packet, no second try: a loss is for the check's thresholds to weigh."""
    options = question.options
    loop = asyncio.get_running_loop()
    async with question.tools.turns("dns").held(question.timeout_s, question.whom):
        question.stamp()
        started = loop.time()
        try:
            async with asyncio.timeout(question.timeout_s):
                rcode, values = await exchange(
                    options.record, options.type, options.server, options.port, options, tcp=options.tcp
                )
        except TimeoutError:
            return Silence(f"name server {options.server} did not answer within {question.timeout_s:g} s")
        except NameFailed as failed:
            return failed.meaning
        return Resolved(rcode, tuple(values), loop.time() - started)


def judge(options: DnsOptions, reply: Resolved) -> Judged:
    """Good if there are records, and all of them are expected."""
    measures = {"rtt_s": reply.rtt_s}
    asked = f"{options.record} {options.type}"
    if reply.rcode != "NOERROR":
        return Judged(Answer.BAD, measures, f"{asked}: {reply.rcode} from {options.server}")
    if not reply.values:
        return Judged(Answer.BAD, measures, f"{asked}: no such record at {options.server}")
    more = len(reply.values) - _SHOWN
    seen = ", ".join(reply.values[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    right = {plain(options.type, value) for value in options.expect}
    if right and any(plain(options.type, value) not in right for value in reply.values):
        return Judged(Answer.BAD, measures, f"{asked} is {seen}, expected {' or '.join(options.expect)}")
    return Judged(Answer.GOOD, measures, f"{asked} is {seen}")


def invent(options: DnsOptions, so: bool, measures: Mapping[str, float]) -> Resolved | Refusal:
    """The expected records, or any; else another value, or where any is right, no such name."""
    rtt_s = measures.get("rtt_s", 0.0)
    if so:
        return Resolved("NOERROR", options.expect or (next(values_of(options.type)),), rtt_s)

    def replies() -> Iterator[Resolved]:
        yield from (Resolved("NOERROR", (value,), rtt_s) for value in values_of(options.type))
        yield Resolved("NXDOMAIN", (), rtt_s)

    known = replies() if options.expect else (Resolved("NXDOMAIN", (), rtt_s),)
    return first_judged(judge, options, Answer.BAD, known) or Refusal(f"{options.server} does not answer as expected")


KIND = Kind("dns", DnsOptions, ask, Resolved, judge, invent, imports=("dns.message",))
