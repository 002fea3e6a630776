"""Findings: a named person says what is to be improved, by whom and by when; it is chased until somebody closes it.

The one rule it keeps: an open finding past its date is told to its owner again and again, also after a restart. Nobody
but a named person closes one.

    word              its subject                        what it needs
    ---------------------------------------------------------------------------------------------
    finding           an incident, a run or a drill      a text, an owner who is declared, a date to come
    no findings       the same                           that no finding of it is open
    finding close     a finding that is open             -
"""

from __future__ import annotations

import re

from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind
from orchestrator.core.deciding.replies import Consent, Refusal
from orchestrator.core.events import WordSpoken
from orchestrator.core.model import Speaker
from orchestrator.core.reasons import Reason
from orchestrator.core.rules.speakers import service_about
from orchestrator.core.sentences import Sentence
from orchestrator.core.transaction import Transaction

AGAIN_S = 7 * 86400.0  # so long after it was told that it is overdue, it is told again
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
LONGEST_S = 10 * 365 * 86400.0  # until it is due


def open_(tx: Transaction, word: WordSpoken) -> Refusal | Consent:
    """`bascule findings open`."""
    service = service_about(tx.decided, word.subject)
    if service is None:
        return _nothing_of_that_id(word)
    if not word.why.strip():
        return Refusal(Reason.INCOMPLETE, "a finding says what is to be improved")
    owner = _person(tx, service, str(word.options.get("owner") or ""))
    if owner is None:
        known = ", ".join(sorted(x.id for x in _people(tx, service))) or "nobody"
        return Refusal(Reason.NO_SUCH_PERSON, f"{word.options.get('owner')!r} may own no finding here; may: {known}")
    in_s, due = word.options.get("in_s"), word.options.get("due")
    if isinstance(in_s, bool) or not isinstance(in_s, int | float) or not isinstance(due, str):
        return Refusal(Reason.INCOMPLETE, "a finding says by when: --due DAY")
    if not _is_day(due) or not 0 < in_s < LONGEST_S:
        return Refusal(Reason.INCOMPLETE, f"{due[:20]!r} is no day to come within ten years: --due 2026-12-31")
    name = f"f{tx.decided.findings.count + 1}"
    tx.record(
        r.FindingOpened(
            at=tx.now(),
            finding=name,
            about=word.subject,
            service=service,
            text=word.why,
            owner=owner.id,
            due=due,
            due_at=tx.now() + in_s,
            who=word.who,
            internal=word.options.get("internal") is True,
        )
    )
    return Consent(Reason.ASKED_BY_OPERATOR, f"{name} of {word.subject}: {owner.id} sees to it by {due}")


def close(tx: Transaction, word: WordSpoken) -> Refusal | Consent:
    """`bascule findings close`."""
    found = tx.decided.findings.known.get(word.subject)
    if found is None:
        return _nothing_of_that_id(word)
    if found.closed is not None:
        return Refusal(Reason.ALREADY_ENDED, f"{found.id} was closed by {found.closed.who}")
    opened = found.opened
    tx.record(r.FindingClosed(tx.now(), found.id, opened.about, opened.service, word.who, word.why, opened.internal))
    return Consent(Reason.ASKED_BY_OPERATOR, f"{found.id} of {opened.about} is closed")


def nothing(tx: Transaction, word: WordSpoken) -> Refusal | Consent:
    """`bascule findings none`."""
    service = service_about(tx.decided, word.subject)
    if service is None:
        return _nothing_of_that_id(word)
    still = [x.id for x in tx.decided.findings.open() if x.opened.about == word.subject]
    if still:
        are = "is" if len(still) == 1 else "are"
        return Refusal(Reason.FINDINGS_OPEN, f"{', '.join(still)} of {word.subject} {are} open")
    tx.record(r.NothingFound(tx.now(), word.subject, service, word.who, word.why))
    return Consent(Reason.ASKED_BY_OPERATOR, f"nothing is to be improved after {word.subject}, says {word.who}")


def chase(tx: Transaction) -> None:
    """Tell the owner of each finding that is past its date, and of one that was told long ago once more."""
    for found in tx.decided.findings.open():
        opened = found.opened
        due_at = opened.due_at if found.told_at is None else found.told_at + AGAIN_S
        if tx.now() < due_at:
            tx.wake(due_at)
            continue
        slots = {"service": opened.service, "finding": found.id, "about": opened.about, "due": opened.due}
        tx.tell(
            f"{found.id}/overdue/{found.times + 1}",
            NoticeKind.FINDING_OVERDUE,
            opened.service,
            Sentence.FINDING_OVERDUE.say(**slots, text=opened.text),
            say=f"bascule findings close {found.id}",
            details={"finding": found.id},
            to=(opened.owner,),
        )
        tx.wake(tx.now() + AGAIN_S)


def _people(tx: Transaction, service: str) -> list[Speaker]:
    client = service.partition("/")[0]
    return [x for x in tx.model.speakers.values() if not x.tool and x.client in ("", client)]


def _person(tx: Transaction, service: str, name: str) -> Speaker | None:
    """By id, or by its last part where that means one alone."""
    people = _people(tx, service)
    exact = [x for x in people if x.id == name]
    found = exact or [x for x in people if x.id.rpartition("/")[2] == name]
    return found[0] if len(found) == 1 else None


def _is_day(text: str) -> bool:
    """Whether it is a date, written as every report shows it: not one of its other forms, and no other text."""
    found = _DAY.fullmatch(text)
    if found is None:
        return False
    year, month, day = map(int, found.groups())
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    last = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return 1 <= month <= 12 and 1 <= day <= last[month - 1]


def _nothing_of_that_id(word: WordSpoken) -> Refusal:
    return Refusal(Reason.NOTHING_OF_THAT_ID, f"there is no {word.subject!r}")
