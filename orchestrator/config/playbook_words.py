"""What words in a playbook's values name: files that count for its digest however a task is written.

The one rule it keeps: of what a word names nobody knows whether Ansible will load it as that, so it counts and is no
fault.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Named:
    """What is there to be named: words of files, and names in folders. Each is looked at once."""

    _words: dict[int, tuple[yaml.Node, list[str]]] = field(default_factory=dict)  # by the node's id, with the node
    _names: dict[str, frozenset[str]] = field(default_factory=dict)

    def words(self, root: yaml.Node) -> list[str]:
        """Every word of a value that may name something."""
        if id(root) not in self._words:
            split = {w for text in texts(root) for w in _BETWEEN_WORDS.split(_HERE.sub("", text)) if w.strip("./")}
            self._words[id(root)] = root, sorted(split)
        return self._words[id(root)][1]

    def may_be(self, top: str, word: str) -> bool:
        """Whether there can be something of this name; most words name nothing, and cost no look at the disk."""
        first = word.partition("/")[0]
        return first in ("", ".", "..") or "/.." in word or first in self._in(top)

    def _in(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._names[folder] = frozenset()
        return self._names[folder]


def count_words(reader: Reader, path: Path, root: yaml.Node, base: Path, found: set[Path]) -> None:
    """Whatever a word of any value names here, as Ansible and a shell in the playbook's folder would find it."""
    bases = [str(top) for top in dict.fromkeys((path.parent, base, reader.folder))]
    tops = sorted({os.path.join(top, folder) for top in bases for folder in ("", "tasks", *LOOKED_UP)})
    within, roles = str(reader.folder), [f"{top}/roles" for top in bases]
    may_be = reader.named.may_be
    for word in reader.named.words(root):
        if word.startswith("/") and not f"{word}/".startswith(f"{within}/"):
            continue  # as likely what it writes as what it reads
        for top in tops:
            if may_be(top, word):
                _word(reader, Path(os.path.normpath(os.path.join(top, word))), base, found)
        if any(
            os.path.isdir(os.path.join(top, word, part))
            for top in roles
            if may_be(top, word)
            for part in ("tasks", "meta")
        ):
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
