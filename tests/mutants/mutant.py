"""One mutant: what it takes out of the running process, and which statements should notice.

The one rule it keeps: nothing on disk is changed, and when its context is left all is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

BESIDE = 0  # none of the twenty: a rule of order beside them


@dataclass(frozen=True, slots=True)
class Mutant:
    """`out`: a context in which the rule is not there. `expected`: the statements of which one should not hold.

    `rest`: it takes the end of everything to see.
    """

    name: str
    takes_out: str
    expected: tuple[int, ...]
    out: Callable[[], AbstractContextManager[None]]
    rest: bool = False


@contextmanager
def put(where: Any, name: Any, value: object) -> Iterator[None]:
    """Something else in a module, a class or a dictionary, for a while."""
    if isinstance(where, dict):
        before = where[name]
        where[name] = value
        try:
            yield
        finally:
            where[name] = before
        return
    before = vars(where)[name]  # as it stands there: a method is not to be bound
    setattr(where, name, value)
    try:
        yield
    finally:
        setattr(where, name, before)
