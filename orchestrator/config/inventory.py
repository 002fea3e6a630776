"""Reads a client's Ansible inventory through `ansible-inventory --list`.

The one rule it keeps: Ansible stays Ansible. Ansible's own program, in a process of its own, uses the user's inventory,
plug-ins, `ansible.cfg` and vault settings unchanged. ansible-core is never imported here.

Inline vaulted values arrive encrypted and stay so. Values of files encrypted as a whole arrive in clear: their names
are asked from `ansible-vault view`, they are kept as `Vaulted` in memory, and such an inventory is not cached.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config import last_read, trees
from orchestrator.config.ansible_process import Ansible
from orchestrator.config.ansible_programs import environment_to_ask, note_refusal, program, relative, warnings_in
from orchestrator.config.faults import Faults, Position
from orchestrator.config.inventory_files import (
    encrypted_files,
    inventory_files,
    is_computed,
    parts_of,
    read_by_computed,
)
from orchestrator.config.inventory_values import from_cache, hide, to_cache
from orchestrator.config.ownership import unsafe_parts
from orchestrator.config.strict_yaml import compose, read_text
from orchestrator.config.surroundings import computes_variables, files_of, label, surroundings
from orchestrator.core.client_keys import cache_prefixes, kept_for

READ_TIMEOUT_S = 120.0
PATIENCE_S = 20.0  # with one that can be used as it was last read
_CACHE_FORMAT = 5
_UNPARSED = "Unable to parse"  # Ansible, of a source with which it cannot do anything


@dataclass(slots=True)
class Inventory:
    """One client's hosts, groups and variables, as Ansible sees them (variables are not rendered)."""

    client: str
    sources: tuple[Path, ...]
    hosts: tuple[str, ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # every group to all its hosts, children's too
    host_vars: dict[str, dict[str, Any]] = field(default_factory=dict)
    group_vars: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    stale: last_read.Stale | None = None  # as it was last read, since it cannot be read now

    def groups_of(self, host: str) -> list[str]:
        """Names of the groups this host is in, `all` left out as Ansible does."""
        return sorted(g for g, members in self.groups.items() if host in members and g != "all")


def read_inventory(
    workspace: Path,
    client: str,
    sources: list[Path],
    faults: Faults,
    *,
    cache: Path | None,
    kept: Path | None = None,
    ansible: Ansible | None = None,
    patience_s: float = PATIENCE_S,
) -> Inventory | None:
    """Read one client's inventory; None, with the fault noted, if Ansible cannot. `cache` is a directory.

    `ansible`: the process that is asked, else one of its own. `kept`: where readings are kept. A computed inventory
    that cannot be asked now (its source, or one of several, does not answer within `patience_s`) is then the one that
    was last read, with a warning. To read may be to run: what others may write to is a fault, and is not read.
    """
    if ansible is None:
        with Ansible(workspace) as ansible:
            return read_inventory(
                workspace, client, sources, faults, cache=cache, kept=kept, ansible=ansible, patience_s=patience_s
            )
    around = surroundings(workspace, os.environ)
    if against := unsafe_parts([*files_of(workspace, around), *inventory_files(sources), *read_by_computed(sources)]):
        for part, why in against:
            faults.add(Position(label(workspace, part)), why)
        return None
    key = _cache_key(workspace, sources, around)
    stored = cache / f"inventory-{client}.json" if cache and key else None
    if stored is not None and key is not None and (cached := from_cache(stored, key)) is not None:
        return _build(client, sources, *cached)
    if key is not None or kept is None or (before := last_read.last(kept, client)) is None:
        return _read(ansible, client, sources, faults, stored, key, kept, READ_TIMEOUT_S, whole=False)
    own = Faults()
    found = _read(ansible, client, sources, own, stored, key, kept, patience_s, whole=True)
    if found is not None:
        faults.warned += own.warned
        return found
    if broken := _no_yaml(workspace, sources).found:  # that it does not answer now is not the reason
        faults.found += broken
        return None
    of_several = len(sources) > 1
    why = "; ".join(f"{f.file}: {f.message}" if of_several else f.message for f in own.sorted())
    same = before.of in ("", _digest_of(sources))  # a client of this name may be another one by now
    path = last_read.as_inventory(kept, client) if same else None
    if path is None:
        faults.found += own.found
        return None
    stale = last_read.Stale(path, before.at, why)
    at = own.sorted()[0] if own.found else None
    faults.warn(
        Position(at.file, at.line, at.column) if at else Position(client), f"client {client} is served by {stale}"
    )
    inventory = as_it_was(client, sources, before)
    inventory.stale = stale
    return inventory


def _no_yaml(workspace: Path, sources: list[Path]) -> Faults:
    """Files that say they are YAML and are none, for the position; what they mean is Ansible's business."""
    faults = Faults()
    for path in inventory_files(sources):
        if path.suffix in (".yml", ".yaml"):
            name = relative(workspace, path)
            content = read_text(path, name, faults)
            if content is not None and not content.startswith("$ANSIBLE"):
                compose(content, name, faults)
    return faults


def as_it_was(client: str, sources: list[Path], reading: last_read.Reading) -> Inventory:
    """An inventory from a reading that was kept."""
    hide(reading.merged, frozenset())
    hide(reading.exported, frozenset())
    return _build(client, sources, reading.merged, reading.exported, ())


def _read(
    ansible: Ansible,
    client: str,
    sources: list[Path],
    faults: Faults,
    stored: Path | None,
    key: str | None,
    keeps: Path | None,
    timeout_s: float,
    *,
    whole: bool,
) -> Inventory | None:
    """By asking Ansible; what it says is kept for the next time.

    Ansible itself goes on with the sources that answer. What was read so is not kept, and with `whole` it is none.
    """
    workspace = ansible.workspace
    refusal, no_yaml = Faults(), _no_yaml(workspace, sources)
    of = _digest_of(sources)  # before it is asked: what is edited meanwhile has not said this
    said = _asked(ansible, client, sources, refusal, timeout_s)
    if said is None:
        faults.found += no_yaml.found or refusal.found
        return None
    for fault in no_yaml.found:  # of a host or group that is not there: nothing reads it now
        faults.warn(Position(fault.file, fault.line, fault.column), f"{fault.message}; Ansible does not read it now")
    (merged, exported), complaints = said
    in_part = key is None and _UNPARSED in complaints
    if in_part and whole:
        note_refusal(workspace, sources, complaints, faults)
        return None
    there = {*merged, *exported, *_hosts_in(merged)}  # a group without hosts is in one of them alone
    secret_names = _names_in_vaulted_files(workspace, sources, faults, there)
    if keeps is not None and not in_part:
        if secret_names or encrypted_files(sources):
            last_read.forget(keeps, client)
        else:
            last_read.keep(keeps, client, merged, exported, of)
    hide(merged, secret_names)
    hide(exported, secret_names)
    warnings = tuple(line for line in warnings_in(complaints))
    if stored is not None and not secret_names:
        to_cache(stored, key or "", merged, exported, warnings)
    return _build(client, sources, merged, exported, warnings)


def _asked(
    ansible: Ansible, client: str, sources: list[Path], faults: Faults, timeout_s: float
) -> tuple[list[dict[str, Any]], str] | None:
    """Hosts with their variables merged by Ansible's own precedence, and groups with their own; its complaints."""
    workspace = ansible.workspace
    alone = cache_prefixes(os.environ, kept_for(str(workspace.resolve()), client))  # as the runner has it
    at = Position(relative(workspace, sources[0]))
    try:
        answer = ansible.inventory(sources, alone, timeout_s)
        if answer is None:
            command = program("ansible-inventory")
            if command is None:
                faults.add(at, "ansible-inventory was not found", "ansible-core installed beside bascule or on PATH")
                return None
            done = [_ran(workspace, command, sources, alone, extra, timeout_s) for extra in ([], ["--export"])]
            outputs = [_mapping(d.stdout) if d.returncode == 0 else {} for d in done]
            complaints = done[0].stderr or done[1].stderr
        else:
            code, told, complaints = answer
            both = _mapping(told) if code == 0 else {}
            outputs = [both.get("merged", {}), both.get("exported", {})]
    except subprocess.TimeoutExpired:
        faults.add(at, f"ansible-inventory did not end within {timeout_s:.0f} s", "an inventory that answers")
        return None
    if not all(outputs):
        note_refusal(workspace, sources, complaints, faults)
        return None
    return outputs, complaints


def _ran(
    workspace: Path, command: str, sources: list[Path], alone: dict[str, str], extra: list[str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Ansible's own program. Raises TimeoutExpired."""
    start, given = environment_to_ask(workspace, os.environ)
    return subprocess.run(
        [command, *(part for source in sources for part in ("-i", str(source))), "--list", *extra],
        cwd=start,
        env={**given, **alone, "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def _mapping(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _build(
    client: str,
    sources: list[Path],
    merged: dict[str, Any],
    exported: dict[str, Any],
    warnings: tuple[str, ...] | list[str],
) -> Inventory:
    """Flatten groups and keep variables."""
    structure = {name: entry for name, entry in merged.items() if name != "_meta" and isinstance(entry, dict)}

    def members(group: str, seen: frozenset[str] = frozenset()) -> list[str]:
        entry = structure.get(group, {})
        found = list(entry.get("hosts", ()))
        for child in entry.get("children", ()):
            if child not in seen:
                found += [h for h in members(child, seen | {group}) if h not in found]
        return found

    names = set(structure) | {c for e in structure.values() for c in e.get("children", ())}
    groups = {name: tuple(members(name)) for name in sorted(names)}
    host_vars = {h: dict(v) for h, v in merged.get("_meta", {}).get("hostvars", {}).items()}
    hosts = list(groups.get("all", ()))
    for group in groups.values():
        hosts += [h for h in group if h not in hosts]
    for host in hosts:
        host_vars.setdefault(host, {})
    group_vars = {name: dict(exported.get(name, {}).get("vars", {})) for name in groups}
    groups["all"] = tuple(hosts)
    return Inventory(client, tuple(sources), tuple(hosts), groups, host_vars, group_vars, tuple(warnings))


def _cache_key(workspace: Path, sources: list[Path], around: Mapping[str, str]) -> str | None:
    """Digest of all that a static inventory is made of, and of what Ansible reads it with; None for a computed one.

    A plug-in that adds variables may compute them: where there is one beside Ansible's own, nothing is kept.
    """
    if computes_variables(workspace, os.environ):
        return None
    digest = hashlib.sha256(f"{_CACHE_FORMAT} {workspace}".encode())
    for name, told in sorted(around.items()):
        digest.update(f"{name}\0{told}\0".encode("utf-8", "surrogateescape"))
    for path in inventory_files(sources):
        in_sources = any(path == s or s in path.parents for s in sources)
        if in_sources and is_computed(path):
            return None
        digest.update(f"{path}\0{trees.read_digest(path)}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _digest_of(sources: list[Path]) -> str:
    """Of the sources, and of what a program among them may load from beside it; wherever their folder is by now."""
    digest, folder = hashlib.sha256(), sources[0].parent
    for path in dict.fromkeys([*parts_of(sources), *read_by_computed(sources)]):
        name = os.path.relpath(path, folder)
        digest.update(f"{name}\0{trees.read_digest(path)}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _hosts_in(merged: Mapping[str, Any]) -> set[str]:
    members = {host for entry in merged.values() if isinstance(entry, dict) for host in entry.get("hosts", ())}
    return members | set(merged.get("_meta", {}).get("hostvars", {}))


def _is_read(path: Path, there: Container[str]) -> bool:
    """Whether Ansible reads this file of an inventory with these hosts and groups."""
    for folder, below in zip(path.parts, path.parts[1:], strict=False):
        if folder in ("group_vars", "host_vars") and below not in there and Path(below).stem not in there:
            return False
    return True


def _names_in_vaulted_files(workspace: Path, sources: list[Path], faults: Faults, there: Container[str]) -> set[str]:
    """Variables that stand in files encrypted as a whole. Of what is not `there` (host, group) it need not be had."""
    names: set[str] = set()
    for path in encrypted_files(sources):
        command = program("ansible-vault") or "ansible-vault"
        start, given = environment_to_ask(workspace, os.environ)
        done = subprocess.run(
            [command, "view", str(path)],
            cwd=start,
            env={**given, "PAGER": "cat"},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=READ_TIMEOUT_S,
            check=False,
        )
        try:
            content = yaml.safe_load(done.stdout) if done.returncode == 0 else None
        except yaml.YAMLError:
            content = None
        if isinstance(content, dict):
            names |= {str(name) for name in content}
        elif _is_read(Path(os.path.relpath(path, sources[0].parent)), there):
            faults.add(
                Position(relative(workspace, path)), "cannot be decrypted", "the vault password of ansible.cfg to fit"
            )
    return names
