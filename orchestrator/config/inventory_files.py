"""The files of an inventory: its sources, the variables beside them, and what a program among them may load.

The one rule it keeps: it finds what Ansible would read, through the same path. It ignores what Ansible ignores (an
editor's copy).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from orchestrator.config import trees
from orchestrator.core.ansible import is_ignored

CLIENTS = "inventories"  # the folder of the clients' folders
OURS = (
    "services.yml",
    "services.yaml",
    "people.yml",
    "people.yaml",
    "schedules.yml",
    "schedules.yaml",
)  # in a client's folder, and none of Ansible's business
_READ_BYTES = 1 << 20
_HOSTS = re.compile(rb"(?m)^plugin:|^(?: {1,8}|\t)(?:hosts|children):")  # a plug-in's settings; groups
_HOSTS_INI = re.compile(rb"(?m)^\[[^]\n]+:(?:children|vars)\]|\bansible_\w+ *=")
_BESIDE_COMPUTED = {".py", ".sh", ".pl", ".rb", ".yml", ".yaml", ".ini", ".cfg", ".conf", ".toml", ".env"}
_STATIC_SUFFIXES = {".yml", ".yaml", ".json", ".ini", ""}


def inventory_sources(folder: Path) -> list[Path]:
    """What stands for the inventory in a client's folder: `hosts`, `hosts.*`, else `inventory`, `inventory.*`.

    Plug-ins want names that end with theirs: `hosts.aws_ec2.yml`.
    An editor's copy of one is none; in a directory Ansible itself passes over the same.
    """
    around = [p for p in sorted(folder.iterdir()) if not is_ignored(p.name)]

    def called(name: str) -> list[Path]:
        return [
            p for p in around if p.stem == name or (p.name.startswith(f"{name}.") and p.suffix in (".yml", ".yaml"))
        ]

    return called("hosts") or called("inventory")


def not_read(folder: Path, sources: Sequence[Path]) -> list[str]:
    """Names of files in a client's folder that say hosts or groups, beside the ones that stand for its inventory."""
    around = [p for p in sorted(folder.iterdir()) if p not in sources and p.name not in OURS and not is_ignored(p.name)]
    return [p.name for p in around if p.is_file() and _says_hosts(p)]


def _says_hosts(path: Path) -> bool:
    with path.open("rb") as file:
        content = file.read(_READ_BYTES)
    looks = {".ini": _HOSTS_INI, ".yml": _HOSTS, ".yaml": _HOSTS}.get(path.suffix)
    return looks is not None and looks.search(content) is not None


def ours_in(source: Path) -> str:
    """The name of a file of ours in a directory that is a source; empty if there is none."""
    return next((name for name in OURS if source.is_dir() and (source / name).is_file()), "")


def inventory_files(sources: Sequence[Path]) -> list[Path]:
    """Every file that the inventory consists of: its sources, and group_vars and host_vars beside them.

    Links are followed, as Ansible follows them.
    """
    found: set[Path] = set()
    for source in sources:
        inner = trees.files(source)
        found.update(p for p in inner if p == source or not is_ignored(p.name))
        if not source.is_dir():
            for folder in ("group_vars", "host_vars"):
                found.update(trees.files(source.parent / folder))
    return sorted(found)


def parts_of(sources: Sequence[Path]) -> list[Path]:
    """Files that are sources, or in one that is a directory; variables beside a source are none."""
    return [p for p in inventory_files(sources) if any(p == s or s in p.parents for s in sources)]


def read_by_computed(sources: Sequence[Path]) -> list[Path]:
    """What a program among the sources may load from beside it; what it is told from elsewhere nobody can know."""
    found: set[Path] = set()
    for source in sources:
        inner = trees.files(source) if source.is_dir() else [source]
        for folder in {p.parent for p in inner if p.is_file() and is_computed(p)}:
            found.update(p for p in trees.files(folder) if p.suffix in _BESIDE_COMPUTED and p.name not in OURS)
    return sorted(found)


def is_computed(path: Path) -> bool:
    """Whether an inventory's file is a program, or the settings of a plug-in: what it says is only known by asking."""
    if path.suffix not in _STATIC_SUFFIXES:
        return True
    with path.open("rb") as file:
        content = file.read(_READ_BYTES)
    return (os.access(path, os.X_OK) and content.startswith(b"#!")) or re.search(rb"(?m)^plugin:", content) is not None


def encrypted_files(sources: Sequence[Path]) -> list[Path]:
    """Files of the inventory that are encrypted as a whole."""
    found = []
    for path in inventory_files(sources):
        with path.open("rb") as file:
            if file.read(15).startswith(b"$ANSIBLE_VAULT;"):
                found.append(path)
    return found
