"""Notices that reached nobody: told again until somebody has been told, or until they are no longer true.

The one rule it keeps: what waits for a person is not forgotten because a line was down, and nobody is told that
something waits when it does not. The delivery has done its own retries by then. This goes on at a slower beat, for
notices that need somebody to act (`commands.MUST_BE_HEARD`).
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import NoticeDelivered, NoticeFailed
from orchestrator.core.reasons import Part, Reason
from orchestrator.core.state.decided import Decided, Incident, Notice, covers
from orchestrator.core.transaction import Transaction, tell_command

AGAIN_S = 60.0  # after the first failure; twice as long after each further one
AGAIN_MOST_S = 600.0
LATE = "late"  # of a drill that should be over
HELD = "held/"
GROUNDS = {x.value for x in Reason if x.part is Part.GUARD and x is not Reason.HELD} | {Reason.NO_TIER_LEFT.value}
"""Why nothing is done in an incident: whoever is told of it is told no more once it is judged otherwise."""


def of_hold(hold: r.WordAccepted) -> str:
    """Which part of a notice's id names the hold that keeps an outage from being recovered."""
    return f"{HELD}{hold.at:.3f}"


def of_ground(reason: Reason, resumed_at: float) -> str:
    """Which part of a notice's id names why nothing is done by itself, since a person last had it go on."""
    return f"{reason.value}/{resumed_at:.3f}"


def over(decided: Decided, due: r.NoticeDue) -> str:
    """Why what it says is not so any more; empty while it is, and of what is told as past."""
    name, _, about = due.notice.partition("/")
    run = decided.runs.get(name)
    if due.kind is NoticeKind.APPROVAL_NEEDED:
        asked = run is not None and run.asks_a_person
        return "" if asked else f"{name} does not wait for an approval any more"
    if run is not None and about.startswith("human/"):
        return "" if run.ended is None and run.human is not None else f"{name} does not wait for a person any more"
    if due.kind is NoticeKind.CANNOT_SEE:
        known = decided.lacking.get(f"{due.client}#{due.details.get('lack')}")
        subjects = due.details.get("subjects")
        named = subjects if isinstance(subjects, list | tuple) else ()
        return "" if known and any(x in known.subjects for x in named) else "what was lacking is there again"
    drill = decided.drills.get(name)
    if drill is not None and about == LATE:
        return f"{name} is over" if drill.ended is not None else ""
    incident = decided.incidents.get(name.partition(".")[0])
    if incident is None:
        return ""
    same = incident.ended is None and name == f"{incident.id}.{incident.episodes}"
    holds = (x for subject, x in decided.holds.items() if covers(subject, due.subject))
    if about.startswith(HELD) and all(about != of_hold(x) for x in holds):
        return "the hold that it is about is over"
    return _not_so(decided, due.subject, incident, about) if same else f"the outage is over: {incident.id}"


def _not_so(decided: Decided, service: str, incident: Incident, about: str) -> str:
    """Why what keeps an open incident from being recovered is another thing by now; empty: it is this one."""
    ground, known = about.partition("/")[0], decided.services.get(service)
    if ground not in GROUNDS:
        return ""
    brakes = (Reason.FLAPPING, Reason.MASS_FAILURE)
    if known is not None and any(ground == x.value and about != of_ground(x, known.resumed_at) for x in brakes):
        return f"{service} was resumed since"
    judged = incident.judged.reason.value if incident.judged is not None else "nothing yet"
    return "" if judged == ground else f"{incident.id} is judged otherwise by now: {judged}"


def repeat(tx: Transaction) -> None:
    """Tell again what is due again."""
    for notice in list(tx.decided.notices.values()):
        if notice.failed_at is None:
            continue
        if _dropped(tx, notice):
            continue
        due = notice.failed_at + min(AGAIN_S * 2.0 ** (notice.failures - 1), AGAIN_MOST_S)
        if tx.now() >= due:
            tx.record(r.NoticeRepeated(tx.now(), notice.due.notice))
            tx.command(tell_command(notice.due, tx.now()))
        else:
            tx.wake(due)


def resend(tx: Transaction) -> None:
    """After a start: whoever delivered knows nothing any more; tell what is not settled, and still so."""
    for notice in list(tx.decided.notices.values()):
        if not _dropped(tx, notice, unseen=notice.failed_at is None):
            tx.command(tell_command(notice.due, tx.now()))


def _dropped(tx: Transaction, notice: Notice, *, unseen: bool = False) -> bool:
    """`unseen`: it was being delivered by a controller that is gone. Where it is so once more, it is told once more:
    rather twice than never.
    """
    why = over(tx.decided, notice.due)
    if why:
        tx.record(r.NoticeDropped(tx.now(), notice.due.notice, why, unseen))
    return bool(why)


def settle(tx: Transaction, event: NoticeDelivered | NoticeFailed) -> None:
    """Remember what came of a notice; of one that was settled before nothing more comes."""
    delivered = isinstance(event, NoticeDelivered)
    if event.notice in tx.decided.notices:
        evidence = event.through if isinstance(event, NoticeDelivered) else event.detail
        tx.record(r.NoticeSettled(tx.now(), event.notice, delivered, evidence))
