"""The JSON Schema of a report's file, drawn from the classes that it is written from.

The one rule it keeps: it is strict. What it does not name is not in a file. `report.schema.json` is this schema as it
is published; a test compares.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections import abc
from enum import Enum

from orchestrator.core.model import Json
from orchestrator.reports.papers.excerpt import Subject
from orchestrator.reports.papers.sealing import EXTRACT, FORMAT, MEMBERS, NARROWER, PROOF, VERSION, Heading
from orchestrator.reports.papers.shape import Report

DRAFT = "http://json-schema.org/draft-07/schema#"
HASH: Json = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_PLAIN: dict[object, Json] = {
    str: {"type": "string"},
    float: {"type": "number"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    types.NoneType: {"type": "null"},
}
Members = dict[str, Json]


def schema() -> Members:
    """Of a whole file, as JSON Schema draft 7, which editors know."""
    definitions: Members = {}
    for cls in (Report, Heading, Subject):
        _define(cls, definitions)
    record: Json = {
        "type": "object",
        "required": ["kind", "at"],
        "properties": {"kind": {"type": "string"}, "at": {"type": "number"}},
    }
    said: Members = {
        "seq": {"type": "integer", "minimum": 1},
        "at": {"type": "number"},
        "wall": {"type": "number"},
        "epoch": {"type": "integer"},
        "records": {"type": "array", "items": record},
        "rows": {"type": "object"},
        "binds": {"type": "array"},
    }
    whole = _object({"before": HASH, "hash": HASH, "said": _object(said, optional=("binds",))})
    extract = _object({**{n: said[n] for n in EXTRACT if n in said}, "hash": HASH, "sum": HASH})
    parts: Json = {"type": "object", "required": ["digest"]}
    models: Json = {"type": "object", "additionalProperties": _object({"parts": parts, "sum": HASH})}
    proof: Members = {
        "head": {"$ref": "#/definitions/Heading"},
        "head_sum": HASH,
        "entries": {"type": "array", "items": {"anyOf": [whole, extract]}},
        "models": models,
    }
    file: Members = {
        "format": {"const": FORMAT},
        "version": {"const": VERSION},
        "made_by": {"type": "string"},
        "report": {"$ref": "#/definitions/Report"},
        "proof": _object({name: proof[name] for name in PROOF}),
        "seal": HASH,
    }
    title = "A report of bascule: an incident, a planned move, a drill, or a client's period"
    return {"$schema": DRAFT, "title": title, **_object({n: file[n] for n in MEMBERS}), "definitions": definitions}


def _object(properties: Members, optional: tuple[str, ...] = ()) -> Members:
    required: list[Json] = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _define(cls: type, definitions: Members) -> Json:
    if cls.__name__ not in definitions:
        definitions[cls.__name__] = None  # it may contain itself
        hints = typing.get_type_hints(cls)
        properties: Members = {f.name: _of(hints[f.name], definitions) for f in dataclasses.fields(cls)}
        said = " ".join((cls.__doc__ or "").split())
        optional = {Subject: NARROWER, Heading: ("ages",)}.get(cls, ())
        definitions[cls.__name__] = {"description": said, **_object(properties, optional)}
    return {"$ref": f"#/definitions/{cls.__name__}"}


def _of(hint: object, definitions: Members) -> Json:
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_of(x, definitions) for x in arguments]}
    if origin is tuple and arguments[-1] is not Ellipsis:
        each: list[Json] = [_of(x, definitions) for x in arguments]
        return {"type": "array", "items": each, "minItems": len(each), "maxItems": len(each)}
    if origin is tuple:
        return {"type": "array", "items": _of(arguments[0], definitions)}
    if origin is abc.Mapping:
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions)}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [x.value for x in hint]}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _define(hint, definitions)
    raise TypeError(f"a report has no {hint}")
