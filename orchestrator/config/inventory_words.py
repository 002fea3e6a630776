"""Files of this machine that an inventory names, or what a move gives its playbook, or a proof that a place is out.

The one rule it keeps: a jump's program, a wrapper of ssh or a script in a variable runs here with the controller's
rights, as a playbook's own files do. So it counts for the digest as they do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from orchestrator.config import trees
from orchestrator.config.faults import Faults
from orchestrator.config.inventory_files import CLIENTS, OURS, inventory_files
from orchestrator.config.playbook_words import apart, words_of
from orchestrator.config.strict_yaml import compose
from orchestrator.config.surroundings import (
    configured,
    label,
    of_ssh,
    programs,
    programs_in,
    ssh_files_in,
    start_directory,
    text_of,
)
from orchestrator.config.words import YAML, words_in
from orchestrator.config.yaml_nodes import get, mappings, pairs, text, texts

_OF_A_MOVE = ("vars", "limit")
_PROOFS = ("proven_when", "dark_when", "apart_when")
_KEPT_IN = ("cache_connection", "cache_prefix")  # options of inventory plug-ins
_OF_SSH = re.compile(
    r"(?i)proxycommand|knownhostscommand|pkcs11provider|securitykeyprovider|xauthlocation"
    r"|ansible_(?:ssh|sftp|scp)_executable"
)
_FILE_OF_HOSTS = re.compile(r"(?:^|[,:])\s*@([^,:]+)")
_VARIABLES = frozenset(("group_vars", "host_vars"))


def words_for(sources: Sequence[Path]) -> frozenset[str]:
    """Every word of this inventory, and of what the client's moves give their playbooks."""
    found: set[str] = set()
    for path in inventory_files(sources):
        found |= words_of(path) - _of_caches(path)
    for said in _texts_of_moves(sources):
        found.update(words_in(said))
    return frozenset(found)


def _of_caches(path: Path) -> set[str]:
    """Words that an inventory has only to say where its plug-in keeps what it was told."""
    root = compose(said, path.name, Faults()) if path.suffix in YAML and (said := text_of(path)) else None
    if not isinstance(root, yaml.Node) or get(root, "plugin") is None or not _VARIABLES.isdisjoint(path.parts):
        return set()
    kept = [str(node.value) for key in _KEPT_IN if isinstance(node := get(root, key), yaml.ScalarNode)]
    words, others = apart(root, kept)
    return words - others


def programs_named(workspace: Path, sources: Sequence[Path]) -> dict[str, str]:
    """Label to digest of programs, of files of ssh (-F) and of hosts (`limit: @FILE`), named outside of it too."""
    found: dict[str, str] = {}
    start = start_directory(workspace, configured(workspace, {})[0])
    for limit in _texts_of_moves(sources, ("limit",)):
        named = (Path(os.path.normpath(start / name)) for name in _FILE_OF_HOSTS.findall(limit))
        found |= {label(workspace, path): trees.read_digest(path) for path in named if path.is_file()}
    for said in (*map(text_of, inventory_files(sources)), *_texts_of_moves(sources)):
        for folder in dict.fromkeys((start, *(source.parent for source in sources))):
            found |= of_ssh(workspace, ssh_files_in(said.replace("{{ inventory_dir }}", str(folder)), folder))
        found |= programs(programs_in(said, start))
    return found


def programs_of_ssh(workspace: Path, sources: Sequence[Path]) -> set[Path]:
    """Those of them that ssh starts, or that stand in for it: they run on this machine, and on no target."""
    start = start_directory(workspace, configured(workspace, {})[0])
    found: set[Path] = set()
    for said in (*map(text_of, inventory_files(sources)), *_texts_of_moves(sources)):
        for line in said.splitlines():
            if _OF_SSH.search(line):
                found.update(programs_in(line, start))
        for folder in dict.fromkeys((start, *(source.parent for source in sources))):
            for path in ssh_files_in(said.replace("{{ inventory_dir }}", str(folder)), folder):
                found.update(programs_in(text_of(path)))
    return found


def words_of_proofs(workspace: Path, sources: Sequence[Path], played: Callable[[str], bool]) -> frozenset[str]:
    """Words of the plug-ins that prove what a playbook is to do, where a fence or the like has one that is `played`."""
    proofs = (
        proof
        for root in _services(sources)
        for mapping in mappings(root)
        if (book := text(get(mapping, "playbook"))) and get(mapping, *_PROOFS) is not None and played(book)
        for key, proof in mapping.value
        if text(key) in _PROOFS
    )
    names = {said.partition("@")[0] for proof in proofs for said in (text(proof), *texts(proof))}
    found: set[str] = set()
    for path in sorted((workspace / "checks").rglob("*.y*ml")) if names else ():
        root = compose(text_of(path), path.name, Faults())
        for check in mappings(root) if isinstance(root, yaml.Node) else ():
            command = get(check, "command")
            if command is not None and text(get(check, "name")) in names:
                found.update(word for said in (text(command), *texts(command)) for word in words_in(said))
    return frozenset(found)


def _texts_of_moves(sources: Sequence[Path], keys: Sequence[str] = _OF_A_MOVE) -> Iterator[str]:
    """What the client's moves say."""
    for root in _services(sources):
        for key, node in pairs(root):
            if key in keys:
                yield from texts(node)


def _services(sources: Sequence[Path]) -> Iterator[yaml.Node]:
    """What the client declares; sources are written from its folder, wherever they lie (`acme/../../hosts`)."""
    for folder in dict.fromkeys(above for source in sources for above in source.parents):
        if folder.parent.name != CLIENTS:
            continue
        for name in OURS:
            root = compose(said, name, Faults()) if (said := text_of(folder / name)) else None
            if isinstance(root, yaml.Node):
                yield root
