"""Lists what is in a cloud account, on one line of JSON: instances, volumes, records of DNS zones. It changes nothing.

The one rule it keeps: as `survey.py`, twice the same where nothing happens. A terminated instance is no more, and the
serial of a zone counts by itself. It runs on the controller, by bascule's own Python, with the credentials that AWS's
own configuration has there; none is handed to it, and none is in what it says.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.exceptions as boto
from botocore.config import Config

TIMEOUT_S = 20.0
MOST = 20_000  # of each kind: beyond, nobody can say what was left behind


class Unlisted(Exception):
    """What could not be listed, and why."""


def listed(wanted: dict[str, Any]) -> dict[str, list[str]]:
    """By what it is, its lines, sorted. `wanted`: `region`, `profile`, `endpoint`, `tags`, `zones`. Raises Unlisted."""
    os.environ.setdefault("AWS_METADATA_SERVICE_TIMEOUT", "1")
    os.environ.setdefault("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "1")
    config = Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"mode": "standard"})
    try:
        session = boto3.Session(profile_name=wanted.get("profile"), region_name=wanted.get("region"))
        ec2: Any = session.client("ec2", endpoint_url=wanted.get("endpoint"), config=config)
        tags = wanted.get("tags") or {}
        tagged = [{"Name": f"tag:{key}", "Values": [value]} for key, value in sorted(tags.items())]
        found = {
            "instances": _bounded("instances", _instances(ec2, tagged)),
            "volumes": _bounded("volumes", _volumes(ec2, tagged)),
        }
        if wanted.get("zones"):
            route53: Any = session.client("route53", endpoint_url=wanted.get("endpoint"), config=config)
            lines = (x for zone in wanted["zones"] for x in _records(route53, zone))
            found["records"] = _bounded("records", lines)
        return found
    except (boto.BotoCoreError, boto.ClientError) as error:
        why = str(error).partition("\n")[0]  # what was signed may follow, with the session's token
        raise Unlisted(f"AWS could not be asked: {why}") from None


def _bounded(what: str, lines: Iterator[str]) -> list[str]:
    found = []
    for line in lines:
        found.append(line)
        if len(found) > MOST:
            raise Unlisted(f"there are more than {MOST} {what}: name the tags of those of the drill")
    return sorted(found)


def _instances(ec2: Any, tagged: list[dict[str, Any]]) -> Iterator[str]:
    for page in ec2.get_paginator("describe_instances").paginate(Filters=tagged):
        for x in (one for reservation in page["Reservations"] for one in reservation["Instances"]):
            if x["State"]["Name"] != "terminated":
                yield f"{x['InstanceId']} {x['InstanceType']} {x['State']['Name']}{_named(x)}"


def _volumes(ec2: Any, tagged: list[dict[str, Any]]) -> Iterator[str]:
    for page in ec2.get_paginator("describe_volumes").paginate(Filters=tagged):
        for x in page["Volumes"]:
            at = ", ".join(sorted(y["InstanceId"] for y in x.get("Attachments", ()) if y.get("InstanceId")))
            yield f"{x['VolumeId']} {x['Size']} GiB {x['State']}{f' at {at}' if at else ''}{_named(x)}"


def _named(x: dict[str, Any]) -> str:
    name = next((t["Value"] for t in x.get("Tags", ()) if t["Key"] == "Name"), "")
    return f" ({name})" if name else ""


def _records(route53: Any, zone: str) -> Iterator[str]:
    for page in route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=_id_of(route53, zone)):
        for x in page["ResourceRecordSets"]:
            if x["Type"] == "SOA":
                continue
            values = sorted(y["Value"] for y in x.get("ResourceRecords", ()))
            values += [f"alias of {x['AliasTarget']['DNSName']}"] if "AliasTarget" in x else []
            more = f" ({x['SetIdentifier']})" if "SetIdentifier" in x else ""
            ttl = f" {x['TTL']}" if "TTL" in x else ""
            yield f"{x['Name']}{ttl} {x['Type']}{more} {', '.join(values)}"


def _id_of(route53: Any, zone: str) -> str:
    """Of a hosted zone that is named by its id or by its name."""
    name = f"{zone.rstrip('.').lower()}."
    for page in route53.get_paginator("list_hosted_zones").paginate():
        for x in page["HostedZones"]:
            if name == x["Name"].lower() or zone == x["Id"].rpartition("/")[2]:
                return str(x["Id"])
    raise Unlisted(f"there is no hosted zone {zone}")


def main() -> None:
    """What is wanted comes as JSON by standard input."""
    try:
        sys.stdout.write(json.dumps(listed(json.load(sys.stdin))) + "\n")
    except Unlisted as why:
        sys.exit(str(why))


if __name__ == "__main__":
    main()
