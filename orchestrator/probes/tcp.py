"""tcp: does something accept connections there, and does it say what it should?

The one rule it keeps: a refusal is an answer (bad), a time-out is none (silent).
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from orchestrator.core.events import Answer
from orchestrator.probes.kind import CannotInvent, Judged, Kind, Pinned, Port, Question, Raw, Refusal, Silence, Text
from orchestrator.probes.names import NameFailed
from orchestrator.probes.patterns import Pattern
from orchestrator.probes.sockets import connect, meaning_of
from orchestrator.probes.texts import differing, matching

_BANNER_MAX_BYTES = 65536


class TcpOptions(Pinned):
    """Options of `probe: tcp`."""

    target: Text
    port: Port
    send: str | None = Field(default=None, description="text to send after connecting")
    expect: Pattern | None = Field(
        default=None, description="regular expression that the first text received must match"
    )
    resolver: Text | None = Field(default=None, description="name server to ask for the target's address")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The connection was accepted; `said` is what came back, if anything was expected to."""

    rtt_s: float
    said: str | None = None
    complete: bool = True  # False: the time was over before it said enough


async def ask(question: Question[TcpOptions]) -> Raw:
    """Connect, send, listen, close."""
    options = question.options
    loop = asyncio.get_running_loop()
    where = f"{options.target} port {options.port}"
    started = loop.time()
    doing = "look-up"
    try:
        async with asyncio.timeout(question.timeout_s):
            addresses = await question.tools.names.addresses(options.target, options.resolver, options)
            doing = "connection"
            started = loop.time()
            sock = await connect(addresses[0], options.port, options)
    except NameFailed as failed:
        return failed.meaning
    except TimeoutError:
        return Silence(f"{where}: no {doing} within {question.timeout_s:g} s")
    except OSError as error:
        return meaning_of(error, where)
    rtt_s = loop.time() - started
    with sock:
        return await _talk(question, sock, rtt_s, started, where)


async def _talk(question: Question[TcpOptions], sock: socket.socket, rtt_s: float, started: float, where: str) -> Raw:
    options = question.options
    loop = asyncio.get_running_loop()
    if options.send is None and options.expect is None:
        return Accepted(rtt_s)
    said = b""
    try:
        async with asyncio.timeout_at(started + question.timeout_s):
            if options.send is not None:
                await loop.sock_sendall(sock, options.send.encode())
            while options.expect is not None and len(said) < _BANNER_MAX_BYTES:
                more = await loop.sock_recv(sock, 4096)
                said += more
                if not more or re.search(options.expect, said.decode("utf-8", "replace")):
                    break
    except TimeoutError:
        if not said:
            return Silence(f"{where}: connected, then nothing within {question.timeout_s:g} s")
        return Accepted(rtt_s, said.decode("utf-8", "replace"), complete=False)
    except OSError as error:
        return Refusal(f"{where}: connected, then {(error.strerror or str(error)).lower()}")
    return Accepted(rtt_s, said.decode("utf-8", "replace"))


def judge(options: TcpOptions, reply: Accepted) -> Judged:
    """Accepted is good, unless it should have said something and did not."""
    measures = {"rtt_s": reply.rtt_s}
    where = f"{options.target} port {options.port}"
    if options.expect is None:
        return Judged(Answer.GOOD, measures, f"{where} accepts connections, {reply.rtt_s * 1000:.1f} ms")
    said = reply.said or ""
    if re.search(options.expect, said):
        return Judged(Answer.GOOD, measures, f"{where} says {said.strip()[:80]!r}")
    late = "" if reply.complete else " when the time was over"
    return Judged(Answer.BAD, measures, f"{where} had said {said.strip()[:80]!r}{late}, expected /{options.expect}/")


def invent(options: TcpOptions, so: bool, measures: Mapping[str, float]) -> Accepted | Refusal:
    """Something accepts and says what it should, or something else; if it need say nothing, nothing accepts."""
    rtt_s = measures.get("rtt_s", 0.0)
    if so:
        said = None if options.expect is None else matching(options.expect)
        if said is None and options.expect is not None:
            raise CannotInvent("tcp", "expect", f"no text was found that matches /{options.expect}/")
        return Accepted(rtt_s, said)
    said = None if options.expect is None else differing(options.expect)
    if said is None:
        return Refusal(f"{options.target} port {options.port}: connection refused")
    return Accepted(rtt_s, said)


KIND = Kind("tcp", TcpOptions, ask, Accepted, judge, invent, imports=("dns.message",))
