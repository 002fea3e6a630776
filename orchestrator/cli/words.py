"""Says a word: to the daemon if one listens, else by taking the lease for this one word.

The one rule it keeps: a word is said once. If the daemon hangs up, it is not known whether it heard the word. The
message then gives the id with which to repeat it. A repeated word only returns its first answer.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.failures import DONE, FAILED, REFUSED
from orchestrator.cli.output import unhindered
from orchestrator.cli.remedies import remedies
from orchestrator.cli.speaker import Speaker
from orchestrator.cli.workspace import begun_in, find_workspace, reading, service_named, subject_named

if TYPE_CHECKING:
    from orchestrator.cli.live import Follower
    from orchestrator.core.commands import Answered
    from orchestrator.core.events import StepProgressed, WordKind, WordSpoken
    from orchestrator.core.model import Json
    from orchestrator.daemon.client import Connection
    from orchestrator.reports.stories import State

ANSWER_TIMEOUT_S = 30.0
PLAN_TIMEOUT_S = 300.0  # ansible-playbook is asked for the hosts and tasks of every playbook


def say(
    kind: WordKind,
    subject: str,
    speaker: Speaker,
    options: dict[str, Json] | None = None,
    *,
    about: str = "service",
    dry_run: bool = False,
    daemon_alone: bool = False,
) -> int:
    """Say one word, show what comes of it; the exit code. `about`: service, subject (or client), run or drill.

    `daemon_alone`: it is said to a daemon, or not at all.
    """
    from orchestrator.core.events import WordSpoken
    from orchestrator.shell.peer import myself

    workspace = find_workspace(speaker.workspace)
    if about not in ("run", "drill") and subject != "*":
        subject = _resolved(workspace, subject, about)
    who = speaker.name()
    word_id = speaker.word_id or str(uuid.uuid4())
    word = WordSpoken(word_id, kind, who, subject, speaker.why(), options or {}, speaker.named, myself())
    if dry_run:
        return _dry_run(workspace, word, speaker.as_json)
    from orchestrator.cli.live import Follower

    with Follower(workspace, quiet=speaker.as_json) as follower:
        answer = _speak(workspace, word, speaker.wait, follower, daemon_alone)
        return _conclude(answer, word, speaker, follower)


def _speak(workspace: Path, word: WordSpoken, wait: bool, follower: Follower, daemon_alone: bool) -> Answered:
    """The answer; with `wait`, `follower` has seen the run to its end, or to where it needs a person."""
    from orchestrator.cli.failures import CallWrong
    from orchestrator.daemon.address import owner_of, where_to_speak
    from orchestrator.daemon.client import Connection, NobodyListens

    try:
        events = Connection(where_to_speak(workspace), owner=owner_of(workspace))
    except NobodyListens:
        if daemon_alone:
            why = f"{word.kind.value}: no daemon serves {workspace}, and nobody would watch while it lasts"
            raise CallWrong(why, "Start one: bascule daemon") from None
        return _alone(workspace, word, follower)
    with events:
        return _to_daemon(events, word, wait, follower)


def _to_daemon(events: Connection, word: WordSpoken, wait: bool, follower: Follower) -> Answered:
    from orchestrator.core.codec import decode, encode
    from orchestrator.core.commands import Answered
    from orchestrator.daemon.client import NoReply, ask

    events.watch()  # first, so that nothing of the run is missed
    try:
        reply = ask(events.path, {"op": "word", "word": encode(word)}, ANSWER_TIMEOUT_S, events.owner)
    except NoReply as silence:
        raise NoReply(
            f"{silence}. Whether the word was heard is not known; to repeat it safely add: --word-id {word.id}"
        ) from silence
    answer = decode(Answered, reply.get("answer"))
    if answer.accepted and answer.run and wait:
        follower.follow(answer.run, events)
    return answer


def _alone(workspace: Path, word: WordSpoken, follower: Follower) -> Answered:
    """Without a daemon: the one place that calls the one-shot shell."""
    from orchestrator.daemon.address import where_to_speak
    from orchestrator.shell import oneshot
    from orchestrator.shell.lease import LeaseRefused

    def on_entry(_entry: object) -> None:
        follower.entry()

    def on_progress(event: StepProgressed) -> None:
        follower.progress(event.key.run, event.key.step, event.task)

    with unhindered(), begun_in(workspace):
        _quiet_logs()
        try:
            return oneshot.speak(workspace, word, on_entry=on_entry, on_progress=on_progress)
        except LeaseRefused as refused:
            raise LeaseRefused(
                f"{refused}. It does not answer at {where_to_speak(workspace)}: wait, or look at it"
            ) from None
        finally:
            follower.pause()


def _conclude(answer: Answered, word: WordSpoken, speaker: Speaker, follower: Follower) -> int:
    from dataclasses import asdict

    drill = follower.drill(answer.run) if answer.run else None
    ended = drill.ended if drill is not None else follower.ended(answer.run) if answer.run else None
    code = REFUSED if not answer.accepted else DONE
    if answer.accepted and answer.run and speaker.wait:
        stops = word.kind.value in ("abort", "reject")  # then an end without success is what was asked for
        code = DONE if ended is not None and (ended.ok or stops) else FAILED
    if speaker.as_json:
        told: dict[str, object] = {"answer": asdict(answer), "exit": code}
        if answer.run and speaker.wait:
            told["run"] = follower.account(answer.run)
        sys.stdout.write(json.dumps(told, indent=2, default=str) + "\n")
        return code
    if not answer.accepted:
        follower.journal.more()
        _refused(answer, word, follower.journal.state)
        return code
    follower.conclude(answer, word, speaker.wait)
    return code


def _refused(answer: Answered, word: WordSpoken, state: State) -> None:
    from orchestrator.core.reasons import Reason
    from orchestrator.reports.text import Part, line, show

    try:
        sentence = Reason(answer.reason).text
    except ValueError:
        sentence = ""
    lines = [line(Part("refused: ", "bold red"), Part(answer.reason, "bold"), f" ({sentence})" if sentence else "")]
    if answer.evidence:
        lines.append(line("  evidence: ", answer.evidence))
    found = remedies(answer.reason, word, state.decided, state.model)
    lines += [line("  remedy:   ", x.do, ": ", Part(x.command, "bold")) for x in found]
    show(lines, sys.stderr)


def _dry_run(workspace: Path, word: WordSpoken, as_json: bool) -> int:
    from orchestrator.core.codec import encode
    from orchestrator.daemon.address import owner_of, where_to_speak
    from orchestrator.daemon.client import NobodyListens, ask

    plan: Json
    request: dict[str, Json] = {"op": "dry-run", "word": encode(word)}
    try:
        plan = ask(where_to_speak(workspace), request, PLAN_TIMEOUT_S, owner_of(workspace)).get("plan")
    except NobodyListens:
        from orchestrator.shell import oneshot

        _quiet_logs()
        with begun_in(workspace):
            plan = encode(oneshot.dry_run(workspace, word))
    if as_json:
        sys.stdout.write(json.dumps(plan, indent=2) + "\n")
    else:
        from orchestrator.cli.plan_text import plan_lines
        from orchestrator.cli.status import columns
        from orchestrator.reports.text import Part, line, show

        show(plan_lines(plan, columns()))
        if isinstance(plan, dict) and not plan.get("accepted", True):
            with reading(workspace) as journal:
                for remedy in remedies(str(plan.get("reason")), word, journal.state.decided, journal.state.model):
                    show([line("  remedy: ", remedy.do, ": ", Part(remedy.command, "bold"))])
    accepted = plan.get("accepted", True) if isinstance(plan, dict) else True
    return DONE if accepted else REFUSED


def _quiet_logs() -> None:
    """This command is a shell of its own for a moment: what it logs is not the answer, warnings are worth seeing."""
    import logging

    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _resolved(workspace: Path, name: str, about: str) -> str:
    with reading(workspace) as journal:
        model, decided = journal.state.model, journal.state.decided
    if model is None:  # nothing has ever run here: the files say what there is
        from orchestrator.shell.wiring import read_workspace

        model = read_workspace(workspace).model
    known = tuple(model.services)
    clients = {service.client for service in model.services.values()}
    if (
        name not in clients
        and about == "subject"
        and name in (*decided.holds, *decided.maintenance, *decided.suspected)
    ):
        return name  # to be ended, though it may be no service or client of the configuration any more
    return service_named(name, known) if about == "service" else subject_named(name, known)
