"""Playbook steps for real: each attempt is a worker process that runs ansible-runner.

The one rule it keeps: an attempt is begun once. Its directory comes before its process, its lock before both. Whatever
is found of an earlier attempt is settled (its result, or adopted, or proven over and LOST), never started again.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.core import ansible
from orchestrator.core.client_keys import kept_for
from orchestrator.core.commands import CancelStep, RunPlaybook, SettleStep
from orchestrator.core.events import AttemptEnd, StepAdopted, StepEnded, StepKey, StepProgressed
from orchestrator.core.model import Playbook
from orchestrator.runner import attempts, leftovers
from orchestrator.runner.attempts import Attempt, Result, safe_name, task_of
from orchestrator.runner.lost import prove_over
from orchestrator.runner.machine import machine_of
from orchestrator.runner.readied import Readied
from orchestrator.runner.runner import Emit, StepCommand
from orchestrator.runner.warm.owner import ZygoteOwner
from orchestrator.runner.workers import Job

FOLLOW_S = 0.1  # how late progress may be shown; the end is told at once
FILES_S = 30.0  # how long a look at what a step would play may take before it
STUCK_S = 30.0  # a worker that has not ended so long after it should have is ended

Differs = Callable[[str, Playbook], str]


class PlaybookRunner:
    """Runs playbooks of a workspace through ansible-runner, out of process.

    `inventories`: by client. `differs(client, playbook)`: what is not as its digest says, in a sentence, or nothing.
    `private`: attempt directories, 0700. Events go to `emit` in the event loop's thread.
    """

    def __init__(
        self,
        workspace: Path,
        inventories: Mapping[str, Sequence[Path]],
        emit: Emit,
        *,
        differs: Differs,
        private: Path | None = None,
    ) -> None:
        self.workspace = workspace.resolve()
        self.use_inventories(inventories)
        self.private = (private or workspace / ".bascule" / "runs").resolve()
        self._remembers = self.private.is_dir()  # else whatever ran before has left no trace: nothing is proven by that
        self.private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.private.mkdir(mode=0o700, exist_ok=True)
        self.machine = machine_of(self.private)
        self._mark = secrets.token_hex(8)  # of the one controller that it serves: no other has this epoch
        self._emit = emit
        self._differs = differs
        self._following: dict[StepKey, asyncio.Task[None]] = {}
        self._cancelled: set[StepKey] = set()
        self._workers: dict[StepKey, int] = {}  # pidfd
        self.readied = Readied(self.workspace, lambda client: self.inventories.get(client, ()))

    @property
    def zygote(self) -> ZygoteOwner | None:
        """The warm executor, if there is to be one."""
        return self.readied.zygote

    def carry_out(self, command: StepCommand) -> None:
        """Begin, cancel or settle an attempt."""
        key = command.key
        if isinstance(command, CancelStep):
            self._cancelled.add(key)
            if key in self._workers:
                _signal(self._workers[key], signal.SIGTERM)
            elif key not in self._following:
                self._follow(key, self._settle(key, announce=False))
        elif key not in self._following:
            self._follow(key, self._run(command) if isinstance(command, RunPlaybook) else self._settle_known(command))

    def use_inventories(self, inventories: Mapping[str, Sequence[Path]]) -> None:
        """After a reload: the clients' inventory sources as they are now; attempts that run keep theirs."""
        # As they are written: group_vars stand beside the link, and not beside what it leads to.
        self.inventories = {client: tuple(p.absolute() for p in paths) for client, paths in inventories.items()}

    def warm_up(self, executor: str = "fast") -> None:
        """From now on keep ready what an attempt would have to wait for: a worker that has done its imports, a zygote.

        `executor`: "fast", "warm" (a zygote without Mitogen) or "cold" (none).
        """
        self.readied.warm_up(executor)

    async def can_log_in(self, client: str, host: str, become: bool = False) -> tuple[bool | None, str]:
        """Whether a playbook could log in to this inventory host now (and become root), and why not.

        None where nobody can ask. What it opened stays open, so that a step finds it made.
        """
        login = await self.readied.log_in(client, host, become)
        return login.ok, login.why

    def forget(self, run: str) -> None:
        """Drop what is kept of a run that is over; does nothing while one of its attempts still runs."""
        if any(key.run == run and not task.done() for key, task in self._following.items()):
            return
        attempts.forget(self.private, run)

    async def close(self) -> None:
        """Stop following. Attempts that run go on, and a later runner can adopt them."""
        following = list(self._following.values())
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await self.readied.close()

    # --- one attempt ---

    def _follow(self, key: StepKey, work: asyncio.Future[None] | object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._following[key] = task

        def over(done: asyncio.Task[None]) -> None:
            self._following.pop(key, None)
            self._cancelled.discard(key)
            if not self._following and not done.cancelled():
                self.readied.refill()
            if not done.cancelled() and (error := done.exception()) is not None:
                self._emit(StepEnded(key, AttemptEnd.LOST, f"the runner failed: {type(error).__name__}: {error}"))

        task.add_done_callback(over)

    def _end(self, key: StepKey, result: Result) -> None:
        self._emit(StepEnded(key, result.outcome, result.detail, result.tasks, result.unguarded, result.stats))

    async def _run(self, command: RunPlaybook) -> None:
        attempt = Attempt(self.private, command.key)
        if attempt.exists() and attempt.is_of(command.beginning):
            await self._settle(command.key)
            return
        if attempt.exists() and (refusal := await asyncio.to_thread(self._make_room, attempt)) is not None:
            self._end(command.key, refusal)
            return
        sources = None
        while sources is None or sources != self.inventories.get(command.client):  # another was put in force meanwhile
            sources = self.inventories.get(command.client)
            if (refusal := await self._looked(command)) is not None:
                self._end(command.key, refusal)
                return
        try:
            attempt.create(command.beginning, self.machine)
            lock = attempt.take_lock()
        except OSError as error:
            self._end(command.key, _not_started(f"no place for the attempt: {error}"))
            return
        if lock is None:  # cannot happen: the directory is ours
            await self._settle(command.key)
            return
        if command.key in self._cancelled:
            os.close(lock)
            self._end(command.key, Result(AttemptEnd.CANCELLED, "cancelled before it was started", ()))
            return
        try:
            worker = self.readied.hire(self._job(command), lock)
        except OSError as error:
            self._end(command.key, _not_started(f"the worker could not be started: {error}"))
            return
        finally:
            os.close(lock)
        await self._watch(attempt, os.pidfd_open(worker.process.pid), command.timeout_s, worker.process)

    def _make_room(self, attempt: Attempt) -> Result | None:
        """A journal that was put back gives ids again: what another run of this id has left is not this one's.

        Why it cannot be put aside, if it cannot.
        """
        lock = attempt.take_lock()
        if lock is None:
            pid = attempt.read_worker().get("pid", "not known")
            return _not_started(
                f"a playbook of another run that had the id {attempt.key.run}, which this journal does not know, still"
                f" runs here (process {pid}): wait until it has ended, or end it"
            )
        try:
            self._find_end(attempt, True)
            attempt.set_aside()
        except OSError as error:
            return _not_started(f"what another run of its id has left cannot be put aside: {error}")
        finally:
            os.close(lock)
        return None

    async def _looked(self, command: RunPlaybook) -> Result | None:
        """Why it is not begun, if so, from a look at the files; one that hangs keeps a thread, and nothing else."""
        try:
            async with asyncio.timeout(FILES_S):
                return await asyncio.to_thread(self._refusal, command)
        except TimeoutError:
            return _not_started(f"the files of its plan do not answer within {FILES_S:g} s, as on a mount that hangs")

    def _refusal(self, command: RunPlaybook) -> Result | None:
        playbook = command.playbook
        if not self.inventories.get(command.client):  # without any, Ansible would take its usual one
            return _not_started(f"client {command.client} has no inventory")
        try:
            found = self._differs(command.client, playbook)
        except (OSError, ValueError) as error:
            return Result(AttemptEnd.PLAN_CHANGED, f"{playbook.path} cannot be read any more: {error}", ())
        return Result(AttemptEnd.PLAN_CHANGED, found, ()) if found else None

    def _file_of(self, name: str) -> Path:
        places = [self.workspace / place for place in ansible.playbook_places(name)]
        return next((path for path in places if path.is_file()), places[0])

    def _job(self, command: RunPlaybook) -> Job:
        return Job(
            private=str(self.private),
            key=(command.key.run, command.key.step, command.key.attempt),
            mark=secrets.token_hex(12),
            workspace=str(self.workspace),
            playbook=str(self._file_of(command.playbook.path)),
            inventories=tuple(map(str, self.inventories[command.client])),
            extra_vars={**command.playbook.extra_vars, **command.facts},
            limit=command.playbook.limit,
            timeout_s=command.timeout_s,
            epoch=command.epoch,
            workspace_id=safe_name(command.workspace),
            controller=self._mark,
            kept_for=kept_for(str(self.workspace), command.client),
            simulated=command.simulated,
            stats=command.stats,
        )

    async def _watch(
        self, attempt: Attempt, worker: int, timeout_s: float, process: subprocess.Popen[bytes] | None = None
    ) -> None:
        """Follow a worker (a pidfd, closed here) to its end, and tell it."""
        key = attempt.key
        self._workers[key] = worker
        if key in self._cancelled:
            _signal(worker, signal.SIGTERM)
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(worker, ended.set)
        position, stop_at = 0, loop.time() + timeout_s + STUCK_S
        asked_at: float | None = None
        try:
            while not ended.is_set():
                try:
                    async with asyncio.timeout(FOLLOW_S):
                        await ended.wait()
                except TimeoutError:
                    pass
                position = self._tell_progress(attempt, position)
                if key in self._cancelled and asked_at is None:
                    asked_at = loop.time()
                    stop_at = min(stop_at, asked_at + STUCK_S)
                if loop.time() > stop_at:  # it does not do its work any more; the look below ends the rest
                    _signal(worker, signal.SIGKILL)
        finally:
            loop.remove_reader(worker)
            self._workers.pop(key, None)
            os.close(worker)
        if process is not None:
            process.wait()  # it is a zombie already
            self.readied.mind(attempt)
        self._end(key, await asyncio.to_thread(self._find_end, attempt, process is None))

    def _tell_progress(self, attempt: Attempt, position: int) -> int:
        try:
            with attempt.events.open("rb") as file:
                file.seek(position)
                data = file.read()
        except FileNotFoundError:
            return position
        whole = data.rfind(b"\n") + 1
        for line in data[:whole].splitlines():
            if (task := task_of(json.loads(line))) is not None:
                self._emit(StepProgressed(attempt.key, task))
        return position + whole

    # --- what an earlier controller left ---

    async def _settle_known(self, command: SettleStep) -> None:
        attempt = Attempt(self.private, command.key)
        by, known = command.machine, attempt.exists()
        if known and not attempt.is_of(command.beginning):
            why = f"nothing is known of it: what is kept in {attempt.path} is of another run that had the same id"
        elif not known and self._remembers and by not in ("", self.machine):
            why = f"it was begun by {by}, and this is {self.machine}: what came of it there is not known here"
        else:
            await self._settle(command.key)
            return
        self._end(command.key, Result(AttemptEnd.LOST, why, ()))

    async def _settle(self, key: StepKey, announce: bool = True) -> None:
        attempt = Attempt(self.private, key)
        if not attempt.exists():
            cancelled = key in self._cancelled
            if self._remembers:  # its directory is made before anything of it starts
                outcome, why = AttemptEnd.NEVER_BEGUN, "there is no trace of it here: it had not been started"
            else:
                outcome, why = AttemptEnd.LOST, f"nothing is known of it: {self.private} was gone"
            self._end(key, Result(AttemptEnd.CANCELLED if cancelled else outcome, why, ()))
            return
        lock = attempt.take_lock()
        if lock is None:
            worker = await self._find_worker(attempt)
            if worker is not None:
                if announce:
                    self._emit(StepAdopted(key))
                await self._watch(attempt, worker, await asyncio.to_thread(self._time_left, attempt))
                return
            lock = attempt.take_lock()
        try:
            result = await asyncio.to_thread(self._find_end, attempt, True)
        finally:
            if lock is not None:
                os.close(lock)
        self._end(key, result)

    async def _find_worker(self, attempt: Attempt) -> int | None:
        """A pidfd of the worker that holds the lock; None if the lock came free meanwhile."""
        while True:
            found = attempt.read_worker()
            if found:
                try:
                    worker = os.pidfd_open(found["pid"])
                except OSError:
                    worker = None
                if worker is not None:
                    if abs(leftovers.started_at(found["pid"]) - found["started"]) <= 1:  # it is rounded to ticks
                        return worker
                    os.close(worker)
            lock = attempt.take_lock()
            if lock is not None:
                os.close(lock)
                return None
            await asyncio.sleep(0.05)  # it has the lock and is about to say who it is

    def _time_left(self, attempt: Attempt) -> float:
        """How long an adopted worker may still take; it keeps the time-out itself, this is the net under it."""
        return float(attempt.read_worker().get("timeout_s") or 3600.0)

    def _find_end(self, attempt: Attempt, looking_back: bool) -> Result:
        found = attempt.read_result()
        if found is not None:
            return found
        cancelled = attempt.key in self._cancelled
        return prove_over(attempt, self.workspace, self.machine, cancelled=cancelled, looking_back=looking_back)


def _not_started(why: str) -> Result:
    return Result(AttemptEnd.COULD_NOT_START, why, ())


def _signal(worker: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(worker, number)
    except ProcessLookupError:
        pass  # it has just ended by itself
