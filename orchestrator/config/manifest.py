"""The parts of a plan, each under a label, so that a change is told by its name.

The one rule it keeps: two manifests have the same digest if and only if nothing that counts differs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

NAMED = 3  # differences that are told by name


@dataclass(frozen=True, slots=True)
class Manifest:
    """Each thing that counts, under a label, with a digest of its own; `around` is shared by a client's playbooks."""

    around: Mapping[str, str]
    parts: Mapping[str, str]

    @property
    def digest(self) -> str:
        """One digest of all of it."""
        told = "".join(f"{name}\0{digest}\0" for name, digest in sorted({**self.around, **self.parts}.items()))
        return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def differs_from(self, before: Manifest) -> str:
        """What was changed, added or removed since, by name."""
        was, now = {**before.around, **before.parts}, {**self.around, **self.parts}
        told = []
        for name in sorted(was.keys() | now.keys()):
            if was.get(name) != now.get(name):
                how = "added" if name not in was else "removed" if name not in now else "changed"
                told.append(f"{name} was {how}")
        more = f" (and {len(told) - NAMED} more)" if len(told) > NAMED else ""
        return f"{', '.join(told[:NAMED])}{more} since it was loaded"
