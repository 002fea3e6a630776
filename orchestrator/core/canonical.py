"""JSON values, checked: their canonical bytes, and what a value must be to be written or read.

The one rule it keeps: no value is converted to fit. What is no JSON, or not what a field declares, is refused with its
position. Two exceptions: an int where a float is declared, and an enum's member where its text is.
"""

from __future__ import annotations

import json
import math
import typing
from collections import abc
from typing import Any

from orchestrator.core.model import Json

_INFINITE = {"inf": math.inf, "-inf": -math.inf}


class CodecError(ValueError):
    """A value that cannot be written, or JSON that does not fit the class; the message names class and field."""


_to_text = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def dumps(value: Json) -> bytes:
    """The canonical bytes of a JSON value: sorted keys, no spaces, ASCII. Raises CodecError for NaN and infinity."""
    try:
        return _to_text(value).encode("ascii")
    except (TypeError, ValueError) as error:
        raise CodecError(f"not JSON: {error}") from error


def loads(data: bytes | str) -> Json:
    """The JSON value of these bytes. Raises CodecError where they are not JSON."""
    try:
        text = data if isinstance(data, str) else data.decode(json.detect_encoding(data), "surrogatepass")
        return typing.cast(Json, _from_text(text))
    except ValueError as error:
        raise CodecError(f"not JSON: {error}") from error


def shown(value: object) -> str:
    """A value as error messages show it: its type and its first characters."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")


_from_text = json.JSONDecoder(parse_constant=_no_constant).decode  # `json.loads` would make one each time


def wrong(value: object, where: str, expected: str) -> typing.NoReturn:
    raise CodecError(f"{where}: expected {expected}, found {shown(value)}")


def plain_str(value: object, where: str) -> str:
    if isinstance(value, str):  # a StrEnum's member where a plain string is declared
        return str.__str__(value)
    wrong(value, where, "str")


def float_out(value: object, where: str) -> float | str:
    if isinstance(value, float | int) and not isinstance(value, bool):
        number = float(value)
        if math.isnan(number):
            wrong(value, where, "a number, not NaN")
        return number if math.isfinite(number) else str(number)
    wrong(value, where, "float")


def float_in(value: object, where: str) -> float:
    if value.__class__ is int:
        try:
            return float(value)
        except OverflowError:
            wrong(value, where, "a number that a float can hold")
    if isinstance(value, str) and value in _INFINITE:
        return _INFINITE[value]
    wrong(value, where, "float")


def json_out(value: object, where: str) -> Json:
    if value is None or value.__class__ in (str, int, bool):
        return typing.cast(Json, value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if value.__class__ is dict:
        members = typing.cast(dict[Any, object], value)
        return {plain_str(k, f"{where} key"): json_out(v, f"{where}.{k}") for k, v in members.items()}
    if value.__class__ is list:
        return [json_out(v, f"{where}[{i}]") for i, v in enumerate(typing.cast(list[object], value))]
    wrong(value, where, "JSON (None, bool, int, finite float, str, list, dict with str keys)")


def only(value: dict[str, Json], cls: type, names: tuple[str, ...]) -> typing.NoReturn:
    unknown = sorted(value.keys() - set(names))
    raise CodecError(f"{cls.__name__}: unknown key {', '.join(map(repr, unknown))}; it has {', '.join(names)}")


def missing(cls: type, name: str) -> typing.NoReturn:
    raise CodecError(f"{cls.__name__}: key {name!r} is missing and has no default")


def checked(value: object, cls: type, where: str) -> Any:
    if value.__class__ is not cls and not (cls is dict and isinstance(value, abc.Mapping)):
        wrong(value, where, cls.__name__)
    return value
