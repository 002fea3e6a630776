"""The parameters of every word: who says it, why, in which workspace, and whether to wait.

The one rule it keeps: a word bears a person's name. It is `--by`, else $BASCULE_OPERATOR, else the login name (under
sudo, that of the caller). A bare `root` is nobody's name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from orchestrator.cli.failures import CallWrong
from orchestrator.core.outside import REASON_MAX, name_fault


@Parameter(name="*")
@dataclass(frozen=True)
class Speaker:
    """Who speaks, and how."""

    by: str | None = None
    """Name of the person who says it; else $BASCULE_OPERATOR, else the login name."""
    reason: str = ""
    """Why; it stands in the record."""
    wait: bool = True
    """Wait for the end of the run and show its steps."""
    word_id: str | None = None
    """Repeat an earlier word by its id: the answer is the same, and nothing happens twice."""
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False
    """Print the answer, and the run's account when it has ended, as JSON."""
    workspace: Path | None = None
    """The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/."""

    @property
    def named(self) -> bool:
        """Whether the name was given with the word, and not taken from the account."""
        return self.by is not None

    def name(self) -> str:
        """The name that the word bears. Raises CallWrong where there is none."""
        name = (self.by or os.environ.get("BASCULE_OPERATOR") or os.environ.get("SUDO_USER") or _login()).strip()
        if not name or (name == "root" and not self.by):
            raise CallWrong(
                "a word needs the name of the person who says it, and root is nobody's name",
                "Say it: --by NAME, or set BASCULE_OPERATOR",
            )
        if why := name_fault(name):
            raise CallWrong(f"the name of the person who says it {why}", "Say it in plain letters: --by NAME")
        return name

    def why(self) -> str:
        """The reason that the word bears. Raises CallWrong where it could not be read in a record."""
        if fault := name_fault(self.reason, REASON_MAX):
            raise CallWrong(f"--reason {fault}", "Say it on one line, in plain letters")
        return self.reason


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
