"""A login as `bascule check login@HOST` asks for it: by Ansible's own program, once.

The one rule it keeps: the author's inventory, `ansible.cfg`, keys and jump hosts decide, as they do for a step; nothing
is kept of it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path


def by_ansible(
    workspace: Path, inventories: Mapping[str, Sequence[Path]]
) -> Callable[[str, str, bool], Awaitable[tuple[bool | None, str]]]:
    """Who logs in: client, host and whether to become root, to whether it worked, and why not."""
    beside = Path(sys.executable).parent / "ansible"
    program = str(beside) if beside.exists() else "ansible"

    async def log_in(client: str, host: str, become: bool) -> tuple[bool | None, str]:
        sources = [x for source in inventories.get(client, ()) for x in ("-i", str(source))]
        argv = [program, host, *sources, "-o", "-m", "ansible.builtin.raw", "-a", "true", *(["-b"] if become else [])]
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=workspace,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            return None, f"cannot run {program}: {error.strerror}"
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode == 0:
            return True, ""
        said = (out.strip() or err.strip()).decode(errors="replace").splitlines()
        line = said[-1] if said else f"{program} ended with {process.returncode}"
        return False, line.partition("!: ")[2] or line

    return log_in
