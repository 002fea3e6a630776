"""Where the daemon of a workspace listens.

The one rule it keeps: both sides find the same socket from the workspace alone, and nobody else can take its place.

It is `.bascule/socket` in the workspace, and where `.bascule` is a link, in the folder on another disk to which it
leads. A Unix socket's path may be 107 bytes long at most. If that lies too deep for it, the socket goes to a private
directory named after the workspace: `/run/bascule-HASH` for root, else `$XDG_RUNTIME_DIR/bascule-HASH`, else
`/tmp/bascule-UID-HASH`. If that exists and is not private, it is left alone, and a name is taken that nobody can
foresee. `.bascule/socket.path` tells it to clients of any user. Clients ask the kernel who listens before they say
anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

PATH_BYTES_MAX = 107
POINTER = "socket.path"
UNFORESEEN = "bascule-at-"


class UnsafeDirectory(Exception):
    """The directory for the socket belongs to somebody else, or others may write to it."""


def where_to_listen(workspace: Path) -> Path:
    """The path for the daemon; makes its directory (0700) and, where needed, the pointer beside it.

    Raises UnsafeDirectory, OSError.
    """
    home = _home(workspace)
    _private(home)
    usual, pointer = home / "socket", home / POINTER
    if len(os.fsencode(usual)) <= PATH_BYTES_MAX:
        pointer.unlink(missing_ok=True)
        return usual
    short = _taken(_short_directory(workspace), pointer) / "socket"
    draft = home / f"{POINTER}.{os.getpid()}"
    draft.write_text(f"{short}\n", encoding="utf-8")
    draft.replace(pointer)
    return short


def where_to_speak(workspace: Path) -> Path:
    """The path for a client; nothing is made, and nobody need listen there."""
    home = _home(workspace)
    usual, pointer = home / "socket", home / POINTER
    if len(os.fsencode(usual)) <= PATH_BYTES_MAX:
        return usual
    try:
        return Path(pointer.read_text(encoding="utf-8").strip())
    except OSError:
        expected = _short_directory(workspace)
        # Where it is no socket of anybody, it is no daemon either: who made the directory does not matter.
        return expected / "socket" if os.access(expected, os.X_OK) or not expected.exists() else usual


def _home(workspace: Path) -> Path:
    """The folder of the controller's state; where it is a link to one on another disk, that one."""
    return (workspace.resolve() / ".bascule").resolve()


def owner_of(workspace: Path) -> int | None:
    """The user whose workspace it is: a daemon of theirs is believed."""
    try:
        return workspace.stat().st_uid
    except OSError:
        return None


def leave(path: Path, workspace: Path) -> None:
    """What a daemon takes with it when it ends: the word of where it listened, and a directory made for it alone."""
    pointer = _home(workspace) / POINTER
    with contextlib.suppress(OSError):
        if pointer.read_text(encoding="utf-8").strip() == str(path):
            pointer.unlink()
        if path.parent.name.startswith(UNFORESEEN):
            path.parent.rmdir()


def _taken(wanted: Path, pointer: Path) -> Path:
    """A private directory: this one, else the one that was taken before, else a new one."""
    try:
        _private(wanted)
    except (UnsafeDirectory, PermissionError, FileExistsError):
        with contextlib.suppress(OSError, UnsafeDirectory):
            before = Path(pointer.read_text(encoding="utf-8").strip()).parent
            if before.name.startswith(UNFORESEEN):
                _private(before, make=False)
                return before
        return Path(tempfile.mkdtemp(prefix=UNFORESEEN))
    return wanted


def _short_directory(workspace: Path) -> Path:
    mark = hashlib.sha256(os.fsencode(workspace.resolve())).hexdigest()[:16]
    uid = os.getuid()
    if uid == 0:
        return Path(f"/run/bascule-{mark}")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and len(os.fsencode(runtime)) < PATH_BYTES_MAX - 40:
        return Path(runtime) / f"bascule-{mark}"
    return Path(f"/tmp/bascule-{uid}-{mark}")  # noqa: S108 (owner and mode are checked below)


def _private(directory: Path, make: bool = True) -> None:
    if make:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeDirectory(f"{directory} is no directory; the socket needs a private one there")
    if found.st_uid != os.getuid():
        if os.getuid() == 0 and not found.st_mode & 0o022:
            return  # root in a user's workspace: only that user and root can write there
        raise UnsafeDirectory(f"{directory} belongs to user {found.st_uid}, not to user {os.getuid()} who runs this")
    if found.st_mode & 0o077:
        directory.chmod(0o700)
