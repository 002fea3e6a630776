"""What a playbook publishes by `set_stats`: put together from its events as Ansible itself does.

The one rule it keeps: a value is taken from the result in which it was shown. What a task hides (`no_log`) is in no
result, though Ansible's own sum at the end has it. What is kept is bounded, shows as it is, and has no secret in it: a
survey lists command lines of others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.core.model import Json
from orchestrator.core.outside import visible
from orchestrator.runner.hidden import STRUCK, is_secrets, without_secrets

BYTES_MAX = 256 * 1024
_DEPTH_MAX = 20


class TooMuchPublished(ValueError):
    """More than is kept on record."""


class Published:
    """`secrets` are struck out of every text."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        self._secrets = secrets
        self._found: dict[str, Any] = {}

    def read(self, event: Mapping[str, Any]) -> None:
        """Take in one event of ansible-runner's."""
        if event.get("event") != "runner_on_ok":
            return
        for told in _told((event.get("event_data") or {}).get("res")):
            for name, value in told["data"].items():
                if told.get("aggregate", True) and name in self._found:
                    self._found[name] = _together(self._found[name], value)
                else:
                    self._found[name] = value

    def found(self) -> dict[str, Json]:
        """All of it. Raises TooMuchPublished."""
        kept = self._mapping(self._found, 0)
        size = len(json.dumps(kept))
        if size > BYTES_MAX:
            said = (
                f"what it publishes by set_stats is {size // 1024} KiB long, and at most {BYTES_MAX // 1024} are kept"
            )
            raise TooMuchPublished(f"{said}: {', '.join(sorted(kept))[:200]}")
        return kept

    def _kept(self, value: Any, depth: int = 0) -> Json:
        if depth > _DEPTH_MAX:
            raise TooMuchPublished(f"what it publishes by set_stats is nested more than {_DEPTH_MAX} deep")
        if isinstance(value, Mapping):
            return self._mapping(value, depth + 1)
        if isinstance(value, list | tuple):
            return [self._kept(inner, depth + 1) for inner in value]
        if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        return self._text(str(value))

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Json]:
        return {self._name(str(key)): self._of(str(key), inner, depth) for key, inner in value.items()}

    def _of(self, name: str, value: Any, depth: int) -> Json:
        return STRUCK if isinstance(value, str) and value and is_secrets(name) else self._kept(value, depth)

    def _text(self, text: str) -> str:
        text = self._known_out(text)
        return visible(text if len(text) > BYTES_MAX else without_secrets(text))  # else it is not kept anyway

    def _name(self, text: str) -> str:
        return visible(self._known_out(text))

    def _known_out(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, STRUCK)
        return text


def _told(result: Any) -> Iterator[Mapping[str, Any]]:
    """What a result, or the results of a loop, publish for the run as a whole."""
    results = result.get("results") if isinstance(result, Mapping) else None
    for one in (result, *(results if isinstance(results, list) else ())):
        told = one.get("ansible_stats") if isinstance(one, Mapping) else None
        if isinstance(told, Mapping) and isinstance(told.get("data"), Mapping) and not told.get("per_host"):
            yield told


def _together(before: Any, value: Any) -> Any:
    """As Ansible has it: mappings are merged, texts, lists and numbers added, and two kinds do not go together."""
    if isinstance(before, Mapping) and isinstance(value, Mapping):
        merged = dict(before)
        for key, inner in value.items():
            both = isinstance(inner, Mapping) and isinstance(merged.get(key), Mapping)
            merged[key] = _together(merged[key], inner) if both else inner
        return merged
    if type(before) is not type(value):
        return before
    try:
        return before + value
    except TypeError:
        return before
