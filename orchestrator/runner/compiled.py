"""What Python has compiled of the author's plug-ins: dropped before each playbook.

The one rule it keeps: a plug-in runs as it lies on disk. Python takes a source of the same size and time for the one
that it has compiled, and a copy that keeps times (`rsync -t`, `cp -p`) has both. So of plug-ins nothing is kept from
one playbook to the next. Of Python itself, Ansible and bascule it is: nobody edits these, and a playbook that is run
cold would compile them for seconds. What cannot be removed (another login's) is not used: the playbook gets an empty
folder of its own.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

_INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib")
_OF_THE_SYSTEM = ("/usr/lib", "/usr/local/lib")  # where modules on this machine have their Python from


def drop(kept: Path, workspace: Path) -> bool:
    """Remove all of it below `kept` but that of what is installed. Whether none of it is left."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = {*map(sysconfig.get_path, _INSTALLED), *_OF_THE_SYSTEM, ours}
    return _drop(str(kept), "/", installed, str(workspace), of_installed=False)


def _drop(folder: str, source: str, installed: set[str], workspace: str, *, of_installed: bool) -> bool:
    """`folder`: where what is compiled of `source` lies. The nearest of those named above it decides."""
    of_installed = source != workspace and (of_installed or source in installed)
    inside = source.rstrip("/") + "/"
    named = {path for path in (*installed, workspace) if path.startswith(inside)}
    if not named and of_installed:
        return True
    if not named:
        shutil.rmtree(folder, ignore_errors=True)
        return not os.path.lexists(folder)
    try:
        found = list(os.scandir(folder))
    except FileNotFoundError:
        return True  # nothing is kept
    except OSError:
        return False
    gone = True
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            gone &= _drop(entry.path, inside + entry.name, installed, workspace, of_installed=of_installed)
        elif not of_installed:
            try:
                os.unlink(entry.path)
            except OSError:  # another login's: a playbook is not kept from running by it
                gone = False
    return gone
