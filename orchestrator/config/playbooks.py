"""Playbook files: are they there, are they playbooks, and what is the digest of everything that they consist of?

The one rule it keeps: a digest covers everything that would change what the playbook does and that can be known without
running it:

* the file, imported playbooks, roles and their dependencies, task, variable and template files, plug-ins and
  collections beside it, through any links;
* the client's inventory, and what Ansible loads beside them (`surroundings`);
* if a name has a template in it: everything that it could name beside the playbook;
* whatever in the workspace a word in a task, variable, template or script names, however the task is written
  (`copy: src=a`, `action: script a`, `command: "{{ playbook_dir }}/a"`): see `playbook_words`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from orchestrator.config import trees
from orchestrator.config.faults import Faults, Position, nearest
from orchestrator.config.inventory_files import inventory_files, read_by_computed
from orchestrator.config.inventory_words import programs_named, programs_of_ssh, words_for, words_of_proofs
from orchestrator.config.looked_for import is_file_here, is_loaded, places_of_file, searches_collections, words_of_call
from orchestrator.config.manifest import Manifest
from orchestrator.config.playbook_words import LOOKED_UP, Closure, Names, looks_up
from orchestrator.config.plays import Play, connects
from orchestrator.config.shipped import SHIPPED
from orchestrator.config.strict_yaml import compose, read_text
from orchestrator.config.surroundings import (
    PROGRAM,
    configured,
    files_of,
    label,
    programs,
    programs_among,
    roles_path,
    said,
    start_directory,
    surroundings,
)
from orchestrator.config.words import YAML, words_in
from orchestrator.config.yaml_nodes import get, mappings, pairs, scalars, text
from orchestrator.core import ansible

_BESIDE = ("library", "module_utils", "doc_fragments", "collections", "group_vars", "host_vars")
_ROLE_FOLDERS = ("tasks", "handlers", "meta")
_ROLE_KEYS = ("include_role", "import_role")
_TASK_KEYS = ("include_tasks", "import_tasks", "import_playbook", "include_vars", "vars_files")
_SOURCE_KEYS = {"template": "templates", "copy": "files", "script": "files", "unarchive": "files", "assemble": "files"}
_UNLESS_MADE = "the task fails when it runs, unless something makes it before"
YES = ("true", "yes", "on")


@dataclass(slots=True)
class Reader:
    """Finds what playbooks are made of; each file is read once."""

    workspace: Path
    faults: Faults
    trees: dict[Path, yaml.Node | None] = field(default_factory=dict)
    parts: dict[Path, frozenset[Path]] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)  # by digest
    encrypted: set[Path] = field(default_factory=set)  # as a whole: Ansible alone reads them
    _runs_here: set[Path] = field(default_factory=set)  # programs elsewhere that are none of a target's
    _usual: list[Path] | None = None  # where roles are
    _start: Path = Path()  # where Ansible starts: set with it
    _around: dict[tuple[Path, ...], dict[str, str]] = field(default_factory=dict)
    _words: dict[tuple[Path, ...], frozenset[str]] = field(default_factory=dict)
    _plays: dict[Path, list[Play]] = field(default_factory=dict)
    _imports: dict[Path, list[Path]] = field(default_factory=dict)  # a playbook to those that it imports, in order
    _names: Names | None = None
    _told: dict[tuple[Path, tuple[Path, ...]], tuple[set[Path], set[Path]]] = field(default_factory=dict)
    _named: set[Path] = field(default_factory=set)  # tasks that other tasks or plays name
    _from: set[str] = field(default_factory=lambda: {"main"})  # files of roles that are loaded, without ending
    _asking: list[Path] = field(default_factory=list)  # the playbook's folder, and the roles that led to what is read

    @property
    def folder(self) -> Path:
        """Where playbooks are."""
        return self.workspace / "playbooks"

    def file(self, name: str) -> Path:
        """The file of a playbook: below playbooks/, else below the workspace."""
        places = [self.workspace / place for place in ansible.playbook_places(name)]
        return next((path for path in places if path.is_file()), places[0])

    def check(self, name: str, at: Position) -> bool:
        """Whether NAME is a playbook; a fault at `at` (or in the playbook) says why not."""
        if name not in SHIPPED and (Path(name).is_absolute() or ".." in Path(name).parts):
            wanted = "a path below playbooks/, or below the workspace"
            self.faults.add(at, f"playbook {name!r} is outside of the workspace", wanted)
            return False
        path = self.file(name)
        if not path.is_file():
            near = None if path.exists() else nearest(name, self.names())
            told = f"playbook {name!r} is no file" if path.exists() else f"there is no playbook {name!r}"
            self.faults.add(at, told, "" if near else "a file below playbooks/ or the workspace", near)
            return False
        if path in self.parts:
            return True
        found: set[Path] = set()
        self._playbook(path, found)
        self.parts[path] = frozenset(found)
        return True

    def look_at(self, names: Iterable[str]) -> None:
        """Look at playbooks before anything asks for them: what is found is kept. One that is not there is passed."""
        for name in names:
            if not Path(name).is_absolute() and ".." not in Path(name).parts and self.file(name).is_file():
                self.check(name, Position(name))

    def names(self) -> list[str]:
        """Every file that could be a playbook, relative to playbooks/."""
        skip = {"roles", "group_vars", "host_vars", "tasks", "templates", "files", "vars", "collections"}
        return [
            str(p.relative_to(self.folder))
            for p in sorted(self.folder.rglob("*.y*ml"))
            if p.is_file() and not skip & set(p.relative_to(self.folder).parts[:-1])
        ]

    def plays(self, path: Path) -> list[Play]:
        """The plays of a checked playbook that name hosts, those of playbooks that it imports too."""
        if path in self._plays:
            return self._plays[path]
        found = self._plays[path] = []
        for part in self.played_by(path):
            root = self.trees.get(part)
            for play in root.value if isinstance(root, yaml.SequenceNode) else ():
                hosts = get(play, "hosts")
                names = hosts.value if isinstance(hosts, yaml.SequenceNode) else [hosts]
                pattern = ",".join(str(x.value) for x in names if isinstance(x, yaml.ScalarNode))
                if pattern:
                    found.append(Play(pattern, connects(part, play), self._becomes_root(part, play)))
        return found

    def played_by(self, path: Path) -> list[Path]:
        """A playbook, and all that it imports."""
        found = [path]
        for part in found:
            found += [imported for imported in self._imports.get(part, ()) if imported not in found]
        return found

    def _becomes_root(self, path: Path, play: yaml.MappingNode) -> bool:
        parts: set[Path] = set()
        Reader(self.workspace, Faults(), self.trees).play(path, play, parts)
        user = text(get(play, "become_user")) or "root"
        found = (m for root in (play, *map(self.trees.get, parts)) if root is not None for m in mappings(root))
        return any(
            text(get(mapping, "become")).lower() in YES
            and (text(get(mapping, "become_user")) or user) == "root"
            and get(mapping, "delegate_to") is None
            for mapping in found
        )

    def digest(self, name: str, inventory: Sequence[Path]) -> str:
        """Digest of a checked playbook with all its parts, the inventory's files, and what is loaded beside them."""
        return self.manifest(name, inventory).digest

    def manifest(self, name: str, inventory: Sequence[Path]) -> Manifest:
        """What the digest is made of; kept, so that a change can be told by its name."""
        around = self._around.get(sources := tuple(inventory))
        if around is None:
            around = surroundings(self.workspace, os.environ)
            self._runs_here.update(_programs_of(around), programs_of_ssh(self.workspace, sources))
            read = (*inventory_files(sources), *read_by_computed(sources))
            around |= {label(self.workspace, p): trees.read_digest(p) for p in read}
            around |= programs_named(self.workspace, sources)
            self._around[sources] = around
        parts, outside = self._with_what_is_named(self.file(name), sources)
        known = {label(self.workspace, part): trees.read_digest(part) for part in parts}
        found = Manifest(around, known | programs(outside))
        self.manifests[found.digest] = found
        return found

    def _with_what_is_named(self, path: Path, sources: tuple[Path, ...]) -> tuple[set[Path], set[Path]]:
        """The parts of a checked playbook with what they and the client's inventory name; and programs elsewhere."""
        if (parts := self.parts.get(path)) is None:
            return set(), set()
        if (path, sources) not in self._told:
            self._names = self._names or Names(self.workspace)
            # Of what words name nobody knows whether Ansible will load it as that: it counts, and is no fault.
            reader = Reader(self.workspace, Faults(), dict(self.trees), _asking=[path.parent])
            start = start_directory(self.workspace, configured(self.workspace, os.environ)[0])
            folders = [*(part.parent for part in self.played_by(path)), self.folder]
            others, found = [*(source.parent for source in sources), start, self.workspace], set(parts)
            closure = Closure(reader, self._names, path, folders, others)
            proofs = words_of_proofs(self.workspace, sources, lambda name: self.file(name) == path)
            closure.name(self._words_around(sources) | proofs, [*folders, *others], found)
            closure.programs.update(programs_among(proofs))
            closure.close(found)
            self._told[path, sources] = found, closure.programs
        return self._told[path, sources]

    def _words_around(self, sources: tuple[Path, ...]) -> frozenset[str]:
        """What an inventory, the client's moves and the settings say, which is the same for each playbook."""
        found = self._words.get(sources)
        if found is None:
            of_settings = {word for text in said(self.workspace) for word in words_in(text)}
            found = self._words[sources] = words_for(sources) | of_settings
        return found

    def covered(self) -> set[Path]:
        """Every file that a digest made so far covers, wherever it is; of programs elsewhere those that run here."""
        names = {name for m in self.manifests.values() for name in (*m.around, *m.parts)}
        return files_of(self.workspace, names) | self._runs_here

    def perhaps_run(self) -> set[Path]:
        """Programs elsewhere that digests cover, and that run here unless a target's of the same path are meant."""
        found = {p for m in self.manifests.values() for told in (m.around, m.parts) for p in _programs_of(told)}
        return found - self._runs_here

    def tree(self, path: Path) -> yaml.Node | None:
        if path not in self.trees:
            name = str(path.relative_to(self.workspace)) if path.is_relative_to(self.workspace) else str(path)
            content = read_text(path, name, self.faults) or ""
            if content.startswith("$ANSIBLE_VAULT;"):
                self.encrypted.add(path)
            root = None if path in self.encrypted else compose(content, name, self.faults)
            self.trees[path] = root if isinstance(root, yaml.Node) else None
        return self.trees[path]

    def _position(self, path: Path, node: yaml.Node) -> Position:
        name = str(path.relative_to(self.workspace)) if path.is_relative_to(self.workspace) else str(path)
        mark = node.start_mark  # what only words name stands nowhere
        return Position(name, mark.line + 1, mark.column + 1) if mark else Position(name)

    def _playbook(self, path: Path, found: set[Path]) -> None:
        if path in found:
            return
        found.add(path)
        before = len(self.faults.found)
        root = self.tree(path)
        if root is None and path in self.encrypted:
            self.beside(path, found)  # what it is made of is known to Ansible alone
            return
        if root is None:
            if len(self.faults.found) == before:
                name = str(path.relative_to(self.workspace))
                self.faults.add(Position(name, 1, 1), "the playbook is empty", "a list of plays")
            return
        if not isinstance(root, yaml.SequenceNode):
            self.faults.add(self._position(path, root), "this is no playbook", "a list of plays")
            return
        for play in root.value:
            keys = {k.value for k, _ in play.value} if isinstance(play, yaml.MappingNode) else set()
            if not keys & {"hosts", "import_playbook", "ansible.builtin.import_playbook"}:
                self.faults.add(
                    self._position(path, play), "this is no play", "a mapping with 'hosts' or 'import_playbook'"
                )
            self.play(path, play, found)
        self.beside(path, found)

    @staticmethod
    def beside(path: Path, found: set[Path]) -> None:
        """Plug-ins, variables and the like beside a playbook."""
        for beside in sorted(path.parent.iterdir()):
            if beside.name in _BESIDE or beside.name.endswith("_plugins"):
                found.update(trees.files(beside))

    def play(self, path: Path, play: yaml.Node, found: set[Path]) -> None:
        """What one play of this playbook is made of."""
        before, self._asking = self._asking, [path.parent]
        roles = get(play, "roles")
        for item in roles.value if isinstance(roles, yaml.SequenceNode) else ():
            self.role(path, item if isinstance(item, yaml.ScalarNode) else get(item, "role", "name"), found)
        self.walk(path, play, path.parent, found)
        self._asking = before

    def walk(self, path: Path, root: yaml.Node, base: Path, found: set[Path]) -> bool:
        """Follow the static references of one file; `base` is what its relative paths start from.

        Returns whether it looks up what is only known when it runs.
        """
        loose = False
        for key, node in pairs(root):
            plain = key.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")
            loose = loose or plain.startswith("with_") or looks_up(node)
            if plain in _ROLE_KEYS:
                self._from.update(Path(text(value)).stem for key, value in pairs(node) if key.endswith("_from"))
                self.role(path, get(node, "name", "role"), found)
            elif plain in _TASK_KEYS:
                for item in scalars(node, "file") or scalars(node, "dir"):
                    self._file(path, item, base, plain, found)
            elif plain in _SOURCE_KEYS:
                source = get(node, "src")
                if (
                    plain == "script"
                    and isinstance(node, yaml.ScalarNode)
                    and (words := words_of_call(str(node.value)))
                ):
                    source = yaml.ScalarNode(node.tag, words[0], node.start_mark, node.end_mark)
                if isinstance(source, yaml.ScalarNode):
                    remote = text(get(node, "remote_src")).lower() or ("yes" if plain == "assemble" else "")
                    self._file(path, source, base, _SOURCE_KEYS[plain], found, remote not in YES)
        if loose:
            self.whatever_is_looked_up(base, found)
        return loose

    @staticmethod
    def whatever_is_looked_up(base: Path, found: set[Path]) -> None:
        """What lookups find, and names that are only known when it runs: in their folders, or beside the playbook."""
        for folder in LOOKED_UP:
            found.update(trees.files(base / folder))
        beside = base.iterdir() if base.is_dir() else ()
        found.update(p for p in beside if p.suffix not in (".yml", ".yaml", ".retry") and p.is_file())

    def _file(
        self, path: Path, node: yaml.ScalarNode, base: Path, kind: str, found: set[Path], here: bool = True
    ) -> None:
        name = str(node.value)
        if "{{" in name:
            if kind in _TASK_KEYS:  # it may be any file here, and what is included may include others
                found.update(trees.files(base))
            else:
                self.whatever_is_looked_up(base, found)
            return
        if not name or (kind == "import_playbook" and not is_file_here(base, name)):
            return  # a collection's playbook is the collection's business
        asking = () if kind == "import_playbook" else self._asking
        tried = [*places_of_file(name, kind, path, base, asking)]
        there = next((p for p in tried if p.exists()), None)
        if there is None and Path(name).is_absolute():
            return
        if there is None:
            if kind in ("import_tasks", "import_playbook", "templates"):
                known = [p.name for folder in {t.parent for t in tried} for p in folder.glob("*") if p.is_file()]
                self.faults.add(
                    self._position(path, node), f"there is no file {name!r}", "a file beside it", nearest(name, known)
                )
            elif here and kind in ("files", "include_vars"):
                self.faults.warn(self._position(path, node), f"there is no file {name!r} now: {_UNLESS_MADE}")
            return
        self._named.add(Path(os.path.normpath(there)))
        if kind == "import_playbook":
            self._imports.setdefault(path, []).append(there)
            self._playbook(there, found)
        elif there.is_dir():
            found.update(trees.files(there, git=True))
        elif there not in found:
            found.add(there)
            if kind in ("include_tasks", "import_tasks"):
                root = self.tree(there)
                if root is not None:
                    self.walk(there, root, base, found)

    def role(self, path: Path, node: yaml.Node | None, found: set[Path], beside: Path | None = None) -> None:
        """Cover a role of this playbook; `beside`: where the role is that asks for it."""
        if not isinstance(node, yaml.ScalarNode):
            return
        name = str(node.value)
        if self._usual is None:
            self._usual = [*roles_path(self.workspace, os.environ), self.folder / "roles"]
            self._start = start_directory(self.workspace, configured(self.workspace, os.environ)[0])
        playing = self._asking[0] if self._asking else path.parent
        folders = [playing / "roles", *([beside] if beside else []), *self._usual]
        if "{{" in name:  # it may be any of them
            found.update(f for folder in folders for f in trees.files(folder))
            return
        folders += [playing, self._start]
        role = next((f / name for f in folders if (f / name).is_dir()), None)
        if role is None:
            if name.count(".") >= 2 or searches_collections(path, self.trees.get):
                return  # a collection's role is the collection's business
            known = {p.name for f in folders if f.is_dir() for p in f.iterdir() if p.is_dir()}
            wanted = "" if (near := nearest(name, known)) else "a role below playbooks/roles/"
            self.faults.add(self._position(path, node), f"there is no role {name!r}", wanted, near)
            return
        files = set(trees.files(role))
        if files <= found:
            return
        found.update(files)
        self._asking.append(role)
        faults, told = self.faults, Faults()
        todo = sorted(f for f in files if f.suffix in YAML and f.relative_to(role).parts[0] in _ROLE_FOLDERS)
        while todo:
            inner = next((f for f in todo if f in self._named or is_loaded(f, role, self._from)), todo[0])
            todo.remove(inner)
            # What nothing names may never be loaded: it counts, and what it lacks is no fault.
            self.faults = faults if inner in self._named or is_loaded(inner, role, self._from) else told
            self._of_role(path, inner, role, found)
        self.faults = faults
        self._asking.pop()

    def _of_role(self, path: Path, inner: Path, role: Path, found: set[Path]) -> None:
        """Follow one file of a role."""
        if (root := self.tree(inner)) is None:
            return
        self.walk(inner, root, role, found)
        dependencies = get(root, "dependencies") if inner.parent.name == "meta" else None
        for item in dependencies.value if isinstance(dependencies, yaml.SequenceNode) else ():
            asked = item if isinstance(item, yaml.ScalarNode) else get(item, "role", "name")
            self.role(path, asked, found, role.parent)


def _programs_of(told: Iterable[str]) -> set[Path]:
    return {Path(name.removeprefix(PROGRAM)) for name in told if name.startswith(PROGRAM)}
