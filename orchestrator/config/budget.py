"""The limits of rendering a template: steps, processor time, the size of any value on the way.

The one rule it keeps: no value is made before it is known to be small, and each step is paid for. So every template
ends soon and in little memory.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

SIZE_MAX = 1 << 20  # characters and elements of any one value
_STEPS_MAX = 1 << 24  # characters and elements of all values that are made on the way
CPU_MAX_S = 2.0
WIDTH_MAX = 1000  # characters that a value is padded to
_BITS_MAX = 1 << 14  # of a whole number
_LOOK_EVERY = 64  # steps between two looks at the clock


class TooMuch(Exception):
    """A template takes more time or memory than anything that an author means; the message says which."""


class Budget:
    """What the rendering of one value may still take, all variables that it reads included."""

    def __init__(self) -> None:
        self._left = _STEPS_MAX
        self._steps = 0
        self._until_s = time.thread_time() + CPU_MAX_S

    def pay(self, cost: int) -> None:
        """One step. Raises `TooMuch`."""
        self._left -= cost
        self._steps += 1
        if self._left < 0:
            raise TooMuch(f"makes more than {_STEPS_MAX} characters and values on the way")
        if self._steps % _LOOK_EVERY == 0 and time.thread_time() > self._until_s:
            raise TooMuch(f"takes more than {CPU_MAX_S:g} s of processor time")


_budget: ContextVar[Budget | None] = ContextVar("budget", default=None)


def within_budget(work: Callable[[], Any]) -> Any:
    """Do this within one budget: the one there is already, or a new one. Raises `TooMuch`."""
    if _budget.get() is not None:
        return work()
    token = _budget.set(Budget())
    try:
        return work()
    finally:
        _budget.reset(token)


def pay(cost: int) -> None:
    budget = _budget.get()
    if budget is not None:
        budget.pay(cost)


def size_of(value: Any) -> int:
    """About the length of its text; stops counting above SIZE_MAX."""
    total, waiting = 0, [value]
    while waiting and total <= SIZE_MAX:
        one = waiting.pop()
        if isinstance(one, str):
            total += len(one) + 2
        elif isinstance(one, bool) or one is None:
            total += 6
        elif isinstance(one, int):
            total += one.bit_length() // 3 + 2
        elif isinstance(one, dict):
            total += 4 * len(one) + 2
            waiting.extend(one)
            waiting.extend(one.values())
        elif isinstance(one, list | tuple | set | frozenset):
            total += 2 * len(one) + 2
            waiting.extend(one)
        else:
            total += 24
    return total


def measured(value: Any) -> Any:
    """The value, if it is small enough; a series is measured as it is read. Raises `TooMuch`."""
    if isinstance(value, Iterator):
        return each(value)
    size = size_of(value)
    small(size)
    pay(1 + size // 8)
    return value


def small(size: float) -> None:
    if size > SIZE_MAX:
        raise TooMuch(f"makes a value of more than {SIZE_MAX} characters")


def each(values: Iterable[Any]) -> Iterator[Any]:
    for count, value in enumerate(values, 1):
        small(count)
        pay(4)
        yield value


# ---- operators, methods, filters


def times(left: Any, right: Any) -> Any:
    for many, count in ((left, right), (right, left)):
        if isinstance(many, str | list | tuple) and isinstance(count, int):
            small(size_of(many) * max(0, count))
            return many * count
    if isinstance(left, int) and isinstance(right, int):
        small_number(left.bit_length() + right.bit_length())
    return left * right


def power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and right > 0:
        small_number(left.bit_length() * right)
    return left**right


def small_number(bits: int) -> None:
    if bits > _BITS_MAX:
        raise TooMuch(f"makes a number of more than {_BITS_MAX} bits")


def plus(left: Any, right: Any) -> Any:
    if isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
        small(len(left) + len(right))
        pay((len(left) + len(right)) // 8)
    return left + right


_PERCENT = re.compile(r"%(?:\([^)]*\))?[^a-zA-Z%(]*[a-zA-Z%]")


def percent(left: Any, right: Any) -> Any:
    if isinstance(left, str):
        for part in _PERCENT.findall(left):
            if "*" in part or widest(part.rpartition(")")[2]) > WIDTH_MAX:
                raise TooMuch(f"pads a value to more than {WIDTH_MAX} characters")
        small(len(left) + left.count("%") * (size_of(right) + WIDTH_MAX))
    return left % right


def widest(text: str) -> int:
    return max((int(number[:9]) for number in re.findall(r"[0-9]+", text)), default=0)


def padded(method: str, text: str, width: int, *fill: str) -> str:
    if width > WIDTH_MAX:
        raise TooMuch(f"pads a value to more than {WIDTH_MAX} characters")
    return str(getattr(text, method)(width, *fill))
