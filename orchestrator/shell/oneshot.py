"""One word without a daemon: take the lease, adopt what is unfinished, ask what the move needs, act, release it.

The one rule it keeps: it acts on that word alone, and a word that may stop a run never waits for that run. Before a
move, it sees to its end what a daemon left unfinished. Incidents of other services are left to the daemon.

    word                     before it is said                   after it
    -------------------------------------------------------------------------------------------
    failover, failback       unfinished runs end, checks known   its run ends or needs a person
    approve                  checks of the run's client known    its run ends or needs a person
    abort, reject            nothing                             its run ends
    hold, maintenance, …     nothing                             nothing: runs go on when a controller is there
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from orchestrator.core import records as r
from orchestrator.core.commands import Answered
from orchestrator.core.events import StepProgressed, WordKind, WordSpoken
from orchestrator.journal.journal import Entry
from orchestrator.shell.dry_run import DryRun
from orchestrator.shell.waiting import KNOWN_S, until
from orchestrator.shell.wiring import Controller, Watchers

MOVES = (WordKind.FAILOVER, WordKind.FAILBACK)


def speak(
    workspace: Path,
    word: WordSpoken,
    *,
    on_entry: Callable[[Entry], None] = lambda _entry: None,
    on_progress: Callable[[StepProgressed], None] = lambda _event: None,
) -> Answered:
    """Put one word; its answer, after its run has ended or needs a person: a run cannot go on without a controller.

    Raises LeaseRefused, ConfigurationInvalid, JournalError.
    """
    return asyncio.run(_speak(workspace, word, Watchers(on_entry, on_progress)))


def dry_run(workspace: Path, word: WordSpoken) -> DryRun:
    """What the word would do, step by step, with each guard's answer; nothing is written or changed.

    Raises ConfigurationInvalid, JournalError.
    """
    from orchestrator.shell.dry_run import alone

    return asyncio.run(alone(workspace, word))


async def _speak(workspace: Path, word: WordSpoken, watchers: Watchers) -> Answered:
    controller = Controller(workspace, attends=False, watchers=watchers)
    await controller.start()
    try:
        if word.kind in MOVES:
            await _seen_to(controller)
            await known(controller, word.subject.partition("/")[0])
        elif word.kind is WordKind.APPROVE and (run := controller.shell.engine.decided.runs.get(word.subject)):
            await known(controller, run.started.service.partition("/")[0])  # a run that goes on blind is stopped
        answer = await controller.speak(word)
        if answer.run:
            await _ended(controller, answer.run)
        return answer
    finally:
        await controller.close()


async def known(controller: Controller, client: str) -> None:
    """Wait until every check of the client, and the references, have said something certain, or time is up."""
    asked = controller.prober.asking
    every = controller.shell.engine.model.checks.values()
    checks = [c for c in every if c.id in asked and (c.client == client or c.reference)]

    def all_known() -> bool:
        rows = controller.shell.engine.rows
        return all(c.id in rows and rows[c.id].verdict is not r.Verdict.UNKNOWN for c in checks)

    await until(all_known, KNOWN_S, asyncio.sleep)


async def _seen_to(controller: Controller) -> None:
    """See unfinished runs to their end, or to where they need a person."""
    for run in list(controller.shell.engine.decided.unfinished_runs()):
        await _ended(controller, run.id)


async def _ended(controller: Controller, run: str) -> None:
    def over() -> bool:
        found = controller.shell.engine.decided.runs[run]
        asking = found.asks_a_person and found.approved is None
        return found.ended is not None or found.human is not None or asking

    lost = asyncio.create_task(controller.lost())
    wait = asyncio.create_task(until(over, float("inf"), asyncio.sleep))
    done, pending = await asyncio.wait({lost, wait}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()
