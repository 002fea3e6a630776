"""The sources of a client's inventory: what `inventory` in its file names, else what its folder has.

The one rule it keeps: what looks like an inventory and is none of this client's, or the other way round, is said.
"""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.config.client import ClientFile
from orchestrator.config.faults import Faults, Position, nearest
from orchestrator.config.inventory_files import OURS, inventory_sources, not_read, ours_in

_SOURCE = "an inventory file, or a directory of them"


def inventory_of(folder: Path, file: ClientFile | None, faults: Faults) -> list[Path]:
    """What the client's file names, else what its folder has."""
    name = folder.name
    if file is not None and file.head.inventory:
        found = []
        for index, given in enumerate(file.head.inventory):
            path = folder / given
            if Path(given).is_absolute() and folder == folder.resolve():
                path = folder / os.path.relpath(given, folder)  # whose it is, is read off its path: see `words_for`
            if path.exists() and not (path.is_file() or path.is_dir()):
                faults.add(file.document.at("inventory", index), f"inventory {given!r} is no file", _SOURCE)
            elif path.exists():
                found.append(path)
                _warn_of_ours(file.document.at("inventory", index), path, faults)
            else:
                near = nearest(given, [p.name for p in folder.iterdir()])
                faults.add(
                    file.document.at("inventory", index),
                    f"there is no inventory {given!r}",
                    "" if near else "a path below this folder",
                    near,
                )
        return found
    found = inventory_sources(folder)
    if odd := [path for path in found if not (path.is_file() or path.is_dir())]:
        for path in odd:
            faults.add(Position(f"inventories/{name}/{path.name}"), "is no file", _SOURCE)
        return [path for path in found if path not in odd]
    if not found:
        known = [p.name for p in folder.iterdir() if p.name not in OURS]
        wanted = "hosts.yml, or the key 'inventory' in services.yml"
        faults.add(
            Position(f"inventories/{name}"), f"client {name} has no inventory", wanted, nearest("hosts.yml", known)
        )
    for other in not_read(folder, found) if found else ():
        both = ", ".join([*(path.name for path in found), other])
        said = f"is not read: the inventory of client {name} is {', '.join(path.name for path in found)}"
        wanted = f"'inventory: [{both}]' in services.yml, if it belongs to it"
        faults.warn(Position(f"inventories/{name}/{other}"), said, wanted)
    return found


def _warn_of_ours(at: Position, source: Path, faults: Faults) -> None:
    if ours := ours_in(source):
        said = f"Ansible reads all of {source.name}, and takes {ours} in it for an inventory with groups of its own"
        faults.warn(at, said, f"{ours} in a folder of its own, or the inventory's files one by one")
