"""How long answers that are slow to judge may keep this program busy, client by client.

The one rule it keeps: what the targets of one client say costs the others nothing. All answers are judged in the
program's one loop, where nobody else goes on meanwhile. So each client has a purse: what patterns that need
backtracking, and documents of JSON, take is paid from it, and it fills again at a tenth of the time. Out of an empty
one a pattern gets `LEAST_S`, which is far more than an ordinary one takes, and a document that is not small is not
read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

MOST_S = 0.05  # of one look
LEAST_S = 0.0005
PURSE_S = 0.2
SMALL = 16384  # characters of a document that costs next to nothing
_DEBT_S = 1.0  # a document is read to its end, whatever it takes
SPENT = "what takes long to judge of this client's answers has taken its tenth of the time lately"
_SHARE = 0.1

_purses: dict[str, _Purse] = {}
_whose: ContextVar[str | None] = ContextVar("whose", default=None)


@dataclass(slots=True)
class _Purse:
    left_s: float
    at: float

    def fill(self) -> None:
        now = time.monotonic()
        self.left_s, self.at = min(PURSE_S, self.left_s + _SHARE * (now - self.at)), now


class PaidBy:
    """Whatever is looked for in here is of this client; elsewhere nobody pays.

    It stands around the judgement of every answer, and few need a purse: it is opened by whoever takes from it.
    """

    __slots__ = ("_token", "_whom")

    def __init__(self, whom: str) -> None:
        """By its name."""
        self._whom = whom

    def __enter__(self) -> None:
        self._token = _whose.set(self._whom)

    def __exit__(self, *_: object) -> None:
        _whose.reset(self._token)


def _purse() -> _Purse | None:
    whom = _whose.get()
    if whom is None:
        return None
    purse = _purses.setdefault(whom, _Purse(PURSE_S, time.monotonic()))
    purse.fill()
    return purse


@contextmanager
def look() -> Iterator[float]:
    """One look; gives how long it may take, and takes from the purse what it took of the processor's time."""
    purse = _purse()
    began = time.thread_time()
    try:
        yield MOST_S if purse is None else min(MOST_S, max(LEAST_S, purse.left_s))
    finally:
        if purse is not None:
            purse.left_s = max(-_DEBT_S, purse.left_s - (time.thread_time() - began))


def is_affordable(characters: int) -> bool:
    """Whether a document of this size may be read now, in a look."""
    purse = _purse()
    return purse is None or purse.left_s > 0 or characters <= SMALL
