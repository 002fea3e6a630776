"""Names the machine that carries out playbooks, together with its memory of them.

The one rule it keeps: a machine that cannot have seen the result of an attempt has another name. So the name is kept
where the attempts are. If that folder is new, or was copied to another machine, there is a new name.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
from pathlib import Path

from orchestrator.runner.attempts import write_atomically

MACHINE_ID = Path("/etc/machine-id")


def machine_of(private: Path) -> str:
    """The name of this machine with these attempts, like `noc-3f9a2c71`; made and kept there if it has none.

    Raises OSError where it cannot be kept.
    """
    path, here = private / "machine.json", _fingerprint()
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["machine"] == here and kept["name"]:
            return str(kept["name"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    name = f"{socket.gethostname().partition('.')[0] or 'machine'}-{secrets.token_hex(4)}"
    write_atomically(path, {"name": name, "machine": here})
    return name


def _fingerprint() -> str:
    """A hash of machine-id(5), which is not to be shown as it is; empty where there is none (in some containers)."""
    try:
        known = MACHINE_ID.read_bytes().strip()
    except OSError:
        return ""
    return hashlib.sha256(b"bascule " + known).hexdigest()[:16] if known else ""
