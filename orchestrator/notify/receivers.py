"""Who is to be told of a notice, and by which ways.

The one rule it keeps: nobody is told one thing twice by the same way, however many lists name them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.core.commands import NoticeKind, TellPeople
from orchestrator.core.people import AppriseWay, NotifySettings, Person, Way


@dataclass(frozen=True, slots=True)
class Receiver:
    """A person, or a list of ways that is nobody's own (`person` None)."""

    name: str
    ways: tuple[Way, ...]
    person: Person | None = None


@dataclass(frozen=True, slots=True)
class Addressed:
    """Everybody a notice is for. `unknown`: person ids that no file defines; `wayless`: people without
    any way, whose deputies have none either.
    """

    receivers: tuple[Receiver, ...]
    people: tuple[Person, ...]
    unknown: tuple[str, ...] = ()
    wayless: tuple[str, ...] = ()
    used: set[object] = field(default_factory=set)  # keys of the ways of `receivers`, for `fresh`


def addressed(notice: TellPeople, settings: NotifySettings) -> Addressed:
    """The people named (else the client's on-call), the client's ways, the workspace's ways.

    In place of somebody without any way the deputy is told. A notice of no client concerns all of
    them: it goes to everybody's on-call and to every client's ways.
    """
    clients = (notice.client,) if notice.client else tuple(sorted({*settings.on_call, *settings.client_ways}))
    on_call = tuple(i for client in clients for i in settings.on_call.get(client, ()))
    ids = notice.to or on_call
    people = tuple(settings.people[i] for i in dict.fromkeys(ids) if i in settings.people)
    unknown = tuple(i for i in ids if i not in settings.people)
    if unknown and not people:  # the wrong name must not mean that nobody is told
        people = tuple(settings.people[i] for i in dict.fromkeys(on_call) if i in settings.people)
    used: set[object] = set()
    receivers = [Receiver(p.name, fresh(p.ways, p, used), p) for p in people]
    without = [p for p in people if not p.ways]
    receivers += [found for p in without if (found := deputy_of(p, settings, used)) is not None]
    receivers += [Receiver(f"client {c}", fresh(settings.client_ways.get(c, ()), None, used)) for c in clients]
    receivers.append(Receiver("workspace", fresh(settings.ways, None, used)))
    wayless = tuple(p.name for p in without if _stands_in(p, settings) is None)
    return Addressed(tuple(r for r in receivers if r.ways), people, unknown, wayless, used)


def deputy_of(person: Person, settings: NotifySettings, used: set[object]) -> Receiver | None:
    """Who is told instead; None: nobody, or somebody who is told anyway."""
    deputy = _stands_in(person, settings)
    if deputy is None:
        return None
    ways = fresh(deputy.ways, deputy, used)
    return Receiver(f"{deputy.name} (deputy of {person.name})", ways, deputy) if ways else None


def _stands_in(person: Person, settings: NotifySettings) -> Person | None:
    """The first of the deputies, and of theirs, who has a way; None: nobody."""
    seen = {person.id}
    found = settings.people.get(person.deputy or "")
    while found is not None and not found.ways and found.id not in seen:
        seen.add(found.id)
        found = settings.people.get(found.deputy or "")
    return found if found is not None and found.ways and found.id not in seen else None


def untold(clients: Iterable[str], settings: NotifySettings) -> dict[str, str]:
    """The clients whose notices have nowhere to go, each with why."""
    found = {}
    for client in clients:
        to = addressed(TellPeople("", NoticeKind.CANNOT_ACT, client, "", ""), settings)
        if to.receivers:
            continue
        called = settings.on_call.get(client, ())
        found[client] = f"nobody on call has a way ({', '.join(called)})" if called else "nobody is on call"
    return found


def fresh(ways: tuple[Way, ...], person: Person | None, used: set[object]) -> tuple[Way, ...]:
    """The ways that were not used yet; they are used from now on.

    An apprise URL is the same for whoever lists it; a program is told the person, so it is another way for each.
    """
    found = []
    for way in ways:
        key: object = way.url if isinstance(way, AppriseWay) else (way, person.id if person else None)
        if key not in used:
            used.add(key)
            found.append(way)
    return tuple(found)
