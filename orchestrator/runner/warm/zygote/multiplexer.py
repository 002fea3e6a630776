# SPDX-License-Identifier: GPL-3.0-or-later
"""Mitogen's multiplexer in the zygote, if Mitogen is installed and supports the ansible-core at hand.

The one rule it keeps: Mitogen serves a task only over a connection that is already there and answers. A host without
one (dark, without Python, never asked before) is served as usual, by ssh; and it is connected to meanwhile, for next
time. So a dark host costs what it always did, and a host to which Mitogen cannot connect works all the same.

Rejected: the strategies mitogen_*, which take every task of a play and replace an author's own strategy. Here each task
is looked at by itself (`mitogen_tasks`), and strategies are the author's.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from orchestrator.runner.warm.zygote import file_service, task_connection, upstream_fixes

SUPPORTED = ((2, 19), (2, 21))  # of ansible-core; what the tests run with
MITOGEN_FROM = (0, 3, 40)
ANSWER_S = 1.0  # a connection that has not answered for so long is not used
FRESH_S = 2.0  # one that answered so lately is not asked again
RETRY_S = (1.0, 5.0, 30.0, 120.0)  # before a host that could not be connected to is tried again
POOL_SIZE = 16
MESSAGE_MAX_BYTES = 1 << 30  # from a host, as much as a worker may take: a longer one ends its connection


class Multiplexer:
    """The zygote's handle on the process that holds the connections."""

    def __init__(self, model: Any, version: str) -> None:
        self.model = model
        self.version = version
        self.pids = {mux.pid for mux in model._muxes}
        self.dead = ""

    def changed(self) -> str:
        """Whether it has ended."""
        return self.dead

    def lost(self, pid: int) -> None:
        """A child of the zygote has ended that is no playbook."""
        if pid in self.pids:
            self.dead = "Mitogen's multiplexer has ended"

    def close(self) -> None:
        """End it: it reads the end of this socket."""
        try:
            self.model.parent_sock.close()
        except OSError:
            pass
        for pid in self.pids:
            _end(pid)


def _end(pid: int) -> None:
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except ChildProcessError:
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)


def start() -> Multiplexer | None:
    """Start it; None where Mitogen is not installed, or too old or too new for this ansible-core."""
    version = supported()
    if not version:
        return None
    os.environ.setdefault("MITOGEN_POOL_SIZE", str(POOL_SIZE))
    interval = sys.getswitchinterval()
    import ansible_mitogen.affinity
    import ansible_mitogen.connection
    import ansible_mitogen.loaders
    import ansible_mitogen.mixins
    import ansible_mitogen.planner
    import ansible_mitogen.process
    import ansible_mitogen.strategy

    ansible_mitogen.affinity.policy = ansible_mitogen.affinity.Policy()  # processors are the system's to share out
    add_services = ansible_mitogen.process.setup_pool

    def setup_pool(pool: Any) -> None:
        # Nothing goes from host to host: as far as it is concerned, each is alone with the controller.
        pool.router.unidirectional = True
        pool.router.max_message_size = MESSAGE_MAX_BYTES
        add_services(pool)
        standing = _standing()(pool)
        pool.add(standing)
        file_service.only_to_whom_it_is_for(pool, standing)
        for module in upstream_fixes.LINES:
            if file := upstream_fixes.path(module):
                source = upstream_fixes.mended(file, Path(file).read_bytes())
                pool.router.responder.add_source_override(module, file, source, False)

    ansible_mitogen.process.setup_pool = setup_pool
    model = _started(ansible_mitogen.process)
    sys.setswitchinterval(interval)
    if model is None:
        return None
    ansible_mitogen.strategy.AnsibleWrappers()._add_plugin_paths()
    ansible_mitogen.loaders.connection_loader.get("mitogen_ssh", class_only=True)
    from ansible.executor.process.worker import WorkerProcess

    from orchestrator.runner.warm.zygote import loading, mitogen_tasks, unforked

    loading.load_plugins()  # again: Mitogen has added directories
    run = WorkerProcess._run  # before a worker's end is added to it
    unforked.install(model, run, mitogen_tasks.install(model))
    return Multiplexer(model, version)


def _started(process: Any) -> Any:
    """Mitogen's model once its multiplexer listens; None where that has crashed: Mitogen itself would wait for ever."""
    born, crashed = os.pipe()
    main = process.MuxProcess.worker_main

    def worker_main(self: Any) -> None:
        try:
            main(self)
        except BaseException:
            process.LOG.exception("the multiplexer could not be started")
            os.write(crashed, b"!")
            self.model.child_sock.send(b"!")  # what its parent waits for
            os._exit(1)

    process.MuxProcess.worker_main = worker_main
    try:
        model = process.get_classic_worker_model()
        os.set_blocking(born, False)
        try:
            os.read(born, 1)
        except BlockingIOError:
            return model
        atexit.unregister(model._on_process_exit)
        model.parent_sock.close()
        for mux in model._muxes:
            os.waitpid(mux.pid, 0)
        return None
    finally:
        process.MuxProcess.worker_main = main
        os.close(born)
        os.close(crashed)


def supported() -> str:
    """Mitogen's version, if it is installed and known to work with this ansible-core; else nothing."""
    try:
        import mitogen
        from ansible.release import __version__ as ansible_version
    except ImportError:
        return ""
    core = tuple(int(part) for part in ansible_version.split(".")[:2])
    ours = tuple(mitogen.__version__[:3])
    good = SUPPORTED[0] <= core <= SUPPORTED[1] and ours >= MITOGEN_FROM
    return ".".join(map(str, ours)) if good else ""


def _standing() -> Any:
    """The service's class; made late, since Mitogen need not be installed."""
    import mitogen.core
    import mitogen.service
    from ansible_mitogen.services import key_from_dict

    class Standing(mitogen.service.Service):  # type: ignore[misc]
        """In the multiplexer: which connections stand, and who is using them."""

        def __init__(self, pool: Any) -> None:
            super().__init__(pool.router)
            self.contexts = pool.get_service("ansible_mitogen.services.ContextService")
            self.lock = threading.Lock()
            self.answered: dict[Any, float] = {}  # context to when it last answered
            self.failed: dict[str, tuple[int, float]] = {}  # stack to how often, and when it may be tried again
            self.trying: set[str] = set()
            self.users: dict[int, set[Any]] = {}  # a task's process to the login contexts that it uses
            self.brings: dict[int, set[Any]] = {}  # a task's process to the files that its hosts may fetch

        @classmethod
        def name(cls) -> str:
            return task_connection.SERVICE

        @mitogen.service.expose(mitogen.service.AllowParents())  # type: ignore[untyped-decorator]
        def use(self, stack: list[Any], msg: Any = None) -> dict[str, Any] | None:
            """What Mitogen knows of the connection, if the whole stack stands and answers.

            If not, it is connected to, and the task goes without.
            """
            found = self._found(stack)
            if not found:
                self._connect(stack)
                return None
            if not self._answers(found[-1]["context"]):
                return None
            with self.contexts._lock:
                if self._found(stack) != found:
                    return None  # it has just gone: the task does not wait for another
                self.contexts._refs_by_context[found[-1]["context"]] += 1
            if msg is not None:
                self._register(msg.src_id, found[0]["context"])
            return found[-1]

        @mitogen.service.expose(mitogen.service.AllowParents())  # type: ignore[untyped-decorator]
        def done(self, context: Any, msg: Any = None) -> bool:
            """The task has ended by itself: its process may go, and the connection that it gives back stays."""
            if context is not None:
                self.contexts.put(context=context)
            with self.lock:
                self.brings.pop(msg.src_id, None)
                return self.users.pop(msg.src_id, None) is not None

        def may_have(self, login: int, path: Any) -> bool:
            """Whether a task is bringing this file to a host that is reached over this login."""
            with self.lock:
                tasks = [user for user, paths in self.brings.items() if path in paths]
                return any(login == context.context_id for user in tasks for context in self.users.get(user, ()))

        def _found(self, stack: list[Any]) -> list[dict[str, Any]]:
            """What Mitogen would answer for each hop of a stack; nothing unless all of it stands."""
            found: list[dict[str, Any]] = []
            for spec in stack:
                key = key_from_dict(via=found[-1]["context"] if found else None, **spec)
                response = self.contexts._response_by_key.get(key)
                if response is None:
                    return []
                found.append(response)
            return found

        def _answers(self, context: Any) -> bool:
            if time.monotonic() - self.answered.get(context, -FRESH_S) < FRESH_S:
                return True
            receiver = context.call_async(os.getpid)
            try:
                receiver.get(timeout=ANSWER_S)
            except (mitogen.core.ChannelError, mitogen.core.CallError, mitogen.core.TimeoutError):
                return False
            self.answered[context] = time.monotonic()
            return True

        def _register(self, user: int, login: Any) -> None:
            with self.lock:
                first = user not in self.users
                self.users.setdefault(user, set()).add(login)
            if first:
                context = self.router.context_by_id(user)
                mitogen.core.listen(context, "disconnect", lambda: self._gone(user))

        def _gone(self, user: int) -> None:
            """A task's process has gone: if its task had not ended, what it began there must end with it."""
            with self.lock:
                self.brings.pop(user, None)
                used = self.users.pop(user, set())
            for login in used:
                self.answered.pop(login, None)
                threading.Thread(target=self._close, args=(login,), daemon=True).start()

        def _close(self, login: Any) -> None:
            with self.contexts._lock:
                self.contexts._shutdown_unlocked(login)

        def _connect(self, stack: list[Any]) -> None:
            key = key_from_dict(stack=stack)
            with self.lock:
                often, again = self.failed.get(key, (0, 0.0))
                if key in self.trying or time.monotonic() < again:
                    return
                self.trying.add(key)
            threading.Thread(target=self._try, args=(key, stack, often), daemon=True).start()

        def _try(self, key: str, stack: list[Any], often: int) -> None:
            try:
                result = self.contexts.get(stack=stack)
                fine = result.get("context") is not None
                if fine:
                    self.contexts.put(context=result["context"])
            except Exception:  # whatever it is: the host is served without Mitogen
                fine = False
            with self.lock:
                self.trying.discard(key)
                if fine:
                    self.failed.pop(key, None)
                else:
                    wait_s = RETRY_S[min(often, len(RETRY_S) - 1)]
                    self.failed[key] = (often + 1, time.monotonic() + wait_s)

    return Standing
