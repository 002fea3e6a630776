"""postgres: what a primary, a standby and the standby of a dead primary say of themselves."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.events import Answer
from orchestrator.probes.postgres import KIND, PostgresOptions, State, data_age_s
from tests.ports import free_port
from tests.probes.conftest import Ask, Database
from tests.probes.test_http_wire import _certificate

Pair = tuple[Database, Database]


def state(**changed: Any) -> State:
    """A standby that has everything, seen a tenth of a second after the primary's last message."""
    usual = {
        "standby": True,
        "now": 1000.0,
        "replayed_at": 940.0,
        "received": 500.0,
        "replayed": 500.0,
        "receiver": "streaming",
        "flushed": 500.0,
        "primary_end": 500.0,
        "message_sent_at": 999.9,
        "message_received_at": 999.9,
    }
    return State(**{**usual, **changed})


class TestAgeOfData:
    """The age is an upper bound of what would be missing here."""

    def test_a_primary_misses_nothing(self) -> None:
        assert data_age_s(State(standby=False, now=1000.0)) == 0.0

    def test_a_caught_up_standby_vouches_until_the_primarys_last_message(self) -> None:
        assert data_age_s(state()) == pytest.approx(0.1)

    def test_an_idle_primary_makes_no_old_data(self) -> None:
        assert data_age_s(state(replayed_at=1.0)) == pytest.approx(0.1)

    def test_wal_that_has_arrived_but_is_not_replayed_survives(self) -> None:
        assert data_age_s(state(replayed=100.0)) == pytest.approx(0.1)

    def test_wal_that_has_not_arrived_does_not(self) -> None:
        assert data_age_s(state(primary_end=700.0)) == pytest.approx(60.0)

    def test_a_message_that_was_long_on_its_way_is_as_old_as_its_sending(self) -> None:
        assert data_age_s(state(message_sent_at=980.0)) == pytest.approx(20.0)

    def test_a_receiver_that_is_gone_vouches_for_nothing(self) -> None:
        gone = state(receiver=None, flushed=None, primary_end=None, message_sent_at=None, message_received_at=None)
        assert data_age_s(gone) == pytest.approx(60.0)

    def test_a_receiver_that_waits_vouches_for_nothing(self) -> None:
        assert data_age_s(state(receiver="waiting")) == pytest.approx(60.0)

    def test_a_primary_whose_clock_runs_ahead_does_not_make_data_younger(self) -> None:
        ahead = state(message_sent_at=1009.9, primary_end=700.0, replayed_at=950.0)
        assert data_age_s(ahead) == pytest.approx(60.0)  # 50 s by the clocks, and 10 s that they differ

    def test_nothing_known_is_not_zero(self) -> None:
        assert data_age_s(state(receiver=None, replayed_at=None)) is None


class TestJudging:
    """Role, streaming and thresholds."""

    @pytest.mark.parametrize(
        ("options", "seen", "answer"),
        [
            ({"role": "standby"}, state(), Answer.GOOD),
            ({"role": "primary"}, state(), Answer.BAD),
            ({"role": "standby"}, State(standby=False, now=1.0), Answer.BAD),
            ({"role": "primary"}, State(standby=False, now=1.0), Answer.GOOD),
            ({"streaming": True}, state(receiver=None), Answer.BAD),
            ({"max_lag": "30s"}, state(), Answer.GOOD),
            ({"max_lag": "30s"}, state(receiver=None), Answer.BAD),
            ({"max_lag": "30s"}, state(receiver=None, replayed_at=None), Answer.NONE),
            ({"streaming": True}, state(receiver=None, hidden=True), Answer.NONE),
            ({"max_lag": "30s"}, state(receiver=None, hidden=True), Answer.NONE),
            ({"max_lag": "90s"}, state(receiver=None, hidden=True), Answer.GOOD),
            ({"max_lag_bytes": 10}, state(replayed=400.0), Answer.BAD),
            ({"max_lag_bytes": 100}, state(replayed=400.0), Answer.GOOD),
            ({"query": "SELECT 1", "expect": "1"}, state(value="2"), Answer.BAD),
        ],
    )
    def test_thresholds(self, options: dict[str, Any], seen: State, answer: Answer) -> None:
        judged = KIND.classify(PostgresOptions.model_validate({"target": "db", **options}), seen)
        assert judged.answer is answer, judged.detail

    def test_the_standby_of_a_dead_primary_is_as_good_a_standby_as_before(self) -> None:
        judged = KIND.classify(PostgresOptions(target="db", role="standby"), state(receiver=None))
        assert judged.answer is Answer.GOOD
        assert judged.measures["data_age_s"] == pytest.approx(60.0)


class Asking(threading.Thread):
    """A server that asks for a certificate and a password in clear, and hangs up; `got` both."""

    def __init__(self, room: Path) -> None:
        super().__init__(daemon=True)
        certificate, self._tls = _certificate(room)
        self._tls.verify_mode = ssl.CERT_OPTIONAL
        self._tls.load_verify_locations(certificate)
        self.certificate, self.key = str(certificate), str(certificate.with_name("key.pem"))
        Path(self.key).chmod(0o600)
        self.got: list[tuple[bool, bytes]] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.start()

    async def heard(self, count: int) -> list[tuple[bool, bytes]]:
        """What it got, once it has been asked so often."""
        async with asyncio.timeout(10.0):
            while len(self.got) < count:  # noqa: ASYNC110  (of a thread)
                await asyncio.sleep(0.02)
        return self.got

    def run(self) -> None:
        while True:
            plain, _ = self._listening.accept()
            plain.recv(8)  # may it be TLS?
            plain.sendall(b"S")
            with self._tls.wrap_socket(plain, server_side=True) as sock:
                sock.recv(4096)
                sock.sendall(b"R" + struct.pack("!II", 8, 3))
                self.got.append((bool(sock.getpeercert(binary_form=True)), sock.recv(4096)[5:-1]))


async def test_a_server_is_shown_nothing_that_is_not_its_checks_own(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in the daemon's environment, or lies in its home, may be another client's."""
    server = Asking(tmp_path)
    monkeypatch.setenv("PGPASSWORD", "of another client")
    monkeypatch.setenv("PGSSLCERT", server.certificate)
    monkeypatch.setenv("PGSSLKEY", server.key)
    where: dict[str, Any] = {"target": "127.0.0.1", "port": server.port, "timeout_s": 5.0}
    await ask("postgres", **where)
    await ask("postgres", **where, password_secret="p", secrets={"p": "its own"})
    assert await server.heard(2) == [(False, b""), (False, b"its own")]
    await ask("postgres", **where, sslcert=server.certificate, sslkey=server.key)
    assert (await server.heard(3))[2] == (True, b"")


class TestRealServers:
    """Against PostgreSQL itself."""

    async def test_primary_and_standby_say_what_they_are(self, ask: Ask, pair: Pair) -> None:
        primary, standby = pair
        one = await ask("postgres", target="127.0.0.1", port=primary.port, user="watcher", role="primary")
        assert (one.answer, one.measures["data_age_s"]) == (Answer.GOOD, 0.0), one.detail
        primary.sql("INSERT INTO t VALUES (1)")
        for _ in range(300):
            two = await ask("postgres", target="127.0.0.1", port=standby.port, user="watcher", role="standby")
            said = two.measures
            if "not streaming" not in two.detail and said.get("lag_bytes") == 0 and "data_age_s" in said:
                break  # until the primary has spoken, nothing vouches for an age
            await asyncio.sleep(0.1)
        assert two.answer is Answer.GOOD, two.detail
        assert two.measures["lag_bytes"] == 0
        assert two.measures["lag_s"] == two.measures["data_age_s"]

    async def test_the_age_is_never_less_than_the_truth(self, ask: Ask, pair: Pair) -> None:
        primary, standby = pair
        primary.sql("INSERT INTO t VALUES (2)")
        primary.stop()
        died = time.time()
        try:
            for _ in range(300):
                seen = await ask("postgres", target="127.0.0.1", port=standby.port, user="watcher", role="standby")
                if "not streaming" in seen.detail:
                    break
                await asyncio.sleep(0.1)
            assert seen.answer is Answer.GOOD, seen.detail
            alive_until_s = time.time() - died
            again = await ask("postgres", target="127.0.0.1", port=standby.port, user="watcher", streaming=True)
            assert again.answer is Answer.BAD
            assert again.measures["data_age_s"] >= alive_until_s
        finally:
            primary.start()

    async def test_whoever_may_not_see_the_receiver_still_gets_a_bound(self, ask: Ask, pair: Pair) -> None:
        primary, standby = pair
        primary.sql("INSERT INTO t VALUES (3)")
        wanted = primary.sql("SELECT pg_current_wal_lsn()")
        for _ in range(300):
            if standby.sql(f"SELECT pg_last_wal_replay_lsn() >= '{wanted}'") == "t":
                break
            await asyncio.sleep(0.1)
        seen = await ask("postgres", target="127.0.0.1", port=standby.port, user="stranger", dbname="postgres")
        assert seen.answer is Answer.GOOD
        assert seen.measures["data_age_s"] > 0
        assert seen.detail.startswith("standby, whether it streams is not known (that needs pg_monitor), data "), seen
        asked = await ask("postgres", target="127.0.0.1", port=standby.port, user="stranger", streaming=True)
        assert asked.answer is Answer.NONE, "nobody has seen that it does not stream"

    async def test_the_authors_query(self, ask: Ask, pair: Pair) -> None:
        where: dict[str, Any] = {"target": "127.0.0.1", "port": pair[0].port, "user": "watcher"}
        good = await ask("postgres", **where, query="SELECT 40 + 2", expect="42")
        assert good.answer is Answer.GOOD, good.detail
        bad = await ask("postgres", **where, query="SELECT 41", expect="42")
        assert (bad.answer, "'41'" in bad.detail) == (Answer.BAD, True)
        writes = await ask("postgres", **where, query="CREATE TABLE oops (n int)")
        assert (writes.answer, "read-only" in writes.detail) == (Answer.BAD, True)
        slow = await ask("postgres", **where, query="SELECT pg_sleep(60)", timeout_s=0.5)
        assert slow.answer in (Answer.SILENT, Answer.BAD)  # whoever notices first

    async def test_no_such_role_or_database_is_an_answer(self, ask: Ask, pair: Pair) -> None:
        seen = await ask("postgres", target="127.0.0.1", port=pair[0].port, user="nobody-knows")
        assert (seen.answer, "nobody-knows" in seen.detail) == (Answer.BAD, True)
        seen = await ask("postgres", target="127.0.0.1", port=pair[0].port, user="watcher", dbname="none")
        assert (seen.answer, '"none" does not exist' in seen.detail) == (Answer.BAD, True)

    async def test_nobody_listens_or_nobody_answers(self, ask: Ask, deaf: int) -> None:
        refused = await ask("postgres", target="127.0.0.1", port=free_port())
        assert (refused.answer, "refused" in refused.detail) == (Answer.BAD, True)
        silent = await ask("postgres", target="127.0.0.1", port=deaf, timeout_s=0.3)
        assert silent.answer is Answer.SILENT, silent.detail

    async def test_a_password_comes_from_a_file_or_a_secret(self, ask: Ask, pair: Pair, tmp_path: Path) -> None:
        where: dict[str, Any] = {"target": "127.0.0.1", "port": pair[0].port, "user": "watcher"}
        file = tmp_path / "password"
        file.write_text("open sesame\n")
        assert (await ask("postgres", **where, password_file=str(file))).answer is Answer.GOOD
        assert (await ask("postgres", **where, password_secret="p", secrets={"p": "open sesame"})).answer is Answer.GOOD
        missing = await ask("postgres", **where, password_secret="p")
        assert (missing.answer, "'p'" in missing.detail) == (Answer.NONE, True)
