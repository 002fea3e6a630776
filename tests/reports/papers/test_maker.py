"""By what a report was made: another program that may say otherwise is called otherwise, and told beside a fault."""

from __future__ import annotations

import json
import re
from pathlib import Path

from orchestrator.reports.papers import maker
from orchestrator.reports.papers.printing import Papers, verified
from orchestrator.reports.papers.sealing import check, text_of
from tests.reports.papers.told import sliced, three_acts

BEFORE, NOW = "bascule 0.1.0", "bascule 0.1.0 (0a1b2c3d)"
HINT = f"made_by: it was made by {BEFORE}, and this is {NOW}: check it with that one"


def before() -> Papers:
    """A report that an earlier program made."""
    return Papers(sliced(three_acts(), "i1"), BEFORE)


def test_what_works_reports_out_is_a_part_of_the_name(tmp_path: Path) -> None:
    assert re.fullmatch(r"bascule \S+ \([0-9a-f]{8}\)", maker.made_by())
    for part in maker.PARTS:
        (tmp_path / part / "__pycache__").mkdir(parents=True)
    was = maker.digest_of(tmp_path)
    (tmp_path / "reports" / "__pycache__" / "cost.pyc").write_text("compiled")
    assert maker.digest_of(tmp_path) == was
    (tmp_path / "reports" / "cost.py").write_text("another figure")
    assert maker.digest_of(tmp_path) != was


def test_a_page_that_an_earlier_program_made_alike_is_as_it_was_written() -> None:
    assert verified(before().html(), NOW).wrong == ()


def test_a_page_that_an_earlier_program_laid_out_otherwise_is_not_only_said_to_be_changed() -> None:
    page, *more = verified(before().html().replace("margin: 0", "margin: 1px", 1), NOW).wrong
    assert str(page).startswith("page, ")
    assert [str(x) for x in more] == [HINT]


def test_a_file_of_before_with_many_other_values_still_says_who_made_it() -> None:
    data = json.loads(before().file)
    for name in list(data["report"]):
        del data["report"][name]
    assert len(check(text_of(data), NOW).wrong) > 20
    assert str(check(text_of(data), NOW).wrong[-1]) == HINT
