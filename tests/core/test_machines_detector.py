"""Any answers, any gaps, any silences: a check's verdict against a plain account of what was heard.

The account keeps every answer and looks back over them; the detector keeps a row and never looks back. Statements 9,
10 and 11 of `docs/architecture.md`.
"""

from __future__ import annotations

import copy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.engine import Engine
from orchestrator.core.model import Mode, Model, Service
from orchestrator.core.state.fold import fold
from tests.core.world import all_of, check

GOOD, BAD, SILENT, NONE = e.Answer.GOOD, e.Answer.BAD, e.Answer.SILENT, e.Answer.NONE
WEB, REF = "acme/web", "acme/ref"
Heard = tuple[float, e.Answer]


def small(fall: int, rise: int) -> Model:
    """A page with nothing to be done for it, and one reference."""
    checks = {WEB: check("web", fall=fall, rise=rise), REF: check("ref", reference=True)}
    web = Service(WEB, "acme", "web", all_of("web"), (), rto_s=300.0, mode=Mode.AUTO)
    return Model("small", checks, {}, {}, {WEB: web})


class Account:
    """Every answer of one check that counts, in the order of its questions."""

    def __init__(self, stale_s: float, fall: int) -> None:
        self.stale_s, self.fall = stale_s, fall
        self.heard: list[Heard] = []
        self.gaps: set[float] = set()  # answers after which nothing came until they were stale

    def hears(self, sent_at: float, answer: e.Answer, now: float) -> None:
        """An answer to a question older than the last one, or too long on its way, is an old answer."""
        if (not self.heard or sent_at > self.heard[-1][0]) and now <= sent_at + self.stale_s:
            self.heard.append((sent_at, answer))

    def waits(self, now: float) -> None:
        """Time has passed: what is stale now is no part of what comes later, however late the answers were."""
        if self.heard and now > self.asked_at + self.stale_s:
            self.gaps.add(self.asked_at)

    @property
    def asked_at(self) -> float:
        """When the last question was sent that was answered."""
        return self.heard[-1][0] if self.heard else -1.0

    def nones(self) -> int:
        """How many times in a row the probe could not ask, up to now."""
        count = 0
        for _, answer in reversed(self.heard):
            if answer is not NONE:
                break
            count += 1
        return count

    def streak(self) -> list[Heard]:
        """The unbroken row of equal answers up to now: all good, or all bad.

        No answer neither counts nor breaks, unless there were `fall` of them, or a gap.
        """
        found: list[Heard] = []
        later: float | None = None
        nones = 0
        for sent_at, answer in reversed(self.heard):
            nones = nones + 1 if answer is NONE else 0
            gap = later is not None and (later - sent_at > self.stale_s or sent_at in self.gaps)
            if nones >= self.fall or gap:
                break
            later = sent_at
            if answer is NONE:
                continue
            if found and (answer is GOOD) is not (found[-1][1] is GOOD):
                break
            found.append((sent_at, answer))
        return found[::-1]

    def bad_streak(self) -> list[Heard]:
        """The streak, if it is a bad one."""
        found = self.streak()
        return found if found and found[0][1] is not GOOD else []

    def good_streak(self) -> list[Heard]:
        """The streak, if it is a good one."""
        found = self.streak()
        return found if found and found[0][1] is GOOD else []


class OneCheck(RuleBasedStateMachine):
    """A check and its vantage's reference, asked at any beat, answering anything."""

    @initialize(fall=st.integers(1, 4), rise=st.integers(1, 3))
    def begin(self, fall: int, rise: int) -> None:
        """A controller starts."""
        self.model = small(fall, rise)
        self.fall, self.rise = fall, rise
        self.now, self.epoch = 0.0, 0
        self.accounts = {c.id: Account(c.stale_after_s, c.fall) for c in self.model.checks.values()}
        self.in_sight: set[tuple[str, float]] = set()  # silences asked while the reference answered
        self.entries: list[r.Record] = []
        self.engine = Engine(Model(""))
        self.starts(True)

    def steps(self, event: e.Event) -> None:
        """One event at this moment; what it changed must have its cause in what was heard."""
        outcome = self.engine.step(event, self.now)
        self.wake_at = outcome.wake_at
        self.entries += outcome.records
        for record in outcome.records:
            if isinstance(record, r.VerdictChanged):
                self.is_caused(record)
            elif isinstance(record, r.IncidentOpened):
                self.is_seen_by_somebody()

    def starts(self, same_boot: bool) -> None:
        self.epoch += 1
        self.steps(e.ControllerStarted(f"c{self.epoch}", self.epoch, "boot", same_boot))
        self.steps(e.ConfigurationLoaded(self.model))
        self.everybody_waits()

    @rule(
        name=st.sampled_from([WEB, WEB, WEB, REF]),
        answer=st.sampled_from([GOOD, BAD, SILENT, SILENT, NONE]),
        times=st.integers(1, 4),
        every_s=st.sampled_from([0.2, 0.5, 1.0, 2.5]),
    )
    def answers(self, name: str, answer: e.Answer, times: int, every_s: float) -> None:
        """A burst of equal answers, one a beat, each heard a moment after it was asked."""
        for _ in range(times):
            self.passes(every_s)
            self.hears(name, self.now - 0.01, answer)

    @rule(
        name=st.sampled_from([WEB, REF]),
        answer=st.sampled_from(list(e.Answer)),
        age_s=st.sampled_from([0.5, 3.0, 40.0]),
    )
    def answers_late(self, name: str, answer: e.Answer, age_s: float) -> None:
        """News of a question from long ago."""
        self.hears(name, self.now - age_s, answer)

    @rule(
        answer=st.sampled_from([GOOD, BAD, SILENT]),
        late=st.sampled_from(list(e.Answer)),
        before=st.integers(1, 3),
        after=st.integers(1, 3),
    )
    def answers_with_old_news_in_between(self, answer: e.Answer, late: e.Answer, before: int, after: int) -> None:
        """Old news breaks no streak and makes none longer."""
        self.answers(WEB, answer, before, 0.5)
        self.answers_late(WEB, late, 0.5)
        self.answers(WEB, answer, after, 0.5)

    @rule(for_s=st.sampled_from([0.1, 1.5, 6.0, 12.0, 60.0]))
    def nothing_is_heard(self, for_s: float) -> None:
        self.passes(for_s)

    @rule(same_boot=st.booleans(), for_s=st.sampled_from([0.0, 3.0, 30.0]))
    def another_controller_takes_over(self, same_boot: bool, for_s: float) -> None:
        """Streaks go on in the same boot; after another, everything is unknown."""
        self.now += for_s
        self.engine = Engine(self.model, fold(self.entries), copy.deepcopy(self.engine.rows))
        if not same_boot:
            for account in self.accounts.values():
                account.heard.clear()
                account.gaps.clear()
        self.starts(same_boot)

    def hears(self, name: str, sent_at: float, answer: e.Answer) -> None:
        if sent_at < 0:
            return
        if answer is SILENT and self.sees(sent_at):
            self.in_sight.add((name, sent_at))
        self.accounts[name].hears(sent_at, answer, self.now)
        self.steps(e.Observed(name, sent_at, answer))
        self.is_not_missed(name)

    def passes(self, for_s: float) -> None:
        """Time, with the wake-ups that the engine asked for."""
        until = self.now + for_s
        while self.wake_at <= until:
            self.now = max(self.now, self.wake_at)
            self.steps(e.Ticked())
            self.everybody_waits()
        self.now = until

    def everybody_waits(self) -> None:
        for account in self.accounts.values():
            account.waits(self.now)

    # ---- what must hold

    def is_caused(self, x: r.VerdictChanged) -> None:
        """Statements 9 and 11: no verdict without its full rise or fall of fresh answers."""
        account, of = self.accounts[x.check], self.model.checks[x.check]
        fresh = self.now <= account.asked_at + of.stale_after_s + of.every_s
        if x.verdict is r.Verdict.UP:
            assert len(account.good_streak()) >= of.rise
            assert fresh
        elif x.verdict is r.Verdict.DOWN:
            bad = account.bad_streak()
            assert len(bad) >= of.fall
            assert fresh
            assert x.first_bad_at == bad[0][0]
            silent = [at for at, answer in bad if answer is SILENT]
            spoken = len(bad) - len(silent)
            assert not silent or spoken >= of.fall or self.counts(x.check, silent, spoken)
        else:
            assert x.verdict is r.Verdict.UNKNOWN
            stale = self.now > account.asked_at + of.stale_after_s
            mute = account.nones() >= of.fall
            mine_perhaps = len(account.bad_streak()) >= of.fall and any(a is SILENT for _, a in account.bad_streak())
            assert stale or mute or mine_perhaps

    def is_seen_by_somebody(self) -> None:
        """Statement 10: an incident is opened only while a reference answers."""
        account, of = self.accounts[REF], self.model.checks[REF]
        assert account.heard
        assert account.heard[-1][1] is GOOD
        assert self.now <= account.asked_at + of.stale_after_s

    def is_not_missed(self, name: str) -> None:
        """The other way round: a full rise, fall or absence that needs nothing else is told at once."""
        account, of = self.accounts[name], self.model.checks[name]
        if not account.heard or self.now > account.asked_at + of.stale_after_s:
            return
        verdict, bad = self.engine.rows[name].verdict, account.bad_streak()
        if account.nones() >= of.fall:
            assert verdict is r.Verdict.UNKNOWN
        elif account.nones():
            return
        elif len(account.good_streak()) >= of.rise:
            assert verdict is r.Verdict.UP
        elif len(bad) >= of.fall:
            silent = [at for at, a in bad if a is SILENT]
            spoken = len(bad) - len(silent)
            if spoken >= of.fall or self.counts(name, silent, spoken):
                assert verdict is r.Verdict.DOWN

    def counts(self, name: str, silent: list[float], spoken: int) -> bool:
        """Whether silences take it down: the reference has answered since, and enough of them were asked in sight."""
        unseen = next((n for n, at in enumerate(reversed(silent)) if (name, at) not in self.in_sight), len(silent))
        good = self.accounts[REF].good_streak()
        since_before = bool(good) and good[0][0] < silent[-1] <= good[-1][0]
        return since_before and spoken + unseen >= self.model.checks[name].fall

    def sees(self, at: float) -> bool:
        """Whether the reference has answered without a break since before then, and last time not long before."""
        good = self.accounts[REF].good_streak()
        return bool(good) and good[0][0] < at and good[-1][0] >= at - 1.5 * self.model.checks[REF].every_s

    def reference_at(self) -> float:
        """When the latest question was sent that the reference answered well."""
        return max((at for at, answer in self.accounts[REF].heard if answer is GOOD), default=-1.0)

    @precondition(lambda self: hasattr(self, "engine"))
    @invariant()
    def what_was_not_heard_for_long_is_unknown(self) -> None:
        for name, account in self.accounts.items():
            of, row = self.model.checks[name], self.engine.rows.get(name)
            if row is not None and self.now > account.asked_at + of.stale_after_s + of.every_s + 0.1:
                assert row.verdict is r.Verdict.UNKNOWN

    @precondition(lambda self: hasattr(self, "engine"))
    @invariant()
    def who_sees_nothing_says_nothing(self) -> None:
        """Statement 10: while no reference answers, every verdict counts as unknown."""
        account, of = self.accounts[REF], self.model.checks[REF]
        sees = bool(account.heard) and account.heard[-1][1] is GOOD and self.now <= account.asked_at + of.stale_after_s
        if not sees:
            assert self.engine.transaction(self.now).verdict(WEB) is r.Verdict.UNKNOWN


TestOneCheck = OneCheck.TestCase
TestOneCheck.settings = settings(deadline=None, max_examples=80, stateful_step_count=25)
