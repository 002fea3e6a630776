"""What a lab is built from, as one JSON argument from `lab up` to the supervisor.

Everything about the machine (where Python, workspace and programs are) is found out once, outside the lab, and passed
in.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab import system
from orchestrator.lab.disk import Surroundings
from orchestrator.lab.errors import LabError
from orchestrator.lab.system import System


@dataclass(frozen=True)
class Spec:
    """A lab to be: name, its directory below /run/bascule-lab, and what of the machine its hosts see."""

    name: str
    directory: Path
    workspace: Path
    keep: tuple[Path, ...]
    venv: Path
    python: Path
    unpacked: Path | None
    postgresql: Path | None
    console_token: str

    @staticmethod
    def here(name: str, directory: Path, workspace: Path, postgresql: Path | None) -> Spec:
        """From the Python that runs this."""
        venv = Path(sys.prefix)
        wanted = [workspace, system.home(), venv, Path(sys.base_prefix)]
        keep: list[Path] = []
        for path in sorted({path.resolve() for path in wanted} | {Path(path) for path in wanted}):
            # /usr is there anyway, and what lies below a kept directory comes with it.
            if not any(path == other or other in path.parents for other in (*keep, Path("/usr"))):
                keep.append(path)
        base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        return Spec(
            name=name,
            directory=directory,
            workspace=workspace,
            keep=tuple(keep),
            venv=venv,
            python=base,
            unpacked=system.find(workspace).unpacked,
            postgresql=postgresql,
            console_token=secrets.token_urlsafe(24),
        )

    def to_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                key: [str(item) for item in value] if isinstance(value, tuple) else str(value)
                for key, value in vars(self).items()
                if value is not None
            }
        )

    @staticmethod
    def from_json(text: str) -> Spec:
        """What `to_json` gave."""
        given = json.loads(text)
        return Spec(
            name=given["name"],
            directory=Path(given["directory"]),
            workspace=Path(given["workspace"]),
            keep=tuple(Path(path) for path in given["keep"]),
            venv=Path(given["venv"]),
            python=Path(given["python"]),
            unpacked=Path(given["unpacked"]) if "unpacked" in given else None,
            postgresql=Path(given["postgresql"]) if "postgresql" in given else None,
            console_token=given["console_token"],
        )

    def system(self) -> System:
        """The system programs."""
        return System(self.unpacked)

    def surroundings(self, keys: Path, power_sockets: Path) -> Surroundings:
        """What the hosts share."""
        return Surroundings(
            keep=self.keep,
            venv=self.venv,
            python=self.python,
            unpacked=self.unpacked,
            postgresql=self.postgresql,
            keys=keys,
            console_token=self.console_token,
            power_sockets=power_sockets,
        )


def make_keys(directory: Path, names: list[str], environment: dict[str, str]) -> None:
    """One ed25519 key pair a name, all at once."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", ""]
    started = [
        subprocess.Popen([*command, "-C", name, "-f", str(directory / name)], env=environment, stdin=subprocess.DEVNULL)
        for name in names
    ]
    failed = [name for name, process in zip(names, started, strict=True) if process.wait() != 0]
    if failed:
        raise LabError(f"ssh-keygen made no key for {', '.join(failed)}")
