"""Frozen dataclasses to JSON and back, with the same bytes for the same value.

The one rule it keeps: what was written can be read back equal, or it is refused when it is written. So both ways are
strict: a value of another type than its field's, an unknown key, a missing key without a default, a NaN are errors
that name class and field. Three things follow that a reader should know:

* A mapping's order is not kept (`dumps` sorts keys): nothing may depend on it.
* A field called `kind` is written `kind_` beside a tag, since the tag itself is `kind`.
* Infinite floats are written `"inf"` and `"-inf"`, for JSON has none.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from orchestrator.core.canonical import CodecError, dumps, loads, shown
from orchestrator.core.codec_types import TAG, decoder, encoder
from orchestrator.core.model import Json

__all__ = ["CodecError", "decode", "decode_tagged", "dumps", "encode", "encode_tagged", "loads"]

T = TypeVar("T")


def encode(value: Any) -> dict[str, Json]:
    """A dataclass instance as a JSON object, without a tag."""
    return typing.cast(dict[str, Json], encoder(value.__class__)(value))


def decode(cls: type[T], value: Json) -> T:
    """The instance of `cls` that `encode` made this JSON from. Raises CodecError where it does not fit."""
    return typing.cast(T, decoder(cls)(value))


def encode_tagged(value: Any) -> dict[str, Json]:
    """A dataclass instance as a JSON object whose `kind` is the name of its class."""
    return typing.cast(dict[str, Json], encoder(value.__class__, tagged=True)(value))


def decode_tagged(kinds: Mapping[str, type[T]], value: Json) -> T:
    """The instance that `encode_tagged` made this JSON from; `kinds` maps class names to classes."""
    if not isinstance(value, dict):
        raise CodecError(f"expected an object with {TAG!r}, found {shown(value)}")
    kind = value.get(TAG)
    cls = kinds.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise CodecError(f"unknown {TAG} {kind!r}: this version knows {', '.join(sorted(kinds))}")
    return typing.cast(T, decoder(cls, tagged=True)(value))
