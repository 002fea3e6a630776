"""Ansible's host patterns, over an inventory that has been read.

The one rule it keeps: a pattern means here what it means to `ansible-playbook --limit`: terms joined by `:` or `,`,
`&` for intersection, `!` for exclusion (both applied after all inclusions), `*` and `?`, `~` for regular
expressions, `[0]` and `[0:2]` for positions. Order is that of the inventory.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence

_SUBSCRIPT = re.compile(r"(?P<base>.+)\[(?:(?P<index>-?\d+)|(?P<start>\d*):(?P<end>\d*))\]")


class PatternInvalid(ValueError):
    """This is no host pattern."""


def split_pattern(pattern: str) -> list[str]:
    """The terms of a pattern. Raises `PatternInvalid` for an empty one."""
    # A colon inside [..] is a range, not a separator.
    terms = pattern.split(",") if "," in pattern else re.findall(r"(?:[^:\[\]]|\[[^\]]*\])+", pattern)
    found = [term.strip() for term in terms if term.strip()]
    if not found:
        raise PatternInvalid("an empty host pattern")
    return found


def match_term(term: str, hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str] | None:
    """The hosts one term (without `!` or `&`) names. None if it is a plain name that is neither group nor host.

    Raises `PatternInvalid` for a regular expression that is none.
    """
    if term.startswith("~"):
        try:
            expression = re.compile(term[1:])
        except re.error as error:
            raise PatternInvalid(f"{term!r} is no regular expression: {error}") from error
        by_group = {h for g, members in groups.items() if expression.match(g) for h in members}
        return [h for h in hosts if h in by_group or expression.match(h)]
    subscript = _SUBSCRIPT.fullmatch(term)
    if subscript and not any(c in subscript["base"] for c in "*?["):
        base = match_term(subscript["base"], hosts, groups)
        if base is None:
            return None
        if subscript["index"] is not None:
            index = int(subscript["index"])
            return base[index : index + 1 or None] if -len(base) <= index < len(base) else []
        start, end = int(subscript["start"] or 0), subscript["end"]
        return base[start : int(end) + 1 if end else None]
    if term in ("all", "*"):
        return list(hosts)
    if any(c in term for c in "*?["):
        by_group = {h for g, members in groups.items() if fnmatch.fnmatchcase(g, term) for h in members}
        return [h for h in hosts if h in by_group or fnmatch.fnmatchcase(h, term)]
    if term in groups:
        return list(groups[term])
    if term in hosts:
        return [term]
    return None


def match_hosts(pattern: str, hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """The hosts a pattern names, in order, and its terms that name nothing known.

    Raises `PatternInvalid`.
    """
    unknown: list[str] = []
    chosen: list[str] = []
    terms = split_pattern(pattern)
    plain = [t for t in terms if t[0] not in "!&"]
    for term in plain or ["all"]:
        found = match_term(term, hosts, groups)
        if found is None:
            unknown.append(term)
        chosen += [h for h in found or () if h not in chosen]
    for term in terms:
        if term[0] not in "!&":
            continue
        found = match_term(term[1:], hosts, groups)
        if found is None:
            unknown.append(term[1:])
        inside = set(found or ())
        chosen = [h for h in chosen if (h in inside) == (term[0] == "&")]
    return chosen, unknown
