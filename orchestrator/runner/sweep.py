"""Looks on targets for what a stopped attempt left running there, and ends it.

The one rule it keeps: it says what it knows. A target that cannot be asked, or on which the mark did not arrive, is
named as unknown, never as clean. All answers come as one text, so each host signs its own with a word that no other
host has. So what one host prints says nothing of another.
"""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.runner import leftovers, settings
from orchestrator.runner.environment import CALLBACKS

SWEEP_LIMIT_S = 15.0
_ANSWER = re.compile(r"^bascule-swept ([0-9a-f]{64}) (\d{1,7}) (\d{1,7}) (\w{1,8})\s*$", re.MULTILINE)
_OF_THE_RUNNER = ("ANSIBLE_STDOUT_CALLBACK", "ANSIBLE_CALLBACK_PLUGINS", "AWX_ISOLATED_DATA_DIR")


def sweep(
    hosts: Sequence[str],
    *,
    mark: str,
    inventories: Sequence[str],
    directory: str,
    environment: Mapping[str, str],
    patience_s: int = 0,
    limit_s: float = SWEEP_LIMIT_S,
) -> str:
    """End what the attempt left on `hosts`; returns a sentence about what is not known to be clean.

    `environment` is that of the attempt's own ansible-playbook; takes at most `limit_s` + `patience_s` seconds.
    """
    if not hosts:
        return ""
    secret = secrets.token_hex(32)
    given = dict(environment) | {
        settings.MARK: f"sweep-{mark}",
        "ANSIBLE_TIMEOUT": "3",
        leftovers.NONCE: secret,
    }
    given = {name: value for name, value in given.items() if name not in _OF_THE_RUNNER}
    given |= {
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "bascule_apart",
    }
    module = ["-m", "ansible.builtin.raw", "-a", leftovers.sweep_command(mark, patience_s)]
    inventory = [part for path in inventories for part in ("-i", path)]
    own = Path(sys.executable).with_name("ansible")  # whatever is called so on a person's PATH
    command = [str(own) if own.exists() else "ansible", *module, *inventory, ",".join(hosts)]
    printed = _run(command, directory, given, limit_s + patience_s)
    answers = {word: (int(there), int(left), arrived) for word, there, left, arrived in _ANSWER.findall(printed)}
    said = (_sentence(host, answers.get(leftovers.word_of(secret, host))) for host in hosts)
    return "; ".join(filter(None, said))


def _run(command: Sequence[str], directory: str, environment: Mapping[str, str], limit_s: float) -> str:
    try:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
    except OSError:
        return ""
    with process:
        try:
            return process.communicate(timeout=limit_s)[0]
        except subprocess.TimeoutExpired:
            leftovers.end_all([process.pid], roots=[process.pid], grace_s=0.0)
            return process.communicate()[0]


def _sentence(host: str, answer: tuple[int, int, str] | None) -> str:
    if answer is None:
        return f"{host} could not be asked afterwards: what still runs there is unknown"
    there, left, arrived = answer
    if left:
        return f"{left} of its processes on {host} could not be ended"
    if there:
        return f"ended {there} of its processes on {host}"
    if arrived != "yes":
        return f"{host} does not accept {settings.MARK} (AcceptEnv of its ssh server): what still runs there is unknown"
    return ""
