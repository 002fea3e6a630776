"""Every measurement there is: one file, one row. The order is that of the run and of the tables."""

from __future__ import annotations

from scripts.bench.shape import Measurement

MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement(
        "probes",
        "probes a CPU-second by kind: bascule, blackbox_exporter, fping",
        "scripts.bench.probes",
        limit_s=900,
        quick_limit_s=180,
        peers=("blackbox_exporter", "fping"),
    ),
    Measurement(
        "at-rest",
        "a daemon with 1,000 and 10,000 checks: CPU, memory, lateness",
        "scripts.bench.at_rest",
        limit_s=600,
        quick_limit_s=300,
    ),
    Measurement(
        "decisions",
        "from an answer to a decision while thousands of other checks fall",
        "scripts.bench.decisions",
        limit_s=900,
        quick_limit_s=400,
    ),
    Measurement(
        "growth",
        "more checks, and longer journals",
        "scripts.bench.growth",
        limit_s=1200,
        quick_limit_s=300,
    ),
    Measurement(
        "validate",
        "bascule validate on 500 hosts and 50 playbooks: nothing known, nothing changed",
        "scripts.bench.validating",
        limit_s=1200,
        quick_limit_s=600,
    ),
    Measurement(
        "playbooks",
        "a no-op, three-task and ten-task playbook over SSH, on one host",
        "scripts.bench.playbooks:one_host",
        limit_s=900,
        quick_limit_s=200,
    ),
    Measurement(
        "playbooks-10",
        "the same on ten hosts",
        "scripts.bench.playbooks:ten_hosts",
        limit_s=900,
        quick_limit_s=200,
    ),
    Measurement(
        "playbooks-100",
        "the no-op and the three-task playbook on a hundred hosts",
        "scripts.bench.playbooks:hundred_hosts",
        limit_s=2400,
        quick_limit_s=600,
    ),
    Measurement(
        "playbooks-here",
        "a no-op, three-task and ten-task playbook on this machine itself, without SSH",
        "scripts.bench.playbooks:here",
        limit_s=900,
        quick_limit_s=200,
    ),
    Measurement(
        "event-to-effect",
        "from an event to the first task's effect: ansible-rulebook, ours",
        "scripts.bench.event_to_effect",
        limit_s=400,
        quick_limit_s=200,
        peers=("ansible-rulebook",),
    ),
    Measurement(
        "cut-to-restored",
        "a provider's cable cut, until users are back: checks every second",
        "scripts.bench.cut_to_restored:by_default",
        limit_s=900,
        quick_limit_s=240,
    ),
    Measurement(
        "cut-to-restored-100ms",
        "the same with checks every 100 ms",
        "scripts.bench.cut_to_restored:every_100ms",
        limit_s=900,
        quick_limit_s=240,
    ),
    Measurement(
        "neighbour",
        "keepalived's VRRP losing its neighbour: a lower bound beside cut to restored",
        "scripts.bench.neighbour",
        limit_s=300,
        quick_limit_s=100,
        peers=("keepalived",),
    ),
    Measurement(
        "promotion",
        "the primary's power is cut, until the standby takes writes: Patroni with etcd, ours",
        "scripts.bench.promotion",
        limit_s=1200,
        quick_limit_s=240,
        peers=("etcd", "patroni"),
    ),
)
