"""The meter keeps its beat whatever happens, and tells acknowledged, refused and unknown apart."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import time
from pathlib import Path

from orchestrator.lab import account
from orchestrator.lab.meter_log import MeterLog
from orchestrator.lab.programs import dns, http_server, meter, page
from orchestrator.lab.programs.http_server import Request, Response
from orchestrator.lab.programs.stub_resolver import ResolveError, StubResolver
from tests.ports import free_port

from .conftest import Programs, end, listens, wait_until


class Service:
    """An application whose behaviour the test chooses."""

    def __init__(self) -> None:
        self.does = "commit"
        self.ids: list[str] = []

    async def answer(self, request: Request) -> Response:
        """Answer, refuse, or hang."""
        if request.method == "GET":
            return Response.of_json(200, {"ids": self.ids}, {"X-Served-By": "hq"})
        if self.does == "hang":
            await asyncio.sleep(3600)
        if self.does == "refuse":
            return Response.of_json(503, {"error": "no database"}, {"X-Served-By": "hq"})
        self.ids.append(str(request.json()["id"]))
        if self.does == "doubt":
            return Response.of_json(504, {"error": "in doubt"}, {"X-Served-By": "hq"})
        return Response.of_json(201, {}, {"X-Served-By": "hq"})


def lines_of(log: Path) -> list[dict[str, object]]:
    """The log's attempts."""
    return [json.loads(line) for line in log.read_text().splitlines() if '"outcome"' in line]


async def test_every_outcome_is_told_apart_and_the_beat_is_kept(tmp_path: Path) -> None:
    service = Service()
    server = await http_server.listen(service.answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    log = tmp_path / "meter.jsonl"
    stop = asyncio.Event()
    began = time.monotonic()
    with log.open("a") as file:
        target = meter.Target.of(f"http://127.0.0.1:{port}/transactions")
        running = asyncio.create_task(
            meter.Meter("transaction", target, StubResolver("127.0.0.1", 1), file, 0.02).run(stop)
        )
        for does in ("commit", "refuse", "hang", "doubt"):
            service.does = does
            await asyncio.sleep(0.6)
        server.close()
        await asyncio.sleep(0.4)
        stop.set()
        await running
    elapsed = time.monotonic() - began
    attempts = lines_of(log)
    seen = {(line["outcome"], str(line["why"])[:30]) for line in attempts}
    assert ("acknowledged", "") in seen
    assert ("unknown", "no answer within the limit") in seen
    assert {outcome for outcome, why in seen if why.startswith("503")} == {"refused"}
    assert {outcome for outcome, why in seen if why.startswith("504")} == {"unknown"}
    assert {outcome for outcome, why in seen if why.startswith("no connection")} == {"refused"}
    assert len({line["id"] for line in attempts}) == len(attempts)
    assert 0.8 * elapsed / 0.02 <= len(attempts) <= elapsed / 0.02 + 2, "hanging transactions do not slow it down"
    acknowledged = {line["id"] for line in attempts if line["outcome"] == "acknowledged"}
    assert acknowledged <= set(service.ids)
    assert max(float(str(line["took_s"])) for line in attempts) < 0.6


def test_the_program_writes_while_it_runs_and_uses_little_of_the_machine(
    programs: Programs, tmp_path: Path, python: str
) -> None:
    port, log = free_port(), tmp_path / "fetch.jsonl"
    programs.start(*page.argv(python, listen="127.0.0.1", port=port))
    wait_until(lambda: listens(port), "the page is served")
    fetching = programs.start(*meter.fetch_argv(python, url=f"http://127.0.0.1:{port}/", log=str(log)))
    wait_until(lambda: log.exists() and len(lines_of(log)) > 20, "the log grows while it runs")
    following = MeterLog(log)
    following.poll()
    assert "served by www" in following.summary(time.time())
    time.sleep(2)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert end(fetching) == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    attempts = lines_of(log)
    assert sum(line["outcome"] == "acknowledged" for line in attempts) > 0.9 * len(attempts)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent_s / (len(attempts) * 0.02) < 0.5, f"{spent_s:.2f} s of processor for {len(attempts)} attempts"


async def test_an_address_is_kept_for_its_ttl_and_no_longer(tmp_path: Path) -> None:
    server = dns.NameServer("acme.example", tmp_path / "zone.json")
    server.take({"erp.acme.example.": {"A": (1, ["192.0.2.1"])}})
    datagrams, streams = await dns.listen(server, "127.0.0.1", 0)
    port = datagrams.get_extra_info("sockname")[1]
    resolver = StubResolver("127.0.0.1", port)
    try:
        first = await asyncio.gather(*(resolver.resolve("erp.acme.example") for _ in range(5)))
        assert first == ["192.0.2.1"] * 5
        server.take({"erp.acme.example.": {"A": (1, ["192.0.2.2"])}})
        assert await resolver.resolve("erp.acme.example") == "192.0.2.1", "cached"
        await asyncio.sleep(1.1)
        assert await resolver.resolve("erp.acme.example") == "192.0.2.2", "asked again"
        datagrams.close()
        await asyncio.sleep(1.1)
        try:
            await resolver.resolve("erp.acme.example")
        except ResolveError:
            pass
        else:
            raise AssertionError("an address older than its TTL was served")
    finally:
        datagrams.close()
        streams.close()
        resolver.close()


async def test_a_dead_name_server_is_a_refusal_within_the_limit(tmp_path: Path) -> None:
    log, stop = tmp_path / "meter.jsonl", asyncio.Event()
    silent, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    resolver = StubResolver("127.0.0.1", silent.get_extra_info("sockname")[1])
    with log.open("a") as file:
        target = meter.Target.of("http://erp.acme.example/transactions")
        running = asyncio.create_task(meter.Meter("transaction", target, resolver, file, 0.02).run(stop))
        await asyncio.sleep(0.6)
        stop.set()
        await running
    silent.close()
    attempts = lines_of(log)
    assert {line["outcome"] for line in attempts} == {"refused"}
    assert {line["why"] for line in attempts} == {"erp.acme.example: not resolved within 0.25 s"}


async def test_which_ids_exist_now_can_be_asked(python: str) -> None:
    service = Service()
    service.ids = ["a", "b"]
    server = await http_server.listen(service.answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/transactions"
    argv = meter.ids_argv(python, url=url, resolver="127.0.0.1", since_s=0.0)
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True)
    assert (json.loads(done.stdout)["ids"], json.loads(done.stdout)["by"]) == (["a", "b"], "hq")
    server.close()
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no connection" in done.stderr


def test_a_growing_log_is_followed_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "meter.jsonl"
    following = MeterLog(path)
    assert following.poll() == []
    assert following.summary(0.0) == "no attempt yet"
    line = {"n": 0, "id": "a", "wall": 10.0, "took_s": 0.1, "outcome": "acknowledged", "by": "hq", "why": ""}
    whole = json.dumps(line)
    path.write_text('{"meter": "transaction"}\n' + whole[:20])
    assert following.poll() == []
    path.write_text('{"meter": "transaction"}\n' + whole + "\n")
    assert [attempt.id for attempt in following.poll()] == ["a"]
    assert following.poll() == []
    assert following.summary(10.2) == "OK, served by hq, last success 0.1 s ago"
    refused = {**line, "n": 1, "id": "b", "wall": 12.0, "outcome": "refused", "why": "no route"}
    with path.open("a") as file:
        file.write(json.dumps(refused) + "\n")
    following.poll()
    assert following.summary(12.1) == "DOWN for 2.0 s: no route"
    assert isinstance(following.attempts[0], account.Attempt)
