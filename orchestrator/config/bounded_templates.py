"""Jinja2 for strings that others wrote: an inventory's variables may come from a cloud's tags or a customer's form.

The one rule it keeps: a template reaches plain data (texts, numbers, lists, mappings) and nothing else: no object of
ours, no file, no module; and what it makes is small, in few steps. Whatever is larger is refused by name (`TooMuch`)
before it is made, so that nobody's string holds up or fills the controller.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any

from jinja2 import StrictUndefined, nodes, pass_eval_context
from jinja2.nativetypes import NativeCodeGenerator, NativeTemplate
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing

TEXT_MAX = 1 << 20  # characters or elements that one value may have
STEPS_MAX = 100_000  # passes of loops, and renderings of variables, in one rendering
POWER_MAX = 512  # of an exponent
_NUMBER_MAX = 1 << 4096

_PLAIN = (str, int, float, bool, list, tuple, dict, type(None), range, LoopContext, Namespace, Macro, Undefined)
_WIDTH = re.compile(r"\d{5,}|\*")  # in a format: wider than anybody's line, or from elsewhere


class TooMuch(Exception):
    """A template wants more than a template may have."""


@dataclass(slots=True)
class Budget:
    """What is left of one rendering's steps."""

    steps: int = STEPS_MAX

    def take(self) -> None:
        """One step. Raises TooMuch."""
        self.steps -= 1
        if self.steps < 0:
            raise TooMuch(f"it takes more than {STEPS_MAX} steps")


RENDERING: ContextVar[Callable[[str], Any]] = ContextVar("RENDERING")  # looks a name up; `missing` where there is none
BUDGET: ContextVar[Budget] = ContextVar("BUDGET")


def checked(value: Any) -> Any:
    """The value, if it is not larger than a value may be. Raises TooMuch."""
    if isinstance(value, str | list | tuple | dict) and len(value) > TEXT_MAX:
        raise TooMuch(f"it makes a value of more than {TEXT_MAX} characters or elements")
    if isinstance(value, int) and abs(value) > _NUMBER_MAX:
        raise TooMuch("it makes a number of more than a thousand digits")
    return value


def _refuse_size(size: float) -> None:
    if size > TEXT_MAX:
        raise TooMuch(f"it makes a value of more than {TEXT_MAX} characters or elements")


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else len(str(value))


def _replaced(text: Any, old: Any = "", new: Any = "", *_: Any, **__: Any) -> float:
    return len(str(text)) + (str(text).count(str(old)) if old else len(str(text)) + 1) * len(str(new))


def _joined(values: Iterable[Any], between: Any = "", *_: Any) -> float:
    return sum(_size(value) + len(str(between)) for value in values)


def _padded(_: Any, width: Any = 0, *__: Any, **___: Any) -> float:
    return float(width) if isinstance(width, int | float) else 0.0


def _formatted(text: Any, *values: Any, **named: Any) -> float:
    if _WIDTH.search(str(text)):
        raise TooMuch("a format with a width of five digits, or from elsewhere")
    return _size(text) + sum(_size(value) for value in (*values, *named.values())) * 10_000 / 9_000


# What could make much of little: how large its result becomes, at the most.
_METHODS: dict[str, Callable[..., float]] = {
    "center": _padded,
    "expandtabs": lambda text, size=8: len(text) + text.count("\t") * size,
    "format": _formatted,
    "join": lambda between, values: _joined(values, between),
    "ljust": _padded,
    "replace": _replaced,
    "rjust": _padded,
    "zfill": _padded,
}
_FILTERS: dict[str, Callable[..., float]] = {
    "center": _padded,
    "format": _formatted,
    "indent": lambda text, width=4, *_, **__: (
        (str(text).count("\n") + 1) * (width if isinstance(width, int) else len(str(width))) + len(str(text))
    ),
    "replace": _replaced,
    "wordwrap": lambda text, width=79, break_long_words=True, wrapstring="\n", *_: (
        len(str(text)) * (1 + len(str(wrapstring)))
    ),
    "batch": lambda values, linecount, fill_with=None: _padded(None, linecount),
    "slice": lambda values, slices, fill_with=None: _padded(None, slices),
    "urlize": lambda text, *_, **__: len(str(text)) * 10,
    "tojson": lambda value, indent=0: _padded(None, (indent or 0) * 1000),
    "pprint": lambda value: 0.0,
}


def _join(join: Callable[..., Any]) -> Callable[..., Any]:
    @pass_eval_context
    @wraps(join)
    def bounded(context: Any, values: Iterable[Any], d: str = "", attribute: Any = None) -> Any:
        held = list(_counted(values))
        if attribute is None:
            _refuse_size(_joined(held, d))
        return checked(join(context, held, d, attribute))

    return bounded


def _guarded(function: Callable[..., Any], size: Callable[..., float], skip: int) -> Callable[..., Any]:
    @wraps(function)
    def bounded(*values: Any, **named: Any) -> Any:
        _refuse_size(size(*values[skip:], **named))
        return checked(function(*values, **named))

    return bounded


def _counted(values: Any) -> Iterator[Any]:
    """What a loop goes through, each pass a step."""
    budget = BUDGET.get()
    for value in values:
        budget.take()
        yield value


def _concat(parts: Iterator[Any]) -> Any:
    """One expression keeps its type; several are text. (Jinja2's own native mode guesses types from text.)"""
    values = list(parts)
    if len(values) == 1:
        return checked(values[0])
    _refuse_size(sum(_size(value) for value in values))
    return "".join(str(value) for value in values)


class _Context(Context):
    """Looks a name up through the host's variables, lazily; what does so has no name in a template."""

    def resolve_or_missing(self, key: str) -> Any:
        if key in self.vars:
            return self.vars[key]
        found = RENDERING.get()(key)
        return found if found is not missing else super().resolve_or_missing(key)


class _Code(NativeCodeGenerator):
    """Without folding of constants, which would turn `{{ 5000 + 432 }}` into text."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Any, finalize: Any) -> Any:
        if isinstance(node, nodes.TemplateData):
            return super()._output_child_to_const(node, frame, finalize)
        raise nodes.Impossible


class Bounded(ImmutableSandboxedEnvironment):
    """The environment of all templates outside of playbooks."""

    code_generator_class = _Code
    concat = staticmethod(_concat)  # type: ignore[assignment]
    context_class = _Context
    intercepted_binops = frozenset({"+", "-", "*", "**", "%", "//", "/"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=True)
        for name in ("lipsum", "cycler", "joiner"):
            self.globals.pop(name, None)
        self.filters.pop("random", None)  # a value of the configuration is the same each time
        self.filters["basename"] = os.path.basename
        self.filters["dirname"] = os.path.dirname
        for name, size in _FILTERS.items():
            function = self.filters[name]
            skip = 1 if hasattr(function, "jinja_pass_arg") else 0
            self.filters[name] = _guarded(function, size, skip)
        self.filters["join"] = _join(self.filters["join"])
        self.filters["counted in steps"] = _counted
        self.filters["joined to text"] = lambda values: _concat(iter(values)) if len(values) > 1 else str(values[0])

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Loops are counted, and `~` is bounded: neither can be reached otherwise than by rewriting what was read."""
        tree = super()._parse(source, name, filename)
        self.optimized = False
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, "counted in steps", [], [], None, None, lineno=loop.lineno)
        _rewrite(tree)
        return tree

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Of a mapping of ours its elements only."""
        if isinstance(obj, Mapping) and not isinstance(obj, dict):
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Likewise: an element that is not there is no attribute."""
        if isinstance(obj, Mapping) and not isinstance(obj, dict):
            try:
                return obj[argument]
            except (KeyError, TypeError):
                return self.undefined(obj=dict.fromkeys(obj), name=argument)
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Of plain data only."""
        return isinstance(obj, _PLAIN) and super().is_safe_attribute(obj, attr, value)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, as in Jinja2
        """What makes much of little is measured before it is done."""
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str):
            size = _METHODS.get(getattr(__obj, "__name__", ""))
            if size is not None:
                _refuse_size(size(owner, *args, **kwargs))
        return checked(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Likewise for operators."""
        many = isinstance(left, str | list | tuple) or isinstance(right, str | list | tuple)
        if operator == "*" and many:
            number = right if isinstance(right, int) else left
            _refuse_size(_size(left if number is right else right) * (number if isinstance(number, int) else 1))
        elif operator == "+" and many:
            _refuse_size(_size(left) + _size(right))
        elif operator == "**":
            if (
                not all(isinstance(x, int | float) and abs(x) <= _NUMBER_MAX for x in (left, right))
                or right > POWER_MAX
            ):
                raise TooMuch(f"a power of more than {POWER_MAX}")
        elif operator == "%" and isinstance(left, str):
            _refuse_size(_formatted(left, *(right if isinstance(right, tuple) else (right,))))
        return checked(super().call_binop(context, operator, left, right))


def _rewrite(node: nodes.Node) -> None:
    for field, value in node.iter_fields():
        if isinstance(value, list):
            setattr(node, field, [_instead(child) for child in value])
        elif isinstance(value, nodes.Node):
            setattr(node, field, _instead(value))
    for child in node.iter_child_nodes():
        _rewrite(child)


def _instead(node: Any) -> Any:
    if isinstance(node, nodes.Concat):
        values = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(values, "joined to text", [], [], None, None, lineno=node.lineno)
    return node


class Template(NativeTemplate):
    """A template of that environment."""

    environment_class = Bounded  # type: ignore[assignment]


Bounded.template_class = Template
