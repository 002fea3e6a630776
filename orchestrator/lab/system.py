"""Finds the system programs the lab needs: the machine's own, or those that scripts/system-packages has unpacked.

The one rule it keeps: nothing is installed. What is missing is named, with the command that brings it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab.errors import LabError

PROGRAMS = ("ip", "nft", "conntrack", "ssh", "ssh-keygen", "sshd", "sudo", "start-stop-daemon")
_DIRECTORIES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class System:
    """Where the unpacked programs are (None: the machine has all), and the environment that finds them."""

    unpacked: Path | None

    def environment(self) -> dict[str, str]:
        """PATH and library path for programs that run outside the lab's hosts."""
        if self.unpacked is None:
            return {"PATH": _DIRECTORIES}
        usr = self.unpacked / "usr"
        libraries = [str(path) for path in (usr / "lib", *sorted((usr / "lib").glob("*-linux-*"))) if path.is_dir()]
        return {"PATH": f"{usr}/sbin:{usr}/bin:{_DIRECTORIES}", "LD_LIBRARY_PATH": ":".join(libraries)}


def home() -> Path:
    """The directory that holds the package: the repository, for an editable installation."""
    return Path(__file__).resolve().parent.parent.parent


def find(workspace: Path) -> System:
    """The system programs of this machine. Raises LabError naming what is missing and the command that brings it."""
    for candidate in (home(), workspace, Path.home() / ".cache" / "bascule"):
        unpacked = candidate / ".bascule-cache" / "system"
        if (unpacked / "usr").is_dir():
            found = System(unpacked)
            break
    else:
        found = System(None)
    path = found.environment()["PATH"]
    missing = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    if missing:
        script = home() / "scripts" / "system-packages"
        packages = "iproute2 nftables conntrack openssh-client openssh-server sudo"
        by_hand = f"Run apt-get install --no-install-recommends {packages}"
        bring = f"Run {script}" if script.exists() else by_hand
        raise LabError(f"The lab needs programs that are not on this machine: {', '.join(missing)}. {bring}")
    return found


def search_path() -> str:
    """PATH of everything that runs on a host."""
    return os.pathsep.join(("/opt/lab/venv/bin", _DIRECTORIES))
