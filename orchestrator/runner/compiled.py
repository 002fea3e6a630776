"""What Python has compiled of the author's plug-ins: dropped before each playbook.

The one rule it keeps: a plug-in runs as it lies on disk. Python takes a source of the same size and time for the one
that it has compiled, and a copy that keeps times (`rsync -t`, `cp -p`) has both. So of plug-ins nothing is kept from
one playbook to the next. Of Python itself, Ansible and bascule it is: nobody edits these, and a playbook that is run
cold would compile them for seconds.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from contextlib import suppress
from pathlib import Path

_INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib")
_OF_THE_SYSTEM = ("/usr/lib", "/usr/local/lib")  # where modules on this machine have their Python from


def drop(kept: Path, workspace: Path) -> None:
    """Remove all of it below `kept` but that of what is installed."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = {*map(sysconfig.get_path, _INSTALLED), *_OF_THE_SYSTEM, ours}
    _drop(str(kept), "/", installed, str(workspace), of_installed=False)


def _drop(folder: str, source: str, installed: set[str], workspace: str, *, of_installed: bool) -> None:
    """`folder`: where what is compiled of `source` lies. The nearest of those named above it decides."""
    of_installed = source != workspace and (of_installed or source in installed)
    inside = source.rstrip("/") + "/"
    named = {path for path in (*installed, workspace) if path.startswith(inside)}
    if not named and of_installed:
        return
    if not named:
        shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        found = list(os.scandir(folder))
    except OSError:
        return  # nothing is kept
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            _drop(entry.path, inside + entry.name, installed, workspace, of_installed=of_installed)
        elif not of_installed:
            with suppress(OSError):  # another login's: a playbook is not kept from running by it
                os.unlink(entry.path)
