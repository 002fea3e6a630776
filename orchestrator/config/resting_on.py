"""What a proof of a playbook rests on, part by part: its files by what they say, and the variables of its hosts.

The one rule it keeps: what Ansible reads as YAML counts by what it says, and everything else by its bytes. Where it is
not known what is read, more counts rather than less.

    part                                       counts by
    ---------------------------------------------------------------------------------------------------------------
    plays, and files that Ansible loads by     what they say, if nothing else in the plan names them (a task that copies
    their place or by an include               one, a script that reads one): then by their bytes
    templates, scripts, files, plug-ins        bytes; files encrypted as a whole, too
    variables of the inventory                 as Ansible read them, for the hosts that the plays reach; of the whole
                                               inventory where only a run can know whom or what it asks
    a computed inventory                       the bytes of its files: it may say something else each time
    collections that its names may lead to     bytes of each file, with those that they name themselves
    Ansible's settings, what they name         bytes, as in a digest; of installed packages the version
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config.collections_used import collection_of, used
from orchestrator.config.inventory import Inventory
from orchestrator.config.inventory_files import encrypted_files, inventory_files, is_computed, parts_of
from orchestrator.config.inventory_values import Vaulted, marked
from orchestrator.config.manifest import Manifest
from orchestrator.config.patterns import PatternInvalid, match_hosts
from orchestrator.config.playbooks import Reader
from orchestrator.config.said import YAML, Said, said, words_in
from orchestrator.config.starting import HERE, LATER
from orchestrator.config.surroundings import NO_FILE, computes_variables, label, roles_path
from orchestrator.config.surroundings import said as of_settings
from orchestrator.config.trees import read_digest
from orchestrator.config.yaml_nodes import get, text
from orchestrator.core.model import Json

THE_PLAYS = "its plays"
OTHER_FILES = "its other files"
OF_ITS_HOSTS = "the variables of its hosts"
OF_ALL_HOSTS = "the inventory as a whole"
AROUND = "what Ansible loads beside it"
_LOADED = ("tasks", "handlers", "meta", "vars", "defaults", "group_vars", "host_vars")
_COPIED = ("files", "templates")
_PACKAGE = re.compile(r"package (?P<name>\w+)-(?P<version>.+)")
_OTHERS = re.compile(r"\b(?:hostvars|groups)\b")
_LENGTH = 24  # of a part's digest


@dataclass(slots=True)
class Resting:
    """Tells of each playbook of one client what a proof of it rests on."""

    reader: Reader
    sources: Sequence[Path]
    inventory: Inventory | None
    _whole: str | None = None
    _computed: bool | None = None
    _words: set[str] | None = None
    _left: set[str] | None = None  # what is around, and is looked at otherwise

    def of(self, manifest: Manifest, file: Path, limit: str | None, given: Mapping[str, Json]) -> dict[str, str]:
        """By part, a digest of what it says. `given`: the extra variables that are known before a run."""
        played = {Path(os.path.normpath(part)) for part in self.reader.played_by(file)}
        collections = self._collections(manifest)
        paths = self._files(manifest, file, played, given)
        files = {path: said(path) for path in paths}
        loads = frozenset[str]().union(*(x.loads for x in files.values()))
        hosts = self._hosts(file, limit, given, files.values())
        by_bytes = self._read_otherwise(files.values(), given)
        found: dict[str, dict[str, str]] = {AROUND: {}}
        for path, told in paths.items():
            if self._reaches(path, played, hosts):
                loaded = files[path].read and (path in played or _is_loaded(self._inner(path), path, loads))
                as_read = loaded and by_bytes is not None and path.name not in by_bytes
                counts = files[path].meaning if as_read else manifest.parts[told]
                found.setdefault(self._part(path, played), {})[str(path)] = counts
        for name in used(files.values(), self._words_beside(given), collections):
            of = collections[name].values()
            found[f"collection {name}"] = {k: {**manifest.around, **manifest.parts}[k] for k in of}
        around = {k: manifest.around[k] for k in self._around(manifest) if collection_of(k) is None}
        found[AROUND] = around | {k: v for k, v in manifest.parts.items() if k.startswith(NO_FILE)}
        parts = {part: _digest(counted) for part, counted in found.items() if counted}
        parts[OF_ALL_HOSTS if hosts is None else OF_ITS_HOSTS] = self._variables(hosts)
        return parts

    # ---- files

    def _files(self, manifest: Manifest, file: Path, played: set[Path], given: Mapping[str, Json]) -> dict[Path, str]:
        """The files that count, by their labels. A remark (a comment) has none of them count: only what is read does.

        A digest covers what any word names, in a remark too. Of that, a playbook or role counts here if it is imported,
        or if a word that is read may name it.
        """
        top = self.reader.workspace
        own = (x for x in sorted(manifest.parts) if not x.startswith(NO_FILE) and collection_of(x) is None)
        labels = {Path(os.path.normpath(top / x)): x for x in own}
        sure = {Path(os.path.normpath(part)) for part in self.reader.parts.get(file, ())}
        left = {Path(os.path.normpath(top / x)) for x in self._of_inventory()}
        around = self._around(manifest)
        others = {path for path, told in labels.items() if path not in sure and told not in around}
        found = {path for path in labels if path in sure}
        words = words_in(_json(dict(given))) | self._words_of_all()
        roles: set[str] = set()
        folders = {part.parent for part in played}
        new = found
        while new:
            words, roles = words.union(*(said(p).words for p in new)), roles.union(*(said(p).roles for p in new))
            any_role = any(said(path).names is None for path in found)
            new = {
                path
                for path in others - found
                if (
                    path.name in words
                    if path in left
                    else self._may_name(words, None if any_role else roles, path, folders)
                )
            }
            found = found | new
        return {path: told for path, told in labels.items() if path in found}

    def _collections(self, manifest: Manifest) -> dict[str, dict[Path, str]]:
        """The collections of whose files a digest is known, each file with its label."""
        found: dict[str, dict[Path, str]] = {}
        for told in sorted(manifest.around.keys() | manifest.parts.keys()):
            if (name := collection_of(told)) is not None:
                path = Path(os.path.normpath(self.reader.workspace / told))
                found.setdefault(name, {})[path] = told
        return found

    def _words_beside(self, given: Mapping[str, Json]) -> set[str]:
        """What may name a collection, whatever the playbook: variables, settings, and how the inventory is computed."""
        found = self._words_of_all() | words_in(_json(dict(given)))
        return found.union(*(said(path).words for path in inventory_files(self.sources)))

    def _may_name(self, words: set[str], roles: set[str] | None, path: Path, folders: set[Path]) -> bool:
        """Whether a word may name this file; `roles`: those that may be meant (None: any)."""
        above = self._inner(path)
        if (role := _role(above)) is not None:
            return roles is None or role in roles
        if path.suffix not in YAML or any(folder in (*_LOADED, *_COPIED) for folder in above):
            return True
        by_folder = path.parent not in folders and path.parent.name in words
        return path.name in words or path.stem in words or by_folder

    def _words_of_all(self) -> set[str]:
        """Words of the inventory and of Ansible's settings, which are the same for each playbook."""
        if self._words is None:
            inventory = self.inventory
            told = _json([inventory.host_vars, inventory.group_vars]) if inventory is not None else ""
            self._words = words_in(told)
            for setting in of_settings(self.reader.workspace):
                self._words |= words_in(setting)
        return self._words

    def _around(self, manifest: Manifest) -> set[str]:
        """Labels of what Ansible loads whatever the playbook. Of roles that it may find, a playbook uses its own."""
        if self._left is None:
            top, roles = self.reader.workspace, roles_path(self.reader.workspace, os.environ)
            inventory = self._of_inventory()
            self._left = {
                told
                for told in manifest.around
                if told in inventory
                or told.startswith("package ")
                or (not told.startswith(NO_FILE) and any((top / told).is_relative_to(folder) for folder in roles))
            }
        return manifest.around.keys() - self._left

    def _of_inventory(self) -> set[str]:
        """Labels of the inventory's files: what counts of them is what they say of hosts."""
        return {label(self.reader.workspace, p) for p in inventory_files(self.sources)}

    def _read_otherwise(self, files: Iterable[Said], given: Mapping[str, Json]) -> set[str] | None:
        """Names of files of YAML that something reads by itself, and not Ansible; None: it may be any."""
        found = {word for word in self._words_of_all() | words_in(_json(dict(given))) if word.endswith(YAML)}
        for x in files:
            if x.names is None:
                return None
            found |= x.names
        return found

    def _inner(self, path: Path) -> tuple[str, ...]:
        """The folders above a file, within the workspace."""
        top = self.reader.workspace
        return path.relative_to(top).parts[:-1] if path.is_relative_to(top) else path.parts[:-1]

    def _part(self, path: Path, played: set[Path]) -> str:
        if path in played:
            return THE_PLAYS
        role = _role(self._inner(path))
        return OTHER_FILES if role is None else f"role {role}"

    def _reaches(self, path: Path, played: set[Path], hosts: list[str] | None) -> bool:
        """Whether variables beside a playbook are those of a host that it reaches; what is no such file counts."""
        if hosts is None or self.inventory is None:
            return True
        for above in {part.parent for part in played}:
            for folder in ("host_vars", "group_vars"):
                if path.is_relative_to(above / folder):
                    whose = path.relative_to(above / folder).parts[0]
                    whose = Path(whose).stem if whose.endswith((*YAML, ".json")) else whose
                    groups = {"all", "ungrouped", *(g for h in hosts for g in self.inventory.groups_of(h))}
                    return whose in (hosts if folder == "host_vars" else groups)
        return True

    # ---- variables

    def _hosts(
        self, file: Path, limit: str | None, given: Mapping[str, Json], files: Iterable[Said]
    ) -> list[str] | None:
        """The hosts whose variables a run may read; None: only the run can know."""
        inventory, files, plays = self.inventory, list(files), self.reader.plays(file)
        if inventory is None or self._is_computed() or self._imports_unknown(file):
            return None
        patterns = [_rendered(play.hosts, given) for play in plays]
        if not plays or any(x.others for x in files) or any(p is None or "{{" in p or LATER in p for p in patterns):
            return None
        try:
            found = [match_hosts(pattern or "", inventory.hosts, inventory.groups) for pattern in patterns]
            within = {h for hosts, _ in found for h in hosts}
            if limit is not None and not ("{{" in limit or "@" in limit):
                within &= set(match_hosts(limit, inventory.hosts, inventory.groups)[0])
        except PatternInvalid:
            return None
        handed = {host for x in files for host in x.hands_to}
        here = [h for h in HERE if h not in inventory.hosts and (h in handed or any(h in told for _, told in found))]
        reached = [*(h for h in inventory.hosts if h in within or h in handed), *here]
        told = _json([[self._of(h) for h in reached], dict(given)])
        return None if _OTHERS.search(told) else reached

    def _imports_unknown(self, file: Path) -> bool:
        """Whether a playbook is encrypted, or imports one that is not here (a collection's)."""
        played = set(self.reader.played_by(file))
        for part in played:
            root = self.reader.trees.get(part)
            if not isinstance(root, yaml.SequenceNode):
                return True
            for play in root.value:
                name = text(get(play, "import_playbook", "ansible.builtin.import_playbook"))
                if name and not any(str(other).endswith(name.lstrip("./")) for other in played - {part}):
                    return True
        return False

    def _is_computed(self) -> bool:
        if self._computed is None:
            computes = computes_variables(self.reader.workspace, os.environ)
            self._computed = computes or any(map(is_computed, parts_of(self.sources)))
        return self._computed

    def _of(self, host: str) -> Any:
        """A host's groups and variables; of one that no inventory names (this machine) those of all hosts."""
        inventory = self.inventory
        if inventory is None:
            return None
        known = inventory.host_vars.get(host)
        return [inventory.groups_of(host), known] if known is not None else [[], inventory.group_vars.get("all", {})]

    def _variables(self, hosts: list[str] | None) -> str:
        if hosts is not None:
            return _digest({**{h: _json(self._of(h)) for h in hosts}, **self._encrypted()})
        self._whole = self._whole or self._of_all()
        return self._whole

    def _of_all(self) -> str:
        inventory = self.inventory
        if inventory is None or self._is_computed():
            files = inventory_files(self.sources)
            return _digest({label(self.reader.workspace, p): read_digest(p) for p in files})
        told = [list(inventory.hosts), inventory.groups, inventory.host_vars, inventory.group_vars]
        return _digest({"all": _json(told), **self._encrypted()})

    def _encrypted(self) -> dict[str, str]:
        """Files that are encrypted as a whole, by their bytes: no digest is ever made of a secret in clear."""
        return {label(self.reader.workspace, p): read_digest(p) for p in encrypted_files(self.sources)}


def versions(manifests: Iterable[Manifest]) -> dict[str, str]:
    """The versions of bascule and of what plays its playbooks."""
    found = {"bascule": importlib.metadata.version("bascule")}
    for manifest in manifests:
        for told in manifest.around:
            if package := _PACKAGE.fullmatch(told):
                found[package["name"].replace("_", "-")] = package["version"]
    return dict(sorted(found.items()))


def _role(above: Sequence[str]) -> str | None:
    """The role whose file it is, by the folders above it."""
    at = max((i for i, folder in enumerate(above[:-1]) if folder == "roles"), default=None)
    return None if at is None else above[at + 1]


def _is_loaded(above: Sequence[str], path: Path, loads: frozenset[str]) -> bool:
    """Whether Ansible loads this file as YAML, by its place or because an include names it."""
    if any(folder in _COPIED for folder in above):
        return False
    return any(folder in _LOADED for folder in above) or path.name in loads


def _rendered(pattern: str, given: Mapping[str, Json]) -> str | None:
    """A pattern of hosts with the variables in it that are known; None: one is not."""
    unknown = False

    def known(found: re.Match[str]) -> str:
        nonlocal unknown
        value = given.get(found[1])
        unknown = unknown or not isinstance(value, str) or not value or "{{" in value
        return str(value)

    told = re.sub(r"\{\{\s*(\w+)\s*\}\}", known, pattern)
    return None if unknown else told


def _json(value: Any) -> str:
    """The same text for the same values, whatever the order of their keys."""
    return json.dumps(marked(value), sort_keys=True, default=_plain, ensure_ascii=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Vaulted):
        return ["vaulted", value.ciphertext]  # of a text in clear nothing: see `_encrypted`
    return str(value)


def _digest(counted: Mapping[str, str]) -> str:
    told = "".join(f"{name}\0{digest}\0" for name, digest in sorted(counted.items()))
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:_LENGTH]
