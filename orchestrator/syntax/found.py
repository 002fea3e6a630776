# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found in one playbook: faults, the hosts that its plays name, the hosts that it adds.

A fault has the file, line and column that Ansible's own reader has noted.
"""

from __future__ import annotations

import contextlib
import difflib
import os
from importlib.util import find_spec
from typing import Any


class Look:
    """What is found in one playbook."""

    def __init__(self, empty: str) -> None:
        self.empty = empty  # stands for a role that is not there
        self.faults: list[dict[str, Any]] = []
        self.plays: list[dict[str, Any]] = []
        self.added: list[str] = []
        self.late = ""
        self.included: list[tuple[Any, bool]] = []  # tasks that include others, and whether they may never run
        self.actions: list[tuple[Any, Any, bool]] = []  # name, where, and whether it may never run
        self.soft = False

    def fault(
        self,
        message: str,
        where: Any = None,
        *,
        soft: bool = False,
        lacks: bool = False,
        near: Any = None,
        wanted: str = "",
    ) -> None:
        """Note one; `soft`: it may be none when it runs; `lacks`: something is not there that may come."""
        found = {"message": message, "at": origin(where), "soft": soft or self.soft, "lacks": lacks,
                 "near": near, "wanted": wanted}  # fmt: skip
        if found not in self.faults:
            self.faults.append(found)

    def error(self, error: Any, near: Any = None) -> None:
        """Note what Ansible raised: at the place that it names, else at `near`."""
        where, cause = getattr(error, "obj", None), error
        while cause is not None and origin(where) is None:
            where, cause = getattr(cause, "obj", None), cause.__cause__
        where = near if origin(where) is None else where
        message = str(error).strip()
        unknown_yet = "'hostvars' is undefined" in message
        if unknown_yet:
            message = f"only Ansible can know this when it runs: {message}"
        self.fault(message, where, soft=unknown_yet, lacks="not found" in message or "not find" in message)

    def answer(self) -> dict[str, Any]:
        """Of plain types."""
        return {"faults": self.faults, "plays": self.plays, "added": self.added, "late": self.late}


def origin(value: Any) -> list[Any] | None:
    """File, line and column of what was read from a file."""
    from ansible._internal._datatag._tags import Origin

    tag = value if isinstance(value, Origin) else Origin.get_tag(value) if value is not None else None
    return [tag.path, tag.line_num or 0, tag.col_num or 0] if tag is not None and tag.path else None


def is_template(value: Any) -> bool:
    """Whether it is only known when it runs."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def no_module(look: Look, name: str, where: Any) -> None:
    """A module that is not there: its collection, or a name like it."""
    import ansible.modules

    collection, _, short = name.rpartition(".")
    if collection.count(".") != 1:
        collection = ""
    homes = ansible.modules.__path__ if collection in ("", "ansible.builtin", "ansible.legacy") else None
    if homes is None:
        spec = None
        with contextlib.suppress(ImportError):
            spec = find_spec(f"ansible_collections.{collection}")
        if spec is None:
            said = f"there is no module {name!r}: the collection {collection} is not installed here"
            remedy = f"it to be there: ansible-galaxy collection install {collection}"
            look.fault(said, where, lacks=True, wanted=remedy)
            return
        homes = [os.path.join(home, "plugins", "modules") for home in spec.submodule_search_locations or ()]
    known = {f.removesuffix(".py") for home in homes if os.path.isdir(home) for f in os.listdir(home)}
    near = difflib.get_close_matches(short, sorted(known), n=1, cutoff=0.6)
    whole = ".".join(filter(None, (collection, *near))) if near else None
    wanted = "" if near else "a module that is installed here"
    look.fault(f"there is no module {name!r}", where, lacks=True, near=whole, wanted=wanted)
