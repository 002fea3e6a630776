"""Keeps an inventory as it was last read, for the time when it cannot be read.

The one rule it keeps: it stores what Ansible itself printed, with inline vaulted values still encrypted. If an
inventory has files that are encrypted as a whole, nothing is stored, because Ansible prints those in clear.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config.whole_file import write_whole

FOLDER = Path(".bascule") / "last-read"


@dataclass(frozen=True, slots=True)
class Reading:
    """What `ansible-inventory --list` said, without and with `--export`, and when (wall clock).

    `of`: digest of the sources that said so; empty in readings of versions that did not keep it.
    """

    merged: dict[str, Any]
    exported: dict[str, Any]
    at: float
    of: str = ""


@dataclass(frozen=True, slots=True)
class Stale:
    """A client whose inventory is used as it was last read."""

    path: Path  # an inventory that Ansible reads
    at: float
    why: str

    def __str__(self) -> str:
        read = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.at))
        return f"the inventory as it was read on {read}: {self.why}"


def keep(folder: Path, client: str, merged: dict[str, Any], exported: dict[str, Any], of: str = "") -> None:
    """Remember it, in place of the one before. What cannot be kept is not."""
    text = json.dumps({"at": time.time(), "merged": merged, "exported": exported, "of": of})
    with contextlib.suppress(OSError):
        write_whole(folder / f"{client}.json", text)


def forget(folder: Path, client: str) -> None:
    """Keep nothing of this client."""
    for suffix in ("json", "yml"):
        with contextlib.suppress(OSError):
            (folder / f"{client}.{suffix}").unlink()


def last(folder: Path, client: str) -> Reading | None:
    """What was kept."""
    try:
        kept = json.loads((folder / f"{client}.json").read_text())
        return Reading(dict(kept["merged"]), dict(kept["exported"]), float(kept["at"]), str(kept.get("of", "")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def as_inventory(folder: Path, client: str) -> Path | None:
    """The same as a file for `ansible-playbook -i`; None where nothing was kept. Raises OSError."""
    kept = last(folder, client)
    if kept is None:
        return None
    path = folder / f"{client}.yml"
    write_whole(path, yaml.dump(static(kept.exported), Dumper=_Dumper, sort_keys=False, allow_unicode=True))
    return path


def static(exported: dict[str, Any]) -> dict[str, Any]:
    """A script's answer in the form of a YAML inventory: each group with its hosts, children and own variables."""
    found: dict[str, Any] = {}
    hostvars = exported.get("_meta", {}).get("hostvars", {})
    for name, group in exported.items():
        if name == "_meta" or not isinstance(group, dict):
            continue
        entry: dict[str, Any] = {}
        if group.get("hosts"):
            entry["hosts"] = dict.fromkeys(group["hosts"])
        children = [c for c in group.get("children", ()) if c != "ungrouped" or c in exported]
        if children:
            entry["children"] = dict.fromkeys(children)
        if group.get("vars"):
            entry["vars"] = _tagged(group["vars"])
        found[name] = entry
    hosts = found.setdefault("all", {}).setdefault("hosts", {})
    for host, variables in hostvars.items():
        hosts[host] = _tagged(variables)
    return found


class _Vault(str):
    """A ciphertext, to be written with its tag."""


class _Unsafe(str):
    """A text that Ansible must not take for a template."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Vault, lambda dumper, x: dumper.represent_scalar("!vault", str(x), style="|"))
_Dumper.add_representer(_Unsafe, lambda dumper, x: dumper.represent_scalar("!unsafe", str(x)))


def _tagged(value: Any) -> Any:
    """What Ansible writes as a mapping of its own in JSON, and as a tag in YAML."""
    if isinstance(value, dict):
        if set(value) == {"__ansible_vault"}:
            return _Vault(value["__ansible_vault"])
        if set(value) == {"__ansible_unsafe"}:
            return _Unsafe(value["__ansible_unsafe"])
        return {key: _tagged(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_tagged(inner) for inner in value]
    return value
