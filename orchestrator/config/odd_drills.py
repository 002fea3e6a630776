"""A schedule of drills that contradicts itself, or that proves less than its author may think.

The one rule it keeps: what would never be made is a fault, what would be made and prove little a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from orchestrator.config.faults import Faults
from orchestrator.config.schedule_shapes import DrillShape
from orchestrator.config.strict_yaml import Document, Path_
from orchestrator.core.model import Model
from orchestrator.core.reasons import Reason
from orchestrator.core.schedules import Candidate, DrillKind, Tells

BY_VALUE = "by-value"
REMEDIES = {  # of what stands against each drill of a schedule
    Reason.NO_WAY_BACK: "'data_age' in the way back, or 'hand_over' and 'exclusive: true'",
    Reason.NO_FENCE: "'hand_over' in the move and its way back",
    Reason.FENCE_NOT_AUTOMATIC: "'hand_over' in the move and its way back, or bascule drill run --fence by hand",
}


class File(Protocol):
    """One client's `schedules.yml`. `all_whole`: whether everything that the client's tiers come to was read."""

    document: Document
    model: Model
    faults: Faults

    def all_whole(self) -> bool: ...


def odd_drill(file: File, name: str, shape: DrillShape, of: Sequence[Candidate]) -> None:
    """Faults and warnings of one drill. `of`: what it could drill."""
    path: Path_ = ("drills", name)
    services = {x.service for x in of}
    if shape.of == []:
        at = file.document.at(*path, "of")
        file.faults.add(at, f"drill {name}: of is empty: there is nothing to drill", "services, or without it for all")
    if not of and shape.of is None and shape.service is None and file.all_whole():
        file.faults.add(
            file.document.key(*path), f"drill {name}: no service has a tier that it could drill", "a tier that can be"
        )
    if shape.not_twice_running and len(services) == 1 and file.all_whole():
        what = f"drill {name} could run once and never again: not_twice_running, and it has one service"
        file.faults.add(file.document.at(*path, "not_twice_running"), what, "several services, or without it")
    if shape.surprise and shape.tells != Tells.NOBODY.value:
        what = f"drill {name} is a surprise, and tells {shape.tells}"
        file.faults.add(file.document.at(*path, "tells"), what, "nobody")
    if shape.surprise and shape.schedule == BY_VALUE:
        what = f"drill {name} is a surprise by value: what is worth most can be foreseen"
        file.faults.add(file.document.at(*path, "surprise"), what, "a cron expression, with a window in which it is")
    if shape.kind != DrillKind.FULL_SCALE.value:
        _proves_little(file, name, shape, of)
        _may_lack_a_backup(file, name, shape, of)
        for key in ("stays", "return_within"):
            if getattr(shape, key) is not None:
                what = f"drill {name} is functional: it moves nothing, and {key} says nothing"
                file.faults.warn(file.document.at(*path, key), what, "kind: full-scale, or without it")
        return
    for key in ("stays", "return_within"):
        if (given := getattr(shape, key)) is not None and given > 86400:
            file.faults.add(file.document.at(*path, key), f"drill {name}: {key} is more than a day", "at most 24h")
    for service in sorted(x for x in services if file.model.services[x].mode.value == "observe"):
        what = f"drill {name} is full-scale, and {service} is in mode observe: it will be missed each time"
        file.faults.warn(file.document.at(*path, "kind"), what, "mode: ask or auto, or kind: functional")


def _proves_little(file: File, name: str, shape: DrillShape, of: Sequence[Candidate]) -> None:
    """Of what its author names, a move of which nobody says how it is rehearsed."""
    if shape.service is None and shape.of is None:
        return  # every tier of every service: some of them may well be
    bare = list(dict.fromkeys(x.move.partition("/")[2] for x in of if file.model.moves[x.move].rehearse is None))
    if not bare:
        return
    what = f"drill {name} proves little of {', '.join(bare)}: only preflight, and the playbook in check mode"
    if shape.surprise:
        what = f"drill {name} restores nothing by {', '.join(bare)}: only preflight, and the playbook in check mode"
    key = "service" if shape.service is not None else "of"
    file.faults.warn(file.document.at("drills", name, key), what, "the key 'rehearse' in the move")


def _may_lack_a_backup(file: File, name: str, shape: DrillShape, of: Sequence[Candidate]) -> None:
    """A surprise restores a backup: of a move of which nothing tells that there is one, it is missed by the restore."""
    if not shape.surprise:
        return
    moves = [file.model.moves[x.move] for x in of]
    silent = [x for x in moves if x.rehearse is not None and x.viable_when is None and x.data_age is None]
    named = ", ".join(dict.fromkeys(x.id.partition("/")[2] for x in silent))
    if named:
        key = "service" if shape.service is not None else "of" if shape.of is not None else "surprise"
        what = f"drill {name}: nothing tells beforehand whether there is a backup for {named}, or how old it is"
        file.faults.warn(file.document.at("drills", name, key), what, "'viable_when' or 'data_age' in the move")


def left_out(file: File, name: str, found: Mapping[Candidate, str]) -> None:
    """A schedule of every tier at full scale: which of them it never drills, and why."""
    for x, why in found.items() if file.all_whole() else ():
        of = f"{x.move.partition('/')[2]} of {x.service.partition('/')[2]}"
        file.faults.warn(
            file.document.key("drills", name), f"drill {name} leaves out {of}: {why}", "see docs/guards.md"
        )
