"""Who else may write to what is read and run here.

The one rule it keeps: what runs with this user's rights was put there by this user or by root. Whoever may write to a
file, to a directory on the way to it, or to a link's target, decides what runs. So a workspace is refused as ssh
refuses a key to which others may write.

    what                                              refused where
    -------------------------------------------------------------------------------------------------
    files and folders of the workspace, `.bascule`    another user owns it; others may write
    what links lead to, roles and plug-ins elsewhere  the same
    directories above them, up to /, and above each   the same, but a sticky one (/tmp) may be everybody's
    link on the way, where it stands
    write permission of a group                       unless the group is the owner's own: named like the owner,
                                                      their primary group, and without another member
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

from orchestrator.config import trees

FOLDERS = ("playbooks", "inventories", "checks")
FILES = ("bascule.yml", "bascule.yaml", "ansible.cfg")
OURS = ".bascule"
NAMED = 20  # findings; a whole tree with one wrong umask is one thing to mend
LINKS_MAX = 40  # as the kernel has it
ACL = "system.posix_acl_access"


class WorkspaceUnsafe(Exception):
    """Others may write to what would be read and run: `findings` says what, and what to type."""

    def __init__(self, findings: list[tuple[Path, str]]) -> None:
        self.findings = findings
        told = "".join(f"\n  {path}: {why}" for path, why in findings)
        super().__init__(f"others may write to what would run here with the rights of user {os.getuid()}:{told}")


class Ownership:
    """Looks at paths; each directory is looked at once."""

    def __init__(self) -> None:
        self._folders: dict[str, tuple[Path, str] | None] = {}
        self._ways: dict[Path, tuple[Path, str] | None] = {}

    def against(self, path: Path) -> tuple[Path, str] | None:
        """The path that speaks against it (itself, or something on the way to it, link by link), and why."""
        try:
            found = path.stat()
        except OSError:
            return None  # what is not there runs nothing
        if (against := _against(path, found, above=False)) is not None:
            return against
        if path.is_symlink():
            return self._way_to(path)
        if path.parent not in self._ways:
            self._ways[path.parent] = self._way_to(path)
        return self._ways[path.parent]

    def _way_to(self, path: Path) -> tuple[Path, str] | None:
        """Against the first directory in which whoever opens this path looks up a part of it, or a link met there."""
        parts = path.absolute().parts[:0:-1]
        left, here, links = list(parts), "/", 0
        while left and links < LINKS_MAX:
            part = left.pop()
            if (against := self._folder(here)) is not None:
                return against
            if part == "..":
                here = os.path.dirname(here)
                continue
            there = os.path.join(here, part)
            try:
                target = os.readlink(there)
            except OSError:
                here = there
                continue
            links += 1
            if (against := _against_link(there, here)) is not None:
                return against
            here = "/" if target.startswith("/") else here
            left += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        return None

    def _folder(self, folder: str) -> tuple[Path, str] | None:
        if folder not in self._folders:
            try:
                self._folders[folder] = _against(Path(folder), os.stat(folder), above=True)
            except OSError:
                self._folders[folder] = None
        return self._folders[folder]


def _against_link(link: str, folder: str) -> tuple[Path, str] | None:
    """A link in a folder where everybody has their own (/tmp): whose it is may have it lead elsewhere."""
    found = os.lstat(link)
    if found.st_uid in (0, os.getuid()) or not os.stat(folder).st_mode & stat.S_ISVTX:
        return None
    return Path(link), f"it is a link that belongs to {_user(found.st_uid)}: remove it, or name what it leads to"


def unsafe(workspace: Path) -> list[tuple[Path, str]]:
    """What of a workspace others may write to, each with a sentence; each path once."""
    found: dict[Path, str] = {}
    ownership = Ownership()
    tops = [workspace, *(workspace / name for name in (*FILES, OURS))]
    inside = [path for top in FOLDERS for path, _ in trees.walk(workspace / top, folders=True)]
    ours = workspace / OURS
    state = sorted(ours.iterdir()) if ours.is_dir() and os.access(ours, os.R_OK) else []
    for path in [*tops, *inside, *state]:
        against = ownership.against(path)
        if against is not None:
            found.setdefault(*against)
        if len(found) >= NAMED:
            break
    return list(found.items())


def unsafe_parts(paths: Iterable[Path], ownership: Ownership | None = None) -> list[tuple[Path, str]]:
    """The same of single files, wherever they are."""
    ownership = ownership or Ownership()
    found = [against for path in paths if (against := ownership.against(path)) is not None]
    return list(dict(found).items())


def run_by_git(clone: Path | None) -> set[Path]:
    """What decides which programs git starts in a clone: hooks, and what its configuration names (filters, ssh)."""
    if clone is None:
        return set()
    top = clone / ".git"
    own = clone / _said_in(top).removeprefix("gitdir: ") if top.is_file() else top  # a worktree says where the rest is
    places = {top, own, own / _said_in(own / "commondir")}
    found = {clone, clone / ".gitattributes", own / "commondir", *places}
    for place in places:
        hooks = place / "hooks"
        found |= {place / x for x in ("config", "config.worktree", "info", "info/attributes")} | {hooks}
        found |= set(hooks.iterdir()) if hooks.is_dir() and os.access(hooks, os.R_OK) else set()
    return found


def _said_in(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _against(path: Path, found: os.stat_result, *, above: bool) -> tuple[Path, str] | None:
    if stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode) or stat.S_ISSOCK(found.st_mode):
        mode = stat.S_IMODE(found.st_mode)
        sticky = above and stat.S_ISDIR(found.st_mode) and bool(mode & stat.S_ISVTX)
        if found.st_uid not in (0, os.getuid()):
            who = _user(os.getuid())
            return path, f"it belongs to {_user(found.st_uid)}, not to {who} or root: chown {who} {path}"
        if mode & stat.S_IWOTH and not sticky:
            return path, f"everybody may write to it (mode {mode:04o}, owner {_user(found.st_uid)}): chmod go-w {path}"
        if mode & stat.S_IWGRP and not sticky and (why := _shared(path, found)):
            return path, f"{why} (mode {mode:04o}, owner {_user(found.st_uid)}): chmod g-w {path}"
    return None


def _shared(path: Path, found: os.stat_result) -> str:
    """Why the group's write permission is somebody else's too; empty where it is the owner's own."""
    try:
        if ACL in os.listxattr(path):
            return "an access control list lets others write to it"
    except OSError:
        pass  # a file system without any
    try:
        owner, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return f"group {found.st_gid} may write to it"
    private = group.gr_gid == owner.pw_gid and group.gr_name == owner.pw_name and set(group.gr_mem) <= {owner.pw_name}
    return "" if private else f"group {group.gr_name} may write to it"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
