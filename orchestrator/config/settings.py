"""`bascule.yml` and people files: limits, persons, ways to tell them, heartbeat, the daemon's own settings.

The one rule it keeps: a text that may be secret is read from where it is kept. If it is missing on this machine, that
is a warning and no fault, because an engineer's machine should not have it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.config.client import compile_limits
from orchestrator.config.faults import Faults, Position
from orchestrator.config.journal_shapes import AnchorShape, JournalShape, TimeStampShape
from orchestrator.config.shapes import (
    DaemonShape,
    HeartbeatShape,
    NotifyShape,
    PeopleFileShape,
    PersonShape,
    SecretShape,
    WayShape,
    WorkspaceFileShape,
)
from orchestrator.config.shaping import take_shape
from orchestrator.config.spelling import either
from orchestrator.config.strict_yaml import Document, Path_, read_yaml
from orchestrator.config.ways import AskUrl, check_people, program_trouble
from orchestrator.core.model import Limits, Speaker
from orchestrator.core.people import AppriseWay, CommandWay, Deliver, Heartbeat, KeptIn, Person, Retry, Way

COMMAND_TIMEOUT_S = 30.0
NOT_HAD = "what it is for cannot be used here"


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """The daemon's own name among points of view; what runs its playbooks (fast, warm, cold).

    `logins`: whether it checks that it can still log in to the hosts that moves name.
    """

    vantage: str = "local"
    playbooks: str = "fast"
    logins: bool = True


KEEP_S = 400 * 86400.0  # more than a year, so that one year's figures can be told in the next
KEEP_LEAST_S = 86400.0


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """How long entries are kept that no incident needs; where the journal's head is kept as well."""

    keep_s: float = KEEP_S
    ages_s: float = KEEP_S  # hours of the ages of data, beside it
    anchor_file: Path | None = None
    anchor_git: Path | None = None
    anchor_command: tuple[str, ...] = ()
    anchor_time_stamp: tuple[str, Path, Path] | None = None  # URL, certificate, folder


@dataclass(slots=True)
class People:
    """One client's people, or the workspace's (client ""). Ids are `client/name`, the workspace's bare names."""

    persons: dict[str, Person] = field(default_factory=dict)
    on_call: tuple[str, ...] = ()
    ways: tuple[Way, ...] = ()
    declared: frozenset[str] = frozenset()


@dataclass(slots=True)
class WorkspaceSettings:
    """All of `bascule.yml`."""

    daemon: DaemonSettings
    limits: Limits = field(default_factory=Limits)
    people: People = field(default_factory=People)
    ways: tuple[Way, ...] = ()
    deliver: Deliver = Deliver.ALL
    retry: Retry = field(default_factory=Retry)
    heartbeat: Heartbeat | None = None
    journal: JournalSettings = field(default_factory=JournalSettings)


def read_settings(workspace: Path, faults: Faults, ask_url: AskUrl | None = None) -> WorkspaceSettings:
    """Read `bascule.yml`; everything in it has a default. `ask_url`: what is wrong with an apprise URL."""
    found = WorkspaceSettings(_daemon(None))
    path = either(workspace, "bascule", "", faults)
    document = read_yaml(path, path.name, faults) if path.exists() else None
    if document is None:
        return found
    head = take_shape(WorkspaceFileShape, document, (), document.data, faults, "the file")
    if head is None:
        return found
    found.daemon = _daemon(head.daemon)
    found.limits = compile_limits(head.limits)
    found.people = _people(document, "", head.people, head.on_call, None, People(), faults, ask_url)
    notify = head.notify or NotifyShape()
    found.ways = _ways(notify.ways, document, ("notify", "ways"), faults, ask_url)
    found.deliver = Deliver(notify.deliver)
    if notify.retry is not None:
        plain = Retry()
        found.retry = Retry(
            attempts=notify.retry.attempts or plain.attempts,
            first_s=notify.retry.first or plain.first_s,
            max_s=notify.retry.max or plain.max_s,
        )
    if head.heartbeat is not None:
        found.heartbeat = _heartbeat(head.heartbeat, document, faults)
    if head.journal is not None:
        found.journal = _journal(head.journal, workspace, document, faults)
    return found


def read_people(
    path: Path, name: str, client: str, shared: People, faults: Faults, ask_url: AskUrl | None = None
) -> People:
    """Read a client's `people.yml`; `shared` are the workspace's people."""
    document = read_yaml(path, name, faults) if path.exists() else None
    if document is None:
        return People(on_call=shared.on_call)
    head = take_shape(PeopleFileShape, document, (), document.data, faults, "the file")
    if head is None:
        return People(on_call=shared.on_call)
    return _people(document, client, head.people, head.on_call, head.ways, shared, faults, ask_url)


def speakers(settings: WorkspaceSettings, people: Mapping[str, People]) -> dict[str, Speaker]:
    """Who may say words."""
    persons = [p for group in (settings.people, *people.values()) for p in group.persons.values()]
    return {p.id: Speaker(p.id, p.client, p.name, p.logins, p.tool) for p in persons}


def who_may_speak(settings: WorkspaceSettings, people: Mapping[str, People], faults: Faults) -> None:
    """Say where nobody is declared: a word is taken there under any name."""
    for name, group in people.items() if not settings.people.declared else ():
        if not group.declared:
            said = f"client {name} has no people: whoever reaches bascule approves under any name"
            faults.warn(Position(f"inventories/{name}"), f"{said}; declare them in people.yml")


def _people(
    document: Document,
    client: str,
    people: dict[str, Any] | None,
    on_call: list[str] | None,
    ways: list[WayShape] | None,
    shared: People,
    faults: Faults,
    ask_url: AskUrl | None,
) -> People:
    found = People(declared=frozenset(people or ()))
    prefix = f"{client}/" if client else ""

    def person_id(name: str, path: Path_) -> str | None:
        if name in found.declared:
            return prefix + name
        if name in shared.declared:
            return name
        faults.unknown(document.at(*path), "person", name, found.declared | shared.declared)
        return None

    for name, data in (people or {}).items():
        path: Path_ = ("people", name)
        shape = take_shape(PersonShape, document, path, data, faults, f"person {name}")
        if shape is None:
            continue
        deputy = person_id(shape.deputy, (*path, "deputy")) if shape.deputy else None
        if deputy == prefix + name:
            faults.add(document.at(*path, "deputy"), f"person {name} is their own deputy", "another person")
        found.persons[prefix + name] = Person(
            id=prefix + name,
            client=client,
            name=shape.name or name,
            email=shape.email or "",
            chat=shape.chat or "",
            phone=shape.phone or "",
            deputy=deputy,
            ways=_ways(shape.ways, document, (*path, "ways"), faults, ask_url),
            logins=tuple(str(login) for login in shape.logins or ()),
            tool=shape.tool,
        )
    called = [person_id(name, ("on_call", index)) for index, name in enumerate(on_call or ())]
    for index, one in enumerate(called):
        if one in found.persons and found.persons[one].tool:
            faults.add(document.at("on_call", index), f"{one} is a tool: nobody is told by telling it", "a person")
    found.on_call = tuple(c for c in called if c) or shared.on_call
    found.ways = _ways(ways, document, ("ways",), faults, ask_url)
    check_people(found.persons, shared.persons, lambda who: document.key("people", who.removeprefix(prefix)), faults)
    return found


def _ways(
    shapes: list[WayShape] | None, document: Document, path: Path_, faults: Faults, ask_url: AskUrl | None
) -> tuple[Way, ...]:
    found: list[Way] = []
    for index, shape in enumerate(shapes or ()):
        here: Path_ = (*path, index)
        if (shape.apprise is None) == (shape.command is None):
            faults.add(document.at(*here), "the way is not one of 'apprise' and 'command'", "one of the two keys")
        elif shape.apprise is not None:
            url = _reveal(shape.apprise, document, (*here, "apprise"), faults)
            if url and "://" not in url:
                faults.add(
                    document.at(*here, "apprise"),
                    "the way's apprise URL has no scheme",
                    "something like mailto://… or json://…",
                )
            elif url and ask_url is not None and (trouble := ask_url(url)) is not None:
                faults.add(document.at(*here, "apprise"), *trouble)
            elif url:
                found.append(AppriseWay(url, shape.name or "", kept_in(shape.apprise)))
        elif shape.command:
            if (trouble := program_trouble(tuple(shape.command))) is not None:
                faults.warn(document.at(*here, "command"), *trouble)
            found.append(CommandWay(tuple(shape.command), shape.name or "", shape.timeout or COMMAND_TIMEOUT_S))
        else:
            faults.add(document.at(*here, "command"), "the way's command is empty", "a program and its arguments")
    return tuple(found)


def _heartbeat(shape: HeartbeatShape, document: Document, faults: Faults) -> Heartbeat | None:
    plain = Heartbeat("")
    every, timeout = shape.every or plain.every_s, shape.timeout or plain.timeout_s
    url = _reveal(shape.url, document, ("heartbeat", "url"), faults) if shape.url else None
    if url and not url.startswith(("http://", "https://")):
        faults.add(document.at("heartbeat", "url"), "heartbeat.url is no web address", "http://… or https://…")
    return Heartbeat(url, every, min(timeout, every), kept_in(shape.url)) if url and shape.url else None


def kept_in(shape: SecretShape) -> KeptIn:
    """Where the text is kept, if not in the file itself."""
    if shape.env is not None:
        return ("env", shape.env)
    return ("file", shape.file) if shape.file is not None else None


def kept_text(where: KeptIn) -> str:
    """The text that is kept there; empty: none can be had."""
    if where is None:
        return ""
    if where[0] == "env":
        return os.environ.get(where[1], "")
    try:
        return Path(where[1]).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _journal(data: dict[str, Any], workspace: Path, document: Document, faults: Faults) -> JournalSettings:
    shape = take_shape(JournalShape, document, ("journal",), data, faults, "journal")
    if shape is None:
        return JournalSettings()
    keep_s = shape.keep or KEEP_S
    if keep_s < KEEP_LEAST_S:
        faults.add(document.at("journal", "keep"), "journal.keep is less than a day", "1d or more, such as 400d")
    anchor = shape.anchor or AnchorShape()
    stamps = anchor.time_stamp
    if shape.anchor is not None and not (anchor.file or anchor.git or anchor.command or stamps):
        known = "one of file, git, command and time_stamp"
        faults.add(document.at("journal", "anchor"), "journal.anchor names no place", known)
    inside = (workspace / ".bascule").resolve()
    places: dict[str, Path | None] = {}
    for key, given in (("file", anchor.file), ("git", anchor.git), ("time_stamp", stamps and stamps.folder)):
        place = (workspace / Path(given).expanduser()).resolve() if given else None
        if place is not None and (place == inside or inside in place.parents):
            what = f"journal.anchor.{key} is beside the journal: whoever alters the one can alter the other"
            faults.add(document.at("journal", "anchor", key), what, "a place that others own, best on another machine")
        places[key] = place
    ages_s = shape.ages or KEEP_S
    if ages_s < KEEP_LEAST_S:
        faults.add(document.at("journal", "ages"), "journal.ages is less than a day", "1d or more, such as 400d")
    stamping = _time_stamp(stamps, workspace, places["time_stamp"], document, faults)
    return JournalSettings(keep_s, ages_s, places["file"], places["git"], tuple(anchor.command or ()), stamping)


def _time_stamp(
    shape: TimeStampShape | None, workspace: Path, folder: Path | None, document: Document, faults: Faults
) -> tuple[str, Path, Path] | None:
    if shape is None or folder is None or not shape.url or not shape.certificate:
        return None
    at = ("journal", "anchor", "time_stamp")
    if re.match(r"[^/]*//[^/?#]*@", shape.url):
        what = "journal.anchor.time_stamp: the address holds a login, which whoever reads the file would have"
        faults.add(document.at(*at, "url"), what, "an address without one, or 'command' with a program that logs in")
    elif not re.match(r"https?://[^/\s]+", shape.url):
        what = f"journal.anchor.time_stamp: {shape.url!r} is no address of an authority"
        faults.add(document.at(*at, "url"), what, "a URL, like https://freetsa.org/tsr")
    certificate = (workspace / Path(shape.certificate).expanduser()).resolve()
    try:
        held = "-----BEGIN CERTIFICATE-----" in certificate.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        held = False
    if not held:
        what = f"journal.anchor.time_stamp: {certificate} holds no certificate"
        faults.add(document.at(*at, "certificate"), what, "a file with the authority's certificates (PEM)")
    return shape.url, certificate, folder


def _reveal(shape: SecretShape, document: Document, path: Path_, faults: Faults) -> str | None:
    """The text itself, or what its variable or file holds here."""
    given = [key for key in ("text", "env", "file") if getattr(shape, key) is not None]
    if len(given) != 1:
        faults.add(
            document.at(*path),
            f"{path[-1]} is not one of text, env and file",
            "a text, {env: VARIABLE} or {file: PATH}",
        )
        return None
    if shape.text is not None:
        return shape.text
    if shape.env is not None:
        if not os.environ.get(shape.env):
            faults.warn(document.at(*path), f"the environment variable {shape.env} is not set: {NOT_HAD}")
            return None
        return os.environ[shape.env]
    try:
        text = Path(shape.file or "").expanduser().read_text().strip()
        if not text:
            faults.warn(document.at(*path), f"{shape.file} is empty: {NOT_HAD}", "the text that belongs there")
        return text or None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "no UTF-8 text"
        faults.warn(document.at(*path), f"{shape.file} cannot be read ({why}): {NOT_HAD}")
        return None


def _daemon(shape: DaemonShape | None) -> DaemonSettings:
    shape = shape or DaemonShape()
    playbooks = shape.playbooks or "fast"
    return DaemonSettings(shape.vantage or "local", playbooks, shape.logins is not False and playbooks != "cold")
