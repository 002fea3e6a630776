"""The files from which ssh reads its options, by default or where it is told to.

The one rule it keeps: they are found as ssh finds them, so that what is known of them is what ssh uses.
"""

from __future__ import annotations

import glob
import os
import pwd
import shlex
import stat
from pathlib import Path

_INCLUDES_MAX = 64  # files


def files_of_ssh(given: str | None) -> list[tuple[str, int, int]]:
    """The files that ssh reads, each with its size and the time of its last change."""
    if given is not None and given.lower() == "none":
        return []
    wanted = [os.path.expanduser(given)] if given is not None else [f"{home()}/.ssh/config", "/etc/ssh/ssh_config"]
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
        base = "/etc/ssh" if path.startswith("/etc/") else f"{home()}/.ssh"
        for line in text_of(Path(path)).splitlines():
            word, _, rest = line.strip().replace("=", " ", 1).partition(" ")
            if word.lower() == "include":
                for pattern in _words(rest):
                    wanted += sorted(glob.glob(os.path.join(base, os.path.expanduser(pattern))))
    return list(found.values())


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []


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
