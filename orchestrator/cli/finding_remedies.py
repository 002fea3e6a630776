"""What to type when a word about findings was refused: one row for each reason that can refuse one.

The one rule it keeps: each row ends with a command about findings that works as it stands.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from orchestrator.cli.refused import Refused, Remedy
from orchestrator.core.events import WordKind
from orchestrator.core.reasons import Reason
from orchestrator.core.rules.speakers import service_about

SOON = timedelta(days=30)


def _incomplete(x: Refused) -> list[Remedy]:
    day = (datetime.now(UTC) + SOON).strftime("%Y-%m-%d")
    text = x.word.why.strip() or "WHAT"
    return [Remedy("say what is to be improved, and by a day to come", x.again(text=text, due=day))]


def _open(x: Refused) -> list[Remedy]:
    return [Remedy("see what is open, and have it closed first", shlex.join(["bascule", "findings", x.word.subject]))]


def _closed(x: Refused) -> list[Remedy]:
    return [Remedy("see by whom, and how", "bascule findings --closed")]


def _unknown(x: Refused) -> list[Remedy]:
    if x.word.kind is WordKind.FINDING_CLOSE:
        return [Remedy("see which there are", "bascule findings --closed")]
    return [Remedy("see what there is", "bascule incidents"), Remedy("and which drills", "bascule drill list")]


def _owner(x: Refused) -> list[Remedy]:
    """Somebody who may own it. Empty: it is the speaker who is not declared."""
    if x.word.kind is not WordKind.FINDING:
        return []
    service = service_about(x.decided, x.word.subject) or ""
    people = [s.id for s in x.model.speakers.values() if not s.tool and s.client in ("", service.partition("/")[0])]
    named = str(x.word.options.get("owner") or "")
    if named in people or [p.rpartition("/")[2] for p in people].count(named) == 1 or not people:
        return []
    return [Remedy("name somebody who is declared", x.again(owner=sorted(people)[0]))]


FINDING_ROWS: dict[Reason, Callable[[Refused], list[Remedy]]] = {
    Reason.INCOMPLETE: _incomplete,
    Reason.FINDINGS_OPEN: _open,
    Reason.ALREADY_ENDED: _closed,
    Reason.NOTHING_OF_THAT_ID: _unknown,
    Reason.NO_SUCH_PERSON: _owner,
}
