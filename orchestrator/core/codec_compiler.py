"""The codec's compiler: for each class one encoder and one decoder, as Python source made from its type hints.

The one rule it keeps: the source text contains only field names, class names and numbers of this program, never data.
It is compiled when a class is first used, as `dataclasses` itself does it, because an encoder is on the path of every
journal entry and of every simulated one.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import types
import typing
from collections import abc
from collections.abc import Callable
from enum import Enum
from typing import Any

from orchestrator.core.canonical import (
    CodecError,
    checked,
    dumps,
    float_in,
    float_out,
    json_out,
    missing,
    only,
    plain_str,
    wrong,
)
from orchestrator.core.model import Json

TAG = "kind"
_SCALARS = (str, int, bool, float)
_SEQUENCES: dict[Any, str] = {tuple: "tuple", list: "list", frozenset: "frozenset", set: "set"}

# One name space for all generated functions: recursive classes find each other in it.
_space: dict[str, Any] = {
    "CodecError": CodecError,
    "MISSING": object(),
    "INF": math.inf,
    "dumps": dumps,
    "wrong": wrong,
    "plain_str": plain_str,
    "float_out": float_out,
    "float_in": float_in,
    "json_out": json_out,
    "only": only,
    "missing": missing,
    "checked": checked,
}
_functions: dict[tuple[str, Any], str] = {}


_ready: dict[tuple[str, type], Callable[[Any], Any]] = {}
_compiling = threading.RLock()  # a journal may be read from several threads


def encoder(cls: type) -> Callable[[Any], Json]:
    """Instance to JSON object."""
    return _ready.get(("encode", cls)) or _compile("encode", cls)


def decoder(cls: type) -> Callable[[Json], Any]:
    """JSON object to instance."""
    return _ready.get(("decode", cls)) or _compile("decode", cls)


def tagged_encoder(cls: type) -> Callable[[Any], Json]:
    """Instance to JSON object with its class's name."""
    return _ready.get(("encode_tagged", cls)) or _compile("encode_tagged", cls)


def tagged_decoder(cls: type) -> Callable[[Json], Any]:
    """JSON object with its class's name to instance; the name is not looked at again."""
    return _ready.get(("decode_tagged", cls)) or _compile("decode_tagged", cls)


def _compile(way: str, cls: type) -> Callable[[Any], Any]:
    with _compiling:
        function: Callable[[Any], Any] = _space[_class_function(way, cls)]
        _ready[(way, cls)] = function
    return function


def _bind(value: object, stem: str) -> str:
    """A name in the generated functions' space that stands for this object."""
    name = f"{stem}_{len(_space)}"
    _space[name] = value
    return name


def _define(key: tuple[str, Any], stem: str, make: Callable[[str], list[str]]) -> str:
    known = _functions.get(key)
    if known is not None:
        return known
    name = _functions[key] = _bind(None, stem)  # before its body: the class may contain itself
    try:
        source = "\n".join(make(name))
        exec(compile(source, f"<{stem}>", "exec"), _space)  # noqa: S102 - text made above from field names only
    except BaseException:
        del _functions[key]
        raise
    return name


def _class_function(way: str, cls: type) -> str:
    known = _functions.get((way, cls))
    if known is not None:
        return known
    if not dataclasses.is_dataclass(cls):
        raise CodecError(f"{cls.__qualname__} is no dataclass: only dataclasses are written")
    tagged = way.endswith("_tagged")
    make = _encoder_source if way.startswith("encode") else _decoder_source
    return _define((way, cls), f"{way}_{cls.__name__}", lambda name: make(name, cls, tagged))


def _fields(cls: Any, tagged: bool) -> list[tuple[dataclasses.Field[Any], Any, str]]:
    """Each field with its type and the key it is written under."""
    hints = typing.get_type_hints(cls)
    rows = []
    for item in dataclasses.fields(cls):
        if not item.init:
            raise CodecError(f"{cls.__name__}.{item.name}: a field that is not given to __init__ cannot be read back")
        rows.append((item, hints[item.name], f"{item.name}_" if tagged and item.name == TAG else item.name))
    return rows


def _encoder_source(name: str, cls: type, tagged: bool) -> list[str]:
    own = _bind(cls, cls.__name__)
    lines = [f"def {name}(o):", f" if o.__class__ is not {own}: wrong(o, {cls.__name__!r}, {cls.__name__!r})"]
    lines.append(" return {")
    if tagged:
        lines.append(f"  {TAG!r}: {cls.__name__!r},")
    for item, hint, key in _fields(cls, tagged):
        where = f"{cls.__name__}.{item.name}"
        lines.append(f"  {key!r}: {_out(hint, f'o.{item.name}', where, 0)},")
    return [*lines, " }"]


def _decoder_source(name: str, cls: type, tagged: bool) -> list[str]:
    own = _bind(cls, cls.__name__)
    rows = _fields(cls, tagged)
    lines = [f"def {name}(j):", f" if j.__class__ is not dict: wrong(j, {cls.__name__!r}, 'an object')"]
    lines += [" get = j.get", f" left = len(j) - {len(rows) + tagged}"]
    names = []
    for number, (item, hint, key) in enumerate(rows):
        where = f"{cls.__name__}.{item.name}"
        variable = f"f{number}"
        lines += [f" {variable} = get({key!r}, MISSING)", f" if {variable} is MISSING:"]
        if item.default is not dataclasses.MISSING:
            lines.append(f"  left += 1; {variable} = {_bind(item.default, 'default')}")
        elif item.default_factory is not dataclasses.MISSING:
            lines.append(f"  left += 1; {variable} = {_bind(item.default_factory, 'factory')}()")
        else:
            lines.append(f"  missing({own}, {key!r})")
        lines.append(f" else: {variable} = {_in(hint, variable, where, 0)}")
        names.append(f"{item.name}={variable}" if item.kw_only else variable)
    known = (*((TAG,) if tagged else ()), *(key for _, _, key in rows))
    lines.append(f" if left: only(j, {own}, {known!r})")
    return [*lines, f" return {own}({', '.join(names)})"]


def _out(hint: Any, value: str, where: str, depth: int) -> str:
    """The expression that turns `value` (an expression) of this type into JSON."""
    v, x = f"v{depth}", f"x{depth}"
    at = repr(where)
    if hint is str:
        return f"({v} if ({v} := {value}).__class__ is str else plain_str({v}, {at}))"
    if hint is float:
        return f"({v} if ({v} := {value}).__class__ is float and -INF < {v} < INF else float_out({v}, {at}))"
    if hint in (int, bool):
        return f"({v} if ({v} := {value}).__class__ is {hint.__name__} else wrong({v}, {at}, {hint.__name__!r}))"
    if hint is types.NoneType:
        return f"(None if {value} is None else wrong({value}, {at}, 'None'))"
    if isinstance(hint, type) and issubclass(hint, Enum):
        own = _bind(hint, hint.__name__)
        return f"({v}._value_ if ({v} := {value}).__class__ is {own} else wrong({v}, {at}, {hint.__name__!r}))"
    if dataclasses.is_dataclass(hint):
        return f"{_class_function('encode', typing.cast(type, hint))}({value})"
    if _is_json(hint):
        return f"json_out({value}, {at})"
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if len(args) == 2 and types.NoneType in args:
            present = args[0] if args[1] is types.NoneType else args[1]
            return f"(None if ({v} := {value}) is None else {_out(present, v, where, depth + 1)})"
        return f"{_union_function('encode', hint, where)}({value})"
    if origin in _SEQUENCES:
        source = f"checked({value}, {_SEQUENCES[origin]}, {at})"
        if origin is tuple and args[-1] is not Ellipsis:
            _bindable(args, where)
            items = ", ".join(_out(a, f"{x}[{i}]", f"{where}[{i}]", depth + 1) for i, a in enumerate(args))
            return f"([{items}] if len({x} := {source}) == {len(args)} else wrong({x}, {at}, '{len(args)} items'))"
        items = f"[{_out(args[0], x, where, depth + 1)} for {x} in {source}]"
        if origin in (tuple, list):
            return items
        return f"sorted({items})" if _sortable(args[0]) else f"sorted({items}, key=dumps)"
    if origin in (abc.Mapping, dict):
        source = f"checked({value}, dict, {at}).items()"
        out = _out(args[1], x, where, depth + 1)
        if _keyed(args[0]):
            return f"{{{_out(args[0], f'k{depth}', f'{where} key', depth + 1)}: {out} for k{depth}, {x} in {source}}}"
        key = _out(args[0], f"k{depth}", f"{where} key", depth + 1)
        return f"sorted([[{key}, {out}] for k{depth}, {x} in {source}], key=dumps)"
    raise CodecError(f"{where}: no way to write {hint!r}")


def _in(hint: Any, value: str, where: str, depth: int) -> str:
    """The expression that turns `value` (a name) of JSON into this type."""
    x = f"x{depth}"
    at = repr(where)
    if hint is float:
        return f"({value} if {value}.__class__ is float else float_in({value}, {at}))"
    if hint in (str, int, bool):
        return f"({value} if {value}.__class__ is {hint.__name__} else wrong({value}, {at}, {hint.__name__!r}))"
    if hint is types.NoneType:
        return f"(None if {value} is None else wrong({value}, {at}, 'null'))"
    if isinstance(hint, type) and issubclass(hint, Enum):
        members = _bind({m.value: m for m in hint}, hint.__name__)
        expected = repr("one of " + ", ".join(repr(m.value) for m in hint))
        return (
            f"({members}[{value}] if {value}.__class__ in (str, int) and {value} in {members}"
            f" else wrong({value}, {at}, {expected}))"
        )
    if dataclasses.is_dataclass(hint):
        return f"{_class_function('decode', typing.cast(type, hint))}({value})"
    if _is_json(hint):
        return value
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if len(args) == 2 and types.NoneType in args:
            present = args[0] if args[1] is types.NoneType else args[1]
            return f"(None if {value} is None else {_in(present, value, where, depth + 1)})"
        return f"{_union_function('decode', hint, where)}({value})"
    if origin in _SEQUENCES:
        source = f"checked({value}, list, {at})"
        if origin is tuple and args[-1] is not Ellipsis:
            items = ", ".join(_in(a, f"y{depth}_{i}", f"{where}[{i}]", depth + 1) for i, a in enumerate(args))
            names = ", ".join(f"y{depth}_{i}" for i in range(len(args)))
            return (
                f"([({items},) for {names}, in [{source}]][0] if len({source}) == {len(args)}"
                f" else wrong({value}, {at}, '{len(args)} items'))"
            )
        items = f"[{_in(args[0], x, where, depth + 1)} for {x} in {source}]"
        return items if origin is list else f"{_SEQUENCES[origin]}({items})"
    if origin in (abc.Mapping, dict):
        out = _in(args[1], x, where, depth + 1)
        key = _in(args[0], f"k{depth}", f"{where} key", depth + 1)
        if _keyed(args[0]):
            return f"{{{key}: {out} for k{depth}, {x} in checked({value}, dict, {at}).items()}}"
        return f"{{{key}: {out} for k{depth}, {x} in checked({value}, list, {at})}}"
    raise CodecError(f"{where}: no way to read {hint!r}")


def _bindable(args: tuple[Any, ...], where: str) -> None:
    if not args:
        raise CodecError(f"{where}: say what the tuple holds")


def _is_json(hint: Any) -> bool:
    """Is this `model.Json`? Its evaluated form differs from the alias, so it is known by its members."""
    args = typing.get_args(hint)
    origins = {typing.get_origin(a) for a in args}
    return {types.NoneType, bool, int, float, str} <= set(args) and {list, dict} <= origins


def _sortable(hint: Any) -> bool:
    return hint in (str, int, float) or (isinstance(hint, type) and issubclass(hint, str))


def _keyed(hint: Any) -> bool:
    """May it be the key of a JSON object? Mappings with other keys are written as sorted pairs."""
    return hint is str or (isinstance(hint, type) and issubclass(hint, str))


def _union_function(way: str, hint: Any, where: str) -> str:
    """A function for a union: told apart by the Python class one way, by JSON type and tag the other way.

    One dataclass in it is written plain, several are tagged. Several enums or several sequences cannot be told apart
    when they are read, and are refused here.
    """
    make = _union_encoder if way == "encode" else _union_decoder
    return _define((f"{way} union {where}", hint), f"{way}_union", lambda name: make(name, hint, where))


def _members(hint: Any, where: str) -> tuple[list[Any], list[Any]]:
    """The dataclasses of a union, and the rest; at most one of the rest for each JSON type."""
    args = typing.get_args(hint)
    classes = [a for a in args if dataclasses.is_dataclass(a)]
    rest = [a for a in args if not dataclasses.is_dataclass(a)]
    shapes = [_shape(a) for a in rest]
    if len(set(shapes)) < len(shapes) or (classes and "dict" in shapes):
        raise CodecError(f"{where}: members of {hint!r} could not be told apart when read")
    return classes, rest


def _shape(hint: Any) -> str:
    """The Python class that a member of a union has once it is JSON."""
    origin = typing.get_origin(hint)
    if hint in _SCALARS or hint is types.NoneType:
        return typing.cast(str, hint.__name__)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "str"
    return "dict" if origin in (abc.Mapping, dict) else "list"


def _union_encoder(name: str, hint: Any, where: str) -> list[str]:
    classes, rest = _members(hint, where)
    lines = [f"def {name}(u):", " c = u.__class__"]
    for member in rest:
        if member is types.NoneType:
            lines.append(" if u is None: return None")
        else:
            test = _bind(member if isinstance(member, type) else typing.get_origin(member), "member")
            same = f"isinstance(u, {test})" if member is str or not isinstance(member, type) else f"c is {test}"
            if member is float and int not in rest:
                same = "c is float or c is int"
            lines.append(f" if {same}: return {_out(member, 'u', where, 0)}")
    for cls in classes:
        way = "encode_tagged" if len(classes) > 1 else "encode"
        lines.append(f" if c is {_bind(cls, cls.__name__)}: return {_class_function(way, cls)}(u)")
    return [*lines, f" wrong(u, {where!r}, {_names(classes, rest)!r})"]


def _union_decoder(name: str, hint: Any, where: str) -> list[str]:
    classes, rest = _members(hint, where)
    lines = [f"def {name}(u):", " c = u.__class__"]
    for member in rest:
        shape = "type(None)" if member is types.NoneType else _shape(member)
        test = "c is float or c is int" if member is float and int not in rest else f"c is {shape}"
        if member is float and str not in rest:
            test += " or c is str"  # "inf"
        lines.append(f" if {test}: return {_in(member, 'u', where, 0)}")
    if len(classes) == 1:
        lines.append(f" if c is dict: return {_class_function('decode', classes[0])}(u)")
    elif classes:
        lines.append(f" k = u.get({TAG!r}) if c is dict else None")
        lines += [f" if k == {c.__name__!r}: return {_class_function('decode_tagged', c)}(u)" for c in classes]
    return [*lines, f" wrong(u, {where!r}, {_names(classes, rest)!r})"]


def _names(classes: list[Any], rest: list[Any]) -> str:
    return " or ".join(getattr(m, "__name__", repr(m)) for m in (*rest, *classes))
