"""What a playbook prints acts on a terminal as far as it may."""

from __future__ import annotations

import pytest

from orchestrator.runner.attached import Harmless

HARMLESS = "\x1b[0;31mred\x1b[0m café ✓\r\n\x1b[Kprogress\b\b\x1b[?25l"
ACTS = {
    "\x1b]0;OWNED\x07": "\\x1b]0;OWNED\x07",
    "\x1b[2J": "\\x1b[2J",
    "\x9b31m": "\\x9b31m",
    "\u202eevil": "\\u202eevil",
    "\x1b[999;999H": "\\x1b[999;999H",
    "\x1bc": "\\x1bc",
}


def test_lines_and_colours_pass() -> None:
    assert Harmless().pass_on(HARMLESS.encode()) == HARMLESS.encode()


@pytest.mark.parametrize("said", ACTS)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_what_acts_is_written_out_however_it_comes(said: str, size: int) -> None:
    harmless, data = Harmless(), f"a{said}b".encode()
    shown = b"".join(harmless.pass_on(data[at : at + size]) for at in range(0, len(data), size)) + harmless.rest()
    assert shown.decode() == f"a{ACTS[said]}b"


def test_a_sequence_that_comes_in_two_pieces_is_one() -> None:
    harmless = Harmless()
    assert harmless.pass_on(b"a\x1b[3") == b"a"
    assert harmless.pass_on(b"1mred") == b"\x1b[31mred"


def test_what_has_begun_and_does_not_go_on_is_shown() -> None:
    harmless = Harmless()
    assert harmless.pass_on(b"a\x1b[") == b"a"
    assert harmless.rest() == b"\\x1b["
