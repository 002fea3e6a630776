"""Asks AWS with boto3, inside a fork.

The one rule it keeps: one question is few calls, each with a time-out and without boto's own retries. The check's next
beat is the retry.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions as boto
import botocore.session
from botocore.config import Config

from orchestrator.probes.aws import AwsOptions, Instances, Newest, Record
from orchestrator.probes.domain_names import ascii_name
from orchestrator.probes.forks import Call
from orchestrator.probes.results import NotAsked, Raw, Refusal, Silence

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_route53 import Route53Client
    from mypy_boto3_route53.type_defs import ResourceRecordSetOutputTypeDef
    from mypy_boto3_s3 import S3Client

_PAGES_MAX = 50
_CLOCKS_DIFFER_S = 60.0
_OURS = ("AccessDenied", "UnauthorizedOperation", "AuthFailure", "ExpiredToken", "InvalidClientTokenId", "Throttl")
_OURS_TOO = ("SignatureDoesNotMatch", "RequestLimitExceeded", "InvalidAccessKeyId", "UnrecognizedClient", "SlowDown")
_ABSENT = ("NotFound", "NoSuch", "InvalidInstanceID", "InvalidVolume")

_LOADER = botocore.session.Session().get_component("data_loader")


def _session(profile: str | None) -> botocore.session.Session:
    """A session that shares what the template has read of boto's descriptions of services."""
    session = botocore.session.Session(profile=profile)
    session.register_component("data_loader", _LOADER)
    return session


def _read_descriptions() -> None:
    """Read, once and for all forks, the descriptions that building a client needs: most of a client's cost."""
    for service in ("ec2", "s3", "route53"):
        _session(None).create_client(
            service,
            region_name="us-east-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",  # noqa: S106  # never used
        )


try:
    _read_descriptions()
except boto.BotoCoreError:
    pass  # a broken ~/.aws/config: each question will say so


def answer(call: Call) -> Raw:
    """Ask, and turn boto's many exceptions into what they mean."""
    options: AwsOptions = call.options
    started = time.monotonic()
    try:
        return _ASK[options.what](options, call.timeout_s, started)
    except (boto.ConnectTimeoutError, boto.ReadTimeoutError) as error:
        return Silence(f"AWS did not answer within {call.timeout_s:g} s: {error}")
    except boto.EndpointConnectionError as error:
        text = str(error)
        return Silence(text) if "refused" not in _causes(error) else Refusal(f"connection refused: {text}")
    except (boto.ConnectionClosedError, boto.SSLError, boto.HTTPClientError) as error:
        return Refusal(f"AWS: {error}")
    except boto.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        # the first line: what was signed may follow, with the session's token
        message = str(error.response.get("Error", {}).get("Message", "")).partition("\n")[0]
        if any(word in code for word in (*_OURS, *_OURS_TOO)):
            return NotAsked(f"AWS refuses us: {code}: {message}")
        return Refusal(f"AWS: {code}: {message}")
    except boto.BotoCoreError as error:  # no credentials, no region, no such profile, …
        return NotAsked(f"AWS cannot be asked: {error}")


def _causes(error: BaseException | None) -> str:
    texts = []
    while error is not None:
        texts.append(str(error).lower())
        inner = getattr(error, "kwargs", {}).get("error")
        error = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
    return " ".join(texts)


def _client(service: str, options: AwsOptions, timeout_s: float) -> Any:
    os.environ.setdefault("AWS_METADATA_SERVICE_TIMEOUT", "1")
    os.environ.setdefault("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "1")
    config = Config(
        connect_timeout=timeout_s,
        read_timeout=timeout_s,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"} if options.endpoint else None,
    )
    session = boto3.Session(botocore_session=_session(options.profile), region_name=options.region)
    make: Any = session.client
    return make(service, endpoint_url=options.endpoint, config=config)


def _instance(options: AwsOptions, timeout_s: float, started: float) -> Raw:
    ec2: EC2Client = _client("ec2", options, timeout_s)
    asked: dict[str, Any] = (
        {"InstanceIds": [options.id]}
        if options.id
        else {"Filters": [{"Name": f"tag:{key}", "Values": [value]} for key, value in options.tags.items()]}
    )
    states: dict[str, str] = {}
    try:
        found = ec2.describe_instances(**asked)
    except boto.ClientError as error:
        if not _is_absent(error):
            raise
        return Instances({}, time.monotonic() - started)
    for reservation in found["Reservations"]:
        for instance in reservation.get("Instances", []):
            state = str(instance.get("State", {}).get("Name", "unknown"))
            if state not in ("terminated", "shutting-down"):
                states[instance.get("InstanceId", "?")] = state
    return Instances(states, time.monotonic() - started)


def _object(options: AwsOptions, timeout_s: float, started: float) -> Raw:
    s3: S3Client = _client("s3", options, timeout_s)
    bucket = str(options.bucket)
    newest: tuple[float, str, int] | None = None
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=options.prefix)
    for number, page in enumerate(pages):
        if number >= _PAGES_MAX:
            return NotAsked(
                f"more than {_PAGES_MAX}000 objects in s3://{bucket}/{options.prefix}: give a longer prefix"
            )
        for row in page.get("Contents", []):
            if row.get("Size", 0) >= options.min_bytes:
                candidate = (row["LastModified"].timestamp(), row["Key"], row["Size"])
                newest = max(newest, candidate) if newest else candidate
    if newest is None:
        return Newest(None, 0.0, 0.0, True, time.monotonic() - started)
    modified, key, size = newest
    metadata = s3.head_object(Bucket=bucket, Key=key)["Metadata"]
    try:
        taken, exact = float(metadata[options.time_metadata]), True
    except (KeyError, ValueError):
        taken, exact = modified, False
    if not taken <= modified + _CLOCKS_DIFFER_S:  # data that is younger than its upload, or no number
        taken, exact = modified, False
    rtt_s = time.monotonic() - started
    return Newest(f"s3://{bucket}/{key}", max(0.0, time.time() - taken), float(size), exact, rtt_s)


def _snapshot(options: AwsOptions, timeout_s: float, started: float) -> Raw:
    ec2: EC2Client = _client("ec2", options, timeout_s)
    filters: list[Any] = [{"Name": "status", "Values": ["completed"]}]
    filters += [{"Name": f"tag:{key}", "Values": [value]} for key, value in options.tags.items()]
    if options.volume:
        filters.append({"Name": "volume-id", "Values": [options.volume]})
    rows = []
    for page in ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=filters):
        rows += [row for row in page.get("Snapshots", []) if "StartTime" in row]
    rtt_s = time.monotonic() - started
    if not rows:
        return Newest(None, 0.0, 0.0, True, rtt_s)
    newest = max(rows, key=lambda row: row["StartTime"])
    age_s = max(0.0, time.time() - newest["StartTime"].timestamp())
    return Newest(newest.get("SnapshotId", "?"), age_s, float(newest.get("VolumeSize", 0)) * 2**30, True, rtt_s)


def _record(options: AwsOptions, timeout_s: float, started: float) -> Raw:
    route53: Route53Client = _client("route53", options, timeout_s)
    name = _registered(str(options.record)) + "."
    zone = _zone(route53, options.zone, name)
    if zone is None:
        return Refusal(f"there is no hosted zone {options.zone or 'for ' + name}")
    listed = partial(
        route53.list_resource_record_sets, HostedZoneId=zone, StartRecordName=name, StartRecordType=options.type
    )
    found = listed(MaxItems="1")
    if any("SetIdentifier" in row for row in found["ResourceRecordSets"]):  # one of several of this name, at most 100
        found = listed(MaxItems="100")
    rows = [
        row
        for row in found["ResourceRecordSets"]
        if row["Name"].replace("\\052", "*").lower() == name and row["Type"] == options.type
    ]
    # Several sets of one name are weighed. One that weighs nothing is no answer, unless none weighs anything.
    rows = [row for row in rows if row.get("Weight", 1)] or rows
    values = tuple(value for row in rows for value in _values(row))
    ttl_s = min((float(row["TTL"]) for row in rows if "TTL" in row), default=0.0)
    return Record(values, ttl_s, time.monotonic() - started)


def _values(row: ResourceRecordSetOutputTypeDef) -> Iterator[str]:
    if alias := row.get("AliasTarget"):
        yield alias["DNSName"]
    else:
        yield from (item["Value"] for item in row.get("ResourceRecords", []))


def _registered(name: str) -> str:
    with contextlib.suppress(ValueError):  # no name: the API says so
        name = ascii_name(name)
    return name.rstrip(".").lower()


def _zone(route53: Route53Client, wanted: str | None, name: str) -> str | None:
    """Id of the zone: as given, else of that name, else of the longest name that the record ends with."""
    if wanted is not None and "." not in wanted:
        return wanted.rpartition("/")[2]
    best: tuple[int, str] | None = None
    for page in route53.get_paginator("list_hosted_zones").paginate():
        for zone in page["HostedZones"]:
            own = zone["Name"].lower()
            if wanted is not None:
                fits = own.rstrip(".") == _registered(wanted)
            else:
                fits = name == own or name.endswith("." + own)
            if fits and (best is None or len(own) > best[0]):
                best = (len(own), zone["Id"].rpartition("/")[2])
    return best[1] if best else None


def _is_absent(error: boto.ClientError) -> bool:
    code = str(error.response.get("Error", {}).get("Code", ""))
    return any(word in code for word in _ABSENT)


_ASK = {"instance": _instance, "object": _object, "snapshot": _snapshot, "record": _record}
