"""Prepares what an attempt would have to wait for: a worker that has done its imports, a zygote, logins.

The one rule it keeps: an attempt needs nothing of this. Without a spare worker a new one is started. Without a zygote a
playbook runs cold, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.core.events import StepKey
from orchestrator.runner.attempts import Attempt
from orchestrator.runner.warm.keeper import Keeper, Login
from orchestrator.runner.warm.owner import ZygoteOwner
from orchestrator.runner.workers import Job, Waiting, start_worker


class Readied:
    """A runner's spare worker, zygote and kept logins; none of them before `warm_up`. `close` ends them."""

    def __init__(self, workspace: Path, sources: Callable[[str], Sequence[Path]]) -> None:
        """`sources`: the inventory sources of a client, as they are when asked."""
        self.workspace = workspace
        self.zygote: ZygoteOwner | None = None
        self._sources = sources
        self._wanted = False
        self._spare: Waiting | None = None
        self._keeper: Keeper | None = None
        self._called: dict[StepKey, int] = {}  # which zygote an attempt was to be served by

    def warm_up(self, executor: str) -> None:
        """From now on have a spare worker and, unless `executor` is "cold", a zygote; with Mitogen if it is "fast"."""
        self._wanted = True
        self.refill()
        if self.zygote is None and executor != "cold":
            self.zygote = ZygoteOwner(self.workspace, mitogen=executor == "fast")
            self.zygote.start()

    def refill(self) -> None:
        """Have a spare worker again, if one is wanted."""
        if self._wanted and self._spare is None:
            self._spare = start_worker()

    def hire(self, job: Job, lock: int) -> Waiting:
        """A worker that has its job. Raises OSError if none can be started."""
        spare, self._spare = self._spare, None
        if spare is not None:
            try:
                self._hand_over(spare, job, lock)
            except OSError:
                spare.give_up()  # something has killed it meanwhile
            else:
                return spare
        worker = start_worker()
        self._hand_over(worker, job, lock)
        return worker

    def _hand_over(self, worker: Waiting, job: Job, lock: int) -> None:
        warm = self.zygote.call() if self.zygote is not None else None
        if self.zygote is not None:
            if warm is None:
                job = replace(job, why_cold=self.zygote.why_not)
            else:
                self._called[StepKey(*job.key)] = self.zygote.number
        worker.hand_over(job, lock, warm)

    def mind(self, attempt: Attempt) -> None:
        """After an attempt: a zygote that did not serve its call is replaced."""
        called = self._called.pop(attempt.key, None)
        if self.zygote is None or called is None or called != self.zygote.number:
            return
        for event in attempt.read_events():
            if event.get("executor") == "cold":
                self.zygote.replace(str(event.get("because")))
                return

    async def log_in(self, client: str, host: str, become: bool) -> Login:
        """Log in to a host now; with others that are asked for at the same time."""
        if self._keeper is None and self.zygote is not None:
            self._keeper = Keeper(self.zygote, self._sources)
        if self._keeper is None:
            return Login(
                host, None, "nobody can ask: playbooks are run by ansible-playbook itself (daemon.playbooks: cold)"
            )
        return await self._keeper.ask(client, host, become)

    async def close(self) -> None:
        """End what plays nothing; a zygote that plays ends afterwards."""
        self._wanted = False
        if self._spare is not None:
            await asyncio.to_thread(self._spare.dismiss)
            self._spare = None
        if self._keeper is not None:
            await self._keeper.close()
        if self.zygote is not None:
            await self.zygote.close()
