"""http: does a page, an API or a whole transaction answer as it should, by the path an end user takes?

The one rule it keeps: each question is a newcomer's. A new connection, the name looked up anew (at the name server
given in `resolver`, where the end user's own would look), nothing kept from the last question.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from orchestrator.core.events import Answer
from orchestrator.core.model import Json
from orchestrator.probes import patience
from orchestrator.probes.domain_names import name_to_ask_for
from orchestrator.probes.example_texts import differing, matching, matching_all
from orchestrator.probes.expressions import TookTooLong, found
from orchestrator.probes.http_head import listed
from orchestrator.probes.http_place import place_of
from orchestrator.probes.kind import Done, Kind, Question, by_launching, first_judged
from orchestrator.probes.options import Addressed, Text
from orchestrator.probes.patterns import NoDocument, Path, Pattern, another, document_with, mismatches
from orchestrator.probes.results import CannotInvent, Judged, Refusal, Unanswerable
from orchestrator.probes.unpacking import unreadable

_HEADERS = {
    "User-Agent": "bascule-probe",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "close",
}


def _is_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no URL: write http://HOST[:PORT]/PATH or https://…")
    if parts.username or parts.password:
        raise ValueError("a URL with a password ends up in logs: use token_file, or headers without secrets")
    try:
        place_of(url)
    except ValueError as error:
        raise ValueError(f"{url!r} is no URL: {error}") from error
    return url


def _is_name(name: str) -> str:
    return name_to_ask_for(name.removesuffix("."))


def _are_ciphers(ciphers: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(ciphers)
    except ssl.SSLError as error:
        raise ValueError(f"{ciphers!r} names no cipher that OpenSSL knows here") from error
    return ciphers


def _on_one_line(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not name.isascii() or not name.isprintable() or any(mark in name for mark in " :") or not name:
            raise ValueError(f"{name!r} is no name of a header")
        if any(mark in value for mark in "\r\n\0"):
            raise ValueError(f"header {name}: a value is one line")
    return headers


def _as_written(value: object) -> object:
    """A version is a number to YAML."""
    return str(value) if isinstance(value, float) else value


def _list_of_one(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


Scalar = str | bool | int | float | None
Status = Annotated[int, Field(ge=100, le=999)]  # what servers say, not what is registered


class HttpOptions(Addressed):
    """Options of `probe: http`."""

    url: Annotated[str, AfterValidator(_is_url)]
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] = "GET"
    body: str | None = None
    headers: Annotated[Mapping[str, str], AfterValidator(_on_one_line)] = Field(default_factory=dict)
    status: Annotated[tuple[Status, ...], BeforeValidator(_list_of_one), Field(min_length=1)] = Field(
        default=(200, 201, 202, 203, 204), description="accepted status, or a list of them"
    )
    match: Pattern | None = Field(default=None, description="regular expression that the body must match somewhere")
    json_is: Mapping[Path, Scalar] = Field(
        default_factory=dict, alias="json", description="dotted path in a JSON body, to the value it must have"
    )
    header_matches: Mapping[str, Pattern] = Field(default_factory=dict, description="response header, to its pattern")
    token_file: Text | None = Field(default=None, description="file with a bearer token")
    token_secret: Text | None = Field(default=None, description="name of the secret with a bearer token")
    redirects: Annotated[int, Field(ge=0, le=10)] = Field(default=0, description="redirects to follow")
    redirects_inward: bool = Field(
        default=False, description="follow a redirect also to (another) private address or to this machine"
    )
    body_max_bytes: Annotated[int, Field(ge=1, le=64 << 20)] = Field(
        default=1 << 20, description="of the body, unpacked, that are read and looked at"
    )
    tls_verify: bool = True
    tls_ca_file: Text | None = None
    tls_server_name: Annotated[Text, AfterValidator(_is_name)] | None = Field(
        default=None, description="name that is asked for (SNI) and that the certificate must have; else the URL's host"
    )
    tls_client_cert_file: Text | None = Field(default=None, description="certificate to show, with its chain")
    tls_client_key_file: Text | None = Field(default=None, description="its key, if it is not in the same file")
    tls_client_key_secret: Text | None = Field(default=None, description="name of the secret that opens the key")
    tls_min_version: Annotated[Literal["1.0", "1.1", "1.2", "1.3"] | None, BeforeValidator(_as_written)] = Field(
        default=None, description="1.2 if left out"
    )
    tls_ciphers: Annotated[Text, AfterValidator(_are_ciphers)] | None = Field(
        default=None, description="as OpenSSL writes them, for TLS up to 1.2"
    )
    tls_days_left: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="days that the certificate must still be valid"
    )

    @model_validator(mode="after")
    def _one_token(self) -> HttpOptions:
        if (self.tls_client_key_file or self.tls_client_key_secret) and not self.tls_client_cert_file:
            raise ValueError("a client's key without its certificate: write tls_client_cert_file too")
        if self.tls_days_left is not None and urlsplit(self.url).scheme != "https" and not self.redirects:
            raise ValueError("tls_days_left: an http:// URL has no certificate")
        if self.token_file and self.token_secret:
            raise ValueError("token_file and token_secret are both given: choose one")
        return self


@dataclass(frozen=True, slots=True)
class Responded:
    """A response; `complete` is False if the rest of its body did not come in time, `plain` is True if a redirect led
    from TLS to a place without."""

    status: int
    body: str
    rtt_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True
    plain: bool = False
    cut: bool = False  # the body was longer than `body_max_bytes`
    days_left: float | None = None  # of the certificate, if there was one


def launch(question: Question[HttpOptions], done: Done) -> Callable[[], None]:
    """One request on a connection of its own."""
    from orchestrator.probes.http_exchange import Exchange

    options = question.options
    token = question.secret(options.token_secret, options.token_file)
    if token is not None and not token.isprintable():
        raise Unanswerable("the token has a line break or another character that no header can carry")
    password = question.secret(options.tls_client_key_secret, None)
    return Exchange(question, {**_HEADERS, **options.headers}, token, password, Responded, done).launch()


def judge(options: HttpOptions, reply: Responded) -> Judged:
    """Status, then headers, then body: the first that is not as expected is what the operator reads."""
    measures = {"rtt_s": reply.rtt_s, "status": float(reply.status)}
    if reply.days_left is not None:
        measures["cert_days_left"] = reply.days_left
    seen = f"HTTP {reply.status}"
    if reply.status not in options.status:
        text = " ".join(reply.body[:2000].split())[:120]
        expected = ", ".join(str(s) for s in options.status)
        return Judged(Answer.BAD, measures, f"{seen}{': ' + text if text else ''} (expected {expected})")
    headers = {name.lower(): value for name, value in reply.headers.items()}
    for name, pattern in options.header_matches.items():
        value = headers.get(name.lower())
        if value is None or not _is_among(pattern, value.split("\n")):
            shown = None if value is None else value.replace("\n", ", ")[:200]
            return Judged(Answer.BAD, measures, f"{seen}, header {name} is {shown!r}, expected /{pattern}/")
    if options.tls_days_left is not None and reply.days_left is None:
        return Judged(Answer.BAD, measures, f"{seen}, but no certificate was shown whose days could be counted")
    if options.tls_days_left is not None and (reply.days_left or 0.0) < options.tls_days_left:
        left = f"{reply.days_left:.1f} days left" if (reply.days_left or 0.0) >= 0 else "expired"
        return Judged(Answer.BAD, measures, f"{seen}, certificate: {left}, expected {options.tls_days_left:g}")
    if not reply.complete:
        return Judged(Answer.BAD, measures, f"{seen}, then the body did not end in time")
    cut = f", too long: only its first {_size(options.body_max_bytes)} were read (body_max_bytes)," if reply.cut else ""
    packed = unreadable(listed(headers.get("content-encoding", "")))
    cut += f", packed by {packed} although that was not asked for," if packed else ""
    if options.match is not None and not found(options.match, reply.body):
        start = " ".join(reply.body[:2000].split())[:80]
        return Judged(Answer.BAD, measures, f"{seen}, body{cut} does not match /{options.match}/: {start!r}")
    if options.json_is and (wrong := _wrong_in(reply.body, options.json_is, cut)):
        return Judged(Answer.BAD, measures, f"{seen}, {wrong}")
    out = ", redirected from https to http" if reply.plain else ""
    out += f"; body{cut.rstrip(',')}" if reply.cut else ""
    return Judged(Answer.GOOD, measures, f"{seen} in {reply.rtt_s * 1000:.0f} ms{out}")


def _wrong_in(body: str, wanted: Mapping[str, Json], cut: str) -> str:
    """What in this document is not as wanted; empty: nothing. Raises `TookTooLong`."""
    if not patience.is_affordable(len(body)):
        raise TookTooLong(f"a body of {len(body)} characters was not read as JSON: {patience.SPENT}")
    with patience.look():
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return f"body{cut} is no JSON: {body[:80]!r}"
        return "; ".join(islice(mismatches(document, wanted), 3))


def _is_among(pattern: str, values: list[str]) -> bool:
    """A repeated header is one list (RFC 9110, 5.3): one of its values, or the list as a whole."""
    return any(found(pattern, value) for value in values[:100]) or found(pattern, ", ".join(values))


def _size(size_bytes: int) -> str:
    return f"{size_bytes >> 20} MiB" if size_bytes % (1 << 20) == 0 else f"{size_bytes} bytes"


def invent(options: HttpOptions, so: bool, measures: Mapping[str, float]) -> Responded | Refusal:
    """The page as expected; else with something else where the check looks: in its JSON, text, headers, or status."""
    rtt_s = measures.get("rtt_s", 0.0)
    given = int(measures.get("status", 0))
    status = given if given in options.status else options.status[0]
    days = measures.get("cert_days_left", options.tls_days_left)
    if so:
        headers = _invented_headers(options)
        bodies = _bodies(options, options.json_is)
        replies = (Responded(status, body, rtt_s, headers, days_left=days) for body in bodies)
        reply = first_judged(judge, options, Answer.GOOD, replies)
        if reply is None:
            wanted = {"match": options.match, "json": options.json_is}
            named = " with ".join(name for name, value in wanted.items() if value)
            raise CannotInvent("http", named, "no body was found that is as all of it says")
        return reply
    return first_judged(judge, options, Answer.BAD, _not_so(options, status, given, rtt_s, days)) or Refusal(
        f"{options.url}: connection closed before any response"
    )


def _not_so(options: HttpOptions, status: int, given: int, rtt_s: float, days: float | None) -> Iterator[Responded]:
    try:
        headers = _invented_headers(options)
        body = next(_bodies(options, options.json_is), "")
    except CannotInvent:
        headers, body = {}, ""
    if options.json_is:
        try:
            otherwise = {path: another(value) for path, value in options.json_is.items()}
            yield from (Responded(status, text, rtt_s, headers, days_left=days) for text in _bodies(options, otherwise))
        except CannotInvent:
            yield Responded(status, "{}", rtt_s, headers, days_left=days)
    if options.match is not None and (text := differing(options.match)) is not None:
        yield Responded(status, text, rtt_s, headers, days_left=days)
    for name, pattern in options.header_matches.items():
        value = differing(pattern)
        changed = {**headers, name.lower(): value} if value is not None else {}
        yield Responded(status, body, rtt_s, changed, days_left=days)
    for other in (given, 503, 500, 404, *range(100, 600)):
        if 100 <= other <= 599:
            yield Responded(other, "", rtt_s, days_left=days)


def _invented_headers(options: HttpOptions) -> dict[str, str]:
    wanted: dict[str, tuple[str, ...]] = {}
    for name, pattern in options.header_matches.items():
        wanted[name.lower()] = (*wanted.get(name.lower(), ()), pattern)
    headers = {}
    for name, patterns in wanted.items():
        value = matching_all(patterns)
        if value is None:
            said = " and ".join(f"/{pattern}/" for pattern in patterns)
            raise CannotInvent("http", "header_matches", f"no text was found for header {name} that matches {said}")
        headers[name] = value
    return headers


def _bodies(options: HttpOptions, values: Mapping[str, Scalar]) -> Iterator[str]:
    """Bodies that have these values, and most likely the text that is to match: whoever takes one judges it first."""
    text = "" if options.match is None else matching(options.match)
    if text is None:
        raise CannotInvent("http", "match", f"no text was found that matches /{options.match}/")
    if not values:
        yield text
        return
    try:
        document = document_with(values)
    except NoDocument as conflict:
        raise CannotInvent("http", "json", str(conflict)) from conflict
    yield json.dumps(document, ensure_ascii=False)
    yield json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    if isinstance(document, dict):
        plain = json.dumps(document, ensure_ascii=False)
        yield json.dumps({**document, "text": text}, ensure_ascii=False)
        yield f"{{{text}, {plain[1:]}"  # the text may be a piece of JSON itself: "status": "ok"
        yield f"{plain[:-1]}, {text}}}"
    yield f"{json.dumps(document, ensure_ascii=False)}{text}"  # it may be white space


KIND = Kind(
    "http",
    HttpOptions,
    by_launching(launch),
    Responded,
    judge,
    invent,
    imports=("orchestrator.probes.http_exchange",),
    launch=launch,
)
