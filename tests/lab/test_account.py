"""The end user's account: outages, losses counted once, acknowledgements from a fenced side."""

from __future__ import annotations

import json

import pytest

from orchestrator.lab.account import Act, Attempt, Fence, account, attempts_of, outages

BEAT_S = 0.1


def story(*parts: tuple[float, str, str]) -> list[Attempt]:
    """Attempts on a beat: for so many seconds this outcome, served by this place; ids are `t<number>`."""
    attempts: list[Attempt] = []
    for seconds, outcome, by in parts:
        for _ in range(round(seconds / BEAT_S)):
            number = len(attempts)
            why = "" if outcome == "acknowledged" else "no route"
            attempts.append(Attempt(number, f"t{number}", number * BEAT_S, 0.01, outcome, by, why))
    return attempts


def ids(attempts: list[Attempt], *, but: tuple[str, ...] = ()) -> set[str]:
    """What exists: everything acknowledged, but these."""
    return {attempt.id for attempt in attempts if attempt.acknowledged} - set(but)


def test_an_outage_lasts_from_the_last_success_before_to_the_first_after() -> None:
    attempts = story((2, "acknowledged", "hq"), (3, "unknown", ""), (2, "acknowledged", "geo"))
    (outage,) = outages(attempts)
    assert (round(outage.began_s, 2), round(outage.ended_s, 2)) == (1.91, 5.01)
    assert (outage.over, outage.failed) == (True, 30)


def test_a_hiccup_and_a_meter_that_paused_are_no_outage() -> None:
    hiccup = story((2, "acknowledged", "hq"), (0.2, "unknown", ""), (2, "acknowledged", "hq"))
    assert outages(hiccup) == []
    paused = [attempt for attempt in story((6, "acknowledged", "hq")) if not 2 < attempt.wall_s < 4]
    assert outages(paused) == []


def test_an_outage_that_never_ended_says_so() -> None:
    attempts = story((2, "acknowledged", "hq"), (3, "refused", ""))
    (outage,) = outages(attempts)
    assert (outage.over, outage.failed, round(outage.seconds, 1)) == (False, 30, 3.0)
    (only,) = account(attempts, [Act("one", 2.0, 5.0)], [None])
    assert (only.recovered, only.loss_known) == (False, False)


def test_a_loss_belongs_to_the_first_act_after_which_it_is_missing() -> None:
    attempts = story(
        (2, "acknowledged", "hq"),
        (1, "refused", ""),
        (2, "acknowledged", "geo"),
        (1, "refused", ""),
        (2, "acknowledged", "cloud"),
    )
    acts = [Act("geo", 2.0, 5.0, lost_at_s=2.0), Act("cloud", 5.0, 8.0, lost_at_s=5.0)]
    first, second = account(
        attempts,
        acts,
        [ids(attempts, but=("t18", "t19")), ids(attempts, but=("t18", "t19", "t47"))],
    )
    assert first.lost_ids == ("t18", "t19")
    assert first.oldest_lost_age_s == pytest.approx(2.0 - 1.81)
    assert second.lost_ids == ("t47",)
    assert second.oldest_lost_age_s == pytest.approx(5.0 - 4.71)
    assert [dict(each.served_by) for each in (first, second)] == [{"geo": 20}, {"cloud": 20}]
    assert [round(each.longest_s, 1) for each in (first, second)] == [1.1, 1.1]


def test_an_unknown_transaction_was_never_promised() -> None:
    attempts = story((2, "acknowledged", "hq"), (1, "unknown", ""), (1, "acknowledged", "hq"))
    (only,) = account(attempts, [Act("one", 2.0, 4.0)], [ids(attempts)])
    assert (only.lost_ids, only.oldest_lost_age_s, only.unknown, only.refused) == ((), None, 10, 0)


def test_an_outage_begun_just_before_the_cut_was_recorded_belongs_to_that_act() -> None:
    attempts = story((2, "acknowledged", "hq"), (2, "unknown", ""), (2, "acknowledged", "hq"))
    before, after = account(attempts, [Act("quiet", 0.0, 2.05), Act("cut", 2.05, 6.0)], [None, None])
    assert (before.outages, len(after.outages)) == ((), 1)


def test_an_acknowledgement_from_a_fenced_side_is_a_failure() -> None:
    attempts = story((2, "acknowledged", "hq"), (1, "acknowledged", "geo"), (0.3, "acknowledged", "hq"))
    act = Act("split", 0.0, 4.0)
    (only,) = account(attempts, [act], [ids(attempts)], [Fence("hq", 2.0)])
    assert only.fenced_acknowledgements == ("t30", "t31", "t32")
    (only,) = account(attempts, [act], [ids(attempts)], [Fence("hq", 2.0, 3.0)])
    assert only.fenced_acknowledgements == (), "released before"


def test_acts_without_their_reads_back_are_refused() -> None:
    with pytest.raises(ValueError, match="1 acts, but 0 lists"):
        account([], [Act("one", 0.0, 1.0)], [])


def test_a_log_is_read_in_the_order_of_the_beats_and_a_torn_line_is_skipped() -> None:
    line = {"n": 1, "id": "b", "wall": 2.0, "took_s": 0.2, "outcome": "refused", "by": "", "why": "x", "address": ""}
    earlier = {**line, "n": 0, "id": "a", "wall": 1.0}
    text = ['{"meter": "transaction"}', json.dumps(line), json.dumps(earlier), json.dumps(line)[:30]]
    assert [attempt.id for attempt in attempts_of(text)] == ["a", "b"]


def test_the_account_goes_into_a_report() -> None:
    attempts = story((2, "acknowledged", "hq"), (1, "refused", ""), (1, "acknowledged", "hq"))
    (only,) = account(attempts, [Act("one", 2.0, 4.0)], [ids(attempts, but=("t3",))])
    told = json.loads(json.dumps(only.as_json()))
    assert (told["lost"], told["longest_s"], told["recovered"]) == (1, 1.1, True)
    assert told["reasons"] == {"no route": 10}
