# SPDX-License-Identifier: GPL-3.0-or-later
"""Remembers what a module imports, so that it is looked up once.

Ansible sends a module as an archive of it and of all that it imports. For each module, in every playbook anew, it
parses some eighty files to see what they import. The one rule it keeps: Ansible puts an archive together for each
playbook, from the files as they are found then. Only what a source imports is remembered, by the digest of the source,
so that no file can be taken for another.

Modules are looked at early, in a fork: to find a module imports its collection, and a child must meet the collections
that are beside its playbook, as they are then.

Rejected: keeping archives. Whether one is still right depends on every directory in which Ansible looks.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.runner.warm.zygote import forked, upstream_fixes

# What action plug-ins send beside the module of their own name, or for plays that gather facts.
SENT = ("command", "copy", "file", "setup", "slurp", "stat")

_NAME = re.compile(r"(?<![\w.])[a-z_][\w.]*+(?=\s*:)")
_imports: dict[tuple[str, bool, bytes], tuple[frozenset[Any], frozenset[Any]]] = {}


class Source(ast.Module):
    """A source that is parsed when it is looked into."""

    def __init__(self, name: str, code: str | bytes, parse: Callable[[str, str | bytes], ast.Module]) -> None:
        self._parsed: Callable[[], ast.Module] = partial(parse, name, code)
        kind, data = (b"text", code.encode(errors="surrogatepass")) if isinstance(code, str) else (b"bytes", code)
        self.type_ignores = []
        self.digest = hashlib.sha256(kind + data).digest()

    def __getattr__(self, name: str) -> Any:
        """`body`, of the tree as Ansible has parsed it. Raises whatever it raises."""
        if name != "body":
            raise AttributeError(name)
        self.body = self._parsed().body
        return self.body


def install(text: str) -> None:
    """Remember what modules import; early, what those do that `text` (all playbooks) names. To be called once."""
    from ansible.executor import module_common

    names = ("ModuleDepFinder", "_compile_module_ast", "_slurp")
    if not all(hasattr(module_common, name) for name in names):
        return  # an ansible-core that looks in another way: it looks as ever
    finder = module_common.ModuleDepFinder
    find, parse, slurp = finder.__init__, module_common._compile_module_ast, module_common._slurp

    def remember(self: Any, module_fqn: str, source: Any, is_pkg_init: bool = False, **named: Any) -> None:
        tree = source if isinstance(source, Source) else Source(module_fqn, source, parse)
        key = module_fqn, bool(is_pkg_init), tree.digest
        if (known := _imports.get(key)) is not None:
            self.submodules, self.optional_imports = map(set, known)
            self.embeds, self.tree = set(), tree  # of ansible-core 2.21
            return
        find(self, module_fqn, source, is_pkg_init, **named)
        if not getattr(self, "embeds", None):
            _imports[key] = frozenset(self.submodules), frozenset(self.optional_imports)

    module_common._compile_module_ast = lambda name, code: Source(name, code, parse)
    module_common._slurp = lambda path: upstream_fixes.mended(path, slurp(path))
    finder.__init__ = remember
    named = {*_NAME.findall(text), *(f"ansible.builtin.{name}" for name in SENT)}
    _imports.update(forked.elsewhere(lambda: look_at(named)) or {})


def look_at(names: Iterable[str]) -> dict[Any, Any]:
    """What the modules of these names import, and all that they import.

    Not what Python warns of: it is to warn each time.
    """
    warnings.simplefilter("error", SyntaxWarning)
    for name in sorted(names):
        with contextlib.suppress(Exception):  # whatever is wrong with it: whoever needs it will say so
            build(name)
    shutil.rmtree(kept_in(), ignore_errors=True)
    return _imports


def kept_in() -> Path:
    """Where Ansible keeps those of one process."""
    from ansible import constants

    return Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache")


def build(name: str) -> Any:
    """Put one archive together, if there is a module of this name that is sent as one. Raises whatever it raises."""
    from ansible.executor.module_common import modify_module
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import module_loader
    from ansible.template import Templar

    found = module_loader.find_plugin_with_context(name, mod_type=".py")
    if not found.resolved or not found.plugin_resolved_path.endswith(".py"):
        return None
    return modify_module(
        module_name=name,
        module_path=found.plugin_resolved_path,
        module_args={},
        templar=Templar(loader=DataLoader()),
        task_vars={"ansible_python_interpreter": sys.executable},
    )
