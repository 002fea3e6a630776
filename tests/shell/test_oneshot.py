"""Words without a daemon: what stops a run is not kept waiting by that very run."""

from __future__ import annotations

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from tests.shell.small import PATIENCE_S, SERVICES, Small, write


@pytest.fixture
def stuck(small: Small) -> Small:
    """A playbook that does not come to an end, begun by a daemon that has died since."""
    never = small.path / "never"
    write(
        small.path / "playbooks/restart.yml",
        "- hosts: here\n  gather_facts: false\n  tasks:\n    - name: wait for what does not come\n"
        f"      ansible.builtin.wait_for: {{path: {never}, timeout: 900}}\n",
    )
    write(small.path / "inventories/acme/services.yml", SERVICES.replace("mode: auto", "mode: observe"))
    daemon = small.daemon()
    small.until(lambda: "daemon is up" in small.log(), "the daemon is up")
    small.until(small.is_up, "the service is seen up")
    begun = small.bascule("failover", "acme/web", "--no-wait")
    assert begun.returncode == 0, begun.stdout + begun.stderr
    small.until(lambda: list((small.path / ".bascule/runs").rglob("worker.json")), "the playbook runs")
    daemon.kill()
    daemon.wait(PATIENCE_S)
    return small


def test_a_hold_and_an_abort_do_not_wait_for_the_run_that_they_are_to_stop(stuck: Small) -> None:
    held = stuck.bascule("hold", "--all", "--reason", "leave it alone")
    assert held.returncode == 0, held.stdout + held.stderr
    assert stuck.records(r.RunEnded) == []  # past its fence a run goes on
    aborted = stuck.bascule("abort", "r1", "--reason", "it hangs")
    assert aborted.returncode == 0, aborted.stdout + aborted.stderr
    (ended,) = stuck.records(r.RunEnded)
    assert isinstance(ended, r.RunEnded)
    assert ended.reason is Reason.ABORTED
    assert "it hangs" in ended.evidence
