"""Asking one question, whatever becomes of it: always one judged answer, never an exception, never for ever.

The one rule it keeps: our own faults are never the target's. A crash, a hang, a question that could not be sent, and a
silence that this program slept through, are all "no answer", not a bad one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from orchestrator.core.events import Answer
from orchestrator.probes.kind import Judged, Kind, NotAsked, Question, Raw, Secrets, Unanswerable
from orchestrator.probes.tools import Tools


def explain(error: ValidationError) -> str:
    """Every fault of some options, in one line."""
    told = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        told.append(f"{place}: {message}" if place else message)
    return "; ".join(told)


async def ask_once(
    kind: Kind[Any, Any],
    options: Any,
    timeout_s: float,
    *,
    secrets: Secrets,
    tools: Tools,
    stamp: Callable[[], None] = lambda: None,
) -> Judged:
    """Ask, within `timeout_s` (plus the kind's grace, after which the question is abandoned)."""
    loop = asyncio.get_running_loop()
    stamped = loop.time()

    def restamp() -> None:
        nonlocal stamped
        stamped = loop.time()
        stamp()

    restamp()
    question = Question(options, timeout_s, secrets, tools, restamp)
    task = asyncio.ensure_future(kind.ask(question))
    raw: Raw
    try:
        await asyncio.wait({task}, timeout=timeout_s + kind.grace_s)
        if task.done():
            raw = task.result()
        else:
            raw = NotAsked(f"the {kind.name} probe hung: abandoned after {loop.time() - stamped:.1f} s")
    except Unanswerable as error:
        raw = NotAsked(str(error))
    except Exception as error:
        raw = NotAsked(f"the {kind.name} probe crashed: {type(error).__name__}: {error}")
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_forget)
    try:
        judged = kind.classify(options, raw)
    except Exception as error:
        return Judged(
            Answer.NONE, {}, f"the {kind.name} probe cannot judge its answer: {type(error).__name__}: {error}"
        )
    late_s = loop.time() - stamped - timeout_s
    if judged.answer is Answer.SILENT and not kind.forks and late_s > max(0.25, timeout_s / 2):
        return Judged(Answer.NONE, {}, f"this program was {late_s:.1f} s late itself ({judged.detail})")
    return judged


def _forget(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()  # retrieved, so that nobody logs it: the question was answered long ago
