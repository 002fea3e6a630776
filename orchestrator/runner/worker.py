"""The program that runs one playbook: `python -m orchestrator.runner.worker`, out of the controller's process.

The one rule it keeps: it outlives the controller, and writes how the attempt ended only when nothing of it runs here
any more. Its job comes through a socket (standard input), so nothing of it shows in a process list; the attempt's lock
comes with it. SIGTERM cancels.

It is a session of its own and the reaper of everything below it. So what Ansible detaches (it gives each of its forks a
session) is found and ended too.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import IO, Any

from orchestrator.core.events import AttemptEnd, StepKey, TaskTime
from orchestrator.core.model import Json
from orchestrator.runner import (
    compiled,
    environment,
    epoch_script,
    first_reach,
    guard,
    leftovers,
    sentences,
    settings,
    sweep,
)
from orchestrator.runner.attempts import Attempt, Result, write_once
from orchestrator.runner.published import Published, TooMuchPublished
from orchestrator.runner.reading import Reading, Started, secrets_in
from orchestrator.runner.workers import Job, receive_job

MEMORY_MAX_BYTES = 1 << 30  # of this program: whatever a target prints, the machine lives
HANGS_FROM_S = 5.0  # from then on is looked which ssh asks the guard, and how long it may take
HANGS_S = epoch_script.LOCK_S + first_reach.EARLY_S + 2.0  # who finds a lock that is held refuses: that is waited for
_PR_SET_CHILD_SUBREAPER = 36


class Worker:
    """One attempt, from its job to its result."""

    def __init__(self, job: Job, warm: socket.socket | None = None) -> None:
        self.job = job
        self.warm = warm
        self.cold_because = job.why_cold
        self.roots = [os.getpid()]
        self.attempt = Attempt(Path(job.private), StepKey(*job.key))
        self.started = _now_s()
        self.directory = Path(job.workspace)
        self.cancelled = False
        self.timed_out = False
        self.refused = False  # by a host that the playbook has only now reached
        self.again: Path | None = None  # where hosts are asked that did not answer the guard at first
        self.flooded = False
        self.asks: dict[int, float] = {}  # each ssh that asks the guard, and since when
        self.looks_at = self.started + HANGS_FROM_S
        self.reading = Reading(base=Path(job.workspace), secrets=secrets_in(job.extra_vars))
        self.published = Published(self.reading.secrets) if job.stats else None
        self.log: IO[str] = self.attempt.events.open("a", encoding="utf-8")
        self.extra_vars_path = self.attempt.work / "env" / "extravars"

    def run(self) -> Result:
        """Run the playbook to its end, whatever that is. Raises nothing for what Ansible does.

        Raises FileExistsError, before anything is done, where the attempt has had a worker already.
        """
        signal.signal(signal.SIGTERM, self._cancel)
        signal.signal(signal.SIGINT, self._cancel)
        self._introduce()
        try:
            outcome, detail = self._play()
        except Exception as error:  # whatever ansible-runner raises: its own sentence, no stack trace
            self._end_here()
            outcome = AttemptEnd.FAILED if self.reading.begun else AttemptEnd.COULD_NOT_START
            detail = f"ansible-runner: {type(error).__name__}: {error}"[:600]
        self.attempt.drop_work()
        stats: Mapping[str, Json] = {}
        if self.published is not None:
            try:
                stats = self.published.found()
            except TooMuchPublished as why:
                outcome = AttemptEnd.FAILED if outcome is AttemptEnd.OK else outcome
                detail = "; ".join(filter(None, (detail, str(why))))
        return Result(outcome, detail, tuple(self.reading.tasks), self.reading.unguarded(), stats)

    def _introduce(self) -> None:
        write_once(
            self.attempt.worker,
            {
                "pid": os.getpid(),
                "started": leftovers.started_at(os.getpid()),
                "boot": leftovers.boot_id(),
                "mark": self.job.mark,
                "inventories": list(self.job.inventories),
                "kept_for": self.job.kept_for,
                "timeout_s": self.job.timeout_s,
            },
        )

    def _cancel(self, number: int, frame: FrameType | None) -> None:
        self.cancelled = True

    def _play(self) -> tuple[AttemptEnd, str]:
        from ansible_runner import runner as ansible_runner_runner

        from orchestrator.runner.own_events import OwnEvents
        from orchestrator.runner.warm import calling

        work = self.attempt.make_work()
        (work / "env").mkdir(mode=0o700)
        (work / "tmp").mkdir(mode=0o700)
        settings_of = settings.Settings.find(Path(self.job.workspace), os.environ)
        self.directory = settings_of.directory
        if settings_of.compiled is not None and not compiled.drop(settings_of.compiled, Path(self.job.workspace)):
            settings_of = replace(settings_of, compiled=work / "compiled")
        given = settings_of.environment(
            os.environ, mark=self.job.mark, temporary=work / "tmp", kept_for=self.job.kept_for
        )
        os.environ.clear()
        os.environ.update(given)
        local = Path(self.job.private) / "epochs"
        here = None
        if self.job.epoch is not None:
            here = guard.keep_here(
                local, workspace_id=self.job.workspace_id, epoch=self.job.epoch, mark=self.job.controller
            )
            self.reading.heard_later(sentences.HERE, here)
        guard_path = self._write_guard(work / "guard", local, settings_of, given)
        os.environ.pop(guard.ASKED, None)
        if guard_path is not None:
            os.environ[guard.ASKED] = given[guard.ASKED] = str(guard_path.parent / guard.ASKED)
        if not (here is not None and here.stops) and (
            asked := guard.asks_for(Path(self.job.playbook), self.job.extra_vars)
        ):
            self.reading.asked = asked
            return self.reading.outcome(None)
        if self.job.extra_vars:
            descriptor = os.open(self.extra_vars_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(dict(self.job.extra_vars), file)
        config = environment.prepared(
            work,
            settings_of.directory,
            given,
            playbook=self.job.playbook,
            inventories=self.job.inventories,
            limit=self.job.limit,
            simulated=self.job.simulated,
        )
        if guard_path is not None:
            config.command.insert(len(config.command) - 1, str(guard_path))
            if here is not None and here.stops:
                config.command.pop()  # the hosts are asked who has been there; nothing of the author's is begun
            self.reading.guard_path, self.reading.guard_epoch = str(guard_path), self.job.epoch
            self.again = guard_path.parent / guard.AGAIN
        elif here is not None and here.stops:
            return self.reading.refused_by_guard() or (AttemptEnd.FAILED, here.text)
        ansible_runner_runner.pexpect = calling.Pexpect(
            calling.spawner(self.warm, self._served_warm, self._served_cold)
        )
        ansible_runner_runner.OutputEventFilter = OwnEvents
        runner = ansible_runner_runner.Runner(
            config,
            event_handler=self._hear,
            status_handler=self._follow,
            cancel_callback=self._over,
        )
        runner.run()
        for host, answer in first_reach.answers(self.again) if self.again else ():
            self.reading.heard_later(host, answer)
        for host, where in guard.met_elsewhere(guard_path.parent / guard.ASKED) if guard_path else ():
            self.reading.elsewhere.setdefault(host, where)
        if self.cancelled or self.timed_out or self.flooded or self._is_refused():
            return self._stopped()
        outcome, detail = self.reading.outcome(runner.rc)
        if self.cold_because:
            detail = "; ".join(filter(None, (detail, f"not by the warm executor: {self.cold_because}")))
        return outcome, detail

    def _served_warm(self, pid: int) -> None:
        self.roots.append(pid)
        self._note({"executor": "warm"})

    def _served_cold(self, why: str) -> None:
        self.cold_because = why or self.cold_because
        self._note({"executor": "cold", "because": self.cold_because})

    def _write_guard(
        self, directory: Path, local: Path, settings_of: settings.Settings, given: Mapping[str, str]
    ) -> Path | None:
        if self.job.epoch is None:
            return None
        return guard.write_guard(
            directory,
            Path(self.job.playbook),
            workspace_id=self.job.workspace_id,
            epoch=self.job.epoch,
            mark=self.job.controller,
            local=local,
            ssh=settings_of.ssh_program(given),
            ssh_timeout=settings_of.ssh_timeout(given),
            tags=settings_of.tags(given),
        )

    def _is_refused(self) -> bool:
        """Whether a host refuses that did not answer the guard at first: one is enough, whatever else goes on."""
        if self.again is not None and not self.refused and (found := first_reach.refused(self.again)) is not None:
            self.refused = True
            self.reading.heard_later(*found)
        return self.refused

    def _over(self) -> bool:
        limit_s = self.job.timeout_s
        if limit_s is not None and _now_s() - self.started > limit_s:
            self.timed_out = True
        self.flooded = self.flooded or _resident_bytes() > MEMORY_MAX_BYTES
        asked = bool(self.reading.asked)
        over = self.cancelled or self.timed_out or self.flooded or asked or self._is_refused()
        self._leave_who_hangs()
        if over:
            self._end_here()
        return over

    def _leave_who_hangs(self) -> None:
        """A host that lets in and does not go on (its disk, its shell) has not answered: it is asked when it is met.

        Else nothing of the playbook would begin, whatever else it has to do first. ssh ends as if nobody had answered.
        """
        now = _now_s()
        if self.job.epoch is None or self.reading.begun or now < self.looks_at:
            return
        self.looks_at = now + 1.0
        there = leftovers.saying(f"{guard.ON_TARGETS} epoch-{self.job.workspace_id} {self.job.epoch}", self.roots)
        self.asks = {pid: self.asks.get(pid, now) for pid in there}
        for pid, since in self.asks.items():
            if now - since > HANGS_S:
                leftovers.tell(pid, signal.SIGTERM)

    def _end_here(self) -> int:
        return leftovers.end_all(roots=self.roots, mark=self.job.mark)

    def _follow(self, status: Mapping[str, Any], runner_config: Any) -> None:
        if status["status"] == "running":  # this file has the whole environment in clear
            Path(runner_config.artifact_dir, "command").unlink(missing_ok=True)

    def _hear(self, event: Mapping[str, Any]) -> bool:
        heard = self.reading.read(event, _now_s() - self.started)
        if self.published is not None:
            self.published.read(event)
        if event.get("event") == "playbook_on_start":
            self.extra_vars_path.unlink(missing_ok=True)  # it has been read
        if isinstance(heard, Started):
            self._note({"started": asdict(heard)})
        elif isinstance(heard, TaskTime):
            self._note({"task": asdict(heard)})
        return False  # keep no event on disk: results can hold secrets

    def _note(self, line: Mapping[str, Any]) -> None:
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()

    def _stopped(self) -> tuple[AttemptEnd, str]:
        remain = self._end_here()
        if self.cancelled:
            outcome, why = AttemptEnd.CANCELLED, "cancelled"
        elif (refused := self.reading.refused_by_guard()) is not None:
            outcome, why = refused
        elif self.flooded:
            outcome, why = AttemptEnd.FAILED, "stopped: its tasks print more than this machine should hold"
        else:
            outcome, why = AttemptEnd.TIMED_OUT, f"not done after {self.job.timeout_s:g}s"
        if during := self.reading.interrupted():
            why += f", during {during}"
        hosts = sorted({host for _, host in self.reading.running})
        found = sweep.sweep(
            hosts,
            mark=self.job.mark,
            inventories=self.job.inventories,
            directory=str(self.directory),
            environment=os.environ,
        )
        if found:
            why += "; " + found
        if remain:
            why += f"; {remain} of its processes on this machine could not be ended"
        if outcome is AttemptEnd.TIMED_OUT:  # it is looked at, and its end is the look's: here it is told
            why += "".join(f"; not guarded: {host}" for host in self.reading.unguarded()[:3])
        return outcome, why


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _import_early() -> str | None:
    """Import before there is a job, not after; returns what is wrong with the installation, if anything is."""
    try:
        import ansible_runner.config.runner
        import ansible_runner.runner  # noqa: F401
    except ImportError as error:
        return f"ansible-runner cannot be imported by {sys.executable}: {error}"
    return None


def main() -> None:
    """Wait for a job, run it, put its end on record."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # until there is a job to cancel
    broken = _import_early()

    received = receive_job(socket.socket(fileno=0))
    if received is None:
        return
    job, lock, warm = received
    os.set_inheritable(lock, False)
    if warm is not None:
        warm.set_inheritable(False)
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    worker = Worker(job, warm)
    try:
        result = worker.run() if broken is None else Result(AttemptEnd.COULD_NOT_START, broken, ())
    except FileExistsError:  # an attempt has one worker: the result is the first one's to tell
        os._exit(1)
    worker.attempt.write_result(result)
    sys.stdout.flush()
    os._exit(0)  # nothing is left to tidy up; the interpreter's own end would cost the step its time


if __name__ == "__main__":
    main()
