"""A refused word, what was known when it was refused, and what can be done about it: what remedies are made of.

The one rule it keeps: a word that is to be said again is the same word, with all that was said in it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestrator.core.events import OF_DRILLS, OF_FINDINGS, OF_RUNS, SAYING, WordKind, WordSpoken
from orchestrator.core.model import DrillKind, Model, Move, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.records import TierState
from orchestrator.core.rules import failback
from orchestrator.core.state.decided import EVERYTHING, Decided, Run

VERBS: dict[WordKind, str] = {  # the others are their own word
    WordKind.MAINTENANCE_END: "maintenance",
    WordKind.DRILL: "drill run",
    WordKind.FINDING: "findings open",
    WordKind.FINDING_CLOSE: "findings close",
    WordKind.NO_FINDINGS: "findings none",
}


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do, and the command that does it."""

    do: str
    command: str

    def __str__(self) -> str:
        return f"{self.do}: {self.command}"


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused word, and what was known."""

    reason: Reason
    word: WordSpoken
    decided: Decided
    model: Model

    @property
    def service(self) -> Service | None:
        """The service that it is about."""
        subject = self.word.subject
        run = self.decided.runs.get(subject) if self.word.kind in OF_RUNS else None
        drill = self.decided.drills.get(subject) if self.word.kind in OF_DRILLS else None
        about = run.started.service if run is not None else drill.began.service if drill is not None else subject
        return self.model.services.get(about)

    @property
    def move(self) -> Move | None:
        """The move that was named, else the first of the ladder that this reason stands for, else the first."""
        service = self.service
        if service is None:
            return None
        named = self.word.options.get("move")
        if named is not None:
            return self.model.moves.get(str(named) if "/" in str(named) else f"{service.client}/{named}")
        if self.word.kind is WordKind.FAILBACK:
            ways = failback.candidates(self.decided, self.model, service)
            return self.model.moves[ways[0]] if ways else None
        ids = [tier.move for tier in service.ladder]
        state = self.decided.services.get(service.id)
        incident = self.decided.incidents.get(state.incident or "") if state else None
        ledgers = incident.tiers.values() if incident is not None else ()
        failed = [x.move for x in ledgers if x.state is TierState.FAILED and x.move in ids]
        first = next(iter([*failed, *ids]), None)
        return self.model.moves[first] if first is not None else None

    def by(self, move: str) -> Refused:
        """The same, had this move been named."""
        return replace(self, word=replace(self.word, options={**self.word.options, "move": move}))

    def again(self, *more: str, named: bool = True, fence: bool = True, lengths: bool = True, **finding: str) -> str:
        """The same word once more, with more said. `finding`: what of a finding is said otherwise."""
        word = self.word
        about = "--all" if word.subject == EVERYTHING else word.subject
        bits = ["bascule", *VERBS.get(word.kind, word.kind.value).split(), about]
        bits += [finding.get("text", word.why)] if word.kind in SAYING else []
        if word.kind in OF_FINDINGS:
            return shlex.join([*bits, *_of_findings(word, finding), *more])
        if word.kind is WordKind.MAINTENANCE and isinstance(for_s := word.options.get("for_s"), int | float):
            bits += ["--for", _length(for_s)]
        if word.kind is WordKind.MAINTENANCE_END:
            bits.append("--end")
        if word.kind is WordKind.APPROVE and word.options.get("plan"):
            bits += ["--plan", str(word.options["plan"])]
        if word.kind is WordKind.APPROVE and fence and word.options.get("fenced"):
            bits += ["--fenced", str(word.options["fenced"])]
        if word.kind in (WordKind.FAILOVER, WordKind.FAILBACK, WordKind.DRILL):
            bits += ["--full-scale"] if word.options.get("kind") == DrillKind.FULL_SCALE.value else []
            move = self.move
            if move is not None and (named or word.options.get("move")):
                bits += ["--move", move.name]
            for key, flag in (("stays_s", "--stay"), ("within_s", "--return-within")):
                if lengths and isinstance(length_s := word.options.get(key), int | float):
                    bits += [flag, _length(length_s)]
            if fence and word.options.get("fence"):
                bits.append("--fence")
            if fence and word.options.get("fenced"):
                bits += ["--fenced", str(word.options["fenced"])]
            put_aside = word.options.get("override")
            for guard in put_aside if isinstance(put_aside, list) else ():
                bits += ["--override", str(guard)]
        return shlex.join([*bits, *more])

    @property
    def holder(self) -> Run | None:
        """The run that is in the way."""
        service, move = self.service, self.move
        if service is None:
            return None
        own = self.decided.run_for(service.id)
        held = (self.decided.holder_of(x) for x in (move.holds if move else ()))
        return own or next((x for x in held if x is not None), None)


def _of_findings(word: WordSpoken, otherwise: Mapping[str, str]) -> list[str]:
    """What stands behind the subject of a word of a finding, and behind its text."""
    if word.kind is WordKind.FINDING_CLOSE:
        return ["--reason", word.why] if word.why else []
    if word.kind is not WordKind.FINDING:
        return []
    told = {**{k: str(v) for k, v in word.options.items() if k in ("owner", "due")}, **otherwise}
    bits = [x for key in ("owner", "due") for x in (f"--{key}", told.get(key, ""))]
    return [*bits, *(["--internal"] if word.options.get("internal") is True else [])]


def _length(for_s: float) -> str:
    """As `--for` reads it, and exactly this."""
    for unit, size in (("h", 3600), ("m", 60)):
        if for_s >= size and for_s % size == 0:
            return f"{int(for_s // size)}{unit}"
    return f"{int(for_s) if for_s == int(for_s) else for_s}s"
