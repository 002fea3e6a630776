"""One HTTP question on its way: turn, look-up, connection, TLS, request, response; and again after a redirect.

The one rule it keeps: each question is a newcomer's. The name is looked up anew, the connection and the TLS session are
new. Only the compiled trust in authorities is kept for the next one, as long as its file is the same.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urljoin

from orchestrator.probes.cookies import Cookies
from orchestrator.probes.http_place import place_of
from orchestrator.probes.http_response import NoResponse, Response
from orchestrator.probes.inward import Where, may_lead, where
from orchestrator.probes.kind import Done, Question
from orchestrator.probes.launched import Connected
from orchestrator.probes.names import Failure
from orchestrator.probes.results import NotAsked, Raw, Refusal, Silence
from orchestrator.probes.sockets import meaning_of
from orchestrator.probes.trust import days_left_of, is_named, told_of_tls, trust_of

_AT_ONCE_BYTES = 65536
_FOR_ALL = ("user-agent", "accept", "accept-encoding", "accept-language", "connection", "content-type")
_MOVED = (301, 302, 303, 307, 308)


class Exchange(Connected[Any]):
    """One question. `finish` makes the kind's own reply of a response: status, text, seconds, headers, if whole,
    whether redirects led out of TLS, whether the body was cut at the limit, and the days left of the certificate."""

    TURNS = "http"

    __slots__ = (
        "_asked",
        "_body",
        "_cookies",
        "_days_left",
        "_first",
        "_first_at",
        "_head_s",
        "_headers",
        "_hops",
        "_method",
        "_out",
        "_password",
        "_place",
        "_plain",
        "_reached",
        "_reply",
        "_response",
        "_seen",
        "_started",
        "_token",
        "_url",
    )

    def __init__(
        self,
        question: Question[Any],
        headers: Mapping[str, str],
        token: str | None,
        password: str | None,
        finish: Callable[[int, str, float, Mapping[str, str], bool, bool, bool, float | None], Raw],
        done: Done,
    ) -> None:
        super().__init__(question, done)
        self._headers = headers
        self._token = token
        self._password = password  # of the client's key
        self._reply = finish
        self._url: str = question.options.url
        self._method: str = question.options.method
        self._body: bytes | None = None if question.options.body is None else question.options.body.encode()
        self._place = self._asked = place_of(self._url)
        self._first: Where | None = None  # where the place that was asked for lies
        self._first_at = ""  # its address
        self._hops = 0
        self._cookies: Cookies | None = None  # if there were redirects
        self._days_left: float | None = None  # of the certificate of the place that was asked for last
        self._plain = False  # whether a redirect led from TLS to none
        self._out = memoryview(b"")
        self._response: Response | None = None
        self._seen: dict[str, str] = {}  # names, and the addresses that they led to
        self._reached = False  # the place that was asked for last
        self._started = 0.0
        self._head_s = 0.0

    @property
    def _host(self) -> str:
        return self._place.host

    @property
    def _port(self) -> int:
        return self._place.port

    def _begin(self) -> None:
        self._take_turn()

    def _go(self) -> None:
        self._set_out()
        self._started = self._loop.time()
        self._hop()

    # ---- one hop

    def _hop(self) -> None:
        self._response = None
        self._find(max(0.001, self._started + self._question.timeout_s - self._loop.time()))

    def _found(self, found: list[str] | Failure) -> None:
        if isinstance(found, list) and found and found[0] != self._place.host:
            self._seen[self._place.host] = ", ".join(found[:8])
        super()._found(found)

    def _reach(self, addresses: list[str]) -> None:
        if self._hops:
            addresses = self._reachable(addresses)
        if addresses:
            self._connect(addresses)

    def _reachable(self, found: list[str]) -> list[str]:
        """Of the addresses that a redirect led to, those that it may lead to; if there is none, that was the answer."""
        first = self._first
        if first is None or self._question.options.redirects_inward:
            return found
        same = self._place.host == self._asked.host  # by its name: it may have several addresses
        outward = [x for x in found if x == self._first_at or may_lead(first, where(x), same_host=same)]
        if not outward:
            then = where(found[0])
            lies = "another private address" if then is first else then.value  # of no other kind is one refused
            why = f"redirected from {first.value} to {self._place.named}, {lies}"
            self._fail(Refusal(f"{why}: not followed, unless redirects_inward is true"))
        return outward

    def _talk(self, sock: socket.socket, rtt_s: float) -> None:
        self._reached, self._days_left = True, None
        if self._first is None and self._question.options.redirects:
            try:
                self._first_at = sock.getpeername()[0]
                self._first = where(self._first_at)
            except OSError:  # it was open, and has no other end any more
                self._fail(Refusal("connection: closed as soon as it was open"))
                return
        if not self._place.secure:
            self._write()
            return
        try:
            own = self._place.origin == self._asked.origin  # what the author says of its TLS is said of that place
            name = (self._question.options.tls_server_name if own else None) or self._place.certified
            context = trust_of(self._question.options, self._password if own else None, own=own, name=name)
            self._sock = context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:  # a file of authorities that cannot be read; a name that is none
            self._fail(NotAsked(f"TLS cannot be begun: {error}"))
            return
        self._shake_hands()

    def _shake_hands(self) -> None:
        sock = self._sock
        if not isinstance(sock, ssl.SSLSocket):
            return
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(reading=self._shake_hands)
        except ssl.SSLWantWriteError:
            self._watch(writing=self._shake_hands)
        except ssl.SSLCertVerificationError as error:
            self._fail(Refusal(f"certificate not accepted: {error}"))
        except (ssl.SSLError, OSError) as error:
            self._fail(Refusal(told_of_tls(error)))
        else:
            if not is_named(sock):
                self._fail(Refusal(f"certificate not accepted: it is not valid for {sock.server_hostname!r}"))
                return
            self._days_left = days_left_of(sock)
            self._write()

    def _write(self) -> None:
        """Say the request, as much of it as goes out now; then listen."""
        if self._response is None:
            self._response = Response(
                head_only=self._method == "HEAD", body_max_bytes=self._question.options.body_max_bytes
            )
            self._out = memoryview(self._request())
        sock = self._sock
        if sock is None:
            return
        try:
            while self._out:
                self._out = self._out[sock.send(self._out) :]
        except ssl.SSLWantReadError:
            self._watch(reading=self._write)
        except (BlockingIOError, InterruptedError, ssl.SSLWantWriteError):
            self._watch(reading=self._read, writing=self._write)  # some answer before they have heard it all (413)
        except OSError:
            self._watch(reading=self._read)  # perhaps it has answered, and did not wait for the end of the question
        else:
            self._watch(reading=self._read)

    def _request(self) -> bytes:
        place, body = self._place, self._body
        fields = {"host": ("Host", place.named)}
        fields |= {name.lower(): (name, value) for name, value in self._headers.items()}
        if self._token is not None:
            fields["authorization"] = ("Authorization", f"Bearer {self._token}")
        cookies = self._cookies.said(place.host, place.url) if self._cookies is not None else ""
        if cookies:
            given = fields.get("cookie", ("Cookie", ""))[1]
            fields["cookie"] = ("Cookie", f"{given}; {cookies}" if given else cookies)
        if body is not None:
            fields.setdefault("content-type", ("Content-Type", "text/plain; charset=utf-8"))
            fields["content-length"] = ("Content-Length", str(len(body)))
        elif self._method in ("POST", "PUT", "PATCH"):
            fields["content-length"] = ("Content-Length", "0")
        lines = [f"{self._method} {place.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.values())]
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "replace") + (body or b"")

    def _read(self) -> None:
        sock, response = self._sock, self._response
        if sock is None or response is None:
            return
        try:
            while not response.complete:
                data = sock.recv(_AT_ONCE_BYTES)
                if data:
                    response.feed(data)
                else:
                    response.feed_end()
                if response.status and not self._head_s:
                    self._head_s = self._loop.time() - self._started
                    if self._is_redirected(response):
                        self._redirect(response)
                        return
                if not response.complete and data:
                    break  # everybody else's turn; the loop calls again while there is more
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            return
        except ssl.SSLWantWriteError:
            self._watch(writing=self._read)
            return
        except NoResponse as none:
            if self._is_redirected(response):  # whatever its body is, nobody looks at it
                self._redirect(response)
            else:
                self._fail(Refusal(_told(none)))
            return
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._end(response)
            return
        except ssl.SSLError as error:  # with TLS 1.3 a refusal of our side comes after the handshake
            self._fail(Refusal(told_of_tls(error)))
            return
        except OSError as error:
            self._fail(meaning_of(error, "connection"))
            return
        if response.complete:
            self._answer(response, self._loop.time() - self._started, complete=True)
        elif isinstance(sock, ssl.SSLSocket):  # TLS may keep some back, of which the loop knows nothing
            self._loop.call_soon(self._read)

    def _end(self, response: Response) -> None:
        try:
            response.feed_end()
        except NoResponse as none:
            self._fail(Refusal(_told(none)))
        else:
            self._answer(response, self._loop.time() - self._started, complete=True)

    def _is_redirected(self, response: Response) -> bool:
        return bool(self._question.options.redirects and response.status in _MOVED and response.location)

    def _redirect(self, response: Response) -> None:
        if self._hops >= self._question.options.redirects:
            self._fail(Refusal("too many redirects"))
            return
        self._hops += 1
        if "set-cookie" in response.headers:
            self._cookies = self._cookies or Cookies()
            self._cookies.take(self._place.host, self._place.url, response.headers["set-cookie"].split("\n"))
        try:
            place = place_of(urljoin(self._url, response.location))
        except ValueError:
            self._fail(Refusal(f"redirected to no URL: {response.first('location')[:200]}"))
            return
        if place.origin != self._place.origin:  # what the author says there is meant for nobody else
            self._token = None
            self._headers = {name: value for name, value in self._headers.items() if name.lower() in _FOR_ALL}
        self._plain = self._plain or (self._place.secure and not place.secure)
        if (response.status == 303 and self._method != "HEAD") or (
            response.status in (301, 302) and self._method == "POST"
        ):
            self._method, self._body = "GET", None
        if self._body is not None and (place.host != self._asked.host or self._plain):
            self._fail(Refusal(f"redirected to {place.named}: what is sent is meant for {self._asked.named} alone"))
            return
        self._url, self._place, self._head_s, self._reached = place.url, place, 0.0, False
        self._hang_up()
        self._hop()

    # ---- ends

    def late(self) -> None:
        """The time is up. A response that has begun is an answer."""
        response = self._response
        if response is not None and response.status:
            self._answer(response, self._head_s, complete=False)
            return
        what = f"redirected to {self._place.named}: " if self._hops else ""
        what += "connected, no response" if self._reached else "no connection"
        self._fail(Silence(f"{what} within {self._question.timeout_s:g} s"))

    def _answer(self, response: Response, took_s: float, *, complete: bool) -> None:
        told = (response.status, response.text, took_s, response.headers, complete, self._plain)
        self._finish(self._reply(*told, response.cut, self._days_left))

    def _fail(self, meaning: Failure) -> None:
        """With the addresses that names led to: half of what an operator wants to know."""
        named = [f"{host} is {addresses}" for host, addresses in self._seen.items()]
        self._finish(type(meaning)(meaning.why + f" ({'; '.join(named)})") if named else meaning)

    def _let_go(self) -> None:
        super()._let_go()
        self._response = None


def _told(none: NoResponse) -> str:
    text = str(none)
    return text if text.startswith("connection closed") else f"no HTTP response: {text}"
