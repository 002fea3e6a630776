"""What an operator sees, as golden text: each changed line of it wants an explanation."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import pytest
from rich.cells import cell_len

from orchestrator.core import records as r
from orchestrator.core.awareness.readiness import Item, Lack
from orchestrator.core.awareness.sight import ServiceSeen, Sight
from orchestrator.core.commands import NoticeKind
from orchestrator.core.events import TaskTime, WordKind
from orchestrator.core.reasons import Reason
from orchestrator.reports.clock_times import when
from orchestrator.reports.status import only, status_now
from orchestrator.reports.status_parts import Live
from orchestrator.reports.status_text import screen_lines, status_lines
from orchestrator.reports.stories import Stories
from orchestrator.reports.text import bar, plain
from tests.core.test_quorum import VANTAGES, shop
from tests.reports.sample import WALL, Tape, asked_act, first_act, small_model


@pytest.fixture
def tape() -> Tape:
    """A controller has begun, all is well."""
    return Tape().begin().after(20.0)


def seen(tape: Tape, live: Live | None = None, width: int = 80) -> list[str]:
    """The status at the tape's end."""
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, live or Live(daemon=True))
    return plain(status_lines(now, width)).splitlines()


def test_all_is_well(tape: Tape) -> None:
    """A line each, and who watches."""
    assert seen(tape) == [
        "bistro/erp  unknown   no place   RTO 15:00   mode observe",
        "acme/erp    up        at hq   RTO 2:00",
        "acme/mail   up        at hq   RTO 1:00:00   mode observe",
        "",
        "controller noc, epoch 1",
    ]


def test_an_incident_shows_its_budget_tiers_and_steps(tape: Tape) -> None:
    """As the design draws it."""
    first_act(tape)
    tape.after(600.0)
    bad = tape.now
    tape.after(2.0).incident("i2", "acme/hq", "no reply 3 times", first_bad=bad, last_good=None)
    tape.tier("i2", 1, "backup-isp", r.TierState.INELIGIBLE, Reason.NOT_VIABLE, "isp-b-path down (0/5 replies)")
    tape.tier("i2", 2, "geo-site", r.TierState.RUNNING, Reason.TIER_CHOSEN, "geo-ready up")
    steps = (
        ("preflight", r.StepKind.PREFLIGHT),
        ("fence-hq", r.StepKind.FENCE),
        ("execute", r.StepKind.EXECUTE),
        ("verify", r.StepKind.VERIFY),
    )
    tape.run("r2", "geo-site", steps, incident="i2", tier=2, deadline=bad + 120.0)
    tape.step("r2", "preflight", 0.2)
    tape.step("r2", "fence-hq", 3.1)
    tape.write(r.StepBegan(tape.now, "r2", "execute", 1))
    tape.after(1.4)
    live = Live(True, None, {("r2", "execute"): TaskTime("Promote", "geo-db", "changed", 0.1, 0.9)})
    began = when(WALL - (tape.now - bad), WALL)
    assert seen(tape, live)[:7] == [
        "acme/erp  DOWN for 0:06   at hq   RTO 2:00 ▕█░░░░░░░░░░░▏ budget left 1:53",
        f"  i2 since {began}: acme/erp-transaction: no reply 3 times",
        "  tier 1 backup-isp      ineligible  not viable: isp-b-path down (0/5 replies)",
        "  tier 2 geo-site        running     preflight 0.2s ✓  fence-hq 3.1s ✓",
        "                                     execute 1.4s …",
        "                                     ↳ geo-db: Promote: changed 0.9s",
        "  tier 3 cloud-instance  waiting     no live run measured, assumed to fit",
    ]


def test_a_waiting_tier_says_what_is_usual_and_whether_it_fits(tape: Tape) -> None:
    """From measured runs only."""
    first_act(tape)
    tape.after(600.0)
    bad = tape.now
    tape.after(2.0).incident("i2", "acme/hq", "no reply", first_bad=bad, last_good=None)
    assert "  tier 1 backup-isp      waiting     took 3.6s (1 run), fits" in seen(tape)
    tape.after(117.0)
    assert "  tier 1 backup-isp      waiting     took 3.6s (1 run), does not fit" in seen(tape)


def test_a_tier_says_nothing_of_a_run_before_a_relapse(tape: Tape) -> None:
    """It was stopped since the service had come back by itself: the service is down again by now."""
    asked_act(tape)
    r3 = tape.read().decided.runs["r3"]
    left = [s for s in r3.steps if not s.over]
    tape.write(
        *(r.StepFinished(tape.now, "r3", s.name, s.attempt, r.StepState.SKIPPED, Reason.ABORTED, "over") for s in left),
        r.RunEnded(tape.now, "r3", False, Reason.RECOVERED_BY_ITSELF, "HTTP 200"),
        r.TierJudged(tape.now, "i3", 2, "acme/geo-site", r.TierState.WAITING, Reason.RECOVERED_BY_ITSELF, "HTTP 200"),
        r.IncidentEnded(tape.now, "i3", Reason.RECOVERED_BY_ITSELF, "HTTP 200", tape.now, 9.0),
    )
    bad = tape.after(20.0).now
    tape.after(2.0).write(r.IncidentReopened(tape.now, "i3", bad, "acme/hq", "no reply", bad - 1.0))
    assert "  tier 2 geo-site        waiting     no live run measured, assumed to fit" in seen(tape)


def test_a_missed_rto_is_said(tape: Tape) -> None:
    """Not a negative number."""
    tape.after(2.0).incident("i2", "acme/hq", "no reply", first_bad=tape.now - 2.0, last_good=None)
    tape.after(130.0)
    assert seen(tape)[0] == "acme/erp  DOWN for 2:12   at hq   RTO 2:00 ▕████████████▏ RTO missed by 0:12"
    assert "  tier 1 backup-isp      waiting     no live run measured, and the RTO is over" in seen(tape)


def test_who_is_waited_for_and_what_to_type(tape: Tape) -> None:
    """In full."""
    asked_act(tape)
    lines = seen(tape)
    assert any("waits for a person: approval: hq may be alive" in x for x in lines)
    assert any(re.fullmatch("type: bascule approve r3 --plan [0-9a-f]{8}", x.strip()) for x in lines)
    assert any(x.strip() == "or:   bascule reject r3" for x in lines)
    assert any(x.strip() == "if nobody answers within 15:00, it is not made" for x in lines)
    assert any(x.strip() == "if nobody answers within 5:00, it is not made" for x in seen(tape.after(600.0)))


def test_holds_maintenance_and_places_left_are_shown(tape: Tape) -> None:
    """With the name of who said so."""
    tape.write(
        r.WordAccepted(tape.now, "w1", WordKind.HOLD, "Ann", "acme", "storm", Reason.ASKED_BY_OPERATOR, ""),
        r.WindowOpened(tape.now, "acme/mail", "sunday", tape.now + 600.0),
        r.MayActAdded(tape.now, "acme/erp", "acme/geo", "r1"),
    )
    lines = seen(tape)
    assert lines[2:4] == ["  held by Ann: storm", "  may also be acting: acme/geo"]
    assert "  in maintenance for another 10:00" in lines


def test_notices_that_reached_nobody_yet_are_shown(tape: Tape) -> None:
    """Until somebody was told."""
    tape.write(r.NoticeDue(tape.now, "n1", NoticeKind.HUMAN_NEEDED, "acme", "acme/erp", "look at erp"))
    assert "not delivered yet: human needed: look at erp" in seen(tape)
    tape.write(r.NoticeSettled(tape.now, "n1", True, "mail"))
    assert not any("not delivered" in x for x in seen(tape))


def test_a_silent_controller_is_said_in_words(tape: Tape) -> None:
    """And what to do."""
    lines = seen(tape, Live(daemon=False, silent_s=75.0), 200)
    assert lines[-1].startswith("controller noc, epoch 1: silent for 1:15 (since ")
    assert lines[-1].endswith("nobody watches. Start it: bascule daemon")
    days = seen(tape, Live(daemon=False, silent_s=3 * 86400.0), 200)[-1]
    assert re.search(r"silent for 72:00:00 \(since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC.*\)", days), "of another day"


@pytest.mark.parametrize(
    ("share", "drawn"), [(0.0, "▕░░░░▏"), (0.01, "▕█░░░▏"), (0.5, "▕██░░▏"), (1.0, "▕████▏"), (7.0, "▕████▏")]
)
def test_the_bar(share: float, drawn: str) -> None:
    """Something used is something seen; more than all is all."""
    assert bar(share, 4) == drawn


BLIND = Item(
    Lack.BLIND,
    "acme",
    "local",
    90.0,
    "no reference answers: acme/ref: no reply",
    "silence of acme/erp-transaction counts for nothing",
    "bascule check acme/ref",
    ("acme/erp",),
)
SEEN = Sight(
    120.0,
    (BLIND,),
    {
        "acme/erp": ServiceSeen("unknown", ("acme/erp-transaction: no reply",), 90.0, "acme/erp-transaction"),
        "acme/mail": ServiceSeen("up"),
    },
)


def test_it_opens_with_what_cannot_be_seen(tape: Tape) -> None:
    """Since when, why, what follows, and what to type; and no service is up by an answer that counts for nothing."""
    lines = seen(tape, Live(daemon=True, sight=SEEN), 100)
    since = when(WALL - 30.0, WALL)
    assert lines[:8] == [
        "acme: cannot see or do",
        f"  blind since {since} (30s): vantage local: no reference answers: acme/ref: no reply",
        "    so: silence of acme/erp-transaction counts for nothing",
        "    type: bascule check acme/ref",
        "",
        "acme/erp    unknown   at hq   RTO 2:00",
        f"  since {since} (30s): acme/erp-transaction: no reply",
        "  type: bascule check acme/erp-transaction",
    ]


def test_while_nobody_looks_nothing_is_up(tape: Tape) -> None:
    """What was on record then is said to be of then."""
    for live in (Live(daemon=False, silent_s=75.0), Live(daemon=True, broken="no space is left on the disk")):
        assert any(x.startswith("acme/erp    unknown  (was up)") for x in seen(tape, live))
    assert any("cannot write: journal: no space is left" in x for x in seen(tape, live))


def test_files_that_are_invalid_are_said(tape: Tape) -> None:
    """With the first fault, and that an older configuration goes on."""
    text = " ".join(seen(tape, Live(daemon=True, invalid=("services.yml:3:1: no such key", "another"))))
    assert "configuration invalid: files: services.yml:3:1: no such key (and 1 more)" in text
    assert "the last valid configuration is in force" in text


def test_only_some_services(tape: Tape) -> None:
    """A client's lacks go with the client, and with the services that they matter to."""
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True, sight=SEEN))
    assert [s.id for s in only(now, ["acme"]).services] == ["acme/erp", "acme/mail"]
    assert [len(only(now, [x]).cannot) for x in ("acme", "acme/erp", "acme/mail", "bistro")] == [1, 1, 0, 0]


def test_the_moves_of_a_service(tape: Tape) -> None:
    """Where each leads, how long it takes, and the command that tries one."""
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True))
    lines = plain(status_lines(only(now, ["acme/erp"]), 80, moves=True)).splitlines()
    assert lines[1:5] == [
        "  tier 1: backup-isp  no live run measured",
        "  tier 2: geo-site to geo  no live run measured",
        "  tier 3: cloud-instance to cloud  no live run measured",
        "  try one: bascule failover acme/erp --move backup-isp --dry-run",
    ]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 6), (40, 10), (30, 4), (200, 60)])
def test_what_does_not_fit_a_screen_is_counted(tape: Tape, width: int, height: int) -> None:
    """Who watches stands last, whatever the size; no line is wider than the screen."""
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True, sight=SEEN))
    lines = plain(screen_lines(now, width, height)).splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert lines[-1] == "controller noc, epoch 1"
    whole = len(plain(status_lines(now, width)).splitlines()) <= height
    assert any("more service" in x for x in lines) != whole


def test_what_is_to_be_typed_names_a_client_as_a_shell_reads_it() -> None:
    """Its folder is called as the client is, with a space and an ampersand."""
    model, name = small_model(), "Müller & Söhne/erp"
    ours = replace(model.services["acme/erp"], id=name, client="Müller & Söhne")
    stories = Stories(lambda _digest: replace(model, services={name: ours}))
    tape = Tape()
    tape.write(
        r.ControllerBegan(tape.now, "noc", 1, "boot-1", False, 0.0),
        r.Configured(tape.now, "m1", {name: "acme/hq"}),
        r.ServiceFrozen(tape.now, name, Reason.FLAPPING, "4 automatic moves within 1:00:00"),
    )
    stories.read(tape.entries)
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True))
    told = plain(status_lines(now, 200, moves=True))
    typed = [shlex.split(x) for x in re.findall(r"bascule (?:resume|failover) .*", told)]
    assert sorted(x[:3] for x in typed) == [["bascule", "failover", name], ["bascule", "resume", name]]


def test_an_rto_of_half_a_second_is_not_nought(tape: Tape) -> None:
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True))
    quick = replace(now, services=tuple(replace(x, rto_s=0.5) for x in now.services))
    assert "RTO 0.5s" in plain(status_lines(quick))
    assert "RTO 0:00" not in plain(status_lines(quick))


def test_the_worst_service_is_shown_as_far_as_there_is_room(tape: Tape) -> None:
    tape.incident("i1", "acme/hq", "erp-transaction: no reply", first_bad=tape.now - 3.0, last_good=tape.now - 4.0)
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True, sight=SEEN))
    lines = plain(screen_lines(replace(now, cannot=()), 60, 7)).splitlines()
    assert lines[0].startswith("acme/erp  UNKNOWN, down when last seen")
    told = "2 more services, more of acme/erp: bascule status CLIENT, bascule status CLIENT/SERVICE"
    assert told in " ".join(" ".join(lines).split())
    assert lines[-1] == "controller noc, epoch 1"


WIDE = "サーバーは応答しませんでした。接続が拒否されました。" * 8


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "ascii"])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 11), (40, 14)])
def test_a_screen_is_full_of_cells_as_it_shows_them(tape: Tape, width: int, height: int, encoding: str) -> None:
    """A letter of Japanese takes two cells; a sign that the screen does not have is written out, and takes six."""
    tape.incident("i1", "acme/hq", WIDE, first_bad=tape.now - 3.0, last_good=tape.now - 4.0)
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True, sight=SEEN))
    lines = plain(screen_lines(replace(now, cannot=()), width, height, encoding)).splitlines()
    assert len(lines) <= height
    assert max(cell_len(x.encode(encoding).decode(encoding)) for x in lines) <= width
    assert lines[0].startswith("acme/erp  UNKNOWN, down when last seen;")
    assert lines[-1] == "controller noc, epoch 1"


@pytest.mark.parametrize("width", range(50, 100))
def test_no_figure_is_broken_at_the_edge_of_a_screen(tape: Tape, width: int) -> None:
    """Of `budget left 4:20` the first line would say 4."""
    tape.incident("i1", "acme/hq", "erp-transaction: no reply", first_bad=tape.now - 3.0, last_good=tape.now - 4.0)
    stories = tape.read()
    now = status_now(stories.decided, stories.model, tape.now, WALL, Live(daemon=True))
    told = " ".join(plain(screen_lines(now, width, 100)).split())
    assert "RTO 2:00 ▕█░░░░░░░░░░░▏ budget left 1:57" in told


def test_where_nothing_was_ever_written_down_nothing_is_said_to_be_shown_from_there() -> None:
    stories = Tape().read()
    (nobody,) = status_now(stories.decided, None, 0.0, WALL, Live(daemon=False)).cannot
    assert (nobody.evidence, nobody.means) == (
        "no controller has ever run here",
        "nothing is asked, decided or told",
    )


def test_where_too_few_vantages_see_it_down_status_advises_what_the_notice_does() -> None:
    """A person may move it; a move would be refused where nothing can be seen."""
    world = shop(*VANTAGES)
    world.silent("shop-noc")
    world.run(200)
    assert [t.say for t in world.told if t.kind is NoticeKind.HUMAN_NEEDED] == ["bascule failover acme/shop"]
    now = status_now(world.decided(), world.model, world.now, WALL, Live(daemon=True))
    assert [s.say for s in now.services if s.id == "acme/shop"] == ["bascule failover acme/shop --dry-run"]


@pytest.mark.parametrize(("silent_s", "said"), [(30.0, "RTO missed by "), (600.0, "RTO perhaps missed, nobody looked")])
def test_an_rto_is_not_said_to_be_missed_while_nobody_looks(tape: Tape, silent_s: float, said: str) -> None:
    """It may have come back since, within it or not."""
    tape.incident("i1", "acme/hq", "no reply", first_bad=tape.now, last_good=None)
    tape.after(700.0)
    assert any(said in x for x in seen(tape, Live(daemon=False, silent_s=silent_s), 200))
    assert any("RTO missed by " in x for x in seen(tape, Live(daemon=True), 200))
