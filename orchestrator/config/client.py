"""One client's `services.yml`: places, moves and services, compiled to the core's model.

The one rule it keeps: shapes come first (`read_client`), names afterwards (`compile_client`), when every file has been
read. A name that is declared but faulty still counts as declared, so that one fault does not cause others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from orchestrator.config.conditions import CheckNames, take_condition, take_single_check
from orchestrator.config.domains import Domains
from orchestrator.config.faults import Faults, Position
from orchestrator.config.inventory import Inventory
from orchestrator.config.playbooks import Reader
from orchestrator.config.rehearsal_shapes import RehearseShape
from orchestrator.config.resting_on import Resting
from orchestrator.config.shape import Shape
from orchestrator.config.shapes import (
    WHOLE_MOVE,
    BackShape,
    FenceShape,
    HandOverShape,
    IsolateShape,
    LimitsShape,
    MoveShape,
    PlaceShape,
    PlaybookShape,
    ServicesFileShape,
    ServiceShape,
)
from orchestrator.config.shaping import take_shape
from orchestrator.config.starting import LATER, Use, facts
from orchestrator.config.strict_yaml import Document, Path_
from orchestrator.core.kinds import BESIDE, WAITED_FOR
from orchestrator.core.model import (
    Check,
    Condition,
    Fence,
    FenceBy,
    Isolation,
    Json,
    Limits,
    Move,
    Place,
    Playbook,
    default_of,
)

S = TypeVar("S", bound=Shape)


@dataclass(slots=True)
class ClientFile:
    """`services.yml` with its shapes held against; names not yet looked up."""

    client: str
    document: Document
    head: ServicesFileShape
    places: dict[str, PlaceShape] = field(default_factory=dict)
    moves: dict[str, MoveShape] = field(default_factory=dict)
    services: dict[str, ServiceShape] = field(default_factory=dict)
    declared: dict[str, frozenset[str]] = field(default_factory=dict)  # section to every key in it
    rehearsals: dict[str, RehearseShape] = field(default_factory=dict)  # of moves, by their names

    def back_names(self) -> set[str]:
        """Names of the implicit moves back."""
        return {f"{name}.back" for name, move in self.moves.items() if move.back is not None}

    def playbooks(self) -> list[str]:
        """Every playbook that it names, in the order of the file."""
        shapes: list[Any] = [*self.places.values(), *self.moves.values(), *self.rehearsals.values()]
        found: dict[str, None] = {}
        for shape in shapes:
            shapes += [value for _, value in shape if isinstance(value, BaseModel)]
            if isinstance(name := getattr(shape, "playbook", None), str):
                found[name] = None
        return list(found)

    def move_names(self) -> set[str]:
        """Every move there is, sound or not."""
        return set(self.declared["moves"]) | self.back_names()


@dataclass(slots=True)
class Compiler:
    """What compiling one client needs at hand."""

    file: ClientFile
    checks: CheckNames
    domains: Domains
    playbooks: Reader
    inventory: list[Path]
    faults: Faults
    asked: Mapping[str, Check] = field(default_factory=dict)  # every check, by id
    used_moves: set[str] = field(default_factory=set)
    read: Inventory | None = None  # what `inventory` was read to
    uses: list[Use] = field(default_factory=list)  # every playbook that is named
    _resting: Resting | None = None

    @property
    def client(self) -> str:
        """The client's name."""
        return self.file.client

    def at(self, *path: str | int) -> Position:
        """Where a value of `services.yml` stands."""
        return self.file.document.at(*path)

    def id(self, name: str) -> str:
        """How the model calls something of this client."""
        return f"{self.client}/{name}"

    def condition(self, data: Any, path: Path_, what: str) -> Condition | None:
        """The condition at `path`."""
        return take_condition(data, self.file.document, path, self.checks, self.faults, what)

    def place(self, name: str | None, path: Path_) -> str | None:
        """The id of a declared place."""
        if name is None:
            return None
        if name not in self.file.declared["places"]:
            self.faults.unknown(self.at(*path), "place", name, self.file.declared["places"], self.client)
            return None
        return self.id(name)

    def move(self, name: str | None, path: Path_) -> str | None:
        """The id of a declared move."""
        if name is None:
            return None
        if name not in self.file.move_names():
            self.faults.unknown(self.at(*path), "move", name, self.file.move_names(), self.client)
            return None
        self.used_moves.add(name)
        return self.id(name)

    def domain(self, name: str | None, path: Path_) -> str | None:
        """The id of a declared failure domain."""
        return self.domains.resolve(name, self.at(*path), self.faults) if name else None

    def playbook(
        self,
        shape: PlaybookShape | MoveShape | BackShape | FenceShape | HandOverShape | IsolateShape | None,
        path: Path_,
        limit: str | None = None,
    ) -> Playbook | None:
        """The playbook a mapping names, with its digest. `limit` takes the place of the mapping's own."""
        if shape is None or shape.playbook is None:
            return None
        at = self.at(*path, "playbook")
        if not self.playbooks.check(shape.playbook, at):
            return None
        given: dict[str, Json] = {**(shape.vars or {}), **facts(self._known(path))}
        self._resting = self._resting or Resting(self.playbooks, self.inventory, self.read)
        manifest, file = self.playbooks.manifest(shape.playbook, self.inventory), self.playbooks.file(shape.playbook)
        book = Playbook(
            path=shape.playbook,
            digest=manifest.digest,
            extra_vars=dict(shape.vars or {}),
            limit=limit or shape.limit,
            rests_on=self._resting.of(manifest, file, limit or shape.limit, given),
        )
        limit_at = self.at(*path, "limit")
        self.uses.append(Use(self.client, book.path, file, book.digest, given, book.limit, at, limit_at))
        return book

    def _known(self, path: Path_) -> dict[str, Json]:
        """What a run of it will be told that is known now: see `facts_for` in the core."""
        section, name = str(path[0]), str(path[1])
        if section == "places":
            return {"place": name}
        to = self.file.moves[name].to
        step = str(path[2]) if len(path) > 2 else "execute"
        about = to if to and step != "hand_over" else LATER
        move, drill = f"{name}.back" if step == "back" else name, step == "rehearse"
        return {"move": move, "to": "" if drill else to or "", "place": LATER if drill else about, "drill": drill}


def read_client(document: Document, client: str, faults: Faults) -> ClientFile | None:
    """Hold a services file against its shapes."""
    head = take_shape(ServicesFileShape, document, (), document.data, faults, "the file")
    if head is None:
        return None
    file = ClientFile(client, document, head)
    _section(file, "places", "place", PlaceShape, head.places, file.places, faults)
    _section(file, "moves", "move", WHOLE_MOVE, head.moves, file.moves, faults)
    _section(file, "services", "service", ServiceShape, head.services, file.services, faults)
    for name, move in file.moves.items():
        if move.rehearse is not None:
            where: Path_ = ("moves", name, "rehearse")
            taken = take_shape(RehearseShape, document, where, move.rehearse, faults, f"move {name}: rehearse")
            if taken is not None:
                file.rehearsals[name] = taken
    return file


def _section(
    file: ClientFile,
    key: str,
    what: str,
    shape: type[S],
    data: dict[str, Any] | None,
    into: dict[str, S],
    faults: Faults,
) -> None:
    file.declared[key] = frozenset(data or ())
    for name, item in (data or {}).items():
        if not name or any(sign in name for sign in "/@# "):
            faults.add(file.document.key(key, name), f"{name!r} is no name", "letters, digits, '-', '_' and '.'")
        taken = take_shape(shape, file.document, (key, name), item, faults, f"{what} {name}")
        if taken is not None:
            into[name] = taken


def compile_limits(shape: LimitsShape | None) -> Limits:
    """Brakes, with the core's defaults for what is not written."""
    keys = {f.name.removesuffix("_s"): f.name for f in fields(Limits)}
    given = {name: x for key, name in keys.items() if shape and (x := getattr(shape, key)) is not None}
    return Limits(**given)


def compile_places(c: Compiler, inventory_groups: set[str]) -> dict[str, Place]:
    """Every place of a client."""
    found: dict[str, Place] = {}
    for name, shape in c.file.places.items():
        path: Path_ = ("places", name)
        if name not in c.domains.hosts:
            known = inventory_groups | set(c.domains.hosts)
            c.faults.unknown(c.file.document.key(*path), "group or domain for the place", name, known, c.client)
        domains = {c.domains.id(name)} if name in c.domains.hosts else set()
        for index, other in enumerate(shape.domains or ()):
            resolved = c.domain(other, (*path, "domains", index))
            if resolved:
                domains.add(resolved)
        fence = _fence(c, shape.fence, (*path, "fence"), f"fence of {name}") if shape.fence else None
        if fence is not None and fence.dark_when is not None:
            _dark_from_outside(c, name, fence.dark_when)
        isolate = _isolation(c, shape.isolate, (*path, "isolate"), f"isolation of {name}") if shape.isolate else None
        found[c.id(name)] = Place(
            id=c.id(name), client=c.client, name=name, fence=fence, domains=frozenset(domains), isolate=isolate
        )
    return found


def _isolation(c: Compiler, shape: IsolateShape, path: Path_, what: str) -> Isolation | None:
    playbook = c.playbook(shape, path)
    proven = c.condition(shape.proven_when, (*path, "proven_when"), f"{what}: proven_when")
    timeout = seconds(c, Isolation, "timeout", path, what, shape)
    return Isolation(playbook, proven, timeout, shape.safe_to_repeat) if playbook else None


def _fence(c: Compiler, shape: FenceShape | HandOverShape, path: Path_, what: str) -> Fence | None:
    playbook = c.playbook(shape, path)
    proven = c.condition(shape.proven_when, (*path, "proven_when"), f"{what}: proven_when")
    automatic, dark = FenceBy.ALWAYS, None
    if isinstance(shape, FenceShape):
        automatic = FenceBy(shape.automatic)
        dark = c.condition(shape.dark_when, (*path, "dark_when"), f"{what}: dark_when")
        if automatic is FenceBy.WHEN_DARK and shape.dark_when is None:
            c.faults.add(
                c.at(*path, "automatic"),
                f"{what} is automatic when_dark, and nothing says when it is dark",
                "the key 'dark_when'",
            )
        if automatic is not FenceBy.WHEN_DARK and shape.dark_when is not None:
            c.faults.warn(c.at(*path, "dark_when"), f"{what}: dark_when is not used", "automatic: when_dark")
    timeout = seconds(c, Fence, "timeout", path, what, shape)
    if playbook is None or proven is None:
        return None
    return Fence(playbook, proven, automatic, dark, timeout, shape.safe_to_repeat)


def _dark_from_outside(c: Compiler, place: str, dark_when: Condition) -> None:
    """Nothing inside a place can say that the place has no power."""
    for identifier in dark_when.checks():
        check = c.asked.get(identifier)
        if check is not None and c.domains.id(place) in check.domains:
            asked = identifier.partition("/")[2]
            message = f"fence of {place}: dark_when asks {asked}, which is in {place} and says nothing when it is dark"
            c.faults.add(c.at("places", place, "fence", "dark_when"), message, "a check of a console outside of it")


def seconds(c: Compiler, of: type, key: str, path: Path_, what: str, *shapes: Any) -> float:
    """A duration longer than zero: of the first of these shapes that says one, else the model's own default."""
    first = getattr(shapes[0], key)
    if first is not None and first <= 0:
        c.faults.add(c.at(*path, key), f"{what}: {key} is zero", "a duration longer than 0s")
    given = next((x for shape in shapes if (x := getattr(shape, key))), None)
    return float(given if given is not None else default_of(of, f"{key}_s"))


def compile_moves(c: Compiler) -> dict[str, Move]:
    """Every move of a client, and the implicit moves back."""
    found: dict[str, Move] = {}
    for name, shape in c.file.moves.items():
        move = _move(c, name, shape)
        if name.endswith(".back") and name.removesuffix(".back") in c.file.declared["moves"]:
            c.faults.add(
                c.file.document.key("moves", name),
                f"{name!r} is the name of the way back of another move",
                "another name",
            )
        if move is not None:
            found[move.id] = move
        if shape.back is not None:
            back = _back(c, name, shape, shape.back, move)
            if back is not None:
                found[back.id] = back
    return found


def _move(c: Compiler, name: str, shape: MoveShape) -> Move | None:
    path: Path_ = ("moves", name)
    what = f"move {name}"
    playbook = c.playbook(shape, path)
    beside: dict[str, Any] = {key: c.playbook(getattr(shape, key), (*path, key)) for key in BESIDE}
    waited: dict[str, Any] = {x: c.condition(getattr(shape, x), (*path, x), f"{what}: {x}") for x in WAITED_FOR}
    limits: dict[str, Any] = {
        f"{x}_s": seconds(c, Move, x, path, what, shape) for x in dict.fromkeys(WAITED_FOR.values())
    }
    done = c.condition(shape.done_when, (*path, "done_when"), f"{what}: done_when")
    to = c.place(shape.to, (*path, "to"))
    leaves = {c.place(p, (*path, "from", i)) for i, p in enumerate(shape.leaves or ())}
    hand_over = _fence(c, shape.hand_over, (*path, "hand_over"), f"{what}: hand_over") if shape.hand_over else None
    undoes = c.move(shape.undoes, (*path, "undoes")) if shape.undoes else None
    via = c.domain(shape.via, (*path, "via"))
    data_age = (
        take_single_check(shape.data_age, c.file.document, (*path, "data_age"), c.checks, c.faults, f"{what}: data_age")
        if shape.data_age
        else None
    )
    if shape.back is not None and shape.to is not None:
        c.faults.add(
            c.file.document.key(*path, "back"),
            f"{what} goes to {shape.to}, so its way back is a move of its own",
            "no 'back' beside 'to'",
        )
    if shape.to is not None and shape.to in (shape.leaves or ()):
        c.faults.add(c.at(*path, "to"), f"{what} goes where it comes from", "a place that is not in 'from'")
    timeout = seconds(c, Move, "timeout", path, what, shape)
    if playbook is None or waited["verify"] is None:
        return None
    return Move(
        id=c.id(name),
        client=c.client,
        name=name,
        playbook=playbook,
        to=to,
        leaves=frozenset(p for p in leaves if p),
        undoes=undoes,
        holds=tuple(c.id(resource) for resource in shape.holds or ()),
        via=via,
        done_when=done,
        hand_over=hand_over,
        safe_to_repeat=shape.safe_to_repeat,
        data_age=data_age,
        timeout_s=timeout,
        **beside,
        **waited,
        **limits,
    )


def _back(c: Compiler, name: str, outer: MoveShape, shape: BackShape, forth: Move | None) -> Move | None:
    path: Path_ = ("moves", name, "back")
    what = f"move {name}.back"
    playbook = c.playbook(shape, path)
    viable = c.condition(shape.viable_when, (*path, "viable_when"), f"{what}: viable_when")
    verify = c.condition(shape.verify, (*path, "verify"), f"{what}: verify")
    done = c.condition(shape.done_when, (*path, "done_when"), f"{what}: done_when")
    via = c.domain(shape.via, (*path, "via"))
    timeout = seconds(c, Move, "timeout", path, what, shape, outer)
    preflight = seconds(c, Move, "preflight_timeout", path, what, shape, outer)
    until = seconds(c, Move, "verify_timeout", path, what, shape, outer)
    verify = verify or (forth.verify if forth else None)
    if playbook is None or verify is None:
        return None
    holds = shape.holds if shape.holds is not None else outer.holds
    return Move(
        id=c.id(f"{name}.back"),
        client=c.client,
        name=f"{name}.back",
        playbook=playbook,
        verify=verify,
        undoes=c.id(name),
        holds=tuple(c.id(resource) for resource in holds or ()),
        via=via,
        viable_when=viable,
        done_when=done,
        safe_to_repeat=outer.safe_to_repeat if shape.safe_to_repeat is None else shape.safe_to_repeat,
        timeout_s=timeout,
        preflight_timeout_s=preflight,
        verify_timeout_s=until,
    )
