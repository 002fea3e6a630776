"""What a rehearsal leaves behind on the network and in a cloud account is found, named, and nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.shipped import SURVEY
from orchestrator.core.commands import RunPlaybook
from orchestrator.core.events import AttemptEnd, StepKey
from orchestrator.core.model import Json, Playbook
from orchestrator.core.runs.rehearsing import _differences
from orchestrator.lab.errors import LabError
from orchestrator.lab.system import find
from orchestrator.survey import cloud_account
from tests.probes.aws_refusing import refusing_signatures
from tests.probes.conftest import cloud, credentials
from tests.runner.stage import Stage

__all__ = ["cloud", "credentials"]

NETWORK = """
import json, subprocess, sys
from orchestrator.survey.survey import network
def ip(*words): subprocess.run(["ip", *words], check=True)
ip("link", "set", "lo", "up")
ip("link", "add", "inside", "type", "veth", "peer", "name", "outside")
for name, address in (("inside", "198.51.100.1/24"), ("outside", "198.51.100.2/24")):
    ip("addr", "add", address, "dev", name)
    ip("link", "set", name, "up")
subprocess.run(["ip", "-6", "addr", "flush", "scope", "link"], check=True)
before = network()
left, clean = (json.loads(x) for x in sys.argv[1:])
subprocess.run(left, check=True)
after = network()
subprocess.run(clean, check=True)
print(json.dumps([before, after, network()]))
"""
TO = "203.0.113.0/24 via 198.51.100.9"
ADDRESS, FOR_EVER = "198.51.100.66", "valid_lft forever preferred_lft forever"
LEFT = {
    f"ip route add {TO}": [f"routes: left behind: {TO} dev inside"],
    f"ip route add {TO} table 77": [f"routes: left behind: {TO} dev inside table 77"],
    "ip -6 route add blackhole 2001:db8::/32": [
        "routes: left behind: blackhole 2001:db8::/32 dev lo metric 1024 pref medium"
    ],
    "ip rule add from 198.51.100.0/24 table 77": ["rules: left behind: 32765:\tfrom 198.51.100.0/24 lookup 77"],
    f"ip addr add {ADDRESS}/32 dev outside": [
        f"addresses: left behind: outside inet {ADDRESS}/32 scope global outside {FOR_EVER}",
        f"routes: left behind: local {ADDRESS} dev outside table local proto kernel scope host src {ADDRESS}",
    ],
    "nft add table inet drill": ["rules: left behind: nftables: table inet drill {", "rules: left behind: nftables: }"],
}


@pytest.mark.parametrize("what", LEFT)
def test_what_is_left_on_the_network_is_named_and_gone_with_it(what: str, tmp_path: Path) -> None:
    """By the machine's own kernel, in a network of its own."""
    words = what.split()
    given = [json.dumps([{"add": undo}.get(x, x) for x in words]) for undo in ("add", "delete")]
    try:
        system = find(Path.cwd()).environment()
    except LabError as missing:
        pytest.skip(str(missing))
    wrapped = tmp_path / "nft"  # the survey hands on PATH alone
    wrapped.write_text(
        f"#!/bin/sh\nPATH={system['PATH']} LD_LIBRARY_PATH={system.get('LD_LIBRARY_PATH', '')} exec nft $@\n"
    )
    wrapped.chmod(0o755)
    system = {**system, "PATH": f"{tmp_path}:{system['PATH']}"}
    command = ["unshare", "--net", sys.executable, "-c", NETWORK, *given]
    done = subprocess.run(command, env=system, capture_output=True, text=True, timeout=60, check=False)
    if "unshare:" in done.stderr:
        pytest.skip(f"no network namespace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    before, after, again = ({"hq-edge": x} for x in json.loads(done.stdout))
    found = [" ".join(x.split()) for x in _differences(before, after)]
    assert found == [" ".join(f"hq-edge: {x}".split()) for x in LEFT[what]]
    assert list(_differences(before, again)) == []


# ---- a cloud account


@pytest.fixture
def account(cloud: str, credentials: None) -> dict[str, Any]:
    """Clients of a moto server in which nothing is yet, and what the survey is told."""
    import boto3

    urllib.request.urlopen(urllib.request.Request(f"{cloud}/moto-api/reset", method="POST")).close()
    made: dict[str, Any] = {
        x: boto3.client(x, endpoint_url=cloud, region_name="eu-central-1")  # type: ignore[call-overload]
        for x in ("ec2", "route53")
    }
    return made | {"wanted": {"endpoint": cloud, "region": "eu-central-1"}}


def instance(account: dict[str, Any], name: str, drill: str = "yes") -> str:
    ec2 = account["ec2"]
    image = ec2.describe_images()["Images"][0]["ImageId"]
    tags = [{"Key": "Name", "Value": name}, {"Key": "drill", "Value": drill}]
    of = [{"ResourceType": x, "Tags": tags} for x in ("instance", "volume")]
    found = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.small", TagSpecifications=of)
    return str(found["Instances"][0]["InstanceId"])


def record(account: dict[str, Any], zone: str, action: str, value: str) -> None:
    of = {"Name": "erp.acme.example.", "Type": "A", "TTL": 5, "ResourceRecords": [{"Value": value}]}
    changes = {"Changes": [{"Action": action, "ResourceRecordSet": of}]}
    account["route53"].change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)


def differences(before: Json, after: Json) -> list[str]:
    named = "the cloud account: "
    return [x.removeprefix(named) for x in _differences({named[:-2]: before}, {named[:-2]: after})]


def test_an_instance_a_volume_and_a_record_that_are_left_are_each_named(account: dict[str, Any]) -> None:
    ec2, route53 = account["ec2"], account["route53"]
    zone = route53.create_hosted_zone(Name="acme.example.", CallerReference="1")["HostedZone"]["Id"]
    instance(account, "serves")
    record(account, zone, "CREATE", "203.0.113.2")
    wanted = {**account["wanted"], "zones": ["acme.example"]}
    before = cloud_account.listed(wanted)
    assert cloud_account.listed(wanted) == before, "twice the same"
    assert "erp.acme.example. 5 A 203.0.113.2" in before["records"]
    assert not any("SOA" in x for x in before["records"])

    scratch = instance(account, "scratch")
    disk = ec2.create_volume(AvailabilityZone="eu-central-1a", Size=7)["VolumeId"]
    record(account, zone, "UPSERT", "203.0.113.66")
    root = next(
        x
        for x in ec2.describe_volumes()["Volumes"]
        if any(y.get("InstanceId") == scratch for y in x.get("Attachments", ()))
    )
    name = " (scratch)" if root.get("Tags") else ""
    left = differences(before, cloud_account.listed(wanted))
    assert sorted(left) == sorted(
        [
            f"instances: left behind: {scratch} t3.small running (scratch)",
            f"volumes: left behind: {disk} 7 GiB available",
            f"volumes: left behind: {root['VolumeId']} {root['Size']} GiB in-use at {scratch}{name}",
            "records: left behind: erp.acme.example. 5 A 203.0.113.66",
            "records: gone: erp.acme.example. 5 A 203.0.113.2",
        ]
    )

    ec2.terminate_instances(InstanceIds=[scratch])
    ec2.delete_volume(VolumeId=disk)
    record(account, zone, "UPSERT", "203.0.113.2")
    assert differences(before, cloud_account.listed(wanted)) == [], "what is terminated is no more"


def test_only_what_bears_the_tags_is_listed(account: dict[str, Any]) -> None:
    """Others work in the account meanwhile."""
    wanted = {**account["wanted"], "tags": {"drill": "yes"}}
    before = cloud_account.listed(wanted)
    instance(account, "somebody-elses", drill="no")
    assert differences(before, cloud_account.listed(wanted)) == []
    mine = instance(account, "scratch")
    assert any(mine in x for x in differences(before, cloud_account.listed(wanted)))


def test_what_cannot_be_listed_is_said_and_is_no_empty_list(account: dict[str, Any]) -> None:
    with pytest.raises(cloud_account.Unlisted, match=r"there is no hosted zone elsewhere\.example"):
        cloud_account.listed({**account["wanted"], "zones": ["elsewhere.example"]})
    with pytest.raises(cloud_account.Unlisted, match=r"AWS could not be asked: .*nobody"):
        cloud_account.listed({**account["wanted"], "profile": "nobody"})


def test_what_was_signed_is_in_no_message(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some services answer a wrong signature with all that they think should have been signed."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t0ken-of-the-session")
    with refusing_signatures() as api:
        with pytest.raises(cloud_account.Unlisted) as told:
            cloud_account.listed({"endpoint": api, "region": "eu-central-1"})
        assert "SignatureDoesNotMatch" in str(told.value)
        assert "t0ken" not in str(told.value)


async def test_as_a_step_it_is_published_beside_the_hosts(tmp_path: Path, account: dict[str, Any]) -> None:
    """Once, however many hosts there are, from the controller; a failure to list is a failed step."""
    stage = Stage(tmp_path)
    stage._differs = lambda _client, _playbook: ""  # type: ignore[method-assign]
    stage.open()
    instance(account, "scratch")

    async def surveyed(step: str, aws: dict[str, Json]) -> Any:
        told: dict[str, Json] = {"bascule_survey_become": False, "bascule_survey_aws": aws}
        key = StepKey("acme/run-1", step, 1)
        book = Playbook(SURVEY, "", told, "here:there")
        stage.runner.carry_out(RunPlaybook(key, "acme", book, {}, 1, 120.0, "", stage.workspace_id, stats=True))
        return await stage.end_of(key)

    found = await surveyed("survey", account["wanted"])
    assert (found.outcome, found.detail) == (AttemptEnd.OK, "")
    survey = found.stats["bascule_survey"]
    assert survey.keys() == {"here", "there", "the cloud account"}
    assert survey["the cloud account"]["instances"] == cloud_account.listed(account["wanted"])["instances"] != []
    failed = await surveyed("survey-again", {**account["wanted"], "zones": ["elsewhere.example"]})
    assert failed.outcome is AttemptEnd.FAILED
    assert "there is no hosted zone elsewhere.example" in failed.detail
    await stage.runner.close()
