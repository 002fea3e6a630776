"""Files edited between the question and the answer, and a workspace that others may write to."""

from __future__ import annotations

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from tests.shell.small import PATIENCE_S, SERVICES, Small, write

PEOPLE = (
    "people: {ada: {name: Ada}, eve: {name: Eve, logins: [nobody]}, edr: {name: EDR, tool: true}}\non_call: [ada]\n"
)


@pytest.fixture
def asked(small: Small) -> Small:
    """The service is down, and r1 waits for a person."""
    write(small.path / "inventories/acme/services.yml", SERVICES.replace("mode: auto", "mode: ask"))
    write(small.path / "inventories/acme/people.yml", PEOPLE)
    small.daemon()
    small.until(lambda: "daemon is up" in small.log(), "the daemon is up")
    small.until(small.is_up, "the service is seen up")
    (small.path / "up").unlink()
    small.until(lambda: waits(small, "r1"), "an approval is asked for")
    return small


def waits(small: Small, run: str) -> bool:
    began = [x for x in small.records(r.StepBegan) if isinstance(x, r.StepBegan)]
    return any((x.run, x.step) == (run, "approval") for x in began)


def test_what_was_put_there_after_the_question_is_not_approved(asked: Small) -> None:
    """It is told by name; put back, it is approved."""
    config = asked.path / "ansible.cfg"
    config.write_text("[defaults]\ncallback_plugins = other\n")
    refused = asked.bascule("approve", "r1")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "plan changed" in refused.stderr
    assert "ansible.cfg was added" in refused.stderr
    assert "bascule reload" in refused.stderr
    assert "cannot be approved as it was shown: ansible.cfg was added" in asked.bascule("status").stdout.replace(
        "\n", " "
    )
    assert not (asked.path / "up").exists()
    config.unlink()
    done = asked.bascule("approve", "r1", "--by", "Ada")
    assert done.returncode == 0, done.stdout + done.stderr
    (approved,) = [x for x in asked.records(r.WordAccepted) if isinstance(x, r.WordAccepted)]
    assert approved.person == "acme/ada"
    assert approved.peer is not None
    assert approved.peer.uid == 0 or approved.peer.login


def test_after_a_reload_it_is_asked_anew_and_nothing_has_failed(asked: Small) -> None:
    book = asked.path / "playbooks/restart.yml"
    book.write_text(book.read_text().replace("start the web server", "start it otherwise"))
    reloaded = asked.bascule("reload")
    assert reloaded.returncode == 0, reloaded.stdout + reloaded.stderr
    asked.until(lambda: waits(asked, "r2"), "it is asked about anew")
    (ended,) = [x for x in asked.records(r.RunEnded) if isinstance(x, r.RunEnded)]
    assert ended.reason is Reason.PLAN_CHANGED
    states = {x.state for x in asked.records(r.TierJudged) if isinstance(x, r.TierJudged)}
    assert r.TierState.FAILED not in states
    done = asked.bascule("approve", "r2", "--by", "Ada")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_stood_against_new_files_is_told_no_longer_than_it_does(asked: Small) -> None:
    """A run needs what they leave out; once it has ended, a reload is all that is lacking."""
    changed = SERVICES.replace("mode: auto", "mode: ask").replace("restart:", "again:").replace("[restart]", "[again]")
    write(asked.path / "inventories/acme/services.yml", changed)
    assert asked.bascule("reload").returncode == 2
    assert "run r1 needs acme/web and acme/restart" in asked.bascule("ready").stdout
    assert asked.bascule("approve", "r1").returncode == 0
    told = asked.bascule("ready").stdout
    assert "r1 needs" not in told
    assert "nothing stands against them now: bascule reload" in told
    assert asked.bascule("reload").returncode == 0
    assert "configuration invalid" not in asked.bascule("ready").stdout


def test_only_a_person_from_their_own_login_approves(asked: Small) -> None:
    nobody = asked.bascule("approve", "r1", "--by", "nobody-at-all")
    assert nobody.returncode == 3
    assert "no such person" in nobody.stderr
    bound = asked.bascule("approve", "r1", "--by", "eve")
    assert bound.returncode == 3
    assert "not that person" in bound.stderr
    assert not (asked.path / "up").exists()


def test_a_workspace_of_everybody_is_refused_before_anything_of_it_runs(small: Small) -> None:
    (small.path / "playbooks").chmod(0o777)
    told = f"chmod go-w {small.path}/playbooks"
    for command in (("validate",), ("failover", "acme/web"), ("hold", "--all"), ("failover", "acme/web", "--dry-run")):
        refused = small.bascule(*command)
        assert refused.returncode == 2, (command, refused.stdout, refused.stderr)
        assert told in refused.stdout + refused.stderr, command
    daemon = small.daemon()
    assert daemon.wait(PATIENCE_S) == 2
    assert told in small.log()
