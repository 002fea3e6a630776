"""Removes secrets from error texts before anybody reads them.

The one rule it keeps: any part of a way that could be a secret (user, password, token in path or query, argument) is
replaced wherever it appears. Host names stay, because an operator needs them.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from orchestrator.core.outside import evidence
from orchestrator.core.people import AppriseWay, Way

_LONGEST = 300


def redacted(text: str, way: Way) -> str:
    """The text on one line, bounded, without the secrets of this way."""
    for secret in sorted(_secrets(way), key=len, reverse=True):
        text = text.replace(secret, "***")
    return evidence(" ".join(text.split()), _LONGEST)


def _secrets(way: Way) -> set[str]:
    if isinstance(way, AppriseWay):
        parts = {part for word in (way.url, unquote(way.url)) for part in re.split(r"[/:@?&=#,;]+", word)}
        parts -= {way.url.partition(":")[0], _host(way.url)}
    else:
        parts = {part for word in way.argv[1:] for part in (word, *re.split(r"[/:@?&=#,;]+", word))}
    return {part for part in parts if len(part) > 3}


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
