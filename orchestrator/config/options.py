"""The options of a probe for one check on one host: rendered, without secrets, validated by the probe's schema.

The one rule it keeps: the result may be stored for ever. An option that would contain a secret is a fault. Options that
name secrets (`..._secret`, `..._secrets`) become references.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestrator.config.faults import Fault, Faults, nearest
from orchestrator.config.shaping import report, show
from orchestrator.config.strict_yaml import Document, Path_
from orchestrator.config.templates import RenderFailed, Secrets, Variables, filters, is_template
from orchestrator.core.model import Json

SECRET_SUFFIXES = ("_secret", "_secrets")
_DEFAULT_TARGET = "{{ ansible_host | default(inventory_hostname) }}"
_HERE = "\0"  # stands for the host in a message, until it is known which hosts share the fault


@dataclass(slots=True)
class Target:
    """One check on one host (or on none), and where its faults go."""

    document: Document
    path: Path_
    variables: Variables
    check: str  # "check replica of acme", for messages
    base: str  # client/name
    faults: Faults

    @property
    def id(self) -> str:
        """The check's id."""
        return f"{self.base}@{self.variables.host}" if self.variables.host else self.base

    @property
    def subject(self) -> str:
        """What messages call it."""
        return self.check + _HERE

    def fault(self, path: Path_, message: str, expected: str = "", near: str | None = None) -> None:
        """Note a fault at a part of the check."""
        self.faults.add(self.document.at(*self.path, *path), f"{self.subject}: {message}", expected, near)

    def render(self, value: Any, path: Path_) -> tuple[Any, bool]:
        """The rendered value, and whether a secret was touched. None, with the fault noted, if it cannot be had."""
        if isinstance(value, dict):
            pairs = {k: self.render(v, (*path, k)) for k, v in value.items()}
            return {k: v for k, (v, _) in pairs.items()}, any(s for _, s in pairs.values())
        if isinstance(value, list):
            items = [self.render(v, (*path, i)) for i, v in enumerate(value)]
            return [v for v, _ in items], any(s for _, s in items)
        if not is_template(value):
            return value, False
        try:
            rendered, secret = self.variables.render(value)
        except RenderFailed as error:
            near = nearest(error.missing, self.variables.names()) if error.missing else None
            expected = "a variable of the host" if error.missing and self.variables.host else ""
            if error.no_filter:
                near, expected = nearest(error.no_filter, filters()), "one of Jinja2's own filters"
            if error.missing and not self.variables.host:
                expected = "a variable of group all, since the check has no hosts"
            self.fault(path, str(error), expected, near)
            return None, False
        if not _is_json(rendered):
            kind = type(rendered).__name__
            self.fault(path, f"the template gives a {kind}", "text, a number, a list or a mapping")
            return None, False
        return rendered, secret

    def text(self, value: str | None, key: str) -> str | None:
        """A rendered text that may not be secret."""
        rendered, secret = self.render(value, (key,))
        if secret or (rendered is not None and not isinstance(rendered, str)):
            self.fault((key,), f"{key} is {'a secret' if secret else show(rendered)}", "a plain text")
            return None
        return rendered


def render_options(
    written: Mapping[str, Any], schema: type[BaseModel], target: Target, secrets: Secrets
) -> dict[str, Json]:
    """All options of one check on one host; faults are with `target`."""
    options: dict[str, Json] = {}
    given = dict(written)
    wanted = schema.model_fields.get("target")
    if target.variables.host and wanted is not None and wanted.is_required() and "target" not in given:
        given["target"] = _DEFAULT_TARGET
    for key, value in given.items():
        if key.endswith(SECRET_SUFFIXES):
            options[key] = _references(value, (key,), f"{target.id}:{key}", target, secrets)
            continue
        rendered, secret = target.render(value, (key,))
        if secret:
            ours = sorted(k for k in schema.model_fields if k.endswith(SECRET_SUFFIXES))
            expected = f"it in {' or '.join(ours)}" if ours else "nothing secret in this kind of probe"
            target.fault((key,), f"a secret in {key} would end up in records", expected)
        options[key] = rendered
    if not target.faults.found:
        error = _refused(schema, options)
        if error is not None and _as_texts(error, given, options):
            error = _refused(schema, options)
        if error is not None:
            report(error, schema, target.document, target.path, options, target.faults, target.subject)
    return options


def _refused(schema: type[BaseModel], options: Mapping[str, Json]) -> ValidationError | None:
    try:
        schema.model_validate(options)
    except ValidationError as error:
        return error
    return None


def _as_texts(error: ValidationError, given: Mapping[str, Any], options: dict[str, Json]) -> bool:
    """Make text of numbers that templates gave where text is wanted, as Ansible does; whether there were any."""
    made = False
    for found in error.errors():
        if found["type"] not in ("string_type", "literal_error"):
            continue
        written: Any = given
        inner: Any = options
        for index, part in enumerate(found["loc"]):
            written = written if isinstance(written, str) else written[part]
            value = inner[part]
            if is_template(written) and type(value) in (int, float):
                inner[part] = str(value)
                made = True
            if index + 1 == len(found["loc"]) or not isinstance(value, dict | list):
                break
            inner = value
    return made


def _references(value: Any, path: Path_, reference: str, target: Target, secrets: Secrets) -> Any:
    """The references that stand for the secrets an option names: a variable's name, or a template."""
    if isinstance(value, dict):
        return {k: _references(v, (*path, k), f"{reference}.{k}", target, secrets) for k, v in value.items()}
    if not isinstance(value, str) or not (is_template(value) or value.isidentifier()):
        target.fault(path, f"{path[-1]} is {show(value)}", "the name of a (vaulted) variable")
        return None
    template = value if is_template(value) else f"{{{{ {value} }}}}"
    rendered, _ = target.render(template, path)
    return None if rendered is None else secrets.refer(reference, template, target.variables)


@dataclass(slots=True)
class SameFaults:
    """Tells a fault that many hosts share once."""

    faults: Faults
    hosts: dict[str, Faults] = field(default_factory=dict)

    def of(self, host: str) -> Faults:
        """Where the faults of one host go."""
        return self.hosts.setdefault(host, Faults())

    def tell(self) -> None:
        """Pass everything on, with the hosts named."""
        shared: dict[Fault, list[str]] = {}
        near: dict[Fault, str] = {}
        for host, own in self.hosts.items():
            for found in own.found:
                fault = replace(found, nearest=None)
                shared.setdefault(fault, []).append(host)
                if found.nearest:
                    near.setdefault(fault, found.nearest)
        for fault, hosts in shared.items():
            named = f" on {hosts[0]}" if hosts[0] else ""
            if len(hosts) > 1:
                named = f" on {' and '.join(hosts)}" if len(hosts) == 2 else f" on {hosts[0]} and {len(hosts) - 1} more"
            message = fault.message.replace(_HERE, named)
            self.faults.found.append(replace(fault, message=message, nearest=near.get(fault)))


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_json(v) for k, v in value.items())
    if isinstance(value, list):
        return all(_is_json(v) for v in value)
    return value is None or isinstance(value, bool | int | float | str)
