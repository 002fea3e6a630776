"""How moves are rehearsed: `rehearse` of a move, compiled once the services are known.

The one rule it keeps: a rehearsal touches nothing that serves. Its playbooks are limited to its hosts, none of which is
in the home of a service that has the move on its ladder, or leads to a machine that is; a host that comes there later
is left out by the limit.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import PurePosixPath

from orchestrator.config.client import Compiler, seconds
from orchestrator.config.faults import nearest
from orchestrator.config.inventory import Inventory
from orchestrator.config.inventory_files import is_computed, parts_of
from orchestrator.config.logins import BY_SSH
from orchestrator.config.patterns import PatternInvalid, match_hosts
from orchestrator.config.rehearsal_shapes import AccountShape, RehearseShape, SurveyShape
from orchestrator.config.shapes import PlaybookShape
from orchestrator.config.shipped import SURVEY
from orchestrator.config.starting import HERE
from orchestrator.config.strict_yaml import Path_
from orchestrator.core.model import Json, Move, Playbook, Rehearsal, Service

PATHS, COMMAND, BECOME = "bascule_survey_paths", "bascule_survey_command", "bascule_survey_become"
AWS = "bascule_survey_aws"
"""What the shipped survey is told."""
_LEADS = (
    "ansible_host", "ansible_ssh_host", "ansible_port", "ansible_ssh_port",
    "ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_executable",
)  # fmt: skip


@dataclass(slots=True)
class _Aim:
    """The hosts of a rehearsal, as far as they are known now."""

    pattern: str
    hosts: list[str]
    kept_out: list[str]  # groups in which the service serves


def with_rehearsals(c: Compiler, moves: Mapping[str, Move], services: Iterable[Service]) -> dict[str, Move]:
    """The moves of one client, each with its rehearsal, if its author declares one that is sound."""
    found: dict[str, Move] = {}
    of = list(services)
    for name, shape in c.file.rehearsals.items():
        move = moves.get(c.id(name))
        homes = {s.home: s.name for s in reversed(of) if s.home and any(t.move == c.id(name) for t in s.ladder)}
        rehearsal = _rehearsal(c, name, shape, homes)
        if move is not None and rehearsal is not None:
            found[move.id] = replace(move, rehearse=rehearsal)
    return {**moves, **found}


def _rehearsal(c: Compiler, name: str, shape: RehearseShape, homes: Mapping[str, str]) -> Rehearsal | None:
    path: Path_ = ("moves", name, "rehearse")
    what = f"move {name}: rehearse"
    aim = _aim(c, shape.hosts, path, what, homes)
    parts = {key: _playbook(c, getattr(shape, key), (*path, key), what, aim) for key in ("prepare", "playbook")}
    clean_up = _playbook(c, shape.clean_up, (*path, "clean_up"), what, aim)
    survey = _survey(c, shape.survey, (*path, "survey"), what, aim)
    apart = c.condition(shape.apart_when, (*path, "apart_when"), f"{what}: apart_when")
    verify = c.condition(shape.verify, (*path, "verify"), f"{what}: verify")
    timeout_s = seconds(c, Rehearsal, "timeout", path, what, shape)
    verify_timeout_s = seconds(c, Rehearsal, "verify_timeout", path, what, shape)
    playbook = parts["playbook"]
    if aim is None or playbook is None or clean_up is None or survey is None:
        return None
    if (shape.prepare is not None and parts["prepare"] is None) or (shape.verify is not None and verify is None):
        return None
    return Rehearsal(
        playbook=playbook,
        clean_up=clean_up,
        survey=survey,
        hosts=aim.pattern,
        places=frozenset(c.id(place) for place in c.file.declared["places"] if _in(c, place, aim.hosts)),
        prepare=parts["prepare"],
        apart_when=apart,
        verify=verify,
        timeout_s=timeout_s,
        verify_timeout_s=verify_timeout_s,
    )


def _aim(c: Compiler, pattern: str | None, path: Path_, what: str, homes: Mapping[str, str]) -> _Aim | None:
    """The hosts of a rehearsal; a fault where there are none, or where one of them may be in use."""
    inventory = c.read
    if pattern is None or inventory is None:
        return None
    at = c.at(*path, "hosts")
    try:
        hosts, unknown = _hosts(pattern, inventory)
    except PatternInvalid as error:
        c.faults.add(at, f"{what}: hosts: {error}", "an Ansible host pattern")
        return None
    names = {*inventory.hosts, *inventory.groups} - {"all", "ungrouped"}
    if unknown:
        near = nearest(unknown[0], names)
        said = f"{what}: there is no host or group {unknown[0]!r} in the inventory of client {c.client}"
        c.faults.add(at, said, "" if near else "a host or group of it", near)
        return None
    if not hosts and not any(map(is_computed, parts_of(inventory.sources))):
        c.faults.add(at, f"{what}: hosts {pattern!r} match no host of client {c.client}", "a pattern that matches one")
        return None
    touched = [(home, service, both) for home, service in homes.items() if (both := _in(c, _short(home), hosts))]
    for home, service, both in touched:
        said = f"{what}: {_some(both)} {'is' if len(both) == 1 else 'are'} in {_short(home)}, where {service} serves"
        c.faults.add(at, f"{said}: a rehearsal would touch it", f"hosts outside of {_short(home)}")
    serve = {home: c.domains.hosts.get(_short(home), ()) for home in homes}
    alike = [(home, *both) for home in homes for both in _same_machine(inventory, hosts, serve[home])]
    for home, host, other in alike[:1]:
        said = f"{what}: {host} is the machine of {other} in {_short(home)}, where {homes[home]} serves"
        c.faults.add(at, f"{said}: a rehearsal would touch it", f"another machine than {other}")
    touched += [(home, homes[home], [host]) for home, host, _ in alike]
    kept_out = [_short(home) for home in homes if _short(home) in inventory.groups]
    return None if touched else _Aim(pattern, hosts, kept_out)


def _same_machine(inventory: Inventory, hosts: Iterable[str], serving: Iterable[str]) -> Iterator[tuple[str, str]]:
    """A host, and one that serves, that a login by ssh reaches in the same way: two names of one machine."""
    there = {key: host for host in serving for key in _leads_to(inventory, host)}
    for host in hosts:
        for key in _leads_to(inventory, host)[:1]:
            if there.get(key, host) != host:
                yield host, there[key]


def _leads_to(inventory: Inventory, host: str) -> list[tuple[str, ...]]:
    """All that decides which machine a login by ssh reaches, by its address and by its name in the inventory.

    Empty: it goes otherwise, or only Ansible can tell.
    """
    known = inventory.host_vars.get(host, {})
    said = {x: str(known[x]) for x in _LEADS if x in known}
    by_ssh = known.get("ansible_connection") in BY_SSH
    address = said.pop("ansible_host", said.pop("ansible_ssh_host", host))
    port = said.pop("ansible_port", said.pop("ansible_ssh_port", "22"))
    if not by_ssh or any("{{" in x for x in (address, port, *said.values())):
        return []
    rest = [port, *(f"{name}={value}" for name, value in sorted(said.items()))]
    return [(_as_one(x), *rest) for x in dict.fromkeys((address, host))]


def _as_one(address: str) -> str:
    """However this address, or this machine's own name, is written."""
    plain = address.strip("[]").rstrip(".").lower()
    try:
        found: IPv4Address | IPv6Address = ip_address(plain)
    except ValueError:
        if not plain.strip("0123456789."):  # 127.1
            with contextlib.suppress(OSError):
                return _as_one(socket.inet_ntoa(socket.inet_aton(plain)))
        return "localhost" if plain.startswith("localhost.") else plain
    found = getattr(found, "ipv4_mapped", None) or found
    return "localhost" if found.is_loopback else str(found)


def _hosts(pattern: str, inventory: Inventory) -> tuple[list[str], list[str]]:
    """The hosts of a pattern, and its terms that name nothing. This machine has a name without any inventory."""
    hosts, unknown = match_hosts(pattern, inventory.hosts, inventory.groups)
    here = [term for term in unknown if term in HERE]
    return [*hosts, *here], [term for term in unknown if term not in HERE]


def _in(c: Compiler, place: str, hosts: Iterable[str]) -> list[str]:
    return [host for host in hosts if host in c.domains.hosts.get(place, ())]


def _playbook(c: Compiler, shape: PlaybookShape | None, path: Path_, what: str, aim: _Aim | None) -> Playbook | None:
    """A playbook of the rehearsal, limited to its hosts. A fault where it would do nothing there."""
    if shape is None or aim is None or c.read is None:
        return c.playbook(shape, path)
    limit = _limit(c, shape.limit, (*path, "limit"), what, aim)
    book = c.playbook(shape, path, limit) if limit else None
    if book is None:
        return None
    hosts = set(aim.hosts)
    plays = c.playbooks.plays(c.playbooks.file(book.path))
    if plays and hosts and not any(_plays_on(play.hosts, c.read, hosts) for play in plays):
        said = f"{what}: no play of {book.path} names a host of {aim.pattern!r}: nothing would be done"
        c.faults.add(c.at(*path, "playbook"), said, "'hosts: all' in a play: it is limited to those of the rehearsal")
    return book


def _limit(c: Compiler, own: str | None, path: Path_, what: str, aim: _Aim) -> str | None:
    """The rehearsal's hosts, and of them only those that the author's own limit names."""
    if own is None or c.read is None:
        return (
            ":".join([aim.pattern.replace(",", ":"), *(f"!{x}" for x in aim.kept_out)]) if aim.kept_out else aim.pattern
        )
    try:
        within = set(_hosts(own, c.read)[0])
    except PatternInvalid as error:
        c.faults.add(c.at(*path), f"{what}: limit: {error}", "an Ansible host pattern")
        return None
    left = [host for host in aim.hosts if host in within]
    if not left:
        said = f"{what}: limit {own!r} leaves none of the hosts of {aim.pattern!r}"
        c.faults.add(c.at(*path), said, "a pattern that leaves one, or no limit")
    return ",".join(left) or None


def _plays_on(pattern: str, inventory: Inventory, hosts: set[str]) -> bool:
    """Whether a play names one of them; what only Ansible can know counts as yes."""
    if "{{" in pattern:
        return True
    try:
        named, unknown = _hosts(pattern, inventory)
    except PatternInvalid:
        return True
    return bool(hosts & set(named)) or bool(unknown)


def _survey(c: Compiler, shape: SurveyShape | None, path: Path_, what: str, aim: _Aim | None) -> Playbook | None:
    """The author's own survey, or the shipped one with what it is to list beside the usual."""
    shape = shape or SurveyShape()
    if shape.playbook is not None:
        for key in ("paths", "command", "become", "aws"):
            if getattr(shape, key) is not None:
                said = f"{what}: survey: {key} is for the shipped survey, and {shape.playbook} is another one"
                c.faults.add(c.at(*path, key), said, f"{key} or playbook, not both")
        return _playbook(c, PlaybookShape(playbook=shape.playbook, vars=shape.vars, limit=shape.limit), path, what, aim)
    if shape.vars is not None:
        c.faults.add(c.at(*path, "vars"), f"{what}: survey: vars are for a playbook of yours", "the key 'playbook'")
    for index, given in enumerate(shape.paths or ()):
        if not PurePosixPath(given).is_absolute():
            said = f"{what}: survey: path {given!r} depends on where one stands"
            c.faults.add(c.at(*path, "paths", index), said, "an absolute path, like /etc/erp")
    account = _account(c, shape.aws, (*path, "aws"), what)
    if aim is None:
        return None
    given_vars: dict[str, Json] = {
        PATHS: list(dict.fromkeys(shape.paths or ())),
        COMMAND: shape.command or "",
        BECOME: True if shape.become is None else shape.become,
    }
    if account is not None:
        given_vars[AWS] = account
    book = PlaybookShape(playbook=SURVEY, vars=given_vars)
    limit = _limit(c, shape.limit, (*path, "limit"), what, aim)
    return c.playbook(book, path, limit) if limit else None


def _account(c: Compiler, shape: AccountShape | None, path: Path_, what: str) -> dict[str, Json] | None:
    """What of a cloud account is to be listed, as the shipped survey takes it. Ansible fills in what has `{{`."""
    if shape is None:
        return None
    if shape.endpoint is not None and not re.match(r"https?://[^/\s]+|.*\{\{", shape.endpoint):
        said = f"{what}: survey: aws: {shape.endpoint!r} is no address of an API"
        c.faults.add(c.at(*path, "endpoint"), said, "a URL, like https://ec2.example.org")
    for index, zone in enumerate(shape.zones or ()):
        if not re.fullmatch(r"[\w.*-]+", zone) and "{{" not in zone:
            said = f"{what}: survey: aws: {zone!r} is no zone"
            c.faults.add(c.at(*path, "zones", index), said, "its name, or its id")
    found: dict[str, Json] = {
        "region": shape.region, "profile": shape.profile, "endpoint": shape.endpoint, "tags": dict(shape.tags or {}),
        "zones": list(dict.fromkeys(shape.zones or ())),
    }  # fmt: skip
    return {key: value for key, value in found.items() if value} or {"tags": {}}


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _short(identifier: str) -> str:
    return identifier.rpartition("/")[2]
