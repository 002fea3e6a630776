"""Where a URL leads: the address to connect to, the name to ask for, the path.

The one rule it keeps: the request is the one that a browser makes for the same URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlsplit

from orchestrator.probes.domain_names import name_to_ask_for
from orchestrator.probes.sockets import is_address

_SAFE = "/:@!$&'()*+,;=~-._%[]|"  # what browsers leave in a path as it is; what is percent-encoded already stays so
_SAFE_IN_QUERY = _SAFE + "?{}^`\\"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads."""

    secure: bool
    host: str
    port: int
    path: str
    named: str  # as the Host header names it

    @property
    def url(self) -> str:
        """Plain, as a program writes it."""
        return f"{'https' if self.secure else 'http'}://{self.named}{self.path}"

    @property
    def certified(self) -> str:
        """What the certificate must name, and the server is told (SNI): no final dot, no zone of this machine."""
        return self.host.partition("%")[0].removesuffix(".")

    @property
    def origin(self) -> tuple[bool, str, int]:
        """What a token is meant for."""
        return self.secure, self.host, self.port


@lru_cache(maxsize=1 << 14)
def place_of(url: str) -> Place:
    """The place that a URL names. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no web address")
    secure = parts.scheme == "https"
    usual = 443 if secure else 80
    port = usual if parts.port is None else parts.port
    if not port:
        raise ValueError(f"{url!r} is no web address: port 0 is none")
    host = parts.hostname.replace("%25", "%")  # before a zone (RFC 6874)
    if not is_address(host):
        host = name_to_ask_for(host)
    address, _, _zone = host.partition("%")  # means something on this machine alone
    shown = f"[{address}]" if ":" in host else host
    path = quote(_without_dots(parts.path), safe=_SAFE) + (
        f"?{quote(parts.query, safe=_SAFE_IN_QUERY)}" if parts.query else ""
    )
    return Place(secure, host, port, path, shown if port == usual else f"{shown}:{port}")


def _without_dots(path: str) -> str:
    """`/a/../b` is `/b` before anybody is asked for it (RFC 3986, 5.2.4)."""
    if "/." not in path and "/%2e" not in path.lower():
        return path or "/"
    kept: list[str] = []
    parts = path.split("/")[1:]
    for number, part in enumerate(parts):
        plain = part.lower().replace("%2e", ".")
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(part)
        if plain in (".", "..") and number == len(parts) - 1:
            kept.append("")
    return "/" + "/".join(kept)
