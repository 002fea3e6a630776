"""Cookies within one question: what a redirect sets is sent on to the same host, and forgotten with the answer.

The one rule it keeps: a cookie goes back to the very host that set it, whatever `Domain` it asks for, and never leaves
TLS if it is `Secure`. Parsing is http.cookiejar's.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.message import Message
from http.cookiejar import CookieJar
from typing import Any, cast
from urllib.request import Request

_ONE_MAX = 4096  # characters, as browsers have it
_MANY_MAX = 50


class _Reply:
    """As http.cookiejar wants to see one."""

    def __init__(self, set_cookies: Iterable[str]) -> None:
        self._message = Message()
        for value in set_cookies:
            self._message["Set-Cookie"] = value

    def info(self) -> Message:
        """Its headers."""
        return self._message


class Cookies:
    """Of one question, host by host."""

    def __init__(self) -> None:
        self._jars: dict[str, CookieJar] = {}

    def take(self, host: str, url: str, set_cookies: Iterable[str]) -> None:
        """What this host set, in its answer to this URL."""
        short = [value for value in set_cookies if 0 < len(value) <= _ONE_MAX][:_MANY_MAX]
        if short:
            jar = self._jars.setdefault(host, CookieJar())
            jar.extract_cookies(cast(Any, _Reply(short)), Request(url))  # noqa: S310  # nothing is opened

    def said(self, host: str, url: str) -> str:
        """What is sent back to this host with this URL; empty if nothing is."""
        jar = self._jars.get(host)
        if jar is None:
            return ""
        request = Request(url)  # noqa: S310  # nothing is opened
        jar.add_cookie_header(request)
        return request.get_header("Cookie") or ""
