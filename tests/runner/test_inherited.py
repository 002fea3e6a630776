"""A program that one call has left behind serves no call that would hand on other limits to its playbook."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.runner.warm.inherited import inherited

KEY = "from orchestrator.runner.warm.alone import find; found = find({}); print(found and found.key)"


def lowered(limit: int) -> Callable[[], None]:
    """To a half of what it may be."""
    hard = resource.getrlimit(limit)[1]
    return lambda: resource.setrlimit(limit, (1 << 30 if hard == resource.RLIM_INFINITY else hard // 2, hard))


CHANGES: dict[str, Callable[[], object]] = {
    "nice": lambda: os.nice(5),
    "size of files": lowered(resource.RLIMIT_FSIZE),
    "time of processors": lowered(resource.RLIMIT_CPU),
    "processes": lowered(resource.RLIMIT_NPROC),
    "rank": lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
    "first to be killed": lambda: Path("/proc/self/oom_score_adj").write_text("500"),
}


def key(place: Path, change: Callable[[], object] | None) -> str:
    """Of the program that a call would find."""
    done = subprocess.run(
        [sys.executable, "-c", KEY],
        env={**os.environ, "XDG_RUNTIME_DIR": str(place)},
        preexec_fn=change,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_what_a_call_would_hand_on_tells_which_program_serves_it(tmp_path: Path) -> None:
    own = key(tmp_path, None)
    assert own == key(tmp_path, None)
    same = {name for name, change in CHANGES.items() if key(tmp_path, change) == own}
    assert own != "None"
    assert same == set()


def test_two_logins_of_one_person_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a scope of its own, and no limits."""
    told = []
    for scope in ("session-3", "session-12", "tmux-spawn-1b2c-9f"):
        monkeypatch.setattr(
            "orchestrator.runner.warm.inherited._said", lambda name, scope=scope: f"0::/user.slice/{scope}.scope\n"
        )
        told.append(inherited()["groups"])
    assert len(set(map(str, told))) == 1
