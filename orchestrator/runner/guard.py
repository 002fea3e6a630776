"""The epoch guard: a play put before the author's playbook, in the same `ansible-playbook` call.

The one rule it keeps: a host that refuses the epoch ends the call before the author's first task. A host that cannot be
asked is met by the author's plays as it would be without us:

* One that does not answer yet (the playbook itself switches it on, or opens the way to it) is asked again when it is
  first reached: `first_reach.py`.
* One that has no shell, or is not reached by ssh (a container, by docker's own connection), is not guarded.

Whatever was done without the guard is named in the step's end. What it cannot do:

* It refuses at the start of a playbook, not in the middle of one.
* It does not see hosts that a playbook only names later (`delegate_to`, a group that `add_host` fills), nor where
  variables of the playbook have a host lead elsewhere than the inventory says (that is recorded, see
  `warm/zygote/guarded_places.py`).
* It cannot tell which of two copies of a journal is the original. It lets an equal epoch through for the controller
  that brought it first, and refuses the other one.

Rejected: `ansible-playbook --list-hosts` to learn the hosts (it takes a second, and does not see extra variables).
Instead the guard has the author's own `hosts:` patterns, with what a play says of its connection.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from orchestrator.runner import first_reach
from orchestrator.runner.epoch_script import BEGUN, KEPT, REFUSES, SCRIPT, STALE, UNGUARDED
from orchestrator.runner.guard_answers import Answer, Verdict, answer_of

__all__ = ["PLAY", "SCRIPT", "STALE", "UNGUARDED", "Aim", "aims", "asks_for", "keep_here", "write_guard"]

PLAY = "bascule: epoch guard"
ASKED = "BASCULE_ASKED"
"""Stands in the environment of a guarded playbook: where it is noted where the guard has asked, and what went not."""
AGAIN = "again"  # the directory of what stands in for ssh
EVERY_HOST = ["all", "localhost"]
_OWN_TAG = "bascule-epoch-guard"
_Strings = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml's where PyYAML has it
SHELLS = [
    *("ssh", "ansible.builtin.ssh", "ansible.legacy.ssh", "smart"),
    *("paramiko", "paramiko_ssh", "ansible.builtin.paramiko_ssh"),
]
HERE = ["local", "ansible.builtin.local"]
ON_TARGETS = "/var/lib/bascule"
_OF_A_PLAY = ("connection", "remote_user", "port")  # what a play may say of how its hosts are reached


class Aim(NamedTuple):
    """Hosts that are reached in one way: a pattern, and the play's own words about the connection."""

    hosts: str | list[str]
    how: tuple[tuple[str, str], ...] = ()


def write_guard(
    directory: Path,
    playbook: Path,
    *,
    workspace_id: str,
    epoch: int,
    mark: str = "",
    local: Path,
    ssh: str = "ssh",
    ssh_timeout: int = 10,
    tags: tuple[Collection[str], Collection[str]] = ((), ()),
) -> Path | None:
    """Write the guard for `playbook` into `directory`; None if the playbook names no hosts.

    `mark`: the controller's own, hexadecimal, while it has this epoch: one on a copied journal has another.
    `local` keeps the number for connections that stay on this machine. `ssh`: the program that Ansible is told to use,
    `ssh_timeout`: the seconds that it waits for a connection. `tags`: what Ansible's settings have it run, and skip.
    """
    try:
        found = aims(playbook)
    except (OSError, ValueError, yaml.YAMLError):
        return None  # Ansible cannot read it either, says why, and does nothing
    if not found:
        return None
    directory.mkdir(mode=0o700)
    # Connection variables may stand in group_vars beside the author's playbook.
    for name in ("group_vars", "host_vars"):
        if (playbook.parent / name).exists():
            (directory / name).symlink_to((playbook.parent / name).resolve())
    (directory / ASKED).mkdir(mode=0o700)
    named = f"epoch-{workspace_id} {epoch} {mark}".rstrip()
    script = shlex.quote(SCRIPT)
    enter = first_reach.prepare(directory / AGAIN, f"sh -c {script} {script} {ON_TARGETS} {named}", epoch)
    variables = {
        "bascule_guard_script": script,
        "bascule_guard_local": shlex.quote(str(local)),
        "bascule_guard_here": HERE,
        "bascule_guard_shells": [*SHELLS, *HERE],
        "bascule_guard_enter": enter,
        "bascule_guard_ssh": ssh,
        "bascule_guard_timeout": ssh_timeout,
        "bascule_guard_of": str(directory),
        "ansible_ssh_timeout": _PATIENCE,
        "ansible_ssh_retries": 0,
    }
    ways = list(dict.fromkeys(aim.how for aim in found))
    asked = f"bascule_guard_{secrets.token_hex(4)}"  # no inventory can say that a host was asked already
    plays = [
        {**_play(aim, f"{asked}_{ways.index(aim.how)}", named, epoch, variables), "tags": tags_of(*tags)}
        for aim in found
    ]
    path = directory / "guard.yml"
    path.write_text(json.dumps(plays, indent=1))  # JSON is YAML, and cannot be misquoted
    return path


def tags_of(run: Collection[str], skip: Collection[str]) -> list[str]:
    """The guard's own tags, so that it runs whatever of the author's is run or skipped (`[tags]` in ansible.cfg)."""
    if "always" not in skip:
        return ["always"]
    wanted = [tag for tag in run if tag not in ("all", "tagged", "untagged", *skip)]
    plain = "tagged" in skip or ("untagged" in run and not wanted)
    return [] if plain else wanted or [_OWN_TAG]


def keep_here(local: Path, *, workspace_id: str, epoch: int, mark: str = "") -> Answer:
    """Ask the controller itself, whatever the playbook names: many a task is delegated to it."""
    name = f"epoch-{workspace_id}"
    try:
        kept = (local / name).read_text().split()
        if kept == f"{epoch} {mark}".split():  # as at every step but the first of a controller
            return Answer(Verdict.KEPT)
    except (OSError, ValueError):
        pass
    words = ["sh", "-c", SCRIPT, SCRIPT, str(local), name, str(epoch), mark]
    given = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "errors": "replace"}
    done: subprocess.CompletedProcess[str] = subprocess.run(words, check=False, **given)  # type: ignore[call-overload]
    return answer_of(done.returncode, done.stdout, done.stderr, epoch=epoch)


# A host that is slow to let in is asked when it is met; but a password for `become` may take the author's whole time.
# Ansible itself cannot be asked for that: it would look at this variable.
_PATIENCE = (
    "{{ (hostvars[inventory_hostname].ansible_ssh_timeout"
    " | default(bascule_guard_timeout))"
    f" if ansible_become | default(false) | bool else {first_reach.EARLY_S} }}}}"
)


# What ends the call: it refuses, or a shell began the guard and did not end it. As `guard_answers.answer_of` has it.
_REFUSED = (
    f"{{asked}}.rc | default(0) | int == {REFUSES} or '{BEGUN}' in {{asked}}.stdout_lines | default([]) and"
    f" ({{asked}}.rc | default(0) | int != 0 or not ('{KEPT} {{epoch}}' in {{asked}}.stdout_lines"
    f" or '{UNGUARDED}' in {{asked}}.stdout))"
)


def _play(aim: Aim, asked: str, named: str, epoch: int, variables: dict[str, Any]) -> dict[str, Any]:
    """`asked`: the variable that says that a host was asked already, in the same way."""
    connection = f"ansible_connection | default({dict(aim.how).get('connection', 'ssh')!r})"
    tasks: list[dict[str, Any]] = [
        {
            "name": "refuse an action of an earlier controller",
            "ansible.builtin.raw": (
                "sh -c {{ bascule_guard_script }} {{ bascule_guard_script }} "
                f"{{{{ bascule_guard_local if {connection} in bascule_guard_here else '{ON_TARGETS}' }}}} {named}"
            ),
            "register": asked,
            "changed_when": False,
            "failed_when": _REFUSED.format(asked=asked, epoch=epoch),
            "ignore_unreachable": True,
            "when": f"{asked} is not defined and {connection} in bascule_guard_shells",
        },
        {
            "name": "go on to the author's plays",  # asked here; a task that is skipped would cost a process
            "ansible.builtin.meta": "end_host",
            # Below 0: ssh was ended by a signal before it was let in, and that is no answer.
            "when": f"not ({asked}.unreachable | default(false) or {asked}.rc | default(0) | int < 0)",
        },
        {
            "name": "ask again what did not answer, when it is reached",
            "ansible.builtin.set_fact": {
                "bascule_guard_again": "{{ bascule_guard_of }}",
                "ansible_ssh_executable": (
                    "{{ lookup('ansible.builtin.pipe', bascule_guard_enter ~ ' ' ~ (inventory_hostname | quote)"
                    " ~ ' ' ~ (ansible_ssh_executable | default(bascule_guard_ssh) | quote)) }}"
                ),
            },
            "when": "bascule_guard_again | default('') != bascule_guard_of",
        },
    ]
    return {
        "name": PLAY,
        "hosts": aim.hosts,
        **dict(aim.how),
        "gather_facts": False,
        # Any failure here ends the call before the author's first task all the same, because ansible-playbook
        # begins no further playbook after one that failed. Fatal errors would count the unreachable, too.
        "any_errors_fatal": False,
        "strategy": "ansible.builtin.linear",
        "check_mode": False,  # a playbook that only looks is refused to whoever is too old all the same
        "vars": variables,
        "tasks": tasks,
    }


def asks_again(variables: Mapping[str, Any]) -> bool:
    """Whether this host's guard is asked when the playbook reaches it: so this guard said, and no inventory."""
    said = variables.get("bascule_guard_again")
    return bool(said) and said == os.path.dirname(os.environ.get(ASKED, ""))


def met_elsewhere(directory: Path) -> Iterator[tuple[str, str]]:
    """Hosts in whose name tasks went where the guard has not asked, and where."""
    for path in sorted(directory.glob("*.met")):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if not path.with_suffix("").exists():
            yield str(found["host"]), str(found["where"])


def aims(playbook: Path) -> list[Aim]:
    """The `hosts:` patterns of a playbook, imported ones included; plain ones of one way together, to cost one play.

    Of a playbook that only Ansible can read (vaulted as a whole, imported from a collection): every host there is.
    Raises OSError, ValueError (no text) or yaml.YAMLError for a file that Ansible cannot read either.
    """
    plain: dict[tuple[tuple[str, str], ...], list[str]] = {}
    special: list[Aim] = []
    for aim in _hosts_of(playbook):
        parts = aim.hosts if isinstance(aim.hosts, list) else [aim.hosts]
        if any(mark in part for part in parts for mark in ("{{", "!", "&")):
            if aim not in special:
                special.append(aim)
        else:
            together = plain.setdefault(aim.how, [])
            together.extend(part for part in parts if part not in together)
    return [*(Aim(hosts, how) for how, hosts in plain.items()), *special]


def asks_for(playbook: Path, given: Collection[str]) -> str | None:
    """The first variable that a play asks for (`vars_prompt`) and that is not given; None: none that can be read here.

    Nobody answers, and Ansible would go on with no value at all.
    """
    try:
        for play in _plays_of(playbook, seen=set()):
            asked = (play or {}).get("vars_prompt")
            for each in asked if isinstance(asked, list) else ():
                name = each.get("name") if isinstance(each, dict) else None
                if _is_plain(name) and name not in given:
                    return str(name)
    except (OSError, ValueError, yaml.YAMLError):  # it is Ansible's to say what is wrong with it
        return None
    return None


def _hosts_of(playbook: Path) -> Iterator[Aim]:
    for play in _plays_of(playbook, seen=set()):
        if play is None:
            yield Aim(EVERY_HOST)
            continue
        hosts = play.get("hosts")
        if isinstance(hosts, str) or (isinstance(hosts, list) and all(isinstance(host, str) for host in hosts)):
            yield Aim(hosts, tuple((key, play[key]) for key in _OF_A_PLAY if _is_plain(play.get(key))))


def _plays_of(playbook: Path, seen: set[Path]) -> Iterator[dict[str, Any] | None]:
    """Each play, what is imported before what imports it; None for what only Ansible can read."""
    if playbook in seen:
        return
    seen.add(playbook)
    plays = yaml.load(playbook.read_text(encoding="utf-8"), Loader=_Strings)  # noqa: S506  (only strings)
    if not isinstance(plays, list):
        yield None
        return
    for play in plays:
        if not isinstance(play, dict):
            continue
        for key in ("import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook"):
            if isinstance(imported := play.get(key), str):
                words = imported.split(maxsplit=1)
                path = Path(os.path.normpath(playbook.parent / words[0])) if words else playbook.parent
                if path.is_file():
                    yield from _plays_of(path, seen)
                else:
                    yield None
        yield play


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "{{" not in value
