"""Lines on a terminal."""

from __future__ import annotations

from io import StringIO

import pytest

from orchestrator.cli.main import app
from orchestrator.reports.text import VERBS, Part, folded, hanging, in_rows, line, plain, show, wrap


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


COMMAND = "bascule approve r12 --plan 0123456789ab --reason 'the site is dark'"


@pytest.mark.parametrize("width", range(30, 100, 7))
def test_text_goes_on_in_the_next_line_and_the_command_in_it_stays_whole(width: int) -> None:
    told = f"waits for a person; to go on, whatever bascule itself is told meanwhile: {COMMAND}; or leave it as it is"
    lines = wrap("  it ", told, width)
    assert [x for x in lines if COMMAND in x], lines
    assert " ".join(x.strip() for x in lines) == f"it {told}"
    assert max(len(x) for x in lines if COMMAND not in x) <= width


def test_on_a_screen_a_command_has_a_row_of_its_own_or_goes_on_as_a_shell_reads_it() -> None:
    told = [line("    to approve it, type: ", Part(COMMAND, "bold"))]
    assert plain(in_rows(told, 80)).splitlines() == ["    to approve it, type:", COMMAND]
    narrow = plain(in_rows(told, 30)).splitlines()
    assert max(map(len, narrow)) <= 30
    assert narrow[0] == "    to approve it, type:"
    assert "\n".join(narrow[1:]).replace("\\\n", "") == COMMAND
    assert [x[-1] for x in narrow[1:-1]] == ["\\"] * (len(narrow) - 2)
    assert in_rows([line("short"), line()], 30) == [line("short"), line()]


def test_every_verb_is_known_as_one() -> None:
    assert {name for name in app if not name.startswith("-")} == set(VERBS)


@pytest.mark.parametrize("width", [2, 5, 10, 20])
def test_no_row_is_longer_than_the_screen_where_a_word_of_a_command_is(width: int) -> None:
    said = f"bascule approve {'r' * 30} --why 'it is as it should be'"
    rows = plain(in_rows([line(said)], width))
    assert max(map(len, rows.splitlines())) <= width
    assert rows.replace("\\\n", "").rstrip("\n") == said
