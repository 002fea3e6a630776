# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a task on one host in its playbook's own process, if Mitogen serves the task.

Ansible forks for each task, and a fork of this size is half of such a task. The one rule it keeps: nothing may
distinguish a task in here from one in a fork. Ansible's own worker runs it, on copies of everything to which it writes,
and its messages go through the same queue. Only tasks that are known to touch nothing else begin here. A task that
turns out to need more (ssh itself, code of the author's, a look-up that acts), before anything has reached the host,
begins again in a fork. And a task runs here only if a play has no other host to wait for: otherwise hosts would wait
for each other's modules.

Rejected: threads, for several hosts. Ansible, and Mitogen in it, switch what belongs to the whole process.
"""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import Any

from orchestrator.runner.warm.zygote import mitogen_tasks, restartable

# Action plug-ins that template all of a task before they speak to its host, and start no process here.
ACTIONS = frozenset({"assert", "command", "copy", "debug", "fail", "set_fact", "shell"})
# Look-ups that may be done twice.
LOOKUPS = frozenset(
    {"config", "dict", "env", "file", "fileglob", "first_found", "indexed_items", "items", "list", "nested", "sequence",
     "subelements", "together", "vars", "varnames"}
)  # fmt: skip
CORE = ("ansible.builtin.", "ansible.legacy.")
LITERALS = ("true", "false", "none", "True", "False", "None")

_alone = False  # the task that is being queued has no other beside it


def install(model: Any, run: Callable[[Any], None], forget: Callable[[], None]) -> None:
    """Once, in the zygote. `run`: Ansible's own `WorkerProcess._run`; `forget` has the next task looked at anew.

    Where this ansible-core is not made as expected, or there are several multiplexers, every task is forked as ever.
    """
    from ansible._internal import _task
    from ansible._internal._templating._jinja_plugins import JinjaPluginIntercept
    from ansible.errors import AnsibleError
    from ansible.executor.process import worker
    from ansible.plugins.loader import Jinja2Loader, lookup_loader
    from ansible.plugins.strategy import StrategyBase
    from ansible.utils.display import Display

    expected = isinstance(JinjaPluginIntercept.__dict__.get("_invoke_plugin"), staticmethod)
    if not expected or len(model._muxes) != 1 or not hasattr(Display(), "_final_q"):
        return
    used_by = 0  # the process whose connection to the multiplexer stays from task to task
    queue_task, start = StrategyBase._queue_task, worker.WorkerProcess.start

    def queue_and_see(self: Any, *args: Any, **named: Any) -> Any:
        global _alone
        _alone = len(self._workers) == 1 and type(self).__module__.startswith("ansible.plugins.strategy.")
        return queue_task(self, *args, **named)

    def start_here(self: Any) -> None:
        if not (_alone and suits(self._task) and has_ended_here(self)):
            close_for_fork()  # while nobody holds what the fork is made under
            start(self)  # not while an exception is handled: the fork would tell of it as the cause of its own

    def has_ended_here(self: Any) -> bool:
        try:
            within(self)
        except restartable.NeedsFork:
            return False
        except (KeyboardInterrupt, AnsibleError):
            raise
        except BaseException as error:  # a fork would have ended by it
            raise AnsibleError("A worker was found in a dead state") from error
        return True

    def within(this: Any) -> None:
        nonlocal used_by
        used_by = os.getpid()
        task = this._task.copy(exclude_tasks=True)  # with its blocks: each is templated with it
        copied = {
            **this.__dict__,
            "_task": task,
            "_host": copy.copy(this._host),
            "_task_vars": dict(this._task_vars),
            "_play_context": this._play_context.copy(),
        }
        stand_in = object.__new__(type(this))
        stand_in.__dict__.update(copied)
        create = getattr(_task.TaskContext, "create", None)
        context = (
            create(task=task, task_vars=copied["_task_vars"], host_name=this._host.name)
            if create is not None
            else _task.TaskContext(task)
        )
        restartable.begin(stand_in)
        its_sys, worker.sys = worker.sys, SimpleNamespace(stdout=io.StringIO(), stderr=io.StringIO())
        try:
            with context:
                run(stand_in)
        finally:
            restartable.end()
            worker.sys, worker.current_worker = its_sys, None
            forget()

    def close_for_fork() -> None:
        """Mitogen's thread, and what it has locked, are not in a fork; who is in the middle of a task keeps it."""
        if used_by == os.getpid() and restartable.under_way() is None and model.broker is not None:
            with suppress(Exception):
                model.on_binding_close()

    os.register_at_fork(before=close_for_fork)
    StrategyBase._queue_task, worker.WorkerProcess.start = queue_and_see, start_here
    say_by_queue(Display)
    keep_authors_code_out(JinjaPluginIntercept, Jinja2Loader, lookup_loader)


def suits(task: Any) -> bool:
    """Whether it may be begun here. What is not known yet, such as its connection, is seen on the way."""
    if any((task.loop is not None, task.loop_with, task.until, task.retries, task.delegate_to, task.debugger)):
        return False
    if task.async_val or task.timeout or task.module_defaults:
        return False
    try:
        return acts_plainly(task) and (mitogen_tasks.guards(task) or looks_back_plainly(task))
    except Exception:  # it is Ansible's to say what is wrong with it
        return False


def looks_back_plainly(task: Any) -> bool:
    """Whether what is looked at when the host has acted already needs only the task's own result."""
    name = task.register
    if isinstance(name, dict):  # since ansible-core 2.21: names, and what each is made of
        from ansible._internal._task import POLYMORPHIC_RESULT_EXPRESSION as AS_IT_IS

        if list(name.values()) != [AS_IT_IS]:
            return False
        name = next(iter(name))
    return all(is_plain(said, str(name)) for said in (task.changed_when, task.failed_when))


def acts_plainly(task: Any) -> bool:
    """Whether its action plug-in is one of `ACTIONS`, or there is none and it is a module.

    That it is ansible-core's is looked at with its connection; includes never have one.
    """
    from ansible.plugins.loader import action_loader, module_loader

    name = str(task.action)
    short = name.rpartition(".")[2]
    if name not in (short, *(prefix + short for prefix in CORE)):
        return False
    if short in ACTIONS or (short == "raw" and mitogen_tasks.guards(task)):
        return True
    return (
        short not in mitogen_tasks.NEVER
        and not action_loader.has_plugin(name, collection_list=task.collections)
        and module_loader.has_plugin(name, collection_list=task.collections)
    )


def is_plain(said: Any, registered: str) -> bool:
    """Whether these are all conditions of what was registered by this name."""
    conditions = [each for each in (said if isinstance(said, list) else [said]) if each is not None]
    return all(
        isinstance(each, bool) or (isinstance(each, str) and asks_only_for(each, registered)) for each in conditions
    )


def asks_only_for(condition: str, name: str) -> bool:
    """Whether a condition has no other variable than this one, and no code but Ansible's and Jinja's."""
    from ansible.plugins.loader import filter_loader, test_loader
    from jinja2 import TemplateError, nodes

    try:
        tree = environment().parse("{{" + condition + "}}")
    except TemplateError:
        return False
    names = {each.name for each in tree.find_all(nodes.Name)}
    if tree.find(nodes.Call) is not None or names - {name, *LITERALS}:
        return False
    kinds = ((nodes.Filter, filter_loader), (nodes.Test, test_loader))
    return all(is_known(loader, node.name) for kind, loader in kinds for node in tree.find_all(kind))


@cache
def environment() -> Any:
    """To read conditions with; nothing is rendered."""
    from jinja2 import Environment

    return Environment()  # noqa: S701


def is_known(loader: Any, name: str) -> bool:
    """Whether a filter or a test is ansible-core's or Jinja's."""
    if "." in name and not name.startswith(CORE):
        return False
    try:
        found = loader.get(name)
    except Exception:  # Jinja's own, or none, of which Ansible will tell
        return True
    return found is None or comes_with_ansible(found._original_path)


def say_by_queue(display: Any) -> None:
    """What a task says is said by the thread that reads the queue, in the order of its results, as from a fork."""
    of_process = "_final_q of the process"

    def queue(self: Any) -> Any:
        if (worker := restartable.under_way()) is not None:
            return worker._final_q
        return self.__dict__.get(of_process)

    def keep(self: Any, value: Any) -> None:
        self.__dict__[of_process] = value

    display._final_q = property(queue, keep)


def keep_authors_code_out(intercept: Any, jinja_loader: Any, lookup_loader: Any) -> None:
    """Filters, tests and look-ups that are not ansible-core's, or act, have their task begun anew in a fork.

    They may print, remember, end the process: all that stays in a fork.
    """
    invoke = intercept._invoke_plugin
    get_plugin, get_lookup = jinja_loader.get_with_context, lookup_loader.get_with_context

    def invoke_own(instance: Any, *args: Any, **named: Any) -> Any:
        path = getattr(instance, "_original_path", None)
        if restartable.under_way() is not None and not comes_with_ansible(path):
            restartable.in_a_fork()
        return invoke(instance, *args, **named)

    def get_own(self: Any, name: str, *args: Any, **named: Any) -> Any:
        if "." in name and not name.startswith(CORE):
            restartable.in_a_fork()
        return get_plugin(self, name, *args, **named)

    def get_own_lookup(name: str, *args: Any, **named: Any) -> Any:
        if restartable.under_way() is None:
            return get_lookup(name, *args, **named)
        short = name.rpartition(".")[2]
        place = lookup_loader.find_plugin_with_context(name) if short in LOOKUPS else None
        if place is None or not place.resolved or not mitogen_tasks.within_core(place.plugin_resolved_path):
            restartable.in_a_fork()
        found = get_lookup(name, *args, **named)
        if short == "file" and found.object is not None:
            found.object.run = reads_files(found.object.run)
        return found

    intercept._invoke_plugin = staticmethod(invoke_own)
    jinja_loader.get_with_context = get_own
    lookup_loader.get_with_context = get_own_lookup


def reads_files(run: Callable[..., Any]) -> Callable[..., Any]:
    """The same, but for what can be read once: the end of a pipe, as `/dev/fd/63` is."""

    def run_again(terms: Any, *args: Any, **named: Any) -> Any:
        for path in map(str, terms):
            if os.path.isabs(path) and os.path.exists(path) and not os.path.isfile(path):
                restartable.in_a_fork()
        return run(terms, *args, **named)

    return run_again


def comes_with_ansible(path: str | None) -> bool:
    """Whether a filter or a test is ansible-core's or Jinja's."""
    import jinja2

    return path is None or mitogen_tasks.within_core(path) or os.path.dirname(path) == os.path.dirname(jinja2.__file__)
