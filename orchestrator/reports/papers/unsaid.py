"""Strikes out of a sentence what a client is not to learn: other clients, hosts, addresses, the provider's people.

The one rule it keeps: a name counts where it stands as a word of its own, however it is written. What was meant is not
asked: where a host is called like a thing, both are struck out.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

ANOTHER_CLIENT, HOST, ADDRESS, PROVIDER = "another client", "a host", "an address", "the provider"
_PERHAPS_ADDRESS = re.compile(r"(?<![\w.:])[0-9A-Fa-f:.]{3,45}(?:%\w{1,16})?(?:/\d{1,3})?(?!\w)")


class Unsaid:
    """What is struck out, and by what word."""

    def __init__(self, *, others: Iterable[str], hosts: Iterable[str], people: Iterable[str]) -> None:
        """`others`: other clients. `people`: by id or name."""
        clients = {_plain(x) for x in others if x}
        self._by = {_plain(x): PROVIDER for x in people if x} | {_plain(x): HOST for x in hosts if x}
        self._by |= dict.fromkeys(clients, ANOTHER_CLIENT)
        names = "|".join(_spelled(x) + (r"(?:/[\w.@-]*\w)?" if x in clients else "") for x in _longest(self._by))
        self._named = re.compile(rf"(?<![\w-])(?:{names})(?![\w-])", re.IGNORECASE) if names else None

    def __call__(self, text: str) -> str:
        """The sentence without them."""
        if self._named is not None:
            text = self._named.sub(self._word, text)
        return _PERHAPS_ADDRESS.sub(_address, text)

    def _word(self, found: re.Match[str]) -> str:
        told = _plain(found[0])
        return self._by.get(told) or self._by.get(told.partition("/")[0], ANOTHER_CLIENT)


def _longest(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda x: (-len(x), x))


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _spelled(name: str) -> str:
    return r"\s+".join(map(re.escape, name.split()))


def _address(found: re.Match[str]) -> str:
    said = found[0]
    told = said.rstrip(".:") if not said.endswith("::") else said  # the end of a sentence, or of a clause
    try:
        ipaddress.ip_interface(told)
    except ValueError:
        return said
    return ADDRESS + said[len(told) :] if "." in told or ":" in told else said
