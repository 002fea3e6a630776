"""What the journal lets go of takes no proof with it."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core import records as r
from orchestrator.core.codec import encode
from orchestrator.journal.lease import Lease
from orchestrator.journal.sqlite import SqliteJournal, journal_path
from orchestrator.reports.evidence import Standing, TierEvidence, evidence
from orchestrator.reports.reader import reading_all
from tests.reports.sample import Tape, first_act, second_act, small_model


def flaps(tape: Tape, times: int) -> None:
    for n in range(times):
        tape.after(1.0).verdict(
            "acme/cloud-ready", r.Verdict.DOWN if n % 2 == 0 else r.Verdict.UP, "no reply", tape.now
        )


def ledger(workspace: Path, now: float) -> list[TierEvidence]:
    with reading_all(workspace) as journal:
        assert journal.state.model is not None
        return evidence(journal.state, journal.state.model, now, lambda _: True)


def test_proofs_are_the_same_before_and_after(tmp_path: Path) -> None:
    tape = Tape().begin().after(20.0)
    flaps(tape, 600)
    first_act(tape)
    flaps(tape, 600)
    second_act(tape)
    flaps(tape, 600)
    journal = SqliteJournal(journal_path(tmp_path))
    lease = journal.acquire("test", 1e6)
    assert isinstance(lease, Lease)
    journal.store_model("m1", encode(small_model()))
    for entry in tape.entries:
        journal.append(lease, entry.at, entry.wall, entry.records, {})
    journal.checkpoint(journal.last_seq(), encode(tape.read().decided))
    before = ledger(tmp_path, tape.now)
    assert [x.rto for x in before if x.service == "acme/erp"][:2] == [Standing.MEASURED] * 2
    gone = sum(journal.thin(lease, tape.now + 1.0, None))
    journal.close()
    assert gone > 1000
    assert ledger(tmp_path, tape.now) == before
