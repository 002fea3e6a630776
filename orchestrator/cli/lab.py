"""`bascule lab`: build the lab, break it, look at it.

The one rule it keeps: every command can be repeated. A mistake of the person at the keyboard is answered by a sentence,
never by a traceback.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec

from cyclopts import App, Parameter

from orchestrator.lab.errors import LabError, LabUsageError
from orchestrator.lab.lab import Lab, Status
from orchestrator.lab.topology import CONSOLES, HOSTS, SITES, bare

P = ParamSpec("P")

app = App(name="lab", help="A real multi-site network on this machine: build it, break it, look at it.")

Name = Annotated[str, Parameter(name="--lab", env_var="BASCULE_LAB", help="which lab; several can live side by side")]


def _told(command: Callable[P, None]) -> Callable[P, None]:
    """Turn LabError into its sentence and an exit code: 2 for a wrong call, 1 for what failed."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except LabError as error:
            print(f"bascule lab: {error}", file=sys.stderr)
            sys.exit(2 if isinstance(error, LabUsageError) else 1)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read has seen enough; no second failure at exit

    return wrapped


def _lab(name: str) -> Lab:
    return Lab(name, os.environ.get("BASCULE_WORKSPACE", os.getcwd()))


@app.command
@_told
def up(*, lab: Name = "lab", workspace: Path | None = None) -> None:
    """Build the lab, or boot what is missing of one that is there.

    Parameters
    ----------
    workspace
        The directory that is the same inside the hosts and outside; the current one if not given.
    """
    Lab(lab, workspace or os.environ.get("BASCULE_WORKSPACE", os.getcwd())).up(print)
    _finish(_lab(lab).status())


@app.command
@_told
def down(*, lab: Name = "lab") -> None:
    """End the lab and leave nothing of it."""
    print(f"Lab {lab} is down" if _lab(lab).down() else f"Lab {lab} was not up")


@app.command
@_told
def status(*, lab: Name = "lab", json_: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """Show hosts, power and links, and what is missing (exit code 1 if anything is)."""
    told = _lab(lab).status()
    if json_:
        print(json.dumps({"name": told.name, "up": told.up, "missing": told.missing, **told.detail}, indent=2))
        sys.exit(1 if told.missing else 0)
    if told.up:
        _show(told.detail)
    _finish(told)


@app.command
@_told
def cut(link: str, *, how: Literal["silent", "carrier", "upstream"] = "silent", lab: Name = "lab") -> None:
    """Cut a link.

    Parameters
    ----------
    link
        isp-a, isp-b, hq-oob, geo, geo-oob, cloud or noc.
    how
        silent drops both ways with the carrier up; carrier unplugs; upstream (the ISPs) drops beyond the first hop.
    """
    _lab(lab).cut(link, how)
    print(f"{link}: cut ({how})")


@app.command
@_told
def heal(link: str, *, lab: Name = "lab") -> None:
    """Undo what was done to a link."""
    _lab(lab).heal(link)
    print(f"{link}: up")


@app.command
@_told
def lossy(link: str, percent: int, *, lab: Name = "lab") -> None:
    """Lose a percentage of a link's packets, in each direction."""
    _lab(lab).lossy(link, percent)
    print(f"{link}: lossy {percent}%")


@app.command
@_told
def stop(target: str, *, lab: Name = "lab") -> None:
    """Cut the power of a site (hq, geo; its console lives on) or of one host."""
    _lab(lab).stop(target)
    print(f"{target}: no power")


@app.command
@_told
def start(target: str, *, lab: Name = "lab") -> None:
    """Give a site its mains back (latched outlets start nothing), or switch one host on."""
    inside = _lab(lab)
    inside.start(target)
    print(f"{target}: mains are back" if target in SITES else f"{target}: booted")
    if target in SITES:
        hosts = inside.status().detail.get("hosts", {})
        for name, host in hosts.items():
            if HOSTS[name].site == target and host["latched"]:
                print(f"{name}: stays off, its outlet is latched")


@app.command(name="exec")
@_told
def exec_(
    host: str,
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    lab: Name = "lab",
) -> None:
    """Run a command on a host with this terminal, directory and exit code: `bascule lab exec noc -- bascule status`."""
    sys.stdout.flush()
    sys.exit(_lab(lab).replace_by(host, command or ("/bin/sh",)))


@app.command
@_told
def meter(host: Literal["client", "hq-user"] = "client", *, lab: Name = "lab") -> None:
    """Write a meter's log (JSON lines, one an attempt) to standard output."""
    with _lab(lab).meter_log(host).open() as log:
        shutil.copyfileobj(log, sys.stdout)


def _show(detail: dict[str, Any]) -> None:
    """Hosts and links, one a line."""
    print(f"Lab {detail['name']}  workspace {detail['workspace']}")
    for name, host in detail["hosts"].items():
        site = (
            f"mains {detail['sites'][HOSTS[name].site]}" if HOSTS[name].site else "console" if name in CONSOLES else ""
        )
        latched = "latched" if host["latched"] else ""
        print(f"  {name:10} {host['state']:8} {bare(HOSTS[name].plugs[0].address):15} {site:9} {latched}".rstrip())
    for name, state in detail["links"].items():
        print(f"  link {name:8} {state}")


def _finish(told: Status) -> None:
    """Say what is missing, and end with 1 if anything is."""
    for line in told.missing:
        print(f"missing: {line}", file=sys.stderr)
    if told.missing:
        sys.exit(1)
