"""What people were told that is lacking, and which notices did not reach everybody: a part of the decided state's fold.

The one rule it keeps: it is called by `decided.apply` alone.
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import NOT_BY
from orchestrator.core.state import Decided, Lacking, Unheard


def told(d: Decided, x: r.NoticeDue) -> None:
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


def settled(d: Decided, client: str, x: r.NoticeSettled) -> None:
    """The last notice of a client reached everybody, or some, or nobody."""
    not_by = x.evidence.partition(NOT_BY)[2] if x.delivered else x.evidence
    if not_by:
        d.unheard[client] = Unheard(x.at, x.notice, not_by, x.delivered)
    else:
        d.unheard.pop(client, None)
