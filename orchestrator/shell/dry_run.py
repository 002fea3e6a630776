"""A dry run: the same step that the engine would take, on a copy, with nothing written and nothing carried out.

The one rule it keeps: it shows what a run would do, computed by the same code, and each guard's answer. If the engine
would refuse, so does the dry run.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.config.ansible_programs import environment_to_ask, program
from orchestrator.core import records as r
from orchestrator.core.ansible import playbook_places
from orchestrator.core.client_keys import cache_prefixes, kept_for
from orchestrator.core.commands import Answered, NoticeKind
from orchestrator.core.deciding import drill_words
from orchestrator.core.engine import Engine
from orchestrator.core.events import WordKind, WordSpoken
from orchestrator.core.kinds import TRAITS, Subject
from orchestrator.core.model import Check, Condition, DrillKind, Move, Playbook, Service
from orchestrator.core.reasons import Reason
from orchestrator.core.rules import drilling, failback, ladder, policy
from orchestrator.core.runs.plan import plan_steps, wanted_of
from orchestrator.core.transaction import Transaction


@dataclass(frozen=True, slots=True)
class DryStep:
    """One step: what, with which playbook on which hosts, or what it waits for."""

    name: str
    kind: str
    playbook: str | None = None
    hosts: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    condition: str | None = None
    timeout_s: float | None = None
    simulated: bool = False  # its playbook would be played in check mode


@dataclass(frozen=True, slots=True)
class GuardAnswer:
    """One guard's answer."""

    guard: str
    passes: bool
    reason: str
    evidence: str


@dataclass(frozen=True, slots=True)
class TierAnswer:
    """One tier's prospects."""

    tier: int
    move: str
    state: str
    reason: str
    evidence: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a word would do. `back`: the move by which a drill goes back, with `back_steps`, its steps then."""

    accepted: bool
    reason: str
    evidence: str
    service: str
    move: str | None = None
    from_place: str | None = None
    to_place: str | None = None
    steps: tuple[DryStep, ...] = ()
    guards: tuple[GuardAnswer, ...] = ()
    tiers: tuple[TierAnswer, ...] = ()
    back: str | None = None
    back_steps: tuple[DryStep, ...] = ()


def plan_of(
    engine: Engine, word: WordSpoken, now: float, workspace: Path, inventories: Mapping[str, Sequence[Path]]
) -> DryRun:
    """Step a copy of the engine with this word and tell what came of it."""
    trial = engine.copy()
    tx = trial.transaction(now)
    service = trial.model.services.get(word.subject)
    guards = (*_of_drills(tx, service, word), *_guards(tx, service), *_soon(tx, service, word)) if service else ()
    tiers = tuple(_tiers(tx, service)) if service else ()
    outcome = trial.step(word, now)
    answer = next(x for x in outcome.commands if isinstance(x, Answered))
    run = trial.decided.runs.get(answer.run or "")
    if not answer.accepted or run is None or service is None:
        return DryRun(answer.accepted, answer.reason, answer.evidence, word.subject, guards=guards, tiers=tiers)
    move = trial.model.moves[run.started.move]
    inventory = inventories.get(service.client, ())
    steps = [_step(tx, move, run.started, planned, workspace, inventory) for planned in run.started.steps]
    back, started_back = _way_back(trial, service, run.started, now)
    steps_back = [_step(tx, back, started_back, x, workspace, inventory) for x in started_back.steps] if back else []
    return DryRun(
        True,
        answer.reason,
        answer.evidence,
        service.id,
        move.id,
        run.started.from_place,
        run.started.to_place,
        tuple(steps),
        guards,
        tiers,
        back.id if back else None,
        tuple(steps_back),
    )


def _way_back(trial: Engine, service: Service, there: r.RunStarted, now: float) -> tuple[Move | None, r.RunStarted]:
    """The move by which a drill would go back, and its run: as if the service were there, and well."""
    drill = trial.decided.drills.get(there.drill)
    back = trial.model.moves.get(drill.began.back or "") if drill is not None else None
    if back is None:
        return None, there
    state = trial.decided.services[service.id]
    if there.to_place is not None:
        state.place, state.may_act = there.to_place, {there.to_place}
    steps = plan_steps(trial.transaction(now), service, back, (), planned=True)
    return back, replace(there, steps=tuple(steps), from_place=state.place, to_place=back.to)


async def alone(workspace: Path, word: WordSpoken) -> DryRun:
    """Without a daemon: read the journal, ask the checks of the client for a while, write nothing."""
    from orchestrator.core.events import ConfigurationLoaded, ControllerStarted, Observed
    from orchestrator.journal.clocks import SystemClocks
    from orchestrator.journal.journal import Journal
    from orchestrator.journal.memory import MemoryJournal
    from orchestrator.journal.stores import read_journal
    from orchestrator.probes.kinds import asked_from
    from orchestrator.probes.prober import Prober
    from orchestrator.shell.loop import rebuild
    from orchestrator.shell.waiting import KNOWN_S, until
    from orchestrator.shell.wiring import read_workspace

    loaded = await asyncio.to_thread(read_workspace, workspace)
    secrets, _ = await asyncio.to_thread(loaded.secrets.reveal_all)
    journal: Journal = read_journal(loaded.workspace) or MemoryJournal(SystemClocks())
    axis = journal.open_axis(keep=False)
    engine = rebuild(journal, attends=False).copy()
    engine.step(ControllerStarted("dry run", engine.decided.epoch + 1, "", axis.same_boot), axis.now())
    engine.step(ConfigurationLoaded(loaded.model), axis.now())
    client = word.subject.partition("/")[0]
    here = loaded.daemon.vantage
    checks = [c for c in asked_from(here, loaded.model.checks.values()) if c.client == client or c.reference]

    def seen(observed: Observed) -> None:
        engine.step(observed, axis.now())

    prober = Prober(seen, axis.now, secrets, here=here)
    prober.use(checks)
    await until(lambda: _all_known(engine, checks), KNOWN_S, asyncio.sleep)
    await prober.close()
    try:
        return await asyncio.to_thread(plan_of, engine, word, axis.now(), workspace, loaded.inventories)
    finally:
        journal.close()


def _all_known(engine: Engine, checks: Iterable[Check]) -> bool:
    return all(c.id in engine.rows and engine.rows[c.id].verdict is not r.Verdict.UNKNOWN for c in checks)


def _guards(tx: Transaction, service: Service) -> Iterable[GuardAnswer]:
    for guard in policy.GUARDS:
        finding = guard(tx, service)
        name = guard.__name__.replace("_", " ")
        if finding is None:
            yield GuardAnswer(name, True, "passes", "")
        else:
            yield GuardAnswer(name, False, finding.reason.value, finding.evidence)
    for asked in policy.asks(tx, service):
        yield GuardAnswer("approval", False, "approval needed", asked)


def _of_drills(tx: Transaction, service: Service, word: WordSpoken) -> Iterator[GuardAnswer]:
    """The guards over drills alone."""
    move = drill_words.wanted(tx.model, service, word) if word.kind is WordKind.DRILL else None
    if move is None:
        return
    full = word.options.get("kind") == DrillKind.FULL_SCALE
    kind = DrillKind.FULL_SCALE if full else DrillKind.FUNCTIONAL
    for reason, evidence in drilling.own_guards(tx, service, move, kind, fence=bool(word.options.get("fence"))):
        yield GuardAnswer(reason.value, not evidence, reason.value if evidence else "passes", evidence)


def _soon(tx: Transaction, service: Service, word: WordSpoken) -> Iterable[GuardAnswer]:
    """What a way back by itself would still wait for; a named person may go all the same."""
    if word.kind is not WordKind.FAILBACK:
        return
    found = {wait.reason: wait.evidence for wait in failback.too_soon(tx.decided, service, tx.now())}
    for reason in (Reason.HOLD_DOWN, Reason.COOLING_DOWN):
        yield GuardAnswer(
            reason.value, reason not in found, reason.value if reason in found else "passes", found.get(reason, "")
        )


def _tiers(tx: Transaction, service: Service) -> Iterable[TierAnswer]:
    found = ladder.assess_ladder(tx, service, tx.now() - ladder.PATIENCE_S)
    for number, a in enumerate(found, start=1):
        fits = a.reason.value if a.state is r.TierState.INELIGIBLE else "; ".join((a.reason.value, *a.asks))
        state = "eligible" if a.reason is Reason.TIER_CHOSEN else a.state.value
        if a.state is r.TierState.FAILED and not _failed(tx, service, a.move):
            state = NoticeKind.NOT_MADE.value
        yield TierAnswer(number, a.move, state, fits, a.evidence)


def _failed(tx: Transaction, service: Service, move: str) -> bool:
    """Whether the last run of this move in the open incident had begun anything, or failed."""
    incident = tx.incident(service)
    runs = [tx.decided.runs[x] for x in incident.runs if x in tx.decided.runs] if incident is not None else []
    mine = [x for x in runs if x.started.move == move and x.ended is not None and not x.ended.ok]
    return not mine or mine[-1].failed


def _facts(started: r.RunStarted, planned: r.PlannedStep) -> dict[str, str]:
    """What patterns of hosts may rest on: the places, as the runner would name them."""
    names = {"from": started.from_place, "to": started.to_place, "place": planned.place or started.to_place}
    return {f"bascule_{k}": (v or started.from_place or "").rpartition("/")[2] for k, v in names.items()}


def _step(
    tx: Transaction,
    move: Move,
    started: r.RunStarted,
    planned: r.PlannedStep,
    workspace: Path,
    inventory: Sequence[Path],
) -> DryStep:
    kind, subject = TRAITS[planned.kind], Subject(tx.model, move, planned.place, planned.hand_over)
    work = kind.work(subject)
    wanted = wanted_of(tx, kind, subject)
    book = work.playbook if work is not None else None
    timeout_s = work.timeout_s if work is not None else wanted.timeout_s if wanted is not None else None
    asked = show_condition(wanted.condition) if wanted is not None else None
    if wanted is not None and wanted.gone is not None:
        asked = f"{asked}; and no longer {show_condition(wanted.gone)}"
    facts = _facts(started, planned)
    hosts, tasks = listed(workspace, move.client, book, inventory, facts) if book is not None else ((), ())
    return DryStep(
        planned.name,
        planned.kind.value,
        book.path if book else None,
        hosts,
        tasks,
        asked,
        timeout_s,
        planned.simulated,
    )


def show_condition(condition: Condition | None) -> str | None:
    """A condition in one line: `all of a, b`."""
    if condition is None:
        return None
    terms = [t if isinstance(t, str) else f"({show_condition(t)})" for t in condition.terms]
    if len(terms) == 1:
        return terms[0]
    need = f"{condition.need} of" if condition.need else f"{condition.combine.value} of"
    return f"{need} {', '.join(terms)}"


def listed(
    workspace: Path, client: str, book: Playbook, inventory: Sequence[Path], facts: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The hosts and tasks of a playbook, as `ansible-playbook --list-hosts --list-tasks` tells them; nothing runs.

    It is asked as the playbook would be run for this client: by the same settings, with what is cached for it alone,
    and with variables that nobody sees in a list of processes.
    """
    places = [workspace / place for place in playbook_places(book.path)]
    file = next((path for path in places if path.is_file()), places[0])
    start, given = environment_to_ask(workspace, os.environ)
    alone = cache_prefixes(os.environ, kept_for(str(workspace.resolve()), client))
    argv = [program("ansible-playbook") or "ansible-playbook", "--list-hosts", "--list-tasks", str(file)]
    argv += [part for source in inventory for part in ("-i", str(source))]
    argv += ["--limit", book.limit] if book.limit else []
    with tempfile.NamedTemporaryFile("w", prefix="bascule-", suffix=".json", encoding="utf-8") as variables:
        json.dump({**facts, **book.extra_vars}, variables)
        variables.flush()
        try:
            done = subprocess.run(
                [*argv, "-e", f"@{variables.name}"],
                cwd=start,
                env={**given, **alone},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return (f"could not be listed: {error}",), ()
    hosts: list[str] = []
    tasks: list[str] = []
    for line in done.stdout.splitlines():
        if re.match(r"^      \S", line):
            text = line.strip().partition("\tTAGS")[0].strip()
            (tasks if "TAGS" in line else hosts).append(text)
    return tuple(dict.fromkeys(hosts)), tuple(tasks)
