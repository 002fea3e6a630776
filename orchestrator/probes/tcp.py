"""tcp: does something accept connections there, and does it say what it should?

The one rule it keeps: a refusal is an answer (bad), a time-out is none (silent).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import Field

from orchestrator.core.events import Answer
from orchestrator.probes.charsets import plain_text
from orchestrator.probes.domain_names import Target
from orchestrator.probes.example_texts import differing, matching
from orchestrator.probes.expressions import TookTooLong, found
from orchestrator.probes.kind import Done, Kind, Question, by_launching
from orchestrator.probes.launched import Connected
from orchestrator.probes.options import Addressed, Port
from orchestrator.probes.patience import PaidBy
from orchestrator.probes.patterns import Pattern
from orchestrator.probes.results import CannotInvent, Judged, Refusal, Silence

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


@dataclass(frozen=True, slots=True)
class Accepted:
    """The connection was accepted; `said` is what came back, if anything was expected to."""

    rtt_s: float
    said: str | None = None
    complete: bool = True  # False: the time was over before it said enough
    cut: bool = False  # it said more than is read


class _Asking(Connected[TcpOptions]):
    """One question on its way: look-up, turn, connection, talk."""

    TURNS = "tcp"

    __slots__ = ("_addresses", "_looked_at", "_rest", "_rtt_s", "_said")

    def __init__(self, question: Question[TcpOptions], done: Done) -> None:
        super().__init__(question, done)
        self._addresses: list[str] = []
        self._rtt_s = 0.0
        self._rest = memoryview(b"")  # of what is to be sent
        self._said = bytearray()
        self._looked_at = 0

    @property
    def _host(self) -> str:
        return self._question.options.target

    @property
    def _port(self) -> int:
        return self._question.options.port

    def _begin(self) -> None:
        self._find(self._question.timeout_s)

    def _reach(self, addresses: list[str]) -> None:
        self._addresses = addresses
        self._take_turn()

    def _go(self) -> None:
        self._set_out()
        self._connect(self._addresses)

    def _talk(self, sock: socket.socket, rtt_s: float) -> None:
        options, self._rtt_s = self._question.options, rtt_s
        if options.send is None and options.expect is None:
            self._finish(Accepted(rtt_s))
            return
        self._rest = memoryview((options.send or "").encode())
        if self._rest:
            self._write()
        else:
            self._watch(reading=self._read)

    def _write(self) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            self._rest = self._rest[sock.send(self._rest) :]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            if self._question.options.expect is None:
                self._broken(error)
            else:
                self._watch(reading=self._read)  # perhaps it has spoken, and did not wait to be spoken to
            return
        if self._rest:
            self._watch(writing=self._write)
        elif self._question.options.expect is None:
            self._finish(Accepted(self._rtt_s, ""))
        else:
            self._watch(reading=self._read)

    def _read(self) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            more = sock.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._broken(error)
            return
        self._said += more
        cut = len(self._said) >= _BANNER_MAX_BYTES
        if not more or cut:
            self._finish(Accepted(self._rtt_s, self._text, cut=cut))
        elif self._timer is None:  # at once, then on a beat: whoever sends letter by letter is not looked at each time
            self._look_now()

    def _look_now(self) -> None:
        """Is it there? What comes meanwhile is looked at together."""
        self._timer = None
        if self.over or self._looked_at == len(self._said):
            return
        self._looked_at = len(self._said)
        try:
            with PaidBy(self._question.whom):
                there = found(self._question.options.expect or "", self._text)
        except TookTooLong:
            there = True  # the judgement will say so
        if there:
            self._finish(Accepted(self._rtt_s, self._text))
        else:
            self._timer = self._loop.call_later(_LOOK_EVERY_S, self._look_now)

    def _broken(self, error: OSError) -> None:
        if self._said:  # whoever hangs up with something unread resets the connection, and has spoken all the same
            self._finish(Accepted(self._rtt_s, self._text))
            return
        self._finish(Refusal(f"{self._where}: connected, then {(error.strerror or str(error)).lower()}"))

    @property
    def _text(self) -> str:
        return plain_text(self._said)

    def late(self) -> None:
        """The time is up."""
        within = f"within {self._question.timeout_s:g} s"
        if self._sock is None:
            self._finish(Silence(f"{self._where}: no connection {within}"))
        elif not self._said:
            self._finish(Silence(f"{self._where}: connected, then nothing {within}"))
        else:
            self._finish(Accepted(self._rtt_s, self._text, complete=False))


def launch(question: Question[TcpOptions], done: Done) -> Callable[[], None]:
    """Connect, send, listen, close."""
    return _Asking(question, done).launch()


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
    if reply.cut:
        late = f" in its first {_BANNER_MAX_BYTES >> 10} KiB, and no more is read"
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


KIND = Kind("tcp", TcpOptions, by_launching(launch), Accepted, judge, invent, launch=launch)
