"""Tries the ways to tell people: one message, marked as a test, by each of them, all at once.

The one rule it keeps: each way is tried once, by the same code that sends notices. A person without a way is a result,
too.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.core.model import Json
from orchestrator.core.people import NotifySettings, Person, Way
from orchestrator.notify.line import attempt
from orchestrator.notify.message import Message
from orchestrator.notify.receivers import fresh


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one way. `why`: why it did not take the message; empty: it did."""

    receiver: str
    way: str
    why: str
    took_s: float

    @property
    def delivered(self) -> bool:
        """Whether the way took it; that somebody has read it, nobody knows."""
        return not self.why


async def try_ways(settings: NotifySettings, people: Iterable[str], who: str, name: str) -> list[Tried]:
    """Try these people's ways (ids), or, with none, everybody's and everything. `who` asks, `name` is the test's id."""
    ids = list(people)
    used: set[object] = set()
    todo: list[tuple[str, Person | None, Way | None]] = []
    for person in [settings.people[i] for i in ids] if ids else settings.people.values():
        if person.ways or ids or person.id in {x for called in settings.on_call.values() for x in called}:
            todo += [(person.id, person, way) for way in fresh(person.ways, person, used)] or (
                [] if person.ways else [(person.id, person, None)]
            )
    if not ids:
        for client, ways in settings.client_ways.items():
            todo += [(f"client {client}", None, way) for way in fresh(ways, None, used)]
        todo += [("workspace", None, way) for way in fresh(settings.ways, None, used)]
    return list(await asyncio.gather(*(_try(*one, who, name) for one in todo)))


async def _try(receiver: str, person: Person | None, way: Way | None, who: str, name: str) -> Tried:
    if way is None:
        return Tried(receiver, "", "no way is configured", 0.0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    hanging: set[threading.Thread] = set()
    why = await attempt(way, _message(receiver, person, who, name), person, hanging)
    return Tried(receiver, way.label, why, loop.time() - began)


def _message(receiver: str, person: Person | None, who: str, name: str) -> Message:
    title = "[bascule] TEST: nothing has happened"
    text = f"This is a test of how {person.name if person else receiver} is told. {who} sent it. Nothing has happened."
    data: dict[str, Json] = {
        "id": name,
        "kind": "test",
        "client": person.client if person else "",
        "subject": "",
        "title": title,
        "text": text,
        "say": "",
        "for": [person.name] if person else [],
        "details": {},
    }
    return Message(name, title, f"{text}\n\nNotice:  {name}", "info", data)
