# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs in to hosts as a playbook would, and so keeps their connections open.

The one rule it keeps: it is a playbook like any other, forked like any other; so what it finds is what the next step
would find, with the author's inventory, configuration, keys and jump hosts.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any

from orchestrator.runner import settings
from orchestrator.runner.warm.zygote import forked

# `ping` needs Python there, and has Mitogen connect meanwhile; that it failed is no login that failed.
PLAY = {
    "name": "bascule: logins",
    "gather_facts": False,
    "any_errors_fatal": False,
    "strategy": "ansible.builtin.linear",
    "tasks": [
        {"name": "log in", "ansible.builtin.raw": ":", "changed_when": False},
        {"name": "have a connection", "ansible.builtin.ping": {}, "ignore_errors": True, "ignore_unreachable": True},
    ],
}


def look(asker: socket.socket, built: Any) -> None:
    """Answer {"inventories", "hosts", "become", "limit_s"} with a line for each host, as it is known; never returns."""
    data = b""
    while not data.endswith(b"\n"):
        more = asker.recv(65536)
        if not more:
            os._exit(0)
        data += more
    asked = json.loads(data)
    signal.setitimer(signal.ITIMER_REAL, asked["limit_s"])  # whatever hangs, it does not hang for ever
    directory = Path(tempfile.mkdtemp(dir=built.directory))
    quiet = os.open(os.devnull, os.O_RDWR)
    given = {**os.environ, settings.MARK: settings.NO_MARK, "ANSIBLE_LOCAL_TEMP": str(directory)}
    given["AWX_ISOLATED_DATA_DIR"] = str(directory)
    call = {"env": given, "cwd": built.cwd, "umask": 0o077, "files": (4096, 4096), "argv": ["ansible-playbook"]}
    playbook = directory / "logins.yml"
    playbook.write_text(
        json.dumps([{**PLAY, "hosts": asked["hosts"], **({"become": True} if asked["become"] else {})}])
    )
    forked.become(call, quiet, built, terminal_is_ours=False)
    without_callbacks()
    sources = [part for source in asked["inventories"] for part in ("-i", source)]
    forked.play(["ansible-playbook", *sources, "--forks", "50", str(playbook)])
    for host, (fine, why) in outcomes(directory / "job_events", asked["become"]).items():
        forked.say(asker, {"host": host, "ok": fine, "why": why})
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


def without_callbacks() -> None:
    """The author's callbacks tell people of playbooks, and keep books of them: a mere look is none of theirs."""
    import ansible.constants as constants
    from ansible.plugins.loader import callback_loader

    constants.CALLBACKS_ENABLED = []
    callback_loader.all = lambda *_given, **_named: iter(())  # of those that nobody asks for by name


def outcomes(events: Path, become: bool) -> dict[str, tuple[bool, str]]:
    """Host to whether the login worked, and why not. A command that fails after it was let in is no failed login."""
    fine = ("runner_on_ok",) if become else ("runner_on_ok", "runner_on_failed")
    found: dict[str, tuple[bool, str]] = {}
    for path in events.glob("*-partial.json"):
        event = json.loads(path.read_text())
        data = event.get("event_data") or {}
        kind = event.get("event")
        if data.get("task") != "log in" or kind not in (
            "runner_on_ok",
            "runner_on_failed",
            "runner_on_unreachable",
        ):
            continue
        result = data.get("res") or {}
        said = " ".join(str(result.get(key) or "") for key in ("msg", "stdout", "stderr"))  # sudo's own words, too
        message = " ".join(said.split())
        found[str(data.get("host"))] = (kind in fine, message if kind != "runner_on_ok" else "")
    return found
