"""Validates plain data against a shape, and turns pydantic's errors into faults with positions.

The one rule it keeps: a broken key costs that key only. It is reported and left out, and the rest of the mapping is
validated again, until what remains is valid.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from orchestrator.config.faults import Faults, nearest
from orchestrator.config.shape import Shape
from orchestrator.config.strict_yaml import Document, Path_

S = TypeVar("S", bound=Shape)

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "float_type": "a number",
    "float_parsing": "a number",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "greater_than": "more than {gt}",
    "less_than": "less than {lt}",
    "string_too_short": "at least {min_length} characters",
}
_ATTEMPTS_MAX = 50


def take_shape(shape: type[S], document: Document, path: Path_, data: Any, faults: Faults, what: str) -> S | None:
    """`data`, which stands at `path`, as `shape`, without its broken keys. None only if it is no mapping at all.

    `what` names the mapping in messages: "move geo-site".
    """
    if data is None:
        data = {}
    if not isinstance(data, dict):
        faults.add(document.at(*path), f"{what} is {show(data)}", f"a mapping with {_keys(shape)}")
        return None
    remaining = copy.deepcopy(data)
    taken: S | None = None
    for _ in range(_ATTEMPTS_MAX):
        try:
            taken = shape.model_validate(remaining)
            break
        except ValidationError as error:
            for broken in report(error, shape, document, path, remaining, faults, what):
                _remove(remaining, broken)
    if taken is None:  # every attempt noted a fault
        taken = shape.model_construct()
    _missing(shape, taken, document, path, data, faults, what)
    return taken


def report(
    error: ValidationError,
    shape: type[BaseModel],
    document: Document,
    path: Path_,
    data: Any,
    faults: Faults,
    what: str,
) -> list[Path_]:
    """Note each of pydantic's errors where it stands; the paths, below `path`, of what is broken."""
    broken: list[Path_] = []
    for one in error.errors(include_url=False):
        inside = real_path(one["loc"], data)
        broken.append(inside)
        at = (*path, *inside)
        kind, given = one["type"], one["input"]
        subject = f"{what}: {dotted(inside)}" if inside else what
        context = one.get("ctx", {})
        if kind == "extra_forbidden":
            name = str(one["loc"][-1])
            owner = f"{what}: {dotted(inside[:-1])}" if inside[:-1] else what
            known = _names(_shape_at(shape, inside[:-1]))
            near = nearest(name, known)
            faults.add(document.key(*at), f"{owner} has an unknown key {name!r}", "" if near else _one_of(known), near)
        elif kind == "missing":
            owner_path = inside[:-1]
            owner = f"{what}: {dotted(owner_path)}" if owner_path else what
            if at not in document.refused:
                name = str(one["loc"][-1])
                faults.add(document.key(*path, *owner_path), f"{owner} has no {name!r}", f"the key {name!r}")
        elif kind in ("literal_error", "enum"):
            choices = [c.strip("'") for c in str(context["expected"]).replace(" or ", ", ").split(", ")]
            near = nearest(given, choices) if isinstance(given, str) else None
            faults.add(document.at(*at), f"{subject} is {show(given)}", f"one of {', '.join(choices)}", near)
        elif kind == "value_error":
            message, _, expected = str(context["error"]).partition(": ")
            faults.add(document.at(*at), f"{subject}: {message}", expected.removeprefix("write "))
        elif kind in _WANTED:
            faults.add(document.at(*at), f"{subject} is {show(given)}", _WANTED[kind].format(**context))
        else:
            faults.add(document.at(*at), f"{subject} is {show(given)}", one["msg"].removeprefix("Input should be "))
    return broken


def _remove(data: Any, path: Path_) -> None:
    """Take the innermost key of this path out of `data`; of a broken item of a list, the list's key."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    if not path:
        data.clear()
        return
    inner = _lookup(data, path[:-1])
    if isinstance(inner, dict):
        inner.pop(path[-1], None)


def real_path(loc: Iterable[str | int], data: Any) -> Path_:
    """A pydantic location without the parts that are no keys (union tags, validators), as far as the data goes."""
    found: list[str | int] = []
    here = data
    parts = list(loc)
    for index, part in enumerate(parts):
        if isinstance(here, dict) and isinstance(part, str):
            if part in here:
                found.append(part)
                here = here[part]
            elif index == len(parts) - 1:
                found.append(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            found.append(part)
            here = here[part]
    return tuple(found)


def show(value: Any) -> str:
    """A value as a fault names it, never long."""
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _missing(
    shape: type[Shape], taken: Shape, document: Document, path: Path_, data: Any, faults: Faults, what: str
) -> None:
    """Note required keys that were not written, here and in the shapes inside; broken ones were noted before."""
    given = data if isinstance(data, dict) else {}
    for key in shape.REQUIRED:
        if given.get(key) is None and (*path, key) not in document.refused:
            faults.add(document.key(*path), f"{what} has no {key!r}", f"the key {key!r}")
    for name, field in shape.model_fields.items():
        key = field.alias or name
        for where, inner in _shapes_in(getattr(taken, name, None), (key,)):
            written = _lookup(given, where)
            if isinstance(written, dict):
                _missing(type(inner), inner, document, (*path, *where), written, faults, f"{what}: {dotted(where)}")


def _shapes_in(value: Any, path: Path_) -> list[tuple[Path_, Shape]]:
    if isinstance(value, Shape):
        return [(path, value)]
    if isinstance(value, list):
        return [(((*path, i)), item) for i, item in enumerate(value) if isinstance(item, Shape)]
    return []


def _lookup(data: Any, path: Path_) -> Any:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _names(shape: type[BaseModel] | None) -> set[str]:
    return {field.alias or name for name, field in shape.model_fields.items()} if shape else set()


def _shape_at(shape: type[BaseModel], path: Path_) -> type[BaseModel] | None:
    """The shape that stands at this path below `shape`."""
    here: type[BaseModel] | None = shape
    for part in path:
        if isinstance(part, int) or here is None:
            continue
        by_key = {field.alias or name: field for name, field in here.model_fields.items()}
        field = by_key.get(part)
        here = _first_model(field.annotation) if field else None
    return here


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _first_model(inner)
        if found is not None:
            return found
    origin = getattr(annotation, "__origin__", None)
    return origin if isinstance(origin, type) and issubclass(origin, BaseModel) else None


def dotted(path: Path_) -> str:
    """A path as messages show it: `ladder[1].accept_loss`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text or "it"


def _one_of(names: Iterable[str]) -> str:
    return f"one of {', '.join(sorted(names))}"


def _keys(shape: type[Shape]) -> str:
    required = ", ".join(shape.REQUIRED)
    return f"the keys {required}" if required else f"keys like {', '.join(sorted(_names(shape))[:4])}"


def _lower(message: str) -> str:
    return message.removeprefix("Input should be ")
