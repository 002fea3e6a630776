"""Whether playbooks can start: Ansible's own syntax check of each, with the inventory that it will have.

The one rule it keeps: what Ansible would refuse at once is a fault. What it can only know at run time is a warning that
says so. ansible-core is not imported here: `orchestrator/syntax` is a program that is run.

An answer is cached by the digest of everything on which it depends. If something was lacking, Ansible is asked again,
because it may have come since from where no digest looks.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.config.ansible_process import Ansible
from orchestrator.config.faults import Faults, Position, nearest
from orchestrator.config.inventory import Inventory
from orchestrator.config.inventory_files import is_computed, parts_of
from orchestrator.config.patterns import PatternInvalid, match_hosts, split_pattern
from orchestrator.config.whole_file import write_whole
from orchestrator.core.model import Json

LIMIT_S = 180.0
LATER = "known-when-it-runs"  # stands for the name of a place
LATER_SERVICE = f"{LATER}-service"
HERE = ("localhost", "127.0.0.1", "::1")  # Ansible knows them without an inventory
_FORMAT = 1
_LATER_WHY = "only Ansible can know when it runs"


@dataclass(frozen=True, slots=True)
class Use:
    """A playbook as a client's file names it."""

    client: str
    name: str  # below playbooks/
    path: Path
    digest: str
    extra_vars: Mapping[str, Json]
    limit: str | None
    at: Position  # of its name
    limit_at: Position

    def question(self) -> dict[str, Any]:
        """As the program is asked."""
        return {"client": self.client, "path": str(self.path), "vars": dict(self.extra_vars)}


@dataclass(slots=True)
class Starting:
    """Asks of every playbook that is used, and judges the answers."""

    workspace: Path
    inventories: Mapping[str, Inventory]
    places: Mapping[str, Sequence[str]]  # client to the names of its places
    faults: Faults
    ansible: Ansible
    cache: Path | None
    _before: set[tuple[str, int]] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)
    _computed: dict[str, bool] = field(default_factory=dict)

    def check(self, uses: Iterable[Use]) -> None:
        """Note what keeps a playbook from starting, and what only Ansible can know when it runs."""
        asked: dict[str, list[Use]] = {}
        for use in uses:
            if use.client in self.inventories:
                asked.setdefault(self._key(use), []).append(use)
        self._before = {(fault.file, fault.line) for fault in self.faults.found if fault.line}
        self._told = {fault.file for fault in self.faults.found}
        answers = self._answers(asked)
        for key, answer in answers.items():
            self._judge(asked[key], answer)
        self._judge_hosts([(use, answers[key]) for key, found in asked.items() for use in found if key in answers])

    # ---- asking

    def _key(self, use: Use) -> str:
        groups = self.inventories[use.client].groups
        told = json.dumps(
            [_FORMAT, str(self.workspace), use.question(), use.digest, groups], sort_keys=True, default=str
        )
        return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _answers(self, asked: Mapping[str, list[Use]]) -> dict[str, dict[str, Any]]:
        clients = {use.client for uses in asked.values() for use in uses}
        kept = {key: answer for client in clients for key, answer in self._kept(client).items() if key in asked}
        new = [key for key in asked if key not in kept]
        if not new:
            return kept
        uses = [asked[key][0] for key in new]
        with tempfile.TemporaryDirectory(prefix="bascule-syntax-") as empty:
            questions = [{**use.question(), "empty": empty} for use in uses]
            groups = {use.client: self.inventories[use.client].groups for use in uses}
            try:
                answers = self.ansible.playbooks(questions, groups, LIMIT_S)
            except (OSError, TimeoutError) as error:
                said = f"Ansible could not be asked whether playbooks can start: {error}"
                self.faults.warn(Position("playbooks"), said, "ansible-core installed beside bascule")
                return kept
        found = {**kept, **dict(zip(new, answers, strict=True))}
        for client in clients:
            mine = {key: found[key] for key in asked if asked[key][0].client == client and _keeps(found[key])}
            self._keep(client, mine)
        return found

    def _file(self, client: str) -> Path | None:
        return _kept_in(self.cache, client) if self.cache else None

    def _kept(self, client: str) -> dict[str, dict[str, Any]]:
        try:
            found = json.loads(path.read_text(encoding="utf-8")) if (path := self._file(client)) else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _keep(self, client: str, answers: Mapping[str, dict[str, Any]]) -> None:
        """A cache that cannot be written is none."""
        if (path := self._file(client)) is None:
            return
        with contextlib.suppress(OSError):
            write_whole(path, json.dumps(answers))

    # ---- judging

    def _judge(self, uses: list[Use], answer: Mapping[str, Any]) -> None:
        use = uses[0]
        if "broken" in answer:
            said = f"Ansible could not be asked whether playbook {use.name} can start: {answer['broken']}"
            self.faults.warn(use.at, said, "see what `ansible-playbook --syntax-check` says of it")
            return
        for found in answer["faults"]:
            at = self._position(found["at"]) or use.at
            if (at.file, at.line) in self._before or (found["at"] and not at.line and at.file in self._told):
                continue  # said already, and better
            message = str(found["message"]).replace(f"{self.workspace}/", "").replace("\n", " ")
            if LATER in message:
                self.faults.warn(
                    at, f"{_LATER_WHY}: {message.replace(LATER_SERVICE, 'the service').replace(LATER, 'the place')}"
                )
            elif found["soft"]:
                told = message if "when it runs" in message else f"{message}, where it is included when it runs"
                near = f"; did you mean {found['near']!r}?" if found["near"] else ""
                self.faults.warn(at, told + near, found["wanted"])
            else:
                self.faults.add(at, message, found["wanted"], found["near"])

    def _position(self, at: Any) -> Position | None:
        if not at:
            return None
        path = Path(at[0])
        name = str(path.relative_to(self.workspace)) if path.is_relative_to(self.workspace) else str(path)
        return Position(name, int(at[1]), int(at[2]))

    def _judge_hosts(self, found: list[tuple[Use, Mapping[str, Any]]]) -> None:
        """Plays that name hosts which are not there."""
        unknown: dict[tuple[Position, str], dict[str, str]] = {}  # where and term, to each client's word for it
        users: dict[Position, set[str]] = {}
        without: set[tuple[Position, str]] = set()  # plays and clients: it goes on with hosts that are there
        for use, answer in found:
            plays = answer.get("plays", ())
            late = self._late(use.client, answer)
            nobody = bool(plays) and not late and all(f["soft"] for f in answer["faults"])
            for play in plays:
                at = self._position(play["at"]) or use.at
                users.setdefault(at, set()).add(use.client)
                hosts, terms = self._hosts(use.client, play["hosts"], at, answer)
                for term in terms:
                    unknown.setdefault((at, term), {})[use.client] = late
                without |= {(at, use.client)} if hosts else set()
                if hosts is not None and not hosts and not terms and len(plays) > 1:
                    why = f"; {late}" if late else ": this play is skipped there"
                    said = f"hosts {','.join(play['hosts'])!r} match no host of client {use.client}"
                    self.faults.warn(at, said + why)
                nobody = nobody and hosts == [] and not terms
            if nobody:
                said = f"no play of {use.name} matches a host of client {use.client}"
                self.faults.add(self._position(plays[0]["at"]) or use.at, said, "'hosts' with a host of its inventory")
            self._judge_limit(use, late)
        for (at, term), by_client in unknown.items():
            for goes_on in (False, True):
                some = {name: late for name, late in by_client.items() if ((at, name) in without) is goes_on}
                if some:
                    self._unknown(at, term, some, everywhere=by_client.keys() == users[at], goes_on=goes_on)

    def _late(self, client: str, answer: Mapping[str, Any]) -> str:
        """Why hosts may come that are not there now; empty: they may not."""
        if client not in self._computed:
            self._computed[client] = any(map(is_computed, parts_of(self.inventories[client].sources)))
        if self._computed[client]:
            return f"its inventory is computed: {_LATER_WHY}"
        if answer.get("late"):
            return f"{answer['late']}: {_LATER_WHY}"
        if any(not pattern.replace(".*", "") for pattern in answer.get("added", ())):
            return f"a task adds hosts or groups: {_LATER_WHY}"
        return ""

    def _hosts(
        self, client: str, patterns: Sequence[str], at: Position, answer: Mapping[str, Any]
    ) -> tuple[list[str] | None, list[str]]:
        """The hosts of a play (None: known when tasks have added them), and the names that lead nowhere."""
        inventory = self.inventories[client]
        pattern = ",".join(patterns)
        if LATER_SERVICE in pattern:
            return None, []
        places = self.places.get(client, ()) if LATER in pattern else ("",)
        added_by_name = [p for p in answer.get("added", ()) if p.replace(".*", "")]
        every: list[str] = []
        unknown: list[str] | None = None  # None: of one place, if not of every one, all names are there
        for index, place in enumerate(places):
            try:
                terms = [t for p in patterns for t in split_pattern(p.replace(LATER, place))]
                hosts, nowhere = match_hosts(",".join(terms), inventory.hosts, inventory.groups)
            except PatternInvalid as error:
                self.faults.add(at, f"hosts: {error}", "an Ansible host pattern")
                return None, []
            wanting = [term for term in nowhere if term not in HERE]
            added = [t for t in wanting if any(re.fullmatch(p, t) for p in added_by_name)]
            if added:
                return None, []
            for term in [t for t in wanting if f"!{t}" in terms]:
                self.faults.warn(at, f"hosts: client {client} has no host or group {term!r}: nothing is left out by it")
                wanting.remove(term)
            every += hosts or (["localhost"] if nowhere and nowhere[0] in HERE else [])
            unknown = wanting if index == 0 else unknown and wanting and unknown
        return every, unknown or []

    def _unknown(
        self, at: Position, term: str, by_client: Mapping[str, str], *, everywhere: bool, goes_on: bool
    ) -> None:
        inventories = [self.inventories[client] for client in by_client]
        names = {n for i in inventories for n in (*i.hosts, *i.groups)} - {"all", "ungrouped"}
        late = next((why for why in by_client.values() if why), "")
        whose = f"client {', '.join(sorted(by_client))}"
        what = f"hosts: there is no host or group {term!r} in the inventory of {whose}"
        if late:
            self.faults.warn(at, f"{what} now; {late}")
        elif not everywhere:
            self.faults.warn(at, f"{what}: this play {'goes on without it' if goes_on else 'is skipped there'}")
        else:
            near = nearest(term, names)
            self.faults.add(at, what, "" if near else "a host or group of it", near)

    def _judge_limit(self, use: Use, late: str) -> None:
        """Ansible refuses to start where `limit` leaves nobody."""
        if use.limit is None or "@" in use.limit or "{{" in use.limit:
            return
        inventory = self.inventories[use.client]
        try:
            hosts, unknown = match_hosts(use.limit, inventory.hosts, inventory.groups)
        except PatternInvalid as error:
            self.faults.add(use.limit_at, f"limit: {error}", "an Ansible host pattern")
            return
        if hosts or not inventory.hosts:
            return
        said = f"limit {use.limit!r} leaves no host of client {use.client}"
        if late:
            self.faults.warn(use.limit_at, f"{said} now; {late}")
        else:
            near = nearest(unknown[0], {*inventory.hosts, *inventory.groups}) if unknown else None
            self.faults.add(use.limit_at, said, "" if near else "a pattern that matches", near)


def answers_kept(cache: Path, client: str) -> bool:
    """Whether anything was asked for this client before."""
    return _kept_in(cache, client).is_file()


def _kept_in(cache: Path, client: str) -> Path:
    return cache / f"syntax-{client}.json"


def _keeps(answer: Mapping[str, Any]) -> bool:
    """Whether it holds until something that is covered changes."""
    return "broken" not in answer and not any(fault["lacks"] for fault in answer["faults"])


def facts(known: Mapping[str, Json]) -> dict[str, Json]:
    """What a run tells its playbook; names of places that are not known before stand as `LATER`."""
    unknown: dict[str, Json] = {
        "run": "r1", "incident": "i1", "epoch": 1, "move": "", "service": LATER_SERVICE, "step": "execute",
        "drill": False, "deadline": 0, "from": LATER, "to": "", "place": LATER,
    }  # fmt: skip
    return {f"bascule_{name}": value for name, value in {**unknown, **known}.items()}
