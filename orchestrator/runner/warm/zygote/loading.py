# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports ansible-core and its plug-ins once, and makes them new again in each child.

The one rule it keeps: only what cannot differ between two playbooks of one configuration is loaded early. Whatever a
fresh process would have drawn, made or looked up for itself (random numbers, temporary directories, plug-in files
outside of ansible-core) is drawn, made or looked up again in the child.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import glob
import importlib
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

# Kind of plug-in to the names whose code and documentation are read early; whatever else a playbook uses is loaded
# when it is used, as ever.
EARLY: dict[str, tuple[str, ...]] = {
    "action_loader": (
        "add_host", "assert", "async_status", "command", "copy", "debug", "fail", "fetch", "gather_facts", "group_by",
        "include_vars", "normal", "package", "pause", "raw", "script", "service", "set_fact", "set_stats", "shell",
        "template", "uri", "wait_for_connection",
    ),
    "become_loader": ("sudo", "su"),
    "cache_loader": ("memory",),
    "callback_loader": ("default",),
    "cliconf_loader": (),
    "connection_loader": ("ssh", "local"),
    "inventory_loader": ("host_list", "script", "auto", "yaml", "ini", "toml", "constructed"),
    "lookup_loader": ("items", "dict", "env", "file", "first_found", "indexed_items", "list", "nested", "password",
                      "pipe", "subelements", "template", "vars", "varnames"),
    "module_loader": (),
    "shell_loader": ("sh",),
    "strategy_loader": ("linear", "free", "host_pinned"),
    "vars_loader": ("host_group_vars",),
}  # fmt: skip

WHOLE = ("become_loader", "callback_loader", "connection_loader", "shell_loader")

_outside: dict[str, Any] = {}
_warnings: dict[str, list[Any]] = {}  # of the configuration


def load() -> None:
    """Import. Raises whatever ansible-core raises; leaves nothing that only a command line may set."""
    from multiprocessing import popen_fork, synchronize  # noqa: F401

    from ansible import constants

    # Its next import says these, to nobody: each child says them again.
    for kind in ("_errors", "WARNINGS", "DEPRECATED"):
        _warnings[kind] = list(getattr(constants.config, kind, ()))

    import ansible.cli.playbook
    import ansible.executor.module_common
    import ansible.executor.process.worker
    import ansible.executor.task_executor
    import ansible.playbook.handler_task_include
    import ansible.plugins.loader as loader
    import ansible.template

    with contextlib.suppress(ImportError):  # of 2.19 and later
        import ansible.module_utils._internal._json._profiles._module_legacy_m2c  # noqa: F401
    loader.init_plugin_loader()
    load_plugins()
    with contextlib.suppress(Exception):  # it is only made earlier
        use_templates()


def use_templates() -> None:
    """Once, so that what Ansible reads templates by is made here, and not in each process that reads one."""
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template

    templar = Templar(loader=DataLoader())
    templar.template(trust_as_template("{{ 1 }}"))
    templar.evaluate_conditional(trust_as_template("1 in [1]"))


def load_plugins() -> None:
    """The plug-ins that come with it: early ones, and the kinds of which each playbook looks at all there are."""
    import ansible.plugins.loader as loader

    with only_its_own(loader):
        for name in ("filter_loader", "test_loader"):
            list(getattr(loader, name).all())
        for kind, names in EARLY.items():
            plugins = getattr(loader, kind)
            for name in names:
                plugins.get(name, class_only=True)
                plugins.get(f"ansible.builtin.{name}", class_only=True)
        loader.vars_loader._plugin_instance_cache.clear()  # it would take the classes for instances
        for name in WHOLE:
            list(getattr(loader, name).all(class_only=True))


@contextlib.contextmanager
def only_its_own(loader: Any) -> Iterator[None]:
    """Meanwhile nothing is loaded from configured directories.

    A plug-in of the author's, or ansible-runner's callback, may do something when it is imported: that happens in the
    process that plays, at the moment at which it always did.
    """
    kept = {kind: plugins.config for kind, plugins in loader.get_all_plugin_loaders()}
    for _, plugins in loader.get_all_plugin_loaders():
        plugins.config = []
        forget_paths(plugins)
    try:
        yield
    finally:
        for kind, plugins in loader.get_all_plugin_loaders():
            plugins.config = kept[kind]
            forget_paths(plugins)


def forget_paths(plugins: Any) -> None:
    """Where plug-ins are is looked up anew; what has been loaded, by its path, stays loaded."""
    plugins._paths = None
    plugins._plugin_path_cache = defaultdict(dict)
    plugins._searched_paths = set()


def settle() -> None:
    """After all has been loaded: from now on a plug-in's file that comes or changes is looked at again."""
    import ansible.plugins.loader as loader

    read_callbacks_options(loader)
    for kind, plugins in loader.get_all_plugin_loaders():
        _outside[kind] = _files_outside(plugins)
        if kind in ("filter_loader", "test_loader"):
            if _outside[kind]:
                plugins._clear_caches()  # they are found by content: all of them are known, or none
        elif kind != "vars_loader":  # which takes paths that are known for plug-ins that are loaded
            plugins.find_plugin("none_of_this_name")  # so that every directory has been looked through


def read_callbacks_options(loader: Any) -> None:
    """What ansible-runner's callback documents, without running it."""
    path = loader.callback_loader.find_plugin("awx_display")
    if path is None:
        return
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DOCUMENTATION":
            module = SimpleNamespace(DOCUMENTATION=ast.literal_eval(node.value))
            loader.callback_loader._load_config_defs("awx_display", module, path)


def renew() -> None:
    """In the child, with the caller's environment: be as a process that has just been started."""
    import ansible.cli
    import ansible.plugins.loader as loader
    import ansible.utils.color
    import ansible.utils.vars
    from ansible import constants
    from ansible.config import manager
    from ansible.utils.display import Display

    ansible.utils.vars.random_int = f"{int.from_bytes(os.urandom(4), 'big'):08x}"[:8]
    # The zygote's own temporary directory is not the child's to remove.
    atexit.unregister(manager.cleanup_tmp_file)
    made = constants.config.get_config_value("DEFAULT_LOCAL_TMP")
    constants.DEFAULT_LOCAL_TMP = made
    ansible.cli.init_plugin_loader = lambda *_: None  # it has been done, with the same configuration
    display = Display()
    for kind, found in _warnings.items():
        if found:
            setattr(constants.config, kind, set(found) if kind == "WARNINGS" else list(found))
    display._warns.clear()
    display._deprecations.clear()
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    importlib.reload(ansible.utils.color)  # whether there are colours was decided by the zygote's terminal
    display._set_column_width()
    for kind, plugins in loader.get_all_plugin_loaders():
        if _files_outside(plugins) != _outside[kind]:
            plugins._clear_caches()
    loader.vars_loader._paths = None  # else it passes for primed, and no group_vars or host_vars would be read at all


def _files_outside(plugins: Any) -> list[tuple[str, int]]:
    """Files in configured plug-in directories, with the time of their last change."""
    found: list[tuple[str, int]] = []
    for configured in plugins.config or ():
        directory = os.path.abspath(os.path.expanduser(configured))
        if not os.path.isdir(directory):
            continue
        for pattern in ("/*", "/*/*", "/*/*/*"):
            for path in glob.glob(glob.escape(directory) + pattern):
                try:
                    found.append((path, os.stat(path).st_mtime_ns))
                except OSError:
                    continue
    return found
