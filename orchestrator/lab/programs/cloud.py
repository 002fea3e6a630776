"""The lab's cloud: moto's server (EC2, Route 53, S3), seeded, and the hypervisor behind its one instance.

    python -m orchestrator.lab.programs.cloud --listen ADDRESS --port PORT --socket POWER_SOCKET --host cloud-app
        [--zone acme.example] [--record erp] [--address 203.0.113.2] [--bucket acme-backups] [--instance erp-cloud]
        [--boot-delay 3] [--scratch cloud-drill] [--scratch-instance erp-drill]

`GET /lab/changed?after=N` answers with the number of changes to the zone, as soon as it is not N any more, or after
some seconds. So the name server follows without polling. (AWS has no such thing: its own name servers take up to a
minute.) The instance is found by its tag `Name`. It is stopped at the start. `--scratch` is one more machine: it runs
while an instance tagged `Name=erp-drill` does, which somebody else makes and terminates.

The one rule it keeps: the port opens only when everything is seeded and each service has answered once, because moto
imports a service at its first request (a second or two). State lives in memory: after a power cut only the seed is
there.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlencode

from orchestrator.lab.programs import aws_rest, http_server, power_protocol

MODULE = "orchestrator.lab.programs.cloud"
ACCOUNT = "123456789012"
WATCH_EVERY_S = 0.2
WAIT_MAX_S = 2.0  # for a change of the zone
CHANGED = "/lab/changed"
RETRY_S = 1.0


@dataclass(frozen=True)
class Seed:
    """What is in the cloud at the start."""

    zone: str = "acme.example"
    record: str = "erp"
    address: str = "203.0.113.2"
    bucket: str = "acme-backups"
    instance: str = "erp-cloud"


def argv(
    python: str,
    *,
    listen: str = "0.0.0.0",  # noqa: S104
    port: int = 5000,
    socket: str = power_protocol.POWER_SOCKET,
    host: str = "cloud-app",
    scratch: str = "cloud-drill",
) -> tuple[str, ...]:
    """The command line that runs this program."""
    where = ("--listen", listen, "--port", str(port), "--socket", socket)
    return (python, "-m", MODULE, *where, "--host", host, "--scratch", scratch)


class Cloud:
    """moto in this process: its requests without a port, its instances without a request."""

    def __init__(self, seed: Seed) -> None:
        os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # a second saved; any image id is accepted
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.test import Client

        self.application: Any = DomainDispatcherApplication(create_backend_app)
        self._client = Client(self.application)
        self._fill(seed)

    def _call(self, service: str, method: str, path: str, data: bytes = b"", content_type: str = "") -> str:
        headers = aws_rest.authorization(service)
        answer = self._client.open(path, method=method, data=data, headers=headers, content_type=content_type or None)
        if answer.status_code >= 300:
            raise RuntimeError(f"seeding {service}: {method} {path}: {answer.status_code} {answer.text[:300]}")
        return str(answer.text)

    def _query(self, service: str, version: str, action: str, parameters: Mapping[str, str] | None = None) -> str:
        form = urlencode({"Action": action, "Version": version, **(parameters or {})}).encode()
        return self._call(service, "POST", "/", form, "application/x-www-form-urlencoded")

    def _fill(self, seed: Seed) -> None:
        self._call("s3", "PUT", f"/{seed.bucket}")
        self._call(
            "route53",
            "POST",
            "/2013-04-01/hostedzone",
            f'<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Name>{seed.zone}.</Name>'
            f"<CallerReference>lab</CallerReference></CreateHostedZoneRequest>".encode(),
        )
        zone = self._backend("route53", "global").list_hosted_zones()[0][0].id.rpartition("/")[2]
        self._call("route53", "POST", f"/2013-04-01/hostedzone/{zone}/rrset", _record(seed))
        ec2 = "2016-11-15"
        self._query(
            "ec2",
            ec2,
            "RunInstances",
            {
                "ImageId": "ami-00000000000000001",
                "MinCount": "1",
                "MaxCount": "1",
                "TagSpecification.1.ResourceType": "instance",
                "TagSpecification.1.Tag.1.Key": "Name",
                "TagSpecification.1.Tag.1.Value": seed.instance,
            },
        )
        (self._instance,) = (instance.id for instance in self._backend("ec2", aws_rest.REGION).all_instances())
        self._query("ec2", ec2, "StopInstances", {"InstanceId.1": self._instance})
        self._query("ec2", ec2, "DescribeInstances")
        self._query("sts", "2011-06-15", "GetCallerIdentity")

    def _backend(self, service: str, region: str) -> Any:
        from moto.backends import get_backend
        from moto.core.base_backend import BackendDict

        backends: BackendDict[Any] = get_backend(service)  # type: ignore[call-overload]
        return backends[ACCOUNT][region]

    def scratch_state(self, name: str) -> str:
        """`running` while any instance tagged with this name runs."""
        every = self._backend("ec2", aws_rest.REGION).all_instances()
        running = any(_name_of(x) == name and str(x.state) == "running" for x in every)
        return "running" if running else "terminated"

    def instance_state(self) -> str:
        """The seeded instance's EC2 state; `terminated` when it is no more."""
        for instance in self._backend("ec2", aws_rest.REGION).all_instances():
            if instance.id == self._instance:
                return str(instance.state)
        return "terminated"


def _name_of(instance: Any) -> str:
    return next((str(tag["value"]) for tag in instance.get_tags() if tag["key"] == "Name"), "")


class Changes:
    """moto's application, with the one question that it does not know: has the zone changed?"""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._changed = threading.Condition()
        self._changes = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """One request."""
        path = str(environ.get("PATH_INFO", ""))
        if path == CHANGED:
            asked = parse_qs(str(environ.get("QUERY_STRING", ""))).get("after", [""])[0]
            with self._changed:
                self._changed.wait_for(lambda: str(self._changes) != asked, WAIT_MAX_S)
                told = str(self._changes).encode()
            start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(told)))])
            return [told]
        answer = self._application(environ, start_response)
        if environ.get("REQUEST_METHOD") == "POST" and path.rstrip("/").endswith("/rrset"):
            with self._changed:
                self._changes += 1
                self._changed.notify_all()
        return answer


def _record(seed: Seed) -> bytes:
    values = f"<ResourceRecords><ResourceRecord><Value>{seed.address}</Value></ResourceRecord></ResourceRecords>"
    record = f"<Name>{seed.record}.{seed.zone}.</Name><Type>A</Type><TTL>1</TTL>{values}"
    change = f"<Change><Action>UPSERT</Action><ResourceRecordSet>{record}</ResourceRecordSet></Change>"
    namespace = "https://route53.amazonaws.com/doc/2013-04-01/"
    return (
        f'<ChangeResourceRecordSetsRequest xmlns="{namespace}"><ChangeBatch><Changes>{change}</Changes></ChangeBatch>'
        f"</ChangeResourceRecordSetsRequest>"
    ).encode()


async def hypervise(state: Callable[[], str], socket: str, host: str, boot_delay_s: float) -> None:
    """Make the host's power follow the instance's state, for ever.

    A start takes `boot_delay_s`, as a machine does before its own init runs; a stop in the meantime calls it off.
    What the power process refuses is tried again.
    """
    powered = False
    since: float | None = None
    loop = asyncio.get_running_loop()
    while True:
        wanted = state() == "running"
        if wanted == powered:
            since = None
        elif since is None:
            since = loop.time()
        if wanted != powered and since is not None and loop.time() - since >= (boot_delay_s if wanted else 0.0):
            try:
                await (power_protocol.start if wanted else power_protocol.stop)(socket, host)
                powered = wanted
            except power_protocol.PowerError as error:
                print(f"hypervisor: {host}: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(RETRY_S)
        await asyncio.sleep(WATCH_EVERY_S)


async def run(
    listen: str, port: int, socket: str, host: str, boot_delay_s: float, seed: Seed, scratch: tuple[str, str] = ("", "")
) -> None:
    """Seed, open the port, and hypervise until SIGTERM. `scratch`: another machine, and its instance's name."""
    cloud = Cloud(seed)
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(listen, port, Changes(cloud.application), threaded=True)
    loop = asyncio.get_running_loop()
    serving = loop.run_in_executor(None, server.serve_forever, WATCH_EVERY_S)
    hypervisors = [loop.create_task(hypervise(cloud.instance_state, socket, host, boot_delay_s))]
    if scratch[0]:
        scratch_state = partial(cloud.scratch_state, scratch[1])
        hypervisors.append(loop.create_task(hypervise(scratch_state, socket, scratch[0], boot_delay_s)))
    await http_server.until_told_to_stop()
    for hypervisor in hypervisors:
        hypervisor.cancel()
    server.shutdown()
    await serving


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    seed = Seed()
    parser = argparse.ArgumentParser(prog="cloud")
    parser.add_argument("--listen", default="0.0.0.0")  # noqa: S104
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--socket", default=power_protocol.POWER_SOCKET)
    parser.add_argument("--host", default="cloud-app")
    parser.add_argument("--scratch", default="")
    parser.add_argument("--scratch-instance", default="erp-drill")
    parser.add_argument("--boot-delay", type=float, default=3.0)
    for name in ("zone", "record", "address", "bucket", "instance"):
        parser.add_argument(f"--{name}", default=getattr(seed, name))
    given = parser.parse_args(arguments)
    seed = Seed(given.zone, given.record, given.address, given.bucket, given.instance)
    scratch = given.scratch, given.scratch_instance
    asyncio.run(run(given.listen, given.port, given.socket, given.host, given.boot_delay, seed, scratch))


if __name__ == "__main__":
    main()
