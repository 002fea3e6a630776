r"""Authors' regular expressions over texts of others: found or not, in a time that the text cannot stretch.

The one rule it keeps: a pattern means what it means to Python's `re`, and its time grows only with the length of the
text. RE2 finds it, rewritten from Python's own reading of the pattern. RE2 does not know what lies ahead or behind,
references to groups, atomic groups, `\b` beside letters that are not ASCII, and `$` in the middle. For these the
backtracking `regex` is used, for as long as `patience` says. After that it raises `TookTooLong`: nothing is known of
the text.

Rejected: `re` itself (`erp.*ok` over one long line of `erp` takes a minute, and nothing else runs meanwhile); a thread
(`re` lets no other one run); RE2 alone (`(?!.*error)` is what people write).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

from orchestrator.probes import patience

_PARSER = "re._parser"  # `re` has no public way to it; without it every pattern is for the slower engine
_REPEATS_MAX = 1000  # RE2's own limit
_MEMORY = 16 << 20  # bytes, for the states of one pattern

_DIGIT = r"\p{Nd}"
_WORD = r"\p{L}\p{N}_"
_SPACE = r"\x09-\x0d\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_NO_SPACE = (
    r"\x00-\x08\x0e-\x1b\x21-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}"
    r"\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff}"
)
# As `re` names them, once for all letters and once for ASCII alone (`(?a)`); None: cannot stand in a set.
_CATEGORIES: dict[str, tuple[str | None, str | None]] = {
    "CATEGORY_DIGIT": (_DIGIT, "0-9"),
    "CATEGORY_NOT_DIGIT": (r"\P{Nd}", r"\x00-\x2f\x3a-\x{10ffff}"),
    "CATEGORY_WORD": (_WORD, "0-9A-Za-z_"),
    "CATEGORY_NOT_WORD": (None, r"\x00-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x{10ffff}"),
    "CATEGORY_SPACE": (_SPACE, r"\x09-\x0d\x20"),
    "CATEGORY_NOT_SPACE": (_NO_SPACE, r"\x00-\x08\x0e-\x1f\x21-\x{10ffff}"),
}
# `regex` reads `{e<=1}` as "about so"; to `re` such braces are letters.
_BRACE = re.compile(r"(\\N\{[^}]*\}|\\.|\{\d*(?:,\d*)?\})|\{", re.DOTALL)


class TookTooLong(Exception):
    """What was said keeps this pattern busy for too long: nobody knows whether it is there."""


def found(pattern: str, text: str) -> bool:
    """Whether the pattern is anywhere in the text, as `re.search` would say. Raises `TookTooLong`."""
    if not text:  # nothing to take long over, and Pythons differ about what is not there
        return re.search(pattern, text) is not None
    quick, ascii_only, slow = _engines(pattern)
    if quick is not None and (not ascii_only or text.isascii()):
        try:
            return quick.search(text) is not None
        except UnicodeEncodeError:  # half a character, which nobody's pattern looks for
            return quick.search(text.encode("utf-8", "replace").decode()) is not None
    if slow is None:
        return re.search(pattern, text) is not None  # unreachable for what `fault` lets through
    with patience.look() as limit_s:
        try:
            return slow.search(text, timeout=limit_s) is not None
        except TimeoutError:
            busy = f"{len(text)} characters kept it busy for {limit_s * 1000:.1f} ms".replace(".0 ms", " ms")
            told = busy if limit_s >= patience.MOST_S else f"{busy}; it gets no longer, because {patience.SPENT}"
            raise TookTooLong(f"/{pattern}/ could not be looked for: {told}") from None


def fault(pattern: str) -> str | None:
    """What is wrong with a pattern; None if it can be looked for."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression: {error}"
    quick, ascii_only, slow = _engines(pattern)
    if slow is None and (quick is None or ascii_only):
        return "is a regular expression that cannot be looked for in a bounded time: write it without look-around"
    return None


@lru_cache(maxsize=4096)
def _engines(pattern: str) -> tuple[Any, bool, Any]:
    """RE2's program, whether it holds for ASCII texts alone, and the slower engine's where it may be needed."""
    quick, writer = None, None
    try:
        flags = re.compile(pattern).flags
        writer = _Writer()
        written = writer.sequence(import_module(_PARSER).parse(pattern), flags, last=True)
        quick = _quick(written)
    except (_NotRegular, ImportError, AttributeError, RecursionError):
        pass
    ascii_only = quick is not None and writer is not None and writer.ascii_only
    return quick, ascii_only, None if quick is not None and not ascii_only else _slow(pattern)


def _quick(written: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(written, options=options)
    except re2.error:  # too large
        return None


def _slow(pattern: str) -> Any:
    import regex

    try:
        return regex.compile(_BRACE.sub(lambda found: found[1] or "\\{", pattern))
    except (regex.error, RecursionError):
        return None


class _NotRegular(Exception):
    """RE2 does not know it."""


class _Writer:
    """Writes a parsed pattern as RE2 reads it. `last`: nothing of the pattern comes after this part."""

    def __init__(self) -> None:
        self.ascii_only = False

    def sequence(self, tokens: Sequence[Any], flags: int, *, last: bool) -> str:
        """These tokens, one after the other."""
        count = len(tokens)
        return "".join(
            self._one(str(op), what, flags, last=last and n == count - 1) for n, (op, what) in enumerate(tokens)
        )

    def _one(self, op: str, what: Any, flags: int, *, last: bool) -> str:
        match op:
            case "LITERAL":
                return self._cased(_char(what), flags)
            case "NOT_LITERAL":
                return self._cased(f"[^{_char(what)}]", flags)
            case "ANY":
                return "(?s:.)" if flags & re.DOTALL else r"[^\n]"
            case "IN":
                return self._cased(_set(what, flags), flags)
            case "BRANCH":
                return f"(?:{'|'.join(self.sequence(way, flags, last=last) for way in what[1])})"
            case "SUBPATTERN":
                _, added, removed, inner = what
                return f"(?:{self.sequence(inner, (flags | added) & ~removed, last=last)})"
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repeated(what[0], what[1], what[2], flags)
            case "AT":
                return self._at(str(what), flags, last=last)
            case _:
                raise _NotRegular

    def _repeated(self, least: int, most: Any, inner: Sequence[Any], flags: int) -> str:
        part = f"(?:{self.sequence(inner, flags, last=False)})"
        endless = str(most) == "MAXREPEAT"
        if least > _REPEATS_MAX or (not endless and int(most) > _REPEATS_MAX):
            raise _NotRegular
        return f"{part}{{{least},{'' if endless else int(most)}}}"

    def _at(self, where: str, flags: int, *, last: bool) -> str:
        match where:
            case "AT_BEGINNING":
                return "(?m:^)" if flags & re.MULTILINE else r"\A"
            case "AT_BEGINNING_STRING":
                return r"\A"
            case "AT_END" if flags & re.MULTILINE:
                return "(?m:$)"
            case "AT_END" if last:  # `re` also finds it before a line break at the very end
                return r"(?:\n?\z)"
            case "AT_END_STRING":
                return r"\z"
            case "AT_BOUNDARY" | "AT_NON_BOUNDARY":
                self.ascii_only = self.ascii_only or not flags & re.ASCII
                return r"\b" if where == "AT_BOUNDARY" else r"\B"
            case _:
                raise _NotRegular

    @staticmethod
    def _cased(part: str, flags: int) -> str:
        return f"(?i:{part})" if flags & re.IGNORECASE else part


def _char(code: int) -> str:
    if 0xD800 <= code < 0xE000:
        raise _NotRegular
    return f"\\x{{{code:x}}}"


def _set(members: Sequence[Any], flags: int) -> str:
    """A set of characters. RE2 knows no set of "no letter" beside others: that is a choice between two sets."""
    inside: list[str] = []
    negated = no_word = False
    for op, what in members:
        match str(op):
            case "NEGATE":
                negated = True
            case "LITERAL":
                inside.append(_char(what))
            case "RANGE":
                if what[0] < 0xE000 and what[1] >= 0xD800:
                    inside += [p for a, b in ((what[0], 0xD7FF), (0xE000, what[1])) if a <= b for p in [_range(a, b)]]
                else:
                    inside.append(_range(*what))
            case "CATEGORY":
                part = _CATEGORIES[str(what)][1 if flags & re.ASCII else 0]
                no_word = no_word or part is None
                inside += [part] if part is not None else []
            case _:
                raise _NotRegular
    if not no_word:
        return f"[{'^' if negated else ''}{''.join(inside)}]"
    if negated and inside:
        raise _NotRegular
    if negated:
        return f"[{_WORD}]"
    return f"(?:[^{_WORD}]|[{''.join(inside)}])" if inside else f"[^{_WORD}]"


def _range(low: int, high: int) -> str:
    return f"{_char(low)}-{_char(high)}"
