"""Cookies within one question: a cookie that a redirect sets is sent on, and forgotten with the answer.

The one rule it keeps: a cookie goes where a browser would send it: back to the very host that set it; to other hosts of
a domain only if the first host is in it and asked for that; and never out of TLS if it is `Secure`. http.cookiejar
parses them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.message import Message
from http.cookiejar import CookieJar
from typing import Any, cast
from urllib.request import Request

from orchestrator.probes.sockets import is_address

_ONE_MAX = 4096  # characters, as browsers have it
_MANY_MAX = 50
_DOMAIN = re.compile(r';\s*domain\s*=\s*"?\.?([^;"\s]*)"?\s*(?=;|$)', re.IGNORECASE)
_QUOTED_PATH = re.compile(r'(;\s*path\s*=\s*)"([^;"]*)"', re.IGNORECASE)


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
    """Of one question."""

    def __init__(self) -> None:
        self._jars: dict[str, CookieJar] = {}  # host by host: http.cookiejar would send them to hosts below it, too
        self._of_domains = CookieJar()

    def take(self, host: str, url: str, set_cookies: Iterable[str]) -> None:
        """What this host set, in its answer to this URL."""
        short = [value for value in set_cookies if 0 < len(value) <= _ONE_MAX][:_MANY_MAX]
        for value in short:
            cookie = _QUOTED_PATH.sub(r"\1\2", value)
            domain = _domain_of(cookie, host)
            jar = self._of_domains if domain else self._jars.setdefault(host, CookieJar())
            plain = _DOMAIN.sub("", cookie) + (f"; Domain={domain}" if domain else "")
            jar.extract_cookies(cast(Any, _Reply([plain])), Request(url))  # noqa: S310  # nothing is opened

    def said(self, host: str, url: str) -> str:
        """What is sent back to this host with this URL; empty if nothing is."""
        told = []
        for jar in (self._jars.get(host), self._of_domains):
            if jar is not None:
                request = Request(url)  # noqa: S310  # nothing is opened
                jar.add_cookie_header(request)
                told.append(request.get_header("Cookie") or "")
        return "; ".join(text for text in told if text)


def _domain_of(cookie: str, host: str) -> str:
    """The domain that a cookie is for, if more than its own host is in it; one that its host is not in is refused."""
    said = [found.lower() for found in _DOMAIN.findall(cookie)]
    domain = said[-1] if said else ""
    return "" if domain in ("", host.removesuffix(".")) or is_address(host) else domain
