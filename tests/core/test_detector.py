"""From answers to verdicts: what a burst, a silence, a gap and a limping link come to."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from orchestrator.core.events import Answer, Observed
from orchestrator.core.health import detector
from orchestrator.core.health.detector import Row
from orchestrator.core.health.references import reference_at
from orchestrator.core.model import Check, LatencyWindow, LossWindow
from orchestrator.core.records import Verdict
from tests.core.world import check

ANSWERS = {"g": Answer.GOOD, "b": Answer.BAD, "s": Answer.SILENT, "n": Answer.NONE}


@dataclass
class Asked:
    """One check, asked once a second; `reference_at` is when its vantage's reference last answered well."""

    check: Check = field(default_factory=lambda: check("web"))
    row: Row = field(default_factory=Row)
    now: float = 0.0
    reference_at: float | None = None
    reference_follows: bool = True
    in_sight: bool = True  # a reference vouches for the moment of each question

    def hears(self, answers: str, rtt_s: float = 0.01) -> Verdict:
        """One letter an answer: good, bad, silent, none."""
        for letter in answers:
            self.now += 1.0
            if self.reference_follows:
                self.reference_at = self.now
            measures = {"rtt_s": rtt_s} if letter == "g" else {}
            seen = Observed(self.check.id, self.now, ANSWERS[letter], measures)
            self.row.verdict = detector.observe(
                self.row, self.check, seen, self.reference_at, self.now, in_sight=self.in_sight
            )
        return self.row.verdict

    def waits(self, for_s: float) -> Verdict:
        """Time passes without an answer."""
        self.now += for_s
        self.row.verdict = detector.reconsider(self.row, self.check, self.reference_at, self.now)
        return self.row.verdict


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ("g", "unknown"),
        ("gg", "up"),
        ("b", "unknown"),
        ("bb", "unknown"),
        ("bbb", "down"),
        ("ggb", "up"),
        ("ggbbg", "up"),
        ("ggbbgbbgbbg", "up"),  # bursts shorter than `fall` change nothing
        ("ggbbb", "down"),
        ("ggbbbg", "down"),
        ("ggbbbgb", "down"),
        ("ggbbbgg", "up"),
        ("ggsss", "down"),  # the reference answered
        ("ggn", "up"),
        ("ggnn", "up"),
        ("ggnnn", "unknown"),
        ("ggbnb", "up"),
        ("ggbnbb", "down"),  # no answer is no answer: neither good nor bad
        ("ggnnng", "unknown"),  # after unknown, a full rise
        ("ggnnngg", "up"),
        ("ggbbbnnnb", "unknown"),  # and a full fall
        ("ggbbbnnnbbb", "down"),
    ],
)
def test_verdicts_follow_rise_and_fall(answers: str, verdict: str) -> None:
    assert Asked().hears(answers) == verdict


def test_the_first_bad_answer_is_the_oldest_of_the_unbroken_streak() -> None:
    asked = Asked()
    asked.hears("ggbbgbbb")
    assert asked.row.first_bad_at == 6.0


def test_silence_is_not_down_while_no_reference_answers() -> None:
    asked = Asked(reference_follows=False)
    asked.hears("gg")
    asked.reference_at = asked.now
    assert asked.hears("sss") is Verdict.UP
    assert asked.waits(1.0) is Verdict.UP
    assert asked.waits(0.5) is Verdict.UNKNOWN


def test_a_reference_asked_no_earlier_than_the_last_silence_settles_it() -> None:
    asked = Asked(reference_follows=False)
    asked.hears("ggsss")
    asked.reference_at = asked.now - 0.1
    assert asked.waits(0.1) is Verdict.UP
    asked.reference_at = asked.now
    assert asked.waits(0.1) is Verdict.DOWN
    assert asked.row.first_bad_at == 3.0


def test_when_ones_own_uplink_comes_back_nothing_is_down_for_what_was_asked_before() -> None:
    """References answer first then; whatever else was asked while nothing could be seen says nothing."""
    asked = Asked(reference_follows=False)
    asked.hears("gg")
    asked.in_sight = False
    assert asked.hears("s" * 60) is Verdict.UNKNOWN
    asked.reference_at = asked.now
    assert asked.waits(0.1) is Verdict.UNKNOWN
    asked.in_sight = asked.reference_follows = True
    assert asked.hears("ss") is Verdict.UNKNOWN
    assert asked.hears("s") is Verdict.DOWN


def test_silences_in_sight_count_only_one_after_the_other() -> None:
    asked = Asked()
    asked.hears("ggss")
    asked.in_sight = False
    assert asked.hears("s") is Verdict.UP
    asked.in_sight = True
    assert asked.hears("ss") is Verdict.UP
    assert asked.hears("s") is Verdict.DOWN


def test_a_window_keeps_no_silence_that_may_be_mine() -> None:
    limping = check("link", fall=99, loss=LossWindow(down=0.4, up=0.1, over_s=60.0))
    asked = Asked(limping)
    asked.hears("g" * 12)
    asked.in_sight = False
    asked.hears("s" * 30)
    asked.in_sight = True
    assert asked.hears("g") is Verdict.UP


@pytest.mark.parametrize(
    ("answers", "sent_at", "vouches"),
    [
        ("gggg", 4.2, True),
        ("gggg", 5.4, True),
        ("gggg", 5.6, False),  # its next answer is overdue
        ("ggsg", 3.2, False),  # the break was then
        ("ggsg", 4.0, False),  # nobody can tell whether it was before the break's end
        ("ggsg", 4.1, True),
        ("ggs", 3.0, False),
        ("", 3.0, False),
    ],
)
def test_a_reference_vouches_for_what_was_asked_while_it_answered(answers: str, sent_at: float, vouches: bool) -> None:
    reference = Asked()
    reference.hears(answers)
    assert detector.vouches(reference.row, reference.check, sent_at) is vouches


@pytest.mark.parametrize(("silent_at", "confirmed_at"), [(3.0, None), (4.0, None), (4.1, 5.0)])
def test_a_reference_that_answers_since_that_very_moment_confirms_no_silence(
    silent_at: float, confirmed_at: float | None
) -> None:
    reference = Asked()
    reference.hears("ggsgg")
    assert reference_at({"ref": reference.row}, ["ref"], silent_at) == confirmed_at


def test_who_answers_badly_needs_no_reference() -> None:
    asked = Asked(reference_follows=False)
    assert asked.hears("ggbbb") is Verdict.DOWN


def test_a_late_answer_is_an_old_answer() -> None:
    asked = Asked()
    asked.hears("ggbbb")
    late = Observed(asked.check.id, 1.5, Answer.GOOD)
    assert detector.observe(asked.row, asked.check, late, None, asked.now, in_sight=True) is Verdict.DOWN
    assert asked.row.bad_streak == 3


def test_nothing_heard_for_too_long_is_unknown() -> None:
    asked = Asked()
    asked.hears("gg")
    assert asked.waits(asked.check.stale_after_s) is Verdict.UP
    assert asked.waits(0.1) is Verdict.UNKNOWN


def test_a_gap_breaks_a_streak() -> None:
    """Two bad answers an hour ago and one now are no streak of three, and no outage of an hour."""
    asked = Asked()
    asked.hears("ggbb")
    asked.now += 3600
    assert asked.hears("b") is Verdict.UP  # its verdict is reconsidered by time, not by this answer
    assert asked.hears("bb") is Verdict.DOWN
    assert asked.row.first_bad_at == asked.now - 2


def test_loss_takes_a_link_down_and_only_its_up_mark_brings_it_back() -> None:
    limping = check("link", fall=99, loss=LossWindow(down=0.4, up=0.1, over_s=20.0))
    asked = Asked(limping)
    assert asked.hears("g" * 12) is Verdict.UP
    assert asked.hears("gb" * 3) is Verdict.DEGRADED
    assert asked.hears("bbgbbgbb") is Verdict.DOWN
    assert asked.hears("gg") is Verdict.DOWN
    assert asked.hears("g" * 30) is Verdict.UP


def test_lost_replies_take_a_link_down_only_with_the_reference() -> None:
    limping = check("link", fall=99, loss=LossWindow(down=0.4, up=0.1, over_s=20.0))
    asked = Asked(limping, reference_follows=False)
    asked.hears("g" * 12)
    assert asked.hears("sg" * 10) is not Verdict.DOWN
    asked.reference_at = asked.now
    assert asked.hears("g") is Verdict.DOWN


def test_latency_alone_degrades_unless_it_is_said_to_fail() -> None:
    slow = check("link", latency=LatencyWindow(high_s=0.2, low_s=0.1, over_s=10.0))
    asked = Asked(slow)
    asked.hears("g" * 12)
    assert asked.hears("g" * 12, rtt_s=0.5) is Verdict.DEGRADED
    assert asked.hears("g" * 12, rtt_s=0.15) is Verdict.DEGRADED
    assert asked.hears("g" * 12, rtt_s=0.05) is Verdict.UP
    failing = Asked(check("link", latency=LatencyWindow(high_s=0.2, low_s=0.1, over_s=10.0, fails=True)))
    failing.hears("g" * 12)
    assert failing.hears("g" * 12, rtt_s=0.5) is Verdict.DOWN


@pytest.mark.parametrize(
    ("answers", "suspicious"),
    [("gg", False), ("ggb", True), ("ggbbb", False), ("ggbbbg", True), ("b", True), ("nnn", False), ("n", False)],
)
def test_a_streak_against_the_verdict_is_looked_at_more_often(answers: str, suspicious: bool) -> None:
    asked = Asked()
    asked.hears(answers)
    assert detector.suspicious(asked.row) is suspicious


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ("", "never answered"),
        ("n", "no answer"),
        ("gs", "no reply (1 bad in a row)"),
        ("gbb", "bad answer (2 bad in a row)"),
        ("g", "good answer"),
    ],
)
def test_evidence_is_one_line_an_operator_understands(answers: str, says: str) -> None:
    asked = Asked()
    asked.hears(answers)
    assert detector.evidence(asked.row, asked.check, asked.now) == f"acme/web: {says}"


def test_an_answer_that_was_too_long_on_its_way_says_nothing_of_now() -> None:
    """A replica's answer of long ago would raise the check and drop it again in the same breath."""
    slow = check("acme/replica", rise=1, fall=3, every_s=1.0, timeout_s=1.0)
    row = Row()
    late = Observed(slow.id, 10.0, Answer.GOOD, {"data_age_s": 0.2})
    assert detector.observe(row, slow, late, None, now=40.0, in_sight=True) is Verdict.UNKNOWN
    assert row.good_streak == 0
    assert row.measures == {"data_age_s": 0.2}
    assert row.measured_at == 10.0, "what it measured is kept, with the time of its question"
    assert (
        detector.observe(row, slow, Observed(slow.id, 39.9, Answer.GOOD), None, now=40.0, in_sight=True) is Verdict.UP
    )


# ---- windows, beside a plain statement of what they say


def said_plainly(row: Row, loss: LossWindow | None, latency: LatencyWindow | None) -> Verdict:
    """What loss and latency say of a window, one after the other."""
    verdict = Verdict.UP
    if len(row.window) < detector.WINDOW_MIN_ANSWERS:
        return verdict
    if loss is not None:
        share = sum(1 for _, rtt_s in row.window if rtt_s < 0) / len(row.window)
        if share >= loss.down:
            return Verdict.DOWN
        verdict = Verdict.DEGRADED if share > loss.up else verdict
    if latency is not None:
        times = [rtt_s for _, rtt_s in row.window if rtt_s >= 0]
        mean_s = sum(times) / len(times) if times else 0.0
        if mean_s >= latency.high_s:
            return Verdict.DOWN if latency.fails else Verdict.DEGRADED
        if mean_s > latency.low_s and row.verdict in (Verdict.DEGRADED, Verdict.DOWN):
            return Verdict.DEGRADED
    return verdict


@pytest.mark.parametrize("seed", range(5))
def test_a_window_says_what_its_definition_says(seed: int) -> None:
    luck = random.Random(seed)
    for _ in range(300):
        times = [(float(n), luck.choice([-1.0, 0.0, 0.01, 0.2, 0.5])) for n in range(luck.randrange(40))]
        row = Row(luck.choice(list(Verdict)), window=times)
        loss = luck.choice([None, LossWindow(0.4, 0.2, 30.0), LossWindow(0.2, 0.0, 30.0)])
        latency = luck.choice([None, LatencyWindow(0.2, 0.1, 30.0), LatencyWindow(0.1, 0.05, 30.0, fails=True)])
        assert detector._window_verdict(row, check("link", loss=loss, latency=latency)) is said_plainly(
            row, loss, latency
        )


def test_evidence_is_one_line_of_bounded_length() -> None:
    """A transcript of a plug-in, or a page of a server, is no sentence."""
    row = Row(last_sent_at=1.0, last_answer=Answer.BAD, bad_streak=2, detail="CRITICAL - disk full\n\n" + "x " * 4000)
    told = detector.evidence(row, Check("acme/disk", "acme", "disk", "", "nagios", {}), row.last_sent_at)
    assert told.startswith("acme/disk: CRITICAL - disk full x x")
    assert len(told) < 300
    assert "\n" not in told
