"""`bascule demo`: the main job on the lab, in two to three minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def demo(
    *,
    html: Path = Path("demo-report.html"),
    json_to: Annotated[Path | None, Parameter(name="--json")] = None,
    lab: str = "demo",
    drills: Annotated[bool, Parameter(negative="")] = False,
    workspace: Path | None = None,
) -> int:
    """Three disasters, three tiers of failover, on a real network of namespaces. Exit code 1 if one is not survived.

    Parameters
    ----------
    html
        Where the page with the timelines goes.
    json_to
        Write everything as JSON there.
    lab
        The lab's name; it is built for this and taken down afterwards.
    drills
        In place of the disasters three drills: a rehearsal, a move at full scale and back, an emptied backup found.
    workspace
        The workspace with the client "lab"; else the one that bascule came with.
    """
    from orchestrator.cli.failures import CallWrong
    from orchestrator.demo import drills as demo_drills
    from orchestrator.demo.play import play

    home = workspace or Path(__file__).resolve().parent.parent.parent
    if not (home / "inventories" / "lab").is_dir():
        raise CallWrong(f"{home} has no client lab", "Call it in bascule's own repository, or name it: --workspace DIR")
    if drills:
        return demo_drills.play(home.resolve(), lab=lab, json_to=json_to)
    return play(home.resolve(), lab=lab, html=html, json_to=json_to)
