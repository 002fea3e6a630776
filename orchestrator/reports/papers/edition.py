"""The client's edition of a slice: the same figures, without the provider's internals and without any other client.

The one rule it keeps: what is not known to be fit for the client is left out. A text of a person or of a target may
name a host or another client, so free text stays with the provider; times, figures, reasons and states go through. What
is to be improved is for the client to read, unless somebody said otherwise: there names are struck out (`Unsaid`).

A record that was made shorter has not the bytes that the journal's chain covers. So of each entry its hash stands
beside the extract, for whoever has the journal, and the extracts have a chain of sums of their own (`sealing.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields, replace
from enum import Enum
from typing import Any, TypeVar

from orchestrator.core import records as r
from orchestrator.core.model import (
    Check,
    Condition,
    Fence,
    Isolation,
    Limits,
    Model,
    Move,
    Place,
    Playbook,
    Rehearsal,
    Speaker,
)
from orchestrator.core.reasons import Reason
from orchestrator.reports.papers.excerpt import Piece, Slice, Wanted
from orchestrator.reports.papers.shape import Edition
from orchestrator.reports.papers.tongue import OF_THE_PROVIDER, PROVIDER
from orchestrator.reports.papers.unsaid import Unsaid
from orchestrator.reports.stories import Stories

# Texts that go through: ids, names of services, moves, places and steps, and words of tables.
KEPT = {
    "about", "before", "client", "configuration", "digest", "drill", "due", "finding", "from_place", "incident",
    "move", "notice", "place", "plan_digest", "run", "service", "step", "subject", "to_place", "was", "window",
    "fenced", "back", "back_digest", "occurrence",
}  # fmt: skip
WORDS = {"word"}  # ids of words: whoever says one may choose it
PEOPLE = {"who", "owner", "person", "to"}
CHECKS = {"check"}
BLANK = {
    "asks", "boot", "controller", "details", "evidence", "machine", "peer", "resources", "say", "tasks", "text",
    "unguarded", "why", "workspace", "measures", "stats", "drawn", "plan", "picks", "cleans_by",
    "schedule", "scheduled", "seal", "since",
}  # fmt: skip
AS_IT_IS = {"steps", "overrides"}
OF_NO_SERVICE = {Reason.WINDOW_UNSEEN, Reason.SCHEDULE_CHANGED}  # why a drill was missed, whatever could be drilled
# Of a model: ids and names of services, moves and places, the kind of a check's probe, a currency.
OF_A_MODEL = {
    "at", "client", "currency", "failback", "home", "id", "leaves", "move", "name", "parts", "places", "probe",
    "service", "to", "undoes",
}  # fmt: skip


class Mask:
    """What of a client's records its edition shows."""

    def __init__(
        self, client: str, models: Iterable[Model], others: Iterable[str] = (), hosts: Iterable[str] = ()
    ) -> None:
        """`models`: whose people and hosts there are. `others`: clients who are not this one. `hosts`: and more."""
        self._client, known = client, list(models)
        everybody = [s for model in known for s in model.speakers.values()]
        own, foreign = ([s for s in everybody if (s.client == client) is ours] for ours in (True, False))
        self._people = {x for s in own for x in (s.id, s.name)}
        short = {s.id.rpartition("/")[2] for s in own}  # so a person names themselves, where it means nobody else
        self._people |= short - {s.id.rpartition("/")[2] for s in foreign} - {s.name for s in foreign}
        self._hosts: dict[str, str] = {}
        self._words: dict[str, str] = {}
        self._unsaid = Unsaid(
            others=others,
            hosts=(*hosts, *(x for m in known for x in hosts_of(m))),
            people={x for s in everybody for x in (s.id, s.name)} - self._people,
        )

    def record(self, x: Any) -> Any:
        """The record, fit for the client."""
        made = {f.name: self._field(x, f.name, getattr(x, f.name)) for f in fields(x)}
        return replace(x, **(made | self._special(x)))

    def model(self, x: Model) -> Model:
        """The parts of a model, fit for the client."""
        return Model(
            x.digest,
            {self.check(n): self._check(c) for n, c in x.checks.items()},
            {n: self._place(p) for n, p in x.places.items()},
            {n: self._move(m) for n, m in x.moves.items()},
            {
                n: _fit(
                    s,
                    healthy_when=self._condition(s.healthy_when),
                    owners=tuple(o for o in s.owners if o in self._people),
                    cost=s.cost and _fit(s.cost),
                    ladder=tuple(_fit(t, monthly_cost=None) for t in s.ladder),
                    depends_on=tuple(_fit(d) for d in s.depends_on if d.service.startswith(f"{self._client}/")),
                )
                for n, s in x.services.items()
            },
            Limits(),
            {},
            {n: Speaker(s.id, s.client, s.name) for n, s in x.speakers.items() if s.client == self._client},
        )

    def person(self, name: str) -> str:
        """A person of the client by name, and anybody else in a word."""
        return name if not name or name in self._people else PROVIDER

    def check(self, name: str) -> str:
        """The id of a check, without its host."""
        bare, at, host = name.partition("@")
        if not at:
            return name
        return f"{bare}@{self._hosts.setdefault(host, f'host {len(self._hosts) + 1}')}"

    def _field(self, x: object, name: str, value: Any) -> Any:
        if name in PEOPLE:
            return self._of_people(name, value)
        if name in CHECKS:
            return self.check(value)
        if name in WORDS:
            return value and self._words.setdefault(value, f"word {len(self._words) + 1}")
        if name in AS_IT_IS or name in KEPT or isinstance(value, Enum | bool | int | float) or value is None:
            return value
        if name == "measures" and isinstance(x, r.StepFinished):
            return value  # the age of the data is one
        if name == "homes":
            return {n: p for n, p in value.items() if n.startswith(f"{self._client}/")}
        if name == "services":
            return tuple(n for n in value if n.startswith(f"{self._client}/"))
        return None if name == "peer" else type(value)() if isinstance(value, str | tuple) else {}

    def _of_people(self, name: str, value: Any) -> Any:
        if name == "to":
            return tuple(p for p in value if p in self._people)
        if name in ("person", "owner"):
            return value if value in self._people else "" if name == "person" else PROVIDER
        return self.person(value)

    def _special(self, x: object) -> dict[str, Any]:
        if isinstance(x, r.ControllerBegan):
            return {"controller": OF_THE_PROVIDER}
        if isinstance(x, r.NoticeDue):
            known = x.details.get("incident")
            return {"details": {"incident": known} if isinstance(known, str) else {}}
        if isinstance(x, r.MayActRemoved) and x.reason is Reason.FENCED_BY_HAND:
            return {"evidence": f"{self.person(x.evidence.partition(' states that ')[0])} states that it cannot act"}
        if isinstance(x, r.DrillBegan):  # a schedule may be of several clients, and be called like one
            own = not x.scheduled or x.scheduled.startswith(f"{self._client}/")
            return {"scheduled": x.scheduled if own else OF_THE_PROVIDER}
        if isinstance(x, r.DrillMissed):  # those of others alone do not come here
            return self._missed(x)
        if isinstance(x, r.FindingOpened):  # one that is internal does not come here
            return {"text": self._unsaid(x.text)}
        return {"why": self._unsaid(x.why)} if isinstance(x, r.FindingClosed) else {}

    def _missed(self, x: r.DrillMissed) -> dict[str, Any]:
        """What stood against the drill of another client is nothing of this one's: it could choose nothing of its own.

        Its schedule is told of by name, if it is called like the client's own and not like another's.
        """
        others = any(not name.startswith(f"{self._client}/") for name in x.services)
        shared = others and x.reason not in OF_NO_SERVICE
        named = x.schedule if x.schedule.startswith(f"{self._client}/") else OF_THE_PROVIDER
        return {"schedule": named, "reason": Reason.NOTHING_TO_DRILL if shared else x.reason}

    # ---- parts of a model

    def _condition(self, x: Condition) -> Condition:
        return replace(
            x, terms=tuple(self._condition(t) if isinstance(t, Condition) else self.check(t) for t in x.terms)
        )

    def _check(self, x: Check) -> Check:
        at = self.check(x.id)
        host = at.partition("@")[2]
        return _fit(x, id=at, host=host, options={}, loss=x.loss, latency=x.latency)

    def _fence(self, x: Fence) -> Fence:
        dark = x.dark_when and self._condition(x.dark_when)
        return _fit(x, playbook=_NO_BOOK, proven_when=self._condition(x.proven_when), dark_when=dark)

    def _isolation(self, x: Isolation) -> Isolation:
        return _fit(x, playbook=_NO_BOOK, proven_when=x.proven_when and self._condition(x.proven_when))

    def _place(self, x: Place) -> Place:
        fence, isolate = x.fence and self._fence(x.fence), x.isolate and self._isolation(x.isolate)
        return _fit(x, fence=fence, isolate=isolate)

    def _rehearsal(self, x: Rehearsal) -> Rehearsal:
        apart, verify = x.apart_when and self._condition(x.apart_when), x.verify and self._condition(x.verify)
        return _fit(
            x, playbook=_NO_BOOK, clean_up=_NO_BOOK, survey=_NO_BOOK, hosts="", prepare=x.prepare and _NO_BOOK,
            apart_when=apart, verify=verify,
        )  # fmt: skip

    def _move(self, x: Move) -> Move:
        return _fit(
            x,
            rehearse=x.rehearse and self._rehearsal(x.rehearse),
            **dict.fromkeys(x.plays, _NO_BOOK),
            **{key: self._condition(condition) for key, condition in x.asks.items()},
            via=x.via and "another way",
            hand_over=x.hand_over and self._fence(x.hand_over),
            data_age=x.data_age and self.check(x.data_age),
        )


T = TypeVar("T")
_NO_BOOK = Playbook("", "")


def _fit(x: T, **treated: Any) -> T:
    """A part of a model: numbers, words of tables, and texts that are named above. All else is left out."""
    made = dict(treated)
    for f in fields(x):  # type: ignore[arg-type]
        known = f.name in treated or f.name in OF_A_MODEL
        if not known and not isinstance(getattr(x, f.name), Enum | bool | int | float):
            made[f.name] = f.default if f.default_factory is MISSING else f.default_factory()
    return replace(x, **made)  # type: ignore[type-var]


@dataclass(frozen=True, slots=True)
class Beyond:
    """What a sentence for the client may not name, and no slice holds: clients and hosts that are none of its story."""

    clients: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()


def beyond(whole: Slice, stories: Stories) -> Beyond:
    """All clients whom the journal has had, and all hosts of the models of this slice."""
    models = [m for digest in whole.models if (m := stories.model_of(digest)) is not None]
    return Beyond(frozenset(stories.clients), frozenset(x for m in models for x in hosts_of(m)))


def hosts_of(model: Model) -> set[str]:
    """The hosts that its checks are of."""
    return {x for c in model.checks.values() for x in (c.host, c.id.partition("@")[2]) if x}


def for_client(whole: Slice, unnamed: Beyond = Beyond()) -> Slice:
    """The same slice as the client may have it: extracts of the entries, of the client's own records alone."""
    client = whole.subject.client
    others = _others(client, whole.pieces) | (unnamed.clients - {client})
    mask = Mask(client, whole.models.values(), others, unnamed.hosts)
    wanted = Wanted(whole.subject, whole.models.values())
    pieces = []
    for piece in whole.pieces:
        mine = [x for x in whole.counted(piece) if wanted(x, piece.at)]
        shown = tuple(mask.record(x) for x in mine if getattr(x, "internal", False) is not True)
        pieces.append(replace(piece, records=shown, before="", body=b""))
    models = {digest: mask.model(model) for digest, model in whole.models.items()}
    subject = replace(whole.subject, left_out={})  # what is left out is not in the extracts
    ages = tuple(replace(x, check=mask.check(x.check)) for x in whole.ages)
    return replace(whole, edition=Edition.CLIENT, subject=subject, pieces=tuple(pieces), models=models, ages=ages)


def _others(client: str, pieces: Iterable[Piece]) -> set[str]:
    """Every client of whom the journal says that its services are somewhere, but this one."""
    homes = (x.homes for piece in pieces for x in piece.records if isinstance(x, r.Configured))
    return {name.partition("/")[0] for those in homes for name in those} - {client}
