"""The lab on paper: its addresses, wires and texts fit together. Needs neither root nor Linux."""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path

import pytest

from orchestrator.lab import equipment, network
from orchestrator.lab.errors import LabUsageError
from orchestrator.lab.network import Fault
from orchestrator.lab.service import Service
from orchestrator.lab.topology import CONSOLES, HOSTS, INTERFACE_NAME_LENGTH_MAX, LINKS, SITES, WIRES, bare, names_at

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "lab.md"


def test_every_address_is_given_once() -> None:
    """No two plugs share an address."""
    addresses = [bare(plug.address) for host in HOSTS.values() for plug in host.plugs]
    assert len(addresses) == len(set(addresses))


@pytest.mark.parametrize("wire", WIRES)
def test_what_hangs_on_a_wire_shares_its_network(wire: str) -> None:
    """All plugs of a wire are in one subnet, and there are at least two of them."""
    networks = [ipaddress.ip_interface(p.address).network for h in HOSTS.values() for p in h.plugs if p.wire == wire]
    assert len(networks) > 1
    assert len(set(networks)) == 1


def test_a_gateway_is_a_neighbour() -> None:
    """Each host's default route leads to an address on one of its own wires that belongs to a router."""
    for host in HOSTS.values():
        if host.gateway is None:
            continue
        owner = next(h for h in HOSTS.values() for p in h.plugs if bare(p.address) == host.gateway)
        assert owner.router, f"{host.name}: {owner.name} forwards nothing"
        assert {p.wire for p in owner.plugs} & {p.wire for p in host.plugs}, host.name


def test_names_fit_the_kernel_and_differ() -> None:
    """Bridges and ports are interfaces of one namespace, with names of at most fifteen bytes."""
    names = [*WIRES, *(network.port(host.name, plug.name) for host in HOSTS.values() for plug in host.plugs)]
    assert len(names) == len(set(names))
    assert max(map(len, names)) <= INTERFACE_NAME_LENGTH_MAX


def test_the_document_knows_every_host() -> None:
    """docs/lab.md is the contract: every host stands in it with its addresses."""
    text = DOCUMENT.read_text()
    for host in HOSTS.values():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{host.name}`"))
        if host.name != "internet":
            assert all(bare(plug.address) in row for plug in host.plugs if plug.name != "up")


def test_names_resolve_for_whoever_asks() -> None:
    """At HQ the router is its LAN address; at the operations centre it is the public one."""
    assert names_at(HOSTS["hq-app"])["hq-edge"] == "10.10.0.1"
    assert names_at(HOSTS["hq-oob"])["hq-db"] == "10.10.0.20"
    assert names_at(HOSTS["noc"])["hq-edge"] == "203.0.113.2"
    assert names_at(HOSTS["noc"])["hq-edge-wan-b"] == "203.0.113.6"


def test_a_console_has_its_own_battery() -> None:
    """Consoles hang on no site's mains; everything else at a site does."""
    assert all(HOSTS[console].site is None for console in CONSOLES)
    assert {host.site for host in HOSTS.values() if host.site} == set(SITES)


def test_only_the_isps_can_be_cut_upstream() -> None:
    """Elsewhere there is no hop beyond the first, and saying so names where there is."""
    network.check_fault(LINKS["isp-a"], Fault("upstream"))
    with pytest.raises(LabUsageError, match="isp-a, isp-b"):
        network.check_fault(LINKS["geo"], Fault("upstream"))


@pytest.mark.parametrize("fault", [Fault("sideways"), Fault("lossy", 101), Fault("lossy", -1)])
def test_a_fault_that_does_not_exist_is_refused(fault: Fault) -> None:
    """Unknown ways and impossible percentages."""
    with pytest.raises(LabUsageError):
        network.check_fault(LINKS["isp-a"], fault)


def test_an_isp_passes_its_own_customers_addresses_only() -> None:
    """Anti-spoofing is per ISP."""
    assert "203.0.113.0/30" in network.firewall(HOSTS["isp-a"])
    assert "203.0.113.4/30" in network.firewall(HOSTS["isp-b"])


@pytest.mark.parametrize("host", HOSTS)
def test_a_service_is_a_shell_script_that_parses(host: str) -> None:
    """Every /etc/init.d script of the lab passes `sh -n`."""
    for service in equipment.services(host):
        subprocess.run(["sh", "-n"], input=service.script(), text=True, check=True)


def test_a_services_words_reach_it_unharmed() -> None:
    """Arguments with blanks and quotes are quoted in the script."""
    script = Service("x", ("/bin/echo", "it's", "a b"), env=(("K", "v w"),)).script()
    assert """/bin/echo 'it'"'"'s' 'a b'""" in script
    assert "'K=v w'" in script
