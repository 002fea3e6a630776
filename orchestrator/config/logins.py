"""The automatic checks of logins.

They ask whether a playbook can still log in to each host that a move's playbooks name, and become root there. The one
rule it keeps: a check of the author's own about the same host replaces the automatic one, and the number of logins a
second is limited, however many hosts there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from orchestrator.config.domains import Domains
from orchestrator.config.inventory import Inventory
from orchestrator.config.patterns import PatternInvalid, match_hosts
from orchestrator.config.playbooks import Reader
from orchestrator.config.plays import Play
from orchestrator.core.kinds import declared_by, rehearsed_by
from orchestrator.core.model import REHEARSAL, Check, Move

PROBE = "login"
EVERY_S = 30.0
LOGINS_A_SECOND = 0.2  # of all clients together
FAST_S = 10.0
TIMEOUT_S = 10.0
BY_SSH = (None, "ssh", "ansible.builtin.ssh", "smart")


def login_checks(
    moves: Iterable[Move],
    inventories: Mapping[str, Inventory],
    domains: Mapping[str, Domains],
    reader: Reader,
    written: Mapping[str, Check],
    vantage: str,
) -> dict[str, Check]:
    """A check `login@host` for each target of these moves, or the author's own of `written`, each with its moves."""
    own = {(str(x.options.get("client")), str(x.options.get("host"))): x for x in written.values() if x.probe == PROBE}
    targets: dict[tuple[str, str], bool] = {}  # whether tasks there become root
    needed_by: dict[tuple[str, str], list[str]] = {}
    for move in moves:
        inventory = inventories[move.client]
        hand_over = move.hand_over.playbook if move.hand_over is not None else None
        books = [(book, move.id) for book in (*declared_by(move), hand_over) if book is not None]
        books += [(book, f"{REHEARSAL} {move.id}") for book in rehearsed_by(move)]
        for playbook, needed in books:
            for play in reader.plays(reader.file(playbook.path)):
                for host in _hosts(play, playbook.limit, inventory):
                    targets[(move.client, host)] = play.becomes or targets.get((move.client, host), False)
                    needed_by.setdefault((move.client, host), []).append(needed)
    every_s = max(EVERY_S, len(targets) / LOGINS_A_SECOND)
    found: dict[str, Check] = {}
    for (client, host), becomes in targets.items():
        check = Check(
            id=f"{client}/{PROBE}@{host}",
            client=client,
            name=PROBE,
            host=host,
            probe=PROBE,
            options={"client": client, "host": host, "become": becomes},
            every_s=every_s,
            fast_s=max(FAST_S, len(targets) / LOGINS_A_SECOND),
            timeout_s=TIMEOUT_S,
            rise=1,
            fall=2,
            domains=frozenset(domains[client].of_host(host)),
            vantage=vantage,
        )
        check = own.get((client, host), check)
        if (client, host) in own or check.id not in written:
            found[check.id] = replace(check, needed_by=tuple(dict.fromkeys(needed_by[client, host])))
    return found


def _hosts(play: Play, limit: str | None, inventory: Inventory) -> list[str]:
    """The hosts that a play names and logs in to by ssh as the inventory says; patterns with templates name none.

    What the move's limit leaves out may be another client's, where two of them share an inventory: it is let alone, and
    so is all that nobody knows of before it is played.
    """
    if play.connection == "" or "{{" in play.hosts or "{{" in (limit or "") or "@" in (limit or ""):
        return []
    try:
        hosts, _ = match_hosts(play.hosts, inventory.hosts, inventory.groups)
        within, _ = match_hosts(limit or "all", inventory.hosts, inventory.groups)
    except PatternInvalid:
        return []  # whoever plays it will say so
    hosts = [x for x in hosts if x in set(within)]
    variables = inventory.host_vars
    return [x for x in hosts if variables.get(x, {}).get("ansible_connection", play.connection) in BY_SSH]
