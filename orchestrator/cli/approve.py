"""`bascule approve`, `reject`, `abort`: what a named person says to a run.

The one rule it keeps: an approval is of the run that was named, as it was planned. The engine checks the digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.speaker import Speaker

if TYPE_CHECKING:
    from orchestrator.core.model import Json

NOBODY = Speaker()


def approve(run: str, /, *, plan: str | None = None, fenced: str | None = None, speaker: Speaker = NOBODY) -> int:
    """Approve a run that waits for a person.

    Parameters
    ----------
    run
        The run's id: `bascule status` shows it.
    plan
        The plan that you were shown: a run of this id with another one is not approved.
    fenced
        The place (client/name) that you state cannot act any more: you have seen it dark.
    """
    from orchestrator.cli.words import say
    from orchestrator.core.events import WordKind

    given = {"plan": plan, "fenced": fenced}
    options: dict[str, Json] = {name: value for name, value in given.items() if value}
    return say(WordKind.APPROVE, run, speaker, options, about="run")


def reject(run: str, /, *, speaker: Speaker = NOBODY) -> int:
    """Say no to a run that waits for an approval.

    Parameters
    ----------
    run
        The run's id.
    """
    from orchestrator.cli.words import say
    from orchestrator.core.events import WordKind

    return say(WordKind.REJECT, run, speaker, about="run")


def abort(run: str, /, *, speaker: Speaker = NOBODY) -> int:
    """Stop a run; what it has done stays done.

    Parameters
    ----------
    run
        The run's id.
    """
    from orchestrator.cli.words import say
    from orchestrator.core.events import WordKind

    return say(WordKind.ABORT, run, speaker, about="run")
