"""Holds plain data against a shape, and turns pydantic's complaints into faults with positions.

The one rule it keeps: a broken key costs that key only. It is reported and left out, and the rest of the mapping is
held against the shape again, until what remains is sound.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from orchestrator.config.faults import Faults, nearest
from orchestrator.config.shapes import Shape
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
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def take_shape(shape: type[S], document: Document, path: Path_, data: Any, faults: Faults, what: str) -> S | None:
    """`data`, which stands at `path`, as `shape`, without its broken keys. None only if it is no mapping at all.

    `what` names the mapping in messages: "move geo-site".
    """
    if data is None:
        data = {}
    if not isinstance(data, dict):
        faults.add(document.at(*path), f"{what} is {show(data)}", f"a mapping with {_keys(shape)}")
        return None
    remaining = dict(data)
    taken: S | None = None
    for _ in range(len(remaining) + 1):
        try:
            taken = shape.model_validate(remaining)
            break
        except ValidationError as error:
            broken = report(error, shape, document, path, data, faults, what)
            for key in broken:
                remaining.pop(key, None)
    if taken is None:  # every key is dropped by then; a fault stands for each
        taken = shape.model_construct()
    broken_keys = set(data) - set(remaining)
    for key in _missing(shape, remaining):
        if key not in broken_keys:
            faults.add(document.key(*path), f"{what} has no {key!r}", f"the key {key!r}")
    _nested(taken, document, path, data, faults, what)
    return taken


def report(
    error: ValidationError,
    shape: type[BaseModel],
    document: Document,
    path: Path_,
    data: Any,
    faults: Faults,
    what: str,
) -> set[str]:
    """Note each of pydantic's errors where it stands; the top-level keys they are in."""
    broken: set[str] = set()
    for one in error.errors(include_url=False):
        inside = real_path(one["loc"], data)
        if inside:
            broken.add(str(inside[0]))
        at = (*path, *inside)
        kind, given = one["type"], one["input"]
        if kind == "extra_forbidden":
            name = str(one["loc"][-1])
            known = _names(_shape_at(shape, inside[:-1]))
            near = nearest(name, known)
            expected = "" if near else f"one of {', '.join(sorted(known))}"
            faults.add(document.key(*at), f"{what} has an unknown key {name!r}", expected, near)
        elif kind == "missing":
            name = str(one["loc"][-1])
            faults.add(document.key(*path, *inside[:-1] if inside[-1:] == (name,) else inside),
                       f"{what} has no {name!r}", f"the key {name!r}")  # fmt: skip
        elif kind == "literal_error":
            choices = [c.strip("'") for c in str(one["ctx"]["expected"]).replace(" or ", ", ").split(", ")]
            near = nearest(given, choices) if isinstance(given, str) else None
            faults.add(document.at(*at), f"{_dotted(inside)} is {show(given)}", f"one of {', '.join(choices)}", near)
        elif kind == "value_error":
            text = str(one["ctx"]["error"])
            message, _, expected = text.partition(": ")
            faults.add(document.at(*at), f"{_dotted(inside)}: {message}", expected)
        elif kind in _WANTED:
            faults.add(document.at(*at), f"{_dotted(inside)} is {show(given)}", _WANTED[kind])
        else:
            faults.add(document.at(*at), f"{_dotted(inside)} is {show(given)}", _lower(one["msg"]))
    return broken or set(data)


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


def _nested(taken: Shape, document: Document, path: Path_, data: dict[str, Any], faults: Faults, what: str) -> None:
    """Required keys of the shapes inside."""
    for name, field in type(taken).model_fields.items():
        key = field.alias or name
        value = getattr(taken, name, None)
        for where, inner in _shapes_in(value, (*path, key)):
            given = _lookup(data, where[len(path) :])
            if isinstance(given, dict):
                label = f"{what}: {_dotted(where[len(path) :])}"
                for missing in _missing(type(inner), given):
                    faults.add(document.key(*where), f"{label} has no {missing!r}", f"the key {missing!r}")
                _nested(inner, document, where, given, faults, label)


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


def _missing(shape: type[Shape], data: dict[str, Any]) -> list[str]:
    return [key for key in shape.REQUIRED if data.get(key) is None]


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


def _dotted(path: Path_) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text or "it"


def _keys(shape: type[Shape]) -> str:
    required = ", ".join(shape.REQUIRED)
    return f"the keys {required}" if required else f"keys like {', '.join(sorted(_names(shape))[:4])}"


def _lower(message: str) -> str:
    return message.removeprefix("Input should be ")
