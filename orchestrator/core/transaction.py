"""One call of the engine: what is known now, and what comes of it.

The one rule it keeps: everything below the engine reads and writes through a transaction. So a record is applied
as soon as it is written, and the next question sees it. What is asked of a transaction is noted in its `basis`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.core.commands import Command, NoticeKind, ProbeNow, TellPeople
from orchestrator.core.durations import show_duration
from orchestrator.core.events import Answer
from orchestrator.core.forecast import LIVE, Forecast, at_most_s, forecast
from orchestrator.core.health import detector
from orchestrator.core.health.detector import Row
from orchestrator.core.health.diagnosis import blamed, evaluate
from orchestrator.core.health.references import blind, reference_at
from orchestrator.core.model import Check, Condition, Json, Limits, Model, Service
from orchestrator.core.records import NoticeDue, Record, Verdict, VerdictChanged
from orchestrator.core.state.decided import Decided, Incident, ServiceState
from orchestrator.core.state.fold import apply

FOREVER = float("inf")
BEGAN = "the controller began"
LATE_S = 30.0  # a notice that is delivered so long after it was due says so

_DOWN, _UNKNOWN = Verdict.DOWN, Verdict.UNKNOWN  # named once: a member is slow to look up in 3.11


@dataclass(slots=True)
class Basis:
    """What was asked for beside what is decided: whose `verdicts`, and whether there was `more`, or anything recorded.

    Only where there was more can it turn out differently while verdicts and the decided state stay as they are.
    """

    verdicts: set[str] = field(default_factory=set)
    more: bool = False


@dataclass(slots=True)
class Watch:
    """Since when a controller looks without a break, and since when at checks that it has read anew since then."""

    at: float
    how: str = BEGAN
    read_at: dict[str, float] = field(default_factory=dict)
    first: bool = False  # the next model is the one that it begins with

    def began(self, now: float) -> None:
        """A controller begins."""
        self.at, self.how, self.first = now, BEGAN, True

    def configured(self, before: Model, after: Model, now: float) -> None:
        """Another model is in force: checks that it changes are asked anew."""
        if not self.first:
            anew = [name for name, check in after.checks.items() if check != before.checks.get(name)]
            self.read_at.update(dict.fromkeys(anew, now))
        self.first = False

    def of(self, check: str) -> tuple[float, str]:
        """See `Transaction.watched_since`."""
        read_at = self.read_at.get(check, self.at)
        return (read_at, "the files were read anew") if read_at > self.at else (self.at, self.how)


class Transaction:
    """The model, the state, the rows and the time; and the records, commands and wake-up that come of them.

    No check's last answer changes while a transaction lasts: the engine takes an answer in before it makes one.
    """

    __slots__ = (
        "_blind",
        "_fallen",
        "_now",
        "_references",
        "_rows",
        "_watch",
        "basis",
        "commands",
        "decided",
        "model",
        "records",
        "wake_at",
    )

    def __init__(
        self,
        model: Model,
        decided: Decided,
        rows: Mapping[str, Row],
        now: float,
        references: dict[str, tuple[str, ...]] | None = None,
        watch: Watch | None = None,
    ) -> None:
        """`references`: those of each vantage as far as they were looked up in this model before."""
        self.model = model
        self.decided = decided
        self.records: list[Record] = []
        self.commands: list[Command] = []
        self.wake_at = FOREVER
        self.basis = Basis()  # of what comes next: whoever wants to know puts another one there first
        self._rows = rows
        self._now = now
        self._fallen: dict[tuple[str, float, float, str], tuple[int, dict[str, list[str]], float]] = {}
        self._references = references if references is not None else {}
        self._blind: dict[str, bool] = {}
        self._watch = watch if watch is not None else Watch(decided.controller.at if decided.controller else 0.0)

    def configure(self, model: Model, references: dict[str, tuple[str, ...]]) -> None:
        """Go on with another model, before anything was asked or recorded."""
        self.model = model
        self._references = references
        self._blind.clear()

    # ---- what verdicts and the decided state do not say: each call is noted in `basis`

    def now(self) -> float:
        """What time it is."""
        self.basis.more = True
        return self._now

    def rows(self) -> Mapping[str, Row]:
        """All that is known of the checks' answers."""
        self.basis.more = True
        return self._rows

    def fallen(self) -> dict[tuple[str, float, float, str], tuple[int, dict[str, list[str]], float]]:
        """What `policy.mass_failure` has found so far; it depends on the time."""
        self.basis.more = True
        return self._fallen

    # ---- what comes of it

    def record(self, record: Record) -> None:
        """Remember it, and let it take effect."""
        self.basis.more = True
        apply(self.decided, record)
        self.records.append(record)

    def command(self, command: Command) -> None:
        """Have it done, once the entry is durable."""
        self.basis.more = True
        self.commands.append(command)

    def wake(self, at: float) -> None:
        """Be called at this time if nothing happens before."""
        self.basis.more = True
        self.wake_at = min(self.wake_at, at)

    def ask_now(self, checks: Iterable[str]) -> None:
        """Have these checks asked at once."""
        known = tuple(dict.fromkeys(c for c in checks if c in self.model.checks))
        if known:
            self.command(ProbeNow(known))

    def tell(
        self,
        notice: str,
        kind: NoticeKind,
        subject: str,
        text: str,
        *,
        say: str = "",
        details: Mapping[str, Json] | None = None,
        to: tuple[str, ...] | None = None,
    ) -> None:
        """Tell people (`to`; else the service's owners), unless the same notice was due before."""
        if notice in self.decided.told:
            return
        service = self.model.services.get(subject)
        client = service.client if service else subject.partition("/")[0]
        people = to if to is not None else service.owners if service else ()
        due = NoticeDue(self.now(), notice, kind, client, subject, text, say, people, details or {})
        self.record(due)
        self.command(tell_command(due, self.now()))

    # ---- what is known

    def verdict(self, check: str) -> Verdict:
        """The check's verdict, or unknown while its vantage is blind."""
        self.basis.verdicts.add(check)
        row = self._rows.get(check)
        if row is None or self.blind(self.model.checks[check].vantage):
            return _UNKNOWN
        return row.verdict

    def blind(self, vantage: str) -> bool:
        """Whether no reference target of this vantage answered its last question well; looked up once a transaction."""
        found = self._blind.get(vantage)
        if found is None:
            found = blind(self._rows, self.model.checks, self.references(vantage), self._now)
            self._blind[vantage] = found
        return found

    def references(self, vantage: str) -> tuple[str, ...]:
        """Ids of the vantage's reference checks; looked up once a model, since every verdict asks for them."""
        found = self._references.get(vantage)
        if found is None:
            found = self._references[vantage] = self.model.references(vantage)
        return found

    def reference_at(self, vantage: str, silent_at: float | None) -> float | None:
        """See `reference_at` below."""
        return reference_at(self.rows(), self.references(vantage), silent_at)

    def says(self, condition: Condition | None) -> Verdict:
        """The condition over verdicts; up where there is none."""
        return Verdict.UP if condition is None else evaluate(condition, self.verdict)

    def fresh(self, condition: Condition | None, since: float) -> Verdict:
        """The condition over single answers to questions sent at `since` or later; it does not wait for `rise`."""
        if condition is None:
            return Verdict.UP
        return evaluate(condition, lambda check: self.fresh_answer(check, since))

    def fresh_answer(self, check: str, since: float) -> Verdict:
        """One check's last answer, if its question was sent at `since` or later.

        A silence that no reference has answered for, before it and since, may be mine: unknown, not down.
        """
        row = self.rows().get(check)
        if row is None or row.last_sent_at < since or row.last_answer is Answer.NONE:
            return Verdict.UNKNOWN
        if row.last_answer is Answer.SILENT:
            reference_at = self.reference_at(self.model.checks[check].vantage, row.last_silent_at)
            if reference_at is None or reference_at < row.last_sent_at or not row.seen_silent:
                return Verdict.UNKNOWN
        return Verdict.UP if row.last_answer is Answer.GOOD else Verdict.DOWN

    def health(self, service: Service, by: Condition | None = None) -> Verdict:
        """The service's diagnosis; a down from before its last recovery, or planned move, counts when it is renewed.

        `by`: only what this says of it.
        """
        state = self.state(service)
        well_at = [at for at in (state.recovered_at, state.moved_at) if at is not None]
        recovered_at = max(well_at) if well_at else None

        def ask(check: str) -> Verdict:
            verdict = self.verdict(check)
            if verdict is _DOWN and recovered_at is not None:
                return self._renewed(self.model.checks[check], recovered_at, service.settle_s)
            return verdict

        return evaluate(by or service.healthy_when, ask)

    def _renewed(self, check: Check, recovered_at: float, settle_s: float) -> Verdict:
        row = self.rows()[check.id]
        rising_s = (check.rise + 1) * (check.every_s + check.timeout_s)
        windows_s = (w.over_s for w in (check.loss, check.latency) if w is not None)
        old_s = max(settle_s, rising_s, *windows_s)
        since_recovery = row.first_bad_at is not None and row.first_bad_at > recovered_at
        if since_recovery and row.bad_streak >= check.fall:
            return Verdict.DOWN
        if self.now() - recovered_at >= old_s:
            return Verdict.DOWN
        self.wake(recovered_at + old_s)
        return Verdict.UNKNOWN

    def behind(self, condition: Condition, verdict: Verdict) -> str:
        """The evidence for a condition's verdict, in one line."""
        names = blamed(condition, self.verdict, verdict) or list(dict.fromkeys(condition.checks()))
        return "; ".join(self.evidence(c) if verdict is Verdict.UP else self.evidence_of_verdict(c) for c in names)

    def evidence_of_verdict(self, check: str) -> str:
        """The same of what it counts as; where its last answers are good, that they do not suffice yet."""
        row, rise = self.rows().get(check), self.model.checks[check].rise
        if row is None or row.verdict not in (_DOWN, Verdict.UNKNOWN) or not 0 < row.good_streak < rise:
            return self.evidence(check)
        return f"{self.evidence(check)} ({row.verdict.value} until {rise} good in a row, {row.good_streak} so far)"

    def evidence(self, check: str) -> str:
        """What is known of one check, in one line."""
        row = self.rows().get(check)
        told = detector.evidence(row, self.model.checks[check], self._now) if row else ""
        return told or f"{check}: not answered since {self.watched_since(check)[1]}"

    def in_doubt(self, check: str) -> bool:
        """Whether a bad streak has begun although its verdict has not fallen yet."""
        row = self.rows().get(check)
        return row is not None and row.bad_streak > 0 and row.verdict in (Verdict.UP, Verdict.DEGRADED)

    def first_bad(self, condition: Condition, default: float) -> float:
        """The bad answer with which the condition was down: of the unbroken streaks behind the checks that are.

        Of `all`, the oldest; of `any`, the first bad answer of the check that fell last: until then it worked.
        """
        down = blamed(condition, self.verdict, Verdict.DOWN)
        bad = {c: t for c in down if (t := self._first_bad(c)) is not None}
        for at in sorted(set(bad.values())):
            fell_later = {c for c, t in bad.items() if t > at}
            if evaluate(condition, lambda c, x=fell_later: Verdict.UP if c in x else self.verdict(c)) is _DOWN:  # type: ignore[misc]
                return at
        return min(bad.values(), default=default)

    def _first_bad(self, check: str) -> float | None:
        """Of the streak that goes on, else of the one behind the verdict (a window's down has no streak)."""
        row, verdict = self.rows()[check], self.decided.verdicts.get(check)
        return row.first_bad_at if row.first_bad_at is not None or verdict is None else verdict.first_bad_at

    def worked_before(self, verdict: VerdictChanged) -> bool:
        """Whether the check was seen working shortly before the streak behind this down."""
        row = self.rows().get(verdict.check)
        good_at = row.last_good_at if row else None
        if good_at is None or verdict.first_bad_at is None:
            return False
        return good_at >= verdict.first_bad_at - self.model.checks[verdict.check].stale_after_s

    def watched_since(self, check: str) -> tuple[float, str]:
        """Since when, without a break, this check is asked as it is defined now; and what began then.

        Before that nobody looked: it was neither silent nor answered.
        """
        return self._watch.of(check)

    @property
    def looks_since(self) -> float:
        """Since when, without a break, a controller looks: before, nobody could."""
        began = self.decided.controller.at if self.decided.controller else 0.0
        return max(began, self._watch.at)

    def last_asked(self, check: str) -> float:
        """When the latest question was sent that has been answered; before all time if none was."""
        row = self.rows().get(check)
        return row.last_sent_at if row is not None else -FOREVER

    def last_good(self, condition: Condition) -> float | None:
        """The latest good answer of the checks that are down, or None."""
        down = blamed(condition, self.verdict, Verdict.DOWN)
        return max((t for c in down if (t := self.rows()[c].last_good_at) is not None), default=None)

    def state(self, service: Service) -> ServiceState:
        """What was decided of the service."""
        return self.decided.services[service.id]

    def incident(self, service: Service) -> Incident | None:
        """The service's open incident."""
        name = self.state(service).incident
        return self.decided.incidents[name] if name else None

    def limits(self, client: str) -> Limits:
        """The client's limits, or the workspace's."""
        return self.model.client_limits.get(client, self.model.limits)

    def forecast(self, move: str) -> Forecast | None:
        """How long the move will take, by its own live runs and nothing else; None without any."""
        return forecast(self.decided.durations.get(move, []), of=LIVE)

    def at_most_s(self, move: str) -> float | None:
        """The bound of that forecast: of few runs the longest of them."""
        return at_most_s(self.decided.durations.get(move, []))

    def data_age_s(self, check: str, until: float) -> float | None:
        """The measured age of the data found by this check, aged by its sample time; None when never measured."""
        row = self.rows().get(check)
        if row is None or row.measured_at is None:
            return None
        age_s = row.measures.get("data_age_s", row.measures.get("lag_s"))
        return None if age_s is None else age_s + max(0.0, until - row.measured_at)


def blind_since(tx: Transaction, vantage: str) -> float:
    """Since when no reference of this vantage answers: from the last good answer on, or from the first question.

    For as long as nobody looked nothing was blind: a streak from before counts where it goes on unbroken.
    """
    references = tx.references(vantage)
    rows = [row for c in references if (row := tx.rows().get(c)) is not None]
    good_at = max((row.last_good_at for row in rows if row.last_good_at is not None), default=None)
    asked_at = [at for row in rows for at in (row.first_bad_at, row.none_since) if at is not None]
    first_bad_at = min((at for at in asked_at if good_at is None or at >= good_at), default=None)
    began_at = watched_since(tx, references)[0]
    if good_at is not None and (good_at >= began_at or (first_bad_at is not None and first_bad_at < began_at)):
        return good_at
    return first_bad_at if first_bad_at is not None else began_at


def watched_since(tx: Transaction, checks: Iterable[str]) -> tuple[float, str]:
    """Since when the first of these is asked, and what began then."""
    return min(tx.watched_since(c) for c in checks)


def tell_command(due: NoticeDue, now: float) -> TellPeople:
    """The command that delivers a notice; one that is delivered late says of when it is."""
    late_s = now - due.at
    text = due.text if late_s < LATE_S else f"{due.text} (as of {show_duration(late_s)} ago)"
    return TellPeople(due.notice, due.kind, due.client, due.subject, text, due.say, due.to, due.details)


def percentile(values: list[float], share: float) -> float | None:
    """The nearest-rank percentile; None of nothing."""
    if not values:
        return None
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]
