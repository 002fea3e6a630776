"""Lines on a terminal."""

from __future__ import annotations

from io import StringIO

import pytest

from orchestrator.reports.text import Part, line, show


class Terminal(StringIO):
    """Narrow."""

    def isatty(self) -> bool:
        return True


def test_a_command_is_not_broken_over_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever copies the first of them would say another word."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    command = "bascule failover acme/web --move detour --override 'already engaged' --reason WHY"
    show([line("  remedy: go against it on record: ", Part(command, "bold"))], out)
    assert command in out.getvalue()
    out = Terminal()
    show([line("what is no command goes on in the next line, between two of its words")], out)
    assert [len(x) <= 40 for x in out.getvalue().splitlines()] == [True, True]
