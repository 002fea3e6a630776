"""`bascule check`: ask checks once, now, and show what they answer.

The one rule it keeps: it only asks. No threshold is applied, nothing is decided or recorded, and the daemon, if one
runs, is not disturbed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from orchestrator.cli.failures import DONE, FAILED, CallWrong

if TYPE_CHECKING:
    from orchestrator.core.events import Observed
    from orchestrator.core.model import Check
    from orchestrator.probes.tools import Logins

AT_ONCE = 100
SIGNS = {"good": "[green]good[/]", "bad": "[red]bad[/]", "silent": "[red]silent[/]", "none": "[yellow]no answer[/]"}


def check(
    *names: str,
    workspace: Annotated[Path | None, Parameter(name=["--workspace", "-w"])] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Ask checks once and show their answers, without thresholds.

    Exit code 1 if a check that was named is not good, or if any could not be asked at all. (Without names a bad answer
    is no failure: some checks, like the proof of a fence, are bad on every good day.)

    Parameters
    ----------
    names
        Only these: `client/name@host`, or any part of it that says enough. Without any: all.
    workspace
        The directory with playbooks/, inventories/ and checks/.
    as_json
        One JSON object on standard output.
    """
    from orchestrator.cli.workspace import begun_in, find_workspace

    found = find_workspace(workspace)
    with begun_in(found):  # a plug-in that is named from the workspace is the workspace's
        return _checked(found, names, as_json=as_json)


def _checked(found: Path, names: tuple[str, ...], *, as_json: bool) -> int:
    from orchestrator.cli.login import by_ansible
    from orchestrator.cli.validate import probe_kinds
    from orchestrator.config import load
    from orchestrator.probes.kinds import asked_from

    loaded = load(found, probe_kinds=probe_kinds(), logins=bool(names))  # those that nobody wrote are asked by name
    here = loaded.daemon.vantage
    there = list(loaded.model.checks.values())
    wanted = chosen(names, there if names else asked_from(here, there))  # one that is named says why nobody asks it
    needs_secrets = any("_secret" in key for one in wanted for key in one.options)
    secrets = _Secrets(*loaded.secrets.reveal_all()) if needs_secrets else {}
    log_in = by_ansible(found, loaded.inventories)
    answers = asyncio.run(_ask(wanted, secrets, here, lambda client, host, become, _: log_in(client, host, become)))
    rows = [(one, answers[one.id]) for one in wanted]
    if as_json:
        print(json.dumps({"checks": [_row(one, seen) for one, seen in rows]}, indent=2))
    else:
        _show(rows)
    could_not = any(seen.answer.value == "none" for _, seen in rows)
    not_good = any(seen.answer.value != "good" for _, seen in rows)
    return FAILED if could_not or (names and not_good) else DONE


class _Secrets(dict[str, str]):
    """What could be revealed; asking for another says why it could not."""

    def __init__(self, clear: Mapping[str, str], failed: Mapping[str, str]) -> None:
        super().__init__(clear)
        self._failed = failed

    def __missing__(self, name: str) -> str:
        raise LookupError(self._failed[name]) if name in self._failed else KeyError(name)


def chosen(names: tuple[str, ...], checks: list[Check]) -> list[Check]:
    """The checks that these names stand for, in the configuration's order. Raises CallWrong."""
    if not names:
        return checks
    wanted: set[str] = set()
    for name in names:
        found = {one.id for one in checks if name in _names_of(one)}
        if not found:
            raise CallWrong(f"there is no check {name}", _nearest(name, checks))
        wanted |= found
    return [one for one in checks if one.id in wanted]


def _names_of(one: Check) -> set[str]:
    """Everything that a check answers to."""
    bare = one.id.partition("/")[2]
    return {one.id, bare, one.name, f"{one.client}/{one.name}", one.client, one.host, f"{one.client}/{one.host}"} - {""}


def _nearest(name: str, checks: list[Check]) -> str:
    import difflib

    known = sorted({known for one in checks for known in _names_of(one)})
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return "Nearest: " + ", ".join(near)
    return "There are: " + ", ".join(sorted({one.name for one in checks})) if checks else "There are no checks here"


async def _ask(checks: list[Check], secrets: Mapping[str, str], here: str, logins: Logins) -> dict[str, Observed]:
    """One answer of each, many at once."""
    import time
    from dataclasses import replace

    from orchestrator.probes.prober import Prober

    answers: dict[str, Observed] = {}
    more = asyncio.Event()

    def take(observed: Observed) -> None:
        answers.setdefault(observed.check, observed)
        more.set()

    prober = Prober(take, time.monotonic, secrets, here=here, logins=logins)
    try:
        prober.use([replace(one, every_s=1e6) for one in checks])
        for start in range(0, len(checks), AT_ONCE):
            part = checks[start : start + AT_ONCE]
            prober.ask_now(one.id for one in part)
            while any(one.id not in answers for one in part):
                more.clear()
                await more.wait()
    finally:
        await prober.close()
    return answers


def _row(one: Check, seen: Observed) -> dict[str, Any]:
    return {
        "check": one.id,
        "probe": one.probe,
        "answer": seen.answer.value,
        "detail": seen.detail,
        "measures": dict(seen.measures),
        "reference": one.reference,
    }


def _show(rows: list[tuple[Check, Observed]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from orchestrator.core.outside import visible

    table = Table("check", "probe", "answer", "", box=None, pad_edge=False)
    for one, seen in rows:
        told = Text(visible(one.id)), one.probe, SIGNS[seen.answer.value], Text(visible(seen.detail))
        table.add_row(*told)
    console = Console(highlight=False)
    console.print(table)
    counts = {word: sum(seen.answer.value == word for _, seen in rows) for word in SIGNS}
    console.print(
        ", ".join(f"{count} {'no answer' if word == 'none' else word}" for word, count in counts.items() if count)
    )
