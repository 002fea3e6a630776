"""What to type when a drill was refused: one row for each reason of which more can be said than to wait for its end.

The one rule it keeps: no row puts a guard aside. What stands against a drill is waited for, ended or repaired.
"""

from __future__ import annotations

from collections.abc import Callable
from shlex import join, quote

from orchestrator.cli.refused import Refused, Remedy
from orchestrator.core.reasons import Reason
from orchestrator.core.rules.failback import candidates
from orchestrator.core.state.decided import EVERYTHING, covers

Rows = Callable[[Refused], list[Remedy]]


def _look(do: str) -> Rows:
    def found(x: Refused) -> list[Remedy]:
        service = x.service
        return [Remedy(do, join(["bascule", "status", *([service.id] if service else [])]))]

    return found


def _standing(x: Refused) -> list[Remedy]:
    """The hold, window or suspicion that covers it, to be ended by its own name."""
    service = x.service
    if service is None:
        return []
    kept, words, end = {
        Reason.HELD: (list(x.decided.holds), ["resume"], []),
        Reason.IN_MAINTENANCE: ([n for n in x.decided.maintenance if "#" not in n], ["maintenance"], ["--end"]),
        Reason.COMPROMISE_SUSPECTED: (list(x.decided.suspected), ["clear"], []),
    }[x.reason]
    about = ["--all" if name == EVERYTHING else name for name in kept if covers(name, service.id)]
    found = [Remedy("wait, or end what stands against it", join(["bascule", *words, n, *end])) for n in about]
    return found or _look("see when it ends")(x)


def _another(x: Refused) -> list[Remedy]:
    service = x.service
    others = [d for d in x.decided.unfinished_drills() if service and covers(service.client, d.began.service)]
    return [Remedy("wait for its end, or cancel it", f"bascule drill cancel {d.id}") for d in others]


def _go_home(x: Refused) -> list[Remedy]:
    service = x.service
    if service is None:
        return []
    if not candidates(x.decided, x.model, service):
        return [Remedy("nothing declared leads back: declare it in services.yml, then", "bascule validate")]
    return [Remedy("bring it home first", f"bascule failback {quote(service.id)}")]


def _rehearse(x: Refused) -> list[Remedy]:
    """A real move would fence what works: what can be rehearsed beside it, or fenced because somebody wants it."""
    service, move = x.service, x.move
    if service is None or move is None:
        return []
    functional = join(["bascule", "drill", "run", service.id, "--move", move.name])
    return [
        Remedy("rehearse it beside what serves", functional),
        Remedy("or have what works fenced for it", x.again("--fence")),
    ]


_DECLARE = [Remedy("declare what the evidence names in services.yml, then", "bascule validate")]

DRILL_ROWS: dict[Reason, Rows] = {
    Reason.HELD: _standing,
    Reason.IN_MAINTENANCE: _standing,
    Reason.COMPROMISE_SUSPECTED: _standing,
    Reason.IN_INCIDENT: _look("recover first; see what is tried"),
    Reason.RESOURCE_BUSY: _look("wait for its end; see what it does"),
    Reason.DRILL_UNDER_WAY: _another,
    Reason.NOT_AT_HOME: _go_home,
    Reason.NOT_WELL: _look("repair what the evidence names; see its checks"),
    Reason.PLACE_DOWN: _look("repair what the evidence names; see its checks"),
    Reason.HEALTH_UNKNOWN: _look("repair what the evidence names; see its checks"),
    Reason.NO_QUORUM: _look("repair what the evidence names; see its checks"),
    Reason.DEPENDENCY_RECOVERING: _look("wait for it; see what is tried"),
    Reason.FLAPPING: lambda x: [
        Remedy("allow automatic action again, once it is safe", f"bascule resume {quote(x.word.subject)}")
    ],
    Reason.MASS_FAILURE: _look("see what failed together"),
    Reason.NO_WAY_BACK: lambda _x: list(_DECLARE),
    Reason.TOUCHES_WHAT_SERVES: lambda _x: list(_DECLARE),
    Reason.FENCE_NOT_AUTOMATIC: _rehearse,
    Reason.INCOMPLETE: lambda x: [
        Remedy("say how long it stays, and by when it is back", x.again("--stay", "10m", lengths=False))
    ],
    Reason.NO_SUCH_DRILL: lambda _x: [Remedy("see which drills there are", "bascule drill list")],
    Reason.ALREADY_ENDED: lambda x: [Remedy("see how it ended", f"bascule drill show {quote(x.word.subject)}")],
}
