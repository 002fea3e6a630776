"""What a kind of probe is: its options, how it asks, and what an answer means.

The one rule it keeps: asking and judging are apart. `ask` talks to the world and brings back a raw result. `classify`
is pure and says what it means, so that the simulator judges invented results with the same code. A raw result is one of
three that every kind shares (`Silence`, `Refusal`, `NotAsked`) or the kind's own reply:

    raw        what happened                                              answer
    -------    ---------------------------------------------------------  ------------------------
    Silence    asked, and nothing of the asked target came back in time   SILENT
    Refusal    the target answered, and the answer is "no"                BAD
    NotAsked   our own fault: could not ask, crashed, was killed          NONE
    reply      the target answered                                        the kind's `judge`
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from orchestrator.core.events import Answer
from orchestrator.core.outside import evidence, measures
from orchestrator.probes.expressions import TookTooLong
from orchestrator.probes.options import Addressed, Options
from orchestrator.probes.results import Judged, NotAsked, Raw, Refusal, Silence, Unanswerable

if TYPE_CHECKING:
    from orchestrator.probes.tools import Tools

OptionsT = TypeVar("OptionsT", bound=Options)
ReplyT = TypeVar("ReplyT")

SECRET_LEAST = 4  # characters of one that is looked for in an answer: any word could hold a shorter one


class Secrets:
    """Passwords and tokens by name; never in options, and so never in a model, record or log."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known

    def __repr__(self) -> str:
        return f"<Secrets {sorted(self._known)}>"

    def get(self, name: str | None, file: str | None) -> str | None:
        """The secret of this name, or the first line of this file; None if neither is asked for.

        Raises `Unanswerable` if it is not there.
        """
        if name is not None:
            try:
                return self._known[name]
            except KeyError:
                raise Unanswerable(f"secret {name!r} is not known here") from None
            except Exception as error:  # the mapping may decrypt as it is read
                raise Unanswerable(str(error)) from error
        if file is None:
            return None
        try:
            text = Path(file).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Unanswerable(f"secret file {file} cannot be read: {error}") from error
        lines = text.splitlines()
        if not lines or not lines[0].strip():
            raise Unanswerable(f"secret file {file} is empty")
        return lines[0].strip()


@dataclass(slots=True)
class Question(Generic[OptionsT]):
    """One question on its way. `stamp` is called right before it goes out, again if it had to wait for a turn."""

    options: OptionsT
    timeout_s: float
    secrets: Secrets
    tools: Tools
    stamp: Callable[[], None]
    whom: str = ""  # the client whose question it is: what is kept from question to question is kept for it alone
    given: list[str] = field(default_factory=list)  # secrets that went out with it: what comes back may repeat them

    def secret(self, name: str | None, file: str | None) -> str | None:
        """The same as `Secrets.get`; what comes back of it is struck out of the answer."""
        found = self.secrets.get(name, file)
        if found is not None:
            self.given.append(found)
        return found


Done = Callable[[Raw], None]
Launch = Callable[[Question[OptionsT], Done], Callable[[], None]]


@dataclass(frozen=True, slots=True)
class Kind(Generic[OptionsT, ReplyT]):
    """One kind of probe.

    `ask` keeps to the question's time-out by itself and returns a raw result; whatever it raises counts as
    `NotAsked`. `grace_s` after the time-out it is abandoned. `reply` is the type (or types) of the kind's own reply.
    `imports` are the libraries that asking needs: slow to import, so never imported by whoever only reads options, and
    imported before the first beat, so that they hold up no question. `forks`: it is answered in a process of its own,
    which keeps the time by itself.

    `invent(options, so, measures)` thinks up what the target would answer when what the check asks for is so, or is
    not so; the kind's own `judge` finds it good, or bad. Pure and quick: no I/O, none of `imports`. `measures` (named
    and in units as in `Observed.measures`) are facts: those that the kind knows come back from `judge`, unchanged, and
    one that the options do not allow (data older than `max_age`) makes also an answer bad that was to be good. What is
    not given is taken as the options need it, and where they need nothing it is not measured, or 0. Where nothing that
    the target says could be bad, `invent` returns a Refusal. Raises `CannotInvent`.

    `launch`: what `ask` asks, without a task (see `by_launching`), for kinds that are asked by the thousand.

    `heard`: where the host logged in to is the vantage (`FROM_HOST`, see `from_there`), what a raw result says of what
    was asked from there.
    """

    name: str
    options: type[OptionsT]
    ask: Callable[[Question[OptionsT]], Awaitable[Raw]]
    reply: type[ReplyT] | tuple[type[Any], ...]
    judge: Callable[[OptionsT, ReplyT], Judged]
    invent: Callable[[OptionsT, bool, Mapping[str, float]], ReplyT | Refusal]
    grace_s: float = 0.5
    forks: bool = False
    imports: tuple[str, ...] = ()
    heard: Callable[[Raw], Raw] | None = None
    there: bool = False
    launch: Launch[OptionsT] | None = None

    def __post_init__(self) -> None:
        if (self.heard is not None) != self.options.FROM_HOST:
            raise TypeError(f"{self.name}: FROM_HOST and `heard` go together")

    def from_there(self) -> Kind[OptionsT, ReplyT]:
        """The same kind, asking from another vantage: the host it logs in to is the witness, not what is asked of."""
        if self.heard is None:
            raise TypeError(f"{self.name} asks from this machine alone")
        return replace(self, there=True)

    def warm(self) -> None:
        """Import what asking needs."""
        resolving = ("dns.message",) if issubclass(self.options, Addressed) else ()  # where a `resolver` is named
        for name in (*self.imports, *resolving):
            import_module(name)

    def classify(self, options: OptionsT, raw: Raw, given: Sequence[str] = ()) -> Judged:
        """What a raw result means, in words and numbers that may be recorded: here a target's text comes in. Pure.

        `given`: secrets that the question took along. Raises TypeError for a result of another kind.
        """

        def said(text: str) -> str:
            return evidence(_without(text, given) if given else text)

        if self.there and self.heard is not None:
            raw = self.heard(raw)
        match raw:
            case Silence(why):
                return Judged(Answer.SILENT, {}, said(why))
            case Refusal(why):
                return Judged(Answer.BAD, {}, said(why))
            case NotAsked(why, way_gone):
                return Judged(Answer.NONE, {}, said(why), way_gone)
        if not isinstance(raw, self.reply):
            raise TypeError(f"{self.name} cannot judge a {type(raw).__name__}")
        try:
            judged = self.judge(options, raw)
        except TookTooLong as unknown:
            return Judged(Answer.NONE, {}, said(str(unknown)))
        found = {_without(name, given): value for name, value in judged.measures.items()} if given else judged.measures
        return Judged(judged.answer, measures(found), said(judged.detail), judged.way_gone)


def _without(text: str, given: Sequence[str]) -> str:
    """The text with `***` in place of secrets, the longest first."""
    for secret in sorted(given, key=len, reverse=True):
        if len(secret) >= SECRET_LEAST:
            text = text.replace(secret, "***")
    return text


def by_launching(launch: Launch[OptionsT]) -> Callable[[Question[OptionsT]], Awaitable[Raw]]:
    """The `ask` of a kind whose questions need no task.

    `launch(question, done)` begins a question and returns at once what abandons it. `done` is called with the raw
    result, once, at the question's own time-out at the latest; perhaps before `launch` returns; never after it was
    abandoned.
    """

    async def ask(question: Question[OptionsT]) -> Raw:
        answered: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        abandon = launch(question, lambda raw: None if answered.done() else answered.set_result(raw))
        try:
            return await answered
        finally:
            abandon()

    return ask


def first_judged(
    judge: Callable[[OptionsT, ReplyT], Judged], options: OptionsT, answer: Answer, replies: Iterable[ReplyT]
) -> ReplyT | None:
    """For `invent`: the first of these that is judged so; None if none is."""
    return next((reply for reply in replies if judge(options, reply).answer is answer), None)
