"""Drills by the real programs: a daemon, Ansible, the command line; and a daemon that is killed in the middle."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core import records as r
from orchestrator.core.reasons import Reason
from orchestrator.survey import cloud_account
from tests.probes.conftest import cloud, credentials
from tests.shell.small import PATIENCE_S, Small, write

__all__ = ["cloud", "credentials"]

SERVICES = """\
places:
  home: {}
moves:
  detour:
    playbook: detour.yml
    viable_when: {all: [ref]}
    verify: {all: [web]}
    safe_to_repeat: true
    back:
      playbook: no_detour.yml
      verify: {all: [web]}
    rehearse:
      hosts: spare
      playbook: rehearse.yml
      clean_up: clean_up.yml
      survey: survey.yml
      verify: {all: [restored]}
services:
  web:
    mode: auto
    home: home
    rto: 5m
    healthy_when: {all: [web]}
    ladder: [detour]
"""


def play(name: str, hosts: str, module: str, arguments: str) -> str:
    """One play of one task."""
    head = f"- hosts: {hosts}\n  gather_facts: false\n  tasks:\n    - name: {name}\n"
    return f"{head}      {module}: {arguments}\n"


def scratch_of(small: Small) -> Path:
    """Where the spare host keeps what it restores: outside of the workspace, whose files are a part of the plan."""
    return small.path.parent / f"{small.path.name}-scratch"


@pytest.fixture
def drilled(small: Small) -> Small:
    """A service with a detour, and a spare host on which the detour is rehearsed; a daemon watches."""
    path, local = small.path, "ansible_connection: local, ansible_python_interpreter: '{{ ansible_playbook_python }}'"
    scratch_of(small).mkdir()
    write(
        path / "inventories/acme/hosts.yml",
        "all:\n  children:\n"
        f"    home: {{hosts: {{here: {{{local}}}}}}}\n"
        f"    scratch: {{hosts: {{spare: {{{local}}}}}}}\n",
    )
    write(path / "inventories/acme/services.yml", SERVICES)
    test = ["/bin/sh", "-c", f"test -f {scratch_of(small)}/restored || exit 2"]
    with (path / "checks/web.yml").open("a") as checks:
        checks.write(f"- {{name: restored, hosts: spare, probe: nagios, command: {json.dumps(test)}, every: 500ms}}\n")
    file = "ansible.builtin.file"
    write(path / "playbooks/detour.yml", play("detour", "here", file, f"{{path: {path}/on-detour, state: touch}}"))
    write(path / "playbooks/no_detour.yml", play("back", "here", file, f"{{path: {path}/on-detour, state: absent}}"))
    write(
        path / "playbooks/rehearse.yml",
        play("restore", "spare", file, f"{{path: {scratch_of(small)}/restored, state: touch}}"),
    )
    write(
        path / "playbooks/clean_up.yml",
        play("remove", "spare", file, f"{{path: {scratch_of(small)}/restored, state: absent}}"),
    )
    write(
        path / "playbooks/survey.yml",
        "- hosts: spare\n  gather_facts: false\n  tasks:\n"
        f"    - name: what is there\n      ansible.builtin.command: ls {scratch_of(small)}\n"
        "      register: there\n      changed_when: false\n      check_mode: false\n"
        "    - name: publish it\n      ansible.builtin.set_stats:\n        data:\n"
        "          bascule_survey: '{{ {inventory_hostname: {\"files\": there.stdout_lines}} }}'\n",
    )
    small.daemon()
    small.until(lambda: "daemon is up" in small.log(), "the daemon is up")
    small.until(small.is_up, "the service is seen up")
    small.until(lambda: small.is_up("ref"), "the reference is seen up")
    return small


def ended(small: Small) -> r.DrillEnded:
    """How the last drill ended."""
    found = small.records(r.DrillEnded)[-1]
    assert isinstance(found, r.DrillEnded)
    return found


def test_a_rehearsal_is_made_beside_what_serves_and_leaves_nothing(drilled: Small) -> None:
    planned = drilled.bascule("drill", "plan", "acme/web")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "rehearse.yml" in planned.stdout
    made = drilled.bascule("drill", "run", "acme/web")
    assert made.returncode == 0, made.stdout + made.stderr + drilled.log()
    assert "d1 done in" in made.stdout
    assert list(scratch_of(drilled).iterdir()) == []
    shown = drilled.bascule("drill", "show", "d1", "--json")
    told = json.loads(shown.stdout)
    assert {s["name"]: s["made"] for s in told["steps"]} == dict.fromkeys(
        ["preflight", "survey", "rehearse", "confirm", "clean-up", "survey-again"], "live"
    )
    assert not (drilled.path / "on-detour").exists()


def test_what_a_rehearsal_leaves_behind_is_found(drilled: Small) -> None:
    write(
        drilled.path / "playbooks/clean_up.yml", play("nothing", "spare", "ansible.builtin.debug", "{msg: forgotten}")
    )
    assert drilled.bascule("reload").returncode == 0
    made = drilled.bascule("drill", "run", "acme/web")
    assert made.returncode == 1, made.stdout + made.stderr
    assert ended(drilled).reason is Reason.NOT_CLEAN
    assert "spare: files: left behind: restored" in ended(drilled).evidence
    assert any("it is not shown that all is as it was before" in x.text for x in drilled.records(r.NoticeDue))  # type: ignore[attr-defined]


MADE = """\
import sys
import boto3
ec2, route53 = (boto3.client(x, endpoint_url=sys.argv[1], region_name="eu-central-1") for x in ("ec2", "route53"))
image = ec2.describe_images()["Images"][0]["ImageId"]
ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.small")
ec2.create_volume(AvailabilityZone="eu-central-1a", Size=7)
value = {"Name": "scratch.acme.example.", "Type": "A", "TTL": 5, "ResourceRecords": [{"Value": "203.0.113.66"}]}
changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": value}]}
route53.change_resource_record_sets(HostedZoneId=sys.argv[2], ChangeBatch=changes)
"""
CLEARED = """\
import sys
import boto3
ec2, route53 = (boto3.client(x, endpoint_url=sys.argv[1], region_name="eu-central-1") for x in ("ec2", "route53"))
mine = [y["InstanceId"] for x in ec2.describe_instances()["Reservations"] for y in x["Instances"]]
ec2.terminate_instances(InstanceIds=mine)
for volume in ec2.describe_volumes(Filters=[{"Name": "status", "Values": ["available"]}])["Volumes"]:
    ec2.delete_volume(VolumeId=volume["VolumeId"])
value = {"Name": "scratch.acme.example.", "Type": "A", "TTL": 5, "ResourceRecords": [{"Value": "203.0.113.66"}]}
changes = {"Changes": [{"Action": "DELETE", "ResourceRecordSet": value}]}
route53.change_resource_record_sets(HostedZoneId=sys.argv[2], ChangeBatch=changes)
"""


def test_what_a_rehearsal_leaves_behind_in_a_cloud_account_is_found(
    cloud: str, credentials: None, request: pytest.FixtureRequest
) -> None:
    """An instance, a volume and a record; by a clean-up that forgets them, and by one that does not."""
    import boto3

    urllib.request.urlopen(urllib.request.Request(f"{cloud}/moto-api/reset", method="POST")).close()
    route53: Any = boto3.client("route53", endpoint_url=cloud, region_name="eu-central-1")
    zone = route53.create_hosted_zone(Name="acme.example.", CallerReference="1")["HostedZone"]["Id"]
    drilled: Small = request.getfixturevalue("drilled")
    account = json.dumps({"endpoint": cloud, "zones": ["acme.example"]})
    program = f"['{{{{ ansible_playbook_python }}}}', {cloud_account.__file__}]"
    write(  # by the shipped survey's own program; what runs beside the tests on this machine is not listed
        drilled.path / "playbooks/survey.yml",
        "- hosts: spare\n  gather_facts: false\n  tasks:\n    - name: what is in the account\n"
        f"      ansible.builtin.command: {{argv: {program}, stdin: '{account}'}}\n"
        "      register: there\n      changed_when: false\n      check_mode: false\n"
        "    - name: publish it\n      ansible.builtin.set_stats:\n        data:\n"
        "          bascule_survey: \"{{ {'the cloud account': there.stdout | from_json} }}\"\n",
    )
    for name, program in (("rehearse", MADE), ("clean_up", CLEARED)):
        write(drilled.path / f"playbooks/{name}.py", program)
        module, command = "ansible.builtin.command", f"{{{{ playbook_dir }}}}/{name}.py {cloud} {zone}"
        told = f'"{{{{ ansible_playbook_python }}}} {command}"'
        made = play(name, "spare", module, told) + play("keep", "spare", "ansible.builtin.debug", "{msg: as it was}")
        write(drilled.path / f"playbooks/{name}.yml", made)
    rehearse = drilled.path / "playbooks/rehearse.yml"
    touched = f"{{path: {scratch_of(drilled)}/restored, state: touch}}"
    write(rehearse, rehearse.read_text() + play("restore", "spare", "ansible.builtin.file", touched))
    assert drilled.bascule("reload").returncode == 0
    clean = drilled.bascule("drill", "run", "acme/web")
    assert clean.returncode == 0, clean.stdout + clean.stderr + drilled.log()

    write(
        drilled.path / "playbooks/clean_up.yml", play("nothing", "spare", "ansible.builtin.debug", "{msg: forgotten}")
    )
    assert drilled.bascule("reload").returncode == 0
    made = drilled.bascule("drill", "run", "acme/web")
    assert made.returncode == 1, made.stdout + made.stderr
    assert ended(drilled).reason is Reason.NOT_CLEAN
    evidence = ended(drilled).evidence
    for left in ("instances: left behind: i-", "volumes: left behind: vol-", "records: left behind: scratch.acme.exa"):
        assert f"the cloud account: {left}" in evidence, evidence


def test_a_clean_up_that_is_edited_during_the_rehearsal_is_not_played_before_it_is_put_back(drilled: Small) -> None:
    clean_up = drilled.path / "playbooks/clean_up.yml"
    as_shown, ran = clean_up.read_text(), scratch_of(drilled) / "edited-ran"
    write(drilled.path / "edited.yml", play("other", "spare", "ansible.builtin.file", f"{{path: {ran}, state: touch}}"))
    with (drilled.path / "playbooks/rehearse.yml").open("a") as rehearse:
        rehearse.write(
            "    - name: somebody edits it meanwhile\n"
            f"      ansible.builtin.command: cp {drilled.path}/edited.yml {clean_up}\n"
        )
    assert drilled.bascule("reload").returncode == 0
    made = drilled.bascule("drill", "run", "acme/web", "--no-wait")
    assert made.returncode == 0, made.stdout + made.stderr
    drilled.until(lambda: drilled.records(r.RunNeedsHuman), "the clean-up waits for a person")
    assert "playbooks/clean_up.yml was changed since it was loaded" in drilled.records(r.RunNeedsHuman)[0].evidence  # type: ignore[attr-defined]
    refused = drilled.bascule("approve", "r1")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "bascule reload" in refused.stderr
    write(clean_up, as_shown)
    approved = drilled.bascule("approve", "r1")
    assert approved.returncode == 0, approved.stdout + approved.stderr
    drilled.until(lambda: drilled.records(r.DrillEnded), "the drill ends")
    assert ended(drilled).ok, ended(drilled).evidence
    assert not ran.exists()


def test_a_drill_returns_though_the_daemon_is_killed_in_the_middle(drilled: Small) -> None:
    begun = drilled.bascule("drill", "run", "acme/web", "--full-scale", "--stay", "5s", "--no-wait")
    assert begun.returncode == 0, begun.stdout + begun.stderr
    drilled.until((drilled.path / "on-detour").exists, "the detour is taken")
    drilled.started[-1].kill()
    drilled.started[-1].wait(PATIENCE_S)
    drilled.daemon()
    drilled.until(lambda: drilled.records(r.DrillEnded), "the drill ends")
    assert (ended(drilled).ok, ended(drilled).reason) == (True, Reason.RETURNED)
    assert not (drilled.path / "on-detour").exists()
    listed = drilled.bascule("drill", "list")
    assert "ok" in listed.stdout
    assert "acme/detour" in listed.stdout


def test_without_a_daemon_no_drill_is_made(small: Small) -> None:
    refused = small.bascule("drill", "run", "acme/web")
    assert refused.returncode == 2
    assert "no daemon serves" in refused.stderr
    assert "bascule daemon" in refused.stderr
