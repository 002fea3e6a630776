"""Whether all can be seen and done: said by exit code, and on a real terminal of any size."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from orchestrator.cli.output import READER_GONE
from orchestrator.core import records as r
from orchestrator.core.awareness.readiness import Item, Lack
from orchestrator.core.awareness.sight import ServiceSeen, Sight
from orchestrator.core.codec import encode
from orchestrator.core.events import WordKind
from orchestrator.core.reasons import Reason
from tests.cli.conftest import Bascule, Kept, Straw
from tests.reports.sample import Tape

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def well() -> Tape:
    return Tape().begin().after(20.0)


def sees(straw: Straw, *items: Item, **trouble: object) -> None:
    """What the daemon of straw says that it sees."""
    services = {"acme/erp": ServiceSeen("up"), "acme/mail": ServiceSeen("up"), "bistro/erp": ServiceSeen("up")}
    found = encode(Sight(120.0, items, services))
    straw.sees = {"sight": found, "broken": None, **trouble}  # type: ignore[dict-item]


def lack(client: str, excused: str = "") -> Item:
    return Item(Lack.LOGIN, client, f"{client}/login@db", 60.0, "refused", "tier 1 may not work", "", (), excused)


def test_all_is_well(kept: Kept, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 0."""
    kept.keep(well())
    sees(straw)
    assert bascule("ready") == 0
    assert capsys.readouterr().out == "ready: 3 services; everything can be seen and done, and a daemon watches\n"
    assert bascule("ready", "acme", "--json") == 0
    assert json.loads(capsys.readouterr().out)["cannot"] == []


def test_what_lacks_is_listed(kept: Kept, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, but for clients that lack nothing; what a maintenance explains is shown, and no failure."""
    kept.keep(well())
    sees(straw, lack("acme"), lack("bistro", "in maintenance (bistro) for another 5:00"))
    assert bascule("ready") == 1
    text = capsys.readouterr().out
    assert "acme/login@db: refused" in text
    assert "so: tier 1 may not work" in text
    assert bascule("ready", "bistro") == 0
    text = capsys.readouterr().out
    assert "expected: in maintenance (bistro)" in text
    assert "acme" not in text
    assert bascule("ready", "acme", "--json") == 1
    assert [x["subject"] for x in json.loads(capsys.readouterr().out)["cannot"]] == ["acme/login@db"]


def test_what_is_no_lack_and_is_not_done_all_the_same(
    kept: Kept, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """In an incident without a tier left, and held, not everything can be done: the exit code is of sight and means."""
    tape = well()
    tape.incident("i1", "acme/hq", "no reply", first_bad=tape.now - 2.0, last_good=None)
    tape.write(r.ServiceJudged(tape.now, "i1", r.Decision.ASK, Reason.NO_TIER_LEFT, "tier 1: not viable"))
    tape.write(
        r.WordAccepted(tape.now, "w1", WordKind.HOLD, "Ann", "acme/mail", "cables", Reason.ASKED_BY_OPERATOR, "", None)
    )
    kept.keep(tape)
    sees(straw)
    assert bascule("ready") == 0
    text = capsys.readouterr().out
    assert "everything" not in text
    assert "ready: 3 services; nothing else is lacking, and a daemon watches" in text
    assert "  acme/erp: i1 is open (ask: no tier left): bascule status acme/erp" in text
    assert "  acme/mail: held by Ann: cables" in text


def test_what_a_removed_client_left(
    kept: Kept, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody watches it, and it still acts."""
    tape = well()
    tape.write(r.MoveEngaged(tape.now, "gone/backup-isp", True, "r1"))
    kept.keep(tape)
    sees(straw)
    assert bascule("ready") == 0
    text = capsys.readouterr().out
    assert "nothing else is lacking" in text
    assert "  gone/backup-isp is in effect since r1, and its client is none of the configuration any more" in text
    assert bascule("ready", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["left"]) == 1


def test_what_the_daemon_lacks_itself(
    kept: Kept, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """An old inventory, a way that cannot be used, a log that nobody reads: each is listed, with whom it concerns."""
    kept.keep(well())
    in_force = {"as_last_read": {"acme": "the inventory as it was read on Monday"}, "lost_ways": ["chat"]}
    sees(straw, configuration=in_force, log={"trouble": "its reader is gone", "missing": 3})
    assert bascule("ready") == 1
    text = capsys.readouterr().out
    assert "inventory unread: inventory: the inventory as it was read on Monday" in text
    assert "telling failed: chat: it stands in a broken file" in text
    assert "log lost: log: its reader is gone" in text
    assert bascule("ready", "bistro") == 1
    assert "Monday" not in capsys.readouterr().out, "another client's"


def test_nobody_to_tell_and_an_anchor_that_fails(
    kept: Kept, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """The daemon knows both, and no journal does; who cannot be told is one client's, the journal is everybody's."""
    kept.keep(well())
    sees(straw, untold={"acme": "nobody is on call"}, unanchored={"file /mnt/heads": "No such file or directory"})
    assert bascule("ready") == 1
    text = capsys.readouterr().out
    assert "nobody to tell: acme: nobody is on call" in text
    assert "so: nobody learns of an outage" in text
    assert "head not kept elsewhere: file /mnt/heads: No such file or directory" in text
    assert bascule("status", "bistro") == 0
    text = capsys.readouterr().out
    assert "nobody is on call" not in text
    assert "head not kept elsewhere" in text


def test_a_schedule_that_cannot_be_worked_out_is_that_clients(
    kept: Kept, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    kept.keep(well())
    sees(straw, unscheduled={"acme/nightly": "this machine knows no time zone 'Mars/Olympus'"})
    assert bascule("ready") == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "schedule unknown: acme/nightly: this machine knows no time zone 'Mars/Olympus'" in text
    assert "so: nothing of this schedule begins, and none of its times is told" in text
    assert bascule("status", "acme") == 0
    assert "Mars/Olympus" in capsys.readouterr().out
    bascule("ready", "bistro")
    assert "Mars" not in capsys.readouterr().out, "another client's"


def test_a_daemon_in_trouble(kept: Kept, straw: Straw, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot write: nothing of what it saw is of now."""
    kept.keep(well())
    in_force = {"invalid": ["services.yml:1:1: no such key"]}
    sees(straw, sight=None, broken="no space is left on the disk", configuration=in_force)
    assert bascule("ready") == 1
    text = capsys.readouterr().out
    assert "cannot write: journal: no space is left on the disk" in text
    assert "configuration invalid: files: services.yml:1:1" in text
    assert bascule("status") == 0
    assert "unknown  (was up)" in capsys.readouterr().out


def test_nobody_watching_is_the_first_thing_that_lacks(
    kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where nothing has ever run."""
    kept.keep(well())
    assert bascule("ready") == 1
    text = capsys.readouterr().out
    assert "nobody watches" in text
    assert "type: bascule daemon" in text


def test_an_empty_workspace_is_not_ready(workspace: Path, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    assert bascule("ready") == 1
    assert "no controller has ever run here" in capsys.readouterr().out
    assert not (workspace / ".bascule").exists()


def test_unknown_names_are_wrong_calls(kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    """With the nearest ones."""
    kept.keep(well())
    for verb in ("status", "ready"):
        assert bascule(verb, "acme/epr") == 2
        assert "acme/erp" in capsys.readouterr().err
        assert bascule(verb, "bistr") == 2
        assert "bistro" in capsys.readouterr().err


def test_status_of_a_service_shows_its_moves(kept: Kept, bascule: Bascule, capsys: pytest.CaptureFixture[str]) -> None:
    kept.keep(well())
    assert bascule("status", "acme/erp") == 0
    text = capsys.readouterr().out
    assert "tier 2: geo-site to geo" in text
    assert "acme/mail" not in text
    assert bascule("status", "acme", "--json") == 0
    assert {s["id"] for s in json.loads(capsys.readouterr().out)["services"]} == {"acme/erp", "acme/mail"}


def screens(workspace: Path, sizes: list[tuple[int, int]]) -> list[str]:
    """What `status --watch` draws last at each of these sizes of one real terminal, resized under it."""
    main, terminal = pty.openpty()

    def resize(columns: int, rows: int) -> None:
        fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    resize(*sizes[0])
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")} | {"TERM": "xterm", "NO_COLOR": "1"}
    argv = [sys.executable, "-m", "orchestrator.cli.main", "status", "--watch", "--workspace", str(workspace)]
    process = subprocess.Popen(argv, stdin=terminal, stdout=terminal, stderr=terminal, env=env, close_fds=True)
    os.close(terminal)
    found = []
    try:
        for columns, rows in sizes:
            resize(columns, rows)
            found.append(_drawn(main, rows))
    finally:
        process.kill()
        process.wait()
        os.close(main)
    return found


def test_whoever_watches_through_a_pipe_that_nobody_reads_any_more_ends(workspace: Path, kept: Kept) -> None:
    """`status --watch | head -3`: nothing has to happen before."""
    kept.keep(well())
    argv = [sys.executable, "-m", "orchestrator.cli.main", "status", "--watch", "--workspace", str(workspace)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == READER_GONE


def _drawn(main: int, rows: int) -> str:
    """The first whole picture of so many rows; a picture begins with the cursor's way home."""
    ends, data = time.monotonic() + 60.0, ""
    while time.monotonic() < ends:
        if select.select([main], [], [], 0.5)[0]:
            data += os.read(main, 65536).decode(errors="replace")
        for picture in data.split("\x1b[H")[1:-1]:
            lines = ESCAPE.sub("", picture).replace("\r", "").split("\n")
            if len(lines) == rows:
                return "\n".join(line.rstrip() for line in lines).rstrip()
    raise AssertionError(f"no picture of {rows} rows: {data[-2000:]!r}")


def test_on_a_small_terminal_what_does_not_fit_is_counted_and_who_watches_stands_last(
    workspace: Path, kept: Kept
) -> None:
    """Resized under it: the next picture is of the new size."""
    kept.keep(well())
    small, wide = screens(workspace, [(60, 5), (200, 40)])
    assert "more service" in small
    assert small.endswith("Start it: bascule daemon")
    assert "more service" not in wide
    assert wide.endswith("Start it: bascule daemon")
