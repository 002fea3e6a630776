# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tasks Mitogen serves: a look at each, in the process that is about to run it.

The one rule it keeps: a task that might end otherwise than by ssh goes by ssh. Mitogen serves only ansible-core's own
modules on hosts reached by ssh, with a known Python, as the login or as root by sudo without a password.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Any

from orchestrator.runner import guard, settings
from orchestrator.runner.warm.zygote import restartable, task_connection

LOG = logging.getLogger(__name__)

# They look at the connection itself, or run what is not a module of ansible-core's.
NEVER = frozenset(
    {"async_status", "expect", "fetch", "raw", "reboot", "script", "synchronize", "wait_for_connection"}
)  # fmt: skip

ANSWER_S = 3.0  # the multiplexer's limit for all that has to be asked of it before a task

_reset: set[str] = set()  # hosts whose connection this playbook has reset: theirs go by ssh from then on
_its_own: set[str] = set()  # directories of ansible-core's parts of modules


def install(model: Any) -> Callable[[], None]:
    """Have each task looked at. To be called once, in the zygote.

    Returns what switches Mitogen off in the process that has looked at a task.
    """
    import ansible_mitogen.connection
    import ansible_mitogen.planner
    import ansible_mitogen.process
    import ansible_mitogen.strategy
    from ansible.executor.task_executor import TaskExecutor
    from ansible.plugins.strategy import StrategyBase

    by_ssh = TaskExecutor._get_connection
    wrappers = ansible_mitogen.strategy.AnsibleWrappers()

    def switch(on: bool) -> None:
        if on == (ansible_mitogen.process._worker_model is not None):
            return
        ansible_mitogen.process.set_worker_model(model if on else None)
        if on:
            wrappers._install_wrappers()
        else:
            wrappers._remove_wrappers()

    def forget(executor: Any) -> None:
        """Let the next item of a loop be looked at anew, or this task go by ssh."""
        switch(False)
        executor.__dict__.pop("_set_connection_options", None)  # see `standing.taken`

    def get_connection(self: Any, cvars: Any, templar: Any, current_connection: str) -> Any:
        task_connection.leave(self._connection)  # of the item before, in a loop
        forget(self)
        if not suits(self, cvars, current_connection) or asks_for_more(self._task, cvars, templar):
            restartable.in_a_fork()
            return by_ssh(self, cvars, templar, current_connection)
        switch(True)
        theirs = None
        asked_with = as_patient(self, cvars, templar) if guards(self._task) else cvars
        try:
            with task_connection.within(ANSWER_S):
                theirs = by_ssh(self, asked_with, templar, "ssh")  # Mitogen does not know it by its full name
                theirs.said = current_connection
                if task_connection.taken(self, asked_with, templar, theirs):
                    return theirs
        except Exception as why:  # whatever Mitogen has against it: nothing has begun
            LOG.info("%s goes by ssh: %r", self._task.action, why)
        if (binding := getattr(theirs, "binding", None)) is not None:
            binding.close()
        forget(self)
        restartable.in_a_fork()
        return by_ssh(self, cvars, templar, current_connection)

    TaskExecutor._get_connection = get_connection

    execute_meta = StrategyBase._execute_meta

    def execute_meta_marked(self: Any, task: Any, play_context: Any, iterator: Any, target_host: Any) -> Any:
        if task.args.get("_raw_params") == "reset_connection":
            _reset.add(target_host.name)
        return execute_meta(self, task, play_context, iterator, target_host)

    StrategyBase._execute_meta = execute_meta_marked

    invocation = ansible_mitogen.planner.Invocation
    begin = invocation.__init__

    def begin_marked(self: Any, *args: Any, **named: Any) -> None:
        begin(self, *args, **named)
        self.env.setdefault(settings.MARK, os.environ.get(settings.MARK, ""))

    invocation.__init__ = begin_marked

    connection_class = ansible_mitogen.connection.Connection
    execute = connection_class.exec_command

    def exec_marked(self: Any, cmd: str, *args: Any, **named: Any) -> Any:
        return execute(self, f"env {settings.MARK}={os.environ.get(settings.MARK, '')} {cmd}", *args, **named)

    connection_class.exec_command = exec_marked
    task_connection.install(model)
    return lambda: switch(False)


def suits(executor: Any, cvars: Any, connection: str) -> bool:
    """Whether Mitogen would do the same for this task. `connection` is the name of its connection plug-in."""
    import ansible.plugins.loader as loader

    task = executor._task
    plugin = loader.connection_loader.find_plugin_with_context(connection)
    if not plugin.resolved or not within_core(plugin.plugin_resolved_path):
        return False
    if os.path.basename(plugin.plugin_resolved_path) != "ssh.py":
        return False
    if guard.asks_again(cvars):  # ssh itself asks the epoch guard there
        return False
    if task.async_val or task.timeout or not _reset.isdisjoint((executor._host.name, task.delegate_to)):
        return False
    if (task.action.rpartition(".")[2] in NEVER and not guards(task)) or not ours(executor, task):
        return False
    if task.become and (task.become_method or "sudo") != "sudo":
        return False
    if str(cvars.get("ansible_become_method") or "sudo") != "sudo" or executor._play_context.become_pass:
        return False
    # As another user Ansible may warn of directories that Mitogen does not need.
    if str(cvars.get("ansible_become_user") or task.become_user or "root") != "root":
        return False
    if cvars.get("ansible_shell_type") not in (None, "sh") or cvars.get("ansible_shell_executable"):
        return False
    if any(cvars.get(name) for name in ("ansible_password", "ansible_ssh_password", "ansible_ssh_pass")):
        return False
    interpreter = str(cvars.get("ansible_python_interpreter") or "")
    facts = cvars.get("ansible_facts") or {}
    return interpreter.startswith("/") or (not interpreter and bool(facts.get("discovered_interpreter_python")))


def asks_for_more(task: Any, cvars: Any, templar: Any) -> bool:
    """Whether the author says how modules are brought to a host or started there: Mitogen does neither.

    Modules as files (no pipelining, or kept there), where they are put, a limit of their open files.
    """
    from ansible import constants
    from ansible.module_utils.parsing.convert_bool import boolean

    def said(variables: tuple[str, ...], name: str, **of_plugin: str) -> Any:
        given = next((cvars[variable] for variable in variables if variable in cvars), None)
        return constants.config.get_config_value(name, **of_plugin) if given is None else templar.template(given)

    if guards(task):
        return False
    if "ansible_remote_tmp" in cvars or constants.DEFAULT_KEEP_REMOTE_FILES:
        return True
    try:
        if said(("ansible_python_module_rlimit_nofile",), "PYTHON_MODULE_RLIMIT_NOFILE"):
            return True
        names = ("ansible_ssh_pipelining", "ansible_pipelining")
        return not boolean(said(names, "pipelining", plugin_type="connection", plugin_name="ssh"))
    except Exception:  # not defined, or no such value: it is said by Ansible itself
        return True


def guards(task: Any) -> bool:
    """Whether it is the epoch guard's, whose command needs a shell and nothing of the connection."""
    return getattr(getattr(task._parent, "_play", None), "name", None) == guard.PLAY


def as_patient(executor: Any, cvars: Any, templar: Any) -> dict[str, Any]:
    """The guard's variables with the author's timeout: one connection serves both, and no task waits for it to be made.

    Worked out as Ansible does for the author's tasks: of the host, else of the command line, else of the settings.
    """
    import ansible.constants as constants
    from ansible import context

    of_host = cvars["hostvars"][executor._host.name]
    given = of_host.get("ansible_ssh_timeout", of_host.get("ansible_timeout"))
    patience = context.CLIARGS.get("timeout") or constants.DEFAULT_TIMEOUT if given is None else templar.template(given)
    return {**cvars, "ansible_ssh_timeout": int(patience)}


def ours(executor: Any, task: Any) -> bool:
    """Whether action plug-in, module and all that modules import are ansible-core's own."""
    import ansible.plugins.loader as loader

    found = loader.module_loader.find_plugin_with_context(task.action, collection_list=task.collections)
    if not found.resolved or not within_core(found.plugin_resolved_path):
        return False
    action = loader.action_loader.find_plugin_with_context(task.action, collection_list=task.collections)
    if action.resolved and not within_core(action.plugin_resolved_path):
        return False
    others = [path for path in loader.module_utils_loader._get_paths(subdirs=False) if path not in _its_own]
    return all(within_core(path) for path in others if os.path.isdir(path))


def within_core(path: str) -> bool:
    """Whether a file or directory is ansible-core's."""
    return os.path.realpath(path).startswith(core())


@cache
def core() -> str:
    """Where ansible-core is, with a slash behind."""
    import ansible

    return str(os.path.dirname(os.path.realpath(ansible.__file__))) + os.sep


def know_its_own() -> None:
    """Look once at the directories of ansible-core's own parts of modules: what is installed does not change."""
    import ansible.plugins.loader as loader

    paths = loader.module_utils_loader._get_paths(subdirs=False)
    _its_own.update(path for path in paths if os.path.isdir(path) and within_core(path))
