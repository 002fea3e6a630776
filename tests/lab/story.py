"""What the stories on the real lab share: a workspace of their own, the lab, the daemon at the operations centre.

The one rule it keeps: a story waits for what the journal says, with a generous limit, and never for a time; and it
takes everything back, whatever became of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.core import records as r
from orchestrator.core.codec import decode
from orchestrator.core.model import Model
from orchestrator.core.records import Record, Verdict
from orchestrator.core.state.decided import Decided
from orchestrator.journal.journal import Entry
from orchestrator.journal.sqlite import SqliteJournal, journal_path
from orchestrator.lab.account import Act, ActAccount, Attempt, Fence, account, attempts_of
from orchestrator.lab.lab import Lab
from orchestrator.reports.stories import Stories

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ("playbooks", "inventories", "checks", "bascule.yml", "ansible.cfg")
ERP, STAFF = "lab/erp", "lab/hq-internet"
TRANSACTIONS = "http://erp.acme.example/transactions"
RESOLVER = "198.51.100.53"
# What has to be up for a drill of any tier, beside what `wait_healthy` waits for.
FOR_DRILLS = ("cloud-instance-there", "backup-age", "hq-mains", "geo-mains", "rehearsal-apart", "hq-internet")
WAIT_S = 180.0  # for what takes seconds on a quiet machine
OPERATOR = "Alice Martin"

R = TypeVar("R", bound=Record)


class NeverHappened(AssertionError):
    """What a story waited for did not come."""


class Story:
    """One lab, one workspace, at most one daemon. `stories` and `records` are what the journal has told so far."""

    def __init__(self, lab: Lab, workspace: Path, environment: Mapping[str, str] | None = None) -> None:
        """`environment` is the daemon's, beside the host's."""
        self.lab = lab
        self.workspace = workspace
        self.environment = dict(environment or {})
        self.records: list[Record] = []
        self.entries: list[Entry] = []
        self.stories = Stories(self._model)
        self._journal: SqliteJournal | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        self.log = workspace / "daemon.log"  # of the latest one

    # --- the daemon ----------------------------------------------------------------------------------------------

    def start_daemon(self, log_file: str = "daemon.log") -> None:
        """`bascule daemon` at the operations centre; returns when it has taken over."""
        epoch = self.decided.epoch
        self.log = self.workspace / log_file
        with self.log.open("ab") as log:
            self._daemon = self.lab.popen(
                "noc", ["bascule", "daemon", "--log", "json"], cwd=self.workspace, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env=self.environment,
            )  # fmt: skip
        self.wait("the daemon takes over", lambda: self.decided.epoch > epoch)

    def let_go(self) -> tuple[subprocess.Popen[bytes], int]:
        """The daemon is another's to end from now on: the command that runs it, and its own process id."""
        if self._daemon is None:
            raise RuntimeError("no daemon was started")
        pid, command, self._daemon = self._daemon_pid(), self._daemon, None
        return command, pid

    def daemon_pid(self) -> int:
        """The daemon's process id, as this machine counts."""
        return self._daemon_pid()

    def signal_daemon(self, number: signal.Signals) -> None:
        """Send the daemon, and nothing else, a signal."""
        os.kill(self._daemon_pid(), number)

    def kill_daemon(self, *, with_workers: bool = False) -> None:
        """SIGKILL: the daemon alone, or with everything it has started (workers outlive it otherwise)."""
        os.kill(self._daemon_pid(), signal.SIGKILL)
        for victim in self.at_noc() if with_workers else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        self._wait_for_daemon()

    def at_noc(self) -> list[int]:
        """Everything that runs at the operations centre but its init (which has number 1 there)."""
        init = self.lab.find("noc")
        home = os.readlink(f"/proc/{init}/ns/pid")
        found = []
        for pid in (int(x) for x in os.listdir("/proc") if x.isdigit()):
            with contextlib.suppress(OSError):
                if pid != init and os.readlink(f"/proc/{pid}/ns/pid") == home:
                    found.append(pid)
        return found

    def stop_daemon(self) -> int:
        """SIGTERM; the exit code."""
        if self._daemon is None:
            return 0
        self._daemon.send_signal(signal.SIGTERM)
        return self._wait_for_daemon()

    def _wait_for_daemon(self) -> int:
        if self._daemon is None:
            raise RuntimeError("no daemon was started")
        try:
            return self._daemon.wait(60)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            return self._daemon.wait(60)
        finally:
            self._daemon = None

    def _daemon_pid(self) -> int:
        if self._daemon is None:
            raise RuntimeError("no daemon runs")
        children = Path(f"/proc/{self._daemon.pid}/task/{self._daemon.pid}/children").read_text().split()
        return int(children[0])

    # --- what the journal says -----------------------------------------------------------------------------------

    @property
    def decided(self) -> Decided:
        """The decided state, as the journal has it so far."""
        return self.stories.decided

    def read(self) -> None:
        """Read on in the journal. A daemon that has ended by itself is a failure."""
        if self._daemon is not None and self._daemon.poll() is not None:
            raise NeverHappened(f"the daemon ended with {self._daemon.returncode}\n{self.told()}")
        path = journal_path(self.workspace)
        if self._journal is None:
            if not path.exists():
                return
            with contextlib.suppress(Exception):  # it is just being made
                self._journal = SqliteJournal(path, read_only=True)
            if self._journal is None:
                return
        seen = self.stories.last.seq if self.stories.last else 0
        new = list(self._journal.entries(after=seen))
        self.stories.read(new)
        self.entries.extend(new)
        for entry in new:
            self.records.extend(entry.records)

    def wait(self, what: str, condition: Callable[[], object], within_s: float = WAIT_S) -> None:
        """Wait until it holds. Raises NeverHappened with the story so far."""
        ends = time.monotonic() + within_s
        while True:
            self.read()
            if condition():
                return
            if time.monotonic() > ends:
                raise NeverHappened(f"after {within_s:.0f} s: {what}\n{self.told()}")
            time.sleep(0.1)

    def of(self, kind: type[R], since: int = 0) -> list[R]:
        """The records of a kind, after the first `since` records of the journal."""
        return [x for x in self.records[since:] if isinstance(x, kind)]

    def mark(self) -> int:
        """Where the journal stands now, for `of`."""
        self.read()
        return len(self.records)

    def wait_healthy(self) -> None:
        """Both services are up, what the first two tiers need is known, nothing is under way."""
        needed = ("erp-transaction", "hq-internet", "isp-a-path", "isp-b-path", "geo-ready", "geo-replica", "hq-mains")
        self.wait("both services are up and nothing is under way", lambda: self.up(*needed) and self.settled())

    def up(self, *checks: str) -> bool:
        """Whether all checks of these names are up."""
        model = self.stories.model
        if model is None:
            return False
        found = [c.id for c in model.checks.values() if c.client == "lab" and c.name in checks]
        verdicts = self.decided.verdicts
        return len(found) >= len(checks) and all(
            x in verdicts and verdicts[x].verdict in (Verdict.UP, Verdict.DEGRADED) for x in found
        )

    def settled(self) -> bool:
        """No incident of the lab is open and no run is unfinished."""
        return not self.decided.open_incidents() and not self.decided.unfinished_runs()

    def recovered_at(self, place: str) -> bool:
        """The application runs there, its incident has ended and so has its run.

        (Where its place is dark, the staff's incident stays open: nobody works there.)
        """
        service = self.decided.services[ERP]
        mine = [x for x in self.decided.unfinished_runs() if x.started.service == ERP]
        return service.place == f"lab/{place}" and service.incident is None and not mine

    def wall(self, at: float) -> float:
        """A time on the journal's axis as epoch seconds."""
        return float(self.stories.clock.wall(at))

    def told(self) -> str:
        """The story so far, for whoever has to find out."""
        lines = []
        for record in self.records[-60:]:
            if isinstance(record, r.VerdictChanged) and "bistro" in record.check:
                continue
            lines.append(str(record)[:400])
        tail = self.log.read_text(errors="replace").splitlines()[-15:] if self.log.exists() else []
        return "\n".join([*lines, f"--- {self.log.name}", *(line[:600] for line in tail)])

    # --- hands and eyes ------------------------------------------------------------------------------------------

    def at(self, host: str, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """A command on a host."""
        return self.lab.exec(host, command, **{"timeout": WAIT_S, **options})

    def bascule(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`bascule WORDS` at the operations centre, as a named operator."""
        return self.at("noc", "env", f"BASCULE_OPERATOR={OPERATOR}", "bascule", *words, cwd=self.workspace)

    def must(self, *words: str) -> str:
        """`bascule WORDS`, which must end with 0."""
        done = self.bascule(*words)
        self.read()
        assert done.returncode == 0, f"bascule {' '.join(words)}\n{done.stdout}{done.stderr}\n{self.told()}"
        return done.stdout

    def notices(self) -> list[str]:
        """What was delivered to people, as the receiver has it."""
        done = self.at("noc", sys.executable, "-c", _FETCH, "http://198.51.100.70:8080/log")
        assert done.returncode == 0, done.stderr
        entries = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
        return [str(x.get("body", "")) for x in entries if x["kind"] == "notification"]

    def meter(self, host: str) -> list[Attempt]:
        """What a meter has measured so far."""
        with self.lab.meter_log(host).open() as lines:
            return attempts_of(lines)

    def meter_is_well(self, host: str) -> bool:
        """Whether the last half second of a meter is all success."""
        last = attempts_of(self._tail(self.lab.meter_log(host)))[-25:]
        return len(last) == 25 and all(x.acknowledged for x in last)

    def _tail(self, log: Path) -> list[str]:
        """Its last lines; the first of them may be torn."""
        with log.open("rb") as lines:
            lines.seek(max(0, log.stat().st_size - 20_000))
            return lines.read().decode(errors="replace").splitlines()

    def existing_ids(self, since_s: float) -> frozenset[str] | None:
        """The transactions that exist now; None: nobody could be asked."""
        argv = [sys.executable, "-m", "orchestrator.lab.programs.meter", "--mode", "ids", TRANSACTIONS]
        done = self.at("client", *argv, "--resolver", RESOLVER, "--since", str(since_s))
        if done.returncode != 0:
            return None
        found = json.loads(done.stdout)
        return frozenset(found["ids"] if isinstance(found, dict) else found)

    def account_of(self, name: str, began_s: float) -> ActAccount:
        """The end user's account of what has happened since."""
        ended_s = time.time() - 0.5  # what is on its way now is nobody's yet
        fences = [Fence(x.place.rpartition("/")[2], self.wall(x.at), self._until(x)) for x in self.of(r.MayActRemoved)]
        there = self.existing_ids(began_s - 120.0)
        mine = [x for x in self.meter("client") if x.wall_s > began_s - 60.0]
        found = account(mine, [Act(name, began_s, ended_s)], [there], fences)[0]
        with (self.workspace / "accounts.jsonl").open("a") as kept:  # for the person who wants the figures
            kept.write(json.dumps(found.as_json()) + "\n")
        return found

    def _until(self, fenced: r.MayActRemoved) -> float | None:
        """When the place may act again."""
        later = (x for x in self.of(r.MayActAdded) if x.place == fenced.place and x.at > fenced.at)
        again = next(later, None)
        return self.wall(again.at) if again else None

    def snapshot(self) -> dict[str, object]:
        """What a failover would change: power, links, routes, names, roles, services, settings."""
        detail = self.lab.status().detail
        seen: dict[str, object] = {"links": detail["links"], "sites": detail["sites"]}
        for name, host in detail["hosts"].items():
            seen[name] = (host["power"], host["latched"], host["state"], host["pid"])
        looks = {
            "routes": (
                "hq-edge",
                "ip route show table all | grep -v '^local\\|^broadcast'; ip rule; nft -s list ruleset",
            ),
            "roles at hq": ("hq-db", _ROLE),
            "roles at geo": ("geo-db", _ROLE),
            "application at hq": ("hq-app", "/etc/init.d/erp status; cat /run/erp.pid; cat /etc/erp/erp.env"),
            "application at geo": ("geo-app", "/etc/init.d/erp status; cat /etc/erp/erp.env"),
            "name": ("noc", f"{sys.executable} -c '{_NAME}'"),
        }
        for what, (host, line) in looks.items():
            if detail["hosts"][host]["state"] == "up":
                seen[what] = self.at(host, "sh", "-c", line).stdout
        return seen

    def edit(self, file: str, old: str, new: str) -> None:
        """Change the workspace's copy of a file."""
        path = self.workspace / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new))

    def close(self) -> None:
        """Take everything back."""
        try:
            if self._daemon is not None and self._daemon.poll() is None:
                self._daemon.kill()  # the daemon dies with it
                self._daemon.wait(30)
        finally:
            if self._journal is not None:
                self._journal.close()
            self.lab.down()

    def _model(self, digest: str) -> Model | None:
        stored = self._journal.load_model(digest) if self._journal else None
        return None if stored is None else decode(Model, stored)


_ROLE = "psql -U postgres -d postgres -Atc 'select pg_is_in_recovery(), timeline_id from pg_control_checkpoint()'"
_NAME = (
    "import dns.message as m, dns.query as q;"
    f'print(q.udp(m.make_query("erp.acme.example", "A"), "{RESOLVER}", timeout=5).answer)'
)
_FETCH = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=10).read().decode())"


@contextlib.contextmanager
def told(
    name: str,
    workspace: Path,
    *,
    daemon: bool = True,
    environment: Mapping[str, str] | None = None,
    prepare: Callable[[Story], None] = lambda _story: None,
) -> Iterator[Story]:
    """A lab of its own with the daemon at the operations centre and all well; gone afterwards.

    `prepare` may change the workspace before anything reads it.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, workspace / part)
        else:
            shutil.copy2(source, workspace / part)
    story = Story(Lab(f"{name}{os.getpid()}", workspace, bound=True), workspace, environment)
    try:
        prepare(story)
        story.lab.up()
        if daemon:
            story.start_daemon()
            story.wait_healthy()
        yield story
    finally:
        story.close()
