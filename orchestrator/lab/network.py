"""The lab's wires, and what each host does with its end of them.

Every wire is a bridge in the lab's own network namespace (the supervisor's). Every plug is a veth pair between a bridge
and a host. The one rule it keeps: **faults are made on the wire, never on a host**. A cut is a bridge rule that drops
every IP packet in both directions. So it also stops what the routers at either end send themselves, no interface loses
its carrier, and no host sees a rule of ours. ARP still passes. Otherwise, half a minute later, the router before the
cut would begin to answer "host unreachable", and the failure would not be silent any more.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab.errors import LabError, LabUsageError
from orchestrator.lab.topology import HOSTS, INTERFACE_NAME_LENGTH_MAX, LINKS, WIRES, Host, Link, Plug, bare

CUTS = ("silent", "carrier", "upstream")


@dataclass(frozen=True)
class Fault:
    """What is wrong with a link: a way to be cut (one of CUTS), or `lossy` with the percentage lost each way."""

    how: str
    percent: int = 0

    def __str__(self) -> str:
        return f"lossy {self.percent}%" if self.how == "lossy" else f"cut ({self.how})"


def port(host: str, interface: str) -> str:
    """The bridge's end of a plug."""
    return f"{host}.{interface}"[:INTERFACE_NAME_LENGTH_MAX]


def _hardware_address(plug: Plug) -> str:
    """Fixed, so that neighbours' ARP entries outlive a power cut of the host as they would in reality."""
    return "02:ba:" + ":".join(f"{int(part):02x}" for part in bare(plug.address).split("."))


def run(program: str, arguments: list[str], text: str, environment: dict[str, str]) -> None:
    """Feed `text` to a program; raise LabError with what it said if it fails."""
    done = subprocess.run(
        [program, *arguments], input=text, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise LabError(f"{program} {' '.join(arguments)} failed: {said[0] if said else 'without a word'}")


def lay_wires(environment: dict[str, str]) -> None:
    """Make the bridges, in the calling process's network namespace.

    Where the machine has br_netfilter (a Docker host, say), bridged packets would also be routed through the rules and
    connection tracking of this namespace: a wire is a wire.
    """
    for path, value in _WIRE_SETTINGS.items():
        set_kernel(path, value)
    lines = ["link set lo up"]
    for wire in WIRES:
        lines.append(f"link add {wire} type bridge stp_state 0 forward_delay 0 mcast_snooping 0")
        lines.append(f"link set dev {wire} up")
    run("ip", ["-batch", "-"], "\n".join(lines), environment)


_WIRE_SETTINGS = {
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
    "net/bridge/bridge-nf-call-iptables": "0",
    "net/bridge/bridge-nf-call-ip6tables": "0",
    "net/bridge/bridge-nf-call-arptables": "0",
}


def set_kernel(path: str, value: str) -> None:
    """One setting below /proc/sys, of this network namespace; what this kernel does not have is passed over."""
    try:
        Path("/proc/sys", path).write_text(value)
    except FileNotFoundError:
        pass


def plug_in(hosts: dict[str, int], environment: dict[str, str]) -> None:
    """Connect hosts to their wires: host name to a process id inside its network namespace."""
    lines = []
    for name, pid in hosts.items():
        for plug in HOSTS[name].plugs:
            end = port(name, plug.name)
            lines.append(
                f"link add {end} type veth peer name {plug.name} address {_hardware_address(plug)} netns {pid}"
            )
            lines.append(f"link set dev {end} master {plug.wire} up")
    run("ip", ["-batch", "-"], "\n".join(lines), environment)


def unplug(name: str, environment: dict[str, str]) -> None:
    """Forget a host's plugs at once (the kernel removes them too, but later, with the network namespace)."""
    _try_all([f"link del dev {port(name, plug.name)}" for plug in HOSTS[name].plugs], environment)


def _try_all(commands: list[str], environment: dict[str, str]) -> None:
    """Run `ip` commands, passing over those whose device is not there (its host is off; the kernel may be quicker)."""
    text = "\n".join(commands)
    subprocess.run(
        ["ip", "-force", "-batch", "-"],
        input=text,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def check_fault(link: Link, fault: Fault) -> None:
    """Raise LabUsageError if this link cannot fail in this way."""
    if fault.how not in (*CUTS, "lossy"):
        raise LabUsageError(f"A link is cut in one of these ways: {', '.join(CUTS)}; not {fault.how!r}")
    if fault.how == "upstream" and link.beyond is None:
        able = ", ".join(name for name, other in LINKS.items() if other.beyond)
        raise LabUsageError(f"Link {link.name} has no hop beyond the first; upstream can be cut on: {able}")
    if fault.how == "lossy" and not 0 <= fault.percent <= 100:
        raise LabUsageError(f"A link loses 0 to 100 percent of its packets, not {fault.percent}")


def apply_faults(faults: dict[str, Fault], environment: dict[str, str]) -> None:
    """Put exactly these faults (by link) on the wires, replacing all others in one step."""
    rules = []
    for name, fault in faults.items():
        link = LINKS[name]
        if fault.how == "carrier":
            continue
        host, interface = link.beyond if fault.how == "upstream" and link.beyond else link.provider
        chance = f"numgen random mod 100 < {fault.percent} " if fault.how == "lossy" else ""
        rules += [f'{side} "{port(host, interface)}" {chance}drop' for side in ("iifname", "oifname")]
    chain = "\n".join(rules)
    text = f"""table bridge faults
delete table bridge faults
table bridge faults {{
    chain forward {{
        type filter hook forward priority 0; policy accept;
        ether type arp accept
        {chain}
    }}
}}
"""
    run("nft", ["-f", "-"], text, environment)
    _try_all(_carriers(faults), environment)


def _carriers(faults: dict[str, Fault]) -> list[str]:
    """`ip` commands that unplug or plug the provider's end and, where a link has just two ends, the customer's."""
    commands = []
    for name, link in LINKS.items():
        wire = next(plug.wire for plug in HOSTS[link.provider[0]].plugs if plug.name == link.provider[1])
        ends = [(host.name, plug.name) for host in HOSTS.values() for plug in host.plugs if plug.wire == wire]
        state = "down" if name in faults and faults[name].how == "carrier" else "up"
        for host, interface in ends if len(ends) == 2 else [link.provider]:
            if not HOSTS[host].dark:
                commands.append(f"link set dev {port(host, interface)} {state}")
    return commands


# --- what a host does with its plugs; read from its own /etc at every boot -------------------------------------------


def ip_commands(host: Host) -> str:
    """The `ip -batch` lines a host's init runs."""
    lines = ["link set lo up"]
    for plug in host.plugs:
        lines.append(f"address add {plug.address} broadcast + dev {plug.name}")
        lines.append(f"link set dev {plug.name} up")
    if host.gateway:
        lines.append(f"route add default via {host.gateway}")
    lines += [f"route add {destination} via {gateway}" for destination, gateway in host.routes]
    if host.name == "hq-edge":
        lines += _TWO_UPLINKS
    return "\n".join(lines) + "\n"


# A connection that came in by an uplink is answered by it: by the connection's mark when a LAN host answers, by the
# source address when the router itself does. The table `main` decides about everything else, so it alone is what fails
# over.
_TWO_UPLINKS = [
    "route add default via 203.0.113.1 dev wan-a table 101",
    "route add default via 203.0.113.5 dev wan-b table 102",
    "rule add priority 100 to 10.10.0.0/24 lookup main",
    "rule add priority 200 fwmark 0xa lookup 101",
    "rule add priority 201 fwmark 0xb lookup 102",
    "rule add priority 300 from 203.0.113.2 lookup 101",
    "rule add priority 301 from 203.0.113.6 lookup 102",
]

SYSCTLS = {
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv4/ip_default_ttl": "64",
    "net/ipv4/ping_group_range": "0 2147483647",
    "net/ipv4/ip_unprivileged_port_start": "0",
}


def sysctls(host: Host) -> dict[str, str]:
    """Kernel settings of a host's network namespace, by path below /proc/sys."""
    return {**SYSCTLS, "net/ipv4/ip_forward": "1" if host.router else "0"}


def firewall(host: Host) -> str:
    """A host's /etc/nftables.conf, empty if it has none."""
    if host.name in ("isp-a", "isp-b"):
        customer = next(plug for plug in host.plugs if plug.name == "customer")
        return _ISP.format(network=bare(customer.address).rpartition(".")[0] + f".{_subnet(customer)}/30")
    if host.name == "hq-edge":
        return _EDGE.format(
            wan='"wan-a", "wan-b"',
            lan="10.10.0",
            peers="198.51.100.2, 198.51.100.35, 198.51.100.74",
            source='oifname "wan-a" snat to 203.0.113.2\n        oifname "wan-b" snat to 203.0.113.6',
            marks=_MARKS,
        )
    if host.name == "geo-edge":
        return _EDGE.format(
            wan='"wan"',
            lan="10.20.0",
            peers="203.0.113.2, 203.0.113.6, 198.51.100.35, 198.51.100.74",
            source='oifname "wan" snat to 198.51.100.2',
            marks="",
        )
    return ""


def _subnet(plug: Plug) -> int:
    """The last number of a /30's network address."""
    return int(bare(plug.address).rpartition(".")[2]) & ~3


_ISP = """\
# Anti-spoofing: from a customer only the customer's own addresses (BCP 38).
flush ruleset
table ip filter {{
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname "customer" ip saddr != {network} drop
    }}
}}
"""

_MARKS = """
table ip uplinks {
    chain prerouting {
        type filter hook prerouting priority mangle; policy accept;
        iifname "wan-a" ct state new ct mark set 0xa
        iifname "wan-b" ct state new ct mark set 0xb
        iifname "lan" ct mark != 0 meta mark set ct mark
    }
    chain output {
        type route hook output priority mangle; policy accept;
        ct mark != 0 meta mark set ct mark
    }
}
"""

_EDGE = """\
flush ruleset
table ip nat {{
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        iifname {{ {wan} }} tcp dport 80 dnat to {lan}.10:8080
        iifname {{ {wan} }} ip saddr {{ {peers} }} tcp dport 5432 dnat to {lan}.20
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr != {lan}.0/24 return
        {source}
    }}
}}
table ip filter {{
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname {{ {wan} }} ct state new ct status & dnat == 0 drop
    }}
}}
{marks}"""
