"""What is in the client's cloud account, a line each: instances, volumes, records. Part of a rehearsal's survey."""

import sys

import boto3

ZONE = sys.argv[1]


def name_of(thing):
    """Its tag `Name`."""
    return next((tag["Value"] for tag in thing.get("Tags", []) if tag["Key"] == "Name"), "-")


ec2, route53 = boto3.client("ec2"), boto3.client("route53")
for page in ec2.get_paginator("describe_instances").paginate():
    for reservation in page["Reservations"]:
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] != "terminated":
                print("instance", instance["InstanceId"], name_of(instance), instance["State"]["Name"])
for page in ec2.get_paginator("describe_volumes").paginate():
    for volume in page["Volumes"]:
        print("volume", volume["VolumeId"], volume["Size"], volume["State"])
zone = next(x["Id"] for x in route53.list_hosted_zones()["HostedZones"] if x["Name"] == ZONE)
for page in route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone):
    for record in page["ResourceRecordSets"]:
        values = " ".join(value["Value"] for value in record.get("ResourceRecords", []))
        if record["Type"] != "SOA":
            print("record", record["Name"], record["Type"], record.get("TTL", "-"), values)
