"""Files of a tree as Ansible would find them: links followed, and each file known by a digest.

The one rule it keeps: whatever could be read through a path is found through that path. A linked directory is entered,
a loop of links is walked once, and a file that is not regular is named and never opened (a pipe would wait for ever).
Only what nothing reads, or what only its maker reads, is left out:

    compiled Python in `__pycache__`     the runner has Python keep and look for it elsewhere
    `.git`, if git made it               unless somebody names the folder that it is in: then all of it is meant
    `.bascule` of a workspace            the controller's own state: beside `inventories`, or beside `playbooks`
    `.lock` beside `pyvenv.cfg`          uv's, which makes it so that everybody may write to it

A file is read once and then known by its signature (device, inode, size, both times). So a look at thousands of
unchanged files is as many calls of stat. A signature that is younger than the clock's resolution is not relied on.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

YOUNG_NS = 2_000_000_000  # a file changed so shortly before it was read may change again within one tick of its times
READ_BYTES = 1 << 20

Signature = tuple[int, int, int, int, int]

_known: dict[str, tuple[Signature, str]] = {}
_lock = threading.Lock()


def walk(top: Path, *, folders: bool = False, git: bool = False) -> Iterator[tuple[Path, os.stat_result | None]]:
    """Every file at or below `top` through whatever links, in a stable order; None for what cannot be looked at.

    With `folders`, each directory too; one that was walked already (a link to it, a loop) is given as itself, and not
    walked again. With `git`, what git keeps there.
    """
    seen: set[tuple[int, int]] = set()
    todo = [top]
    while todo:
        path = todo.pop()
        try:
            found = path.stat()
        except OSError:
            if path.is_symlink():  # it leads nowhere, and may lead somewhere tomorrow
                yield path, None
            continue
        if not stat.S_ISDIR(found.st_mode):
            yield path, found
            continue
        if (found.st_dev, found.st_ino) in seen:
            yield path, found
            continue
        seen.add((found.st_dev, found.st_ino))
        if folders:
            yield path, found
        try:
            names = sorted(os.listdir(path), reverse=True)
        except OSError:
            yield path, None
            continue
        todo += [path / name for name in names if not _is_passed_over(path, name, git)]


def _is_passed_over(folder: Path, name: str, git: bool) -> bool:
    if folder.name == "__pycache__":
        return name.endswith(".pyc")
    if name == ".git" and not git:
        return all((folder / name / made).exists() for made in ("HEAD", "objects", "refs"))
    if name == ".lock":
        return (folder / "pyvenv.cfg").exists()
    return name == ".bascule" and any((folder / beside).is_dir() for beside in ("inventories", "playbooks"))


def names(top: Path) -> Iterator[str]:
    """What everything below `top` is called, links followed; nothing is passed over."""
    seen: set[tuple[int, int]] = set()
    todo = [os.fspath(top)]
    while todo:
        folder = todo.pop()
        try:
            found = os.stat(folder)
            if (found.st_dev, found.st_ino) in seen:
                continue
            seen.add((found.st_dev, found.st_ino))
            with os.scandir(folder) as entries:
                for entry in entries:
                    yield entry.name
                    if entry.is_dir():
                        todo.append(entry.path)
        except OSError:
            continue  # a file, or what cannot be looked at


def files(top: Path, *, git: bool = False) -> Iterator[Path]:
    """Every ordinary file at or below `top`, links followed."""
    for path, found in walk(top, git=git):
        if found is not None and stat.S_ISREG(found.st_mode):
            yield path


def read_digest(path: Path, found: os.stat_result | None = None) -> str:
    """What a path holds: a digest of the contents of a file, else a word for what it is."""
    try:
        found = found or path.stat()
    except OSError:
        return "gone"
    if stat.S_ISDIR(found.st_mode):
        return f"directory {found.st_dev}:{found.st_ino}"
    if not stat.S_ISREG(found.st_mode):
        return "no ordinary file"
    signature = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    name = os.fspath(path)
    with _lock:
        known = _known.get(name)
    if known is not None and known[0] == signature:
        return known[1]
    began = time.time_ns()
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(READ_BYTES):
                digest.update(data)
    except OSError:
        return "cannot be read"
    told = digest.hexdigest()[:32]
    if began - max(found.st_mtime_ns, found.st_ctime_ns) > YOUNG_NS:
        with _lock:
            _known[name] = (signature, told)
    return told


def look_digest(path: Path, *, secret: bool = False) -> str:
    """What a path is by its size and times alone, unread: for what is large and not the workspace's, or `secret`.

    A file with several names (installers and backups link them) is read all the same, unless it is secret: its time of
    change is that of the others, too, and a name made or removed elsewhere would make it another file.
    """
    digest = hashlib.sha256()
    for inner, found in walk(path):
        if found is None:
            told = ""
        elif found.st_nlink > 1 and stat.S_ISREG(found.st_mode) and not secret:
            told = read_digest(inner, found)
        else:
            told = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"
        digest.update(f"{inner}\0{told}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]
