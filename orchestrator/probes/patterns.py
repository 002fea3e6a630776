"""Expectations that several kinds share: regular expressions, and values inside a JSON document.

The one rule it keeps: an expectation that can never be met is an error when the configuration is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
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


_PART = re.compile(r'"(?P<exact>[^"]+)"(?=\.|$)|(?P<plain>[^."][^.]*)')
_EVERY = None  # the part of a path that means every element


@lru_cache(maxsize=4096)  # asked for each answer, of what stands in the configuration
def _parts(path: str) -> tuple[str | None, ...]:
    """The names of a path, from the outermost on. Raises `ValueError`."""
    parts: list[str | None] = []
    at = 0
    while part := _PART.match(path, at):
        parts.append(part["exact"] or (_EVERY if part["plain"] == "*" else part["plain"]))
        at = part.end() + 1
        if part.end() == len(path):
            return tuple(parts)
    raise ValueError(
        f"{path!r} is no path: write names or * between single dots, like outlets.*.power; "
        'a name with a dot in double quotes, like "db.main".state'
    )


def _is_path(path: str) -> str:
    _parts(path)
    return path


Path = Annotated[str, AfterValidator(_is_path)]
"""Names between dots; a number indexes a list, `*` means every element (and there must be one).

A name in double quotes is taken as it is: `"db.main".state`.
"""


class NotThere(Exception):
    """The document has no such place."""


def values_at(document: Json, path: str) -> Iterator[tuple[str, Json]]:
    """Every (place, value) that a path names. Raises `NotThere`, saying how far it got."""
    yield from _walk(document, _parts(path), "")


def _walk(value: Json, parts: Sequence[str | None], so_far: str) -> Iterator[tuple[str, Json]]:
    if not parts:
        yield so_far, value
        return
    head, *rest = parts
    if head is _EVERY:
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
            yield from _walk(child, rest, _within(so_far, str(name)))
        return
    place = _within(so_far, head)
    if isinstance(value, dict) and head in value:
        yield from _walk(value[head], rest, place)
    elif isinstance(value, list) and head.isdigit() and int(head) < len(value):
        yield from _walk(value[int(head)], rest, place)
    else:
        raise NotThere(f"there is no {place}")


def _within(place: str, name: str) -> str:
    told = f'"{name}"' if "." in name else name
    return f"{place}.{told}" if place else told


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
    return _grown([(_parts(path), value) for path, value in wanted.items()], "")


def _grown(wanted: list[tuple[Sequence[str | None], Json]], place: str) -> Json:
    if not wanted:
        return {}
    leaves = [value for parts, value in wanted if not parts]
    if leaves:
        if len(leaves) < len(wanted) or any(repr(value) != repr(leaves[0]) for value in leaves):
            raise NoDocument(f"different values are wanted at {place or 'the top'}")
        return leaves[0]
    names = list(dict.fromkeys(parts[0] for parts, _ in wanted if parts[0] is not _EVERY)) or [_ELEMENT]
    return {
        name: _grown(
            [(parts[1:], value) for parts, value in wanted if parts[0] in (name, _EVERY)],
            _within(place, name),
        )
        for name in names
    }


def another(value: Json) -> bool | str:
    """A value that is not this one: what an invented document has where it is not as wanted."""
    return not value if isinstance(value, bool) else f"not {value}"
