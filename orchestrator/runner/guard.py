"""The epoch guard: a play put before the author's playbook, in the same `ansible-playbook` call.

The one rule it keeps: a host that did not accept the epoch is not acted upon by this call. A host that refuses it
ends the call before the author's first task. A host that could not be reached stays unreachable (at no further cost)
wherever the author's plays meet it, so that the author's own handling (`ignore_unreachable`, `any_errors_fatal`) holds.

What it cannot do: it refuses at the start of a playbook, not in the middle of one; it does not see hosts that a
playbook only names later (`delegate_to`, a group that `add_host` fills); and it lets an equal epoch through, since the
same controller comes again with every step: of two copies of a journal it cannot tell which is the original.

Rejected: `ansible-playbook --list-hosts` to learn the hosts (a second, and blind to extra variables); instead the
guard has the author's own `hosts:` patterns.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import yaml

PLAY = "bascule: epoch guard"
STALE = "bascule-stale-epoch"
UNGUARDED = "bascule-unguarded"
EVERY_HOST = ["all", "localhost"]
_Strings = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml's where PyYAML has it
SHELLS = ["ssh", "ansible.builtin.ssh", "smart", "paramiko", "paramiko_ssh"]
HERE = ["local", "ansible.builtin.local"]

# Arguments: directory, file name, epoch. Exit code 79 refuses. Without root it keeps the number in the home directory
# (a guard for this login only); where nothing can be written it says so and lets the playbook run.
SCRIPT = r"""
d=$1 f=$2 e=$3
if [ ! -w "$d" ] && [ "$(id -u)" != 0 ]; then
  if [ -z "$4" ] && command -v sudo >/dev/null 2>&1; then
    sudo -n sh -c "$0" "$0" "$d" "$f" "$e" s
    r=$?; case $r in 1|126|127|134|139) ;; *) exit $r;; esac # it may not, or cannot run
  fi
  mkdir -p "$d" 2>/dev/null && [ -w "$d" ] || d=$HOME/.bascule
fi
mkdir -p "$d" 2>/dev/null; cd "$d" 2>/dev/null || { echo "UNGUARDED $d cannot be used"; exit 0; }
( : >>"$f.lock" ) 2>/dev/null || { echo "UNGUARDED $d cannot be written"; exit 0; }
exec 9>>"$f.lock"
if command -v flock >/dev/null 2>&1; then flock -w 10 9 || { echo "UNGUARDED $f.lock is held"; exit 0; }; fi
o=0; [ -r "$f" ] && read -r o <"$f"
case "$o" in ''|*[!0-9]*) o=0;; esac
if [ "$e" -lt "$o" ]; then echo "STALE $e $o"; exit 79; fi
[ "$e" -eq "$o" ] && exit 0
{ echo "$e" >"$f.new" && { sync "$f.new" 2>/dev/null || :; } && mv -f "$f.new" "$f"; } 2>/dev/null ||
  echo "UNGUARDED $d/$f cannot be written"
exit 0
""".replace("STALE", STALE).replace("UNGUARDED", UNGUARDED)

# Stands in for ssh on a host that did not answer the guard: Ansible reads 255 as unreachable.
NO_ANSWER = "#!/bin/sh\necho 'it did not answer the epoch guard' >&2\nexit 255\n"


def write_guard(directory: Path, playbook: Path, *, workspace_id: str, epoch: int, local: Path) -> Path | None:
    """Write the guard for `playbook` into `directory`; None if the playbook names no hosts.

    `local` keeps the number for connections that stay on this machine.
    """
    try:
        patterns = host_patterns(playbook)
    except (OSError, ValueError, yaml.YAMLError):
        return None  # Ansible cannot read it either, says why, and does nothing
    if not patterns:
        return None
    directory.mkdir(mode=0o700)
    # Connection variables may stand in group_vars beside the author's playbook.
    for name in ("group_vars", "host_vars"):
        if (playbook.parent / name).exists():
            (directory / name).symlink_to((playbook.parent / name).resolve())
    no_answer = directory / "no-answer"
    no_answer.write_text(NO_ANSWER)
    no_answer.chmod(0o700)
    tasks: list[dict[str, Any]] = [
        {
            "name": "refuse an action of an earlier controller",
            "ansible.builtin.raw": (
                "sh -c {{ bascule_guard_script }} {{ bascule_guard_script }} "
                "{{ bascule_guard_local if ansible_connection | default('ssh') in bascule_guard_here"
                " else '/var/lib/bascule' }} "
                f"epoch-{workspace_id} {epoch}"
            ),
            "register": "bascule_guard",
            "changed_when": False,
            "ignore_unreachable": True,
            "when": "bascule_guard is not defined and ansible_connection | default('ssh') in bascule_guard_shells",
        },
        {
            "name": "go on to the author's plays",  # asked here; a task that is skipped would cost a process
            "ansible.builtin.meta": "end_host",
            "when": "not (bascule_guard.unreachable | default(false))",
        },
        {
            "name": "leave alone what did not answer",
            "ansible.builtin.set_fact": {
                "ansible_connection": "ansible.builtin.ssh",
                "ansible_ssh_executable": str(no_answer),
                "ansible_ssh_retries": 0,
            },
        },
    ]
    variables = {
        "bascule_guard_script": shlex.quote(SCRIPT),
        "bascule_guard_local": shlex.quote(str(local)),
        "bascule_guard_here": HERE,
        "bascule_guard_shells": [*SHELLS, *HERE],
    }
    plays = [
        {
            "name": PLAY,
            "hosts": pattern,
            "gather_facts": False,
            # Any failure here ends the call before the author's first task all the same, because ansible-playbook
            # begins no further playbook after one that failed. Fatal errors would count the unreachable, too.
            "any_errors_fatal": False,
            "strategy": "ansible.builtin.linear",
            "tags": ["always"],
            "vars": variables,
            "tasks": tasks,
        }
        for pattern in patterns
    ]
    path = directory / "guard.yml"
    path.write_text(json.dumps(plays, indent=1))  # JSON is YAML, and cannot be misquoted
    return path


def host_patterns(playbook: Path) -> list[str | list[str]]:
    """The `hosts:` patterns of a playbook, imported ones included; plain ones together, to cost one play.

    Of a playbook that only Ansible can read (vaulted as a whole, imported from a collection): every host there is.
    Raises OSError, ValueError (no text) or yaml.YAMLError for a file that Ansible cannot read either.
    """
    plain: list[str] = []
    special: list[str | list[str]] = []
    for hosts in _hosts_of(playbook, seen=set()):
        parts = hosts if isinstance(hosts, list) else [hosts]
        if any(mark in part for part in parts for mark in ("{{", "!", "&")):
            if hosts not in special:
                special.append(hosts)
        else:
            plain.extend(part for part in parts if part not in plain)
    return ([plain] if plain else []) + special


def _hosts_of(playbook: Path, seen: set[Path]) -> list[str | list[str]]:
    if playbook in seen:
        return []
    seen.add(playbook)
    plays = yaml.load(playbook.read_text(encoding="utf-8"), Loader=_Strings)  # noqa: S506  (only strings)
    if not isinstance(plays, list):
        return [EVERY_HOST]
    found: list[str | list[str]] = []
    for play in plays:
        if not isinstance(play, dict):
            continue
        for key in ("import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook"):
            if isinstance(imported := play.get(key), str):
                found.extend(_hosts_of_import(playbook.parent, imported, seen))
        hosts = play.get("hosts")
        if isinstance(hosts, str) or (isinstance(hosts, list) and all(isinstance(host, str) for host in hosts)):
            found.append(hosts)
    return found


def _hosts_of_import(directory: Path, imported: str, seen: set[Path]) -> list[str | list[str]]:
    path = Path(os.path.normpath(directory / imported.split(maxsplit=1)[0])) if imported.strip() else directory
    return _hosts_of(path, seen) if path.is_file() else [EVERY_HOST]
