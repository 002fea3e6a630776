"""Files that words name: they count for a plan's digest, whatever the form of the task, variable, template or script.

The one rule it keeps: nobody knows whether a word will be read as a file name. So the file counts, and it is no fault
if there is none. What a counted file names counts, too.

A file is looked for wherever Ansible, or a program that it starts, would begin to look. An absolute path is tried from
there as well, because what a template puts before it (`{{ playbook_dir }}/tools/run.sh`) is known only when it runs.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

import yaml

from orchestrator.config import trees
from orchestrator.config.surroundings import files_among, programs_among, ssh_files_in, text_of
from orchestrator.config.words import BY_ITSELF, YAML, is_pattern, words_in
from orchestrator.config.yaml_nodes import get, pairs, text, texts

LOOKED_UP = ("files", "templates", "vars")  # where lookups, and names with templates in them, find theirs
_INNER = ("", *(f"/{inner}" for inner in ("tasks", *LOOKED_UP)))
READ_MAX = 1 << 22  # bytes of a file: what is larger is data; an inventory of ten thousand hosts is less
# Modules that put something where these options say, and the options that only ask whether something is there.
WRITES = {
    "dest": {"copy", "template", "fetch", "get_url", "unarchive", "assemble", "archive", "ini_file"},
    "path": {"file", "lineinfile", "blockinfile", "replace", "ini_file"},
    "creates": {"command", "shell", "script", "unarchive"},
    "removes": {"command", "shell", "script"},
}
_OF_ANSIBLE = ("", "ansible.builtin", "ansible.legacy", "community.general")  # whose modules do what is said here
_TASKS = ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always")
_FOLDER_KEY = re.compile(r"(dir|dirs|path|paths|src|folder|directory)$", re.IGNORECASE)
_SUFFIXES = (*YAML, ".json", ".j2", ".sh", ".py", ".rb", ".js")  # that a name may get: {{ site }}.yml, -m tool
_TOLD = re.compile(r"\b(\w+)\s*(?:\.\s*|\[\s*['\"])(?:dest|path|results)\b")  # what a registered result says it wrote
_THERE_ITSELF = re.compile(r"\{\{[^{}]*\b(?:playbook|inventory)_dir\b[^{}]*\}\}[./]*")  # it has no name here
_PLAYS = ("ansible-playbook", "ansible-pull")  # programs to which playbooks are given
_GLOB = re.compile(r"[*?]")
_LOOKUP = re.compile(r"\b(lookup|query|q)\s*\(")
_known: dict[str, frozenset[str]] = {}  # by the digest of a file: its words
_apart: WeakKeyDictionary[yaml.Node, tuple[set[str], set[str]]] = WeakKeyDictionary()  # what `apart` found in a file


class Names:
    """The last parts of every path in a workspace: what is none of them names nothing, and costs no look.

    What was looked for once is remembered: a role's files name the same for every playbook.
    """

    def __init__(self, workspace: Path) -> None:
        self._names: set[str] = set()
        self._spelled: dict[str, list[str]] = {}
        self._there: dict[str, str] = {}
        self._inside = f"{workspace}/"
        for top in workspace.iterdir() if workspace.is_dir() else ():
            self._names.add(top.name)
            if not top.name.startswith("."):  # tools and state: .git, .venv, .bascule
                self._names.update(trees.names(top))

    def __contains__(self, word: str) -> bool:
        return word.rstrip("/").rpartition("/")[2] in self._names

    def there(self, path: str) -> str:
        """What is at this path of the workspace, by its plain path; empty where nothing is."""
        found = self._there.get(path)
        if found is None:
            plain = os.path.normpath(path)
            found = self._there[path] = plain if plain.startswith(self._inside) and os.path.lexists(plain) else ""
        return found

    def spelled(self, word: str) -> list[str]:
        """A word, and a path with what may be put behind it: those of which there is something of that name.

        Of a pattern (`*.tf`) every name that it stands for.
        """
        found = self._spelled.get(word)
        if found is None and is_pattern(word):
            found = self._spelled[word] = sorted(fnmatch.filter(self._names, word))
        if found is None:
            longer = [f"{word.rstrip('/')}{suffix}" for suffix in _SUFFIXES] if "/" in word else []
            found = self._spelled[word] = [name for name in (word, *longer) if name in self]
        return found


def words_of(path: Path) -> frozenset[str]:
    """The words of a file; none of one that is large, or no text."""
    try:
        found = path.stat()
        if found.st_size > READ_MAX:
            return frozenset()
        digest = trees.read_digest(path, found)
        if digest not in _known:
            data = path.read_bytes() if "/" not in digest and len(digest) == 32 else b"\0"
            text = "" if b"\0" in data else data.decode("utf-8", "replace")
            _known[digest] = frozenset(words_in(text))
        return _known[digest]
    except OSError:
        return frozenset()


class Followed(Protocol):
    """Whoever reads playbooks, and follows what they name."""

    workspace: Path

    @property
    def folder(self) -> Path:
        """Where playbooks are."""

    def tree(self, path: Path) -> yaml.Node | None:
        """What a file says; None where it is no YAML, or is encrypted."""

    def walk(self, path: Path, root: yaml.Node, base: Path, found: set[Path]) -> bool:
        """Follow the static references of one file; whether it looks up what is only known when it runs."""

    def whatever_is_looked_up(self, base: Path, found: set[Path]) -> None:
        """What look-ups find that start there."""

    def role(self, path: Path, node: yaml.Node | None, found: set[Path]) -> None:
        """Cover a role of this playbook."""

    def play(self, path: Path, play: yaml.Node, found: set[Path]) -> None:
        """Cover what one play of this playbook is made of."""

    def beside(self, path: Path, found: set[Path]) -> None:
        """Cover what Ansible loads beside a playbook."""


class Closure:
    """All that the files of one playbook name, and what that names.

    `played`: folders of the playbooks; `others`: from where names may start beside them.
    """

    def __init__(
        self, reader: Followed, names: Names, playbook: Path, played: Iterable[Path], others: Iterable[Path]
    ) -> None:
        self._reader = reader
        self._names = names
        self._playbook = playbook
        self._played = tuple(dict.fromkeys(played))
        self._others = tuple(dict.fromkeys(others))
        self._looked: set[tuple[str, tuple[bool, bool]]] = set()
        self._asked: set[str] = set()
        self.programs: set[Path] = set()  # outside of the workspace

    def close(self, found: set[Path]) -> None:
        """Add to `found` until nothing is named that is not in it."""
        done: set[Path] = set()
        while todo := found - done:
            for path in sorted(todo):
                done.add(path)
                self._file(path, found)

    def name(
        self, words: Iterable[str], bases: Iterable[Path], found: set[Path], *, folders: bool = False, tops: bool = True
    ) -> None:
        """Add what these words name from these folders. `folders`: also one that is named by a single word.

        `tops`: also one of the workspace's own, if it is named as one (`../site`, `tools/`): a bare `state` is hardly
        that, nor what stands in a remark.
        """
        starts = [f"{top}{inner}" for top in map(str, dict.fromkeys(bases)) for inner in _INNER]
        for word in words:
            glob = None if is_pattern(word) else _GLOB.search(word)
            plain = word[: glob.start()].rpartition("/")[0] if glob else word
            at_top = tops and (glob is not None or "/" in plain)
            plain = plain.lstrip("/")
            if not plain.strip("./") or not (names := self._names.spelled(plain)):
                continue
            whole = (folders or glob is not None or "/" in plain, at_top)
            places = [f"{start}/{name}" for name in names for start in starts]
            for place in (word, *places) if word.startswith("/") else places:
                there = self._names.there(place)
                if there and (there, whole) not in self._looked:
                    self._looked.add((there, whole))
                    self._one(Path(there), found, *whole)

    def bases(self, path: Path) -> list[Path]:
        """From where names in a file may start."""
        workspace = self._reader.workspace
        above = [path.parent]
        while above[-1].parent.is_relative_to(workspace) and above[-1].parent != workspace:
            above.append(above[-1].parent)
        if not path.is_relative_to(workspace):
            above.append(path.parent.parent)
        return [*(top for top in above if top.name not in ("roles", "inventories")), *self._played]

    def _file(self, path: Path, found: set[Path]) -> None:
        if _is_code(path):
            return
        looked_up = self.bases(path)
        bases = [*looked_up, *self._others]
        root = self._reader.tree(path) if path.suffix in YAML else None
        words = words_of(path)
        if root is not None:
            if _is_playbook(root):  # a task may start it
                for play in root.value:
                    self._reader.play(path, play, found)
                self._reader.beside(path, found)
            base = next((top for top in bases if (top / "tasks").is_dir()), path.parent)
            if self._reader.walk(path, root, base, found):
                for top in looked_up:
                    self._reader.whatever_is_looked_up(top, found)
            if root not in _apart:  # a role's files are those of many playbooks
                _apart[root] = apart(root, _written(root))
            written, values = _apart[root]
            words -= written - values
            self.name(values, bases, found, folders=True)
            self._roles(values, bases, found)
        self.name(words, bases, found, tops=root is None)
        self.programs.update(programs_among(words))
        if any(os.path.basename(word) in _PLAYS for word in words):
            given = (word for word in words if word.endswith(YAML) and os.path.isabs(word))
            found_there = (p for p in files_among(given) if not p.is_relative_to(self._reader.workspace))
            self.programs.update(found_there)
        if any(word.startswith("-F") for word in words):
            for top in bases:
                found.update(ssh_files_in(text_of(path), top))

    def _roles(self, words: set[str], bases: list[Path], found: set[Path]) -> None:
        for word in sorted(words):
            if word in self._asked or word not in self._names:
                continue
            self._asked.add(word)
            if any((top / "roles" / word / part).is_dir() for top in bases for part in ("tasks", "meta")):
                node = yaml.ScalarNode("tag:yaml.org,2002:str", word)
                self._reader.role(self._playbook, node, found)

    def _one(self, there: Path, found: set[Path], whole: bool, at_top: bool) -> None:
        workspace, folder = self._reader.workspace, self._reader.folder
        if there in found or folder.is_relative_to(there):
            return
        try:
            if there.is_dir():
                meant = whole if there.parent != workspace else at_top and not there.name.startswith(".")
                if meant and there.parent.name == "roles":
                    node = yaml.ScalarNode("tag:yaml.org,2002:str", str(there))
                    self._reader.role(self._playbook, node, found)
                elif meant and there.name != "roles":
                    found.update(trees.files(there, git=True))
            elif there.is_file():
                found.add(there)
                if there.parent.name == "templates":
                    found.update(trees.files(there.parent))  # one includes another
        except (OSError, ValueError):  # too long for a name: it names nothing
            return


def apart(root: yaml.Node, written: Iterable[str]) -> tuple[set[str], set[str]]:
    """Words of the texts that stand nowhere else than where something is written, and words of all others.

    What is there belongs to whoever writes it: a playbook that leaves a file in its workspace, and an inventory that
    caches what it was told, would else be another one afterwards.
    """
    said = Counter(written)
    times = Counter(texts(root))
    alone = {text for text, count in said.items() if times[text] == count}
    words = {word for text in alone for word in words_in(text)}
    others = {word for text in times.keys() - alone for word in words_in(text)}
    if any(
        _THERE_ITSELF.fullmatch(text.strip()) for text in times.keys() - alone
    ):  # a module's program may begin there
        others.update(named for names in BY_ITSELF.values() for named in names)
    for name, node in pairs(root):
        if _FOLDER_KEY.search(name) and isinstance(node, yaml.ScalarNode) and str(node.value) not in alone:
            others.add(f"{str(node.value).strip()}/")
    return words, others


def _written(root: yaml.Node) -> Iterator[str]:
    """What tasks say they write, or only ask for. What a task's result tells of again (`made.dest`) may be used."""
    told = {found[1] for said in texts(root) for found in _TOLD.finditer(said)}
    for task in _tasks(root):
        if text(get(task, "register")) in told:
            continue
        for key, node in task.value:
            collection, _, module = text(key).rpartition(".")
            if collection not in _OF_ANSIBLE or not isinstance(node, yaml.MappingNode):
                continue
            for option, value in node.value:
                if isinstance(value, yaml.ScalarNode) and module in WRITES.get(text(option), ()):
                    yield str(value.value)


def _tasks(root: yaml.Node) -> Iterator[yaml.MappingNode]:
    """The tasks of a playbook or of a file of tasks, those in blocks too; variables of the same names are none."""
    todo, seen = [root], {id(root)}
    while todo:
        node = todo.pop()
        for task in node.value if isinstance(node, yaml.SequenceNode) else ():
            if isinstance(task, yaml.MappingNode) and id(task) not in seen:
                seen.add(id(task))
                yield task
                todo += [inner for key, inner in task.value if text(key) in _TASKS]


def _is_playbook(root: yaml.Node) -> bool:
    plays = root.value if isinstance(root, yaml.SequenceNode) else ()
    return any(get(play, "hosts", "import_playbook", "ansible.builtin.import_playbook") is not None for play in plays)


def _is_code(path: Path) -> bool:
    """Whether it is of a plug-in or collection, whose folder counts as a whole."""
    return any(part in ("library", "module_utils", "collections") or part.endswith("_plugins") for part in path.parts)


def looks_up(node: yaml.Node) -> bool:
    """Whether a value reads files by a name that is only known when it runs."""
    texts = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return any(isinstance(t, yaml.ScalarNode) and _LOOKUP.search(str(t.value)) is not None for t in texts)
