# SPDX-License-Identifier: GPL-3.0-or-later
"""`ansible-inventory --list` and `ansible-inventory --list --export` of one inventory that is parsed once.

The one rule it keeps: content and form of the answer are Ansible's: its own program runs, with its exit code and
messages. So a computed inventory is asked once, and both answers are of the same moment.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

READING_S = 600  # whoever asked gives up before


def read(question: Mapping[str, Any], tell: Callable[[Mapping[str, Any], Any], None]) -> None:
    """In a process of its own; told are its exit code, what it wrote, and what it complained of."""
    from ansible import context
    from ansible.cli.inventory import InventoryCLI
    from ansible.utils.context_objects import CLIArgs

    class Both(InventoryCLI):  # type: ignore[misc] # ansible-core has no types
        def json_inventory(self, top: Any) -> dict[str, Any]:
            merged = super().json_inventory(top)
            context.CLIARGS = CLIArgs({**context.CLIARGS, "export": True})
            return {"merged": merged, "exported": super().json_inventory(top)}

        @staticmethod
        def dump(stuff: Any) -> str:
            """Each as a whole of its own: what is a text and what a template is told by where it stands."""
            return "{" + ", ".join(f'"{name}": {InventoryCLI.dump(part)}' for name, part in stuff.items()) + "}"

    signal.alarm(READING_S)
    os.environ.update(question["environment"])
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        code: Any = 0
        try:
            Both.cli_executor(["ansible-inventory", *question["arguments"], "--list"])
        except SystemExit as ended:
            code = ended.code
        for written in (sys.stdout, sys.stderr):
            written.flush()  # Ansible leaves that to the end of its program
        told = []
        for stream in (out, err):
            stream.seek(0)
            told.append(stream.read().decode("utf-8", "replace"))
    tell(question, {"code": int(code or 0), "out": told[0], "err": told[1]})
