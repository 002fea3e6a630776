"""http: real requests to a real server, by the name server an end user would ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from orchestrator.core.events import Answer
from orchestrator.probes.http import KIND, HttpOptions, Responded
from tests.ports import free_port
from tests.probes.conftest import Ask, NameServer

STATUS = {
    "mains": "off",
    "db.main": {"*": "up"},
    "outlets": {"hq-edge": {"power": "off"}, "hq-app": {"power": "on"}},
    "units": [1, 2],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[str]:
    """URL of a small site."""

    async def status(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer open-sesame":
            return web.json_response({"error": "who are you?"}, status=401)
        return web.json_response(STATUS)

    async def echo(request: web.Request) -> web.Response:
        text = f"{request.method} {request.headers.get('X-Kind')} {await request.text()} for {request.host}"
        return web.Response(
            text=text, headers={"X-Served-By": "hq", "Connection": request.headers.get("Connection", "")}
        )

    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=503, text="database is\n read-only")

    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound("/echo")

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        await asyncio.sleep(3600)
        return response

    application = web.Application()
    application.router.add_get("/status", status)
    application.router.add_route("*", "/echo", echo)
    application.router.add_get("/broken", broken)
    application.router.add_get("/moved", moved)
    application.router.add_get("/endless", endless)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


class TestRequest:
    """What is asked, and what counts as a good answer."""

    async def test_a_page(self, ask: Ask, site: str) -> None:
        seen = await ask("http", url=f"{site}/echo", match="^GET")
        assert (seen.answer, seen.measures["status"]) == (Answer.GOOD, 200.0), seen.detail

    async def test_a_transaction(self, ask: Ask, site: str) -> None:
        seen = await ask(
            "http",
            url=f"{site}/echo",
            method="POST",
            body="id=1",
            headers={"X-Kind": "test"},
            match="POST test id=1",
            header_matches={"x-served-by": "^hq$"},
        )
        assert seen.answer is Answer.GOOD, seen.detail

    async def test_the_servers_own_reason_is_shown(self, ask: Ask, site: str) -> None:
        seen = await ask("http", url=f"{site}/broken")
        assert (seen.answer, "HTTP 503: database is read-only" in seen.detail) == (Answer.BAD, True), seen.detail
        assert (await ask("http", url=f"{site}/broken", status=503)).answer is Answer.GOOD

    async def test_a_redirect_is_followed_only_where_allowed(self, ask: Ask, site: str) -> None:
        assert (await ask("http", url=f"{site}/moved")).answer is Answer.BAD
        assert (await ask("http", url=f"{site}/moved", redirects=1)).answer is Answer.GOOD

    async def test_a_token_from_a_file_or_a_secret(self, ask: Ask, site: str, tmp_path: Path) -> None:
        file = tmp_path / "token"
        file.write_text("open-sesame\n")
        for more in ({"token_file": str(file)}, {"token_secret": "t", "secrets": {"t": "open-sesame"}}):
            seen = await ask("http", url=f"{site}/status", **more)
            assert (seen.answer, "sesame" in seen.detail) == (Answer.GOOD, False), seen.detail
        assert (await ask("http", url=f"{site}/status")).answer is Answer.BAD
        missing = await ask("http", url=f"{site}/status", token_file="/nowhere/token")
        assert (missing.answer, "/nowhere/token" in missing.detail) == (Answer.NONE, True)

    async def test_values_in_json(self, ask: Ask, site: str) -> None:
        token: dict[str, Any] = {"token_secret": "t", "secrets": {"t": "open-sesame"}}
        good = await ask("http", url=f"{site}/status", json={"mains": "off", "units.1": 2}, **token)
        assert good.answer is Answer.GOOD, good.detail
        bad = await ask("http", url=f"{site}/status", json={"outlets.*.power": "off"}, **token)
        assert (bad.answer, "outlets.hq-app.power is 'on'" in bad.detail) == (Answer.BAD, True), bad.detail
        dotted = await ask("http", url=f"{site}/status", json={'"db.main"."*"': "up"}, **token)
        assert dotted.answer is Answer.GOOD, dotted.detail
        other = await ask("http", url=f"{site}/status", json={'"db.main".*': "down"}, **token)
        assert (other.answer, """"db.main".* is 'up'""" in other.detail) == (Answer.BAD, True), other.detail
        gone = await ask("http", url=f"{site}/status", json={"battery.level": 1}, **token)
        assert (gone.answer, "there is no battery" in gone.detail) == (Answer.BAD, True), gone.detail
        text = await ask("http", url=f"{site}/echo", json={"mains": "off"})
        assert (text.answer, "no JSON" in text.detail) == (Answer.BAD, True), text.detail


class TestTrouble:
    """Refused, silent, broken off."""

    async def test_refused(self, ask: Ask) -> None:
        seen = await ask("http", url=f"http://127.0.0.1:{free_port()}/")
        assert (seen.answer, "refused" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_connected_and_then_nothing(self, ask: Ask, deaf: int) -> None:
        seen = await ask("http", url=f"http://127.0.0.1:{deaf}/", timeout_s=0.5)
        assert (seen.answer, "connected, no response" in seen.detail) == (Answer.SILENT, True), seen.detail

    async def test_an_answer_that_does_not_end_is_an_answer(self, ask: Ask, site: str) -> None:
        seen = await ask("http", url=f"{site}/endless", timeout_s=1.0)
        assert (seen.answer, "did not end" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_no_http(self, ask: Ask) -> None:
        async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 ready for mail\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
            seen = await ask("http", url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        assert (seen.answer, "no HTTP response" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_hung_up_on(self, ask: Ask) -> None:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            seen = await ask("http", url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        assert seen.answer is Answer.BAD, seen.detail

    async def test_no_tls(self, ask: Ask, site: str) -> None:
        seen = await ask("http", url=site.replace("http:", "https:") + "/echo")
        assert (seen.answer, "TLS" in seen.detail) == (Answer.BAD, True), seen.detail


class TestName:
    """The host's name is looked up where the end user's resolver would."""

    async def test_by_the_given_name_server(self, ask: Ask, site: str, name_server: NameServer) -> None:
        name_server.records[("erp.acme.example.", "A")] = ["127.0.0.1"]
        port = site.rpartition(":")[2]
        asked: dict[str, Any] = {"url": f"http://erp.acme.example:{port}/echo", "resolver": name_server.where}
        seen = await ask("http", **asked, match=f"for erp.acme.example:{port}")
        assert seen.answer is Answer.GOOD, seen.detail
        name_server.records[("erp.acme.example.", "A")] = ["127.0.0.2"]  # no cache of ours: the next question sees it
        moved = await ask("http", **asked)
        assert (moved.answer, "127.0.0.2" in moved.detail) == (Answer.BAD, True), moved.detail

    async def test_a_name_that_does_not_exist(self, ask: Ask, name_server: NameServer) -> None:
        seen = await ask("http", url="http://nobody.example/", resolver=name_server.where)
        assert (seen.answer, "does not exist" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_a_name_server_that_is_silent(self, ask: Ask, deaf_udp: int) -> None:
        seen = await ask("http", url="http://www.example/", resolver=f"127.0.0.1:{deaf_udp}", timeout_s=0.6)
        assert seen.answer is Answer.SILENT, seen.detail


class TestOptions:
    """Nonsense is told when it is written."""

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"url": "ftp://x/"}, "is no URL"),
            ({"url": "http://"}, "is no URL"),
            ({"url": "http://u:p@x/"}, "ends up in logs"),
            ({"url": "http://x:99999/"}, "is no URL"),
            ({"url": "http://x/", "match": "("}, "is no regular expression"),
            ({"url": "http://x/", "json": {"a..b": 1}}, "is no path"),
            ({"url": "http://x/", "json": {'"a.b': 1}}, "is no path"),
            ({"url": "http://x/", "json": {'"a.b"c': 1}}, "is no path"),
            ({"url": "http://x/", "status": 9}, "greater than or equal to 100"),
            ({"url": "http://x/", "token_file": "a", "token_secret": "b"}, "choose one"),
            ({"url": "http://x/", "verb": "GET"}, "Extra inputs"),
        ],
    )
    def test_told(self, options: dict[str, Any], says: str) -> None:
        with pytest.raises(ValueError, match=says):
            HttpOptions.model_validate(options)

    def test_a_version_is_written_without_quotes_too(self) -> None:
        """It is a number to YAML."""
        assert HttpOptions.model_validate({"url": "https://x/", "tls_min_version": 1.3}).tls_min_version == "1.3"

    def test_true_is_not_one(self) -> None:
        options = HttpOptions.model_validate({"url": "http://x/", "json": {"latched": True}})
        assert KIND.classify(options, Responded(200, json.dumps({"latched": 1}), 0.1)).answer is Answer.BAD
        assert KIND.classify(options, Responded(200, json.dumps({"latched": True}), 0.1)).answer is Answer.GOOD
