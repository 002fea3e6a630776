"""Files under checks/, compiled to one `Check` for each client, check and host.

The one rule it keeps: a check applies wherever its pattern matches. It is a fault if it matches nowhere, or if a name
in the pattern is in no inventory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from orchestrator.config.domains import Domains
from orchestrator.config.faults import Faults, Position, nearest
from orchestrator.config.inventory import Inventory
from orchestrator.config.options import SameFaults, Target, render_options
from orchestrator.config.patterns import PatternInvalid, match_hosts
from orchestrator.config.shapes import ChecksFileShape, CheckShape
from orchestrator.config.shapes import written as text_of
from orchestrator.config.shaping import show, take_shape
from orchestrator.config.strict_yaml import Document, Path_, read_yaml
from orchestrator.config.templates import Secrets, Variables
from orchestrator.core.model import Check, LatencyWindow, LossWindow, default_of

TIMEOUT_MAX_S = 300.0
TOLD_FILES = ("token_file", "password_file", "jump_password_file")  # what is in these files is told to who is asked
_OWN_KEYS = frozenset(f.alias or n for n, f in CheckShape.model_fields.items())


@dataclass(slots=True)
class Written:
    """One check as it was written."""

    shape: CheckShape
    document: Document
    path: Path_
    options: dict[str, Any]
    clients: list[str] | None
    sound: bool = True

    @property
    def what(self) -> str:
        """What messages call it."""
        return f"check {self.shape.name}" if self.shape.name else "the check"


@dataclass(slots=True)
class CompiledChecks:
    """All checks, and the names whose checks are faulty, by client."""

    checks: dict[str, Check] = field(default_factory=dict)
    broken: dict[str, set[str]] = field(default_factory=dict)
    written: dict[str, Written] = field(default_factory=dict)  # id to where it comes from

    def at(self, check: Check, key: str) -> Position | None:
        """Where a key of it stands."""
        one = self.written.get(check.id)
        return one.document.at(*one.path, key) if one else None

    def by_name(self, client: str) -> dict[str, tuple[str, ...]]:
        """Check name to ids, within one client."""
        found: dict[str, tuple[str, ...]] = {}
        for check in self.checks.values():
            if check.client == client:
                found[check.name] = (*found.get(check.name, ()), check.id)
        return found


def read_checks(workspace: Path, probe_kinds: Mapping[str, type[BaseModel]], faults: Faults) -> list[Written]:
    """Every check of every file under checks/, shapes held against, names not."""
    found: list[Written] = []
    folder = workspace / "checks"
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".yml", ".yaml")):
        document = read_yaml(path, str(path.relative_to(workspace)), faults)
        if document is None or document.data is None:
            continue
        clients: list[str] | None = None
        items: Any = document.data
        base: Path_ = ()
        if isinstance(items, dict):
            head = take_shape(ChecksFileShape, document, (), items, faults, "the file")
            clients = head.clients if head else None
            items, base = (head.checks if head else None) or [], ("checks",)
        if not isinstance(items, list):
            faults.add(document.at(*base), f"the file holds {show(items)}", "a list of checks")
            continue
        for index, item in enumerate(items):
            one = _written(document, (*base, index), item, clients, probe_kinds, faults)
            if one is not None:
                found.append(one)
    return found


def _written(
    document: Document,
    path: Path_,
    item: Any,
    clients: list[str] | None,
    probe_kinds: Mapping[str, type[BaseModel]],
    faults: Faults,
) -> Written | None:
    if not isinstance(item, dict):
        faults.add(document.at(*path), f"the check is {show(item)}", "a mapping with the keys name, probe")
        return None
    before = len(faults.found)
    name = item.get("name")
    what = f"check {name}" if isinstance(name, str) else "the check"
    kind = item.get("probe")
    options = {k: v for k, v in item.items() if k not in _OWN_KEYS}
    shape = take_shape(CheckShape, document, path, {k: v for k, v in item.items() if k in _OWN_KEYS}, faults, what)
    schema = probe_kinds.get(kind) if isinstance(kind, str) else None
    if isinstance(kind, str) and schema is None:
        near = nearest(kind, probe_kinds)
        faults.add(document.at(*path, "probe"), f"{what}: there is no probe {kind!r}",
                   "" if near else f"one of {', '.join(sorted(probe_kinds))}", near)  # fmt: skip
    if schema is not None:
        known = {k for n, f in schema.model_fields.items() for k in ((f.alias, n) if f.alias else (n,)) if k}
        for key in [k for k in options if k not in known]:
            near = nearest(key, known | _OWN_KEYS)
            faults.add(document.key(*path, key), f"{what} has an unknown key {key!r}",
                       "" if near else f"an option of probe {kind}: {', '.join(sorted(known))}", near)  # fmt: skip
            del options[key]
    if shape is None:
        return None
    _thresholds(shape, document, path, faults, what)
    restricted = shape.clients or clients
    return Written(shape, document, path, options, restricted, sound=len(faults.found) == before and schema is not None)


def _thresholds(shape: CheckShape, document: Document, path: Path_, faults: Faults, what: str) -> None:
    """Numbers that make no sense together."""
    every = shape.every or default_of(Check, "every_s")
    for key in ("every", "fast", "timeout"):
        value = getattr(shape, key)
        if value is not None and value <= 0:
            faults.add(document.at(*path, key), f"{what}: {key} is zero", "a duration longer than 0s")
    if shape.fast is not None and shape.fast > every:
        faults.add(document.at(*path, "fast"), f"{what}: fast is longer than every", f"at most {text_of(every)}")
    if shape.timeout is not None and shape.timeout > TIMEOUT_MAX_S:
        faults.add(
            document.at(*path, "timeout"),
            f"{what}: timeout is {text_of(shape.timeout)}",
            f"at most {text_of(TIMEOUT_MAX_S)}",
        )
    loss, latency = shape.loss, shape.latency
    if loss and loss.down is not None and loss.up is not None and loss.up >= loss.down:
        faults.add(
            document.at(*path, "loss", "up"), f"{what}: loss.up is not below loss.down", f"less than {loss.down:.0%}"
        )
    if loss and loss.down == 0:
        faults.add(document.at(*path, "loss", "down"), f"{what}: a loss of 0% would take it down", "more than 0%")
    if latency and latency.high is not None and latency.low is not None and latency.low >= latency.high:
        faults.add(
            document.at(*path, "latency", "low"),
            f"{what}: latency.low is not below latency.high",
            f"less than {text_of(latency.high)}",
        )
    for key, window in (("loss", loss), ("latency", latency)):
        if window and window.over is not None and window.over < every:
            faults.add(
                document.at(*path, key, "over"),
                f"{what}: the window {key}.over is shorter than every",
                f"at least {text_of(every)}",
            )


def compile_checks(
    written: list[Written],
    inventories: Mapping[str, Inventory],
    domains: Mapping[str, Domains],
    probe_kinds: Mapping[str, type[BaseModel]],
    workspace: Path,
    secrets: Secrets,
    vantage: str,
    faults: Faults,
    *,
    all_clients: frozenset[str],
) -> CompiledChecks:
    """Apply every check to every client. `all_clients` are known names, also those that are not being read."""
    compiled = CompiledChecks()
    for one in written:
        name = one.shape.name
        if name is None:
            continue
        for index, client in enumerate(one.clients or ()):
            if client not in all_clients:
                path = (*one.path, "clients", index) if one.shape.clients else ("clients", index)
                faults.unknown(one.document.at(*path), "client", client, all_clients)
        clients = [c for c in inventories if one.clients is None or c in one.clients]
        complete = all_clients & set(one.clients or all_clients) <= set(inventories)
        targets = _targets(one, {c: inventories[c] for c in clients}, faults, complete=complete)
        mine: list[Check] = []
        for client, hosts in targets.items():
            if not one.sound:
                compiled.broken.setdefault(client, set()).add(name)
                continue
            if any(c.client == client and c.name == name for c in compiled.checks.values()):
                at = one.document.at(*one.path, "name")
                faults.add(at, f"there is another check {name!r} for client {client}", "a name of its own")
                continue
            same = SameFaults(faults)
            for host in hosts:
                variables = Variables(inventories[client], host, workspace)
                target = Target(
                    one.document, one.path, variables, f"{one.what} of {client}", f"{client}/{name}", same.of(host)
                )
                check = _check(one, client, target, domains[client], probe_kinds, secrets, vantage)
                if check is None:
                    compiled.broken.setdefault(client, set()).add(name)
                else:
                    compiled.checks[check.id] = check
                    compiled.written[check.id] = one
                    mine.append(check)
            same.tell()
        _one_secret_for_all(one, mine, faults)
    return compiled


def _one_secret_for_all(one: Written, checks: list[Check], faults: Faults) -> None:
    """A secret that is told to the hosts of several clients, which nobody has named: of one who came later, too."""
    told: dict[tuple[str, str], set[str]] = {}
    for check in checks if one.clients is None else ():
        for key in TOLD_FILES:
            if isinstance(file := check.options.get(key), str):
                told.setdefault((key, file), set()).add(check.client)
    for (key, file), clients in told.items():
        if len(clients) > 1:
            message = f"{one.what}: hosts of {', '.join(sorted(clients))} are all told what is in {file}"
            faults.warn(one.document.at(*one.path, key), message, "the key 'clients', or a file for each client")


def _targets(
    one: Written, inventories: Mapping[str, Inventory], faults: Faults, *, complete: bool
) -> dict[str, list[str]]:
    """Client to the hosts this check is asked of there; the host "" stands for none."""
    pattern = one.shape.hosts
    if pattern is None or pattern == "localhost":
        return {client: [""] for client in inventories}
    found: dict[str, list[str]] = {}
    unknown_everywhere: set[str] | None = None
    names: set[str] = set()
    at = one.document.at(*one.path, "hosts")
    for client, inventory in inventories.items():
        try:
            hosts, unknown = match_hosts(pattern, inventory.hosts, inventory.groups)
        except PatternInvalid as error:
            faults.add(at, f"{one.what}: {error}", "an Ansible host pattern")
            return {}
        names |= set(inventory.hosts) | set(inventory.groups)
        unknown_everywhere = set(unknown) if unknown_everywhere is None else unknown_everywhere & set(unknown)
        if hosts:
            found[client] = hosts
    if not complete:  # a client that is not being read, or whose inventory is broken, may know them
        return found
    if unknown_everywhere:
        for term in sorted(unknown_everywhere):
            faults.unknown(at, "host or group", term, names)
    elif not found and inventories:
        faults.add(at, f"{one.what}: the pattern {pattern!r} matches no host of any client", "a pattern that matches")
    return found


def _check(
    one: Written,
    client: str,
    target: Target,
    domains: Domains,
    probe_kinds: Mapping[str, type[BaseModel]],
    secrets: Secrets,
    vantage: str,
) -> Check | None:
    shape, faults, host = one.shape, target.faults, target.variables.host
    schema = probe_kinds[shape.probe or ""]
    itself = {name: value for name, value in (("client", client), ("host", host)) if name in schema.model_fields}
    options = render_options({**itself, **one.options}, schema, target, secrets)
    via = target.text(shape.via, "via")
    via_id = domains.resolve(via, one.document.at(*one.path, "via"), faults) if via else None
    seen_from = target.text(shape.vantage, "vantage") or vantage
    if seen_from != vantage:  # a host of this client: what another's of that name sees says nothing of it
        seen_from = f"{client}/{seen_from}"
    if faults.found:
        return None
    every = shape.every or default_of(Check, "every_s")
    loss, latency = shape.loss, shape.latency
    return Check(
        id=target.id,
        client=client,
        name=shape.name or "",
        host=host,
        probe=shape.probe or "",
        options=options,
        every_s=every,
        fast_s=shape.fast or min(default_of(Check, "fast_s"), every),
        timeout_s=shape.timeout or default_of(Check, "timeout_s"),
        rise=shape.rise or default_of(Check, "rise"),
        fall=shape.fall or default_of(Check, "fall"),
        loss=LossWindow(loss.down or 0.0, loss.up or 0.0, loss.over or 0.0) if loss else None,
        latency=LatencyWindow(latency.high or 0.0, latency.low or 0.0, latency.over or 0.0, latency.fails)
        if latency
        else None,
        via=via_id,
        domains=frozenset(domains.of_host(host) | ({via_id} if via_id else set())),
        vantage=seen_from,
        reference=shape.reference,
    )
