"""What words in a playbook's values name: files that count for its digest however a task is written.

The one rule it keeps: of what a word names nobody knows whether Ansible will load it as that, so it counts and is no
fault.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from orchestrator.config import trees
from orchestrator.config.yaml_nodes import texts

if TYPE_CHECKING:
    from orchestrator.config.playbooks import Reader

LOOKED_UP = ("files", "templates", "vars")  # where lookups, and names with templates in them, find theirs
_BETWEEN_WORDS = re.compile(r"[\s\"'=,;:|(){}\[\]<>@`]+")
_HERE = re.compile(r"\{\{\s*(playbook_dir|role_path)\s*\}\}/*")


def count_words(reader: Reader, path: Path, root: yaml.Node, base: Path, found: set[Path]) -> None:
    """Whatever a word of any value names here, as Ansible and a shell in the playbook's folder would find it."""
    bases = dict.fromkeys((path.parent, base, reader.folder))
    tops = sorted({top / folder for top in bases for folder in ("", "tasks", *LOOKED_UP)})
    words = {w for text in texts(root) for w in _BETWEEN_WORDS.split(_HERE.sub("", text)) if w.strip("./")}
    for word in sorted(words):
        if word.startswith("/") and not Path(word).is_relative_to(reader.folder):
            continue  # as likely what it writes as what it reads
        for top in tops:
            _word(reader, Path(os.path.normpath(top / word)), base, found)
        if any((top / "roles" / word / part).is_dir() for top in bases for part in ("tasks", "meta")):
            reader.role(path, yaml.ScalarNode("tag:yaml.org,2002:str", word), found)


def _word(reader: Reader, there: Path, base: Path, found: set[Path]) -> None:
    if not there.is_relative_to(reader.workspace) or reader.folder.is_relative_to(there):
        return
    if there in found and there.parent.name != "templates":
        return
    try:
        if there.is_dir():
            if there.parent != reader.workspace and there.name != "roles":  # those are looked through by name
                found.update(trees.files(there))
            return
        if not there.is_file():
            return
    except (OSError, ValueError):  # too long for a name: it names nothing
        return
    if there.parent.name == "templates":
        found.update(trees.files(there.parent))  # one includes another
        return
    found.add(there)
    if there.suffix in (".yml", ".yaml"):
        root = reader.tree(there)
        if root is not None:
            reader.walk(there, root, base, found)
