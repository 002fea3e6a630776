"""One process of Ansible that answers many questions while files are read: `orchestrator/syntax`.

The one rule it keeps: it has the same environment and directory as Ansible's own programs (`ansible_programs.py`). If
it cannot be started, or has no answer, the caller starts Ansible's own program instead.

It is started with the first question or earlier (`start`), because its import takes longer than most answers.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestrator.config.ansible_programs import environment_to_ask

ENDS_WITHIN_S = 2.0  # it removes its directory meanwhile

Answer = dict[str, Any]


@dataclass(slots=True)
class Ansible:
    """The process; any thread may ask. To be closed, or used in a `with`."""

    workspace: Path
    _process: subprocess.Popen[bytes] | None = None
    _questions: queue.SimpleQueue[bytes] = field(default_factory=queue.SimpleQueue)  # of this process
    _waited_for: dict[int, Future[Answer]] = field(default_factory=dict)  # from this process, and no later one
    _ids: itertools.count[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Have it import. Raises OSError."""
        with self._lock:
            self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            start, given = environment_to_ask(self.workspace, os.environ)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "orchestrator.syntax"],
                cwd=start,
                env={**given, "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # nothing of it asks at a terminal
            )
            self._questions, self._waited_for = queue.SimpleQueue(), {}
            hears = (self._process, self._questions, self._waited_for)
            threading.Thread(target=self._hear, args=hears, daemon=True).start()
            threading.Thread(target=self._say, args=(self._process, self._questions), daemon=True).start()
        return self._process

    def inventory(
        self, sources: Sequence[Path], environment: Mapping[str, str], timeout_s: float
    ) -> tuple[int, str, str] | None:
        """Exit code, answer and complaints of `ansible-inventory --list`, the answer as {"merged", "exported"}.

        None: it cannot be asked. Raises TimeoutExpired.
        """
        arguments = [part for source in sources for part in ("-i", str(source))]
        question = {"program": "inventory", "arguments": arguments, "environment": dict(environment)}
        try:
            ((number, waiting),) = self._ask([question])
            answer = waiting.result(timeout_s)
        except TimeoutError:
            with contextlib.suppress(OSError):
                self._ask([], [{"cancel": number}])
            raise subprocess.TimeoutExpired("ansible-inventory", timeout_s) from None
        except OSError:
            return None
        return None if "broken" in answer else (int(answer["code"]), str(answer["out"]), str(answer["err"]))

    def playbooks(
        self, questions: Sequence[Mapping[str, Any]], groups: Mapping[str, Mapping[str, Any]], limit_s: float
    ) -> list[Answer]:
        """What keeps each from starting; `groups`: of each client. Raises OSError, TimeoutError."""
        told = [{"client": client, "groups": dict(found)} for client, found in groups.items()]
        return [answer.result(limit_s) for _, answer in self._ask(questions, told)]

    def close(self) -> None:
        """It is not asked any more; whoever waits is told so."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, number)
                    process.wait(ENDS_WITHIN_S)
        process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(
        self, questions: Sequence[Mapping[str, Any]], first: Sequence[Answer] = ()
    ) -> list[tuple[int, Future[Answer]]]:
        """Say what is to be said first, then ask; each question's number, and where its answer will be."""
        with self._lock:
            self._started()
            answers: list[tuple[int, Future[Answer]]] = [(next(self._ids), Future()) for _ in questions]
            self._waited_for.update(answers)
            asked = [*first, *({"id": n, **question} for (n, _), question in zip(answers, questions, strict=True))]
            self._questions.put("".join(f"{json.dumps(line)}\n" for line in asked).encode())
        return answers

    def _say(self, process: subprocess.Popen[bytes], questions: queue.SimpleQueue[bytes]) -> None:
        """Give it its questions, until the empty one: one that hangs does not read, and nobody else waits for that."""
        if process.stdin is None:
            return
        with contextlib.suppress(OSError), process.stdin as its_input:  # it may have ended; see `_hear`
            while text := questions.get():
                its_input.write(text)
                its_input.flush()

    def _hear(
        self,
        process: subprocess.Popen[bytes],
        questions: queue.SimpleQueue[bytes],
        waited_for: dict[int, Future[Answer]],
    ) -> None:
        """Hand out its answers, until it ends; whoever still waits for one then is told so."""
        for line in process.stdout or ():
            with contextlib.suppress(ValueError, KeyError):
                answer = json.loads(line)
                waited_for.pop(answer["id"]).set_result(answer)
        questions.put(b"")
        with self._lock:
            if self._process is process:
                self._process = None
        for waiting in waited_for.values():
            waiting.set_exception(OSError(f"Ansible's process ended with {process.wait()}"))
