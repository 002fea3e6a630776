"""`bascule failover` and `bascule failback`: move a service elsewhere, and back home.

The one rule it keeps: these are words like any other. The engine decides, with every guard, and says why not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from orchestrator.cli.speaker import Speaker

if TYPE_CHECKING:
    from orchestrator.core.model import Json

NOBODY = Speaker()

ServiceName = Annotated[str, Parameter(help="client/name, or the name alone where only one client has it.")]
DryRun = Annotated[
    bool,
    Parameter(negative="", help="Show what would run where, in which order, with each guard's answer; do nothing."),
]
Fence = Annotated[bool, Parameter(negative="", help="Fence the place left even if it may be alive.")]
Fenced = Annotated[str | None, Parameter(help="The place that you state cannot act any more: you have seen it dark.")]
Override = Annotated[
    list[str] | None,
    Parameter(
        negative="",
        consume_multiple=True,
        help="Guards to go against, by the names that a refusal gives; it stands in the record with your name.",
    ),
]


def failover(
    service: ServiceName,
    /,
    *,
    move: Annotated[str | None, Parameter(help="The move; else the first tier that can help.")] = None,
    dry_run: DryRun = False,
    fence: Fence = False,
    fenced: Fenced = None,
    override: Override = None,
    speaker: Speaker = NOBODY,
) -> int:
    """Bring a service back, or elsewhere, by one of its moves."""
    return _say("failover", service, move, dry_run, fence, fenced, override, speaker)


def failback(
    service: ServiceName,
    /,
    *,
    move: Annotated[
        str | None, Parameter(help="The move; else the first of its failback list that can be made from where it is.")
    ] = None,
    dry_run: DryRun = False,
    fence: Fence = False,
    fenced: Fenced = None,
    override: Override = None,
    speaker: Speaker = NOBODY,
) -> int:
    """Move a service home, or undo the move that is in effect."""
    return _say("failback", service, move, dry_run, fence, fenced, override, speaker)


def _say(
    kind: str,
    service: str,
    move: str | None,
    dry_run: bool,
    fence: bool,
    fenced: str | None,
    override: list[str] | None,
    speaker: Speaker,
) -> int:
    from orchestrator.cli.words import say
    from orchestrator.core.events import WordKind

    options: dict[str, Json] = {}
    if move:
        options["move"] = move
    if fence:
        options["fence"] = True
    if fenced:
        options["fenced"] = fenced
    if override:
        options["override"] = [_guard(x) for x in override]
    return say(WordKind(kind), service, speaker, options, dry_run=dry_run)


def _guard(name: str) -> str:
    """A guard by its name, also with dashes for spaces and without capitals. Raises CallWrong."""
    import difflib

    from orchestrator.cli.failures import CallWrong
    from orchestrator.core.rules.overrides import guards_named, known

    try:
        return guards_named([name])[0].value
    except LookupError:
        near = difflib.get_close_matches(name.casefold(), [x.casefold() for x in known().split(", ")], n=3, cutoff=0.4)
        nearest = f"Nearest: {', '.join(x for x in known().split(', ') if x.casefold() in near)}. " if near else ""
        raise CallWrong(f"there is no guard {name!r}", f"{nearest}You may go against: {known()}") from None
