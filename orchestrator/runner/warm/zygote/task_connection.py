# SPDX-License-Identifier: GPL-3.0-or-later
"""A task's end of a standing connection: taken at the beginning, given back at the end, with one question each.

The one rule it keeps: a task is served over the connection that was found standing for it. Mitogen would work out the
connection a second time, ask for it again, and give it back with another question. Each question costs every task one
millisecond.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from orchestrator.runner import connections, ssh_files, ssh_jumps, steering
from orchestrator.runner.warm.zygote import restartable

LOG = logging.getLogger(__name__)
SERVICE = "orchestrator.runner.warm.zygote.multiplexer.Standing"  # what answers, in the multiplexer
CALLED = {"ansible.builtin.ssh": "ansible_collections.ansible.builtin.plugins.connection.ssh"}
"""By the name that a task says: as Ansible's loader calls the plug-in, where that is not `ssh`."""
GIVE_BACK_S = 3.0  # the multiplexer's limit for it
MADE_IN: dict[str, str] = {}
"""The environment in which the multiplexer makes connections: that of the zygote, and none of a playbook's."""


class MadeElsewhere(Exception):
    """The playbook's surroundings would have it led elsewhere, or by another's keys."""


def install(model: Any) -> None:
    """Have connections given back. To be called once, in the zygote."""
    from ansible.executor.process.worker import WorkerProcess
    from ansible_mitogen.connection import Connection

    MADE_IN.update(os.environ)
    close, run = Connection.close, WorkerProcess._run

    def give_back_and_close(self: Any) -> None:
        if self.binding is None:
            close(self)
            return
        if isinstance(sys.exception(), KeyboardInterrupt):  # its task has not ended: what it began there must
            self.binding = None
            model.on_binding_close()
            return
        try:
            with within(GIVE_BACK_S):
                give_back(self)
        except Exception as why:  # its task has ended all the same
            LOG.info("a connection was not given back: %r", why)
        self.binding = None  # what it is made of is closed when the task's result is on its way

    def run_and_leave(self: Any) -> None:
        run(self)
        with contextlib.suppress(Exception):  # its task has ended, and has said how
            model.on_binding_close()

    update = Connection.update_vars

    def update_as_ssh(self: Any, variables: Any) -> None:
        """Whoever asks what the connection is called, and with which options, hears of the author's."""
        own, self._load_name = self._load_name, CALLED.get(getattr(self, "said", ""), "ssh")
        try:
            update(self, variables)
        finally:
            self._load_name = own

    Connection.close, WorkerProcess._run = give_back_and_close, run_and_leave
    Connection.update_vars = update_as_ssh


def leave(connection: Any) -> None:
    """It is not this task's any more, which goes on with another."""
    if getattr(connection, "lent", None) is not None and connection.binding is not None:
        connection.close()


def taken(executor: Any, cvars: Any, templar: Any, connection: Any) -> bool:
    """Whether the connection that this task needs stands; if not, it is being made for another time."""
    import ansible_mitogen.process

    executor._connection = connection
    variables = executor._set_connection_options(cvars, templar)
    connection.on_action_run(
        task_vars=task_vars_of(executor),
        delegate_to_hostname=executor._task.delegate_to,
        loader_basedir=executor._loader.get_basedir(),
    )
    # Stands in for the action plug-in, which is made later; it is looked at where Python has to be found first.
    connection._action = SimpleNamespace(
        _mitogen_discovering_interpreter=False, _mitogen_interpreter_candidates=None, _connection=connection
    )
    name, stack = connection._build_stack()
    theirs = any(connection.get_task_var(f"mitogen_ssh_keepalive_{what}") for what in ("interval", "count"))
    for hop in stack:
        same_from_here(hop)
    stack = [apart(hop, theirs) for hop in stack]
    connection._task_vars = connection._action = None
    connection.binding = ansible_mitogen.process.get_worker_model().get_binding(name)
    found = say(connection, "use", stack=list(stack))
    if not found:
        return False
    if not puts_where_ansible_would(found["init_child_result"]):
        say(connection, "done", context=found["context"])
        return False
    lend(connection, name, stack, found)

    def set_already(_variables: Any, _templar: Any) -> Any:
        del executor._set_connection_options
        return variables

    executor._set_connection_options = set_already  # Ansible does the same next, with the same variables
    return True


def task_vars_of(executor: Any) -> dict[str, Any]:
    """All variables of the task: the executor's own before ansible-core 2.21, of the task's context since."""
    if hasattr(executor, "_job_vars"):
        return executor._job_vars  # type: ignore[no-any-return]
    from ansible._internal._task import TaskContext

    return TaskContext.current().task_vars  # type: ignore[no-any-return]


def puts_where_ansible_would(of_host: dict[str, Any]) -> bool:
    """Whether temporary files go to `remote_tmp` there; where it cannot be written, Mitogen silently takes another."""
    from ansible import constants

    wanted = str(constants.config.get_config_value("remote_tmp", plugin_type="shell", plugin_name="sh"))
    home = str(of_host["home_dir"])
    for word in ("~/", "$HOME/", "${HOME}/"):
        if wanted.startswith(word):
            wanted = os.path.join(home, wanted.removeprefix(word))
    return str(of_host["good_temp_dir"]) == wanted


def same_from_here(hop: dict[str, Any]) -> None:
    """Raise MadeElsewhere where the multiplexer would make another connection than this playbook's own ssh.

    It would offer the agent of whoever started the zygote, and have a proxy lead where his environment says.
    """
    if hop["method"] == "ssh":
        given = hop["kwargs"]
        found, program = connections.read(given["ssh_args"]), str(given.get("ssh_path") or "ssh")
        if steering.of_environment(found, program, os.environ) != steering.of_environment(found, program, MADE_IN):
            raise MadeElsewhere(given.get("hostname"))


def apart(hop: dict[str, Any], theirs: bool) -> dict[str, Any]:
    """One hop of a stack, found by the client as well; and ssh as Ansible's own would have it.

    Mitogen finds a connection by all of a hop; of `kept_for` it knows nothing else. It never goes over a connection
    that ssh shares, which it would keep beyond its own end; its keep-alive is ssh's, so that the author's word counts,
    unless he says how often Mitogen asks (`theirs`).
    """
    hop = {**hop, "kept_for": os.environ.get(connections.KEPT_FOR, "")}
    if hop["method"] == "ssh":
        given = dict(hop["kwargs"])
        found = connections.read(given["ssh_args"])
        waits_s = str(given.get("connect_timeout") or "")
        if waits_s.isdigit():
            found.options.append(("connecttimeout", waits_s))
        program = str(given.get("ssh_path") or "ssh")
        ssh_jumps.leave_unshared(found, program, str(given.get("hostname") or ""))
        alive = [] if theirs else connections.aliveness(found, program)
        files = ssh_files.files_of_ssh(found.file)
        hop["files"] = [list(file) for file in files]
        given["ssh_args"] = ["-o", "ControlPath=none", *alive, *found.kept]
        given["keepalive_enabled"] = theirs
        if found.first("stricthostkeychecking") in ("no", "off"):  # Mitogen's own word would come first
            given["check_host_keys"] = "ignore"
        hop["kwargs"] = given
    return hop


def lend(connection: Any, name: str, stack: Any, found: Any) -> None:
    """Have it connect to what was found, the first time."""
    from ansible_mitogen.connection import CallChain

    def build_stack() -> tuple[str, Any]:
        del connection._build_stack
        return name, stack

    def connect_stack(_stack: Any) -> None:
        restartable.reaches_host()
        del connection._connect_stack
        connection.context = found["context"]
        connection.chain = CallChain(connection, connection.context, pipelined=True)
        connection.login_context = found["via"] if connection.become else connection.context
        connection.init_child_result = found["init_child_result"]

    connection._build_stack, connection._connect_stack = build_stack, connect_stack
    connection.lent = found["context"]


def give_back(connection: Any) -> None:
    """The task has ended by itself."""
    unused = connection.lent if connection.__dict__.pop("_connect_stack", None) else None
    connection.__dict__.pop("_build_stack", None)
    context, chain = connection.context, connection.chain
    connection.context = connection.login_context = connection.init_child_result = connection.chain = None
    say(connection, "done", context=context or unused)
    if context is not None:
        chain.reset()


def say(connection: Any, method: str, **named: Any) -> Any:
    """Ask the service in the multiplexer."""
    import mitogen.service
    from ansible_mitogen.utils import unsafe

    return mitogen.service.call(
        call_context=connection.binding.get_service_context(),
        service_name=SERVICE,
        method_name=method,
        **{name: unsafe.cast(value) for name, value in named.items()},
    )


@contextlib.contextmanager
def within(limit_s: float) -> Iterator[None]:
    """Raise TimeoutError in here after so long: a multiplexer that hangs must not keep a task."""

    def over(number: int, frame: Any) -> None:
        raise TimeoutError("the multiplexer does not answer")

    before = signal.signal(signal.SIGALRM, over)
    timer = signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)
