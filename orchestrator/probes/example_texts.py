"""Texts that match a regular expression, and texts that do not: what an invented reply says.

The one rule it keeps: every text that is returned was tried on the pattern itself. A text is written along the pattern
as the standard library parses it: first in the plainest way, then with one choice made otherwise, then with two, until
one matches or a limit is reached.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeVar

from orchestrator.probes.expressions import TookTooLong, found

# `re` has no public way to its parser (sre_parse is deprecated). Were this one gone, a pattern would have no text, and
# checks with one would be told as not to be invented: nothing else depends on it.
_PARSER = "re._parser"
_TRIES = 2000
_LENGTH_MAX = 20_000  # characters
_COPIES_MAX = 3  # of a repeated part that are written one by one, and so may differ
_ALTERNATIVES = 6  # characters that are tried at one place
_POOL = "".join(dict.fromkeys("x0 -A_.\n\t" + "".join(map(chr, range(33, 127))) + "é"))
_PLAIN = ("something else", "", "x", "0", " ", "-", "A", "\n", "\n\n", "é", "x 0")  # short: some patterns are slow

T = TypeVar("T")


@lru_cache(maxsize=1024)
def matching(pattern: str) -> str | None:
    """A text in which `re.search` finds this pattern; None if none was found. Pure."""
    return _first_in(_parsed(pattern), lambda text: _found(pattern, text))


@lru_cache(maxsize=1024)
def differing(pattern: str) -> str | None:
    """A text in which `re.search` does not find this pattern; None if none was found. Pure."""
    for text in (*_PLAIN, *_forbidden(_parsed(pattern) or ())):
        if not _found(pattern, text):
            return text
    return None


@lru_cache(maxsize=1024)
def matching_all(patterns: tuple[str, ...]) -> str | None:
    """A text in which `re.search` finds each of these; None if none was found. Pure."""
    parts = [matching(pattern) for pattern in patterns]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    texts = [*known, " ".join(known), "".join(known), "\n".join(known), " ".join(reversed(known)), ""]
    return next((text for text in texts if all(_found(pattern, text) for pattern in patterns)), None)


def _found(pattern: str, text: str) -> bool:
    try:
        return found(pattern, text)
    except TookTooLong:  # no text to hand out, whatever it is
        return False


def _parsed(pattern: str) -> Sequence[Any] | None:
    try:
        parsed: Sequence[Any] = import_module(_PARSER).parse(pattern)
    except (ImportError, AttributeError, RecursionError):
        return None
    return parsed


def _first_in(tokens: Sequence[Any] | None, fits: Any) -> str | None:
    """The first text that fits, with as few choices made otherwise than in the plainest way as possible."""
    if tokens is None:
        return None
    waiting: deque[tuple[tuple[int, int], ...]] = deque([()])
    for _ in range(_TRIES):
        if not waiting:
            return None
        otherwise = waiting.popleft()
        writer = _Writer(dict(otherwise))
        text: str | None
        try:
            text = writer.write(tokens)
        except (_DeadEnd, RecursionError):
            text = None
        if text is not None and fits(text):
            return text
        after = otherwise[-1][0] + 1 if otherwise else 0
        for place in range(after, len(writer.choices)):
            for other in range(1, writer.choices[place]):
                if len(waiting) < _TRIES:
                    waiting.append((*otherwise, (place, other)))
    return None


class _DeadEnd(Exception):
    """Along these choices there is no text."""


class _Writer:
    """Writes one text along a parsed pattern. `choices`: how many ways there were at each place met."""

    def __init__(self, otherwise: dict[int, int]) -> None:
        self.choices: list[int] = []
        self._otherwise = otherwise
        self._groups: dict[int, str] = {}
        self._length = 0

    def write(self, tokens: Sequence[Any]) -> str:
        """The text of these tokens, one after the other."""
        return "".join(self._one(str(op), what) for op, what in tokens)

    def _pick(self, ways: Sequence[T]) -> T:
        if not ways:
            raise _DeadEnd
        place = len(self.choices)
        self.choices.append(len(ways))
        return ways[self._otherwise.get(place, 0)]

    def _one(self, op: str, what: Any) -> str:
        match op:
            case "LITERAL":
                return self._counted(chr(what))
            case "NOT_LITERAL":
                return self._character([char for char in _POOL if char != chr(what)])
            case "ANY":
                return self._character(_POOL)
            case "IN":
                return self._character(_characters(what))
            case "CATEGORY":
                return self._character(_characters([(op, what)]))
            case "BRANCH":
                return self.write(self._pick(what[1]))
            case "SUBPATTERN":
                group, _, _, inner = what
                text = self.write(inner)
                if group is not None:
                    self._groups[group] = text
                return text
            case "GROUPREF":
                if what not in self._groups:
                    raise _DeadEnd
                return self._counted(self._groups[what])
            case "GROUPREF_EXISTS":
                group, there, absent = what
                return self.write(there if group in self._groups else absent or ())
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                return self._repeated(*what)
            case "ATOMIC_GROUP":
                return self.write(what)
            case "ASSERT":  # what must stand there: write it, or trust that something else does
                return self.write(what[1]) if self._pick((True, False)) else ""
            case "ASSERT_NOT":
                return self._pick(("", " ", "x"))
            case "AT":
                return self._pick(("", " ", "\n", "x"))
            case _:
                raise _DeadEnd

    def _repeated(self, least: int, most: Any, inner: Sequence[Any]) -> str:
        copies = self._pick([count for count in (least, least + 1, least + 2) if count <= int(most)])
        if copies <= _COPIES_MAX:
            return "".join(self.write(inner) for _ in range(copies))
        return self._counted(self.write(inner) * copies)

    def _character(self, ways: Sequence[str]) -> str:
        return self._counted(self._pick(ways[:_ALTERNATIVES]))

    def _counted(self, text: str) -> str:
        self._length += len(text)
        if self._length > _LENGTH_MAX:
            raise _DeadEnd
        return text


def _characters(members: Sequence[Any]) -> list[str]:
    """Characters of a set, the plainest first."""
    named = [(str(op), what) for op, what in members]
    if any(op == "NEGATE" for op, _ in named):
        rest = [(op, what) for op, what in named if op != "NEGATE"]
        return [char for char in _POOL if not any(_is_in(char, op, what) for op, what in rest)]
    found: list[str] = []
    for op, what in named:
        if op == "LITERAL":
            found.append(chr(what))
        elif op == "RANGE":
            found += [chr(what[0]), chr(what[1])]
        else:
            found += [char for char in _POOL if _is_in(char, op, what)][:2]
    return found


def _is_in(char: str, op: str, what: Any) -> bool:
    match op:
        case "LITERAL":
            return char == chr(what)
        case "RANGE":
            return ord(char) in range(what[0], what[1] + 1)
        case "CATEGORY":
            name = str(what).removeprefix("CATEGORY_")
            kind = name.removeprefix("NOT_")
            inside = (
                char.isdecimal()
                if kind == "DIGIT"
                else char.isspace()
                if kind == "SPACE"
                else char.isalnum() or char == "_"
            )
            return inside is not name.startswith("NOT_")
        case _:
            return False


def _forbidden(tokens: Sequence[Any]) -> Iterator[str]:
    """Texts that the pattern itself names as those that must not be there, and single characters it speaks of."""
    for op, what in tokens:
        match str(op):
            case "ASSERT_NOT":
                text = _first_in(what[1], lambda text: True)
                if text is not None:
                    yield text
            case "LITERAL" | "NOT_LITERAL":
                yield chr(what)
            case "IN":
                yield from _characters([member for member in what if str(member[0]) != "NEGATE"])
            case "BRANCH":
                for branch in what[1]:
                    yield from _forbidden(branch)
            case "SUBPATTERN":
                yield from _forbidden(what[3])
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                yield from _forbidden(what[2])
            case "ATOMIC_GROUP":
                yield from _forbidden(what)
            case "ASSERT":
                yield from _forbidden(what[1])
