"""The part of the fold about notices: which are due, which lacks people were told of, whom a notice did not reach.

The one rule it keeps: it is called by `decided.apply` alone.
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.commands import MUST_BE_HEARD, NoticeKind
from orchestrator.core.events import NOT_BY
from orchestrator.core.state import findings
from orchestrator.core.state.decided import Decided, IllegalRecord, Lacking, Notice, Unheard
from orchestrator.core.state.retention import KEPT_RUNS, forget


def notice_due(d: Decided, x: r.NoticeDue) -> None:
    """Somebody is to be told something; once."""
    if x.notice in d.told:
        raise IllegalRecord(f"notice {x.notice} was due before: nobody is told one thing twice")
    d.notices[x.notice] = Notice(x)
    d.told[x.notice] = x.at
    forget(d.told, lambda at: at, 50 * KEPT_RUNS)
    if x.kind in (NoticeKind.CANNOT_SEE, NoticeKind.SEES_AGAIN):
        _lacks_told(d, x)
    elif x.kind is NoticeKind.FINDING_OVERDUE:
        findings.overdue(d, x)


def notice_settled(d: Decided, x: r.NoticeSettled) -> None:
    """A notice reached people, or did not: one that must be heard stays until it does."""
    notice = d.notices.get(x.notice)
    if notice is not None:
        _heard_by(d, notice.due.client, x)
    if notice is not None and not x.delivered and notice.due.kind in MUST_BE_HEARD:
        notice.failed_at, notice.failures = x.at, notice.failures + 1
    else:
        d.notices.pop(x.notice, None)


def notice_repeated(d: Decided, x: r.NoticeRepeated) -> None:
    """One that was not heard is told again."""
    if x.notice not in d.notices:
        raise IllegalRecord(f"notice {x.notice} cannot be told again: it is not outstanding")
    d.notices[x.notice].failed_at = None


def notice_dropped(d: Decided, x: r.NoticeDropped) -> None:
    """It need not be told any more. Perhaps nobody was told: where it is so once more, it is."""
    d.notices.pop(x.notice, None)
    d.told.pop(x.notice, None)


def _lacks_told(d: Decided, x: r.NoticeDue) -> None:
    """Somebody is told that something is lacking, or is not any more."""
    subjects = x.details.get("subjects")
    names = [str(s) for s in subjects] if isinstance(subjects, list | tuple) else []
    key = f"{x.client}#{x.details.get('lack')}"
    known = d.lacking.setdefault(key, Lacking())
    known.told_at = x.at
    if x.kind is NoticeKind.CANNOT_SEE:
        known.subjects |= dict.fromkeys(names, x.at)
        return
    for name in names:
        known.subjects.pop(name, None)
    if not known.subjects:
        del d.lacking[key]


def _heard_by(d: Decided, client: str, x: r.NoticeSettled) -> None:
    """The last notice of a client reached everybody, or some, or nobody."""
    not_by = x.evidence.partition(NOT_BY)[2] if x.delivered else x.evidence
    if not_by:
        d.unheard[client] = Unheard(x.at, x.notice, not_by, x.delivered)
    else:
        d.unheard.pop(client, None)
