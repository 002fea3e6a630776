"""Where the daemon of a workspace listens.

The one rule it keeps: both sides find the same socket from the workspace alone. It is `.bascule/socket` in the
workspace. A Unix socket's path may be 107 bytes long at most; where the workspace lies too deep for that, the socket
goes to a private directory named after the workspace (`/run/bascule-HASH` for root, else
`$XDG_RUNTIME_DIR/bascule-HASH`,
else `/tmp/bascule-UID-HASH`), and `.bascule/socket.path` says so to clients of any user.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

PATH_BYTES_MAX = 107
POINTER = "socket.path"


class UnsafeDirectory(Exception):
    """The directory for the socket belongs to somebody else, or others may write to it."""


def where_to_listen(workspace: Path) -> Path:
    """The path for the daemon; makes its directory (0700) and, where needed, the pointer beside it.

    Raises UnsafeDirectory, OSError.
    """
    home = workspace.resolve() / ".bascule"
    _private(home)
    usual, pointer = home / "socket", home / POINTER
    if len(os.fsencode(usual)) <= PATH_BYTES_MAX:
        pointer.unlink(missing_ok=True)
        return usual
    short = _short_directory(workspace) / "socket"
    _private(short.parent)
    draft = home / f"{POINTER}.{os.getpid()}"
    draft.write_text(f"{short}\n", encoding="utf-8")
    draft.replace(pointer)
    return short


def where_to_speak(workspace: Path) -> Path:
    """The path for a client; nothing is made, and nobody need listen there."""
    home = workspace.resolve() / ".bascule"
    usual, pointer = home / "socket", home / POINTER
    if len(os.fsencode(usual)) <= PATH_BYTES_MAX:
        return usual
    try:
        return Path(pointer.read_text(encoding="utf-8").strip())
    except OSError:
        return _short_directory(workspace) / "socket"


def _short_directory(workspace: Path) -> Path:
    mark = hashlib.sha256(os.fsencode(workspace.resolve())).hexdigest()[:16]
    uid = os.getuid()
    if uid == 0:
        return Path(f"/run/bascule-{mark}")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and len(os.fsencode(runtime)) < PATH_BYTES_MAX - 40:
        return Path(runtime) / f"bascule-{mark}"
    return Path(f"/tmp/bascule-{uid}-{mark}")  # noqa: S108 (owner and mode are checked below)


def _private(directory: Path) -> None:
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
