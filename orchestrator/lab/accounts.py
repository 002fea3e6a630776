"""The users of a lab's hosts: the machine's own names, and the lab's `ansible`, `postgres` and `sshd`.

Their numbers are the lab's own, so that a file's owner is the same on every host and every machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from orchestrator.lab.equipment import POSTGRES_ID, File

POSTGRES: Final = POSTGRES_ID
ANSIBLE: Final = 991
SSHD: Final = 992

_USERS = {
    "root": f"root:x:0:0:root:/root:/bin/{'bash' if Path('/bin/bash').exists() else 'sh'}",
    "postgres": f"postgres:x:{POSTGRES}:{POSTGRES}:PostgreSQL:/var/lib/postgresql:/bin/sh",
    "ansible": f"ansible:x:{ANSIBLE}:{ANSIBLE}:Ansible:/home/ansible:/bin/sh",
    "sshd": f"sshd:x:{SSHD}:65534::/run/sshd:/usr/sbin/nologin",
}
_GROUPS = {
    "root": "root:x:0:",
    "postgres": f"postgres:x:{POSTGRES}:",
    "ansible": f"ansible:x:{ANSIBLE}:",
}


def files() -> dict[str, File]:
    """passwd, group, shadow and what lets `ansible` become anybody without a password."""
    users = _without(Path("/etc/passwd"), set(_USERS), {POSTGRES, ANSIBLE, SSHD})
    groups = _without(Path("/etc/group"), set(_GROUPS), {POSTGRES, ANSIBLE})
    names = [line.partition(":")[0] for line in users]
    permit = "".join(f"{kind} {'sufficient' if kind == 'auth' else 'required'} pam_permit.so\n" for kind in _PAM)
    return {
        "/etc/passwd": File("\n".join([*_USERS.values(), *users]) + "\n"),
        "/etc/group": File("\n".join([*_GROUPS.values(), *groups]) + "\n"),
        # "*": no password opens the account, and yet (unlike "!") sshd does not take it for a locked one.
        "/etc/shadow": File("".join(f"{name}:*:19000:0:99999:7:::\n" for name in [*_USERS, *names]), 0o640),
        "/etc/sudoers": File("root ALL=(ALL:ALL) NOPASSWD: ALL\nansible ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440),
        "/etc/pam.d/sudo": File(permit),
        "/etc/pam.d/sudo-i": File(permit),
    }


_PAM = ("auth", "account", "password", "session")


def _without(path: Path, names: set[str], numbers: set[int]) -> list[str]:
    """The machine's own lines, but for these names and numbers."""
    kept = []
    for line in path.read_text().splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[0] not in names and not (fields[2].isdigit() and int(fields[2]) in numbers):
            kept.append(line)
    return kept
