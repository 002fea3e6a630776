"""Words that wait for their answer.

The one rule it keeps: whoever said a word hears of it once: its answer, or why none will come. Of several who say one
under the same id each has an answer of its own, in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from orchestrator.core.commands import Answered

ANSWER_S = 25.0


class Answers:
    """Of one controller, in one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[Answered]]] = {}  # by word

    async def to(self, word: str, say: Callable[[], None]) -> Answered:
        """Say it, and wait. Raises TimeoutError where nothing comes in time, and what all were told."""
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(word, []).append(answer)
        say()
        try:
            async with asyncio.timeout(ANSWER_S):
                return await asyncio.shield(answer)
        finally:
            if all(each.done() for each in self._waiting.get(word, ())):
                self._waiting.pop(word, None)

    def give(self, answer: Answered) -> None:
        """To the first who waits for it."""
        first = next((each for each in self._waiting.get(answer.word, ()) if not each.done()), None)
        if first is not None:
            first.set_result(answer)

    def end(self, why: Callable[[], Exception]) -> None:
        """None will come, for this reason."""
        for each in [each for waiting in self._waiting.values() for each in waiting if not each.done()]:
            each.set_exception(why())

    @property
    def waited_for(self) -> frozenset[str]:
        """Ids of words that somebody waits for."""
        return frozenset(self._waiting)
