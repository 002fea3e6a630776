"""Reads a workspace and compiles it to a model, or says everything that is wrong with it.

The one rule it keeps: nothing is half loaded. The result is a whole, consistent model, or `ConfigurationInvalid` with
every fault of every file.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel

from orchestrator.config import last_read
from orchestrator.config.ansible_process import Ansible
from orchestrator.config.caches import forget_the_gone
from orchestrator.config.checks import compile_checks, read_checks
from orchestrator.config.client import ClientFile, Compiler, compile_limits, compile_moves, compile_places, read_client
from orchestrator.config.conditions import CheckNames
from orchestrator.config.domains import Domains, find_domains
from orchestrator.config.faults import Fault, Faults, Position, nearest
from orchestrator.config.inventory import Inventory, read_inventory
from orchestrator.config.last_read import Stale
from orchestrator.config.logins import login_checks
from orchestrator.config.manifest import Manifest
from orchestrator.config.names import CLIENT_NAME, PLAIN_NAME, check_names, client_fault
from orchestrator.config.oddities import odd_programs, programs_here
from orchestrator.config.ownership import run_by_git, unsafe, unsafe_parts
from orchestrator.config.playbooks import Reader
from orchestrator.config.rehearsals import with_rehearsals
from orchestrator.config.resting_on import versions
from orchestrator.config.schedules import Judge, read_schedules
from orchestrator.config.services import compile_services, find_cycles
from orchestrator.config.settings import (
    DaemonSettings,
    JournalSettings,
    People,
    WorkspaceSettings,
    read_people,
    read_settings,
    speakers,
    who_may_speak,
)
from orchestrator.config.sources import inventory_of
from orchestrator.config.spelling import either
from orchestrator.config.starting import Starting, answers_kept
from orchestrator.config.strict_yaml import read_yaml
from orchestrator.config.surroundings import files_of, label, surroundings
from orchestrator.config.templates import Secrets
from orchestrator.config.vantages import check_vantages
from orchestrator.config.ways import AskUrl, check_clients
from orchestrator.config.words import YAML
from orchestrator.core.codec import dumps, encode
from orchestrator.core.model import Limits, Model, Move, Place, Service
from orchestrator.core.outside import name_fault, visible
from orchestrator.core.people import CommandWay, Heartbeat, NotifySettings, Person, every_way

CACHE = Path(".bascule") / "cache"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid workspace. Only `model` is ever stored; everything secret is in `secrets` and `notify`."""

    workspace: Path
    model: Model
    notify: NotifySettings
    daemon: DaemonSettings
    inventories: Mapping[str, tuple[Path, ...]]  # client to the sources for `ansible-playbook -i`
    secrets: Secrets
    warnings: tuple[Fault, ...] = ()
    hosts: Mapping[str, int] = field(default_factory=dict)  # client to the number of its hosts
    journal: JournalSettings = field(default_factory=JournalSettings)
    manifests: Mapping[str, Manifest] = field(default_factory=dict, repr=False)  # digest of a playbook to what it is of
    stale: Mapping[str, Stale] = field(default_factory=dict)  # clients whose inventory is used as it was last read

    @property
    def people(self) -> Mapping[str, Person]:
        """Every person by id."""
        return self.notify.people

    @property
    def heartbeat(self) -> Heartbeat | None:
        """Who is told that this controller lives."""
        return self.notify.heartbeat


def load(
    workspace: Path,
    *,
    probe_kinds: Mapping[str, type[BaseModel]],
    clients: Iterable[str] | None = None,
    cache: bool = True,
    logins: bool = False,
    starts: bool = False,
    ask_url: AskUrl | None = None,
    judge: Judge | None = None,
) -> Loaded:
    """Read a workspace; `clients` restricts it to some. `probe_kinds`: kind of probe to the model of its options.

    With `logins`, as the daemon wants it: also a check for each login that the moves will need. With `starts`, Ansible
    is asked whether each playbook can start. `ask_url` tells what is wrong with an apprise URL; without it they are
    taken as they are. `judge` knows calendars; without it schedules are taken as they are.
    Raises ConfigurationInvalid with every fault found.
    """
    workspace = workspace.resolve()
    with Ansible(workspace) as ansible:
        return _load(ansible, probe_kinds, clients, ask_url, judge, cache=cache, logins=logins, starts=starts)


def _load(
    ansible: Ansible,
    probe_kinds: Mapping[str, type[BaseModel]],
    clients: Iterable[str] | None,
    ask_url: AskUrl | None,
    judge: Judge | None,
    *,
    cache: bool,
    logins: bool,
    starts: bool,
) -> Loaded:
    workspace = ansible.workspace
    faults = Faults()
    folders = _clients(workspace, faults)
    chosen = dict(folders)
    if cache and not faults.found:
        forget_the_gone(workspace / CACHE, folders)
    for name in clients or ():
        if name not in folders:
            faults.unknown(Position("inventories"), "client", name, folders)
    if clients is not None:
        wanted = set(clients)
        chosen = {name: folder for name, folder in folders.items() if name in wanted}
    if against := unsafe(workspace) or unsafe_parts(files_of(workspace, surroundings(workspace))):
        for path, why in against:
            faults.add(Position(label(workspace, path)), why)
        faults.raise_if_any()  # to read on is to run: an inventory may be a program
    if starts and not all(cache and answers_kept(workspace / CACHE, name) for name in chosen):
        with contextlib.suppress(OSError):
            ansible.start()  # it will be asked, and its import takes longer than what comes before
    settings = read_settings(workspace, faults, ask_url)
    files: dict[str, ClientFile] = {}
    people: dict[str, People] = {}
    sources: dict[str, list[Path]] = {}
    for name, folder in chosen.items():
        where = f"inventories/{name}/"
        path = either(folder, "services", where, faults)
        document = read_yaml(path, f"{where}{path.name}", faults)
        file = read_client(document, name, faults) if document else None
        if file is not None:
            files[name] = file
        sources[name] = inventory_of(folder, file, faults)
        path = either(folder, "people", where, faults)
        people[name] = read_people(path, f"{where}{path.name}", name, settings.people, faults, ask_url)
    reader = Reader(workspace, faults)
    inventories = _inventories(
        ansible,
        {n: s for n, s in sources.items() if s},
        faults,
        lambda: reader.look_at(book for file in files.values() for book in file.playbooks()),
        cache=cache,
    )
    domains = _domains(files, inventories, faults)
    secrets = Secrets(workspace)
    checks = compile_checks(
        read_checks(workspace, probe_kinds, faults),
        {name: inventory for name, inventory in inventories.items() if name in domains},
        domains,
        probe_kinds,
        workspace,
        secrets,
        settings.daemon.vantage,
        faults,
        all_clients=frozenset(folders),
    )
    odd_programs(checks.checks, lambda check: checks.at(check, "command"), settings.daemon.vantage, faults)
    compilers = {
        name: Compiler(
            file,
            CheckNames(name, checks.by_name(name), frozenset(checks.broken.get(name, ()))),
            domains[name],
            reader,
            sources[name],
            faults,
            checks.checks,
            read=inventories[name],
        )
        for name, file in files.items()
        if name in domains
    }
    places: dict[str, Place] = {}
    moves: dict[str, Move] = {}
    services: dict[str, Service] = {}
    client_limits: dict[str, Limits] = {}
    for name, compiler in compilers.items():
        places |= compile_places(compiler, set(inventories[name].groups))
        moves |= compile_moves(compiler)
        services |= compile_services(compiler, moves, places, files, _person_ids(settings.people, people, name))
        moves |= with_rehearsals(compiler, moves, (s for s in services.values() if s.client == name))
        if files[name].head.limits is not None:
            client_limits[name] = compile_limits(files[name].head.limits)
    find_cycles(services, files, faults)
    every = {p for name in files for p in _person_ids(settings.people, people, name)}
    plain = Model("", {}, places, moves, services)
    scheduled = read_schedules(chosen, files, plain, frozenset(every), judge, faults)
    if starts:
        named = {name: sorted(file.declared["places"]) for name, file in files.items()}
        starting = Starting(workspace, inventories, named, faults, ansible, workspace / CACHE if cache else None)
        starting.check(use for compiler in compilers.values() for use in compiler.uses)
    limits = {name: client_limits.get(name, settings.limits) for name in files}
    notify = _notify(settings, people)
    check_clients(
        services,
        notify.people,
        notify.on_call,
        notify.client_ways,
        notify.ways,
        {name: file.document.at for name, file in files.items()},
        lambda service: files[service.client].document.at("services", service.name, "owners"),
        faults,
    )
    check_vantages(checks.checks, services, files, limits, probe_kinds, settings.daemon.vantage, faults)
    commands = [*(w.argv for w in every_way(notify) if isinstance(w, CommandWay)), settings.journal.anchor_command]
    started = programs_here(checks.checks.values(), settings.daemon.vantage, commands)
    for path, why in unsafe_parts(reader.covered() | started | run_by_git(settings.journal.anchor_git)):
        faults.add(Position(label(workspace, path)), why)
    for path in sorted(path for path in reader.perhaps_run() if path.suffix in YAML):
        what = "a task or script gives this playbook to Ansible; if that is here, what it loads counts for no digest"
        faults.warn(Position(str(path)), what, "it below playbooks/, and import_playbook")
    for path, why in unsafe_parts(reader.perhaps_run()):
        faults.warn(Position(str(path)), f"if it runs here, and not on a target: {why}")
    who_may_speak(settings, {name: people[name] for name in files}, faults)
    faults.raise_if_any()
    if logins and settings.daemon.logins:
        checks.checks |= login_checks(
            moves.values(), inventories, domains, reader, checks.checks, settings.daemon.vantage
        )
    drills, known = (scheduled.drills, scheduled.maintenance), versions(reader.manifests.values())
    who = speakers(settings, people)
    model = Model("", checks.checks, places, moves, services, settings.limits, client_limits, who, *drills, known)
    return Loaded(
        workspace=workspace,
        model=_digested(model),
        notify=notify,
        daemon=settings.daemon,
        journal=settings.journal,
        inventories={name: tuple(found) for name, found in sources.items()},
        secrets=secrets,
        warnings=faults.warnings(),
        hosts={name: len(inventory.hosts) for name, inventory in inventories.items()},
        manifests=reader.manifests,
        stale={name: inventory.stale for name, inventory in inventories.items() if inventory.stale is not None},
    )


def load_notify(workspace: Path) -> tuple[NotifySettings, Faults]:
    """Who is told, and how, as far as it can be read, and what is wrong with it. Never raises for faults."""
    faults = Faults()
    settings = read_settings(workspace, faults)
    people = {
        name: read_people(path, f"inventories/{name}/{path.name}", name, settings.people, faults)
        for name, folder in _clients(workspace, faults).items()
        for path in [either(folder, "people")]
    }
    return _notify(settings, people), faults


def sources_of(workspace: Path) -> dict[str, tuple[Path, ...]]:
    """Each client's inventory sources, as far as its files can be read. Never raises for faults."""
    found: dict[str, tuple[Path, ...]] = {}
    for name, folder in _clients(workspace, faults := Faults()).items():
        path = either(folder, "services")
        document = read_yaml(path, f"inventories/{name}/{path.name}", faults)
        file = read_client(document, name, faults) if document else None
        found[name] = tuple(inventory_of(folder, file, faults))
    return found


def _notify(settings: WorkspaceSettings, people: Mapping[str, People]) -> NotifySettings:
    return NotifySettings(
        people={p.id: p for group in (settings.people, *people.values()) for p in group.persons.values()},
        ways=settings.ways,
        client_ways={name: group.ways for name, group in people.items() if group.ways},
        on_call={name: group.on_call for name, group in people.items()},
        deliver=settings.deliver,
        retry=settings.retry,
        heartbeat=settings.heartbeat,
    )


def _digested(model: Model) -> Model:
    """The same model under the digest of its contents."""
    return replace(model, digest=hashlib.sha256(dumps(encode(model))).hexdigest()[:32])


def _clients(workspace: Path, faults: Faults) -> dict[str, Path]:
    """Client names to their folders."""
    top = workspace / "inventories"
    if not workspace.is_dir():
        faults.add(Position(str(workspace)), "there is no such directory", "a workspace")
        return {}
    below = sorted(top.iterdir()) if top.is_dir() else []
    folders = {p.name: p for p in below if either(p, "services").is_file()}
    for name in [name for name in folders if client_fault(name)]:
        wanted = PLAIN_NAME if name_fault(name) else CLIENT_NAME
        faults.add(Position(f"inventories/{visible(name)}"), f"the client's name {client_fault(name)}", wanted)
        del folders[name]
    if not folders:
        near = nearest("inventories", [p.name for p in workspace.iterdir() if p.is_dir() and p != top])
        faults.add(
            Position("inventories"),
            "there is no client",
            "a folder with hosts.yml and services.yml for each client",
            near,
        )
    return folders


def _inventories(
    ansible: Ansible,
    sources: Mapping[str, list[Path]],
    faults: Faults,
    meanwhile: Callable[[], None],
    *,
    cache: bool,
) -> dict[str, Inventory]:
    """Read every client's inventory, side by side; `meanwhile` there is something else to do."""
    workspace = ansible.workspace
    folder, kept = (workspace / CACHE, workspace / last_read.FOLDER) if cache else (None, None)

    def read(item: tuple[str, list[Path]]) -> tuple[str, Inventory | None, Faults]:
        own = Faults()  # one a thread
        return item[0], read_inventory(workspace, item[0], item[1], own, cache=folder, kept=kept, ansible=ansible), own

    found: dict[str, Inventory] = {}
    with ThreadPoolExecutor(max_workers=8) as pool:
        reading = pool.map(read, sources.items())
        meanwhile()
        for name, inventory, own in reading:
            faults.found += own.found
            faults.warned += own.warned
            if inventory is not None:
                found[name] = inventory
                check_names(workspace, inventory, faults)
                for line in inventory.warnings:
                    faults.warn(Position(label(workspace, sources[name][0])), f"Ansible says: {line}")
    return found


def _domains(
    files: Mapping[str, ClientFile], inventories: Mapping[str, Inventory], faults: Faults
) -> dict[str, Domains]:
    return {
        name: find_domains(inventories[name], sorted(file.declared["places"]), file.head.domains or [], faults)
        for name, file in files.items()
        if name in inventories
    }


def _person_ids(shared: People, people: Mapping[str, People], client: str) -> frozenset[str]:
    mine = {f"{client}/{name}" for name in people[client].declared} if client in people else set()
    return frozenset(mine | shared.declared)
