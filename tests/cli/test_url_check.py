"""A URL is asked in a fork; the answer is apprise's, whoever gives it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from orchestrator.cli.url_check import asked_beside
from orchestrator.notify.apprise_way import trouble_of

URLS = ["json://127.0.0.1:9/", "jsn://127.0.0.1:9/", "no scheme", "mailto://robot:s3cret@example.org", "tgram://x"]


def children() -> set[int]:
    """Processes of ours."""
    return {int(p) for p in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


@pytest.mark.parametrize("killed", [False, True])
def test_the_answer_is_the_same_wherever_it_is_found(tmp_path: Path, killed: bool) -> None:
    (tmp_path / "bascule.yml").write_text("notify: {ways: [{apprise: 'json://127.0.0.1:9/'}]}\n")
    before = children()
    with asked_beside(tmp_path) as ask:
        (fork,) = children() - before
        if killed:
            os.kill(fork, signal.SIGKILL)
        assert [ask(url) for url in URLS] == [trouble_of(url) for url in URLS]
    assert children() == before, "it ends with the question"


def test_nothing_is_forked_where_nobody_speaks_of_apprise(tmp_path: Path) -> None:
    (tmp_path / "bascule.yml").write_text("notify: {ways: [{command: [/bin/cat]}]}\n")
    before = children()
    with asked_beside(tmp_path) as ask:
        assert children() == before
        assert ask is trouble_of
