"""Looks into composed YAML, whose nodes know their position.

A node of another shape than asked for is ignored; Ansible decides what it means.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import yaml


def pairs(root: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """Every key and value in the tree, at any depth."""
    for mapping in mappings(root):
        for key, value in mapping.value:
            if isinstance(key, yaml.ScalarNode):
                yield str(key.value), value


def mappings(root: yaml.Node) -> Iterator[yaml.MappingNode]:
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


def text(node: Any) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def get(node: Any, *names: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value in names:
                return value
    return None


def scalars(node: yaml.Node, key: str) -> list[yaml.ScalarNode]:
    """The paths in `x: a`, `x: {file: a}` and `x: [a, b]`."""
    if isinstance(node, yaml.ScalarNode):
        return [node]
    if isinstance(node, yaml.SequenceNode):
        return [item for item in node.value if isinstance(item, yaml.ScalarNode)]
    inner = get(node, key)
    return [inner] if isinstance(inner, yaml.ScalarNode) else []


def texts(root: yaml.Node) -> Iterator[str]:
    """Every text that is a value in the tree, at any depth, but for titles: a name in words, of a play or task.

    What an alias says again is a value there, too; of a list or mapping that is one, twice.
    """
    todo: list[yaml.Node] = [root]
    seen: Counter[int] = Counter()
    while todo:
        node = todo.pop()
        if isinstance(node, yaml.ScalarNode):
            yield str(node.value)
            continue
        seen[id(node)] += 1
        if seen[id(node)] > 2:
            continue
        if isinstance(node, yaml.MappingNode):
            todo.extend(value for key, value in node.value if not _is_title(key, value))
        elif isinstance(node, yaml.SequenceNode):
            todo.extend(node.value)


def _is_title(key: yaml.Node, value: yaml.Node) -> bool:
    said = text(value)
    return key.value == "name" and " " in said and "{{" not in said
