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

from orchestrator.config.faults import Faults, Position

READ_TIMEOUT_S = 120.0
_CACHE_FORMAT = 3
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
    workspace: Path, client: str, sources: list[Path], faults: Faults, *, cache: Path | None
) -> Inventory | None:
    """Read one client's inventory; None, with the fault noted, if Ansible cannot. `cache` is a directory."""
    key = _cache_key(workspace, sources)
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
    # Two readings: hosts with their variables merged by Ansible's own precedence, and groups with their own.
    running = [
        subprocess.Popen(
            [command, *arguments, "--list", *extra],
            cwd=workspace,
            env={**os.environ, "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true", "ANSIBLE_NOCOLOR": "true"},
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
            out, err = process.communicate(timeout=READ_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            for other in running:
                other.kill()
                other.communicate()
            faults.add(at, f"ansible-inventory did not end within {READ_TIMEOUT_S:.0f} s", "an inventory that answers")
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
    """Every file that the inventory consists of: its sources, and group_vars and host_vars beside them."""
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            files += [p for p in source.rglob("*") if p.is_file()]
            continue
        files.append(source)
        for folder in ("group_vars", "host_vars"):
            files += [p for p in (source.parent / folder).rglob("*") if p.is_file()]
    return sorted(set(files))


def encrypted_files(sources: Sequence[Path]) -> list[Path]:
    """Files of the inventory that are encrypted as a whole."""
    found = []
    for path in inventory_files(sources):
        with path.open("rb") as file:
            if file.read(15).startswith(b"$ANSIBLE_VAULT;"):
                found.append(path)
    return found


def _cache_key(workspace: Path, sources: list[Path]) -> str | None:
    """Digest of all that a static inventory is made of; None for one that is computed."""
    digest = hashlib.sha256(f"{_CACHE_FORMAT} {workspace}".encode())
    for name, value in sorted(os.environ.items()):
        if name.startswith("ANSIBLE_"):
            digest.update(f"{name}={value}\0".encode())
    files = inventory_files(sources)
    for path in [*files, workspace / "ansible.cfg", *(workspace / "playbooks" / "group_vars").rglob("*")]:
        if not path.is_file():
            continue
        content = path.read_bytes()
        in_sources = any(path == s or s in path.parents for s in sources)
        computed = os.access(path, os.X_OK) and content.startswith(b"#!")
        if in_sources and (path.suffix not in _STATIC_SUFFIXES or computed or re.search(rb"(?m)^plugin:", content)):
            return None
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
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
