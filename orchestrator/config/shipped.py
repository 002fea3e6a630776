"""Playbooks that are part of bascule: by their absolute paths, which no author can write.

The one rule it keeps: nothing outside of the workspace is played but these.
"""

from __future__ import annotations

from pathlib import Path

SURVEY = str(Path(__file__).resolve().parents[1] / "survey" / "survey.yml")
"""What is at a rehearsal's target: see `config/rehearsals.py`."""

SHIPPED = frozenset({SURVEY})
