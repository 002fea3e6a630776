"""Playbook files: are they there, are they playbooks, and what is the digest of all they are made of.

The one rule it keeps: a digest covers everything that would change what the playbook does and can be known without
running it: the file, imported playbooks, roles and their dependencies, task, variable and template files, plug-ins
beside it, and the client's inventory. Names with templates in them are left to Ansible.
"""

from __future__ import annotations

import configparser
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config.faults import Faults, Position, nearest
from orchestrator.config.inventory import inventory_files
from orchestrator.config.strict_yaml import compose

_BESIDE = ("library", "module_utils", "filter_plugins", "action_plugins", "lookup_plugins", "group_vars", "host_vars")
_ROLE_KEYS = ("include_role", "import_role")
_TASK_KEYS = ("include_tasks", "import_tasks", "import_playbook", "include_vars", "vars_files")
_SOURCE_KEYS = {"template": "templates", "copy": "files", "script": "files", "unarchive": "files", "assemble": "files"}
YES = ("true", "yes", "on")


@dataclass(frozen=True, slots=True)
class Play:
    """A play that names hosts; a list of them as one pattern.

    `connection` is None where the inventory alone says how it logs in, "" where it cannot be known from here.
    `becomes` says whether a task of it, or of a role or file of it, becomes root on the play's own hosts.
    """

    hosts: str
    connection: str | None
    becomes: bool


@dataclass(slots=True)
class Reader:
    """Finds what playbooks are made of; each file is read once."""

    workspace: Path
    faults: Faults
    trees: dict[Path, yaml.Node | None] = field(default_factory=dict)
    parts: dict[Path, frozenset[Path]] = field(default_factory=dict)
    _plays: dict[Path, list[Play]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where playbooks are."""
        return self.workspace / "playbooks"

    def check(self, name: str, at: Position) -> bool:
        """Whether `playbooks/NAME` is a playbook; a fault at `at` (or in the playbook) says why not."""
        path = self.folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            self.faults.add(at, f"playbook {name!r} is outside of playbooks/", "a path below playbooks/")
            return False
        if not path.is_file():
            near = nearest(name, self.names())
            self.faults.add(at, f"there is no playbook {name!r}", "" if near else "a file below playbooks/", near)
            return False
        if path in self.parts:
            return True
        found: set[Path] = set()
        self._playbook(path, found)
        self.parts[path] = frozenset(found)
        return True

    def names(self) -> list[str]:
        """Every file that could be a playbook, relative to playbooks/."""
        skip = {"roles", "group_vars", "host_vars", "tasks", "templates", "files", "vars", "collections"}
        return [
            str(p.relative_to(self.folder))
            for p in sorted(self.folder.rglob("*.y*ml"))
            if not skip & set(p.relative_to(self.folder).parts[:-1])
        ]

    def plays(self, path: Path) -> list[Play]:
        """The plays of a checked playbook that name hosts, those of playbooks that it imports too."""
        if path in self._plays:
            return self._plays[path]
        found = self._plays[path] = []
        for part in sorted(self.parts.get(path, frozenset())):
            root = self.trees.get(part)
            for play in root.value if isinstance(root, yaml.SequenceNode) else ():
                hosts = _get(play, "hosts")
                names = hosts.value if isinstance(hosts, yaml.SequenceNode) else [hosts]
                pattern = ",".join(str(x.value) for x in names if isinstance(x, yaml.ScalarNode))
                if pattern:
                    found.append(Play(pattern, _connects(part, play), self._becomes_root(part, play)))
        return found

    def _becomes_root(self, path: Path, play: yaml.MappingNode) -> bool:
        parts: set[Path] = set()
        Reader(self.workspace, Faults(), self.trees)._play(path, play, parts)
        user = _text(_get(play, "become_user")) or "root"
        mappings = (m for root in (play, *map(self.trees.get, parts)) if root is not None for m in _mappings(root))
        return any(
            _text(_get(mapping, "become")).lower() in YES
            and (_text(_get(mapping, "become_user")) or user) == "root"
            and _get(mapping, "delegate_to") is None
            for mapping in mappings
        )

    def digest(self, name: str, inventory: Sequence[Path]) -> str:
        """Digest of a checked playbook with all its parts, and of the inventory's files."""
        path = self.folder / name
        digest = hashlib.sha256()
        for part in [*sorted(self.parts.get(path, frozenset())), *inventory_files(inventory)]:
            relative = part.relative_to(self.workspace) if part.is_relative_to(self.workspace) else part
            try:
                content = part.read_bytes()
            except OSError:  # a vanished part is a change, too
                content = b"\0"
            digest.update(f"{relative}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()[:32]

    def _tree(self, path: Path) -> yaml.Node | None:
        if path not in self.trees:
            name = str(path.relative_to(self.workspace)) if path.is_relative_to(self.workspace) else str(path)
            try:
                text = path.read_text()
            except (OSError, UnicodeDecodeError):
                self.faults.add(Position(name), "cannot be read", "a YAML file in UTF-8")
                text = ""
            root = None if text.startswith("$ANSIBLE_VAULT;") else compose(text, name, self.faults)
            self.trees[path] = root if isinstance(root, yaml.Node) else None
        return self.trees[path]

    def _position(self, path: Path, node: yaml.Node) -> Position:
        name = str(path.relative_to(self.workspace)) if path.is_relative_to(self.workspace) else str(path)
        return Position(name, node.start_mark.line + 1, node.start_mark.column + 1)

    def _playbook(self, path: Path, found: set[Path]) -> None:
        if path in found:
            return
        found.add(path)
        before = len(self.faults.found)
        root = self._tree(path)
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
            self._play(path, play, found)
        for name in _BESIDE:
            found.update(p for p in (path.parent / name).rglob("*") if p.is_file() and "__pycache__" not in p.parts)

    def _play(self, path: Path, play: yaml.Node, found: set[Path]) -> None:
        """What one play of this playbook is made of."""
        roles = _get(play, "roles")
        for item in roles.value if isinstance(roles, yaml.SequenceNode) else ():
            self._role(path, item if isinstance(item, yaml.ScalarNode) else _get(item, "role", "name"), found)
        self._walk(path, play, path.parent, found)

    def _walk(self, path: Path, root: yaml.Node, base: Path, found: set[Path]) -> None:
        """Follow the static references of one file; `base` is what its relative paths start from."""
        for key, node in _pairs(root):
            plain = key.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")
            if plain in _ROLE_KEYS:
                self._role(path, _get(node, "name", "role"), found)
            elif plain in _TASK_KEYS:
                for item in _scalars(node, "file"):
                    self._file(path, item, base, plain, found)
            elif plain in _SOURCE_KEYS:
                source = _get(node, "src")
                if plain == "script" and isinstance(node, yaml.ScalarNode) and node.value.split():
                    source = yaml.ScalarNode(node.tag, node.value.split()[0], node.start_mark, node.end_mark)
                if isinstance(source, yaml.ScalarNode):
                    self._file(path, source, base, _SOURCE_KEYS[plain], found)

    def _file(self, path: Path, node: yaml.ScalarNode, base: Path, kind: str, found: set[Path]) -> None:
        name = str(node.value)
        if "{{" in name or not name or Path(name).is_absolute():
            return
        folders = {"include_tasks": "tasks", "import_tasks": "tasks", "include_vars": "vars", "vars_files": "vars"}
        tried = [path.parent / name, base / folders.get(kind, kind) / name, base / name]
        there = next((p.resolve() for p in tried if p.exists()), None)
        if there is None:
            if kind in ("import_tasks", "import_playbook", "templates"):
                known = [p.name for p in tried[0].parent.glob("*") if p.is_file()] if tried[0].parent.is_dir() else []
                self.faults.add(
                    self._position(path, node), f"there is no file {name!r}", "a file beside it", nearest(name, known)
                )
            return
        if kind == "import_playbook":
            self._playbook(there, found)
        elif there.is_dir():
            found.update(p for p in there.rglob("*") if p.is_file())
        elif there not in found:
            found.add(there)
            if kind in ("include_tasks", "import_tasks"):
                root = self._tree(there)
                if root is not None:
                    self._walk(there, root, base, found)

    def _role(self, path: Path, node: yaml.Node | None, found: set[Path]) -> None:
        if not isinstance(node, yaml.ScalarNode):
            return
        name = str(node.value)
        if "{{" in name or name.count(".") >= 2:  # a collection's role is the collection's business
            return
        folders = [path.parent / "roles", self.folder / "roles", *self._roles_path()]
        role = next((f / name for f in folders if (f / name).is_dir()), None)
        if role is None:
            known = {p.name for f in folders if f.is_dir() for p in f.iterdir() if p.is_dir()}
            near = nearest(name, known)
            self.faults.add(
                self._position(path, node),
                f"there is no role {name!r}",
                "" if near else "a role below playbooks/roles/",
                near,
            )
            return
        role = role.resolve()
        files = {p for p in role.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
        if files <= found:
            return
        found.update(files)
        for inner in sorted(files):
            if inner.suffix in (".yml", ".yaml") and inner.relative_to(role).parts[0] in ("tasks", "handlers", "meta"):
                root = self._tree(inner)
                if root is None:
                    continue
                self._walk(inner, root, role, found)
                if inner.parent.name == "meta":
                    dependencies = _get(root, "dependencies")
                    for item in dependencies.value if isinstance(dependencies, yaml.SequenceNode) else ():
                        self._role(
                            path, item if isinstance(item, yaml.ScalarNode) else _get(item, "role", "name"), found
                        )

    def _roles_path(self) -> list[Path]:
        settings = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            settings.read(self.workspace / "ansible.cfg")
            given = settings.get("defaults", "roles_path", fallback="")
        except configparser.Error:
            given = ""
        return [self.workspace / Path(p).expanduser() for p in given.split(":") if p.strip()]


def playbook_digest(workspace: Path, name: str, inventory: Sequence[Path]) -> str | None:
    """The digest of `playbooks/NAME` as it is now, to be compared with the one in the model; None if it is gone.

    `inventory` is `Loaded.inventories[client]`.
    """
    reader = Reader(workspace.resolve(), Faults())
    if not reader.check(name, Position(name)):
        return None
    return reader.digest(name, inventory)


def _connects(path: Path, play: yaml.Node) -> str | None:
    """How a play itself says that it logs in, as `Play.connection` has it."""
    if any((path.parent / name).is_dir() for name in ("group_vars", "host_vars")):
        return ""
    if _get(play, "remote_user", "port", "vars_files", "vars_prompt") is not None:
        return ""
    own = _get(play, "vars")
    if isinstance(own, yaml.MappingNode) and any(str(key.value).startswith("ansible_") for key, _ in own.value):
        return ""
    return _text(connection) if (connection := _get(play, "connection")) is not None else None


def _pairs(root: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """Every key and value in the tree, at any depth."""
    for mapping in _mappings(root):
        for key, value in mapping.value:
            if isinstance(key, yaml.ScalarNode):
                yield str(key.value), value


def _mappings(root: yaml.Node) -> Iterator[yaml.MappingNode]:
    """Every mapping in the tree, at any depth."""
    todo: list[yaml.Node] = [root]
    seen: set[int] = set()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
            todo.extend(value for _, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            todo.extend(node.value)


def _text(node: Any) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _get(node: Any, *names: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value in names:
                return value
    return None


def _scalars(node: yaml.Node, key: str) -> list[yaml.ScalarNode]:
    """The paths in `x: a`, `x: {file: a}` and `x: [a, b]`."""
    if isinstance(node, yaml.ScalarNode):
        return [node]
    if isinstance(node, yaml.SequenceNode):
        return [item for item in node.value if isinstance(item, yaml.ScalarNode)]
    inner = _get(node, key)
    return [inner] if isinstance(inner, yaml.ScalarNode) else []
