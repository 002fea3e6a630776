"""Who is told, and by which ways: what `people.yml` and the workspace's `notify:` compile to.

The one rule it keeps: a way may hold a secret (an apprise URL contains passwords, a command's arguments tokens). So its
representation and its label never show more than the kind of way and, for a command, the program's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

# Where a secret text is kept: ("env", NAME) or ("file", PATH); None: it stands in the configuration itself.
KeptIn = tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class AppriseWay:
    """One apprise URL, `mailto://…`, `tgram://…`, `json://…`; see apprise's list of services."""

    url: str = field(repr=False)
    name: str = ""  # what records and logs call it; empty: the URL's scheme
    kept_in: KeptIn = field(default=None, compare=False, repr=False)

    @property
    def label(self) -> str:
        """What may be shown of it."""
        return self.name or self.url.partition(":")[0]


@dataclass(frozen=True, slots=True)
class CommandWay:
    """A program, started without a shell, that reads the message as one JSON object on standard input."""

    argv: tuple[str, ...] = field(repr=False)
    name: str = ""
    timeout_s: float = 30.0

    @property
    def label(self) -> str:
        """What may be shown of it."""
        return self.name or self.argv[0].rpartition("/")[2]


Way = AppriseWay | CommandWay


class Deliver(StrEnum):
    """How the ways of one receiver are used."""

    ALL = "all"  # every way, at the same time
    FIRST = "first"  # in order, until one has worked


@dataclass(frozen=True, slots=True)
class Person:
    """A named person. `deputy` (a person id) is told when none of this person's ways worked."""

    id: str  # client/name, or a bare name for people of the workspace
    client: str
    name: str
    email: str = ""
    chat: str = ""
    phone: str = ""
    deputy: str | None = None
    ways: tuple[Way, ...] = ()
    logins: tuple[str, ...] = ()  # names or numbers of the users that speak for them; empty: any
    tool: bool = False  # a program that says words, and is told nothing


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A URL fetched again and again, so that somebody else notices a dead controller."""

    url: str = field(repr=False)
    every_s: float = 60.0
    timeout_s: float = 10.0
    kept_in: KeptIn = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often one way is tried for one notice: exponential, bounded, with jitter."""

    attempts: int = 6
    first_s: float = 1.0
    max_s: float = 60.0


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Everything the notifier needs.

    A notice goes to the persons it names (else to its client's on-call), to its client's ways and to the
    workspace's ways; each of those is a receiver of its own.
    """

    people: Mapping[str, Person] = field(default_factory=dict)
    ways: tuple[Way, ...] = ()  # the workspace's
    client_ways: Mapping[str, tuple[Way, ...]] = field(default_factory=dict)
    on_call: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # client to person ids
    deliver: Deliver = Deliver.ALL
    retry: Retry = field(default_factory=Retry)
    heartbeat: Heartbeat | None = None


def every_way(settings: NotifySettings) -> Iterator[Way]:
    """Each way that anybody could be told by, as often as it is listed."""
    yield from settings.ways
    for ways in settings.client_ways.values():
        yield from ways
    for person in settings.people.values():
        yield from person.ways
