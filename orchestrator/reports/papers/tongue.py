"""The language of a report: its own sentences by gettext, its numbers, durations and times as the language has them.

The one rule it keeps: what a record says is never translated. Reasons, evidence, names and ids go through as they are.
Of what bascule itself composed in English (`known.py`), a sentence that the catalogue knows is translated; any other
stays as it is, whole.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import as_file, files
from time import gmtime, strftime

from orchestrator.core.durations import rounded_up
from orchestrator.core.outside import visible
from orchestrator.reports.incident_text import offset
from orchestrator.reports.papers.known import SENTENCES
from orchestrator.reports.papers.shape import Said
from orchestrator.reports.text import SIGN, bounded

LANGUAGES = ("en", "fr")
_SLOT = re.compile(r"\{(\w+)\}")
_BOUND = re.compile(r"at most \{(\w+_s)\}")
_SHAPES = {  # of slots; anything else is any text
    "run": r"r\d+",
    "move": r"\S+",
    "unheard": r"(?:nothing was heard of its checks|its checks had been good) .*?",
}
_NUMBER = re.compile(r"(at most )?-?[\d:]+(\.\d+)?s?")
_INNER = {"more", "unheard", "also"}  # slots that hold a sentence
OF_THE_PROVIDER = "of the provider"  # in a client's edition: a name that is not the client's own
PROVIDER = "the provider"  # in a client's edition: anybody who is not the client's
_FIXED = "\N{NO-BREAK SPACE}"


class Tongue:
    """One language."""

    def __init__(self, language: str = "en") -> None:
        """Raises LookupError for one that there is no catalogue of."""
        if language not in LANGUAGES:
            raise LookupError(f"there is no catalogue for {language!r}; there are {', '.join(LANGUAGES)}")
        self.language = language
        self._catalogue = _catalogue(language)
        self._comma = "," if language == "fr" else "."

    def text(self, english: str) -> str:
        """One of our own words or sentences."""
        return self._catalogue.gettext(english) if english else ""

    def say(self, said: Said) -> str:
        """A sentence, with its slots filled."""
        if said.many:
            template = self._catalogue.ngettext(said.text, said.many, int(said.slots["n"]))
        else:
            template = self.text(said.text)
        return self._filled(template, said.slots, set(_BOUND.findall(said.text)))

    def known(self, english: str) -> str:
        """A sentence that was composed elsewhere: translated as a whole, or left as it is."""
        if self.language == "en" or not english:
            return visible(english)
        if (whole := self.text(english)) != english:
            return whole
        for pattern, template in _patterns():
            if (found := pattern.fullmatch(english)) is not None:
                return self._filled(self.text(template), {n: self._inner(n, v) for n, v in found.groupdict().items()})
        return visible(english)

    def joined(self, head: str, rest: str) -> str:
        """Two of our own, the second of which tells more of the first."""
        gap = _FIXED if self.language == "fr" else ""
        return f"{head}{gap}: {rest}"

    def duration(self, seconds: float | None, /, *, up: bool = False) -> str:
        """`8.5 s`, `1 min 05 s`, `2 h 10 min`: tenths up to ten minutes, where seconds are compared.

        `up`: rounded up, for it took no longer than that.
        """
        if seconds is None:
            return "–"
        seconds = _rounded_up(seconds) if up else seconds
        value = round(round(abs(seconds), 6), 1)
        sign = "-" if seconds < 0 < value else ""
        if value < 60:
            return f"{sign}{self.number(value)}{_FIXED}s"
        if value >= 600:
            value = round(value)
        minutes, rest = divmod(value, 60)
        if value < 3600:
            tail = f"{_FIXED}{self.number(rest, 2)}{_FIXED}s" if rest else ""
            return f"{sign}{minutes:.0f}{_FIXED}min{tail}"
        hours, minutes = divmod(minutes, 60)
        if value < 86400:
            parts = [f"{hours:.0f}{_FIXED}h"]
            parts += [f"{minutes:02.0f}{_FIXED}min"] if minutes or rest else []
            parts += [f"{rest:02.0f}{_FIXED}s"] if rest else []
            return sign + _FIXED.join(parts)
        hours, minutes = divmod(round(value / 60), 60)
        days, hours = divmod(hours, 24)
        parts = [f"{days}{_FIXED}{self.text('d')}"]
        parts += [f"{hours}{_FIXED}h"] if hours or minutes else []
        parts += [f"{minutes:02d}{_FIXED}min"] if minutes else []
        return sign + _FIXED.join(parts)

    def bounded(self, seconds: float | None, at_most: bool) -> str:
        """A duration, as a bound where it is one: `≤ 8.5 s`."""
        return "–" if seconds is None else bounded(seconds, at_most, SIGN + _FIXED, self.duration)

    def number(self, value: float, width: int = 1) -> str:
        """With at most one decimal, and at least so many digits before it."""
        tenths = round(value * 10)
        whole, rest = divmod(abs(tenths), 10)
        sign = "-" if tenths < 0 else ""
        return f"{sign}{whole:0{width}d}" + (f"{self._comma}{rest}" if rest else "")

    def money(self, amount: float, currency: str) -> str:
        """Two decimals, thousands apart."""
        text = f"{amount:,.2f}"
        if self.language == "fr":
            text = text.replace(",", "\N{NARROW NO-BREAK SPACE}").replace(".", ",")
        return f"{text}{_FIXED}{currency}"

    def share(self, share: float | None) -> str:
        """Of the RTO."""
        if share is None:
            return ""
        percent = share * 100
        gap = _FIXED if self.language == "fr" else ""
        return (self.number(percent) if percent < 10 else f"{percent:.0f}") + f"{gap}%"

    def offset(self, seconds: float | None) -> str:
        """A time after the beginning: `+0:41.2`."""
        if seconds is None:
            return "–"
        return offset(seconds).replace(".", self._comma)

    def time(self, wall: float | None) -> str:
        """Date and time; in UTC, for the reader may be anywhere."""
        return "–" if wall is None else strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(wall))

    def date(self, wall: float) -> str:
        """The day alone, in UTC."""
        return strftime("%Y-%m-%d", gmtime(wall))

    def _filled(self, template: str, slots: Mapping[str, str | float], bounds: Collection[str] = ()) -> str:
        return _SLOT.sub(lambda m: self._slot(m.group(1), slots[m.group(1)], up=m.group(1) in bounds), template)

    def _slot(self, name: str, value: str | float, *, up: bool) -> str:
        if isinstance(value, str):
            return visible(self._named(value))
        if name.endswith("_s"):
            return self.duration(value, up=up)
        if name.endswith("_wall"):
            return self.time(value)
        return self.number(value)

    def _inner(self, name: str, value: str) -> str:
        """A part of a sentence that may be one itself, or a number as English writes it."""
        if name in _INNER or (value.startswith("at most ") and ", " not in value):
            return self.known(value)
        if ", " in value and all(_NUMBER.fullmatch(x) for x in value.split(", ")):
            return ", ".join(self._inner("", x) for x in value.split(", "))
        return value.replace(".", self._comma) if _NUMBER.fullmatch(value) else visible(self._named(value))

    def _named(self, value: str) -> str:
        """A name, or the word that stands in its place."""
        return self.text(value) if value in (PROVIDER, OF_THE_PROVIDER) else value


def _rounded_up(seconds: float) -> float:
    """To what is shown of it: tenths up to ten minutes, seconds up to a day, then minutes."""
    if seconds < 86400:
        return rounded_up(seconds, 10 if seconds < 600 else 1)
    return rounded_up(seconds / 60) * 60


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    if language == "en":
        return gettext.NullTranslations()
    at = files("orchestrator.reports") / "locale" / language / "LC_MESSAGES" / "bascule.mo"
    with as_file(at) as path, path.open("rb") as file:
        return gettext.GNUTranslations(file)


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    found = []
    for template in sorted(SENTENCES, key=lambda x: -len(_SLOT.sub("", x))):  # what says most is meant
        parts, at = [], 0
        for slot in _SLOT.finditer(template):
            shape = _SHAPES.get(slot.group(1), ".*?")
            parts += [re.escape(template[at : slot.start()]), f"(?P<{slot.group(1)}>{shape})"]
            at = slot.end()
        found.append((re.compile("".join([*parts, re.escape(template[at:])]), re.DOTALL), template))
    return found
