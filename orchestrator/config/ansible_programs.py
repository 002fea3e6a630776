"""Asks Ansible's own programs: where they are, the environment they get, and what they said in one line.

The one rule it keeps: they are asked as a playbook would be run, by `core/ansible.py`: with the same configuration
file, directory, home and locale. Only output that would stand between the lines of the answer is silenced.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from orchestrator.config.faults import Faults, Position
from orchestrator.config.inventory_files import encrypted_files
from orchestrator.config.surroundings import configured, start_directory
from orchestrator.core import ansible

_UNPARSED = re.compile(r"Unable to parse (/.+?) as an inventory source")
_WARNING = re.compile(r"\[(?:DEPRECATION )?WARNING\]:(.*)", re.DOTALL)
_SETTINGS = re.compile(
    r"(?:Error reading config file \(|Config '\w+' from ')(/[^\n]+?)(?:\)|' has)(?:.*?\[line +(\d+)\])?"
)
_ORIGIN = re.compile(r"Origin: (?P<file>/[^\n:]+)(?::(?P<line>\d+)(?::(?P<column>\d+))?)?")


def environment_to_ask(workspace: Path, environment: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    """The directory in which Ansible's programs are started to be asked, and their environment."""
    file, _settings = configured(workspace, environment)
    start = start_directory(workspace, file)
    given = {**environment, **ansible.SILENT, **ansible.locale_that_does(environment), "PWD": str(start)}
    given.pop("ANSIBLE_FORCE_COLOR", None)
    given["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    if file is not None and file.is_relative_to(workspace):
        given["ANSIBLE_CONFIG"] = str(file)
    return start, given


def program(name: str) -> str | None:
    """An Ansible program: beside this Python first, then on PATH."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def warnings_in(complaints: str) -> list[str]:
    """What it warned of, but for its advice how not to be told what is deprecated."""
    blocks = (_WARNING.match(block) for block in re.split(r"(?m)^(?=\[)", complaints))
    said = [found[1].strip().splitlines()[0] for found in blocks if found and found[1].strip()]
    return [line for line in said if not line.startswith("Deprecation warnings can be disabled")]


def note_refusal(workspace: Path, sources: list[Path], complaints: str, faults: Faults) -> None:
    """Say in one line what Ansible said, at the place it named if it did."""
    if "no vault secrets" in complaints or "Decryption failed" in complaints:
        for path in encrypted_files(sources) or sources:
            wanted = "the vault password, or variables encrypted one by one"
            faults.add(Position(relative(workspace, path)), "this file of the inventory cannot be decrypted", wanted)
        return
    if settings := _SETTINGS.search(complaints):
        at = Position(relative(workspace, Path(settings[1])), int(settings[2] or 0), 1 if settings[2] else 0)
        said = next(line for line in complaints.splitlines() if settings[1] in line)
        said = re.sub(r"^(?:\[?ERROR\]?: )?", "", said).replace(f"{workspace}/", "")
        faults.add(at, f"Ansible refuses it: {said}", "an ansible.cfg with which Ansible starts")
        return
    unparsed = _UNPARSED.search(complaints)
    at = Position(relative(workspace, Path(unparsed[1]) if unparsed else sources[0]))
    origin = next((m for m in _ORIGIN.finditer(complaints) if m["line"]), None)
    if origin:
        at = Position(relative(workspace, Path(origin["file"])), int(origin["line"]), int(origin["column"] or 1))
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


def relative(workspace: Path, path: Path) -> str:
    """A path as an operator has it: below the workspace where it is so, links as they are written."""
    if path.is_relative_to(workspace):
        return str(path.relative_to(workspace))
    try:
        return str(path.resolve().relative_to(workspace.resolve()))
    except ValueError:
        return str(path)
