"""The files from which ssh reads its options, by default or where it is told to.

The one rule it keeps: they are found as ssh finds them, so that what is known of them is what ssh uses.
"""

from __future__ import annotations

import glob
import os
import pwd
import stat
from pathlib import Path

from orchestrator.core import ansible

_INCLUDES_MAX = 64  # files


def usual() -> list[str]:
    """Those that it reads where none is named."""
    return [f"{home()}/.ssh/config", "/etc/ssh/ssh_config"]


def files_of_ssh(given: str | None) -> list[tuple[str, int, int]]:
    """The files that ssh reads, each with its size and the time of its last change."""
    if given is not None and given.lower() == "none":
        return []
    wanted = [os.path.expanduser(given)] if given is not None else usual()
    found: dict[str, tuple[str, int, int]] = {}
    while wanted and len(found) < _INCLUDES_MAX:
        path = wanted.pop(0)
        try:
            state = os.stat(path)
        except OSError:
            continue
        if path in found or not stat.S_ISREG(state.st_mode):
            continue
        found[path] = (path, state.st_size, state.st_mtime_ns)
        wanted += included(path, text_of(Path(path)))
    return list(found.values())


def included(path: str, text: str) -> list[str]:
    """The files that this text of a file of ssh includes."""
    base = "/etc/ssh" if path.startswith("/etc/") else f"{home()}/.ssh"
    patterns = ansible.ssh_includes(text)
    return [name for x in patterns for name in sorted(glob.glob(os.path.join(base, os.path.expanduser(x))))]


def said_in(files: list[tuple[str, int, int]]) -> str:
    """All that these files of ssh say, in small letters."""
    return "".join(text_of(Path(path)) for path, _, _ in files).lower()


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def home() -> str:
    """As ssh has it: of the password file, whatever HOME says."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return os.path.expanduser("~")
