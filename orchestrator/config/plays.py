"""What a play says about its hosts, and about how to log in to them.

The one rule it keeps: if only Ansible can know, it says so, and does not guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from orchestrator.config.yaml_nodes import get, text


@dataclass(frozen=True, slots=True)
class Play:
    """A play that names hosts; a list of them as one pattern.

    `connection` is None where the inventory alone says how it logs in, "" where it cannot be known from here.
    `becomes` says whether a task of it, or of a role or file of it, becomes root on the play's own hosts.
    """

    hosts: str
    connection: str | None
    becomes: bool


def connects(path: Path, play: yaml.Node) -> str | None:
    """How a play itself says that it logs in, as `Play.connection` has it."""
    if any((path.parent / name).is_dir() for name in ("group_vars", "host_vars")):
        return ""
    if get(play, "remote_user", "port", "vars_files", "vars_prompt") is not None:
        return ""
    own = get(play, "vars")
    if isinstance(own, yaml.MappingNode) and any(str(key.value).startswith("ansible_") for key, _ in own.value):
        return ""
    return text(connection) if (connection := get(play, "connection")) is not None else None
