"""What production makes of the world's answers: every invented reply goes through its probe kind's own judgement.

The one rule it keeps: no answer is made up here. A kind invents the reply that its target would give, and the same
`classify` as in production says what it means. Because it is pure, it is asked once for the same reply.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from orchestrator.core.events import Answer
from orchestrator.core.model import Model
from orchestrator.probes.kind import Kind
from orchestrator.probes.kinds import KINDS
from orchestrator.probes.results import CannotInvent, Judged, NotAsked, Refusal, Silence

_NO = Refusal("what it asks for is not so")


class Classified:
    """The judgements of one model's checks."""

    def __init__(self, model: Model, kinds: Mapping[str, Kind[Any, Any]] = KINDS) -> None:
        """Options are read as the prober reads them."""
        self._kinds: dict[str, Kind[Any, Any]] = {}
        self._options: dict[str, Any] = {}
        self._known: dict[tuple[str, bool], Judged] = {}
        self.strangers: tuple[str, ...] = ()  # what targets say beside their answers, each something else
        missing = []
        for check in model.checks.values():
            kind = kinds[check.probe]
            self._kinds[check.id] = kind
            self._options[check.id] = options = kind.options.model_validate(dict(check.options))
            try:
                kind.invent(options, True, {})
                kind.invent(options, False, {})
            except CannotInvent as cannot:
                missing.append(f"{check.id}: {cannot}; it is taken to find what is so")
        self.not_modelled = tuple(missing)
        self._uninventable = {m.partition(": ")[0] for m in missing}

    def judge(self, check: str, raw: object) -> Judged:
        """What this raw result means."""
        if self.strangers and isinstance(raw, Silence | Refusal | NotAsked):
            said = self.strangers[zlib.crc32(check.encode()) % len(self.strangers)]
            raw = type(raw)(f"{raw.why}: {said}")
        return self._kinds[check].classify(self._options[check], raw)

    def answer(self, check: str, true: bool, measures: Mapping[str, float]) -> Judged:
        """What the check's target answers when what the check asks for is so, or is not."""
        known = self._known.get((check, true)) if len(measures) == 1 else None
        if known is not None and known.measures.get("rtt_s") == measures.get("rtt_s"):
            return known
        if check in self._uninventable:
            judged = Judged(Answer.GOOD, dict(measures), "taken for good") if true else self.judge(check, _NO)
        else:
            judged = self.judge(check, self._kinds[check].invent(self._options[check], true, measures))
        if len(measures) == 1:
            self._known[check, true] = judged
        return judged
