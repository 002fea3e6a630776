"""What a controller needs beside the model, kept while it is in force: inventories, people and ways, its own settings.

The one rule it keeps: it stores where a secret is kept, never the secret. If a way's URL stands in the file itself, it
is found again only in that file.

    kept                                          for
    -----------------------------------------------------------------------------------------------------------
    in-force/kept.json                            the day on which the files are invalid and the daemon starts
    in-force/CLIENT.json, .yml                    each client's inventory as it was read when it was put in force
    last-read/CLIENT.json, .yml (`last_read.py`)  the day on which a computed inventory cannot be asked
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.config import last_read
from orchestrator.config.comparing import playbook_digest
from orchestrator.config.faults import Faults, Position
from orchestrator.config.inventory import Inventory, as_it_was, read_inventory
from orchestrator.config.last_read import Stale
from orchestrator.config.load import CACHE, Loaded, load_notify, sources_of
from orchestrator.config.settings import DaemonSettings, kept_text
from orchestrator.config.templates import Secrets, Variables, is_template
from orchestrator.config.whole_file import make_private, write_whole
from orchestrator.core.kinds import declared_by, rehearsed_by
from orchestrator.core.model import Json, Model, Playbook
from orchestrator.core.people import (
    AppriseWay,
    CommandWay,
    Deliver,
    Heartbeat,
    KeptIn,
    NotifySettings,
    Person,
    Retry,
    Way,
    every_way,
)

FOLDER = Path(".bascule") / "in-force"
FILE = "kept.json"
_KEPT = FILE.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Beside:
    """What is in force beside the model of this digest. `lost`: ways that were there and cannot be had now."""

    digest: str = ""
    notify: NotifySettings = field(default_factory=NotifySettings)
    daemon: DaemonSettings = field(default_factory=DaemonSettings)
    inventories: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    stale: Mapping[str, Stale] = field(default_factory=dict)
    alone: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # client: playbook: digest without inventory
    secrets: Secrets | None = None
    lost: tuple[str, ...] = ()

    def to_play(self) -> dict[str, tuple[Path, ...]]:
        """What `ansible-playbook -i` is given, by client."""
        return {**self.inventories, **{client: (stale.path,) for client, stale in self.stale.items()}}


def beside(loaded: Loaded) -> Beside:
    """What stands beside a valid configuration."""
    return Beside(
        loaded.model.digest, loaded.notify, loaded.daemon, loaded.inventories, loaded.stale, {}, loaded.secrets
    )


def keep(loaded: Loaded) -> None:
    """Remember it, since it is in force now. Raises OSError."""
    folder, workspace = loaded.workspace / FOLDER, loaded.workspace
    make_private(folder)
    for client in loaded.inventories:
        read, kept = workspace / last_read.FOLDER / f"{client}.json", folder / f"{_named(client)}.json"
        if read.exists():
            write_whole(kept, read.read_text(encoding="utf-8"))
        else:
            kept.unlink(missing_ok=True)
    alone: dict[str, dict[str, str]] = {}
    for client in loaded.inventories:
        paths = {book.path for book in playbooks(loaded.model, client)}
        found = {path: playbook_digest(workspace, path, ()) for path in sorted(paths)}
        alone[client] = {path: digest for path, digest in found.items() if digest is not None}
    known: dict[str, Any] = {
        "digest": loaded.model.digest,
        "inventories": {c: [str(p) for p in paths] for c, paths in loaded.inventories.items()},
        "alone": alone,
        "daemon": asdict(loaded.daemon),
        "notify": _notify_out(loaded.notify),
        "secrets": {name: list(where) for name, where in loaded.secrets.references().items() if is_template(where[0])},
    }
    write_whole(folder / FILE, json.dumps(known, indent=1))
    there = {folder: set(map(_named, loaded.inventories)) | {_KEPT}}
    there[workspace / last_read.FOLDER] = set(loaded.inventories)
    for of_clients, names in there.items():
        for path in of_clients.glob("*.*"):  # a client that is gone leaves none of its variables
            if path.suffix in (".json", ".yml") and path.stem not in names:
                path.unlink(missing_ok=True)


def kept(workspace: Path) -> Beside:
    """What was beside the model that was put in force last; where that is not known, what the files say of it.

    Inventories that can be read now are used as they are; another one is the one that was in force. May take long.
    """
    now, _ = load_notify(workspace)
    try:
        known = json.loads((workspace / FOLDER / FILE).read_text(encoding="utf-8"))
        lost: list[str] = []
        found = Beside(
            digest=str(known["digest"]),
            notify=_notify_in(known["notify"], lost),
            daemon=DaemonSettings(**known["daemon"]),
            inventories={c: tuple(Path(p) for p in paths) for c, paths in known["inventories"].items()},
            alone=known["alone"],
        )
        references = dict(known["secrets"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # kept by another version, or not at all
        return Beside(notify=now, inventories=sources_of(workspace))
    notify = _together(found.notify, now, frozenset(lost))
    there = {way.label for way in every_way(notify) if isinstance(way, AppriseWay)}
    stale: dict[str, Stale] = {}
    secrets = Secrets(workspace)
    for client, paths in found.inventories.items():
        inventory = _inventory(workspace, client, list(paths))
        if inventory is None:
            continue
        if inventory.stale is not None:
            stale[client] = inventory.stale
        for reference, (template, owner, host) in references.items():
            if owner == client:
                secrets.refer(reference, template, Variables(inventory, host, workspace))
    lost = [way for way in dict.fromkeys(lost) if way not in there]
    return replace(found, notify=notify, stale=stale, secrets=secrets, lost=tuple(lost))


def _named(client: str) -> str:
    """What a client's files are called beside ours: no client has a `#` in its name."""
    return f"{client}#" if client == _KEPT else client


def _inventory(workspace: Path, client: str, sources: list[Path]) -> Inventory | None:
    """The client's inventory as it is, else as it was when it was put in force."""
    faults, gone = Faults(), [p.name for p in sources if not p.exists()]
    if gone:
        faults.add(Position(client), f"{', '.join(gone)} is not there any more")
    else:
        read = read_inventory(
            workspace, client, sources, faults, cache=workspace / CACHE, kept=workspace / last_read.FOLDER
        )
        if read is not None:
            return read
    before = last_read.last(workspace / FOLDER, _named(client))
    if before is None:
        return None
    try:
        path = last_read.as_inventory(workspace / FOLDER, _named(client))
    except OSError:
        return None
    if path is None:
        return None
    found = as_it_was(client, sources, before)
    found.stale = Stale(path, before.at, "; ".join(fault.message for fault in faults.sorted()))
    return found


def playbooks(model: Model, client: str) -> Iterator[Playbook]:
    """Every playbook that a run of this client may play."""
    for move in model.moves.values():
        if move.client == client:
            handed = move.hand_over.playbook if move.hand_over else None
            yield from (book for book in (*declared_by(move), handed, *rehearsed_by(move)) if book is not None)
    for place in model.places.values():
        if place.client == client:
            yield from (declared.playbook for declared in (place.fence, place.isolate) if declared is not None)


# ---- people and ways, without secrets


def _notify_out(settings: NotifySettings) -> Json:
    beat = settings.heartbeat
    return {
        "people": {i: {**_plain(p), "ways": [_way_out(w) for w in p.ways]} for i, p in settings.people.items()},
        "ways": [_way_out(w) for w in settings.ways],
        "client_ways": {c: [_way_out(w) for w in ways] for c, ways in settings.client_ways.items()},
        "on_call": {c: list(ids) for c, ids in settings.on_call.items()},
        "deliver": settings.deliver.value,
        "retry": asdict(settings.retry),
        "heartbeat": None
        if beat is None
        else {"kept_in": list(beat.kept_in or ()), "every_s": beat.every_s, "timeout_s": beat.timeout_s},
    }


def _plain(person: Person) -> dict[str, Json]:
    return {key: value for key, value in asdict(person).items() if key != "ways"}


def _way_out(way: Way) -> Json:
    if isinstance(way, AppriseWay):
        return {"apprise": list(way.kept_in or ()), "name": way.name, "label": way.label}
    # A program's arguments stand in the process list whenever it runs: whoever may read this folder sees them there.
    return {"command": list(way.argv), "name": way.name, "timeout_s": way.timeout_s}


def _notify_in(data: Any, lost: list[str]) -> NotifySettings:
    def ways(items: Any) -> tuple[Way, ...]:
        return tuple(way for item in items if (way := _way_in(item, lost)) is not None)

    def person(known: Any) -> Person:
        plain: dict[str, Any] = {key: tuple(x) if isinstance(x, list) else x for key, x in known.items()}
        return Person(**plain | {"ways": ways(known["ways"])})

    beat = data["heartbeat"]
    url = kept_text(_where(beat["kept_in"])) if beat else ""
    if beat and not url:
        lost.append("heartbeat")
    return NotifySettings(
        people={i: person(known) for i, known in data["people"].items()},
        ways=ways(data["ways"]),
        client_ways={c: ways(found) for c, found in data["client_ways"].items()},
        on_call={c: tuple(ids) for c, ids in data["on_call"].items()},
        deliver=Deliver(data["deliver"]),
        retry=Retry(**data["retry"]),
        heartbeat=Heartbeat(url, beat["every_s"], beat["timeout_s"], _where(beat["kept_in"])) if url else None,
    )


def _way_in(item: Any, lost: list[str]) -> Way | None:
    if "command" in item:
        return CommandWay(tuple(item["command"]), item["name"], item["timeout_s"])
    where = _where(item["apprise"])
    url = kept_text(where)
    if not url:
        lost.append(item["label"])
        return None
    return AppriseWay(url, item["name"], where)


def _where(kept_in: Any) -> KeptIn:
    return (str(kept_in[0]), str(kept_in[1])) if kept_in else None


def _together(kept_: NotifySettings, now: NotifySettings, lost: Set[str]) -> NotifySettings:
    """What was kept, and of the ways whose addresses are not to be had of it those that can be read now.

    No others: a client, or a person, of this name may be another one by now.
    """

    def both(one: tuple[Way, ...], other: tuple[Way, ...]) -> tuple[Way, ...]:
        return tuple(dict.fromkeys((*one, *(way for way in other if way.label in lost))))

    people = {**now.people, **kept_.people}
    return replace(
        kept_,
        people={
            i: replace(p, ways=both(p.ways, now.people[i].ways)) if i in now.people else p for i, p in people.items()
        },
        ways=both(kept_.ways, now.ways),
        client_ways={
            c: both(kept_.client_ways.get(c, ()), now.client_ways.get(c, ()))
            for c in {**kept_.client_ways, **now.client_ways}
        },
        heartbeat=kept_.heartbeat or now.heartbeat,
    )
