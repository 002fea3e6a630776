"""aws: instances, backups, snapshots and records, asked of moto's server."""

from __future__ import annotations

import time
from typing import Any

import pytest

from orchestrator.core.events import Answer
from orchestrator.probes.aws import KIND, AwsOptions, Newest
from tests.ports import free_port
from tests.probes.aws_refusing import refusing_signatures
from tests.probes.conftest import Ask

pytestmark = pytest.mark.usefixtures("credentials")


def client(service: str, url: str) -> Any:
    """A boto client of the test's own."""
    import boto3

    return boto3.client(service, endpoint_url=url, region_name="eu-central-1")  # type: ignore[call-overload]


async def test_an_instance_by_its_tag(ask: Ask, cloud: str) -> None:
    ec2 = client("ec2", cloud)
    image = ec2.describe_images()["Images"][0]["ImageId"]
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "erp-cloud"}]}]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=tags)
    name = made["Instances"][0]["InstanceId"]
    asked: dict[str, Any] = {"what": "instance", "endpoint": cloud, "tags": {"Name": "erp-cloud"}}
    running = await ask("aws", **asked)
    assert (running.answer, name in running.detail) == (Answer.GOOD, True), running.detail
    ec2.stop_instances(InstanceIds=[name])
    stopped = await ask("aws", **asked)
    assert (stopped.answer, "is stopped, expected running" in stopped.detail) == (Answer.BAD, True), stopped.detail
    either = await ask("aws", what="instance", endpoint=cloud, id=name, state=["stopped", "running"])
    assert either.answer is Answer.GOOD, either.detail
    none = await ask("aws", what="instance", endpoint=cloud, tags={"Name": "nobody"})
    assert (none.answer, "no instance Name=nobody" in none.detail) == (Answer.BAD, True), none.detail
    none = await ask("aws", what="instance", endpoint=cloud, id="i-0123456789abcdef0")
    assert none.answer is Answer.BAD, none.detail


async def test_the_newest_backup_is_as_old_as_its_data(ask: Ask, cloud: str) -> None:
    s3 = client("s3", cloud)
    s3.create_bucket(Bucket="backups", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    asked: dict[str, Any] = {"what": "object", "endpoint": cloud, "bucket": "backups", "prefix": "erp/"}
    none = await ask("aws", **asked)
    assert (none.answer, "s3://backups/erp/" in none.detail) == (Answer.BAD, True), none.detail
    s3.put_object(Bucket="backups", Key="erp/1.dump", Body=b"data", Metadata={"snapshot-time": str(time.time() - 100)})
    s3.put_object(Bucket="backups", Key="erp/2.dump", Body=b"")  # nothing in it
    seen = await ask("aws", **asked)
    assert (seen.answer, "1.dump" in seen.detail) == (Answer.GOOD, True), seen.detail
    assert seen.measures["data_age_s"] >= 100
    old = await ask("aws", **asked, max_age="30s")
    assert (old.answer, "more than 30s" in old.detail) == (Answer.BAD, True), old.detail
    for nonsense in ("inf", "nan", "soon", str(time.time() + 1e6)):
        s3.put_object(Bucket="backups", Key="odd/1.dump", Body=b"data", Metadata={"snapshot-time": nonsense})
        odd = await ask("aws", what="object", endpoint=cloud, bucket="backups", prefix="odd/")
        assert "since its upload" in odd.detail, odd.detail
    none = await ask("aws", what="object", endpoint=cloud, bucket="no-such-bucket")
    assert none.answer is Answer.BAD, none.detail


async def test_the_newest_snapshot_of_a_volume(ask: Ask, cloud: str) -> None:
    ec2 = client("ec2", cloud)
    volume = ec2.create_volume(AvailabilityZone="eu-central-1a", Size=1)["VolumeId"]
    none = await ask("aws", what="snapshot", endpoint=cloud, volume=volume)
    assert none.answer is Answer.BAD, none.detail
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    seen = await ask("aws", what="snapshot", endpoint=cloud, volume=volume)
    assert (seen.answer, snapshot in seen.detail) == (Answer.GOOD, True), seen.detail
    assert "data_age_s" in seen.measures


async def test_the_value_of_a_record(ask: Ask, cloud: str) -> None:
    route53 = client("route53", cloud)
    zone = route53.create_hosted_zone(Name="acme.example.", CallerReference="1")["HostedZone"]["Id"]
    record = {"Name": "erp.acme.example.", "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": "203.0.113.2"}]}
    route53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    )
    asked: dict[str, Any] = {"what": "record", "endpoint": cloud, "record": "erp.acme.example"}
    for more in ({}, {"zone": "acme.example"}, {"zone": zone}, {"expect": "203.0.113.2"}):
        seen = await ask("aws", **asked, **more)
        assert seen.answer is Answer.GOOD, seen.detail
    other = await ask("aws", **asked, expect=["198.51.100.2"])
    assert (other.answer, "expected 198.51.100.2" in other.detail) == (Answer.BAD, True), other.detail
    none = await ask("aws", what="record", endpoint=cloud, record="nix.acme.example")
    assert none.answer is Answer.BAD, none.detail
    elsewhere = await ask("aws", what="record", endpoint=cloud, record="erp.other.example")
    assert (elsewhere.answer, "no hosted zone" in elsewhere.detail) == (Answer.BAD, True), elsewhere.detail


async def test_every_set_of_a_record_that_is_weighed_and_a_name_in_other_scripts(ask: Ask, cloud: str) -> None:
    """A weighted switch: the set that weighs nothing is answered to nobody."""
    route53 = client("route53", cloud)
    zone = route53.create_hosted_zone(Name="xn--bcher-kva.example.", CallerReference="2")["HostedZone"]["Id"]

    def weigh(**weights: int) -> None:
        changes: list[Any] = [
            {
                "Action": "UPSERT",
                "ResourceRecordSet": {
                    "Name": "erp.xn--bcher-kva.example.",
                    "Type": "CNAME",
                    "TTL": 5,
                    "SetIdentifier": place,
                    "Weight": weight,
                    "ResourceRecords": [{"Value": f"{place}.example."}],
                },
            }
            for place, weight in weights.items()
        ]
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})

    asked = {"what": "record", "endpoint": cloud, "record": "erp.Bücher.example", "type": "CNAME"}
    for weights, answer in (({"hq": 0, "geo": 1}, "geo"), ({"hq": 1, "geo": 0}, "hq"), ({"hq": 1, "geo": 1}, "")):
        weigh(**weights)
        for place in ("hq", "geo"):
            seen = await ask("aws", **asked, expect=f"{place}.example")
            assert (seen.answer is Answer.GOOD) is (place == answer), (weights, seen.detail)
        both = await ask("aws", **asked, expect=["hq.example", "geo.example"], zone="bücher.example")
        assert both.answer is Answer.GOOD, both.detail


async def test_the_api_refuses_or_is_silent(ask: Ask, deaf: int) -> None:
    refused = await ask("aws", what="instance", id="i-1", endpoint=f"http://127.0.0.1:{free_port()}")
    assert refused.answer is Answer.BAD, refused.detail
    silent = await ask("aws", what="instance", id="i-1", endpoint=f"http://127.0.0.1:{deaf}", timeout_s=1.0)
    assert silent.answer is Answer.SILENT, silent.detail


async def test_what_was_signed_is_in_no_answer(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t0ken-of-the-session")
    with refusing_signatures() as api:
        seen = await ask("aws", what="instance", id="i-1", endpoint=api)
    assert (seen.answer, "SignatureDoesNotMatch" in seen.detail) == (Answer.NONE, True), seen.detail
    assert "t0ken" not in seen.detail


async def test_without_credentials_nobody_is_asked(ask: Ask) -> None:
    seen = await ask("aws", what="instance", id="i-1", profile="nobody")
    assert (seen.answer, "nobody" in seen.detail) == (Answer.NONE, True), seen.detail


def test_an_upload_time_is_said_to_be_one() -> None:
    options = AwsOptions(what="object", bucket="b")
    judged = KIND.classify(options, Newest("s3://b/x", 5.0, 10.0, False, 0.1))
    assert (judged.answer, "older" in judged.detail) == (Answer.GOOD, True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"what": "instance"}, "needs id or tags"),
        ({"what": "object"}, "needs bucket"),
        ({"what": "record", "record": "a.b", "bucket": "c"}, "bucket means nothing for what: record"),
    ],
)
def test_options_that_do_not_fit_are_told(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        AwsOptions.model_validate(options)
