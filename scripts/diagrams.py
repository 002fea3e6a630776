"""`python -m scripts.diagrams`: draws the diagrams of docs/architecture.md anew, from the tables of the core."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from orchestrator.core.records import RunState, StepState
from orchestrator.core.state.transitions import RUN, STEP

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
DIAGRAMS = {"step": (STEP, StepState.PENDING), "run": (RUN, RunState.GOING)}


def drawn(name: str) -> str:
    """The diagram of this name, as Mermaid text."""
    table, first = DIAGRAMS[name]
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {_id(first)}"]
    arrows: dict[tuple[StrEnum, StrEnum], list[str]] = {}
    for event, states in table.items():
        for before, after in states.items():
            arrows.setdefault((before, after), []).append(event.value)
    lines += [f'    state "{state.value}" as {_id(state)}' for state in type(first) if _id(state) != state.value]
    lines += [f"    {_id(before)} --> {_id(after)}: {', '.join(events)}" for (before, after), events in arrows.items()]
    lines += [f"    {_id(state)} --> [*]" for state in type(first) if _is_last(table, state)]
    return "\n".join([*lines, "```"])


def renewed(text: str) -> str:
    """The page with its diagrams as they are now. Raises ValueError where the page has no place for one."""
    for name in DIAGRAMS:
        place = re.compile(rf"(<!-- diagram: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        found = place.search(text)
        if found is None:
            raise ValueError(f"{PAGE.name} has no place for the diagram of a {name}")
        text = text[: found.end(1)] + drawn(name) + "\n" + text[found.start(2) :]
    return text


def _id(state: StrEnum) -> str:
    return state.value.replace(" ", "_")


def _is_last(table: Mapping[StrEnum, Mapping[StrEnum, StrEnum]], state: StrEnum) -> bool:
    return not any(state in states for states in table.values())


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
