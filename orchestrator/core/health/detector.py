"""From answers to verdicts: one row a check, changed by one answer at a time.

The one rule it keeps: no verdict changes without its fall or rise of fresh answers, and silence alone never
proves a check down, since it may be the vantage that is cut off.

    streak                                          verdict
    ------------------------------------------------------------------------------------
    `rise` good answers                             up (or degraded, if a window says so)
    `fall` bad answers, somebody answered badly     down
    `fall` bad answers, the last ones silent        down once a reference of the same vantage
                                                    has answered a question sent no earlier
                                                    than the last silence; unknown if none
                                                    has by the reference's own time-out
    of these silences, some asked out of sight      as before: they do not count, and `fall`
                                                    others must follow one another in sight
    `fall` times no answer at all, or too long ago  unknown
    no interface or address to ask from any more    as a bad answer, if a good one ever came

Counting streaks (HAProxy, keepalived) was preferred to averages for its simple promise: a burst shorter than
`fall` changes nothing. Loss and latency windows (dpinger, mwan3) stand beside it for links that limp.

In sight is what was asked while a reference of the vantage answered, without a break. One good answer afterwards is not
enough: when the vantage's own uplink comes back, its references are the first to answer, and everything else has been
silent for as long as the uplink was gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.core.events import Answer, Observed
from orchestrator.core.model import Check
from orchestrator.core.records import Verdict

_GOOD, _SILENT, _NONE = Answer.GOOD, Answer.SILENT, Answer.NONE  # named once: a member is slow to look up in 3.11
_UP, _DEGRADED, _DOWN, _UNKNOWN = Verdict.UP, Verdict.DEGRADED, Verdict.DOWN, Verdict.UNKNOWN

WINDOW_MIN_ANSWERS = 10  # a window with fewer answers has no opinion
SAID_MAX = 240  # characters of a probe's answer in evidence
REFERENCE_PATIENCE_S = 1.5  # how long a complete streak of silences waits for a reference before it is unknown


@dataclass(slots=True)
class Row:
    """What is kept of a check's answers. JSON-able by the record codec; times on the journal's axis."""

    verdict: Verdict = Verdict.UNKNOWN
    good_streak: int = 0
    bad_streak: int = 0
    none_streak: int = 0
    none_since: float | None = None  # when the first question of the streak without any answer was sent
    first_bad_at: float | None = None  # oldest bad answer of the unbroken bad streak
    first_good_at: float | None = None  # oldest good answer of the unbroken good streak
    last_good_at: float | None = None
    last_bad_at: float | None = None
    last_silent_at: float | None = None  # last silence within the bad streak
    seen_silent: int = 0  # silences within the bad streak that followed one another in sight, up to the last one
    spoken_bad: int = 0  # bad answers that were not silence, within the bad streak
    last_sent_at: float = -1.0
    last_answer: Answer = Answer.NONE
    detail: str = ""
    measures: Mapping[str, float] = field(default_factory=dict)
    measured_at: float | None = None  # when the question behind `measures` was sent
    suspended_at: float | None = None  # a full streak of silences waits for a reference since then
    silent_at: float | None = None  # last silence in sight; a window's down rests on it too
    window: list[tuple[float, float]] = field(default_factory=list)  # (sent_at, rtt_s; -1 for no good answer)


def needs_references(check: Check, answer: Answer) -> bool:
    """Whether it matters, for an answer to this check, what the references of its vantage have answered."""
    return answer is not _GOOD or check.loss is not None or check.latency is not None


def vouches(reference: Row, check: Check, sent_at: float) -> bool:
    """Whether this reference shows that a question of this moment was asked in sight: it answered about then.

    It has answered without a break since before (since that very moment is no proof), and last time no more than a beat
    and a half of its own earlier.
    """
    since, good_at = reference.first_good_at, reference.last_good_at
    return since is not None and since < sent_at and (good_at or 0.0) >= sent_at - 1.5 * check.every_s


def observe(
    row: Row, check: Check, seen: Observed, reference_at: float | None, now: float, *, in_sight: bool
) -> Verdict:
    """Take one answer into the row and give the verdict it leads to; the caller stores the verdict.

    `reference_at`: when the latest question was sent that a reference of this vantage answered well, and has done so
    without a break since before the last silence; or None.
    `in_sight`: whether one of them vouches for the moment of this question; both matter where `needs_references`.
    An answer to a question older than the last one counted is an old answer: it changes nothing. One that was so long
    on its way that a verdict resting on it would be stale counts for no streak; its measurements are kept, with their
    time.
    """
    sent_at, answer = seen.sent_at, seen.answer
    if seen.way_gone and answer is _NONE and row.last_good_at is not None:
        answer = Answer.BAD  # the very line that it was good on is gone; one that never was there is misspelt
    since_s, every_s = sent_at - row.last_sent_at, check.every_s
    if since_s <= 0.0:
        return row.verdict
    if now - sent_at > every_s and now > sent_at + check.stale_after_s:  # no sooner than a beat: spared for most
        _measure_late(row, seen)
        return row.verdict
    if since_s > every_s and since_s > check.stale_after_s:
        _after_a_gap(row)
    row.last_sent_at, row.last_answer, row.detail = sent_at, answer, seen.detail
    if seen.measures:
        row.measures, row.measured_at = seen.measures, sent_at
    if answer is _NONE:
        row.none_streak += 1
        if row.none_streak == 1:
            row.none_since = sent_at
        if row.none_streak < check.fall:
            return row.verdict
        _break_streaks(row)
        return _UNKNOWN
    row.none_streak = 0
    if answer is _GOOD:
        row.good_streak += 1
        row.bad_streak = row.spoken_bad = row.seen_silent = 0
        row.first_bad_at = row.last_silent_at = row.suspended_at = None
        row.last_good_at = sent_at
        if row.good_streak == 1:
            row.first_good_at = sent_at
    else:
        row.bad_streak += 1
        row.good_streak, row.first_good_at, row.last_bad_at = 0, None, sent_at
        if row.bad_streak == 1:
            row.first_bad_at = sent_at
        if answer is _SILENT:
            row.last_silent_at = sent_at
            row.seen_silent = row.seen_silent + 1 if in_sight else 0
        else:
            row.spoken_bad += 1
    if (check.loss is not None or check.latency is not None) and (in_sight or answer is not _SILENT):
        _keep_window(row, check, seen)
    return _verdict(row, check, reference_at, now)


def _measure_late(row: Row, seen: Observed) -> None:
    if seen.measures and (row.measured_at is None or seen.sent_at > row.measured_at):
        row.measures, row.measured_at = seen.measures, seen.sent_at


def reconsider(row: Row, check: Check, reference_at: float | None, now: float) -> Verdict:
    """The verdict when no new answer came: a reference answered, or time has passed."""
    if now > row.last_sent_at + check.stale_after_s:
        _after_a_gap(row)
        return Verdict.UNKNOWN
    if row.suspended_at is not None:
        return _verdict(row, check, reference_at, now)
    return row.verdict


def wake_at(row: Row, check: Check) -> float:
    """When `reconsider` may say something new without an answer."""
    stale = row.last_sent_at + check.stale_after_s
    if row.suspended_at is not None and row.verdict is not Verdict.UNKNOWN:
        return min(stale, row.suspended_at + REFERENCE_PATIENCE_S)
    return stale


def suspicious(row: Row) -> bool:
    """Whether its next answers matter more than usual: a streak against the verdict has begun."""
    verdict = row.verdict
    if verdict is _DOWN:
        return row.good_streak > 0
    if verdict is _UNKNOWN:
        waits = row.suspended_at is not None or row.none_streak > 0
        return row.good_streak > 0 or row.last_sent_at < 0 or (row.bad_streak > 0 and not waits)
    return row.bad_streak > 0


def interrupt(rows: Mapping[str, Row], checks: Iterable[str]) -> dict[str, Row | None]:
    """Answers to these checks were heard and are lost: no streak goes on over them. The rows that this changes."""
    found: dict[str, Row | None] = {}
    for name in checks:
        if (row := rows.get(name)) is not None:
            _break_streaks(row)
            found[name] = row
    return found


def _break_streaks(row: Row) -> None:
    """After a gap nothing is unbroken: a verdict needs its full rise or fall again, and a new first bad answer."""
    row.good_streak = row.bad_streak = row.spoken_bad = row.seen_silent = 0
    row.first_good_at = row.first_bad_at = row.last_silent_at = row.suspended_at = None


def _after_a_gap(row: Row) -> None:
    """Nor was it in vain all the time that it was asked: nobody asked, or nothing came of it."""
    _break_streaks(row)
    row.none_streak, row.none_since = 0, None


def _verdict(row: Row, check: Check, reference_at: float | None, now: float) -> Verdict:
    if row.bad_streak >= check.fall:
        return _fallen(row, check, reference_at, now)
    if check.loss is None and check.latency is None:
        return _UP if row.good_streak >= check.rise else row.verdict
    window = _window_verdict(row, check)
    if window is _DOWN and row.verdict is not _DOWN:
        oldest = row.window[0][0]
        silent = row.silent_at is not None and row.silent_at >= oldest
        confirmed = not silent or (reference_at is not None and reference_at >= (row.silent_at or 0.0))
        return _DOWN if confirmed else row.verdict
    if row.good_streak >= check.rise:
        if window is _DOWN or (row.verdict is _DOWN and window is _DEGRADED):
            return _DOWN  # the window must come back to its `up` first
        return _DEGRADED if window is _DEGRADED else _UP
    if row.verdict is _UP and window is _DEGRADED:
        return _DEGRADED
    return row.verdict


def _fallen(row: Row, check: Check, reference_at: float | None, now: float) -> Verdict:
    """A complete bad streak: down, unless it rests on silence that no reference has confirmed."""
    if row.verdict is _DOWN:
        row.suspended_at = None
        return _DOWN
    if row.spoken_bad >= check.fall or row.last_silent_at is None:
        row.suspended_at = None
        return _DOWN
    if reference_at is not None and reference_at >= row.last_silent_at:
        row.suspended_at = None
        return _DOWN if row.spoken_bad + row.seen_silent >= check.fall else row.verdict
    if row.suspended_at is None:
        row.suspended_at = now
    return _UNKNOWN if now >= row.suspended_at + REFERENCE_PATIENCE_S else row.verdict


def _keep_window(row: Row, check: Check, seen: Observed) -> None:
    good = seen.answer is _GOOD
    if seen.answer is _SILENT:
        row.silent_at = seen.sent_at
    row.window.append((seen.sent_at, seen.measures.get("rtt_s", 0.0) if good else -1.0))
    over_s = max(check.loss.over_s if check.loss else 0.0, check.latency.over_s if check.latency else 0.0)
    oldest = seen.sent_at - over_s
    while row.window and row.window[0][0] < oldest:
        row.window.pop(0)


def _window_verdict(row: Row, check: Check) -> Verdict:
    """Up, degraded or down by loss and latency; up where a window has no opinion."""
    answers = len(row.window)
    if answers < WINDOW_MIN_ANSWERS:
        return _UP
    verdict = _UP
    times = [rtt_s for _, rtt_s in row.window if rtt_s >= 0]
    if check.loss is not None:
        loss = (answers - len(times)) / answers
        if loss >= check.loss.down:
            return _DOWN
        if loss > check.loss.up:
            verdict = _DEGRADED
    if check.latency is not None:
        mean_s = sum(times) / len(times) if times else 0.0
        if mean_s >= check.latency.high_s:
            return _DOWN if check.latency.fails else _DEGRADED
        if mean_s > check.latency.low_s and row.verdict in (_DEGRADED, _DOWN):
            verdict = _DEGRADED
    return verdict


def _limps(row: Row, check: Check) -> str:
    """Why a window calls it degraded, with the window's figures."""
    said, answers = [], len(row.window)
    times = [rtt_s for _, rtt_s in row.window if rtt_s >= 0]
    if check.loss is not None and loss_share(row) > check.loss.up:
        said.append(f"loss {loss_share(row):.0%} of {answers} in {check.loss.over_s:g} s (up at {check.loss.up:.0%})")
    mean_s = sum(times) / len(times) if times else 0.0
    if check.latency is not None and mean_s > check.latency.low_s:
        over_s, low_ms = check.latency.over_s, check.latency.low_s * 1000
        said.append(f"mean {mean_s * 1000:.0f} ms of {len(times)} in {over_s:g} s (up at {low_ms:.0f} ms)")
    return f"degraded: {'; '.join(said)}" if said else "degraded, its window is better now"


def loss_share(row: Row) -> float:
    """Share of the window's questions without a good answer, 0..1; 0 without a window."""
    return sum(1 for _, rtt_s in row.window if rtt_s < 0) / len(row.window) if row.window else 0.0


def evidence(row: Row, check: Check, now: float) -> str:
    """What an operator should know of this check now, in one line of bounded length, the answer first."""
    if row.last_sent_at < 0:
        return f"{check.id}: never answered"
    if now > row.last_sent_at + check.stale_after_s:
        return f"{check.id}: nothing heard lately (before that: {_said(row, check)})"
    return f"{check.id}: {_said(row, check)}"


def _said(row: Row, check: Check) -> str:
    """The same, of its last answer."""
    said = one_line(row.detail)
    if row.last_answer is Answer.NONE:
        return f"no answer from the probe ({said})" if said else "no answer"
    if row.bad_streak:
        what = said or ("no reply" if row.last_answer is Answer.SILENT else "bad answer")
        return f"{what} ({row.bad_streak} bad in a row)"
    if row.verdict is _DEGRADED and len(row.window) >= WINDOW_MIN_ANSWERS:
        return _limps(row, check)
    if row.window and loss_share(row) > 0:
        return f"loss {loss_share(row):.0%} of {len(row.window)}"
    return said or "good answer"


def one_line(text: str) -> str:
    """What somebody else has said, as a part of a sentence: without line breaks, and no longer than is read."""
    said = " ".join(text.split())
    return said if len(said) <= SAID_MAX else said[: SAID_MAX - 1].rstrip() + "…"
