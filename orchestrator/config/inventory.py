"""Reads a client's Ansible inventory through `ansible-inventory --list`.

The one rule it keeps: Ansible stays Ansible. Whatever inventory, plug-in, `ansible.cfg` and vault setting the user
has is used unchanged, by Ansible's own program in a process of its own; ansible-core is never imported here.

Inline vaulted values arrive encrypted and stay so. Values of files encrypted as a whole arrive in clear: their names
are asked from `ansible-vault view`, they are kept as `Vaulted` in memory, and such an inventory is not cached.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestrator.config import last_read, trees
from orchestrator.config.faults import Faults, Position
from orchestrator.config.surroundings import computes_variables, surroundings
from orchestrator.core.apart import cache_prefixes, kept_for

READ_TIMEOUT_S = 120.0
PATIENCE_S = 20.0  # with one that can be used as it was last read
_CACHE_FORMAT = 5
_READ_BYTES = 1 << 20
_BESIDE_COMPUTED = {".py", ".sh", ".pl", ".rb", ".yml", ".yaml", ".ini", ".cfg", ".conf", ".toml", ".env"}
OURS = ("services.yml", "people.yml")  # in a client's folder, and none of Ansible's business
_STATIC_SUFFIXES = {".yml", ".yaml", ".json", ".ini", ""}
_ORIGIN = re.compile(r"Origin: (?P<file>/[^\n:]+)(?::(?P<line>\d+)(?::(?P<column>\d+))?)?")


@dataclass(frozen=True, slots=True)
class Vaulted:
    """A secret: its ciphertext, or (from a file encrypted as a whole) its clear text. Shown as neither."""

    ciphertext: str | None = None
    clear: str | None = None

    def __repr__(self) -> str:
        return "Vaulted(…)"


class Verbatim(str):
    """A text that Ansible does not take for a template, whatever it holds: others said it."""

    __slots__ = ()


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


def inventory_sources(folder: Path) -> list[Path]:
    """What stands for the inventory in a client's folder: `hosts`, `hosts.*` or `inventory*`."""
    named = [p for p in sorted(folder.glob("hosts*")) if p.name == "hosts" or p.stem == "hosts"]
    return named or sorted(p for p in folder.glob("inventory*") if p.stem == "inventory")


def program(name: str) -> str | None:
    """An Ansible program: beside this Python first, then on PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def read_inventory(
    workspace: Path,
    client: str,
    sources: list[Path],
    faults: Faults,
    *,
    cache: Path | None,
    kept: Path | None = None,
) -> Inventory | None:
    """Read one client's inventory; None, with the fault noted, if Ansible cannot. `cache` is a directory.

    `kept`: where readings are kept. A computed inventory that cannot be asked now (its source does not answer) is then
    the one that was last read, with a warning.
    """
    key = _cache_key(workspace, sources)
    if key is not None or kept is None or (before := last_read.last(kept, client)) is None:
        return _read(workspace, client, sources, faults, cache, key, kept, READ_TIMEOUT_S)
    own = Faults()
    found = _read(workspace, client, sources, own, cache, key, kept, PATIENCE_S)
    if found is not None:
        faults.warned += own.warned
        return found
    why = "; ".join(fault.message for fault in own.sorted())
    path = last_read.as_inventory(kept, client)
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


def as_it_was(client: str, sources: list[Path], reading: last_read.Reading) -> Inventory:
    """An inventory from a reading that was kept."""
    _hide(reading.merged, frozenset())
    _hide(reading.exported, frozenset())
    return _build(client, sources, reading.merged, reading.exported, ())


def _read(
    workspace: Path,
    client: str,
    sources: list[Path],
    faults: Faults,
    cache: Path | None,
    key: str | None,
    keeps: Path | None,
    timeout_s: float,
) -> Inventory | None:
    """From the cache, or by asking Ansible."""
    stored = cache / f"inventory-{client}.json" if cache and key else None
    if stored is not None and key is not None:
        kept = _from_cache(stored, key)
        if kept is not None:
            return _build(client, sources, *kept)
    command = program("ansible-inventory")
    at = Position(_relative(workspace, sources[0]))
    if command is None:
        faults.add(at, "ansible-inventory was not found", "ansible-core installed beside bascule or on PATH")
        return None
    arguments = [part for source in sources for part in ("-i", str(source))]
    alone = cache_prefixes(os.environ, kept_for(str(workspace.resolve()), client))  # as the runner has it
    # Two readings: hosts with their variables merged by Ansible's own precedence, and groups with their own.
    running = [
        subprocess.Popen(
            [command, *arguments, "--list", *extra],
            cwd=workspace,
            env={**os.environ, **alone, "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true", "ANSIBLE_NOCOLOR": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for extra in ([], ["--export"])
    ]
    outputs: list[dict[str, Any]] = []
    complaints = ""
    for process in running:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            for other in running:
                other.kill()
                other.communicate()
            faults.add(at, f"ansible-inventory did not end within {timeout_s:.0f} s", "an inventory that answers")
            return None
        complaints = complaints or err
        try:
            outputs.append(json.loads(out) if process.returncode == 0 else {})
        except json.JSONDecodeError:
            outputs.append({})
    if not all(outputs):
        _refused(workspace, sources, complaints, faults)
        return None
    secret_names = _names_in_vaulted_files(workspace, sources, faults)
    merged, exported = outputs
    if keeps is not None:
        if secret_names or encrypted_files(sources):
            last_read.forget(keeps, client)
        else:
            last_read.keep(keeps, client, merged, exported)
    _hide(merged, secret_names)
    _hide(exported, secret_names)
    warnings = tuple(line for line in _warnings(complaints))
    if stored is not None and not secret_names:
        _to_cache(stored, key or "", merged, exported, warnings)
    return _build(client, sources, merged, exported, warnings)


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


def inventory_files(sources: Sequence[Path]) -> list[Path]:
    """Every file that the inventory consists of: its sources, and group_vars and host_vars beside them.

    Links are followed, as Ansible follows them.
    """
    found: set[Path] = set()
    for source in sources:
        found.update(trees.files(source))
        if not source.is_dir():
            for folder in ("group_vars", "host_vars"):
                found.update(trees.files(source.parent / folder))
    return sorted(found)


def read_by_computed(sources: Sequence[Path]) -> list[Path]:
    """What a program among the sources may load from beside it; what it is told from elsewhere nobody can know."""
    found: set[Path] = set()
    for source in sources:
        inner = trees.files(source) if source.is_dir() else [source]
        for folder in {p.parent for p in inner if p.is_file() and is_computed(p)}:
            found.update(p for p in trees.files(folder) if p.suffix in _BESIDE_COMPUTED and p.name not in OURS)
    return sorted(found)


def is_computed(path: Path) -> bool:
    """Whether an inventory's file is a program, or the settings of a plug-in: what it says is only known by asking."""
    if path.suffix not in _STATIC_SUFFIXES:
        return True
    with path.open("rb") as file:
        content = file.read(_READ_BYTES)
    return (os.access(path, os.X_OK) and content.startswith(b"#!")) or re.search(rb"(?m)^plugin:", content) is not None


def encrypted_files(sources: Sequence[Path]) -> list[Path]:
    """Files of the inventory that are encrypted as a whole."""
    found = []
    for path in inventory_files(sources):
        with path.open("rb") as file:
            if file.read(15).startswith(b"$ANSIBLE_VAULT;"):
                found.append(path)
    return found


def _cache_key(workspace: Path, sources: list[Path]) -> str | None:
    """Digest of all that a static inventory is made of, and of what Ansible reads it with; None for a computed one.

    A plug-in that adds variables may compute them: where there is one beside Ansible's own, nothing is kept.
    """
    if computes_variables(workspace, os.environ):
        return None
    around = surroundings(workspace, os.environ)
    digest = hashlib.sha256(f"{_CACHE_FORMAT} {workspace}".encode())
    for name, told in sorted(around.items()):
        digest.update(f"{name}\0{told}\0".encode("utf-8", "surrogateescape"))
    for path in inventory_files(sources):
        in_sources = any(path == s or s in path.parents for s in sources)
        if in_sources and is_computed(path):
            return None
        digest.update(f"{path}\0{trees.read_digest(path)}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _from_cache(stored: Path, key: str) -> tuple[dict[str, Any], dict[str, Any], list[str]] | None:
    try:
        kept = json.loads(stored.read_text())
        if kept["key"] != key:
            return None
        for part in ("merged", "exported"):
            _hide(kept[part], frozenset())
        return kept["merged"], kept["exported"], kept["warnings"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _to_cache(stored: Path, key: str, merged: Any, exported: Any, warnings: tuple[str, ...]) -> None:
    """A cache that cannot be written is none."""
    kept = {"key": key, "merged": _marked(merged), "exported": _marked(exported), "warnings": warnings}
    text = json.dumps(kept, default=_encrypted)
    with contextlib.suppress(OSError):
        stored.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=stored.parent, prefix=stored.name)
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(temporary).replace(stored)


def _marked(value: Any) -> Any:
    """As Ansible wrote it: a text that is no template is marked as such."""
    if isinstance(value, Verbatim):
        return {"__ansible_unsafe": str(value)}
    if isinstance(value, dict):
        return {k: _marked(v) for k, v in value.items()}
    return [_marked(v) for v in value] if isinstance(value, list) else value


def _encrypted(value: Any) -> dict[str, str]:
    if isinstance(value, Vaulted) and value.ciphertext is not None:
        return {"__ansible_vault": value.ciphertext}
    raise TypeError(f"{value!r} does not belong into a cache")


def _hide(output: Any, secret_names: frozenset[str] | set[str]) -> None:
    """Replace, in place, what is secret by `Vaulted`."""
    items = (
        list(output.items())
        if isinstance(output, dict)
        else list(enumerate(output))
        if isinstance(output, list)
        else []
    )
    for key, value in items:
        if isinstance(value, dict) and set(value) == {"__ansible_vault"}:
            output[key] = Vaulted(ciphertext=str(value["__ansible_vault"]))
        elif isinstance(value, dict) and set(value) == {"__ansible_unsafe"}:
            output[key] = (
                Vaulted(clear=str(value["__ansible_unsafe"]))
                if key in secret_names
                else Verbatim(value["__ansible_unsafe"])
            )
        elif key in secret_names and isinstance(key, str):
            output[key] = _hidden(value)
        else:
            _hide(value, secret_names)


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _hidden(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_hidden(v) for v in value]
    return Vaulted(clear=str(value))


def _names_in_vaulted_files(workspace: Path, sources: list[Path], faults: Faults) -> set[str]:
    """Variables that stand in files encrypted as a whole."""
    names: set[str] = set()
    for path in encrypted_files(sources):
        command = program("ansible-vault") or "ansible-vault"
        done = subprocess.run(
            [command, "view", str(path)],
            cwd=workspace,
            env={**os.environ, "PAGER": "cat"},
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
        else:
            faults.add(
                Position(_relative(workspace, path)), "cannot be decrypted", "the vault password of ansible.cfg to fit"
            )
    return names


def _warnings(complaints: str) -> list[str]:
    return [
        block.removeprefix("[WARNING]:").strip().splitlines()[0]
        for block in re.split(r"(?m)^(?=\[)", complaints)
        if block.startswith("[WARNING]:")
    ]


def _refused(workspace: Path, sources: list[Path], complaints: str, faults: Faults) -> None:
    """Say in one line what Ansible said, at the place it named if it did."""
    if "no vault secrets" in complaints or "Decryption failed" in complaints:
        for path in encrypted_files(sources) or sources:
            wanted = "the vault password, or variables encrypted one by one"
            faults.add(Position(_relative(workspace, path)), "this file of the inventory cannot be decrypted", wanted)
        return
    at = Position(_relative(workspace, sources[0]))
    origin = next((m for m in _ORIGIN.finditer(complaints) if m["line"]), None)
    if origin:
        at = Position(_relative(workspace, Path(origin["file"])), int(origin["line"]), int(origin["column"] or 1))
    blocks = [b.strip() for b in re.split(r"(?m)^\[(?:WARNING|ERROR)\]:|^<<< caused by >>>", complaints) if b.strip()]
    wanted = {".ini": "'ini' plugin", ".py": "'script' plugin", ".sh": "'script' plugin"}.get(
        Path(at.file).suffix, "'yaml' plugin"
    )
    telling = [
        b for b in blocks if b.startswith("Failed to parse inventory with") and wanted in b.splitlines()[0]
    ] or blocks
    first = telling[0].splitlines()[0] if telling else "it said nothing"
    first = first.partition(f"{wanted}: ")[2] or first
    first = re.sub(r", found \"<class.*", "", first.replace(f"{workspace}/", ""))
    faults.add(at, f"ansible-inventory refused it: {first}", "an inventory that `ansible-inventory --list` reads")


def _relative(workspace: Path, path: Path) -> str:
    try:
        return str(path.resolve().relative_to(workspace.resolve()))
    except ValueError:
        return str(path)
