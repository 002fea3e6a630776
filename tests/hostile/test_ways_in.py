"""Every way in: whatever strangers say, what is kept of it has a bound, is whole, and acts on nothing."""

from __future__ import annotations

import math
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.codec import encode
from orchestrator.core.commands import Answered
from orchestrator.core.events import Peer, WordKind, WordSpoken
from orchestrator.core.outside import EVIDENCE_MAX, NAME_MAX, evidence, is_visible, measures, name_fault, visible
from orchestrator.core.people import AppriseWay
from orchestrator.daemon.request_handler import Desk
from orchestrator.notify.redaction import redacted
from orchestrator.probes.asking import _own_fault
from orchestrator.probes.kinds import KINDS
from orchestrator.probes.nagios import Exited, performance
from orchestrator.probes.results import NotAsked, Refusal, Silence
from orchestrator.runner.reading import Reading
from tests.hostile.corpus import CORPUS, WORDS, acts
from tests.probes.test_invent import ODD

TEXTS = pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)


def kept(text: str, limit: int = EVIDENCE_MAX) -> None:
    """Fails unless the text may be recorded."""
    assert not acts(text), acts(text)
    assert len(text) <= limit
    text.encode("utf-8")
    assert visible(text) == text


@TEXTS
def test_evidence(text: str) -> None:
    kept(evidence(text))
    assert evidence(evidence(text)) == evidence(text)
    assert evidence(text, 20) == evidence(evidence(text, 20), 20)


@pytest.mark.parametrize("text", WORDS)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert evidence(text) == visible(text) == text
    assert name_fault(text) is None


def test_no_character_that_acts_is_forgotten() -> None:
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if acts(char):
            assert not is_visible(char), hex(code)
            assert name_fault(char), hex(code)
        elif unicodedata.category(char) in ("Lu", "Ll", "Nd", "Po", "Sm", "Sc", "So"):
            assert is_visible(char), hex(code)


@TEXTS
def test_what_any_kind_of_probe_is_told(text: str) -> None:
    """Shared results by each kind; the words of its own replies wherever one stands."""
    for kind in KINDS.values():
        for raw in (Silence(text), Refusal(text), NotAsked(text)):
            kept(kind.classify(None, raw).detail)
        kept(kind.classify(None, _own_fault(kind, RuntimeError(text))).detail)


def replies() -> list[Any]:
    """A reply of each kind, as it is invented for its options."""
    return [pytest.param(name, given, id=f"{name}-{n}") for n, (name, given) in enumerate(ODD)]


@pytest.mark.parametrize(("name", "given"), replies())
def test_what_a_target_answers(name: str, given: dict[str, Any]) -> None:
    kind = KINDS[name]
    options = kind.options.model_validate(given)
    for so in (True, False):
        reply = kind.invent(options, so, {})
        for text in CORPUS.values():
            for field in getattr(reply, "__dataclass_fields__", {}):
                value = getattr(reply, field)
                said: Any = (
                    text
                    if isinstance(value, str)
                    else (text,)
                    if value and isinstance(value, tuple) and isinstance(value[0], str)
                    else value
                )
                judged = kind.classify(options, replace(reply, **{field: said}))
                kept(judged.detail)
                assert all(math.isfinite(v) for v in judged.measures.values())


@TEXTS
def test_performance_data(text: str) -> None:
    many = " ".join(f"l{n}=1" for n in range(3000))
    printed = f"CRITICAL {text} | '{text}'=1s {text}=2 big={'9' * 400} {many}"
    kind = KINDS["nagios"]
    judged = kind.classify(kind.options.model_validate({"command": ["x"]}), Exited(2, printed))
    kept(judged.detail)
    assert len(judged.measures) <= 64
    for name, value in judged.measures.items():
        kept(name, 64)
        assert math.isfinite(value)


def test_measures_that_are_right_stay_as_they_are() -> None:
    right = {"rtt_s": 0.1}
    assert measures(right) is right
    assert performance("OK | 'free space'=1KB;;; load=0,5 it''s=1c 'a''b'=2%;80;90 bad= =3 x") == {
        "free space_bytes": 1024.0, "load": 0.5, "it''s_count": 1.0, "a'b_percent": 2.0,
    }  # fmt: skip


def event(kind: str, **data: Any) -> dict[str, Any]:
    """One of ansible-runner's."""
    return {"event": kind, "event_data": {"task_uuid": "u", "host": "web", "playbook": "p.yml", **data}}


@TEXTS
@pytest.mark.parametrize("where", ["msg", "stderr", "stdout", "module_stderr", "results"])
def test_what_a_playbook_prints(text: str, where: str) -> None:
    result: dict[str, Any] = {"rc": 1, where: text}
    if where == "results":
        result = {"results": [{"failed": True, "msg": text}]}
    reading = Reading(Path("/"))
    reading.read({"event": "playbook_on_start", "event_data": {"playbook": "p.yml"}}, 0)
    reading.read(event("runner_on_start", task=f"deploy {text}"), 1)
    kept(reading.interrupted())
    task = reading.read(event("runner_on_failed", task=f"deploy {text}", task_path=text, res=result), 2)
    reading.read({"event": "error", "stdout": f"ERROR! {text}", "event_data": {}}, 3)
    kept(getattr(task, "name", ""), 200)
    kept(reading.outcome(2)[1])
    kept(Reading(Path("/"), says=[text]).outcome(4)[1])


DANGEROUS = {name: text for name, text in CORPUS.items() if acts(text) or len(text) > 1000}


@pytest.mark.parametrize("text", DANGEROUS.values(), ids=DANGEROUS)
@pytest.mark.parametrize("field", ["id", "who", "subject", "why"])
async def test_words_of_people(text: str, field: str) -> None:
    heard: list[WordSpoken] = []

    async def speak(word: WordSpoken) -> Answered:
        heard.append(word)
        raise AssertionError

    async def plan(word: WordSpoken) -> None:
        heard.append(word)

    word = replace(WordSpoken("w", WordKind.HOLD, "ann", "acme/erp", ""), **{field: text})  # type: ignore[arg-type]
    for op in ("word", "dry-run"):
        reply = await Desk(speak, plan, lambda: 0.0).handle({"op": op, "word": encode(word)}, Peer(1, 0))
        assert f"its {field} " in str(reply.get("error"))
        kept(str(reply["error"]))
    assert not heard


@TEXTS
def test_what_a_way_of_telling_says(text: str) -> None:
    kept(redacted(text, AppriseWay("json://localhost/x")), 300)


@pytest.mark.parametrize("text", DANGEROUS.values(), ids=DANGEROUS)
def test_names(text: str) -> None:
    why = name_fault(text)
    assert why
    kept(why)
    assert name_fault("x" * NAME_MAX) is None
