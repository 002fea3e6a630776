"""The commands that say a word: with a name, once, and with an exit code that tells what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli.failures import CallWrong
from orchestrator.cli.workspace import subject_named
from orchestrator.core import records as r
from orchestrator.core.commands import Answered
from orchestrator.core.events import StepKey, StepProgressed, TaskTime, WordKind
from orchestrator.core.reasons import Reason
from orchestrator.daemon.request_handler import Desk
from tests.cli.conftest import Bascule, Kept, Straw
from tests.reports.sample import FAILOVER, Tape


@pytest.fixture
def tape(kept: Kept) -> Tape:
    """A journal in which all is well."""
    found = Tape().begin().after(20.0)
    kept.keep(found)
    return found


@pytest.mark.parametrize(
    ("argv", "kind", "subject", "options"),
    [
        (("failover", "acme/erp", "--move", "geo-site"), WordKind.FAILOVER, "acme/erp", {"move": "geo-site"}),
        (("failback", "acme/erp", "--fence"), WordKind.FAILBACK, "acme/erp", {"fence": True}),
        (
            ("failover", "acme/erp", "--override", "rpo-exceeded", "--override", "seen alive"),
            WordKind.FAILOVER,
            "acme/erp",
            {"override": ["RPO exceeded", "seen alive"]},
        ),
        (("approve", "r3", "--fenced", "acme/hq"), WordKind.APPROVE, "r3", {"fenced": "acme/hq"}),
        (("reject", "r3"), WordKind.REJECT, "r3", {}),
        (("abort", "r3"), WordKind.ABORT, "r3", {}),
        (("hold", "mail"), WordKind.HOLD, "acme/mail", {}),
        (("hold", "acme"), WordKind.HOLD, "acme", {}),
        (("hold", "acme/"), WordKind.HOLD, "acme", {}),
        (("hold", "--all"), WordKind.HOLD, "*", {}),
        (("resume", "acme/mail"), WordKind.RESUME, "acme/mail", {}),
        (("maintenance", "bistro", "--for", "1h30m"), WordKind.MAINTENANCE, "bistro", {"for_s": 5400.0}),
        (("maintenance", "bistro", "--end"), WordKind.MAINTENANCE_END, "bistro", {}),
        (("suspect", "--all"), WordKind.SUSPECT, "*", {}),
        (("clear", "--all"), WordKind.CLEAR, "*", {}),
    ],
)
def test_each_verb_says_its_word(
    tape: Tape,
    straw: Straw,
    bascule: Bascule,
    argv: tuple[str, ...],
    kind: WordKind,
    subject: str,
    options: dict[str, object],
) -> None:
    """With the operator's name, the reason, and an id of its own."""
    assert bascule(*argv, "--reason", "storm") == 0
    (word,) = straw.heard
    assert (word.kind, word.subject, word.options) == (kind, subject, options)
    assert (word.who, word.why) == ("Ann Example", "storm")
    assert len(word.id) == 36


def test_a_client_that_is_called_like_a_service_is_named_by_what_the_refusal_says() -> None:
    known = ("shop/till", "acme/shop", "bistro/shop")
    with pytest.raises(CallWrong, match="shop is a client and a service") as wrong:
        subject_named("shop", known)
    assert wrong.value.remedy == "Say shop/ for the client, or acme/shop, or bistro/shop"
    named = [subject_named(x, known) for x in ("shop/", "acme/shop", "bistro/shop")]
    assert named == ["shop", "acme/shop", "bistro/shop"]


@pytest.mark.parametrize("verb", [("resume",), ("maintenance", "--end"), ("clear",)])
def test_what_stands_by_a_name_that_is_none_of_the_configuration_can_be_ended(
    tape: Tape, straw: Straw, bascule: Bascule, kept: Kept, verb: tuple[str, ...]
) -> None:
    begins = {"resume": WordKind.HOLD, "maintenance": WordKind.MAINTENANCE, "clear": WordKind.SUSPECT}
    said = (begins[verb[0]], "Ann Example", "acme/till", "", Reason.ASKED_BY_OPERATOR, "")
    assert bascule(verb[0], "acme/till", *verb[1:]) == 2
    tape.write(r.WordAccepted(tape.now, "w1", *said, ends_at=tape.now + 600.0))
    kept.keep(tape)
    assert bascule(verb[0], "acme/till", *verb[1:]) == 0
    assert [x.subject for x in straw.heard] == ["acme/till"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("failover", "erp"), "erp is a service of several clients"),
        (("failover", "acme/epr"), "Nearest: acme/erp"),
        (("hold", "acmee"), "there is no service or client acmee"),
        (("hold",), "a service, a client, or --all"),
        (("hold", "acme", "--all"), "a service, a client, or --all"),
        (("maintenance", "acme"), "Say --for 2h, or --end"),
        (("maintenance", "acme", "--for", "2"), "write a number with a unit"),
        (("failover", "acme/erp", "--override", "rpo"), "Nearest: RPO"),
        (("approve",), "RUN"),
        (("failover", "acme/erp", "--mvoe", "x"), "--mvoe"),
    ],
)
def test_a_wrong_call_says_nothing_to_the_daemon(
    tape: Tape,
    straw: Straw,
    bascule: Bascule,
    capsys: pytest.CaptureFixture[str],
    argv: tuple[str, ...],
    said: str,
) -> None:
    """Exit code 2, what is wrong, and the nearest right name."""
    assert bascule(*argv) == 2
    told = capsys.readouterr()
    assert said in told.err + told.out
    assert straw.heard == []


def test_a_refusal_names_rule_evidence_and_remedy(
    tape: Tape, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3."""
    straw.answer = lambda w: Answered(w.id, False, "playbook failed", "backup-isp: execute: edge: return code 1")
    assert bascule("failover", "acme/erp") == 3
    assert capsys.readouterr().err.splitlines() == [
        "refused: playbook failed (the playbook failed)",
        "  evidence: backup-isp: execute: edge: return code 1",
        "  remedy:   repair it, then try it again by its name: bascule failover acme/erp --move backup-isp",
    ]


def run_of(kept: Kept, tape: Tape, *, ok: bool) -> Callable[[Desk], None]:
    """What the daemon does after the word: the run r1, step by step."""

    def afterwards(desk: Desk) -> None:
        tape.run("r1", "geo-site", FAILOVER[:1] + FAILOVER[3:4], origin=r.Origin.MANUAL, who="Ann Example")
        tape.step("r1", "preflight", 0.2, "geo-ready good")
        tape.write(r.StepBegan(tape.now, "r1", "execute", 1))
        task = TaskTime("Promote the standby", "geo-db", "changed", 0.0, 2.0)
        desk.progress(StepProgressed(StepKey("r1", "execute", 1), task))
        tape.after(2.0)
        state, reason = (
            (r.StepState.DONE, Reason.CONDITIONS_MET) if ok else (r.StepState.FAILED, Reason.PLAYBOOK_FAILED)
        )
        why = "" if ok else "geo-db: Promote the standby: disk full"
        tape.write(r.StepFinished(tape.now, "r1", "execute", 1, state, reason, why))
        tape.write(r.RunEnded(tape.now, "r1", ok, Reason.VERIFIED if ok else Reason.PLAYBOOK_FAILED, why or "erp good"))
        for entry in kept.keep(tape):
            desk.entry(entry)

    return afterwards


@pytest.mark.parametrize(("ok", "code", "last"), [(True, 0, "done in"), (False, 1, "failed after")])
def test_a_word_waits_for_its_run_and_shows_the_steps(
    kept: Kept,
    tape: Tape,
    straw: Straw,
    bascule: Bascule,
    capsys: pytest.CaptureFixture[str],
    workspace: Path,
    ok: bool,
    code: int,
    last: str,
) -> None:
    """Exit code by how it ended; the playbook's own error is shown."""
    straw.answer = lambda w: Answered(w.id, True, "asked by operator", "", "r1")
    straw.afterwards = run_of(kept, tape, ok=ok)
    assert bascule("failover", "acme/erp", "--move", "geo-site") == code
    text = capsys.readouterr().out
    assert "r1  preflight  done 0.2s ✓  geo-ready good" in text
    assert last in text
    assert ("disk full" in text) is not ok


def test_no_wait_says_where_to_look(
    tape: Tape, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """And returns at once."""
    straw.answer = lambda w: Answered(w.id, True, "asked by operator", "", "r1")
    assert bascule("failover", "acme/erp", "--no-wait") == 0
    assert "run r1 has begun; see it: bascule status --watch" in capsys.readouterr().out


@pytest.mark.parametrize(("verb", "said"), [("abort", "r3 is being stopped"), ("reject", "r3 is not approved")])
def test_no_wait_does_not_tell_a_stop_as_a_beginning(
    tape: Tape, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str], verb: str, said: str
) -> None:
    straw.answer = lambda w: Answered(w.id, True, "aborted", said, "r3")
    assert bascule(verb, "r3", "--no-wait") == 0
    text = capsys.readouterr().out
    assert "has begun" not in text
    assert f"{verb}: {said}; see it: bascule status --watch, bascule report r3" in text


def test_a_word_can_be_repeated_by_its_id(tape: Tape, straw: Straw, bascule: Bascule) -> None:
    """The same id reaches the engine, which gives the same answer."""
    assert bascule("hold", "acme", "--word-id", "w-17", "--by", "Bob") == 0
    assert (straw.heard[0].id, straw.heard[0].who) == ("w-17", "Bob")


def test_root_is_nobodys_name(
    tape: Tape, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind sudo, the name is that of whoever called it."""
    monkeypatch.delenv("BASCULE_OPERATOR")
    monkeypatch.setenv("LOGNAME", "root")
    assert bascule("hold", "acme") == 2
    assert "a word needs the name of the person who says it" in capsys.readouterr().err
    monkeypatch.setenv("SUDO_USER", "bob")
    assert bascule("hold", "acme") == 0
    assert straw.heard[0].who == "bob"


def test_a_dry_run_shows_what_would_run_where(
    tape: Tape, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """In order, with each guard's answer."""
    straw.plan = {
        "accepted": True,
        "reason": "asked by operator",
        "evidence": "",
        "service": "acme/erp",
        "move": "acme/geo-site",
        "from_place": "acme/hq",
        "to_place": "acme/geo",
        "steps": [
            {"name": "preflight", "kind": "preflight", "condition": "acme/geo-ready", "timeout_s": 5.0},
            {"name": "fence-hq", "kind": "fence", "playbook": "off.yml", "hosts": ["hq-oob"], "tasks": ["Latch"]},
            {"name": "rehearse", "kind": "rehearse", "playbook": "geo.yml", "simulated": True, "timeout_s": 9.0},
        ],
        "guards": [
            {"guard": "blind", "passes": True, "reason": "passes", "evidence": ""},
            {"guard": "seen alive", "passes": False, "reason": "seen alive", "evidence": "hq answered 0.4s ago"},
        ],
        "tiers": [],
    }
    assert bascule("failover", "acme/erp", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "would be done (asked by operator); nothing has been changed",
        "  move acme/geo-site  (acme/hq → acme/geo)",
        "  steps, in this order",
        "    1. preflight  at most 5s",
        "       waits for acme/geo-ready",
        "    2. fence-hq  off.yml",
        "       on hq-oob",
        "       tasks Latch",
        "    3. rehearse  geo.yml  simulated: in check mode  at most 9s",
        "  guards",
        "    ✓ blind",
        "    ✗ seen alive: hq answered 0.4s ago",
    ]
    straw.plan = {"accepted": False, "reason": "held", "evidence": "by Bob"}
    assert bascule("failover", "acme/erp", "--dry-run") == 3


def test_an_unexpected_failure_is_kept_and_named(
    tape: Tape,
    straw: Straw,
    bascule: Bascule,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """One line for the user; the traceback for us."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def oh(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("orchestrator.cli.words.say", oh)
    assert bascule("hold", "acme") == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == "bascule: unexpected: ZeroDivisionError: oh"
    assert "ZeroDivisionError" in Path(second.split()[-1]).read_text()
