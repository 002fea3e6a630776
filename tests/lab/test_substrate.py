"""The lab for real: hosts that are apart, links that fail silently, power that can be cut, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.lab import permitted
from orchestrator.lab.errors import LabError, LabUsageError
from orchestrator.lab.lab import LABS, Lab

WORKSPACE = Path(__file__).resolve().parents[2]
REFUSAL = permitted.why_not()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(REFUSAL is not None, reason=str(REFUSAL))]

WWW = "198.51.100.54"
HQ_A = "203.0.113.2"
HQ_B = "203.0.113.6"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab of its own for these stories."""
    own = Lab(f"sub{os.getpid()}", WORKSPACE, bound=True)
    try:
        own.up()
        yield own
    finally:
        own.down()


@pytest.fixture
def healthy(lab: Lab) -> Iterator[Lab]:
    """The same lab, with whatever the story broke mended afterwards."""
    yield lab
    for link in ("isp-a", "isp-b", "geo", "noc"):
        lab.heal(link)
    for site in ("hq", "geo"):
        lab.start(site)
    for name, host in lab.status().detail["hosts"].items():
        if host["latched"]:
            lab.start(name)
    lab.up()


def pings(lab: Lab, host: str, address: str) -> bool:
    """Whether one of two pings is answered within a second."""
    return lab.exec(host, ["ping", "-c", "2", "-i", "0.2", "-W", "1", address]).returncode == 0


def text(lab: Lab, host: str, line: str) -> str:
    """What a shell line on a host prints."""
    done = lab.exec(host, ["sh", "-c", line])
    assert done.returncode == 0, done.stderr
    return str(done.stdout).strip()


def until(question: str, lab: Lab, host: str, line: str, within_s: float = 15) -> str:
    """Wait until a shell line on a host succeeds; its output."""
    deadline = time.monotonic() + within_s
    while True:
        done = lab.exec(host, ["sh", "-c", line])
        if done.returncode == 0:
            return str(done.stdout).strip()
        assert time.monotonic() < deadline, f"{question}: {done.stdout}{done.stderr}"
        time.sleep(0.2)


# --- hosts are apart -------------------------------------------------------------------------------------------------


def test_the_lab_is_whole_when_up_returns(lab: Lab) -> None:
    """Every host booted, every service listens."""
    assert lab.status().missing == ()


def test_up_can_be_repeated(lab: Lab) -> None:
    """Nothing is rebuilt: the same init runs."""
    before = lab.find("hq-db")
    lab.up()
    assert lab.find("hq-db") == before


def test_a_host_has_its_own_name_processes_and_files(lab: Lab) -> None:
    """What one host writes, no other sees, nor the machine."""
    assert text(lab, "hq-app", "hostname; cat /proc/1/comm") == "hq-app\ninit"
    for directory in ("/etc", "/run", "/var/lib", "/tmp", "/root", "/usr/local", "/opt"):
        text(lab, "hq-app", f"echo mine >{directory}/bascule-was-here")
        assert lab.exec("hq-db", ["test", "-e", f"{directory}/bascule-was-here"]).returncode == 1
        assert not Path(directory, "bascule-was-here").exists()


def test_a_host_has_none_of_the_machines_services(lab: Lab) -> None:
    """Only the lab's own are in /etc/init.d, and what the machine runs is not among its processes."""
    assert text(lab, "hq-edge", "ls /etc/init.d") == "ssh"
    assert "postgres" not in text(lab, "hq-edge", "ps axo comm")


def test_the_workspace_is_the_same_inside(lab: Lab, tmp_path: Path) -> None:
    """`bascule` runs at the operations centre as it does outside."""
    assert text(lab, "noc", f"head -c 9 {WORKSPACE}/docs/lab.md") == "# The lab"
    assert "lab" in text(lab, "noc", f"cd {WORKSPACE} && bascule --help")


def test_nothing_of_the_lab_is_in_the_machines_network(lab: Lab) -> None:
    """No interface, no named namespace, no mount outside."""
    names = {interface.name for interface in Path("/sys/class/net").iterdir()}
    assert not names & {"hq-lan", "isp-a", "noc.eth0", "hq-edge.lan"}
    assert lab.name not in Path("/proc/mounts").read_text()


def test_exec_gives_input_output_and_exit_code(lab: Lab) -> None:
    """As if it ran here."""
    done = lab.exec("noc", ["sh", "-c", "cat; exit 7"], input="hello")
    assert (done.stdout, done.returncode) == ("hello", 7)
    assert lab.exec("noc", ["no-such-program"]).returncode == 127


def test_a_command_hears_its_callers_signals(lab: Lab) -> None:
    """TERM is passed on, so that a daemon can end cleanly."""
    line = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    process = lab.popen("noc", ["sh", "-c", line], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.communicate()[0] == "bye\n"
    assert process.returncode == 3


def test_a_mistaken_name_is_answered_with_the_choice(lab: Lab) -> None:
    """Hosts, links, sites, lab names."""
    with pytest.raises(LabUsageError, match="hq-db"):
        lab.exec("hq-bd", ["true"])
    with pytest.raises(LabUsageError, match="isp-a"):
        lab.cut("isp-c")
    with pytest.raises(LabUsageError, match="geo"):
        lab.stop("moon")
    with pytest.raises(LabUsageError, match="a-z"):
        Lab("../lab")


# --- the network -----------------------------------------------------------------------------------------------------


def test_both_public_addresses_of_head_office_answer(lab: Lab) -> None:
    """Whatever the default route is: a connection is answered by the uplink it came in by."""
    for address in (HQ_A, HQ_B):
        assert pings(lab, "noc", address)
        assert "ok" in text(lab, "client", f"curl -sS -m 3 http://{address}/health")


def test_an_isp_drops_foreign_source_addresses(lab: Lab) -> None:
    """Head office cannot send by ISP A what it has from ISP B."""
    assert not pings_from(lab, HQ_B, "wan-a")
    assert pings_from(lab, HQ_A, "wan-a")


def pings_from(lab: Lab, source: str, interface: str) -> bool:
    """Whether a ping with this source address, forced out by this uplink, is answered."""
    gateway = {"wan-a": "203.0.113.1", "wan-b": "203.0.113.5"}[interface]
    rule = f"ip rule add priority 50 to {WWW} lookup 200; ip route replace default via {gateway} table 200"
    try:
        return lab.exec("hq-edge", ["sh", "-c", f"{rule}; ping -c 2 -i 0.2 -W 1 -I {source} {WWW}"]).returncode == 0
    finally:
        lab.exec("hq-edge", ["sh", "-c", "ip rule del priority 50; ip route flush table 200"])


def test_staff_reach_the_internet_behind_one_address(lab: Lab) -> None:
    """Source NAT."""
    assert "internet" in text(lab, "hq-user", f"curl -sS -m 3 http://{WWW}/")


def test_databases_are_published_to_the_other_places_only(lab: Lab) -> None:
    """The other site may connect, the end user may not."""
    line = f"timeout 2 bash -c '</dev/tcp/{HQ_A}/5432'"
    assert lab.exec("geo-db", ["sh", "-c", line]).returncode == 0
    assert lab.exec("client", ["sh", "-c", line]).returncode != 0


@pytest.mark.parametrize(
    "way", ["-J hq-oob hq-db", "-J hq-edge hq-app", "-J hq-edge-wan-b hq-db", "hq-edge", "geo-oob"]
)
def test_management_reaches_the_hosts_by_ssh(lab: Lab, way: str) -> None:
    """Through the console or through either uplink, and sudo asks for nothing."""
    assert text(lab, "noc", f"ssh -o BatchMode=yes {way} 'sudo -n id -un && hostname'") == f"root\n{way.split()[-1]}"


def test_the_standby_follows(lab: Lab) -> None:
    """A row committed at head office arrives at the second site."""
    text(
        lab, "hq-db", "psql -qU postgres -c 'create table if not exists seen (n int)' -c 'insert into seen values (1)'"
    )
    until("row at the second site", lab, "geo-db", "psql -qtAU postgres -c 'select n from seen limit 1' | grep 1")


# --- faults ----------------------------------------------------------------------------------------------------------


def test_a_cut_is_silent_and_stops_the_routers_own_packets_too(healthy: Lab) -> None:
    """Both ends lose the other, both keep their carrier, the other ISP does not notice."""
    healthy.cut("isp-a")
    assert not pings(healthy, "isp-a", HQ_A)
    assert not pings(healthy, "hq-edge", "203.0.113.1")
    assert not pings(healthy, "noc", HQ_A)
    assert pings(healthy, "noc", HQ_B)
    assert text(healthy, "hq-edge", "cat /sys/class/net/wan-a/carrier") == "1"
    healthy.heal("isp-a")
    assert pings(healthy, "noc", HQ_A)


def test_an_unplugged_cable_shows(healthy: Lab) -> None:
    """--how carrier."""
    healthy.cut("isp-a", "carrier")
    assert text(healthy, "hq-edge", "cat /sys/class/net/wan-a/carrier") == "0"
    healthy.heal("isp-a")
    assert text(healthy, "hq-edge", "cat /sys/class/net/wan-a/carrier") == "1"


def test_upstream_dies_beyond_the_first_hop(healthy: Lab) -> None:
    """The ISP's own router still answers head office."""
    healthy.cut("isp-a", "upstream")
    assert pings(healthy, "hq-edge", "203.0.113.1")
    assert not pings(healthy, "noc", HQ_A)


def test_a_lossy_link_loses_some(healthy: Lab) -> None:
    """Half each way is three quarters of the pings."""
    healthy.lossy("isp-a", 50)
    out = text(healthy, "noc", f"ping -q -c 60 -i 0.01 -W 1 {HQ_A} || true")
    received = int(out.split(" received")[0].split()[-1])
    assert 2 <= received <= 35


def test_a_cut_cloud_keeps_its_own_network(healthy: Lab) -> None:
    """Only the way to it is gone."""
    healthy.cut("cloud")
    try:
        assert not pings(healthy, "noc", "198.51.100.34")
    finally:
        healthy.heal("cloud")
    assert pings(healthy, "noc", "198.51.100.34")


# --- power -----------------------------------------------------------------------------------------------------------


def test_a_power_cut_kills_a_site_at_once_and_its_console_lives(healthy: Lab) -> None:
    """Nothing answers, not even the kernel; the mains return, the database recovers, nothing acknowledged is lost."""
    text(healthy, "hq-db", "psql -qU postgres -c 'create table kept (n int)' -c 'insert into kept values (42)'")
    text(healthy, "hq-app", "touch /run/volatile /etc/kept")
    healthy.stop("hq")
    assert not pings(healthy, "noc", HQ_A)
    assert not pings(healthy, "hq-oob", "10.10.0.20")
    assert pings(healthy, "noc", "198.51.100.10")
    with pytest.raises(LabError, match=r"hq-db .* is off"):
        healthy.exec("hq-db", ["true"])
    assert healthy.status().missing == ()
    healthy.start("hq")
    assert until("database", healthy, "hq-db", "psql -qtAU postgres -c 'select n from kept'") == "42"
    assert text(healthy, "hq-app", "test -e /etc/kept && ! test -e /run/volatile && echo as it should") != ""
    until("application", healthy, "client", f"curl -sSf -m 3 http://{HQ_A}/health")


def test_a_rebooted_router_forgets_what_was_only_in_its_kernel(healthy: Lab) -> None:
    """Routes and rules set by hand are gone, those of its /etc are back."""
    text(healthy, "hq-edge", "ip route replace default via 203.0.113.5; nft add table ip mine")
    healthy.stop("hq-edge")
    healthy.start("hq-edge")
    assert "203.0.113.1" in text(healthy, "hq-edge", "ip route show default")
    assert "mine" not in text(healthy, "hq-edge", "nft list tables")
    assert pings(healthy, "noc", HQ_A)


def test_the_console_latches_outlets_of_a_dark_site(healthy: Lab) -> None:
    """Latched off, the returning mains start nothing behind it."""
    healthy.stop("hq")
    told = power(healthy, "hq-oob", {"op": "outlet", "host": "hq-db", "power": "off", "latched": True})
    assert told == {"ok": True}
    healthy.start("hq")
    status = power(healthy, "hq-oob", {"op": "status"})
    assert status["mains"] == "on"
    assert status["outlets"]["hq-db"] == {"power": "off", "latched": True}
    assert status["outlets"]["hq-app"]["power"] == "on"
    power(healthy, "hq-oob", {"op": "outlet", "host": "hq-db", "power": "on", "latched": False})
    assert healthy.find("hq-db")


def test_a_console_speaks_for_its_own_site_only(lab: Lab) -> None:
    """And the hypervisor only for the cloud's instance."""
    assert "hq-db" in power(lab, "geo-oob", {"op": "outlet", "host": "hq-db", "power": "off"})["error"]
    assert "error" in power(lab, "cloud-api", {"op": "stop", "host": "hq-db"})
    assert lab.find("hq-db")


def power(lab: Lab, host: str, question: dict[str, object]) -> Any:
    """Ask the power socket that a host has."""
    program = (
        "import json,socket,sys\n"
        "s = socket.socket(socket.AF_UNIX); s.connect('/run/lab/power.sock')\n"
        "s.sendall(sys.argv[1].encode() + b'\\n')\n"
        "print(s.makefile().readline())"
    )
    done = lab.exec(host, ["python", "-c", program, json.dumps(question)])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_killed_init_is_a_dead_host_and_up_mends_it(healthy: Lab) -> None:
    """The status says what is missing, `up` brings it back, also one service alone is seen."""
    os.kill(healthy.find("www"), signal.SIGKILL)
    deadline = time.monotonic() + 5
    while not healthy.status().missing and time.monotonic() < deadline:
        time.sleep(0.1)
    assert any(line.startswith("www: dead") for line in healthy.status().missing)
    healthy.up()
    assert healthy.status().missing == ()
    text(healthy, "www", "service www stop")
    assert healthy.status().missing == ("www: service www is not running",)
    text(healthy, "www", "service www start")


# --- services --------------------------------------------------------------------------------------------------------


def test_a_services_status_tells_the_truth(lab: Lab) -> None:
    """Running, killed behind its back, started, stopped: exit codes as LSB has them."""
    host = "geo-app"
    text(lab, host, "service erp start")
    assert lab.exec(host, ["service", "erp", "status"]).returncode == 0
    text(lab, host, "kill -9 $(cat /run/erp.pid); sleep 0.3")
    assert lab.exec(host, ["service", "erp", "status"]).returncode == 3
    text(lab, host, "service erp restart")
    assert lab.exec(host, ["service", "erp", "status"]).returncode == 0
    text(lab, host, "service erp stop && service erp stop")
    assert lab.exec(host, ["service", "erp", "status"]).returncode == 3


def test_a_service_that_is_enabled_starts_at_boot(healthy: Lab) -> None:
    """`update-rc.d` is what the init reads."""
    text(healthy, "geo-app", "update-rc.d erp defaults >/dev/null 2>&1")
    healthy.stop("geo-app")
    healthy.start("geo-app")
    assert healthy.exec("geo-app", ["service", "erp", "status"]).returncode == 0
    text(healthy, "geo-app", "update-rc.d -f erp remove >/dev/null 2>&1; service erp stop")


# --- nothing left ----------------------------------------------------------------------------------------------------


def leftovers(name: str) -> list[str]:
    """What is there of a lab: its directory, mounts, processes."""
    found = [str(LABS / name)] if (LABS / name).exists() else []
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if f"/{name}/" in line]
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if name.encode() in words:
                found.append(f"process {process.name}: {words!r}")
    return found


@pytest.mark.parametrize("after_s", [0.3, 0.8, 2.0, *(pytest.param(s, marks=pytest.mark.broad) for s in (0.5, 1.2))])
def test_down_leaves_nothing_after_a_crash_half_way_through_up(after_s: float) -> None:
    """`up` killed at any moment; `status` says so, `down` cleans, twice is the same."""
    crashed = Lab(f"crash{os.getpid()}", WORKSPACE)
    program = f"from orchestrator.lab.lab import Lab; Lab({crashed.name!r}, {str(WORKSPACE)!r}).up()"
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    time.sleep(after_s)
    process.kill()
    process.wait()
    crashed.status()
    crashed.down()
    assert leftovers(crashed.name) == []
    assert not crashed.down()
    assert crashed.status().missing


def test_a_bound_lab_ends_with_whoever_brought_it_up() -> None:
    """A story that is killed cannot take its lab down itself: nothing of it remains all the same."""
    name = f"bound{os.getpid()}"
    program = f"from orchestrator.lab.lab import Lab; lab = Lab({name!r}, {str(WORKSPACE)!r}, bound=True); lab.up(); "
    process = subprocess.Popen(
        [sys.executable, "-c", program + "print(1, flush=True); input()"], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        process.kill()
        process.wait()
        deadline = time.monotonic() + 20
        while leftovers(name) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert leftovers(name) == []
    finally:
        process.kill()
        Lab(name, WORKSPACE).down()


def test_nothing_outlives_the_supervisor_and_down_removes_the_rest() -> None:
    """Killed in the middle of its work: the hosts die with it, the status says so, `up` builds anew."""
    lab = Lab(f"dead{os.getpid()}", WORKSPACE, bound=True)
    try:
        lab.up()
        init = lab.find("hq-db")
        os.kill(int((lab.directory / "pid").read_text()), signal.SIGKILL)
        deadline = time.monotonic() + 5
        while Path(f"/proc/{init}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(f"/proc/{init}").exists()
        assert "its process has ended" in lab.status().missing[0]
    finally:
        lab.down()
    assert leftovers(lab.name) == []


def test_two_labs_live_side_by_side(lab: Lab) -> None:
    """Same addresses, different wires: cutting one does not touch the other."""
    other = Lab(f"two{os.getpid()}", WORKSPACE, bound=True)
    try:
        other.up()
        other.cut("isp-a")
        assert not pings(other, "noc", HQ_A)
        assert pings(lab, "noc", HQ_A)
    finally:
        other.down()
    assert pings(lab, "noc", HQ_A)
