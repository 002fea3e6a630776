"""Files under checks/, compiled to one `Check` for each client, check and host.

The one rule it keeps: a check applies wherever its pattern matches; matching nowhere at all is a fault, as is a name
in the pattern that no inventory knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestrator.config.domains import Domains
from orchestrator.config.faults import Faults, nearest
from orchestrator.config.inventory import Inventory
from orchestrator.config.patterns import PatternInvalid, match_hosts
from orchestrator.config.shapes import ChecksFileShape, CheckShape
from orchestrator.config.shaping import real_path, report, show, take_shape
from orchestrator.config.strict_yaml import Document, Path_, read_yaml
from orchestrator.config.templates import RenderFailed, Secrets, Variables, is_template
from orchestrator.core.model import Check, Json, LatencyWindow, LossWindow

TIMEOUT_MAX_S = 300.0
SECRET_SUFFIXES = ("_secret", "_secrets")  # options of probes that name secrets end so
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
    every = shape.every or 1.0
    for key in ("every", "fast", "timeout"):
        value = getattr(shape, key)
        if value is not None and value <= 0:
            faults.add(document.at(*path, key), f"{what}: {key} is zero", "a duration longer than 0s")
    if shape.fast is not None and shape.fast > every:
        faults.add(document.at(*path, "fast"), f"{what}: fast is longer than every", f"at most {every:g}s")
    if shape.timeout is not None and shape.timeout > TIMEOUT_MAX_S:
        faults.add(
            document.at(*path, "timeout"), f"{what}: timeout is {shape.timeout:g}s", f"at most {TIMEOUT_MAX_S:g}s"
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
            f"less than {latency.high:g}s",
        )
    for key, window in (("loss", loss), ("latency", latency)):
        if window and window.over is not None and window.over < every:
            faults.add(
                document.at(*path, key, "over"),
                f"{what}: the window {key}.over is shorter than every",
                f"at least {every:g}s",
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
        shape = one.shape
        if shape.name is None:
            continue
        for index, client in enumerate(one.clients or ()):
            if client not in all_clients:
                where = one.path if shape.clients else ("clients",)
                at = one.document.at(*where, "clients", index) if shape.clients else one.document.at("clients", index)
                faults.unknown(at, "client", client, all_clients)
        clients = [c for c in inventories if one.clients is None or c in one.clients]
        targets = _targets(one, {c: inventories[c] for c in clients}, faults, complete=all_clients <= set(inventories))
        for client, hosts in targets.items():
            if not one.sound:
                compiled.broken.setdefault(client, set()).add(shape.name)
                continue
            taken = [c for c in compiled.checks.values() if c.client == client and c.name == shape.name]
            if taken:
                faults.add(
                    one.document.at(*one.path, "name"),
                    f"there is another check {shape.name!r} for client {client}",
                    "a name of its own",
                )
                continue
            for host in hosts:
                variables = Variables(inventories[client], host, workspace)
                check = _check(one, client, host, variables, domains[client], probe_kinds, secrets, vantage, faults)
                if check is None:
                    compiled.broken.setdefault(client, set()).add(shape.name)
                else:
                    compiled.checks[check.id] = check
    return compiled


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
    if unknown_everywhere:
        for term in sorted(unknown_everywhere):
            faults.unknown(at, "host or group", term, names)
    elif not found and inventories and complete:
        faults.add(at, f"{one.what}: the pattern {pattern!r} matches no host of any client", "a pattern that matches")
    return found


def _check(
    one: Written,
    client: str,
    host: str,
    variables: Variables,
    domains: Domains,
    probe_kinds: Mapping[str, type[BaseModel]],
    secrets: Secrets,
    vantage: str,
    faults: Faults,
) -> Check | None:
    shape = one.shape
    name = shape.name or ""
    kind = shape.probe or ""
    identifier = f"{client}/{name}@{host}" if host else f"{client}/{name}"
    before = len(faults.found)
    subject = f"{one.what} of {client}" + (f" on {host}" if host else "")
    options: dict[str, Json] = {}
    shown: dict[str, Any] = {}
    schema = probe_kinds[kind]
    written = dict(one.options)
    target = schema.model_fields.get("target")
    if host and target is not None and target.is_required() and "target" not in written:
        written["target"] = "{{ ansible_host | default(inventory_hostname) }}"
    for key, value in written.items():
        path = (*one.path, key)
        if key.endswith(SECRET_SUFFIXES):
            shown[key] = options[key] = _references(
                value, f"{identifier}:{key}", one, path, variables, subject, secrets, faults
            )
            continue
        rendered, secret = _render(value, one, path, variables, subject, faults)
        if secret:
            ours = sorted(k for k in schema.model_fields if k.endswith(SECRET_SUFFIXES))
            expected = f"it in {' or '.join(ours)}" if ours else "nothing secret in this kind of probe"
            faults.add(one.document.at(*path), f"{subject}: a secret in {key} would end up in records", expected)
        shown[key] = options[key] = rendered
    via = _plain(shape.via, one, (*one.path, "via"), variables, subject, faults)
    via_id = domains.resolve(via, one.document.at(*one.path, "via"), faults) if via else None
    if len(faults.found) == before:
        _validate(schema, shown, one, subject, faults)
    if len(faults.found) > before:
        return None
    every = shape.every or 1.0
    depends = domains.of_host(host) | ({via_id} if via_id else set())
    return Check(
        id=identifier,
        client=client,
        name=name,
        host=host,
        probe=kind,
        options=options,
        every_s=every,
        fast_s=shape.fast or min(0.5, every),
        timeout_s=shape.timeout or 1.0,
        rise=shape.rise or 2,
        fall=shape.fall or 3,
        loss=LossWindow(shape.loss.down, shape.loss.up, shape.loss.over)
        if shape.loss and shape.loss.down is not None and shape.loss.up is not None and shape.loss.over is not None
        else None,
        latency=LatencyWindow(shape.latency.high, shape.latency.low, shape.latency.over, shape.latency.fails)
        if shape.latency
        and shape.latency.high is not None
        and shape.latency.low is not None
        and shape.latency.over is not None
        else None,
        via=via_id,
        domains=frozenset(depends),
        vantage=_plain(shape.vantage, one, (*one.path, "vantage"), variables, subject, faults) or vantage,
        reference=shape.reference,
    )


def _references(
    value: Any,
    reference: str,
    one: Written,
    path: Path_,
    variables: Variables,
    subject: str,
    secrets: Secrets,
    faults: Faults,
) -> Any:
    """The references that stand for the secrets an option names: a variable's name, or a template."""
    if isinstance(value, dict):
        return {
            k: _references(v, f"{reference}.{k}", one, (*path, k), variables, subject, secrets, faults)
            for k, v in value.items()
        }
    if not isinstance(value, str):
        faults.add(
            one.document.at(*path), f"{subject}: {path[-1]} is {show(value)}", "the name of a (vaulted) variable"
        )
        return None
    template = value if is_template(value) else f"{{{{ {value} }}}}"
    if not is_template(value) and not value.isidentifier():
        faults.add(
            one.document.at(*path), f"{subject}: {path[-1]} is no variable's name", "the name of a (vaulted) variable"
        )
        return None
    rendered, _ = _render(template, one, path, variables, subject, faults)
    return None if rendered is None else secrets.refer(reference, template, variables)


def _render(
    value: Any, one: Written, path: Path_, variables: Variables, subject: str, faults: Faults
) -> tuple[Any, bool]:
    """A rendered option; faults stand at the text that could not be rendered."""
    if isinstance(value, dict):
        pairs = {k: _render(v, one, (*path, k), variables, subject, faults) for k, v in value.items()}
        return {k: v for k, (v, _) in pairs.items()}, any(s for _, s in pairs.values())
    if isinstance(value, list):
        items = [_render(v, one, (*path, i), variables, subject, faults) for i, v in enumerate(value)]
        return [v for v, _ in items], any(s for _, s in items)
    if not is_template(value):
        return value, False
    try:
        rendered, secret = variables.render(value)
    except RenderFailed as error:
        near = nearest(error.missing, variables.names()) if error.missing else None
        faults.add(
            one.document.at(*path), f"{subject}: {error}", "a variable of the host" if error.missing else "", near
        )
        return None, False
    if not _is_json(rendered):
        faults.add(
            one.document.at(*path),
            f"{subject}: the template gives a {type(rendered).__name__}",
            "text, a number, a list or a mapping",
        )
        return None, False
    return rendered, secret


def _plain(
    text: str | None, one: Written, path: Path_, variables: Variables, subject: str, faults: Faults
) -> str | None:
    """A rendered text that may not be secret."""
    rendered, secret = _render(text, one, path, variables, subject, faults)
    if secret or (rendered is not None and not isinstance(rendered, str)):
        faults.add(
            one.document.at(*path),
            f"{subject}: {path[-1]} is {'a secret' if secret else show(rendered)}",
            "a plain text",
        )
        return None
    return rendered


def _validate(schema: type[BaseModel], options: dict[str, Any], one: Written, subject: str, faults: Faults) -> None:
    """Hold rendered options against the probe's own schema."""
    try:
        schema.model_validate(options)
    except ValidationError as error:
        if all(real_path(e["loc"], options) for e in error.errors()):
            report(error, schema, one.document, one.path, options, faults, subject)
            return
        for e in error.errors(include_url=False):
            message = str(e.get("ctx", {}).get("error", e["msg"]))
            where = real_path(e["loc"], options)
            faults.add(one.document.at(*one.path, *where), f"{subject}: {message}")


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_json(v) for k, v in value.items())
    if isinstance(value, list):
        return all(_is_json(v) for v in value)
    return value is None or isinstance(value, bool | int | float | str)
