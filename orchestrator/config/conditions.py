"""Conditions, from what authors write to the core's `Condition` over check ids.

The one rule it keeps: a name means all of its hosts. In `all` it is expanded to them. In `any` and `quorum` it stays
one term, an inner `all`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.config.faults import Faults, nearest
from orchestrator.config.shaping import show
from orchestrator.config.strict_yaml import Document, Path_
from orchestrator.core.model import Combine, Condition

EXPECTED = "a check's name, {all: [...]}, {any: [...]} or {quorum: N, of: [...]}"


class CheckNames:
    """The checks of one client by the names conditions use."""

    def __init__(self, client: str, by_name: Mapping[str, tuple[str, ...]], broken: frozenset[str]) -> None:
        """`by_name`: check name to check ids. `broken`: names whose checks are faulty and say so themselves."""
        self.client = client
        self.by_name = by_name
        self.broken = broken
        self.used: set[str] = set()

    def ids(self, name: str) -> tuple[str, ...] | None:
        """The ids behind `name` or `name@host`; None if there is no such check, () if it is a faulty one."""
        base, _, host = name.partition("@")
        if name.partition("@")[0] in self.broken:
            return ()
        known = self.by_name.get(base)
        if known is None:
            return None
        self.used.add(base)
        if not host:
            return known
        wanted = f"{self.client}/{name}"
        return (wanted,) if wanted in known else None

    def all_names(self) -> set[str]:
        """Everything that could have been meant."""
        return set(self.by_name) | {i.partition("/")[2] for ids in self.by_name.values() for i in ids}


def take_condition(
    data: Any, document: Document, path: Path_, names: CheckNames, faults: Faults, what: str
) -> Condition | None:
    """The condition that stands at `path`, or None if there is none or it is faulty."""
    if data is None:
        return None
    term = _term(data, document, path, names, faults, what)
    if term is None or isinstance(term, Condition):
        return term
    return Condition(Combine.ALL, (term,))


def take_single_check(
    name: str, document: Document, path: Path_, names: CheckNames, faults: Faults, what: str
) -> str | None:
    """The id of exactly one check."""
    ids = _resolve(name, document, path, names, faults)
    if ids is not None and len(ids) > 1:
        hosts = [i.partition("@")[2] for i in ids]
        faults.add(
            document.at(*path),
            f"{what}: {name!r} is {len(ids)} checks, on {', '.join(hosts)}",
            f"one of them, like {name}@{hosts[0]}",
        )
        return None
    return ids[0] if ids else None


def _term(
    data: Any, document: Document, path: Path_, names: CheckNames, faults: Faults, what: str
) -> str | Condition | None:
    if isinstance(data, str):
        ids = _resolve(data, document, path, names, faults)
        if not ids:
            return None
        return ids[0] if len(ids) == 1 else Condition(Combine.ALL, ids)
    if not isinstance(data, dict):
        faults.add(document.at(*path), f"{what} is {show(data)}", EXPECTED)
        return None
    for key in data:
        if key not in ("all", "any", "quorum", "of"):
            faults.add(document.key(*path, key), f"{what}: {key!r} is no way to combine checks", EXPECTED,
                       nearest(key, ("all", "any", "quorum", "of")))  # fmt: skip
    heads = [key for key in ("all", "any", "quorum") if key in data]
    if len(heads) != 1 or ("of" in data) != (heads == ["quorum"]):
        if heads or not data:
            faults.add(document.at(*path), f"{what} is not one combination", EXPECTED)
        return None
    head = heads[0]
    key = "of" if head == "quorum" else head
    items = data[key]
    if not isinstance(items, list) or not items:
        faults.add(
            document.at(*path, key),
            f"{what}: {key!r} is {show(items) if items else 'empty'}",
            "a list of names and conditions",
        )
        return None
    terms: list[str | Condition] = []
    for index, item in enumerate(items):
        term = _term(item, document, (*path, key, index), names, faults, what)
        if isinstance(term, Condition) and head == "all" and term.combine is Combine.ALL:
            terms += term.terms
        elif term is not None:
            terms.append(term)
    if head != "quorum":
        return Condition(Combine(head), tuple(terms)) if terms else None
    need = data["quorum"]
    if isinstance(need, bool) or not isinstance(need, int) or not 1 <= need <= len(items):
        faults.add(
            document.at(*path, "quorum"),
            f"{what}: a quorum of {show(need)} out of {len(items)}",
            f"a whole number from 1 to {len(items)}",
        )
        return None
    return Condition(Combine.QUORUM, tuple(terms), need) if terms else None


def _resolve(name: str, document: Document, path: Path_, names: CheckNames, faults: Faults) -> tuple[str, ...] | None:
    ids = names.ids(name)
    if ids is None:
        faults.unknown(document.at(*path), "check", name, names.all_names(), names.client)
    return ids
