# SPDX-License-Identifier: GPL-3.0-or-later
"""Forks modules that run on this machine itself, instead of starting them.

An interpreter is here already, with what they would import first. The one rule it keeps: the module meets what a new
interpreter would show it. Everything of ansible-core is taken out of the fork and comes from the module's own archive,
as usual (a source that is known by its digest is not compiled again). What stays are the interpreter, its standard
library, other libraries that ansible-core has imported, and those that were named (`LIBRARIES`). In any other than the
usual case (another interpreter, a become, an environment of its own, no pipelining) a module is started as usual.

Rejected: Mitogen for these. It would run an author's collections in ways that their authors never saw.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import hashlib
import logging
import multiprocessing.util
import os
import random
import selectors
import shlex
import signal
import sys
import tempfile
import threading
import types
import weakref
import zipimport
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from orchestrator.runner.warm.zygote import upstream_fixes
from orchestrator.runner.warm.zygote.forked import elsewhere, exit_code

# What modules and look-ups import, slowly, by their names in a playbook; each of these libraries only defines things.
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "amazon.aws.": ("boto3", "botocore.endpoint", "botocore.parsers", "botocore.regions"),
    "community.general.dig": ("dns.resolver", "dns.reversename", "dns.rdtypes.ANY", "dns.rdtypes.IN.A"),
}

WRAPPER = b"_ANSIBALLZ_WRAPPER = True"
_OURS = ("ansible", "ansible_collections", "ansible_mitogen", "ansible_runner", "mitogen", "orchestrator", "pexpect")

_named: list[str] = []  # of LIBRARIES
_compiled: dict[bytes, types.CodeType] = {}  # by the digest of its source
_placed: dict[tuple[str, bytes], types.CodeType] = {}  # those that are in use, by their path too
_fresh_path: list[str] = []
_fresh_finders: list[Any] = []
_fresh_hooks: list[Any] = []
_handlers: list[Any] = []  # of logs, kept: dropped, they would close their files


def prepare(text: str) -> None:
    """Load the libraries of what `text`, all playbooks, names. To be called before ansible-core is imported."""
    _fresh_path[:] = sys.path
    _named[:] = [name for name in LIBRARIES if name in text]
    for library in (library for name in _named for library in LIBRARIES[name]):
        with contextlib.suppress(Exception):  # whatever is wrong with it: whoever needs it will say so
            import_module(library)
    _fresh_finders[:], _fresh_hooks[:] = sys.meta_path, sys.path_hooks


def install() -> None:
    """Have modules on this machine forked. To be called once, in the zygote."""
    import ansible.plugins.loader as loader

    local = loader.connection_loader.get("local", class_only=True)
    started = local.exec_command

    def exec_command(self: Any, cmd: Any, in_data: bytes | None = None, sudoable: bool = True) -> Any:
        if not suits(self, cmd, in_data):
            return started(self, cmd, in_data=in_data, sudoable=sudoable)
        return forked(in_data or b"", self.cwd)

    local.exec_command = exec_command
    for path in _sources():
        with contextlib.suppress(OSError, SyntaxError, ImportError):
            as_it_is = path.read_bytes()
            source = upstream_fixes.mended(str(path), as_it_is)
            loader_of_it = SourceFileLoader(path.stem, str(path))
            code = loader_of_it.get_code(path.stem) if source == as_it_is else loader_of_it.source_to_code(source, path)
            if code is not None:
                _compiled[hashlib.sha256(source).digest()] = code


def _sources() -> Iterator[Path]:
    """What the archives of modules are made of: ansible-core's part, and that of the collections that were named."""
    import ansible.module_utils

    core = Path(ansible.module_utils.__path__[0])
    yield from (path for path in core.rglob("*.py") if path.relative_to(core).parts[0] != "facts")
    for home in elsewhere(_homes_of_named) or ():
        yield from Path(home, "plugins", "module_utils").rglob("*.py")


def _homes_of_named() -> list[str]:
    """Where the collections are. To be asked in a fork: to find one imports what it is in."""
    found: list[str] = []
    for name in _named:
        with contextlib.suppress(ImportError):  # it is only named: whoever needs it will say so
            spec = find_spec("ansible_collections." + name.rstrip(".")) if name.endswith(".") else None
            found += (spec.submodule_search_locations or ()) if spec else ()
    return [str(home) for home in found]


def _compile(path: str, source: bytes) -> types.CodeType:
    """In the place of `zipimport`'s own: the same code object, for the same bytes.

    It is asked twice for each module, once only to know where the module is.
    """
    key = path, hashlib.sha256(source).digest()
    if (code := _placed.get(key)) is None:
        if (code := _compiled.pop(key[1], None)) is None:  # its file name is changed below: for one module only
            code = _compile_anew(path, source)
        else:
            import_module("_imp")._fix_co_filename(code, path)
        _placed[key] = code
    return code


_compile_anew: Any = getattr(zipimport, "_compile_source", None)


def suits(connection: Any, cmd: Any, in_data: bytes | None) -> bool:
    """Whether this is a Python module for the interpreter that runs this, and nothing else is asked for."""
    if not in_data or WRAPPER not in in_data[:4096] or connection.become is not None:
        return False
    try:
        words = shlex.split(cmd)
    except ValueError:
        return False
    return words[:2] == ["/bin/sh", "-c"] and words[2:] in ([sys.executable], [f"{sys.executable} && sleep 0"])


def forked(source: bytes, directory: Any = None) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors of the module, run in this directory."""
    ours, theirs = zip(os.pipe(), os.pipe(), strict=True)
    pid = os.fork()
    if pid == 0:
        try:
            if directory is not None:
                os.chdir(directory)
            become(theirs)
            run(source)
        finally:
            os._exit(1)
    for end in theirs:
        os.close(end)
    said: dict[int, bytearray] = {end: bytearray() for end in ours}
    with selectors.DefaultSelector() as selector:
        for end in ours:
            selector.register(end, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, 65536)
                said[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code, bytes(said[ours[0]]), bytes(said[ours[1]])  # of a signal, as a shell says


def become(streams: tuple[int, ...]) -> None:
    """In the fork: as an interpreter that has read its program from standard input."""
    for caught in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM):  # what is ignored stays so
        signal.signal(caught, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, wanted in ((nothing, 0), (streams[0], 1), (streams[1], 2)):
        os.dup2(descriptor, wanted)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.close(int(name))
            except OSError:
                pass  # the one that listed them
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        errors = "backslashreplace" if number == 2 else "surrogateescape"
        stream = open(number, "r" if number == 0 else "w", encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
    sys.meta_path[:], sys.path_hooks[:] = _fresh_finders, _fresh_hooks
    sys.path_importer_cache.clear()
    sys.path[:] = _fresh_path
    if _compile_anew is not None:
        zipimport._compile_source = _compile  # type: ignore[attr-defined]
    sys.argv = [""]
    os.environ["PWD"] = os.getcwd()  # as the shell between would
    sys.excepthook, sys.displayhook = sys.__excepthook__, sys.__displayhook__
    log_nowhere()
    end_as_new()
    gc.freeze()  # what is collected later would close files by numbers that are the module's by now
    tempfile.tempdir = None
    tempfile._name_sequence = None  # type: ignore[attr-defined]
    random.seed()


def log_nowhere() -> None:
    """Ansible's log is not the module's, and the number of its file is that of a file of the module's by now."""
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            _handlers.append(logger.handlers)
            logger.handlers = [each for each in logger.handlers if isinstance(each, logging.NullHandler)]
    logging.root.setLevel(logging.WARNING)


def end_as_new() -> None:
    """What the standard library does at the end of a new interpreter, and nothing for what was there before."""
    atexit._clear()
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    logging._handlerList.clear()  # type: ignore[attr-defined]
    atexit.register(logging.shutdown)
    atexit.register(multiprocessing.util._exit_function)  # type: ignore[attr-defined]


def run(source: bytes) -> NoReturn:
    """Run it as `__main__`, to the interpreter's end."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    # The module as Ansible has built it; whatever is wrong with it, it says itself.
    code = exit_code(lambda: exec(compile(source, "<stdin>", "exec"), main.__dict__))  # noqa: S102
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code & 0xFF)
