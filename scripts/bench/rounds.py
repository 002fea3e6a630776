"""Runs contenders in turns: A B C D, A B C D, …

The one rule it keeps: a round counts whole or not at all. If one contender fails in it, the failure is raised: a figure
of those that happened to work would be no figure.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

ROUNDS_LEAST = 3

Contender = Callable[[], float]


def in_turns(
    contenders: Mapping[str, Contender],
    rounds: int,
    *,
    warm: int = 1,
    budget_s: float = math.inf,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, tuple[float, ...]]:
    """Each contender's values, one a round; `warm` rounds come first and are not counted.

    On a slow machine there are fewer rounds, but not fewer than three: none is begun after `budget_s`.

    Whatever a contender raises ends it, with the contender's name and the round added.
    """
    values: dict[str, list[float]] = {name: [] for name in contenders}
    until = time.monotonic() + budget_s
    for number in range(-warm, rounds):
        if number >= ROUNDS_LEAST and time.monotonic() > until:
            break
        for name, contender in contenders.items():
            try:
                value = contender()
            except Exception as error:
                error.add_note(f"in {name}, round {number + 1} of {rounds}")
                raise
            if number >= 0:
                values[name].append(value)
        if number >= 0:
            say(f"round {number + 1} of {rounds}: " + ", ".join(f"{n} {v[-1]:.3g}" for n, v in values.items()))
    return {name: tuple(found) for name, found in values.items()}
