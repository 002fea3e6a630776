"""Values of an inventory as `ansible-inventory` writes them: secrets, verbatim texts, and the cache of both.

The one rule it keeps: a secret is `Vaulted` from the moment it is read. Its clear text reaches no file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.whole_file import write_whole


@dataclass(frozen=True, slots=True)
class Vaulted:
    """A secret: its ciphertext, or (from a file encrypted as a whole) its clear text. Shown as neither."""

    ciphertext: str | None = None
    clear: str | None = None

    def __repr__(self) -> str:
        return "Vaulted(…)"


class Verbatim(str):
    """A text that Ansible does not take for a template, whatever it holds: others said it."""

    __slots__ = ()


def marked(value: Any) -> Any:
    """As Ansible wrote it: a text that is no template is marked as such."""
    if isinstance(value, Verbatim):
        return {"__ansible_unsafe": str(value)}
    if isinstance(value, dict):
        return {k: marked(v) for k, v in value.items()}
    return [marked(v) for v in value] if isinstance(value, list) else value


def encrypted(value: Any) -> dict[str, str]:
    if isinstance(value, Vaulted) and value.ciphertext is not None:
        return {"__ansible_vault": value.ciphertext}
    raise TypeError(f"{value!r} does not belong into a cache")


def hide(output: Any, secret_names: frozenset[str] | set[str]) -> None:
    """Replace, in place, what is secret by `Vaulted`."""
    items = (
        list(output.items())
        if isinstance(output, dict)
        else list(enumerate(output))
        if isinstance(output, list)
        else []
    )
    for key, value in items:
        if isinstance(value, dict) and set(value) == {"__ansible_vault"}:
            output[key] = Vaulted(ciphertext=str(value["__ansible_vault"]))
        elif isinstance(value, dict) and set(value) == {"__ansible_unsafe"}:
            output[key] = (
                Vaulted(clear=str(value["__ansible_unsafe"]))
                if key in secret_names
                else Verbatim(value["__ansible_unsafe"])
            )
        elif key in secret_names and isinstance(key, str):
            output[key] = _hidden(value)
        else:
            hide(value, secret_names)


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _hidden(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_hidden(v) for v in value]
    return Vaulted(clear=str(value))


def from_cache(stored: Path, key: str) -> tuple[dict[str, Any], dict[str, Any], list[str]] | None:
    try:
        kept = json.loads(stored.read_text())
        if kept["key"] != key:
            return None
        for part in ("merged", "exported"):
            hide(kept[part], frozenset())
        return kept["merged"], kept["exported"], kept["warnings"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def to_cache(stored: Path, key: str, merged: Any, exported: Any, warnings: tuple[str, ...]) -> None:
    """A cache that cannot be written is none."""
    kept = {"key": key, "merged": marked(merged), "exported": marked(exported), "warnings": warnings}
    text = json.dumps(kept, default=encrypted)
    with contextlib.suppress(OSError):
        write_whole(stored, text)
