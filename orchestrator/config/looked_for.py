"""Where Ansible looks for what a play or a task names, first choice first.

The one rule it keeps: no place is left out in which Ansible would find it, so that nothing is missed that is there.

    role    a collection's, where the play searches some or lies in one; else `roles` beside the playbook, `roles_path`,
            beside the role that depends on it, beside the playbook, where Ansible starts
    file    beside the file that names it; below the role that asks, or the task files' own folder; then below each role
            that asked for that one, and beside the playbook: in the folder of its kind first (`templates`, `tasks`, …)
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path

import yaml

from orchestrator.config.yaml_nodes import pairs

_FOLDERS = {"include_tasks": "tasks", "import_tasks": "tasks", "include_vars": "vars", "vars_files": "vars"}


def places_of_file(name: str, kind: str, path: Path, base: Path, asking: Iterable[Path]) -> Iterator[Path]:
    """Where a file may be that `path` names; `asking`: the playbook's folder, and the roles that led to it."""
    for top in (path.parent, base, *reversed([*asking])):
        yield top / _FOLDERS.get(kind, kind) / name
        yield top / name


def searches_collections(path: Path, tree: Callable[[Path], yaml.Node | None]) -> bool:
    """Whether a name without dots may be a collection's: the file lies in one, or a play, task or role names some."""
    said = (path, *(path.parent.parent / "meta" / f"main{suffix}" for suffix in (".yml", ".yaml")))
    return "ansible_collections" in path.parts or any(
        key == "collections" for root in map(tree, said) if root is not None for key, _ in pairs(root)
    )


def is_loaded(path: Path, role: Path, names: Container[str]) -> bool:
    """Whether a role loads this file: its `main`, or what `tasks_from` and the like name."""
    return path.stem in names and path.parent.parent == role


def is_file_here(base: Path, name: str) -> bool:
    """Whether a name that may be that of a collection's playbook is a file here, as Ansible asks first."""
    return not re.fullmatch(r"\w+\.\w+\.[\w./-]+", name) or (base / name).exists() or name.endswith((".yml", ".yaml"))


def words_of_call(text: str) -> list[str]:
    """A program and what it is given, as a shell would have them."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
