"""Expectations that several kinds share: regular expressions, and values inside a JSON document.

The one rule it keeps: an expectation that can never be met is an error when the configuration is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from orchestrator.core.model import Json


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
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


def mismatches(document: Json, wanted: Mapping[str, Json]) -> list[str]:
    """What in the document is not as wanted, in words; empty if everything is."""
    wrong = []
    for path, want in wanted.items():
        try:
            for place, value in values_at(document, path):
                if value != want or isinstance(value, bool) != isinstance(want, bool):
                    wrong.append(f"{place} is {value!r}, expected {want!r}")
        except NotThere as error:
            wrong.append(str(error))
    return wrong
