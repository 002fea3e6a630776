"""Who says a word: whom a name means, and whether the speaker may speak for them.

The one rule it keeps: where people are declared, only one of them can let something go on against a guard or answer a
question. A person who is bound to logins is spoken for by these alone. What the kernel says of the speaker stands
beside the name. What the speaker claims is recorded, and decides nothing.

    the name means              the word                                     answer
    ------------------------------------------------------------------------------------------------
    a person, not bound         any                                          heard
    a person, bound to logins   any, from one of these logins                heard
                                any, from elsewhere                          not that person
    nobody                      named with it, or one of DECIDES             no such person
    a program                   one of DECIDES, or against a guard           no such person
                                another, under the account's own name        heard; the record names no person
    anybody                     any, from a login bound to others            not that person

Anybody who reaches the controller may stop things, and may do what every guard allows: on the worst day no list keeps
them from that. A program may raise a suspicion or a hold, and is no person: by its name nobody approves. A word about a
run or a service is the business of its client's people and of the workspace's. A word about all is for somebody whom
each of the clients knows. A client for whom nobody is declared takes any name. What one client declares of its people
and their logins decides nothing for another client.
"""

from __future__ import annotations

import difflib

from orchestrator.core.events import OF_DRILLS, OF_FINDINGS, OF_RUNS, WordKind, WordSpoken
from orchestrator.core.model import Speaker
from orchestrator.core.reasons import Reason
from orchestrator.core.rules.standing_words import stands_by
from orchestrator.core.state.decided import EVERYTHING, Decided
from orchestrator.core.transaction import Transaction

DECIDES = (
    WordKind.APPROVE,
    WordKind.REJECT,
    WordKind.RESUME,
    WordKind.MAINTENANCE_END,
    WordKind.CLEAR,
    WordKind.DRILL,
    WordKind.FINDING,
    WordKind.FINDING_CLOSE,
    WordKind.NO_FINDINGS,
)
AGAINST_GUARDS = ("override", "fence", "fenced")


def objection(tx: Transaction, word: WordSpoken) -> tuple[Reason, str] | None:
    """Why this speaker is not heard; None if they are."""
    for client in _clients(tx, word):
        against = _objection(tx, word, client)
        if against is not None:
            return against
    return None


def person_meant(tx: Transaction, word: WordSpoken) -> str:
    """The id of the person whom the word's name means; empty where it means nobody declared, or not one person alone.

    Of several with that name it is one whom this login may speak for.
    """
    logins, found = logins_of(word), set()
    for client in _clients(tx, word):
        if meant := _meant(_declared(tx, client), word):
            found.add(min(meant, key=lambda s: 0 if logins & set(s.logins) else 1 if not s.logins else 2).id)
    return found.pop() if len(found) == 1 else ""


def remark(tx: Transaction, word: WordSpoken) -> str:
    """What the answer says of a name that stands for nobody declared."""
    strange = [c for c in _clients(tx, word) if (known := _declared(tx, c)) and not _meant(known, word)]
    return f"; {word.who} is nobody of {', '.join(strange)}'s people" if strange else ""


def _objection(tx: Transaction, word: WordSpoken, client: str) -> tuple[Reason, str] | None:
    declared = _declared(tx, client)
    if not declared:
        return None
    meant = _meant(declared, word)
    logins = logins_of(word)
    bound = [speaker for speaker in declared if logins & set(speaker.logins)]
    said_by = str(word.peer) if word.peer else "a speaker that the kernel does not know"
    decides = word.kind in DECIDES or any(word.options.get(x) for x in AGAINST_GUARDS)
    people = [s for s in declared if not s.tool]
    if meant and decides and people:
        meant = [s for s in meant if not s.tool]  # a person may be called like one
        if not meant:
            may = ", ".join(sorted({s.id.rpartition("/")[2] for s in people}))
            told = f"{word.who!r} is a program of {client}'s, and this is for a person to say: {may}"
            return Reason.NO_SUCH_PERSON, told
    if meant and any(not s.logins and (s.tool or not bound) for s in meant):
        return None
    if any(speaker in bound for speaker in meant):
        return None
    if not meant and (word.named or decides):
        return Reason.NO_SUCH_PERSON, _unknown(word.who, client, declared)
    if bound:
        theirs = ", ".join(sorted(s.id for s in bound))
        return Reason.NOT_THAT_PERSON, f"{said_by} speaks only for {theirs}, not for {word.who}"
    if meant:
        one = meant[0]
        return Reason.NOT_THAT_PERSON, f"only {', '.join(one.logins)} may speak for {one.id}; this is {said_by}"
    return None


def _clients(tx: Transaction, word: WordSpoken) -> list[str]:
    """The clients whom a word is about; a client may be called like a run."""
    run = tx.decided.runs.get(word.subject) if word.kind in OF_RUNS else None
    drill = tx.decided.drills.get(word.subject) if word.kind in OF_DRILLS else None
    subject = run.started.service if run is not None else drill.began.service if drill is not None else word.subject
    if word.kind in OF_FINDINGS:
        finding = tx.decided.findings.known.get(word.subject) if word.kind is WordKind.FINDING_CLOSE else None
        about = finding.opened.service if finding is not None else service_about(tx.decided, word.subject)
        subject = about if about is not None else ""
    known = sorted({s.client for s in tx.model.services.values()})
    if subject == EVERYTHING:
        return known
    known += [s.client for s in tx.model.speakers.values() if s.client]  # its services may be gone, and its people not
    client = subject.partition("/")[0].partition("#")[0]  # behind it a calendar's window may stand
    if client not in known and not (stands_by(tx, word) or subject != word.subject):
        return []
    return [client] if client else []  # gone altogether, with what was said of it: the workspace's people are there


def service_about(decided: Decided, name: str) -> str | None:
    """The service of this incident, run or drill; None: there is none of this id."""
    if (incident := decided.incidents.get(name)) is not None:
        return incident.service
    if (run := decided.runs.get(name)) is not None:
        return run.started.service
    drill = decided.drills.get(name)
    return drill.began.service if drill is not None else None


def _declared(tx: Transaction, client: str) -> list[Speaker]:
    return [s for s in tx.model.speakers.values() if s.client in ("", client)]


def _meant(declared: list[Speaker], word: WordSpoken) -> list[Speaker]:
    """Whom the name means: by id, by the id's last part, or by the full name however it is written."""
    who = _plain(word.who)
    exact = [s for s in declared if who == _plain(s.id)]
    return exact or [s for s in declared if who in (_plain(s.id.rpartition("/")[2]), _plain(s.name))]


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def logins_of(word: WordSpoken) -> set[str]:
    """What the speaker's logins are called, by name or number."""
    peer = word.peer
    return {x for x in (str(peer.uid), peer.login, peer.session) if x} if peer is not None else set()


def _unknown(who: str, client: str, declared: list[Speaker]) -> str:
    names = {_plain(x): s.id.rpartition("/")[2] for s in declared for x in (s.id.rpartition("/")[2], s.name)}
    near = difflib.get_close_matches(_plain(who), names, 1, 0.6)
    known = ", ".join(sorted({s.id.rpartition("/")[2] for s in declared}))
    return f"{who!r} is none of {client}'s people" + (f"; did you mean {names[near[0]]}?" if near else f": {known}")
