"""Expectations that several kinds share: regular expressions, and values inside a JSON document.

The one rule it keeps: an expectation that can never be met is an error when the configuration is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from orchestrator.core.model import Json
from orchestrator.probes.expressions import fault

_ELEMENTS_MAX = 10_000  # values of one path that are compared
_ELEMENT = "1"  # name of the one element of an invented collection


def _compiles(text: str) -> str:
    if why := fault(text):
        raise ValueError(f"{text!r} {why}")
    return text


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_compiles)]


def _is_path(path: str) -> str:
    if any(not part for part in path.split(".")):
        raise ValueError(f"{path!r} is no path: write names or * between single dots, like outlets.*.power")
    return path


Path = Annotated[str, AfterValidator(_is_path)]
"""Names between dots; a number indexes a list, `*` means every element (and there must be one)."""


class NotThere(Exception):
    """The document has no such place."""


def values_at(document: Json, path: str) -> Iterator[tuple[str, Json]]:
    """Every (place, value) that a path names. Raises `NotThere`, saying how far it got."""
    yield from _walk(document, path.split("."), "")


def _walk(value: Json, parts: list[str], so_far: str) -> Iterator[tuple[str, Json]]:
    if not parts:
        yield so_far, value
        return
    head, *rest = parts
    place = f"{so_far}.{head}" if so_far else head
    if head == "*":
        children = (
            list(value.items())
            if isinstance(value, dict)
            else list(enumerate(value))
            if isinstance(value, list)
            else []
        )
        if not children:
            raise NotThere(f"{so_far or 'the document'} has no elements")
        for name, child in children:
            yield from _walk(child, rest, f"{so_far}.{name}" if so_far else str(name))
    elif isinstance(value, dict) and head in value:
        yield from _walk(value[head], rest, place)
    elif isinstance(value, list) and head.isdigit() and int(head) < len(value):
        yield from _walk(value[int(head)], rest, place)
    else:
        raise NotThere(f"there is no {place}")


def mismatches(document: Json, wanted: Mapping[str, Json]) -> Iterator[str]:
    """What in the document is not as wanted, in words, as it is found; nothing if everything is."""
    for path, want in wanted.items():
        try:
            for count, (place, value) in enumerate(values_at(document, path)):
                if count == _ELEMENTS_MAX:
                    yield f"{path} names more than {_ELEMENTS_MAX} values"
                    break
                if value != want or isinstance(value, bool) != isinstance(want, bool):
                    yield f"{place[:200]} is {_shown(value)}, expected {want!r}"
        except NotThere as error:
            yield str(error)


def _shown(value: Json) -> str:
    """A value of a document of others; whatever it is, it is not written out in full."""
    if isinstance(value, dict | list):
        return f"{'a mapping' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return repr(value[:200] if isinstance(value, str) else value)


class NoDocument(Exception):
    """No document has all of these values: two are wanted at one place."""


def document_with(wanted: Mapping[str, Json]) -> Json:
    """A document in which `mismatches` finds nothing: objects only, one element where a path says `*`.

    Raises `NoDocument`.
    """
    return _grown([(path.split("."), value) for path, value in wanted.items()], "")


def _grown(wanted: list[tuple[list[str], Json]], place: str) -> Json:
    if not wanted:
        return {}
    leaves = [value for parts, value in wanted if not parts]
    if leaves:
        if len(leaves) < len(wanted) or any(repr(value) != repr(leaves[0]) for value in leaves):
            raise NoDocument(f"different values are wanted at {place or 'the top'}")
        return leaves[0]
    names = list(dict.fromkeys(parts[0] for parts, _ in wanted if parts[0] != "*")) or [_ELEMENT]
    return {
        name: _grown(
            [(parts[1:], value) for parts, value in wanted if parts[0] in (name, "*")],
            f"{place}.{name}" if place else name,
        )
        for name in names
    }


def another(value: Json) -> bool | str:
    """A value that is not this one: what an invented document has where it is not as wanted."""
    return not value if isinstance(value, bool) else f"not {value}"
