"""A login as `bascule check login@HOST` asks for it: by Ansible's own program, once.

The one rule it keeps: the author's inventory, `ansible.cfg`, keys and jump hosts decide, as they do for a step. A
connection that Ansible keeps is found for this client alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path


def by_ansible(
    workspace: Path, inventories: Mapping[str, Sequence[Path]]
) -> Callable[[str, str, bool], Awaitable[tuple[bool | None, str]]]:
    """Who logs in: client, host and whether to become root, to whether it worked, and why not."""
    from orchestrator.config.ansible_programs import environment_to_ask, program
    from orchestrator.core.client_keys import kept_for
    from orchestrator.runner import connections
    from orchestrator.runner.environment import CALLBACKS

    ansible = program("ansible") or "ansible"
    start, given = environment_to_ask(workspace, os.environ)
    # One of ours keeps connections apart. The author's are none of a mere look's.
    given |= {"ANSIBLE_LOAD_CALLBACK_PLUGINS": "1", "ANSIBLE_CALLBACKS_ENABLED": "bascule_apart"}
    given["ANSIBLE_CALLBACK_PLUGINS"] = str(CALLBACKS)

    async def log_in(client: str, host: str, become: bool) -> tuple[bool | None, str]:
        if not inventories.get(client):  # Ansible would take its usual one: another client's
            return None, f"client {client} has no inventory"
        own = dict(given)
        connections.keep_apart(own, kept_for(str(workspace), client))
        sources = [x for source in inventories[client] for x in ("-i", str(source))]
        argv = [ansible, host, *sources, "-o", "-m", "ansible.builtin.raw", "-a", "true", *(["-b"] if become else [])]
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=start,
                env=own,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            return None, f"cannot run {ansible}: {error.strerror}"
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode == 0:
            return True, ""
        said = (out.strip() or err.strip()).decode(errors="replace").splitlines()
        line = said[-1] if said else f"{ansible} ended with {process.returncode}"
        return False, line.partition("!: ")[2] or line

    return log_in
