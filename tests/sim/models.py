"""The plans that stories of the simulator are played on: the lab's own, and the same with stricter wishes.

The one rule it keeps: nothing is invented beside the lab's files but what a name here says.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from orchestrator.cli.validate import probe_kinds
from orchestrator.config import load
from orchestrator.core.model import Combine, Condition, Mode, Model, Move, Playbook, Service, Tier
from orchestrator.sim.nature import Nature, nature_of
from tests.lab.story import REPOSITORY

WORKSPACES = REPOSITORY / "tests" / "workspaces"
TILL = "lab/till"


@cache
def lab() -> Model:
    """The repository's own plan for client `lab`."""
    return load(REPOSITORY, probe_kinds=probe_kinds(), clients=("lab",)).model


@cache
def asking() -> Model:
    """The lab in mode ask: every move waits for a named approval."""
    services = {k: replace(s, mode=Mode.ASK) for k, s in lab().services.items()}
    return replace(lab(), services=services, digest="asking")


@cache
def once_only() -> Model:
    """The lab with moves that may not be repeated, and a till at the head office that one of them restarts."""
    moves = {k: replace(m, safe_to_repeat=False) for k, m in lab().moves.items()}
    hq = lab().checks["lab/isp-a-path@hq-edge"].domains - {"lab/isp-a"}
    alive = replace(
        lab().checks["lab/noc-sees-www@www"], id=TILL, name="till", host="till", reference=False, domains=hq, rise=2
    )
    works = Condition(Combine.ALL, (TILL,))
    moves["lab/restart"] = Move("lab/restart", "lab", "restart", Playbook("restart.yml", "r"), works, done_when=works)
    till = Service(TILL, "lab", "till", works, (Tier("lab/restart"),), rto_s=300.0, mode=Mode.AUTO, home="lab/hq")
    services = {**lab().services, TILL: till}
    return replace(lab(), checks={**lab().checks, TILL: alive}, moves=moves, services=services, digest="once-only")


@cache
def harbour() -> Model | None:
    """The plan of a larger workspace, where there is one."""
    home = WORKSPACES / "harbour"
    return load(home, probe_kinds=probe_kinds()).model if home.is_dir() else None


@cache
def twins() -> Model:
    """Two clients with the same addresses, names, checks and services."""
    return load(WORKSPACES / "twins", probe_kinds=probe_kinds()).model


@cache
def nature(model: str) -> Nature:
    """The physics of one of these, compiled once."""
    made = {"lab": lab, "asking": asking, "once_only": once_only, "harbour": harbour, "twins": twins}[model]()
    if made is None:
        raise LookupError(f"there is no workspace {WORKSPACES / model}")
    return nature_of(made)
