"""tcp: does something accept connections there, and does it say what it should?

The one rule it keeps: a refusal is an answer (bad), a time-out is none (silent).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import Field

from orchestrator.core.events import Answer
from orchestrator.probes.charsets import plain_text
from orchestrator.probes.connecting import Connecting
from orchestrator.probes.domain_names import Target
from orchestrator.probes.example_texts import differing, matching
from orchestrator.probes.expressions import TookTooLong, found
from orchestrator.probes.kind import Done, Kind, Question, by_launching
from orchestrator.probes.names import Failure
from orchestrator.probes.options import Addressed, Port, Text
from orchestrator.probes.patterns import Pattern
from orchestrator.probes.results import CannotInvent, Judged, NotAsked, Raw, Refusal, Silence, Unanswerable
from orchestrator.probes.sockets import is_address, meaning_of, to_try
from orchestrator.probes.turns import Turn

_BANNER_MAX_BYTES = 65536
_LOOK_EVERY_S = 0.02


class TcpOptions(Addressed):
    """Options of `probe: tcp`."""

    target: Target
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


class _Asking:
    """One question on its way: look-up, turn, connection, talk."""

    __slots__ = (
        "_connecting",
        "_doing",
        "_done",
        "_finding",
        "_look",
        "_looked_at",
        "_loop",
        "_question",
        "_rtt_s",
        "_said",
        "_sock",
        "_turn",
        "over",
    )

    def __init__(self, question: Question[TcpOptions], done: Done) -> None:
        self._question = question
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._finding: Callable[[], None] | None = None
        self._turn: Turn | None = None
        self._connecting: Connecting | None = None
        self._sock: socket.socket | None = None
        self._doing = "connection"
        self._rtt_s = 0.0
        self._said = bytearray()
        self._look: asyncio.TimerHandle | None = None
        self._looked_at = 0
        self.over = False

    def begin(self) -> None:
        options, tools = self._question.options, self._question.tools
        if is_address(options.target):
            self._found([options.target])
        else:
            within_s, whom = self._question.timeout_s, self._question.whom
            self._finding = tools.names.find(options.target, options.resolver, options, within_s, self._found, whom)

    def _found(self, found: list[str] | Failure) -> None:
        if not isinstance(found, list):
            self._finish(found)
            return
        question, options = self._question, self._question.options
        found = to_try(found, options)
        if not found:
            self._finish(Refusal(f"{options.target} has no {options.address_family} address"))
            return
        self._connecting = Connecting(found, options.port, options, self._connected)
        turns = question.tools.turns("tcp")
        # may come, and end, before it is known here
        turn = turns.enter(question.timeout_s, self._go, self._finish, question.whom)
        if self.over:
            turn.end()
        else:
            self._turn = turn

    def _go(self) -> None:
        question = self._question
        question.stamp()
        question.tools.deadlines.add(question.timeout_s, self)
        if self._connecting is not None:
            self._connecting.begin()

    def _connected(self, sock: socket.socket | OSError | Unanswerable, rtt_s: float) -> None:
        options = self._question.options
        if isinstance(sock, Unanswerable):
            self._finish(NotAsked.of(sock))
        elif isinstance(sock, OSError):
            self._finish(meaning_of(sock, self._where))
        else:
            self._sock, self._rtt_s = sock, rtt_s
            if options.send is None and options.expect is None:
                self._finish(Accepted(rtt_s))
            else:
                self._doing = "talk"
                self._talk(sock, options)

    def _talk(self, sock: socket.socket, options: TcpOptions) -> None:
        rest = memoryview((options.send or "").encode())

        def write() -> None:
            nonlocal rest
            try:
                rest = rest[sock.send(rest) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                self._broken(error)
                return
            self._loop.remove_writer(sock.fileno())
            if rest:
                self._loop.add_writer(sock.fileno(), write)
            elif options.expect is None:
                self._finish(Accepted(self._rtt_s, ""))
            else:
                self._loop.add_reader(sock.fileno(), self._read, sock, options.expect)

        if rest:
            write()
        else:
            self._loop.add_reader(sock.fileno(), self._read, sock, options.expect)

    def _read(self, sock: socket.socket, expect: str | None) -> None:
        try:
            more = sock.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._broken(error)
            return
        self._said += more
        if not more or len(self._said) >= _BANNER_MAX_BYTES:
            self._finish(Accepted(self._rtt_s, self._text))
        elif self._look is None:  # at once, then on a beat: whoever sends letter by letter is not looked at each time
            self._look_now(expect or "")

    def _look_now(self, expect: str) -> None:
        """Is it there? What comes meanwhile is looked at together."""
        self._look = None
        if self.over or self._looked_at == len(self._said):
            return
        self._looked_at = len(self._said)
        try:
            there = found(expect, self._text)
        except TookTooLong:
            there = True  # the judgement will say so
        if there:
            self._finish(Accepted(self._rtt_s, self._text))
        else:
            self._look = self._loop.call_later(_LOOK_EVERY_S, self._look_now, expect)

    def _broken(self, error: OSError) -> None:
        self._finish(Refusal(f"{self._where}: connected, then {(error.strerror or str(error)).lower()}"))

    @property
    def _where(self) -> str:
        return f"{self._question.options.target} port {self._question.options.port}"

    @property
    def _text(self) -> str:
        return plain_text(self._said)

    def late(self) -> None:
        """The time is up."""
        within = f"within {self._question.timeout_s:g} s"
        if self._doing == "connection":
            self._finish(Silence(f"{self._where}: no connection {within}"))
        elif not self._said:
            self._finish(Silence(f"{self._where}: connected, then nothing {within}"))
        else:
            self._finish(Accepted(self._rtt_s, self._text, complete=False))

    def _finish(self, raw: Raw) -> None:
        if not self.over:
            self.abandon()
            self._done(raw)

    def abandon(self) -> None:
        """Nobody waits any more. Nothing happens the second time."""
        if self.over:
            return
        self.over = True
        if self._finding is not None:
            self._finding()
        if self._look is not None:
            self._look.cancel()
            self._look = None
        if self._connecting is not None:
            self._connecting.abandon()
            self._connecting = None  # it knows this question, as the turn does: no work for the garbage collector
        if self._sock is not None:
            if self._doing == "talk":
                self._loop.remove_reader(self._sock.fileno())
                self._loop.remove_writer(self._sock.fileno())
            self._sock.close()
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end()


def launch(question: Question[TcpOptions], done: Done) -> Callable[[], None]:
    """Connect, send, listen, close."""
    asking = _Asking(question, done)
    asking.begin()
    return asking.abandon


def judge(options: TcpOptions, reply: Accepted) -> Judged:
    """Accepted is good, unless it should have said something and did not."""
    measures = {"rtt_s": reply.rtt_s}
    where = f"{options.target} port {options.port}"
    if options.expect is None:
        return Judged(Answer.GOOD, measures, f"{where} accepts connections, {reply.rtt_s * 1000:.1f} ms")
    said = reply.said or ""
    if found(options.expect, said):
        return Judged(Answer.GOOD, measures, f"{where} says {said[:1000].strip()[:80]!r}")
    late = "" if reply.complete else " when the time was over"
    return Judged(
        Answer.BAD, measures, f"{where} had said {said[:1000].strip()[:80]!r}{late}, expected /{options.expect}/"
    )


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


KIND = Kind("tcp", TcpOptions, by_launching(launch), Accepted, judge, invent, imports=("dns.message",), launch=launch)
