"""YAML read strictly, on PyYAML's node tree, with the position of every key and value kept.

The one rule it keeps: the program reads what the author wrote. Duplicate keys, `no` read as false, `010` read as eight
and `1e3` read as text are faults here, and not surprises during a disaster.

Read: mappings with text keys, sequences, text, true/false, null, decimal integers and floats, anchors, aliases, merge
keys. Refused: tags, several documents in one file, aliases that contain themselves.
"""

from __future__ import annotations

import contextlib
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config.faults import Faults, Position

Path_ = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+")
_OCTAL = re.compile(r"[-+]?0[0-9_]+|[-+]?0o[0-7_]+")
_OTHER_NUMBER = re.compile(
    r"[-+]?0x[0-9a-fA-F_]+|[-+]?0b[01_]+|[-+]?[0-9][0-9_]*\.?[0-9_]*[eE][-+]?[0-9]+|[-+]?[0-9]*_[0-9_]*|[-+]?\.[0-9]+|[-+]?[0-9]+\."
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)|[0-9][0-9]?(:[0-5]?[0-9])+"
)
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_NULL = {"", "~", "null", "Null", "NULL"}
_AMBIGUOUS = {w for word in ("yes", "no", "on", "off", "y", "n") for w in (word, word.title(), word.upper())}
_NODES_MAX = 200_000  # aliases of aliases multiply; no honest file has so many


@dataclass(slots=True)
class Document:
    """One file: its plain data, and where each part of it stands."""

    file: str
    data: Any = None
    values: dict[Path_, Position] = field(default_factory=dict)
    keys: dict[Path_, Position] = field(default_factory=dict)
    refused: set[Path_] = field(default_factory=set)  # values with a fault of their own, left out of `data`

    def at(self, *path: str | int) -> Position:
        """Where the value of this path stands, or its nearest enclosing part."""
        for end in range(len(path), -1, -1):
            found = self.values.get(path[:end])
            if found is not None:
                return found
        return Position(self.file, 1, 1)

    def key(self, *path: str | int) -> Position:
        """Where the key of this path stands; an item of a sequence stands where its value does."""
        return self.keys.get(path) or self.at(*path)


def read_yaml(path: Path, name: str, faults: Faults) -> Document | None:
    """Read one file. None, with the fault noted, if it is no YAML at all; other faults leave the rest readable."""
    text = read_text(path, name, faults)
    return None if text is None else parse_yaml(text, name, faults)


def read_text(path: Path, name: str, faults: Faults) -> str | None:
    """What a file of YAML says. None, with the fault noted, if it cannot be read as text; a pipe is not waited for."""
    try:
        if stat.S_ISFIFO(path.stat().st_mode):
            faults.add(Position(name), "cannot be read: Is a pipe", "a readable YAML file")
            return None
        data = path.read_bytes()
    except OSError as error:
        faults.add(Position(name), f"cannot be read: {error.strerror}", "a readable YAML file")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        faults.add(Position(name, line, 1), "this is no UTF-8 text", "a YAML file in UTF-8")
        return None


def parse_yaml(text: str, name: str, faults: Faults) -> Document | None:
    """Read YAML text; see `read_yaml`."""
    root = compose(text, name, faults)
    if root is _BROKEN:
        return None
    document = Document(name)
    if isinstance(root, yaml.Node):
        document.data = _Builder(document, faults).build(root, ())
    return document


class _Broken:
    """The file is no YAML."""


_BROKEN = _Broken()


def compose(text: str, name: str, faults: Faults) -> yaml.Node | _Broken | None:
    """The node tree of the only document in `text`; None if it is empty, `_BROKEN` with the fault noted."""
    loader = None
    try:
        if _QUICK is not None and _is_shallow(text):
            with contextlib.suppress(yaml.YAMLError, UnicodeError):  # the other one tells better what is wrong
                loader = _QUICK(text)
                quick: yaml.Node | None = loader.get_single_node()
                return quick
        loader = yaml.SafeLoader(text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = Position(name, mark.line + 1, mark.column + 1) if mark else Position(name)
        problem = error.problem or str(error)
        if "'\\t'" in problem:
            faults.add(at, "a tab is used for indentation", "spaces")
        elif "single document" in (error.context or ""):
            faults.add(at, "a second document begins here", "one document a file")
        elif "undefined alias" in problem or "duplicate anchor" in problem:
            faults.add(at, problem, "an anchor (&name) before its alias (*name)")
        else:
            context = f", {error.context}" if error.context else ""
            if error.context_mark and mark and error.context_mark.line != mark.line:
                context += f" that began on line {error.context_mark.line + 1}"
            faults.add(at, f"this is no YAML: {problem}{context}", "valid YAML")
        return _BROKEN
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        character = f"U+{ord(error.character) if isinstance(error.character, str) else error.character:04X}"
        faults.add(Position(name, line, 1), f"the character {character} is not allowed in YAML", "printable text")
        return _BROKEN
    except RecursionError:
        faults.add(Position(name), "nested too deeply to be read", "a flatter file")
        return _BROKEN
    finally:
        if loader is not None:
            loader.dispose()


_QUICK: Any = getattr(yaml, "CSafeLoader", None)  # where PyYAML was built with libyaml
_DEEP = 2000  # libyaml's composer knows no limit: it would end the process


def _is_shallow(text: str) -> bool:
    """Whether nothing in it can be nested deeply: each level needs a bracket, or a column."""
    brackets = text.count("[") + text.count("{")
    return brackets + max(map(len, text.splitlines()), default=0) < _DEEP


class _Builder:
    """Turns nodes into plain data and remembers positions."""

    def __init__(self, document: Document, faults: Faults) -> None:
        self.document = document
        self.faults = faults
        self.open: set[int] = set()
        self.count = 0
        self.resolver = yaml.resolver.Resolver()

    def where(self, node: yaml.Node) -> Position:
        return Position(self.document.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def build(self, node: yaml.Node, path: Path_) -> Any:
        self.document.values[path] = self.where(node)
        self.count += 1
        if id(node) in self.open or self.count > _NODES_MAX:
            if self.count <= _NODES_MAX + 1:
                self.faults.add(self.where(node), "this alias contains itself or grows without bound", "plain data")
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                self.refuse_tag(node, "tag:yaml.org,2002:seq")
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
            return self.scalar(node) if isinstance(node, yaml.ScalarNode) else None
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        self.refuse_tag(node, "tag:yaml.org,2002:map")
        built: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                self.merge(value_node, path, merged)
                continue
            key = self.mapping_key(key_node)
            if key is None:
                continue
            if key in built:
                first = self.document.keys[(*path, key)]
                self.faults.add(
                    self.where(key_node), f"key {key!r} is given twice (first on line {first.line})", "each key once"
                )
                continue
            self.document.keys[(*path, key)] = self.where(key_node)
            before = len(self.faults.found)
            value = self.build(value_node, (*path, key))
            if isinstance(value_node, yaml.ScalarNode) and len(self.faults.found) > before:
                self.document.refused.add((*path, key))
            else:
                built[key] = value
        return {**{k: v for k, v in merged.items() if k not in built}, **built}

    def merge(self, node: yaml.Node, path: Path_, into: dict[str, Any]) -> None:
        """`<<: *alias`, or a sequence of aliases: an earlier one wins, the mapping's own keys win over all."""
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for item in items:
            if not isinstance(item, yaml.MappingNode):
                self.faults.add(self.where(item), "only mappings can be merged with <<", "an alias of a mapping")
                continue
            side = Document(self.document.file)
            builder = _Builder(side, self.faults)
            builder.open, builder.count = self.open, self.count
            for key, value in (builder.build(item, path) or {}).items():
                into.setdefault(key, value)
            self.count = builder.count
            for known, position in side.values.items():
                if known != path:
                    self.document.values.setdefault(known, position)
            for known, position in side.keys.items():
                self.document.keys.setdefault(known, position)

    def mapping_key(self, node: yaml.Node) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self.faults.add(self.where(node), "a key must be text", "a name")
            return None
        text: str = node.value
        if not node.style and text in _AMBIGUOUS | _TRUE | _FALSE | _NULL:
            self.faults.add(
                self.where(node),
                f"the key {text or 'null'!r} reads as true, false or null in YAML",
                f'"{text}" in quotes',
            )
            return None
        return text

    def refuse_tag(self, node: yaml.Node, *allowed: str) -> None:
        if node.tag not in allowed:
            name = node.tag.replace("tag:yaml.org,2002:", "!!")
            self.faults.add(self.where(node), f"the tag {name} is not allowed here", "plain YAML without tags")

    def scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        if node.style:  # quoted, literal or folded: always text
            self.refuse_tag(node, "tag:yaml.org,2002:str")
            return text
        if node.tag != self.resolver.resolve(yaml.ScalarNode, text, (True, False)):  # type: ignore[no-untyped-call]
            self.refuse_tag(node)
            return text
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if text in _NULL:
            return None
        if text in _AMBIGUOUS:
            self.faults.add(
                self.where(node),
                f"{text!r} reads as true or false in some YAML versions and as text in others",
                f'true, false, or "{text}" in quotes',
            )
            return None
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _OCTAL.fullmatch(text):
            self.faults.add(
                self.where(node),
                f"{text} looks octal: YAML versions read it differently",
                f'{text.lstrip("+-0o_") or "0"}, or "{text}" in quotes',
            )
            return None
        if _OTHER_NUMBER.fullmatch(text):
            self.faults.add(
                self.where(node),
                f"{text} is a number to some readers and text to others",
                f'a plain decimal, or "{text}" in quotes',
            )
            return None
        return text
