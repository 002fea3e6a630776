"""A workspace of one service, from the files to the end: a real daemon, a real playbook, a real journal."""

from __future__ import annotations

import signal

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from tests.shell.small import PATIENCE_S, SERVICES, Small, write


def test_a_daemon_recovers_reloads_hands_over_and_ends(small: Small) -> None:
    first = small.daemon()
    small.until(lambda: "daemon is up" in small.log(), "the daemon is up")
    small.until(small.is_up, "the service is seen up")

    (small.path / "up").unlink()  # the service dies, and the playbook brings it back
    small.until(lambda: small.records(r.IncidentEnded), "the incident has ended")
    (ended,) = small.records(r.IncidentEnded)
    assert isinstance(ended, r.IncidentEnded)
    assert ended.reason is Reason.VERIFIED
    steps = [x for x in small.records(r.StepFinished) if isinstance(x, r.StepFinished)]
    assert [(x.step, x.state.value) for x in steps] == [("preflight", "done"), ("execute", "done"), ("verify", "done")]
    assert steps[1].tasks[-1].name == "start the web server"  # after the epoch guard
    shown = small.bascule("status")
    assert shown.returncode == 0, shown.stderr
    assert "acme/web" in shown.stdout

    configured = small.records(r.Configured)
    write(small.path / "inventories/acme/services.yml", SERVICES.replace("ladder: [restart]", "ladder: [restrat]"))
    first.send_signal(signal.SIGHUP)
    small.until(lambda: "the old configuration stays in force" in small.log(), "the invalid file is refused")
    assert "restrat" in small.log()
    assert small.records(r.Configured) == configured
    write(small.path / "inventories/acme/services.yml", SERVICES.replace("rto: 5m", "rto: 6m"))
    first.send_signal(signal.SIGHUP)
    small.until(lambda: len(small.records(r.Configured)) > len(configured), "the valid file is in force")

    second = small.daemon()
    small.until(lambda: "waiting for the lease" in small.log(2), "the second daemon waits")
    assert len(small.records(r.ControllerBegan)) == 1
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE_S) == 0, small.log()
    small.until(lambda: "daemon is up" in small.log(2), "the second daemon takes over")
    assert [x.epoch for x in small.records(r.ControllerBegan) if isinstance(x, r.ControllerBegan)] == [1, 2]
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE_S) == 0, small.log(2)
    assert "Traceback" not in small.log() + small.log(2)


def test_one_word_without_a_daemon(small: Small) -> None:
    (small.path / "up").unlink()
    dry = small.bascule("failover", "acme/web", "--dry-run")
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert "restart.yml" in dry.stdout
    assert "start the web server" in dry.stdout
    assert not (small.path / "up").exists()
    assert small.records(r.Configured) == []  # nothing was written

    done = small.bascule("failover", "acme/web", "--reason", "it is down")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (small.path / "up").exists()
    (started,) = small.records(r.RunStarted)
    assert isinstance(started, r.RunStarted)
    assert (started.who, started.why, started.origin) == ("Ada", "it is down", r.Origin.MANUAL)
    (ended,) = small.records(r.RunEnded)
    assert isinstance(ended, r.RunEnded)
    assert ended.ok


def test_a_refusal_without_a_daemon_names_the_guard(small: Small) -> None:
    (small.path / "ref-up").unlink()
    refused = small.bascule("failover", "acme/web")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "blind" in refused.stdout + refused.stderr
    assert small.records(r.RunStarted) == []
