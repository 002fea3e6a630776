# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs in to hosts as a playbook would, and so keeps their connections open.

The one rule it keeps: it is a playbook like any other, forked like any other. So it finds what the next step would
find, with the author's inventory, configuration, keys and jump hosts.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from orchestrator.runner import connections, leftovers, settings
from orchestrator.runner.warm.zygote import forked

LOOK_EVERY_S = 0.05  # at what has become known
WHY_MAX = 500  # characters

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
    """Answer {"inventories", "kept_for", "hosts", "become", "limit_s"} with a line for each host; never returns.

    What has not ended by then is ended, with all that it began: a host that hangs must not cost a process a look.
    """
    data = b""
    while not data.endswith(b"\n"):
        more = asker.recv(65536)
        if not more:
            os._exit(0)
        data += more
    asked = json.loads(data)
    until = time.monotonic() + asked["limit_s"]
    directory = Path(tempfile.mkdtemp(dir=built.directory))
    forked.adopt()
    player = os.fork()
    if player == 0:
        try:
            asker.close()
            play(asked, directory, built)
        finally:
            os._exit(0)
    told: set[str] = set()
    over = False
    while not over and time.monotonic() < until:
        time.sleep(LOOK_EVERY_S)
        over = os.waitpid(player, os.WNOHANG)[0] == player
        for host, (fine, why) in outcomes(directory / "job_events", asked["become"], told).items():
            forked.say(asker, {"host": host, "ok": fine, "why": why})
    forked.say(asker, {"over": over})
    if not over:
        leftovers.end_all(roots=[os.getpid()])
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


def play(asked: dict[str, Any], directory: Path, built: Any) -> None:
    """In a child: the playbook, with its events below this directory."""
    quiet = os.open(os.devnull, os.O_RDWR)
    given = {**os.environ, settings.MARK: settings.NO_MARK, "ANSIBLE_LOCAL_TEMP": str(directory)}
    given["AWX_ISOLATED_DATA_DIR"] = str(directory)
    connections.keep_apart(given, asked["kept_for"])
    call = {"env": given, "cwd": built.cwd, "umask": 0o077, "files": (4096, 4096), "argv": ["ansible-playbook"]}
    playbook = directory / "logins.yml"
    playbook.write_text(
        json.dumps([{**PLAY, "hosts": asked["hosts"], **({"become": True} if asked["become"] else {})}])
    )
    forked.become(call, [quiet], built, terminal_is_ours=False)
    without_callbacks()
    sources = [part for source in asked["inventories"] for part in ("-i", source)]
    forked.play(["ansible-playbook", *sources, "--forks", "50", str(playbook)])


def without_callbacks() -> None:
    """The author's callbacks tell people of playbooks, and keep books of them: a mere look is none of theirs.

    Nor of Ansible's own log.
    """
    import ansible.constants as constants
    import ansible.utils.display as display
    from ansible.plugins.loader import callback_loader

    display.logger = None
    constants.CALLBACKS_ENABLED = []
    callback_loader.all = lambda *_given, **_named: iter(())  # of those that nobody asks for by name


def outcomes(events: Path, become: bool, told: set[str]) -> dict[str, tuple[bool, str]]:
    """Host to whether the login worked, and why not, from events that are not in `told` yet.

    A command that fails after it was let in is no failed login.
    """
    fine = ("runner_on_ok",) if become else ("runner_on_ok", "runner_on_failed")
    found: dict[str, tuple[bool, str]] = {}
    for path in events.glob("*-partial.json"):
        if path.name in told:
            continue
        told.add(path.name)
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
        message = " ".join(said.split())[:WHY_MAX]
        found[str(data.get("host"))] = (kind in fine, message if kind != "runner_on_ok" else "")
    return found
