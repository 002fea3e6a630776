"""Where templates run: Jinja2 over plain text, numbers, lists and mappings, and nothing else, with limits.

The one rule it keeps: an inventory's strings are a stranger's program. It sees values and what stands in `METHODS`,
`FILTERS` and `_GLOBALS`, but no attribute of any object of ours or of Python's. Every step is paid for from one
`Budget`, and no value is made before it is known to be small. So time and memory are bounded.

Rejected: Jinja2's own sandbox alone (it hands out every public attribute, and `'x' * 10 ** 9`); a process of its own
for each string (there are thousands, and most are `{{ ansible_host }}`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from string import Formatter
from typing import Any

from jinja2 import StrictUndefined, Undefined, nodes
from jinja2.compiler import CodeGenerator
from jinja2.exceptions import SecurityError
from jinja2.nativetypes import NativeCodeGenerator, NativeTemplate
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter, safe_range
from jinja2.utils import Namespace, missing

from orchestrator.config.allowed import FILTERS, METHODS, PARTS, Lazy, joined, plain
from orchestrator.config.budget import (
    SIZE_MAX,
    WIDTH_MAX,
    TooMuch,
    each,
    measured,
    pay,
    percent,
    plus,
    power,
    size_of,
    small,
    times,
    widest,
)

_TEXT_MAX = 1 << 16  # characters of one template
_EACH = "each of"  # a filter that no template can name


def _formatted(text: str, *args: Any, **kwargs: Any) -> str:
    fields = 0
    for _, _, spec, _ in Formatter().parse(text):
        fields += spec is not None
        if spec and ("{" in spec or widest(spec) > WIDTH_MAX):
            raise TooMuch(f"pads a value to more than {WIDTH_MAX} characters")
    small(len(text) + fields * (size_of([args, kwargs]) + WIDTH_MAX))
    return SandboxedFormatter(_ENVIRONMENT).vformat(text, args, kwargs)


class _Method:
    """A method of a plain value, and nothing that leads on from it."""

    __slots__ = ("_bound",)

    def __init__(self, function: Callable[..., Any], value: Any) -> None:
        self._bound = partial(function, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if size_of([args, kwargs]) > SIZE_MAX:
            small(SIZE_MAX + 1)
        return self._bound(*args, **kwargs)


# ---- the environment


class _Context(Context):
    """Looks a name up through `find`, lazily; no template can name `find` itself."""

    find: Callable[[str], Any] | None = None

    def resolve_or_missing(self, key: str) -> Any:
        if key in self.vars:
            return self.vars[key]
        found = missing if self.find is None else self.find(key)
        return super().resolve_or_missing(key) if found is missing else found

    def derived(self, locals: dict[str, Any] | None = None) -> Context:  # noqa: A002  # jinja2's name
        """For a part of the template that has names of its own."""
        inner = super().derived(locals)
        if isinstance(inner, _Context):
            inner.find = self.find
        return inner


class _Code(NativeCodeGenerator):
    """Nothing is computed while it is compiled: `{{ 5000 + 432 }}` would become text, and cost nothing."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Any, finalize: Any) -> Any:
        if isinstance(node, nodes.TemplateData):
            return super()._output_child_to_const(node, frame, finalize)
        raise nodes.Impossible

    def visit_Concat(self, node: nodes.Concat, frame: Any) -> None:  # noqa: N802  # jinja2's names
        self.write("environment.joined((")
        for one in node.nodes:
            self.visit(one, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Any) -> None:  # noqa: N802
        self._measured(lambda: CodeGenerator.visit_List(self, node, frame))

    def visit_Dict(self, node: nodes.Dict, frame: Any) -> None:  # noqa: N802
        self._measured(lambda: CodeGenerator.visit_Dict(self, node, frame))

    def visit_Tuple(self, node: nodes.Tuple, frame: Any) -> None:  # noqa: N802
        if node.ctx == "load":
            self._measured(lambda: CodeGenerator.visit_Tuple(self, node, frame))
        else:
            CodeGenerator.visit_Tuple(self, node, frame)

    def _measured(self, inner: Callable[[], object]) -> None:
        self.write("environment.measured(")
        inner()
        self.write(")")


class _Environment(ImmutableSandboxedEnvironment):
    code_generator_class = _Code
    context_class = _Context
    intercepted_binops = frozenset(("*", "**", "+", "%"))
    measured = staticmethod(measured)

    @staticmethod
    def concat(parts: Iterable[Any]) -> Any:
        """One expression keeps its type; several are text. (Jinja2's own native mode guesses types from text.)"""
        values = list(each(parts))
        return measured(values[0]) if len(values) == 1 else _Environment.joined(values)

    @staticmethod
    def joined(values: Iterable[Any]) -> str:
        """All of them as one text."""
        return joined("", [plain(value) for value in values])

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template = super()._parse(source, name, filename)
        for loop in list(template.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, _EACH, [], [], None, None, lineno=loop.lineno)
        template.set_environment(self)
        return template

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A part of a value: what `METHODS` and `PARTS` name, else an item."""
        if attribute.startswith("_"):
            return self.unsafe_undefined(obj, attribute)
        if isinstance(obj, Undefined):
            return getattr(obj, attribute)  # it says of what
        found = self._part(obj, attribute)
        return self._item(obj, attribute) if found is missing else found

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item, else a part of a value."""
        if isinstance(obj, Undefined):
            return obj[argument]
        if isinstance(argument, str):
            if argument.startswith("__"):
                return self.unsafe_undefined(obj, argument)
            if not isinstance(obj, Mapping) or argument not in obj:
                found = self._part(obj, argument)
                if found is not missing:
                    return found
        return self._item(obj, argument)

    def _item(self, obj: Any, key: Any) -> Any:
        if isinstance(obj, str | list | tuple | dict | Lazy | range):
            try:
                return obj[key]
            except (TypeError, LookupError):
                pass  # there is none
        return self.undefined(obj={} if isinstance(obj, Lazy) else obj, name=key)

    @staticmethod
    def _part(obj: Any, name: str) -> Any:
        for kind, methods in METHODS.items():
            if isinstance(obj, kind) and name in methods:
                return _Method(methods[name], obj)
        if isinstance(obj, str) and name == "format":
            return _Method(_formatted, obj)
        if any(isinstance(obj, kind) and name in parts for kind, parts in PARTS.items()):
            return getattr(obj, name)
        if isinstance(obj, Namespace):
            try:
                return getattr(obj, name)
            except AttributeError:
                return missing
        return missing

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator whose result may be large."""
        pay(1)
        return {"*": times, "**": power, "+": plus, "%": percent}[operator](left, right)

    def is_safe_callable(self, obj: Any) -> bool:
        """What a template may call: methods that it was handed, its own macros and loops, `_GLOBALS`, `lookup`."""
        owner = getattr(obj, "__self__", None)
        return (
            any(obj is known for known in _GLOBALS.values())
            or isinstance(obj, _Method | Macro | LoopContext | Callable_)
            or (isinstance(owner, LoopContext) and getattr(obj, "__name__", "") in ("cycle", "changed", "_recurse"))
        )

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call what may be called, and measure what comes of it."""
        pay(16)
        if isinstance(__obj, Undefined):
            return __obj()  # it says of what
        if not __self.is_safe_callable(__obj):
            raise SecurityError(f"a {type(__obj).__name__} cannot be called: that would be unsafe")
        return measured(__context.call(__obj, *args, **kwargs))


class Callable_:  # noqa: N801  # beside the type of that name
    """A function of ours that templates may call by its name."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


class _Template(NativeTemplate):
    environment_class = _Environment  # type: ignore[assignment]


_Environment.template_class = _Template
_GLOBALS: dict[str, Any] = {"range": safe_range, "dict": dict, "namespace": Namespace}


def _environment() -> _Environment:
    environment = _Environment(undefined=StrictUndefined, keep_trailing_newline=True, optimized=False)
    environment.globals.clear()
    environment.globals.update(_GLOBALS)
    environment.filters = {**FILTERS, _EACH: each}
    return environment


_ENVIRONMENT = _environment()


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Any:
    return _ENVIRONMENT.from_string(text)


def run(text: str, find: Callable[[str], Any]) -> Any:
    """What the template gives; `find` looks a variable up, or gives jinja2's `missing`. Raises whatever jinja2 does."""
    if len(text) > _TEXT_MAX:
        raise TooMuch(f"is a template of more than {_TEXT_MAX} characters")
    pay(256)
    template = _compiled(text)
    context = template.new_context({})
    context.find = find
    return plain(_ENVIRONMENT.concat(template.root_render_func(context)))
