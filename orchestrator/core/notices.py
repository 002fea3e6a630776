"""Notices that reached nobody: told again until somebody has been told.

The one rule it keeps: what waits for a person is not forgotten because a line was down. Whoever delivers has retried by
then; this goes on at a slower beat, for what needs somebody to act (`commands.MUST_BE_HEARD`).
"""

from __future__ import annotations

from orchestrator.core import records as r
from orchestrator.core.events import NoticeDelivered, NoticeFailed
from orchestrator.core.turn import Turn, tell_command

AGAIN_S = 60.0  # after the first failure; twice as long after each further one
AGAIN_MOST_S = 600.0


def repeat(turn: Turn) -> None:
    """Tell again what is due again."""
    for notice in list(turn.decided.notices.values()):
        if notice.failed_at is None:
            continue
        due = notice.failed_at + min(AGAIN_S * 2.0 ** (notice.failures - 1), AGAIN_MOST_S)
        if turn.now >= due:
            turn.record(r.NoticeRepeated(turn.now, notice.due.notice))
            turn.command(tell_command(notice.due))
        else:
            turn.wake(due)


def settle(turn: Turn, event: NoticeDelivered | NoticeFailed) -> None:
    """Remember what came of a notice; of one that was settled before nothing more comes."""
    delivered = isinstance(event, NoticeDelivered)
    if event.notice in turn.decided.notices:
        evidence = event.through if isinstance(event, NoticeDelivered) else event.detail
        turn.record(r.NoticeSettled(turn.now, event.notice, delivered, evidence))
