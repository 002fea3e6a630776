"""The table of kinds: one row each, and nothing else in the package names them.

The one rule it keeps: a row costs nothing until its kind is asked. The heavy libraries are imported by then.
"""

from __future__ import annotations

from typing import Any

from orchestrator.probes import aws, dns, http, icmp, nagios, postgres, ssh, tcp
from orchestrator.probes.kind import Kind

KINDS: dict[str, Kind[Any, Any]] = {
    kind.name: kind
    for kind in (
        icmp.KIND,
        tcp.KIND,
        http.KIND,
        dns.KIND,
        ssh.KIND,
        postgres.KIND,
        aws.KIND,
        nagios.KIND,
    )
}
