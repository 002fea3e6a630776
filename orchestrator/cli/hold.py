"""`bascule hold`, `resume`, `maintenance`, `suspect`, `clear`: what a named person says about automatic action.

The one rule it keeps: each is about a service, a client or everything. It takes effect at the next decision.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from orchestrator.cli.failures import CallWrong
from orchestrator.cli.speaker import Speaker

NOBODY = Speaker()
Subject = Annotated[str | None, Parameter(help="A service or a client.")]
SameSubject = Annotated[str | None, Parameter(help="A service or a client, as it was said before.")]
All = Annotated[bool, Parameter(name="--all", negative="", help="Every service of every client.")]
SameAll = Annotated[bool, Parameter(name="--all", negative="", help="What was said with --all.")]


def hold(subject: Subject = None, /, *, everything: All = False, speaker: Speaker = NOBODY) -> int:
    """Stop automatic action; a run that is past its fence goes on to its end."""
    return _say("hold", _subject(subject, everything), speaker)


def resume(subject: SameSubject = None, /, *, everything: SameAll = False, speaker: Speaker = NOBODY) -> int:
    """Allow automatic action again, after a hold or a freeze."""
    return _say("resume", _subject(subject, everything), speaker)


def maintenance(
    subject: Subject = None,
    /,
    *,
    everything: All = False,
    duration: Annotated[str | None, Parameter(name="--for", help="For how long, with a unit: 2h, 30m.")] = None,
    end: Annotated[bool, Parameter(negative="", help="End the window now.")] = False,
    speaker: Speaker = NOBODY,
) -> int:
    """Announce a maintenance window that begins now: no automatic action, until it ends."""
    from orchestrator.core.durations import parse_duration

    about = _subject(subject, everything)
    if end == (duration is not None):
        raise CallWrong("a window needs its length, or its end", "Say --for 2h, or --end")
    if duration is None:
        return _say("maintenance end", about, speaker)
    try:
        for_s = parse_duration(duration)
    except ValueError as error:
        raise CallWrong(f"--for: {error}") from None
    if for_s <= 0:
        raise CallWrong(f"--for {duration}: a window has to last for a while", "Say for example --for 2h")
    return _say("maintenance", about, speaker, for_s)


def suspect(subject: Subject = None, /, *, everything: All = False, speaker: Speaker = NOBODY) -> int:
    """Say that a compromise is suspected: nothing automatic, isolate and ask."""
    return _say("suspect", _subject(subject, everything), speaker)


def clear(subject: SameSubject = None, /, *, everything: SameAll = False, speaker: Speaker = NOBODY) -> int:
    """Report that a suspected compromise is over."""
    return _say("clear", _subject(subject, everything), speaker)


def _subject(subject: str | None, everything: bool) -> str:
    if everything == (subject is not None):
        raise CallWrong("say what it is about: a service, a client, or --all")
    return subject if subject is not None else "*"


def _say(kind: str, subject: str, speaker: Speaker, for_s: float | None = None) -> int:
    from orchestrator.cli.words import say
    from orchestrator.core.events import WordKind

    return say(WordKind(kind), subject, speaker, {} if for_s is None else {"for_s": for_s}, about="subject")
