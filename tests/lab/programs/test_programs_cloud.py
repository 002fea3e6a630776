"""The cloud, its hypervisor, the name server that follows it, and backups: real moto, real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from dnslib import QTYPE, RCODE, DNSRecord

from orchestrator.lab.programs import aws_rest, backup, cloud, dns
from orchestrator.lab.programs.postgres_setup import ERP_PASSWORD, Kind
from orchestrator.lab.programs.stub_resolver import ResolveError, StubResolver
from tests.ports import free_port

from .conftest import Cluster, Programs, end, listens, wait_until

if TYPE_CHECKING:
    from botocore.client import BaseClient

Make = Callable[[Kind], Cluster]


def client(service: str, url: str) -> BaseClient:
    """A boto3 client, as a playbook's modules use it."""
    factory: Any = boto3.client
    made: BaseClient = factory(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="lab", aws_secret_access_key="lab"
    )
    return made


class Power:
    """A power process that keeps what it was asked. `refuse` makes it say no."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[tuple[float, dict[str, object]]] = []
        self.refuse = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        while line := await reader.readline():
            self.asked.append((time.monotonic(), json.loads(line)))
            writer.write(b'{"error": "no such host"}\n' if self.refuse else b'{"ok": true}\n')
        writer.close()


def test_the_cloud_is_seeded_when_its_port_opens(api: str) -> None:
    ec2: Any = client("ec2", api)
    named = [{"Name": "tag:Name", "Values": ["erp-cloud"]}]
    (found,) = ec2.describe_instances(Filters=named)["Reservations"]
    assert found["Instances"][0]["State"]["Name"] == "stopped"
    s3: Any = client("s3", api)
    assert "Contents" not in s3.list_objects_v2(Bucket="acme-backups")
    route53: Any = client("route53", api)
    (zone,) = route53.list_hosted_zones_by_name(DNSName="acme.example.")["HostedZones"]
    records = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    (record,) = [each for each in records if each["Type"] == "A"]
    assert record == {
        "Name": "erp.acme.example.",
        "Type": "A",
        "TTL": 1,
        "ResourceRecords": [{"Value": "203.0.113.2"}],
    }


async def test_power_follows_the_instance_after_a_boot_delay(tmp_path: Path) -> None:
    power = Power(tmp_path / "power.sock")
    server = await asyncio.start_unix_server(power.serve, power.path)
    state = "stopped"
    task = asyncio.create_task(cloud.hypervise(lambda: state, str(power.path), "cloud-app", 0.6))
    try:
        await asyncio.sleep(0.3)
        assert power.asked == [], "a stopped instance asks for nothing"
        state, began = "running", time.monotonic()
        await asyncio.sleep(1.2)
        ((at, asked),) = power.asked
        assert asked == {"op": "start", "host": "cloud-app"}
        assert at - began >= 0.5, "booting takes its time"
        state = "stopped"
        await asyncio.sleep(0.5)
        assert [each["op"] for _, each in power.asked] == ["start", "stop"]
        state = "running"
        await asyncio.sleep(0.3)
        state = "stopped"
        await asyncio.sleep(0.8)
        assert len(power.asked) == 2, "stopped before it had booted: called off"
    finally:
        task.cancel()
        server.close()


async def test_what_the_power_process_refuses_is_tried_again(tmp_path: Path) -> None:
    power = Power(tmp_path / "power.sock")
    power.refuse = True
    server = await asyncio.start_unix_server(power.serve, power.path)
    task = asyncio.create_task(cloud.hypervise(lambda: "running", str(power.path), "cloud-app", 0.0))
    try:
        await asyncio.sleep(0.6)
        assert len(power.asked) == 1
        power.refuse = False
        await asyncio.sleep(1.5)
        assert len(power.asked) == 2
    finally:
        task.cancel()
        server.close()


def upsert(api: str, address: str) -> None:
    """Change the record as a playbook does."""
    route53: Any = client("route53", api)
    zone = route53.list_hosted_zones_by_name(DNSName="acme.example.")["HostedZones"][0]["Id"]
    values = [{"Value": address}]
    record = {"Name": "erp.acme.example.", "Type": "A", "TTL": 1, "ResourceRecords": values}
    batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


async def address_of(port: int, name: str = "erp.acme.example") -> str:
    """What a resolver without a cache gets."""
    resolver = StubResolver("127.0.0.1", port)
    try:
        return await resolver.resolve(name)
    except ResolveError as error:
        return str(error)
    finally:
        resolver.close()


def test_the_zone_is_followed_and_outlives_the_api(programs: Programs, tmp_path: Path, python: str) -> None:
    api_port, port, store = free_port(), free_port(), tmp_path / "state" / "zone.json"
    api = f"http://127.0.0.1:{api_port}"
    argv = dns.argv(python, listen="127.0.0.1", port=port, api=api, store=str(store))
    server = programs.start(*argv)
    wait_until(lambda: asyncio.run(address_of(port)) == "erp.acme.example: SERVFAIL", "no zone yet: SERVFAIL")

    cloud_argv = cloud.argv(python, listen="127.0.0.1", port=api_port, socket="/nonexistent/power.sock")
    running = programs.start(*cloud_argv)
    wait_until(lambda: asyncio.run(address_of(port)) == "203.0.113.2", "the zone is taken")
    upsert(api, "198.51.100.2")
    wait_until(lambda: asyncio.run(address_of(port)) == "198.51.100.2", "the change is served", 15.0)
    end(running)
    time.sleep(0.5)
    assert asyncio.run(address_of(port)) == "198.51.100.2", "the last zone is served while the API is gone"
    end(server)
    programs.start(*argv)
    wait_until(lambda: asyncio.run(address_of(port)) == "198.51.100.2", "and after a restart")


def test_whoever_follows_the_zone_is_told_when_it_changes(api: str) -> None:
    def changes(after: str) -> str:
        with urllib.request.urlopen(f"{api}/lab/changed?after={after}", timeout=10) as answer:
            return str(answer.read().decode())

    known = changes("")  # nothing is known yet: told at once
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(changes, known)
        upsert(api, "198.51.100.2")
        assert int(waits.result(10)) == int(known) + 1
    assert changes(known) == str(int(known) + 1)  # and not missed by whoever asks late
    upsert(api, "203.0.113.2")


def asked(server: dns.NameServer, name: str, kind: str = "A") -> DNSRecord:
    """One question."""
    reply = server.answer(DNSRecord.question(name, kind).pack())
    assert reply is not None
    return DNSRecord.parse(reply)


def test_the_name_server_is_authoritative_for_its_zone_only(tmp_path: Path) -> None:
    server = dns.NameServer("acme.example", tmp_path / "zone.json")
    assert asked(server, "erp.acme.example").header.rcode == RCODE.SERVFAIL
    server.take(
        {
            "erp.acme.example.": {"A": (1, ["192.0.2.1"])},
            "www.acme.example.": {"CNAME": (60, ["erp.acme.example."])},
            "note.acme.example.": {"TXT": (60, ['"hello"'])},
        }
    )
    reply = asked(server, "ERP.acme.example")
    assert [(str(each.rdata), each.ttl) for each in reply.rr] == [("192.0.2.1", 1)]
    assert reply.header.aa == 1
    assert [QTYPE.get(each.rtype) for each in asked(server, "www.acme.example").rr] == ["CNAME", "A"]
    assert str(asked(server, "note.acme.example", "TXT").rr[0].rdata) == '"hello"'
    nothing = asked(server, "erp.acme.example", "AAAA")
    assert (nothing.header.rcode, len(nothing.rr), len(nothing.auth)) == (RCODE.NOERROR, 0, 1)
    assert asked(server, "no.acme.example").header.rcode == RCODE.NXDOMAIN
    assert asked(server, "bascule.example").header.rcode == RCODE.REFUSED
    assert server.answer(b"\x00\x01garbage") is None


def test_a_spoiled_store_is_no_reason_not_to_start(tmp_path: Path) -> None:
    store = tmp_path / "zone.json"
    store.write_text("{")
    assert asked(dns.NameServer("acme.example", store), "erp.acme.example").header.rcode == RCODE.SERVFAIL


def shipper(cluster: Cluster, api: str, prefix: str, keep: int = 20) -> backup.Shipper:
    """What ships that cluster's backups."""
    source = backup.Source(cluster.bin, str(cluster.sockets), cluster.port)
    return backup.Shipper(source, aws_rest.Api(api), "acme-backups", prefix, "hq-db", keep)


async def test_a_backup_is_whole_and_tells_how_old_its_data_is(cluster: Make, api: str, tmp_path: Path) -> None:
    primary = cluster("primary")
    primary.start()
    primary.ask("INSERT INTO transactions (id, served_by) VALUES ('kept', 'hq')", "erp")
    before = time.time()
    key = await shipper(primary, api, "whole/").ship()
    assert key is not None
    assert backup.NAME.fullmatch(key.removeprefix("whole/"))
    s3: Any = client("s3", api)
    found = s3.get_object(Bucket="acme-backups", Key=key)
    assert before <= float(found["Metadata"]["snapshot-time"]) <= time.time()
    dump = tmp_path / "newest.dump"
    dump.write_bytes(found["Body"].read())

    empty = cluster("empty")
    empty.start()
    assert await _refused(shipper(empty, api, "empty/")), "an instance that waits for its restore ships nothing"
    empty.ask("CREATE DATABASE erp OWNER erp")
    assert await shipper(empty, api, "empty/").ship() is None
    command = (empty.bin / "pg_restore", "--single-transaction", "--exit-on-error")
    where = ("-h", "127.0.0.1", "-p", str(empty.port), "-U", "erp", "-d", "erp")
    environment = {"PGPASSWORD": ERP_PASSWORD}
    everything = (*command, *where, dump)
    done = await asyncio.to_thread(subprocess.run, everything, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert empty.ask("SELECT id FROM transactions", "erp") == "kept"
    assert await shipper(empty, api, "empty/").ship() is not None


async def _refused(one: backup.Shipper) -> bool:
    try:
        return await one.ship() is None
    except backup.ToolError as error:
        return 'database "erp" does not exist' in str(error)


async def test_only_the_newest_are_kept_and_only_ours_are_deleted(
    cluster: Make, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary = cluster("primary")
    primary.start()
    s3: Any = client("s3", api)
    s3.put_object(Bucket="acme-backups", Key="kept/README", Body=b"not a backup")
    one = shipper(primary, api, "kept/", keep=2)
    clock = iter(range(1_800_000_000, 1_800_000_100, 5))
    monkeypatch.setattr("orchestrator.lab.programs.backup.time.time", lambda: float(next(clock)))
    for _ in range(4):
        await one.ship()
    listed = s3.list_objects_v2(Bucket="acme-backups", Prefix="kept/")["Contents"]
    assert [each["Key"] for each in listed] == [
        "kept/20270115T080010Z-hq-db.dump",
        "kept/20270115T080015Z-hq-db.dump",
        "kept/README",
    ]


async def test_a_standby_ships_nothing_and_an_absent_api_is_survived(
    cluster: Make, api: str, programs: Programs, python: str
) -> None:
    standby = cluster("standby")
    (standby.data / "postgresql.auto.conf").write_text("primary_conninfo = 'host=127.0.0.1 port=1'\n")
    standby.start()
    assert await shipper(standby, api, "standby/").ship() is None
    assert standby.ask("SELECT pg_promote()") == "t"
    with pytest.raises(aws_rest.ApiError):
        await shipper(standby, f"http://127.0.0.1:{free_port()}", "standby/").ship()
    api_port = free_port()
    argv = list(backup.argv(python, host="geo-db", api=f"http://127.0.0.1:{api_port}", programs=str(standby.bin)))
    argv[argv.index("--every") + 1] = "0.3"
    argv[argv.index("--prefix") + 1] = "later/"
    argv += ["--socket", str(standby.sockets), "--port", str(standby.port)]
    shipping = programs.start(*argv)
    await asyncio.sleep(1.5)
    assert shipping.poll() is None, "it goes on while the API is away"
    programs.start(*cloud.argv(python, listen="127.0.0.1", port=api_port, socket="/nonexistent/power.sock"))
    wait_until(lambda: listens(api_port), "the cloud listens")
    s3: Any = client("s3", f"http://127.0.0.1:{api_port}")
    wait_until(lambda: "Contents" in s3.list_objects_v2(Bucket="acme-backups", Prefix="later/"), "a backup is there")
    assert end(shipping) == 0


async def test_beside_a_backup_lies_what_its_source_held(cluster: Make, api: str) -> None:
    """By table, of the dump's very snapshot."""
    primary = cluster("primary")
    primary.start()
    primary.ask("INSERT INTO transactions (id, served_by) VALUES ('one', 'hq'), ('two', 'hq')", "erp")
    key = await shipper(primary, api, "held/").ship()
    assert key is not None
    s3: Any = client("s3", api)
    beside = f"erp-content/{key.removeprefix('held/')}.json"
    held = json.loads(s3.get_object(Bucket="acme-backups", Key=beside)["Body"].read())
    assert time.time() - 60 < held["taken_at"] <= time.time()
    assert held["tables"]["public.transactions"]["rows"] == 2
    sum_before = held["tables"]["public.transactions"]["sum"]
    primary.ask("UPDATE transactions SET served_by = 'geo' WHERE id = 'two'", "erp")
    _, tables = await backup._dumped(backup.Source(primary.bin, str(primary.sockets), primary.port))
    changed: Any = tables["public.transactions"]
    assert (changed["rows"], changed["sum"] != sum_before) == (2, True)


def test_the_query_is_the_one_that_the_role_ships() -> None:
    """What is held then and now is compared: two queries would tell of the same content differently."""
    shipped = Path(__file__).parents[3] / "playbooks" / "roles" / "postgresql_content" / "files" / "content.sql"
    assert backup.CONTENT.read_bytes() == shipped.read_bytes()
