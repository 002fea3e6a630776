"""Lines on a terminal."""

from __future__ import annotations

from io import StringIO

import pytest

from orchestrator.reports.text import Part, folded, hanging, line, plain, show


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


def test_a_long_line_goes_on_below_itself() -> None:
    assert hanging("  one two three four", 14) == ["  one two", "      three", "      four"]
    assert hanging("  type: bascule drill due", 14) == ["  type: bascule drill due"]


def test_what_has_no_room_beside_its_head_stands_below_it() -> None:
    head, tail = line("i1  acme/erp  ", Part("open", "red")), line("no move")
    assert plain(folded(head, tail, 27)) == "i1  acme/erp  open  no move\n"
    assert plain(folded(head, tail, 26)) == "i1  acme/erp  open\n    no move\n"
