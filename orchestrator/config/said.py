"""What a file says, apart from how it is written: YAML without comments, blank lines, quotes and indentation.

The one rule it keeps: two files have the same meaning only if every reader of YAML reads the same from both. What is no
YAML, or is encrypted, broken or too large to be walked, has its bytes for a meaning.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from orchestrator.config import trees
from orchestrator.config.faults import Faults
from orchestrator.config.strict_yaml import compose
from orchestrator.config.yaml_nodes import get, mappings, text, texts

YAML = (".yml", ".yaml")
NODES_MAX = 200_000  # aliases of aliases multiply
READ_MAX = 1 << 22  # bytes: what is larger is data
# Keys by which Ansible loads a file as YAML. What stands beside one in a task (a loop over names) says what it loads.
INCLUDES = ("include_tasks", "import_tasks", "import_playbook", "include_vars", "include_role", "import_role")
_LOADS_ROLES = ("roles", "include_role", "import_role", "dependencies")
_ACTIONS = ("action", "local_action", "import_playbook")
_OF_ANSIBLE = ("ansible.builtin.", "ansible.legacy.", "")
_FILE = re.compile(r"([\w.-]*)\.ya?ml(?![\w.-]*\w)")
_FOLDERS = ("tasks", "handlers", "meta", "vars", "defaults", "group_vars", "host_vars", "roles", "playbooks")
_FOLDER = re.compile(
    rf"/(?:{'|'.join(_FOLDERS)})/?(?=[\s\"']|$)|(?:^|[\s\"'])(?:{'|'.join(_FOLDERS)})/(?=[\s\"']|$)"
    r"|\b(?:role_path|playbook_dir|inventory_dir)\b(?!\s*\}\}\s*/\w)"
)
_WORD = re.compile(r"[\w.-]+")
_ROLE = re.compile(r"(?:\broles/|\b(?:name|role)\s*=\s*[\"']?)([\w.-]+)")
_FROM = ("src", "path", "chdir", "dir")  # options that may name a folder by one word
_OTHERS = re.compile(r"\b(?:hostvars|groups|vars_plugins)\b")
_ADDS = ("add_host", "group_by")
_LOOKS = r"(?<![\w.])(?:lookup|query|q)\((?!\s*(?:'[^']*'|\"[^\"]*\"|[\w.]+)\s*[,)])"  # by a name that is put together
_LOOKS_BY_PARTS = re.compile(_LOOKS)
_LOOKS_IN_TEMPLATE = re.compile(rf"\{{[{{%][^}}]*?{_LOOKS}")


@dataclass(frozen=True, slots=True)
class Said:
    """One file. `meaning`: a digest of what it says, or of its bytes; `names`: files of YAML that it names otherwise
    than to have Ansible load them (`None`: it may name any); `loads`: those that it has Ansible load; `words`: whatever
    in it may be a name; `roles`: roles that it names, or has Ansible load. `others`: whether it asks for variables of
    other hosts; `hands_to`: hosts that it hands tasks to. `keys`: words that are keys, as names of modules are.
    `encrypted`: as a whole, so it may name anything. `made`: whether a template makes the name of an action, a role, a
    playbook or a lookup in it.
    """

    meaning: str
    read: bool  # as YAML
    names: frozenset[str] | None = frozenset()
    loads: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    others: bool = False
    hands_to: tuple[str, ...] = ()
    keys: frozenset[str] = frozenset()
    encrypted: bool = False
    made: bool = False


_known: dict[str, Said] = {}  # by name and contents


def said(path: Path) -> Said:
    """What a file says. One that cannot be read says what it is: that it is gone, a folder, a pipe."""
    digest = trees.read_digest(path)
    key = f"{path.suffix in YAML} {digest}"
    if key not in _known:
        _known[key] = _said(path, digest)
    return _known[key]


def meaning_of(root: yaml.Node | None) -> str | None:
    """A digest of a tree of YAML: its keys and values in their order, with their types. None: it is too large."""
    found = hashlib.sha256()
    count = 0
    todo: list[yaml.Node | str | None] = [root]
    while todo:
        node = todo.pop()
        count += 1
        if count > NODES_MAX:
            return None
        if node is None or isinstance(node, str):
            found.update(f"{node}\n".encode())
        elif isinstance(node, yaml.ScalarNode):
            value = str(node.value).encode("utf-8", "surrogatepass")
            found.update(f"s {node.tag} {len(value)} ".encode() + value)
        elif isinstance(node, yaml.MappingNode):
            found.update(f"m {node.tag} {len(node.value)}\n".encode())
            todo += [part for pair in reversed(node.value) for part in (pair[1], pair[0])]
        elif isinstance(node, yaml.SequenceNode):
            found.update(f"q {node.tag} {len(node.value)}\n".encode())
            todo += reversed(node.value)
    return found.hexdigest()[:32]


def _said(path: Path, digest: str) -> Said:
    try:
        data = path.read_bytes() if path.is_file() and path.stat().st_size <= READ_MAX else b"\0"
    except OSError:
        data = b"\0"
    if b"\0" in data:
        return Said(digest, read=False)
    content = data.decode("utf-8", "replace")
    # An encrypted one may name anything; but what Ansible loads from it, it does not copy.
    if path.suffix in YAML and not content.startswith("$ANSIBLE_VAULT;"):
        faults = Faults()
        root = compose(content, path.name, faults)
        if not faults.found and (root is None or isinstance(root, yaml.Node)):
            meaning = meaning_of(root)
            if meaning is not None:
                return _of_yaml(root, meaning)
    others = bool(_OTHERS.search(content))
    words, roles = frozenset(words_in(content)), frozenset(_ROLE.findall(content))
    sealed, made = content.startswith("$ANSIBLE_VAULT;"), bool(_LOOKS_IN_TEMPLATE.search(content))
    return Said(
        digest, read=False, names=_named([content]), words=words, roles=roles, others=others, encrypted=sealed,
        made=made,
    )  # fmt: skip


def _of_yaml(root: yaml.Node | None, meaning: str) -> Said:
    if root is None:
        return Said(meaning, read=True)
    loads: set[str] = set()
    of_includes: list[yaml.Node] = []
    hands_to: list[str] = []
    others = any_named = False
    for mapping in mappings(root):
        keys = {_plain(text(key)): value for key, value in mapping.value}
        any_named = any_named or any(text(keys.get(key)) in _FOLDERS for key in _FROM)
        others = others or any(key in keys for key in _ADDS)
        if (given := keys.get("delegate_to")) is not None:
            hands_to.append(text(given))
            others = others or "{{" in text(given) or not isinstance(given, yaml.ScalarNode)
        if any(key in keys for key in INCLUDES):
            of_includes.append(mapping)
        elif (files := keys.get("vars_files")) is not None:
            of_includes.append(files)
    passed = {id(node) for node in of_includes}
    for node in of_includes:
        loads |= {found[0] for value in texts(node) for found in _FILE.finditer(value)}
    others = others or any(_OTHERS.search(value) for value in texts(root))
    names = None if any_named else _named(_texts_beside(root, passed))
    words = frozenset(word for value in texts(root) for word in words_in(value))
    roles = frozenset(role for value in texts(root) for role in _ROLE.findall(value)).union(_roles_in(root))
    called = frozenset(word for mapping in mappings(root) for key, _ in mapping.value for word in words_in(text(key)))
    made = any("{{" in role for role in roles) or any(_LOOKS_BY_PARTS.search(value) for value in texts(root))
    made = made or any(
        "{{" in value
        for mapping in mappings(root)
        for key, node in mapping.value
        if _plain(text(key)) in _ACTIONS
        for value in texts(node)
    )
    return Said(meaning, True, names, frozenset(loads), words, roles, others, tuple(hands_to), called, made=made)


def _roles_in(root: yaml.Node) -> Iterator[str]:
    """The roles that plays, tasks and other roles load: by `roles`, `include_role`, `import_role`, `dependencies`."""
    for mapping in mappings(root):
        for key, value in mapping.value:
            if _plain(text(key)) not in _LOADS_ROLES:
                continue
            for item in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                role = text(item if isinstance(item, yaml.ScalarNode) else get(item, "role", "name"))
                yield Path(role).name


def words_in(value: str) -> set[str]:
    """Whatever in a text may be the name of a file, folder or role."""
    return {word.strip(".-") for word in _WORD.findall(value)}


def _texts_beside(root: yaml.Node, passed: set[int]) -> Iterator[str]:
    """Every text of the tree, but for what stands in these nodes."""
    todo, seen = [root], set[int]()
    while todo:
        node = todo.pop()
        if id(node) in passed or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield str(node.value)
        elif isinstance(node, yaml.MappingNode):
            titled = (value for key, value in node.value if not (text(key) == "name" and " " in text(value)))
            todo += titled
        elif isinstance(node, yaml.SequenceNode):
            todo += node.value


def _named(found: Iterator[str] | list[str]) -> frozenset[str] | None:
    """Names of YAML files in these texts; None: one of them is a pattern, or a folder of such files as a whole."""
    names: set[str] = set()
    for value in found:
        if _FOLDER.search(value):
            return None
        if not any(ending in value for ending in YAML):
            continue  # the search goes over every word, and a large file has many
        for name in _FILE.finditer(value):
            if not name[1]:
                return None  # `*.yml`, `{{ site }}.yml`
            names.add(name[0])
    return frozenset(names)


def _plain(key: str) -> str:
    return next(key.removeprefix(prefix) for prefix in _OF_ANSIBLE if key.startswith(prefix))
