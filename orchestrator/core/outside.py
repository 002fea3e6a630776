r"""Text from outside, made fit to keep and to show: what targets, plug-ins, playbooks, inventories and people say.

The one rule it keeps: whatever comes in passes `evidence` (or `name_fault`) once, where it comes in. What goes out
passes `visible` again, by every way. So every record is bounded and decodable, and text of others never moves a cursor,
hides, turns or forges a line. A character that cannot be shown as it is, is shown as Python writes it (`\x1b`,
`\u202e`). Nothing is lost except its effect. Showing a text twice changes nothing.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

EVIDENCE_MAX = 1000  # characters of one sentence of evidence
NAME_MAX = 200  # characters of a name of a host, group, client or person
REASON_MAX = 4000  # characters of what a person gives as the reason of a word
MEASURES_MAX = 64  # of one answer
_MEASURE_NAME_MAX = 64
_MARKS_MAX = 3  # combining marks on one letter; more of them paint over the lines around

# Controls, formatting (directions, zero width, tags), halves of characters, private use, separators of lines.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")  # letters and marks that show nothing


def visible(text: str, keep: str = "") -> str:
    """The text with everything that acts on whatever shows it written out; `keep` names characters that stay.

    Words in any script, their accents and symbols stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for char in text:
        if " " <= char <= "~" or char in keep:
            marks = 0
            shown.append(char)
            continue
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        hidden = category in _HIDDEN or char in _BLANK or marks > _MARKS_MAX
        shown.append(_written(char) if hidden else char)
    return "".join(shown)


def is_visible(text: str) -> bool:
    """Whether the text shows as it is."""
    return visible(text) == text


def _written(char: str) -> str:
    known = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    if known:
        return known
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def texts_in(value: object) -> Iterator[str]:
    """Every text in a JSON value, names of members too, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from texts_in(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from texts_in(inner)


def evidence(text: str, limit: int = EVIDENCE_MAX) -> str:
    """One line of at most `limit` characters that may be recorded and shown."""
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    shown = visible(text[: limit + 1])
    return shown if len(text) <= limit and len(shown) <= limit else shown[: limit - 1] + "…"


def measures(found: Mapping[str, float]) -> Mapping[str, float]:
    """Measurements that may be recorded: finite, not too many, with names that show as they are."""
    if len(found) <= MEASURES_MAX and all(
        math.isfinite(value) and len(name) <= _MEASURE_NAME_MAX and name.isascii() and name.isprintable()
        for name, value in found.items()
    ):
        return found
    kept: dict[str, float] = {}
    for name, value in found.items():
        if len(kept) == MEASURES_MAX:
            break
        if math.isfinite(value):
            kept[evidence(name, _MEASURE_NAME_MAX)] = value
    return kept


def name_fault(name: str, limit: int = NAME_MAX) -> str | None:
    """What is wrong with a name, in words; None if it can be shown, said and compared as it is."""
    if len(name) > limit:
        return f"is {len(name)} characters long (at most {limit})"
    for char in name:
        if visible(char) != char:
            told = unicodedata.name(char, "") or {"Cs": "half a character"}.get(unicodedata.category(char), "")
            return f"holds {_written(char)}" + (f" ({told.lower()})" if told else ", a control character")
    return None if is_visible(name) else "holds more accents on one letter than can be shown"
