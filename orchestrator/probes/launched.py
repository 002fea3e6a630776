"""One question without a task, on its way: what every kind that is asked by the thousand does in the same way.

The one rule it keeps: it is answered once or abandoned, and either gives back all that it held (its look-up, its turn,
its timer, its connection); its deadline finds it over. What differs between kinds is what they define:

    `_host`, `_port`   what is looked up, and connected to
    `_begin`           how it begins: by a look-up, or by waiting for its turn
    `_go`              its turn has come
    `_reach`           these are the addresses to ask
    `_talk`            there is a connection
    `late`             its time is up: what that says
    `_fail`            what a look-up or a connection that failed says; as it is, if nothing is defined
    `_let_go`          what else it holds
"""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from orchestrator.probes.connecting import Connecting
from orchestrator.probes.kind import Done, Question
from orchestrator.probes.names import Failure
from orchestrator.probes.options import Addressed
from orchestrator.probes.results import NotAsked, Raw, Refusal, Unanswerable
from orchestrator.probes.sockets import FAMILIES, is_address, meaning_of, to_try
from orchestrator.probes.turns import Turn

OptionsT = TypeVar("OptionsT", bound=Addressed)


class Launched(ABC, Generic[OptionsT]):
    """One question, of a kind that has `launch`."""

    __slots__ = ("_done", "_finding", "_loop", "_question", "_timer", "over")

    def __init__(self, question: Question[OptionsT], done: Done) -> None:
        self._question = question
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._finding: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None  # one of its own, beside its deadline
        self.over = False

    def launch(self) -> Callable[[], None]:
        """Begin; what abandons it."""
        try:
            self._begin()
        except Exception:  # whoever launched it says so, and has nothing to abandon
            self.abandon()
            raise
        return self.abandon

    @abstractmethod
    def late(self) -> None:
        """The time is up."""
        ...

    def abandon(self) -> None:
        """Nobody waits any more. Nothing happens the second time."""
        if self.over:
            return
        self.over = True
        finding, self._finding = self._finding, None
        if finding is not None:
            finding()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._let_go()

    # ---- what kinds use

    def _find(self, within_s: float) -> None:
        """Look its host up; `_reach` is told the addresses that the author wants to be asked."""
        host = self._host
        if is_address(host):
            self._found([host])
            return
        question = self._question
        options, names = question.options, question.tools.names
        # of one family alone this machine's resolver says that the name does not exist, where it has the other
        family = FAMILIES.get(options.address_family, 0) if options.resolver else 0
        self._finding = names.find(host, options.resolver, options, within_s, self._found, question.whom, family)

    def _found(self, found: list[str] | Failure) -> None:
        self._finding = None
        if not isinstance(found, list):
            self._fail(found)
            return
        options = self._question.options
        addresses = to_try(found, options)
        if addresses:
            self._reach(addresses)
        else:
            self._fail(Refusal(f"{self._host} has no {options.address_family} address"))

    def _set_out(self) -> None:
        """It goes out now, and its time runs."""
        question = self._question
        question.stamp()
        question.tools.deadlines.add(question.timeout_s, self)

    def _finish(self, raw: Raw) -> None:
        if not self.over:
            self.abandon()
            self._done(raw)

    # ---- what kinds define

    @property
    @abstractmethod
    def _host(self) -> str: ...

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _reach(self, addresses: list[str]) -> None: ...

    def _fail(self, meaning: Failure) -> None:
        self._finish(meaning)

    @abstractmethod
    def _let_go(self) -> None: ...


class Connected(Launched[OptionsT]):
    """One question that needs a connection, and so a turn: `TURNS` is whose."""

    TURNS: ClassVar[str]

    __slots__ = ("_connecting", "_sock", "_turn", "_watched")

    def __init__(self, question: Question[OptionsT], done: Done) -> None:
        super().__init__(question, done)
        self._turn: Turn | None = None
        self._connecting: Connecting | None = None
        self._sock: socket.socket | None = None
        self._watched = False  # whether the loop watches the socket

    # ---- what kinds use

    def _take_turn(self) -> None:
        """`_go` is called when it comes, perhaps before this returns."""
        question = self._question
        turn = question.tools.turns(self.TURNS).enter(question.timeout_s, self._go, self._finish, question.whom)
        if self.over:  # it came, and the question ended, before it was known here
            turn.end()
        else:
            self._turn = turn

    def _connect(self, addresses: list[str]) -> None:
        """To the first of these that accepts; `_talk` is told the connection, and its round-trip."""
        self._connecting = Connecting(addresses, self._port, self._question.options, self._connected)
        self._connecting.begin()

    def _connected(self, sock: socket.socket | OSError | Unanswerable, rtt_s: float) -> None:
        self._connecting = None
        if isinstance(sock, Unanswerable):
            self._finish(NotAsked.of(sock))
        elif isinstance(sock, OSError):
            self._fail(meaning_of(sock, self._where))
        else:
            self._sock = sock
            self._talk(sock, rtt_s)

    @property
    def _where(self) -> str:
        return f"{self._host} port {self._port}"

    def _watch(self, reading: Callable[[], None] | None = None, writing: Callable[[], None] | None = None) -> None:
        """Call this when the connection can be read, that when it can be written to; no more what was to be called."""
        sock = self._sock
        if sock is None:
            return
        if self._watched:
            self._unwatch(sock)
        if reading is not None:
            self._loop.add_reader(sock.fileno(), reading)
        if writing is not None:
            self._loop.add_writer(sock.fileno(), writing)
        self._watched = True

    def _unwatch(self, sock: socket.socket) -> None:
        self._watched = False
        self._loop.remove_reader(sock.fileno())
        self._loop.remove_writer(sock.fileno())

    def _hang_up(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            if self._watched:
                self._unwatch(sock)
            sock.close()

    def _let_go(self) -> None:
        connecting, self._connecting = self._connecting, None  # it knows us, as the turn does
        if connecting is not None:
            connecting.abandon()
        self._hang_up()
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end()

    # ---- what kinds define

    @property
    @abstractmethod
    def _port(self) -> int: ...

    @abstractmethod
    def _go(self) -> None: ...

    @abstractmethod
    def _talk(self, sock: socket.socket, rtt_s: float) -> None: ...
