"""Shows a run as it happens, to the person who asked for it.

The one rule it keeps: what is shown comes from the journal. A message from the daemon only says that the journal has
something new, and what a playbook does between two entries.

On a terminal the same lines are drawn again. Elsewhere each step gets a line when it begins and one when it ends, so
that a log of it reads well.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.status import columns
from orchestrator.cli.workspace import reading
from orchestrator.core.codec import CodecError, decode
from orchestrator.core.durations import show_duration
from orchestrator.core.events import OF_RUNS, TaskTime
from orchestrator.core.reasons import Reason
from orchestrator.core.records import RunEnded
from orchestrator.core.runs.plan import approving
from orchestrator.core.state.decided import Drill, Run
from orchestrator.reports.drills import stage
from orchestrator.reports.reader import Reader, reading_all
from orchestrator.reports.status import run_now
from orchestrator.reports.status_parts import Live
from orchestrator.reports.status_text import MARK, run_lines
from orchestrator.reports.text import Line, Part, in_rows, line, rich_text, show

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.live import Live as Screen

    from orchestrator.core.commands import Answered
    from orchestrator.core.events import WordSpoken
    from orchestrator.daemon.client import Connection
    from orchestrator.daemon.socket import Message
    from orchestrator.reports.stories import State

REDRAW_S = 0.25


class Follower:
    """Shows the run that a word started; use it in a `with`."""

    def __init__(self, workspace: Path, *, quiet: bool = False) -> None:
        self._opening: AbstractContextManager[Reader[State]] = reading(workspace)
        self._journal: Reader[State] | None = None
        self._workspace = workspace
        self._quiet = quiet
        self._encoding = sys.stdout.encoding  # the screen puts a stream without one in its place
        self._screen: Screen | None = None
        self._tasks: dict[tuple[str, str], TaskTime] = {}  # by run and step
        self._drawn_at = 0.0
        self._run: str | None = None
        self._told: set[tuple[str, int, str]] = set()

    def __enter__(self) -> Follower:
        self._journal = self._opening.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.pause()
        self._opening.__exit__(None, None, None)

    @property
    def journal(self) -> Reader[State]:
        """The journal as far as it has been read."""
        if self._journal is None:
            raise RuntimeError("a Follower is used in a `with`")
        return self._journal

    def follow(self, run: str, events: Connection) -> None:
        """Show the run until it ends, or until it needs a person. Raises NoReply if the daemon goes."""
        from orchestrator.daemon.client import NoReply

        self._run = run
        while True:
            self.journal.more()
            self._draw()
            found = self._found()
            if found is not None and (found.human is not None or (found.ended is not None and self._over(found))):
                return
            try:
                message = events.receive(REDRAW_S)
            except NoReply:
                continue  # nothing new: draw the clock again
            if message is None:
                raise NoReply(f"the daemon went away; the run is on record: bascule status, bascule report {run}")
            self._progress_in(message)

    def _over(self, run: Run) -> bool:
        """Whether nothing follows this run; of a drill that goes on its next run is the one that is shown."""
        drill = self.drill(run.id)
        if drill is None or drill.ended is not None:
            return True
        if drill.runs[-1] != run.id:
            self._run = drill.runs[-1]
        return False

    def drill(self, run: str) -> Drill | None:
        """The drill that this run is a part of."""
        found = self.journal.state.decided.runs.get(run)
        return self.journal.state.decided.drills.get(found.started.drill) if found is not None else None

    def entry(self) -> None:
        """Something was written: by this process, when no daemon runs."""
        before = set(self.journal.state.decided.runs)
        self.journal.more()
        new = [x for x in self.journal.state.decided.runs if x not in before]
        self._run = new[-1] if new else self._run
        self._draw()

    def progress(self, run: str, step: str, task: TaskTime) -> None:
        """A running step got on."""
        self._tasks[run, step] = task
        self._draw()

    def ended(self, run: str) -> RunEnded | None:
        """How the run ended, if it has."""
        self.journal.more()
        found = self.journal.state.decided.runs.get(run)
        return found.ended if found else None

    def conclude(self, answer: Answered, word: WordSpoken, wait: bool) -> None:
        """The last lines: how it ended, or what has been started."""
        self.pause()
        if not answer.run:
            said = f"{word.kind.value} {'everything' if word.subject == '*' else word.subject}"
            new = answer.evidence and answer.evidence != f"{word.kind.value}: {word.subject}"
            show([line(Part("done: ", "green"), said, f" ({answer.evidence})" if new else "")])
            return
        run = self.journal.state.decided.runs.get(answer.run)
        if not wait or run is None:
            about = word.kind in OF_RUNS  # it was there before
            said = f"{word.kind.value}: {answer.evidence or answer.run}" if about else f"run {answer.run} has begun"
            show([line(f"{said}; see it: bascule status --watch, bascule report {answer.run}")])
            return
        drill = self.drill(run.id)
        show(self._drill_lines(drill) if drill is not None else self._last_lines(run))

    def account(self, run: str) -> object:
        """The run's account, JSON-able."""
        from orchestrator.reports.account import account

        with reading_all(self._workspace) as journal:
            story = journal.state.find(run)
            return asdict(account(story, journal.state.clock, journal.now(time.time()))) if story else None

    def _found(self) -> Run | None:
        return self.journal.state.decided.runs.get(self._run) if self._run else None

    def _progress_in(self, message: Message) -> None:
        progress = message.get("progress")
        if isinstance(progress, dict):
            try:
                key = (str(progress.get("run")), str(progress.get("step")))
                self._tasks[key] = decode(TaskTime, progress.get("task"))
            except CodecError:
                return  # a daemon of another version: the journal says the rest

    def _draw(self) -> None:
        run = self._found()
        if run is None or self._quiet:
            return
        if not sys.stdout.isatty():
            show(self._news(run))
            return
        if time.monotonic() - self._drawn_at < REDRAW_S / 2 and run.ended is None:
            return
        self._drawn_at = time.monotonic()
        if self._screen is None:
            from rich.live import Live as Screen

            self._screen = Screen(auto_refresh=False)
            self._screen.start()
        now, drill = self.journal.now(time.time()), self.drill(run.id)
        lines = run_lines(run_now(run, now, Live(True, None, self._tasks)), columns())
        if drill is not None and drill.ended is None and run.ended is not None:
            lines.append(line(f"  {drill.id}: {stage(self.journal.state.decided, drill)}"))
        self._screen.update(rich_text(in_rows(lines, columns(), self._encoding)), refresh=True)

    def pause(self) -> None:
        """Leave the terminal to others."""
        if self._screen is not None:
            self._screen.stop()
            self._screen = None

    def _news(self, run: Run) -> list[Line]:
        """What was not said of this run before, one line each."""
        lines = []
        for step in run.steps:
            if step.state.value == "pending":
                continue
            key = (step.name, step.attempt, step.state.value)
            if key in self._told:
                continue
            self._told.add(key)
            took = f" {show_duration(step.took_s)}" if step.took_s is not None else ""
            why = f"  {step.evidence}" if step.evidence and step.state.value != "running" else ""
            lines.append(line(f"{run.id}  {step.name}  {step.state.value}{took} {MARK[step.state.value]}{why}"))
            lines += [line(f"{run.id}  {step.name}  not guarded: {host}") for host in step.unguarded]
        if run.human is not None and ("human", 0, run.human.evidence) not in self._told:
            self._told.add(("human", 0, run.human.evidence))
            lines.append(line(f"{run.id}  waits for a person  {run.human.reason.value}: {run.human.evidence}"))
        return lines

    def _drill_lines(self, drill: Drill) -> list[Line]:
        if drill.ended is None:
            last = self.journal.state.decided.runs.get(drill.runs[-1])
            more = self._last_lines(last) if last is not None and last.ended is None else []
            told = f"drill {drill.id} has not ended: "
            return [*more, line(Part(told, "bold yellow"), f"bascule drill show {drill.id}")]
        took = show_duration(drill.ended.at - drill.began.at)
        why = _why(drill.ended.reason, drill.ended.evidence)
        if drill.ended.ok:
            head = line(Part(f"{drill.id} done in {took}: ", "bold green"), why)
        else:
            head = line(Part(f"{drill.id} failed after {took}: ", "bold red"), why)
        return [head, line(f"  each step, live, simulated or skipped: bascule drill show {drill.id}")]

    def _last_lines(self, run: Run) -> list[Line]:
        if run.ended is None:
            now = run_now(run, self.journal.now(time.time()))
            if not now.needs:
                return [line(Part(f"run {run.id} has not ended: ", "bold yellow"), "bascule status shows it")]
            return [
                line(Part(f"run {run.id} needs a person: ", "bold yellow"), now.needs),
                line(
                    "  it keeps its resources; type: ",
                    Part(approving(run), "bold"),
                    " or ",
                    Part(f"bascule abort {run.id}", "bold"),
                ),
            ]
        took = show_duration(run.ended.at - run.started.at)
        if run.ended.ok:
            return [line(Part(f"done in {took}: ", "bold green"), _why(run.ended.reason, run.ended.evidence))]
        if not run.failed:
            return [line(Part(f"stopped after {took}: ", "bold yellow"), _why(run.ended.reason, run.ended.evidence))]
        return [
            line(Part(f"failed after {took}: ", "bold red"), _why(run.ended.reason, run.ended.evidence)),
            line(f"  the whole account: bascule report {run.id}"),
        ]


def _why(reason: Reason, evidence: str) -> str:
    return f"{reason.value}: {evidence}" if evidence else f"{reason.value}: {reason.text}"
