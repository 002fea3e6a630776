"""Inventories that are computed, by real plug-ins: what they compose arrives as values, and one that stops answering
stops nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import last_read, load
from orchestrator.config.faults import Faults
from orchestrator.config.inventory import Inventory, read_inventory
from orchestrator.config.inventory_values import Verbatim
from orchestrator.shell.wiring import option_models
from tests.ports import free_port
from tests.probes.conftest import cloud, credentials

__all__ = ["cloud", "credentials"]

PLUGIN = """\
plugin: amazon.aws.aws_ec2
regions: [eu-central-1]
filters: {instance-state-name: running}
hostnames: [tag:Name]
keyed_groups:
  - {key: tags.Role, prefix: role}
  - {key: placement.availability_zone, prefix: zone}
groups: {fronts: tags.Role == 'web'}
compose:
  ansible_host: private_ip_address
  app_port: 8000 + 80
  labels: "{'zone': placement.availability_zone, 'all': [instance_type, {'ami': image_id}]}"
  odd: tags.Note
"""


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    """A file of the workspace."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def plain(value: object) -> bool:
    """Whether there is nothing of Ansible's own marking in it."""
    if isinstance(value, dict):
        return not any(str(key).startswith("__ansible") for key in value) and all(map(plain, value.values()))
    return all(map(plain, value)) if isinstance(value, list) else True


@pytest.fixture
def instances(cloud: str, credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Names of instances in the cloud to their addresses."""
    import boto3

    pytest.importorskip("ansible_collections.amazon.aws")
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud)
    made: dict[str, str] = {}
    ids: list[str] = []
    ec2 = boto3.client("ec2", region_name="eu-central-1")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    for name, role, note in (("front", "web", "{{ 1 + 1 }}"), ("store", "db", "plain")):
        tags = [{"Key": "Name", "Value": name}, {"Key": "Role", "Value": role}, {"Key": "Note", "Value": note}]
        (found,) = ec2.run_instances(
            ImageId=image,
            MinCount=1,
            MaxCount=1,
            InstanceType="t3.micro",
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],  # type: ignore[misc,list-item]
        )["Instances"]
        made[name] = found["PrivateIpAddress"]
        ids.append(found["InstanceId"])
    yield made
    ec2.terminate_instances(InstanceIds=ids)


def read(workspace: Path, *sources: Path, kept: Path | None = None) -> Inventory:
    """Client acme's inventory."""
    found = read_inventory(workspace, "acme", list(sources), faults := Faults(), cache=None, kept=kept)
    assert found is not None, [str(fault) for fault in faults.sorted()]
    return found


def test_what_the_cloud_says_arrives_as_values(tmp_path: Path, instances: dict[str, str]) -> None:
    source = write(tmp_path / "inventories/acme/cloud.aws_ec2.yml", PLUGIN)
    found = read(tmp_path, source)
    assert set(found.hosts) == {"front", "store"}
    assert found.groups["fronts"] == found.groups["role_web"] == ("front",)
    values = found.host_vars["front"]
    assert values["ansible_host"] == instances["front"]
    assert int(values["app_port"]) == 8080
    assert values["labels"]["all"][0] == "t3.micro"
    assert isinstance(values["odd"], Verbatim), "others said it: it is no template"
    assert values["odd"] == "{{ 1 + 1 }}"
    assert all(map(plain, found.host_vars.values()))


def test_checks_and_playbooks_have_those_values(tmp_path: Path, instances: dict[str, str]) -> None:
    folder = tmp_path / "inventories/acme"
    write(folder / "hosts.aws_ec2.yml", PLUGIN)
    write(folder / "services.yml", "services: {}\n")
    write(tmp_path / "checks/all.yml", "- {name: port, hosts: role_db, probe: tcp, port: '{{ app_port }}'}\n")
    found = load(tmp_path, probe_kinds=option_models(), starts=True)
    (check,) = found.model.checks.values()
    assert check.host == "store"
    assert instances["store"] in json.dumps(check.options, default=str)
    assert "8080" in json.dumps(check.options, default=str)


def test_a_cloud_that_stops_answering_is_the_one_that_was_last_read(
    tmp_path: Path, instances: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, kept = write(tmp_path / "inventories/acme/cloud.aws_ec2.yml", PLUGIN), tmp_path / "kept"
    before = read(tmp_path, source, kept=kept)
    assert before.stale is None
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    found = read(tmp_path, source, kept=kept)
    assert found.stale is not None
    assert "as it was read on" in str(found.stale)
    assert found.host_vars == before.host_vars
    assert found.groups == before.groups
    again = read(tmp_path, found.stale.path)
    assert again.host_vars["front"]["ansible_host"] == instances["front"]
    assert again.host_vars["front"]["odd"] == "{{ 1 + 1 }}"
    assert isinstance(again.host_vars["front"]["odd"], Verbatim), "it is no template there either"


def test_of_several_sources_one_that_stops_answering_takes_no_host_away(tmp_path: Path) -> None:
    """Ansible itself goes on with those that answer: half an inventory, which is not kept as the whole one."""
    folder, kept = tmp_path / "inventories/acme", tmp_path / "kept"
    plain_file = write(folder / "hosts.yml", "all: {hosts: {edge: {ansible_host: 192.0.2.1}}}\n")
    said = json.dumps({"cloud": {"hosts": ["front"]}, "_meta": {"hostvars": {"front": {"zone": "a"}}}})
    program = write(folder / "cloud.sh", f"#!/bin/sh\n[ -e {tmp_path}/up ] || exit 1\necho '{said}'\n", 0o755)
    (tmp_path / "up").touch()
    assert set(read(tmp_path, plain_file, program, kept=kept).hosts) == {"edge", "front"}
    (tmp_path / "up").unlink()
    for _ in range(2):
        found = read(tmp_path, plain_file, program, kept=kept)
        assert set(found.hosts) == {"edge", "front"}
        assert found.stale is not None
        assert "cloud.sh" in found.stale.why
    reading = last_read.last(kept, "acme")
    assert reading is not None
    assert "front" in reading.merged["_meta"]["hostvars"]


def test_what_was_read_of_another_source_is_nobodys_inventory(tmp_path: Path) -> None:
    """A folder may be another client's by now, renamed: nothing of it is done on the hosts of the one before."""
    folder, kept = tmp_path / "inventories/acme", tmp_path / "kept"

    def says(host: str) -> Path:
        said = json.dumps({"all": {"hosts": [host]}, "_meta": {"hostvars": {host: {}}}})
        return write(folder / "cloud.sh", f"#!/bin/sh\n[ -e {tmp_path}/up ] || exit 1\necho '{said}'\n", 0o755)

    (tmp_path / "up").touch()
    assert read(tmp_path, says("theirs"), kept=kept).hosts == ("theirs",)
    (tmp_path / "up").unlink()
    faults = Faults()
    assert read_inventory(tmp_path, "acme", [says("ours")], faults, cache=None, kept=kept) is None
    assert faults.found, "it is said"


def test_what_was_edited_while_it_was_asked_has_said_nothing_yet(tmp_path: Path) -> None:
    folder, kept = tmp_path / "inventories/acme", tmp_path / "kept"
    ours = write(tmp_path / "ours", "#!/bin/sh\nexit 1\n", 0o755)
    theirs = json.dumps({"all": {"hosts": ["theirs"]}, "_meta": {"hostvars": {"theirs": {}}}})
    source = write(
        folder / "cloud.sh", f'#!/bin/sh\ncp {ours} "$0.new" && mv "$0.new" "$0"\necho \'{theirs}\'\n', 0o755
    )
    assert read_inventory(tmp_path, "acme", [source], Faults(), cache=None, kept=kept) is not None
    assert source.read_text() == ours.read_text()
    assert read_inventory(tmp_path, "acme", [source], Faults(), cache=None, kept=kept) is None


def test_a_workspace_that_was_moved_knows_what_its_sources_said_last(tmp_path: Path) -> None:
    """Restored elsewhere, on the day on which nobody answers."""
    said = json.dumps({"all": {"hosts": ["front"]}, "_meta": {"hostvars": {"front": {}}}})
    write(
        tmp_path / "a/inventories/acme/cloud.sh", f"#!/bin/sh\n[ -e {tmp_path}/up ] || exit 1\necho '{said}'\n", 0o755
    )
    (tmp_path / "up").touch()
    for place in ("a", "b"):
        workspace = tmp_path / place
        source = workspace / "inventories/acme/cloud.sh"
        assert read(workspace, source, kept=workspace / "kept").hosts == ("front",)
        (tmp_path / "up").unlink(missing_ok=True)
        if place == "a":
            workspace.rename(tmp_path / "b")


def test_half_an_inventory_is_not_kept_where_there_is_none_yet(tmp_path: Path) -> None:
    """It is used, as Ansible would, with Ansible's own warning."""
    folder, kept = tmp_path / "inventories/acme", tmp_path / "kept"
    plain_file = write(folder / "hosts.yml", "all: {hosts: {edge: {}}}\n")
    program = write(folder / "cloud.sh", "#!/bin/sh\nexit 1\n", 0o755)
    found = read(tmp_path, plain_file, program, kept=kept)
    assert found.hosts == ("edge",)
    assert found.stale is None
    assert any("cloud.sh" in line for line in found.warnings)
    assert last_read.last(kept, "acme") is None


def test_what_a_program_and_constructed_compose_together(tmp_path: Path) -> None:
    """A script's values, and those that a plug-in makes of them, at any depth."""
    folder = tmp_path / "inventories/acme"
    host = {"ansible_host": "192.0.2.7", "disks": [{"name": "sda", "gb": 20}], "note": "{{ x }}"}
    said = json.dumps({"lan": {"hosts": ["vm"], "vars": {"mtu": 9000}}, "_meta": {"hostvars": {"vm": host}}})
    script = write(folder / "a.sh", f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n", 0o755)
    names = write(
        folder / "b.yml",
        "plugin: ansible.builtin.constructed\nstrict: true\ncompose:\n  first_disk: disks[0].name\n  total: mtu + 1\n"
        '  nested: \'{"a": [disks[0], {"b": ansible_host}]}\'\ngroups: {big: "disks[0].gb > 10"}\n',
    )
    found = read(tmp_path, script, names)
    values = found.host_vars["vm"]
    assert (values["first_disk"], int(values["total"])) == ("sda", 9001)
    assert values["nested"] == {"a": [{"name": "sda", "gb": 20}, {"b": "192.0.2.7"}]}
    assert values["note"] == "{{ x }}"
    assert found.groups["big"] == ("vm",)
    assert plain(values)
