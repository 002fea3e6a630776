"""Which of the collections that Ansible would find a playbook uses, by the names that it and what it loads say.

The one rule it keeps: what is of a collection is called `namespace.name.…`, or the collection is named where names are
looked for (`collections`, `dependencies`, an import), or Ansible itself leads a short name there. Where a template
makes the name of a role, an action, a lookup or a playbook, or a file is encrypted, each may be used.

A collection counts as a whole, and with it those that its own files name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from orchestrator.config.said import Said, said

_INSIDE = re.compile(r"(?:^|/)ansible_collections/([^/]+)/([^/]+)/")
_SECTION = re.compile(r"^  (\w+):$", re.MULTILINE)
_LEADS = re.compile(r"^ +(\w+):\n +redirect: (\w+\.\w+)\.(?:\w+\.)*(\w+)$", re.MULTILINE)
OF_TASKS = ("modules", "action", "lookup", "connection", "become", "filter", "test")  # the others are for settings


def collection_of(label: str) -> str | None:
    """Whose file it is, `namespace.name`; None: no collection's."""
    found = _INSIDE.search(label)
    return f"{found[1]}.{found[2]}" if found is not None else None


def used(files: Iterable[Said], also: Iterable[str], collections: Mapping[str, Collection[Path]]) -> set[str]:
    """Of these collections (their files, by name) those that may be used. `files`: what is played; `also`: more words.

    It closes over what their own files name.
    """
    beside, new_files = set(also), list(files)
    found: set[str] = set()
    new = {x for x in collections if not beside.isdisjoint(_short_names(of_tasks=False).get(x, ()))}
    words = beside | _words(new_files)
    while True:
        if any(x.encrypted or x.made for x in new_files):
            return set(collections)
        new = (new | _named(words, collections)) - found
        if not new:
            return found
        found |= new
        new_files = [said(path) for name in new for path in collections[name]]
        words, new = _words(new_files), set()


def _words(files: Iterable[Said]) -> set[str]:
    return {word for x in files for word in (*x.words, *x.keys)}


def _named(words: set[str], collections: Iterable[str]) -> set[str]:
    dotted = [word.removeprefix("ansible_collections.").removeprefix("with_") for word in words if "." in word]
    return {x for x in collections if _is_named(x, dotted) or not words.isdisjoint(_short_names().get(x, ()))}


def _is_named(name: str, dotted: Iterable[str]) -> bool:
    """Also without its namespace: that may be what a template makes."""
    short = name.partition(".")[2]
    return any(word == name or word.startswith((f"{name}.", f"{short}.")) for word in dotted)


@cache
def _short_names(*, of_tasks: bool = True) -> dict[str, set[str]]:
    """By collection, the short names that Ansible itself leads there: those that tasks have, or the others."""
    spec = find_spec("ansible")
    found: dict[str, set[str]] = {}
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        file = Path(place) / "config" / "ansible_builtin_runtime.yml"
        _, *parts = _SECTION.split(file.read_text(encoding="utf-8")) if file.is_file() else ("",)
        for section, text in zip(parts[::2], parts[1::2], strict=True):
            for short, name, last in _LEADS.findall(text) if (section in OF_TASKS) is of_tasks else ():
                found.setdefault(name, set()).update((short, last))
    return found
