"""What has been played, on disk: one file a target, connection and way, so that a run that was broken off goes on.

The one rule it keeps: a file is whole or not there.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from scripts.ansible_targets.compare import Play


class Kept:
    """The directory of one version of ansible-core."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def _path(self, target: str, connection: str, way: str) -> Path:
        return self.directory / connection / target / f"{way}.json"

    def find(self, target: str, connection: str, way: str) -> Play | None:
        """None if it has not been played."""
        try:
            return Play(**json.loads(self._path(target, connection, way).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def keep(self, target: str, connection: str, way: str, play: Play) -> None:
        """In the place of what was there."""
        path = self._path(target, connection, way)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(play)), encoding="utf-8")
        os.replace(new, path)

    def drop(self, target: str, connection: str, way: str) -> None:
        """It is to be played anew."""
        self._path(target, connection, way).unlink(missing_ok=True)
