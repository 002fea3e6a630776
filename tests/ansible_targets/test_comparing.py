"""What is compared of two plays of one target, and what a run finds again. Nothing is played here."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.ansible_targets.compare import OVER, Play, differences
from scripts.ansible_targets.kept import Kept

SAID = """
TASK [copy : a file] ***********************************************************
changed: [one]
ASYNC POLL on one: jid=j12.34 started=1 finished=0
ok: [two] => {"path": "/tmp/ansible-tmp-1/x"}

PLAY RECAP *********************************************************************
one                        : ok=1    changed=1    unreachable=0    failed=0
"""


def play(said: str = SAID, code: int = 0, *, calls: int = 1, target: int = 0, out: str = "") -> Play:
    """One that has called `ansible-playbook` so often."""
    call: dict[str, object] = {"stdout": said, "stderr": "", "code": code, "executor": "warm", "took_s": 1.0}
    return Play(target, [call] * calls, out)


def test_the_moment_is_no_difference() -> None:
    """Which host of two was first, how often a task was asked about, paths of temporary files."""
    other = SAID.replace("changed: [one]\n", "").replace('x"}\n', 'x"}\nchanged: [one]\n').replace("tmp-1", "tmp-23")
    other = other.replace("ASYNC POLL on one: jid=j12.34 started=1 finished=0\n", "")
    assert differences(play(other), play()) == []
    assert differences(play("included: x for one, two\n"), play("included: x for two, one\n")) == []


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (play(code=2), "call 1: exit code 2, not 0"),
        (play(target=1), "exit code 1, not 0"),
        (play(calls=2), "2 calls of ansible-playbook, not 1"),
        (
            play(SAID.replace("changed: [one]", "ok: [one]")),
            "call 1: TASK [copy : a file]: ok: [one], not changed: [one]",
        ),
        (play(SAID.replace("failed=0", "failed=1")), "call 1: TASK [copy : a file]: one ok=1"),
        (play(SAID.partition("\nPLAY")[0]), "call 1: TASK [copy : a file]: the end, not PLAY RECAP"),
        (play(SAID.replace("a file", "another")), "call 1: : TASK [copy : another], not TASK [copy : a file]"),
    ],
)
def test_what_differs_is_told(other: Play, told: str) -> None:
    """Exit code, number of calls, outcome of a task on a host, recap, tasks."""
    found = differences(other, play())
    assert any(line.startswith(told) for line in found), found


def test_hosts_that_go_on_at_their_own_pace_are_compared_one_by_one() -> None:
    """`strategy: free`: which one is first is the moment's; what each of them came to is not."""
    one = "TASK [a] ***\nok: [x]\nTASK [b] ***\nchanged: [x]\nTASK [a] ***\nok: [y]\nTASK [b] ***\nchanged: [y]\n"
    two = "TASK [a] ***\nok: [x]\nok: [y]\nTASK [b] ***\nchanged: [x]\nchanged: [y]\n"
    assert differences(play(one), play(two)) == differences(play(two), play(one)) == []
    assert differences(play(one.replace("ok: [y]", "changed: [y]")), play(two)) != []
    swapped = "TASK [b] ***\nchanged: [x]\nchanged: [y]\nTASK [a] ***\nok: [x]\nok: [y]\n"
    assert differences(play(swapped), play(two)) != []
    assert (
        differences(
            play("TASK [a] ***\nincluded: f for x\nTASK [a] ***\nincluded: f for y\n"),
            play("TASK [a] ***\nincluded: f for x, y\n"),
        )
        == []
    )


def test_what_cannot_be_compared_says_why() -> None:
    """It does not pass by ansible-playbook itself: then another that fails as well shows nothing."""
    assert play().why_not == ""
    assert play(target=OVER).why_not == "it takes too long"
    assert play(calls=0).why_not == "it does not call ansible-playbook"
    failed = play(target=2, out="fatal: [one]: FAILED! => no docker here\nPLAY RECAP\n")
    assert failed.why_not == "exit code 2 by ansible-playbook itself: fatal: [one]: FAILED! => no docker here"


def test_a_run_goes_on(tmp_path: Path) -> None:
    """What was played is found again by target, connection and way; what is dropped is played anew."""
    kept = Kept(tmp_path / "played")
    assert kept.find("copy", "ssh", "warm") is None
    kept.keep("copy", "ssh", "warm", play())
    assert Kept(tmp_path / "played").find("copy", "ssh", "warm") == play()
    assert kept.find("copy", "local", "warm") is None
    kept.drop("copy", "ssh", "warm")
    assert kept.find("copy", "ssh", "warm") is None
