"""What to type when a word was refused: one row for each reason that can refuse one. A guard that a person may go
against needs none, unless more can be said than its own row in `core/reasons.py` does; nor does one that stands against
a drill (`drill_remedies.py`), unless more can be done than to wait.

The one rule it keeps: a remedy ends with a command that works: it changes the answer, or shows what it is about. It is
made from the word that was said and from the decided state, so that it names the run, the move and the place.
"""

from __future__ import annotations

from collections.abc import Callable
from shlex import join, quote

from orchestrator.cli.drill_remedies import DRILL_ROWS
from orchestrator.cli.finding_remedies import FINDING_ROWS
from orchestrator.cli.refused import Refused, Remedy
from orchestrator.core.events import OF_FINDINGS, WordKind, WordSpoken
from orchestrator.core.model import Model, Service
from orchestrator.core.reasons import Against, Part, Reason
from orchestrator.core.rules import failback, speakers
from orchestrator.core.rules.ladder import books_of, cannot_start, to_fence
from orchestrator.core.rules.standing_words import with_its_client
from orchestrator.core.runs.plan import approving
from orchestrator.core.state.decided import Decided
from orchestrator.core.transaction import Transaction


def _override(x: Refused) -> list[Remedy]:
    if x.reason.against is not Against.PERSON or x.word.kind is WordKind.DRILL:
        return []
    return [
        Remedy(
            f"or go against it on record ({x.reason.told})", x.again("--override", x.reason.value, "--reason", "WHY")
        )
    ]


def _as_its_reason_says(x: Refused) -> list[Remedy]:
    """Of a guard that has no row here: a named person may go against it, or it never refuses a word but a drill's."""
    service = x.service
    if service is None or x.reason.part not in (Part.GUARD, Part.TIER, Part.DRILL):
        return []
    if x.word.kind is WordKind.DRILL:
        return [Remedy("wait until nothing stands against it; see how it is", f"bascule status {quote(service.id)}")]
    against = _override(x)
    look = Remedy("repair what the evidence names; see what it lacks", f"bascule status {quote(service.id)}")
    return [look, *against] if against else []


def _checks(x: Refused) -> list[Remedy]:
    """The preconditions, asked once more."""
    move = x.move
    if move is None or move.viable_when is None:
        return []
    names = list(dict.fromkeys(move.viable_when.checks()))
    return [Remedy("repair what the evidence names, and ask again", join(["bascule", "check", *names]))]


def _blind(x: Refused) -> list[Remedy]:
    service = x.service
    vantages = {x.model.checks[c].vantage for c in service.healthy_when.checks()} if service else set()
    names = [c for v in sorted(vantages) for c in x.model.references(v)]
    return [Remedy("look at this controller's own uplink", join(["bascule", "check", *names])), *_override(x)]


def _data(x: Refused) -> list[Remedy]:
    move = x.move
    asked = move.data_age if move else None
    if asked:
        return [Remedy("see what the age of the data is", f"bascule check {quote(asked)}"), *_override(x)]
    declare = "declare data_age for that move in services.yml, then"
    return [Remedy(declare, "bascule validate"), *_override(x)]


def _failed(x: Refused) -> list[Remedy]:
    return [Remedy("repair it, then try it again by its name", x.again())]


def _edited(x: Refused) -> list[Remedy]:
    """Files that a plan rests on are others by now: to say it again changes nothing before they are read."""
    run = x.decided.runs.get(x.word.subject)
    if run is None:
        return [Remedy("put back what changed, or reload; then say it again", "bascule reload")]
    if run.ended is not None:
        return [
            Remedy(
                "it has ended for this reason; see what is asked now",
                f"bascule status {quote(run.started.service)}",
            )
        ]
    found = [Remedy("put back what changed, or reload and be asked anew", "bascule reload")]
    if run.human is not None:
        return [*found, Remedy("or leave all as it is", f"bascule abort {run.id}")]
    return [*found, Remedy("or say no", f"bascule reject {run.id}")]


def _busy(x: Refused) -> list[Remedy]:
    run = x.holder
    if run is None:
        return [Remedy("that run has ended meanwhile", x.again())]
    found = [Remedy("see what it does", f"bascule status {quote(run.started.service)}")]
    return [*found, Remedy("or stop it", f"bascule abort {run.id}")]


def _too_many(x: Refused) -> list[Remedy]:
    return [Remedy("wait for one of them to end", "bascule status"), *_override(x)]


def _elsewhere(x: Refused) -> list[Remedy]:
    """The named move does not lead from here: what does."""
    if x.word.kind is WordKind.APPROVE:
        run = x.decided.runs.get(x.word.subject)
        if run is None:
            return []
        named = str(x.word.options.get("fenced") or "")
        others = [r for r in x.decided.unfinished_runs() if r.id != run.id and r.asks_a_person]
        theirs = [r for r in others if named in [s.place for s in r.fences]]
        if theirs:  # nobody is led to state a thing of a place that was not seen
            return [
                Remedy(f"the run that fences {named} is {theirs[0].id}", f"{approving(theirs[0])} --fenced {named}")
            ]
        places = [s.place for s in run.fences if s.place]
        found = [Remedy(f"if you saw {p} dark, state it", f"{approving(run)} --fenced {p}") for p in places]
        return [*found[:1], Remedy("or have it fenced by its playbook", approving(run))]
    if x.reason is Reason.WRONG_PLACE and x.word.options.get("fenced"):
        return [Remedy("say it without that place", x.again("--dry-run", fence=False))]
    service = x.service
    if service is None:
        return []
    return [Remedy("see its moves, and where it is", f"bascule status {quote(service.id)}"), *_back(x, service)]


def _back(x: Refused, service: Service) -> list[Remedy]:
    """A way back that applies; in an open incident that is said to go against it."""
    if not failback.candidates(x.decided, x.model, service):
        return []
    command = ["bascule", "failback", service.id]
    if x.decided.services[service.id].incident is not None:
        command += ["--override", Reason.IN_INCIDENT.value, "--reason", "WHY"]
    return [Remedy("or go back", join(command))]


def _engaged(x: Refused) -> list[Remedy]:
    back = [Remedy("go back", r.command) for r in _elsewhere(x) if r.command.startswith("bascule failback")]
    return [*back, *_override(x)]


def _fence(x: Refused) -> list[Remedy]:
    service, move = x.service, x.move
    if service is None or move is None:
        return []
    places = to_fence(Transaction(x.model, x.decided, {}, 0.0), service, move)
    declared = all((p := x.model.places.get(name)) is not None and p.fence is not None for name in places)
    found = [Remedy("fence it, although people may be at work there", x.again("--fence"))] if declared else []
    by_hand = [Remedy(f"or, if you saw {p} dark, state it", x.again("--fenced", p, "--reason", "WHY")) for p in places]
    return [*found, *by_hand[:1]]


def _no_tier(x: Refused) -> list[Remedy]:
    service = x.service
    if service is None or not service.ladder:
        return [Remedy("declare a move in its ladder in services.yml, then", "bascule validate")]
    tx = Transaction(x.model, x.decided, {}, 0.0)
    books = [books_of(tx, service, x.model.moves[tier.move]) for tier in service.ladder]
    if all(any(x.decided.edited.get(book.digest) for book in found) for found in books):
        return _edited(x)  # whichever is named: before they are read, none of them is played
    first = [x.move] if x.move is not None else []
    moves = dict.fromkeys([m.id for m in first] + [tier.move for tier in service.ladder])
    may = [m for m in moves if not any(cannot_start(tx, service, x.model.moves[m]))]
    try_ = [Remedy("try one of them by its name", x.by(may[0]).again())] if may else []
    return [
        Remedy("see its moves, and what each lacks", f"bascule status {quote(service.id)}"),
        *try_,
        *_back(x, service),
    ]


def _seen(command: str, do: str) -> Callable[[Refused], list[Remedy]]:
    def found(x: Refused) -> list[Remedy]:
        service = quote(x.service.id) if x.service else ""
        named = {"subject": quote(x.word.subject), "service": service}
        return [Remedy(do, command.format(**named).rstrip())]

    return found


def _another_plan(x: Refused) -> list[Remedy]:
    run = x.decided.runs.get(x.word.subject)
    about = f"bascule status {quote(run.started.service)}" if run else "bascule status"
    if run is not None and run.human is not None:
        return [Remedy("see what it asks by now", about)]
    return [Remedy("say it in the workspace that asked (--workspace); what this run would do", about)]


def _in_incident(x: Refused) -> list[Remedy]:
    service = x.service
    if service is None:
        return [Remedy("see the present state", "bascule status")]
    if x.decided.run_for(service.id) is not None:
        return _busy(x)  # nothing else is begun for it meanwhile
    found = [Remedy("recover it first", f"bascule failover {quote(service.id)}")] if service.ladder else []
    back = _override(x) if failback.candidates(x.decided, x.model, service) else []
    return [*found, *back] or [Remedy("see where it is, and what is tried", f"bascule status {quote(service.id)}")]


def _not_waiting(x: Refused) -> list[Remedy]:
    run = x.decided.runs.get(x.word.subject)
    if run is None or run.ended is not None:
        return [Remedy("see how it ended", f"bascule report {quote(x.word.subject)}")]
    found = [Remedy("see what it does", f"bascule status {quote(run.started.service)}")]
    if run.human is not None and x.word.kind is WordKind.REJECT:
        return [*found, Remedy("it needs a person: to end it", f"bascule abort {run.id}")]
    return [*found, Remedy("to stop it", f"bascule abort {run.id}")]


def _not_held(x: Refused) -> list[Remedy]:
    if x.word.kind in (WordKind.MAINTENANCE_END, WordKind.CLEAR):
        return _not_begun(x)
    names = with_its_client(x.word.subject, x.decided.holds)
    held = [join(["bascule", "resume", *(["--all"] if s == "*" else [s])]) for s in names]
    return [Remedy("to end what is held", c) for c in held] or [Remedy("see what holds it back", "bascule status")]


def _not_begun(x: Refused) -> list[Remedy]:
    """What is in maintenance, or suspected, ends by its own name; a calendar's window ends in the calendar."""
    ends = x.word.kind is WordKind.MAINTENANCE_END
    stands = with_its_client(x.word.subject, x.decided.maintenance if ends else x.decided.suspected)
    names = [n for n in stands if "#" not in n]
    words = ["maintenance"] if ends else ["clear"]
    about = [join(["bascule", *words, "--all" if n == "*" else n, *(["--end"] if ends else [])]) for n in names]
    return [Remedy("to end what is in force", c) for c in about] or [Remedy("see what is in force", "bascule status")]


def _not_named(x: Refused) -> list[Remedy]:
    return [Remedy("see what it would do without that", _without_override(x, "--dry-run"))]


def _without_override(x: Refused, *more: str) -> str:
    options = {k: v for k, v in x.word.options.items() if k != "override"}
    word = WordSpoken(x.word.id, x.word.kind, x.word.who, x.word.subject, x.word.why, options)
    return Refused(x.reason, word, x.decided, x.model).again(*more, named=False)


def _no_person(x: Refused) -> list[Remedy]:
    """Somebody who may be spoken for from this login: whom it is bound to, else whoever is not bound to any."""
    service = x.service
    client = service.client if service is not None else x.word.subject.partition("/")[0]
    declared = [s for s in x.model.speakers.values() if s.client in ("", client) and not s.tool]
    here = speakers.logins_of(x.word)
    bound = next((s for s in declared if here & set(s.logins)), None)
    first = bound or next((s for s in declared if not s.logins), None)
    found = [Remedy("add yourself, or your login, to people.yml, then", "bascule reload")]
    if first is None:
        return found
    return [
        Remedy("say it as somebody who is declared", x.again("--by", first.id.rpartition("/")[2], named=False)),
        *found,
    ]


FAILED_TIERS = (
    Reason.PLAYBOOK_FAILED,
    Reason.UNREACHABLE,
    Reason.TIMED_OUT,
    Reason.VERIFY_FAILED,
    Reason.PREFLIGHT_FAILED,
    Reason.NOT_CONTAINED,
    Reason.FENCE_UNPROVEN,
    Reason.NO_FENCE,
    Reason.CANCELLED,
    Reason.ABORTED,
    Reason.NOT_APPROVED,
    Reason.APPROVAL_EXPIRED,
    Reason.STALE_EPOCH,
    Reason.UNDETERMINED,
    Reason.COULD_NOT_START,
)
"""How a run ends whose tier then counts as failed: a word without a move passes it over."""

ROWS: dict[Reason, Callable[[Refused], list[Remedy]]] = {
    Reason.BLIND: _blind,
    Reason.TOO_MANY_FAILOVERS: _too_many,
    Reason.RESOURCE_BUSY: _busy,
    Reason.NOT_VIABLE: lambda x: [*_checks(x), *_override(x)],
    Reason.VIABILITY_UNKNOWN: lambda x: [*_checks(x), *_override(x)],
    Reason.ALREADY_ENGAGED: _engaged,
    Reason.ALREADY_THERE: _elsewhere,
    Reason.WRONG_PLACE: _elsewhere,
    Reason.RPO_UNKNOWN: _data,
    Reason.RPO_EXCEEDED: _data,
    Reason.FENCE_NOT_AUTOMATIC: _fence,
    Reason.NO_TIER_LEFT: _no_tier,
    Reason.PLAN_CHANGED: _edited,
    Reason.NO_SUCH_SERVICE: _seen("bascule status", "see which services there are"),
    Reason.NO_SUCH_MOVE: _seen("bascule status {service}", "see its moves"),
    Reason.NOTHING_OF_THAT_ID: _seen("bascule incidents", "see what there is"),
    Reason.NO_SUCH_RUN: _seen("bascule incidents", "see earlier runs"),
    Reason.ANOTHER_PLAN: _another_plan,
    Reason.NOT_WAITING: _not_waiting,
    Reason.ALREADY_ENDED: _seen("bascule report {subject}", "see how it ended"),
    Reason.AT_HOME: _seen("bascule status {service}", "nothing has to go back; see where it is"),
    Reason.NO_WAY_BACK: _seen("bascule status {service}", "declare one in services.yml (failback), or see its moves"),
    Reason.NOT_HELD: _not_held,
    Reason.INCOMPLETE: _seen("bascule maintenance {subject} --for 2h", "say for how long"),
    Reason.IN_INCIDENT: _in_incident,
    Reason.ID_IN_USE: lambda x: [Remedy("say it under another id", x.again(named=False))],
    Reason.NOBODY_NAMED: lambda x: [Remedy("say who you are", x.again("--by", "NAME", named=False))],
    Reason.NO_SUCH_PERSON: _no_person,
    Reason.NOT_THAT_PERSON: _no_person,
    Reason.NO_SUCH_GUARD: _not_named,
    Reason.NOT_OVERRIDABLE: _not_named,
    Reason.CANNOT_ACT: _seen("bascule ready", "repair what the evidence names; see what is lacking"),
    **dict.fromkeys(FAILED_TIERS, _failed),
}


def remedies(reason: str, word: WordSpoken, decided: Decided, model: Model | None) -> list[Remedy]:
    """What to do about this refusal, the first the nearest; empty for a reason that never refuses a word."""
    rows = DRILL_ROWS if word.kind in (WordKind.DRILL, WordKind.DRILL_CANCEL) else {}
    rows = FINDING_ROWS if word.kind in OF_FINDINGS else rows
    try:
        own, found = rows.get(Reason(reason)), ROWS.get(Reason(reason))
    except ValueError:  # a daemon of another version
        return []
    if model is None:
        return []
    refused = Refused(Reason(reason), word, decided, model)
    mine = own(refused) if own is not None else []
    if mine or (own is not None and word.kind not in OF_FINDINGS):  # of a drill there is no other row
        return mine
    return (found or _as_its_reason_says)(refused)
