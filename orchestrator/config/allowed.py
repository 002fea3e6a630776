"""What templates may use: methods of plain values, parts of Jinja2's own, filters.

The one rule it keeps: a template can use only what is named here. Nothing here reads an attribute of an object, and no
value is made before it is known to be small.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial, wraps
from typing import Any

from jinja2 import Environment, Undefined
from jinja2.filters import FILTERS as DEFAULT_FILTERS
from jinja2.filters import _GroupTuple, do_round
from jinja2.runtime import LoopContext
from jinja2.utils import pass_environment

from orchestrator.config.budget import TooMuch, each, measured, padded, pay, percent, size_of, small


class Lazy(Mapping[str, Any]):
    """A mapping whose values are rendered when they are read. A template sees its items, never its attributes."""

    def __repr__(self) -> str:
        return "{…}"


def plain(value: Any) -> Any:
    """Lists for series and mappings for what is read lazily, all the way down."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | range | Iterator):
        return [plain(inner) for inner in each(value)]
    return value


def joined(between: str, values: Iterable[Any]) -> str:
    """One text of all."""
    parts = list(each(values))
    total = len(between) * len(parts)
    for part in parts:
        total += size_of(part)
        small(total)
    pay(total // 8)
    return str(between).join(str(part) for part in parts)


def _replaced(text: Any, old: str, new: str, count: int = -1) -> str:
    text = str(text)
    small(len(text) + (text.count(old) if count < 0 else min(count, text.count(old))) * len(new))
    return str(text.replace(old, new, count))


@pass_environment
def _join(environment: Environment, values: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        values = [environment.getitem(value, attribute) for value in each(values)]
    return joined(str(d), values)


@pass_environment
def _sum(environment: Environment, values: Iterable[Any], attribute: str | int | None = None, start: float = 0) -> Any:
    total = start if isinstance(start, int | float) else 0
    for value in each(values):
        total = total + (value if attribute is None else environment.getitem(value, attribute))
    return total


def _center(value: Any, width: int = 80) -> str:
    return padded("center", str(value), width)


def _round(value: float, precision: int = 0, method: str = "common") -> Any:
    if abs(precision) > 300:
        raise TooMuch("rounds to more than 300 places")
    return do_round(value, precision, method)  # type: ignore[arg-type]


def _format(text: Any, *args: Any, **kwargs: Any) -> Any:
    return percent(str(text), kwargs or args)


def _to_json(value: Any) -> str:
    return json.dumps(measured(plain(value)), ensure_ascii=False)


_OF_TEXT = """
    split rsplit splitlines strip lstrip rstrip lower upper title capitalize casefold swapcase startswith endswith find
    rfind index rindex count partition rpartition removeprefix removesuffix isdigit isdecimal isnumeric isalpha isalnum
    isupper islower isspace istitle isidentifier
"""
METHODS: dict[type, dict[str, Callable[..., Any]]] = {
    str: {name: getattr(str, name) for name in _OF_TEXT.split()}
    | {name: partial(padded, name) for name in ("center", "ljust", "rjust", "zfill")}
    | {"replace": _replaced, "join": joined},
    dict: {
        "get": dict.get,
        "keys": list,
        "values": lambda mapping: list(mapping.values()),
        "items": lambda mapping: list(mapping.items()),
    },
    Lazy: {
        "get": Mapping.get,
        "keys": list,
        "values": lambda mapping: [mapping[key] for key in each(mapping)],
        "items": lambda mapping: [(key, mapping[key]) for key in each(mapping)],
    },
    list: {"index": list.index, "count": list.count},
    tuple: {"index": tuple.index, "count": tuple.count},
}
_OF_LOOPS = "index index0 revindex revindex0 first last length depth depth0 previtem nextitem cycle changed"
PARTS: dict[type, tuple[str, ...]] = {
    LoopContext: tuple(_OF_LOOPS.split()),
    _GroupTuple: ("grouper", "list"),
}
_NO_FILTERS = ("attr", "indent", "pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr", "filesizeformat")
"""They read attributes, take their time, throw dice, or are for HTML alone."""
_OURS: dict[str, Callable[..., Any]] = {
    "basename": os.path.basename,
    "dirname": os.path.dirname,
    "center": _center,
    "format": _format,
    "join": _join,
    "replace": _replaced,
    "round": _round,
    "sum": _sum,
    "tojson": _to_json,
}


def _metered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that measures what it takes and what it gives."""

    @wraps(function)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        pay(8)
        for value in (*args, *kwargs.values()):
            if isinstance(value, str | list | tuple | dict | int):
                small(size_of(value))
        return measured(function(*args, **kwargs))

    return filtered


_THEIRS = {name: function for name, function in DEFAULT_FILTERS.items() if name not in _NO_FILTERS}
FILTERS = {name: _metered(function) for name, function in (_THEIRS | _OURS).items()}
