"""Renders option values over a host's variables: Jinja2, sandboxed, with native results.

The one rule it keeps: a secret never becomes part of a rendered value here. A template that uses one (a vaulted
variable, `lookup('file', …)`, `lookup('env', …)`) says so, and only `Secrets`, in the process that asks the question,
renders it in full. The model holds the reference of a secret, never the secret.

What Ansible marks as no template (`!unsafe`, what others told an inventory plug-in) is no template here either.
Variables are rendered lazily, each only when a template reads it, as Ansible does. So a variable that nobody reads may
use filters and lookups that exist in Ansible alone.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.utils import missing

from orchestrator.config.allowed import FILTERS, Lazy
from orchestrator.config.ansible_programs import environment_to_ask, program
from orchestrator.config.budget import TooMuch, within_budget
from orchestrator.config.inventory import READ_TIMEOUT_S, Inventory
from orchestrator.config.inventory_values import Vaulted, Verbatim
from orchestrator.config.sandbox import Callable_, run

PLACEHOLDER = "a-secret-known-to-the-probe-only"
_DEPTH_MAX = 40


class RenderFailed(Exception):
    """A template cannot be rendered.

    `missing` is the name of the variable that is not defined, or `no_filter` that of the filter there is none of.
    """

    def __init__(self, message: str, missing_name: str | None = None, no_filter: str | None = None) -> None:
        super().__init__(message)
        self.missing = missing_name
        self.no_filter = no_filter


class SecretUnavailable(Exception):
    """A secret cannot be had in this process; the message names it and says why, and never contains it."""


def is_template(value: Any) -> bool:
    """Whether this text holds anything for Jinja2."""
    return isinstance(value, str) and ("{{" in value or "{%" in value or "{#" in value)


@dataclass(slots=True)
class _Scope:
    """One rendering: whose variables, whether secrets are revealed, and whether one was touched."""

    variables: Variables
    reveal: Callable[[Vaulted], str] | None
    touched: bool = False
    depth: int = 0
    told: list[str] = field(default_factory=list, repr=False)  # the secrets that were revealed for it

    def lookup(self, name: str) -> Any:
        if name == "lookup":
            return Callable_(self.ansible_lookup)
        value = self.variables.raw(name)
        try:
            return missing if value is missing else self.render(value)
        except TooMuch as much:
            raise _named(much, name, self.variables.host) from None

    def render(self, value: Any) -> Any:
        """A value with all templates inside it rendered."""
        if isinstance(value, Vaulted):
            return self.secret(value)
        if isinstance(value, _HostVariables):
            return _RenderedHosts(self, value)
        if isinstance(value, Verbatim):
            return str(value)
        if isinstance(value, Mapping):
            return {k: self.render(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.render(v) for v in value]
        if not is_template(value):
            return value
        if self.depth >= _DEPTH_MAX:
            raise RenderFailed("a variable is defined through itself")
        self.depth += 1
        try:
            return self.template(value)
        finally:
            self.depth -= 1

    def template(self, text: str) -> Any:
        try:
            result = run(text, self.lookup)
        except UndefinedError as error:
            raise RenderFailed(str(error.message), _undefined_name(str(error.message))) from None
        except TemplateSyntaxError as error:
            message = (error.message or "").rstrip(".")
            if message.startswith("No filter named '"):
                raise RenderFailed(message.lower(), no_filter=message.split("'")[1]) from None
            raise RenderFailed(f"this is no Jinja2: {message}") from None
        except TemplateError as error:
            raise RenderFailed(f"it cannot be rendered: {error.message}") from None
        except (RenderFailed, SecretUnavailable, TooMuch):
            raise
        except RecursionError:
            raise RenderFailed("it cannot be rendered: it calls itself without end") from None
        except Exception as error:  # an author's expression may raise anything
            raise RenderFailed(f"it cannot be rendered: {type(error).__name__}: {error}") from None
        if isinstance(result, StrictUndefined):
            message = result._undefined_message
            raise RenderFailed(message, _undefined_name(message))
        return result

    def secret(self, value: Vaulted) -> str:
        self.touched = True
        if self.reveal is None:
            return PLACEHOLDER
        self.told.append(self.reveal(value))
        return self.told[-1]

    def ansible_lookup(self, plugin: str, *terms: str, **options: Any) -> str:
        """`lookup('file', PATH)` and `lookup('env', NAME)`; both may hold secrets, and the machine decides."""
        kind = plugin.removeprefix("ansible.builtin.")
        if kind not in ("file", "env"):
            raise RenderFailed(f"lookup({plugin!r}) works in playbooks only; here: 'file' and 'env'")
        self.touched = True
        if self.reveal is None:
            return PLACEHOLDER
        found = []
        for term in terms:
            if kind == "env":
                if term not in os.environ:
                    raise SecretUnavailable(f"the environment variable {term} is not set")
                found.append(os.environ[term])
            else:
                path = (
                    Path(term) if Path(term).is_absolute() else self.variables.workspace / "playbooks" / "files" / term
                )
                try:
                    found.append(path.read_text().rstrip())
                except (OSError, UnicodeDecodeError) as error:
                    why = getattr(error, "strerror", None) or "no UTF-8 text"
                    raise SecretUnavailable(f"{path} cannot be read: {why}") from None
        self.told += found
        return ",".join(found)


class _HostVariables(Mapping[str, Any]):
    """`hostvars`, before rendering."""

    def __init__(self, variables: Variables) -> None:
        self.variables = variables

    def __getitem__(self, host: str) -> Variables:
        if host not in self.variables.inventory.host_vars:
            raise KeyError(host)
        return Variables(self.variables.inventory, host, self.variables.workspace)

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables.inventory.hosts)

    def __len__(self) -> int:
        return len(self.variables.inventory.hosts)


class _RenderedHosts(Lazy):
    """`hostvars` within a rendering: another host's variables, rendered over that host's."""

    def __init__(self, scope: _Scope, hosts: _HostVariables) -> None:
        self.scope, self.hosts = scope, hosts

    def __getitem__(self, host: str) -> Any:
        return _RenderedVars(self.scope, self.hosts[host])

    def __contains__(self, host: object) -> bool:
        return host in self.hosts.variables.inventory.host_vars

    def __iter__(self) -> Iterator[str]:
        return iter(self.hosts)

    def __len__(self) -> int:
        return len(self.hosts)


class _RenderedVars(Lazy):
    def __init__(self, scope: _Scope, variables: Variables) -> None:
        self.scope, self.variables = scope, variables

    def __getitem__(self, name: str) -> Any:
        inner = _Scope(self.variables, self.scope.reveal, depth=self.scope.depth + 1, told=self.scope.told)
        value = inner.lookup(name)
        self.scope.touched = self.scope.touched or inner.touched
        if value is missing:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self.variables.names()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.variables.names()))

    def __len__(self) -> int:
        return len(self.variables.names())


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables a template sees: a host's, or without a host those of group `all`."""

    inventory: Inventory = field(repr=False)
    host: str
    workspace: Path

    def raw(self, name: str) -> Any:
        """The unrendered value of a variable, or jinja2's `missing`."""
        magic = self._magic(name)
        if magic is not missing:
            return magic
        own = self.inventory.host_vars.get(self.host) if self.host else self.inventory.group_vars.get("all")
        return (own or {}).get(name, missing)

    def names(self) -> set[str]:
        """Every variable there is, for the nearest right name."""
        own = self.inventory.host_vars.get(self.host) if self.host else self.inventory.group_vars.get("all")
        return (
            set(own or {})
            | {"groups", "hostvars", "inventory_dir"}
            | ({"inventory_hostname", "inventory_hostname_short", "group_names"} if self.host else set())
        )

    def render(self, value: Any) -> tuple[Any, bool]:
        """The rendered value with placeholders for secrets, and whether there was any. Raises `RenderFailed`."""
        scope = _Scope(self, None)
        return _bounded(scope, value), scope.touched

    def reveal(self, value: Any, decrypt: Callable[[Vaulted], str]) -> Any:
        """The rendered value, secrets included. Raises `RenderFailed`, `SecretUnavailable`: they hold none."""
        scope = _Scope(self, decrypt)
        try:
            return _bounded(scope, value)
        except RenderFailed:
            if not any(scope.told):
                raise
            raise RenderFailed("it cannot be rendered with what the secret is") from None
        except SecretUnavailable as error:
            why = str(error)
            for secret in sorted(scope.told, key=len, reverse=True):
                why = why.replace(secret, "***") if secret else why
            raise SecretUnavailable(why) from None

    def _magic(self, name: str) -> Any:
        if name == "groups":
            return {group: list(hosts) for group, hosts in self.inventory.groups.items()}
        if name == "hostvars":
            return _HostVariables(self)
        if name == "inventory_dir":
            source = self.inventory.sources[0]
            return str(source if source.is_dir() else source.parent)
        if self.host:
            if name == "inventory_hostname":
                return self.host
            if name == "inventory_hostname_short":
                return self.host.split(".")[0]
            if name == "group_names":
                return self.inventory.groups_of(self.host)
        return missing


def _bounded(scope: _Scope, value: Any) -> Any:
    """The rendered value, within what any rendering may take. Raises `RenderFailed`."""
    try:
        return within_budget(lambda: scope.render(value))
    except TooMuch as much:
        raise RenderFailed(str(much) if isinstance(much, _OfVariable) else f"it {much}") from None


class _OfVariable(TooMuch):
    """Says already which variable it is."""


def _named(much: TooMuch, name: str, host: str) -> TooMuch:
    """The innermost variable is the one to mend."""
    return much if isinstance(much, _OfVariable) else _OfVariable(f"variable {name}{f' of {host}' * bool(host)} {much}")


class Secrets(Mapping[str, str]):
    """The secrets of one loaded configuration by their references; shows nothing of them.

    Looking one up decrypts it, which takes about a second for the first use of each vaulted variable: `reveal_all`,
    called once and in a thread, is the better way in a daemon.
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._known: dict[str, tuple[Any, Variables]] = {}
        self._clear: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Secrets({len(self._known)} references)"

    def refer(self, reference: str, template: str, variables: Variables) -> str:
        """Remember what a reference stands for; gives back the reference, which goes into the model in its place."""
        self._known[reference] = (template, variables)
        return reference

    def references(self) -> dict[str, tuple[Any, str, str]]:
        """Each reference with its template, and the client and host whose variables it is rendered over."""
        return {name: (template, own.inventory.client, own.host) for name, (template, own) in self._known.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._known))

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, reference: object) -> bool:
        return reference in self._known

    def __getitem__(self, reference: str) -> str:
        """The secret. Raises KeyError for an unknown reference, `SecretUnavailable` with the reason otherwise."""
        template, variables = self._known[reference]
        try:
            return str(variables.reveal(template, self._decrypt))
        except (RenderFailed, SecretUnavailable) as error:
            raise SecretUnavailable(f"{reference}: {error}") from None

    def reveal_all(self) -> tuple[dict[str, str], dict[str, str]]:
        """Every secret that can be had here, and for each of the others the reason why not."""
        clear: dict[str, str] = {}
        failed: dict[str, str] = {}
        for reference in self:
            try:
                clear[reference] = self[reference]
            except SecretUnavailable as error:
                failed[reference] = str(error)
        return clear, failed

    def _decrypt(self, value: Vaulted) -> str:
        if value.clear is not None:
            return value.clear
        text = value.ciphertext or ""
        if text not in self._clear:
            command = program("ansible-vault")
            if command is None:
                raise SecretUnavailable("ansible-vault was not found")
            start, given = environment_to_ask(self._workspace, os.environ)
            try:
                done = subprocess.run(
                    [command, "decrypt", "--output", "-", "-"],
                    input=text,
                    cwd=start,
                    env=given,
                    capture_output=True,
                    text=True,
                    timeout=READ_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise SecretUnavailable("ansible-vault did not end in time") from None
            if done.returncode != 0:
                raise SecretUnavailable(
                    "ansible-vault could not decrypt it: does the vault password of ansible.cfg fit?"
                )
            self._clear[text] = done.stdout
        return self._clear[text]


def filters() -> list[str]:
    """Names of the filters that templates may use."""
    return sorted(FILTERS)


def _undefined_name(message: str) -> str | None:
    """The variable's name in jinja2's message: `'x' is undefined`, `'dict object' has no attribute 'y'`."""
    if message.endswith("is undefined") and message.startswith("'"):
        return message.split("'")[1]
    return None
