"""http on the wire: what servers do that no framework for tests would."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from orchestrator.core.events import Answer
from orchestrator.probes.http import HttpOptions
from orchestrator.probes.http_place import place_of
from tests.probes.conftest import Ask, NameServer

OK = b"HTTP/1.1 200 OK\r\n"
Serve = Callable[..., Any]


@pytest_asyncio.fixture(loop_scope="module")
async def serve() -> AsyncIterator[Serve]:
    """Start a server that says these bytes to whatever is asked; its URL, and what it heard."""
    servers: list[asyncio.Server] = []

    async def start(
        *said: bytes, stays: bool = False, context: ssl.SSLContext | None = None
    ) -> tuple[str, list[bytes]]:
        heard: list[bytes] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                heard.append(await reader.readuntil(b"\r\n\r\n"))
                for part in said:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.01)
                if stays:
                    await reader.read()
                writer.close()
            except (OSError, EOFError):
                writer.transport.abort()

        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        scheme = "https" if context else "http"
        return f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/", heard

    yield start
    for server in servers:
        server.close()


class TestBodies:
    """Where a body ends, and how it is packed."""

    @pytest.mark.parametrize(
        "said",
        [
            (OK + b"Content-Length: 5\r\n\r\nhello",),
            (OK + b"Content-Len", b"gth: 5\r\n\r", b"\nhel", b"lo"),
            (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n"),
            (OK + b"\r\n", b"hello"),
            (b"HTTP/1.0 200 OK\r\n\r\nhello",),
            (b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"Content-Length: 5\r\n\r\nhello"),
            (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",),
            (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello"),),
            (OK + b"Content-Encoding: deflate\r\n\r\n" + zlib.compress(b"hello"),),
            (OK + b"Content-Encoding: deflate\r\n\r\n" + zlib.compress(b"hello")[2:-4],),
            (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello and more than was promised",),
            (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",),
            (OK + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",),
            (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n5\r\nhello\r\n0\r\n\r\n",),
            (OK + b"\r\n\xef\xbb\xbfhello",),
            (OK + b"Content-Type: text/plain; charset=latin-1\r\n\r\n\xff\xfe" + "hello".encode("utf-16-le"),),
            (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"he") + gzip.compress(b"llo"),),
            (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"he"), gzip.compress(b"llo") + bytes(9)),
        ],
    )
    async def test_it_is_read_whole(self, ask: Ask, serve: Serve, said: tuple[bytes, ...]) -> None:
        url, _ = await serve(*said)
        seen = await ask("http", url=url, match="^hello$")
        assert seen.answer is Answer.GOOD, seen.detail

    @pytest.mark.parametrize(
        "said",
        [
            (OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",),
            (OK + b"Content-Length: 5, 05\r\n\r\nhello",),
            (OK + b"Server : old\r\nContent-Length: 5\r\n\r\nhello",),
            (OK + b"X(A)@: one\r\nX-\xc3\x89: two\r\nContent-Length: 5\r\n\r\nhello",),
            (OK + b"X-A: a\rb\r\r\nContent-Length: 5\r\n\r\nhello",),
            (OK + b"no header at all\r\nContent-Length: 5\r\n\r\nhello",),
            (OK + b"X-Long: one\r\n\ttwo\r\nContent-Length:\r\n 5\r\n\r\nhello",),
            (b"HTTP/2 200 \r\nContent-Length: 5\r\n\r\nhello",),
            (b"http/1.1  200  fine\r\nContent-Length: 5\r\n\r\nhello",),
            (b"\r\nHTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",),
            (OK + b"Transfer-Encoding: identity\r\n\r\nhello",),
            (OK + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", b" and more"),
            (OK + b"Transfer-Encoding: chunked\r\n\r\n3\nhel\n2 ;x=y\nlo\n0\n\n",),
            (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nno trailer at all\r\n\r\n",),
            (OK + b"Transfer-Encoding: Chunked\r\n\r\n5;a\r", b"\nhel", b"lo\r", b"\n0", b"\r\n\r", b"\n"),
            (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n19\r\n" + gzip.compress(b"hello") + b"\r\n0\r\n\r\n",),
            (OK + b"Content-Encoding: gzip, gzip\r\n\r\n" + gzip.compress(gzip.compress(b"hello")),),
            (OK + b"Content-Encoding: identity, GZip\r\n\r\n" + gzip.compress(b"hello"),),
            (OK + b"Content-Encoding: utf-8\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello"),),
        ],
    )
    async def test_what_browsers_show_is_read(self, ask: Ask, serve: Serve, said: tuple[bytes, ...]) -> None:
        url, _ = await serve(*said)
        seen = await ask("http", url=url, match="^hello$")
        assert seen.answer is Answer.GOOD, seen.detail

    @pytest.mark.parametrize(
        ("said", "why"),
        [
            (b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "several lengths: 5, 6"),
            (b"Content-Length: many\r\n\r\nhello", "its length is no number: 'many'"),
            (b"Transfer-Encoding: chunked\r\n\r\nsize\r\nhello\r\n", "the size of a chunk is no number"),
            (b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n", "longer than it says"),
            (b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 20000, "does not end"),
            (b"Content-Encoding: gzip, gzip, gzip\r\n\r\nhello", "packed 3 times"),
        ],
    )
    async def test_what_nobody_can_read_is_bad(self, ask: Ask, serve: Serve, said: bytes, why: str) -> None:
        url, _ = await serve(OK + said)
        seen = await ask("http", url=url)
        assert (seen.answer, why in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_what_is_no_http_is_known_at_once(self, ask: Ask, serve: Serve) -> None:
        for said in (b"SSH-2.0-x\r\n", b"HTTQ", b"HTTP/one\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n"):
            url, _ = await serve(said, stays=True)
            seen = await ask("http", url=url)
            assert (seen.answer, "no HTTP response: it begins with" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_what_it_is_packed_by_although_nobody_asked_is_told(self, ask: Ask, serve: Serve) -> None:
        url, _ = await serve(OK + b"Content-Encoding: br\r\n\r\n\x0b\x02\x80hello\x03")
        assert (await ask("http", url=url)).answer is Answer.GOOD
        seen = await ask("http", url=url, match="^hello$")
        assert (seen.answer, "packed by br although" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_a_status_that_is_not_registered(self, ask: Ask, serve: Serve) -> None:
        url, _ = await serve(b"HTTP/1.1 999 Request denied\r\nContent-Length: 0\r\n\r\n")
        assert (await ask("http", url=url, status=999)).answer is Answer.GOOD
        assert (await ask("http", url=url)).answer is Answer.BAD

    async def test_the_answer_to_head_has_none(self, ask: Ask, serve: Serve) -> None:
        url, _ = await serve(OK + b"Content-Length: 5\r\n\r\n", stays=True)
        assert (await ask("http", url=url, method="HEAD")).answer is Answer.GOOD

    async def test_no_content_needs_no_end(self, ask: Ask, serve: Serve) -> None:
        url, _ = await serve(b"HTTP/1.1 204 No Content\r\n\r\n", stays=True)
        assert (await ask("http", url=url)).answer is Answer.GOOD

    async def test_one_that_is_cut_off_is_bad(self, ask: Ask, serve: Serve) -> None:
        for head in (b"Content-Length: 9\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello"):
            url, _ = await serve(OK + head)
            seen = await ask("http", url=url)
            assert (seen.answer, "before the body had come" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_a_large_one_is_read_up_to_a_limit(self, ask: Ask, serve: Serve) -> None:
        url, _ = await serve(OK + b"\r\n", *[b"x" * 65536] * 40, stays=True)
        assert (await ask("http", url=url, match="^x+$")).answer is Answer.GOOD

    async def test_a_small_one_that_unpacks_to_much_does_not_fill_the_memory(self, ask: Ask, serve: Serve) -> None:
        url, _ = await serve(OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(200 << 20), 9), stays=True)
        assert (await ask("http", url=url)).answer is Answer.GOOD

    async def test_what_is_not_packed_as_it_says(self, ask: Ask, serve: Serve) -> None:
        url, _ = await serve(OK + b"Content-Encoding: gzip\r\n\r\nhello")
        seen = await ask("http", url=url)
        assert (seen.answer, "no gzip" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_a_head_without_end(self, ask: Ask, serve: Serve) -> None:
        url, _ = await serve(OK, *[b"X-More: " + b"x" * 4096 + b"\r\n"] * 40, stays=True)
        seen = await ask("http", url=url)
        assert (seen.answer, "its head is longer" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_its_character_set(self, ask: Ask, serve: Serve) -> None:
        url, _ = await serve(OK + b"Content-Type: text/html; charset=iso-8859-1\r\n\r\n" + "Überlauf".encode("latin-1"))
        assert (await ask("http", url=url, match="^Überlauf$")).answer is Answer.GOOD
        for charset in (b"klingon", b"", b"none", b"utf8mb4"):
            url, _ = await serve(OK + b"Content-Type: text/html; charset=" + charset + b"\r\n\r\n" + "né".encode())
            assert (await ask("http", url=url, match="^né$")).answer is Answer.GOOD

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            (b"d\xe9marr\xe9", "^démarré$"),
            (b"5 \x80", "^5 €$"),
            (b'<html><meta charset="iso-8859-1">d\xe9marr\xe9', "démarré$"),
            (b"\n<meta content='text/html; charset=shift_jis'>" + "稼働中".encode("shift_jis"), "稼働中$"),
            (b"<?xml version='1.0' encoding='ISO-8859-15'?><s>\xa4</s>", "<s>€</s>"),
            (b"<html><meta charset=klingon>" + "né".encode(), "né$"),
            ("charset=utf-16 né".encode(), "né$"),
            ('<?xml version="1.0" encoding="utf-16"?><s>né</s>'.encode(), "<s>né</s>"),  # as .NET writes it
            ("<html><meta charset=utf-16>né".encode(), "né$"),
            ("<html><meta charset=utf-32>né".encode(), "né$"),
            ("<script charset='iso-8859-1'></script><form accept-charset=iso-8859-1>né".encode(), "né$"),
        ],
    )
    async def test_the_one_that_nobody_or_the_page_itself_names(
        self, ask: Ask, serve: Serve, body: bytes, text: str
    ) -> None:
        url, _ = await serve(OK + b"Content-Type: text/html\r\n\r\n" + body)
        seen = await ask("http", url=url, match=text)
        assert seen.answer is Answer.GOOD, seen.detail

    @pytest.mark.parametrize(
        ("named", "written", "text"),
        [
            ("gb2312", "gbk", "朱镕基"),
            ("x-gbk", "gbk", "朱镕基"),
            ("shift_jis", "cp932", "①号機"),
            ("x-sjis", "cp932", "①号機"),
            ("euc-kr", "cp949", "똠방"),
            ("big5", "big5hkscs", "㗎"),
            ("iso-8859-9", "cp1254", "5 €ş"),
            ("windows-874", "cp874", "ไทย"),
            ("utf-32", "utf-8", "né"),
        ],
    )
    async def test_a_name_means_what_it_means_to_browsers(
        self, ask: Ask, serve: Serve, named: str, written: str, text: str
    ) -> None:
        kind = f"Content-Type: text/html; charset={named}\r\n\r\n".encode()
        url, _ = await serve(OK + kind + text.encode(written))
        seen = await ask("http", url=url, match=f"^{text}$")
        assert seen.answer is Answer.GOOD, seen.detail

    async def test_a_letter_that_the_limit_cuts_in_two_does_not_change_it(self, ask: Ask, serve: Serve) -> None:
        url, _ = await serve(OK + b"\r\n" + "éé".encode())
        assert (await ask("http", url=url, match="^é$", body_max_bytes=3)).answer is Answer.GOOD


class TestWhatIsRepeated:
    """Headers of one name, cookies of one question, and limits that are told."""

    async def test_a_header_that_stands_there_twice_is_a_list(self, ask: Ask, serve: Serve) -> None:
        url, _ = await serve(OK + b"Via: 1.1 cache-7\r\nVia: 1.1 site-b\r\nContent-Length: 0\r\n\r\n")
        for pattern in ("site-b", "^1.1 cache-7$", "^1.1 site-b$", "^1.1 cache-7, 1.1 site-b$"):
            seen = await ask("http", url=url, header_matches={"via": pattern})
            assert seen.answer is Answer.GOOD, (pattern, seen.detail)
        seen = await ask("http", url=url, header_matches={"via": "site-c"})
        assert (seen.answer, "'1.1 cache-7, 1.1 site-b'" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_a_cookie_goes_back_to_the_host_that_set_it_and_nowhere_else(self, ask: Ask, serve: Serve) -> None:
        end, heard_end = await serve(OK + b"Content-Length: 0\r\n\r\n")
        moved = f"HTTP/1.1 302 Found\r\nLocation: {end}\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Secure\r\n\r\n"
        begin, _ = await serve(moved.encode())
        for _ in range(2):
            assert (await ask("http", url=begin, redirects=1)).answer is Answer.GOOD
        assert heard_end[0] == heard_end[1]
        assert b"Cookie: a=1\r\n" in heard_end[0], heard_end[0]
        other = begin.replace("127.0.0.1", "localhost")
        assert (await ask("http", url=other, redirects=1)).answer is Answer.GOOD
        assert b"Cookie" not in heard_end[2], heard_end[2]

    async def test_a_limit_is_told_and_can_be_set(self, ask: Ask, serve: Serve) -> None:
        body = b"x" * (3 << 20) + b"end"
        url, _ = await serve(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        seen = await ask("http", url=url, match="end$", timeout_s=10)
        assert (seen.answer, "only its first 1 MiB" in seen.detail) == (Answer.BAD, True), seen.detail
        seen = await ask("http", url=url, match="^xx", timeout_s=10)
        assert (seen.answer, "only its first 1 MiB were read (body_max_bytes)" in seen.detail) == (Answer.GOOD, True)
        seen = await ask("http", url=url, match="end$", body_max_bytes=len(body), timeout_s=10)
        assert (seen.answer, "too long" in seen.detail) == (Answer.GOOD, False), seen.detail


class TestRequests:
    """What is said."""

    async def test_a_newcomers(self, ask: Ask, serve: Serve) -> None:
        url, heard = await serve(OK + b"\r\n")
        for _ in range(2):
            await ask("http", url=url + "a b?q=ü#part", headers={"user-agent": "mine"})
        assert heard[0] == heard[1]
        assert heard[0].startswith(b"GET /a%20b?q=%C3%BC HTTP/1.1\r\nHost: 127.0.0.1:")
        assert b"Connection: close\r\n" in heard[0]
        assert heard[0].count(b"ser-") + heard[0].count(b"ser-agent: mine") == 2, heard[0]

    @pytest.mark.parametrize("secure", [False, True])
    async def test_an_answer_that_does_not_wait_for_the_end_of_a_long_question(
        self, ask: Ask, tmp_path: Path, secure: bool
    ) -> None:
        held = []

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
            held.append(writer)

        _, context = _certificate(tmp_path)
        server = await asyncio.start_server(refuse, "127.0.0.1", 0, ssl=context if secure else None)
        url = f"http{'s' * secure}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        seen = await ask("http", url=url, method="POST", body="x" * (12 << 20), tls_verify=False)
        assert (seen.answer, seen.measures.get("status")) == (Answer.BAD, 413.0), seen.detail
        for writer in held:
            writer.transport.abort()
        server.close()

    async def test_a_long_question_is_heard_to_its_end(self, ask: Ask) -> None:
        async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)  # it begins to answer, and listens on
            heard = len(await reader.readexactly(12 << 20))
            writer.write(f"Content-Length: 8\r\n\r\n{heard}".encode())
            writer.close()

        server = await asyncio.start_server(count, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        seen = await ask("http", url=url, method="POST", body="x" * (12 << 20), match="^12582912$")
        assert seen.answer is Answer.GOOD, seen.detail
        server.close()

    async def test_a_token_does_not_follow_to_another_place(self, ask: Ask, serve: Serve) -> None:
        there, heard_there = await serve(OK + b"\r\n")
        here, heard_here = await serve(f"HTTP/1.1 302 Found\r\nLocation: {there}\r\n\r\n".encode())
        seen = await ask("http", url=here, redirects=1, token_secret="t", secrets={"t": "open-sesame"})
        assert seen.answer is Answer.GOOD, seen.detail
        assert b"open-sesame" in heard_here[0]
        assert b"open-sesame" not in heard_there[0]

    @pytest.mark.parametrize(
        "said",
        [
            b"Content-Encoding: gzip\r\n\r\nMoved.",
            b"Content-Encoding: gzip, gzip, gzip\r\n\r\nMoved.",
            b"Transfer-Encoding: chunked\r\n\r\nMoved.\r\n",
        ],
    )
    async def test_the_body_of_a_redirect_is_not_looked_at(self, ask: Ask, serve: Serve, said: bytes) -> None:
        there, _ = await serve(OK + b"\r\n")
        here, _ = await serve(f"HTTP/1.1 302 Found\r\nLocation: {there}\r\n".encode() + said)
        seen = await ask("http", url=here, redirects=1)
        assert seen.answer is Answer.GOOD, seen.detail

    async def test_round_in_a_circle(self, ask: Ask, serve: Serve) -> None:
        url, heard = await serve(b"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
        seen = await ask("http", url=url, redirects=3)
        assert (seen.answer, "too many redirects" in seen.detail, len(heard)) == (Answer.BAD, True, 4), seen.detail

    async def test_of_a_place_that_was_led_to_it_is_told_what_that_place_did(
        self, ask: Ask, serve: Serve, deaf: int
    ) -> None:
        """The place that was asked for has answered; whether the other accepts or not is said of the other."""
        begin, _ = await serve(f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{deaf}/\r\n\r\n".encode())
        seen = await ask("http", url=begin, redirects=1, timeout_s=0.5)
        told = f"redirected to 127.0.0.1:{deaf}: connected, no response within 0.5 s"
        assert (seen.answer, seen.detail) == (Answer.SILENT, told)
        with socket.socket() as full, contextlib.ExitStack() as waiting:  # whose queue takes nobody any more
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for _ in range(4):
                one = waiting.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            there = f"127.0.0.1:{full.getsockname()[1]}"
            begin, _ = await serve(f"HTTP/1.1 302 Found\r\nLocation: http://{there}/\r\n\r\n".encode())
            seen = await ask("http", url=begin, redirects=1, timeout_s=0.5)
        told = f"redirected to {there}: no connection within 0.5 s"
        assert (seen.answer, seen.detail) == (Answer.SILENT, told)

    async def test_the_first_place_is_gone_before_it_is_known_who_it_was(
        self, ask: Ask, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A peer that resets at once has no name any more: that is its answer, and not a question that hangs."""

        def gone(_: socket.socket) -> str:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

        begin, _ = await serve(OK + b"\r\n")
        monkeypatch.setattr(socket.socket, "getpeername", gone)
        seen = await ask("http", url=begin, redirects=1)
        assert seen.answer is Answer.BAD, seen.detail
        assert "within" not in seen.detail

    async def test_to_no_web_address(self, ask: Ask, serve: Serve) -> None:
        url, _ = await serve(b"HTTP/1.1 302 Found\r\nLocation: ftp://x/\r\n\r\n")
        seen = await ask("http", url=url, redirects=1)
        assert (seen.answer, "redirected to no URL" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_a_token_of_two_lines_is_our_own_fault(self, ask: Ask, serve: Serve) -> None:
        url, heard = await serve(OK + b"\r\n")
        seen = await ask("http", url=url, token_secret="t", secrets={"t": "a\r\nX-Evil: 1"})
        assert (seen.answer, heard) == (Answer.NONE, [])
        assert "Evil" not in seen.detail

    def test_a_header_of_two_lines_is_refused_when_it_is_written(self) -> None:
        with pytest.raises(ValueError, match="a value is one line"):
            HttpOptions.model_validate({"url": "http://x/", "headers": {"X": "a\r\nY: b"}})

    def test_names_in_other_alphabets(self) -> None:
        place = place_of("https://bücher.example/straße?q=ä#x")
        assert (place.host, place.path, place.named) == (
            "xn--bcher-kva.example", "/stra%C3%9Fe?q=%C3%A4", "xn--bcher-kva.example",
        )  # fmt: skip
        assert place_of("http://[::1]:8080").named == "[::1]:8080"

    async def test_the_next_address_of_a_name_is_tried(self, ask: Ask, serve: Serve, name_server: NameServer) -> None:
        url, _ = await serve(OK + b"\r\n")
        name_server.records[("two.example.", "A")] = ["127.0.0.99", "127.0.0.1"]  # nobody listens at the first
        seen = await ask("http", url=url.replace("127.0.0.1", "two.example"), resolver=name_server.where)
        assert seen.answer is Answer.GOOD, seen.detail


class TestTls:
    """Real certificates."""

    async def test_who_is_trusted(self, ask: Ask, serve: Serve, tmp_path: Path) -> None:
        certificate, context = _certificate(tmp_path)
        url, _ = await serve(OK + b"Content-Length: 5\r\n\r\nhello", context=context)
        assert (await ask("http", url=url, tls_ca_file=str(certificate), match="hello")).answer is Answer.GOOD
        assert (await ask("http", url=url, tls_verify=False)).answer is Answer.GOOD
        stranger = await ask("http", url=url)
        assert (stranger.answer, "certificate not accepted" in stranger.detail) == (Answer.BAD, True), stranger.detail
        missing = await ask("http", url=url, tls_ca_file="/nowhere/ca.pem")
        assert (missing.answer, "TLS cannot be begun" in missing.detail) == (Answer.NONE, True), missing.detail

    async def test_a_body_that_comes_in_pieces(self, ask: Ask, serve: Serve, tmp_path: Path) -> None:
        _, context = _certificate(tmp_path)
        url, _ = await serve(OK + b"\r\n", *[b"x" * 30000] * 10, context=context)
        assert (await ask("http", url=url, tls_verify=False, match="^x{300000}$")).answer is Answer.GOOD

    async def test_a_client_certificate_that_is_wanted(self, ask: Ask, serve: Serve, tmp_path: Path) -> None:
        certificate, context = _certificate(tmp_path)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate)
        url, _ = await serve(OK + b"Content-Length: 5\r\n\r\nhello", context=context)
        with socket.create_server(("127.0.0.1", 0)) as listener:  # asyncio's servers hang up without saying why
            thread = threading.Thread(target=_refuse_one, args=(listener, context), daemon=True)
            thread.start()
            without = await ask("http", url=f"https://127.0.0.1:{listener.getsockname()[1]}/", tls_verify=False)
            thread.join(10)
        assert (without.answer, "wants a client certificate" in without.detail) == (Answer.BAD, True), without.detail
        own = {"tls_client_cert_file": str(certificate), "tls_client_key_file": str(tmp_path / "key.pem")}
        seen = await ask("http", url=url, tls_verify=False, **own)
        assert seen.answer is Answer.GOOD, seen.detail

    async def test_an_old_console(self, ask: Ask, serve: Serve, tmp_path: Path) -> None:
        certificate, context = _certificate(tmp_path)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES128-SHA")
        url, _ = await serve(OK + b"Content-Length: 5\r\n\r\nhello", context=context)
        assert (await ask("http", url=url, tls_verify=False)).answer is Answer.GOOD
        trusted = {"tls_ca_file": str(certificate), "tls_ciphers": "ECDHE-ECDSA-AES128-SHA"}
        assert (await ask("http", url=url, **trusted)).answer is Answer.GOOD
        newer = await ask("http", url=url, **trusted, tls_min_version="1.3")
        assert (newer.answer, "TLS failed" in newer.detail) == (Answer.BAD, True), newer.detail

    async def test_what_curl_gets_by_with_is_enough(self, ask: Ask, serve: Serve, tmp_path: Path) -> None:
        certificate, context = _certificate(tmp_path)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES128-SHA")
        url, _ = await serve(OK + b"Content-Length: 5\r\n\r\nhello", context=context)
        seen = await ask("http", url=url, tls_ca_file=str(certificate))
        assert seen.answer is Answer.GOOD, seen.detail

    async def test_it_is_told_what_is_spoken(self, ask: Ask, tmp_path: Path) -> None:
        certificate, context = _certificate(tmp_path)
        context.set_alpn_protocols(["h2", "http/1.1"])

        def say(sock: ssl.SSLSocket) -> None:
            sock.sendall(OK + f"Content-Length: 8\r\n\r\n{sock.selected_alpn_protocol()}".encode())

        with _one_by_one(context, say) as port:
            seen = await ask("http", url=f"https://127.0.0.1:{port}/", tls_ca_file=str(certificate), match="^http/1.1$")
        assert seen.answer is Answer.GOOD, seen.detail

    async def test_a_client_certificate_that_is_wanted_for_a_path_alone(self, ask: Ask, tmp_path: Path) -> None:
        certificate, context = _certificate(tmp_path)
        context.load_verify_locations(certificate)
        context.verify_mode, context.post_handshake_auth = ssl.CERT_REQUIRED, True

        def say(sock: ssl.SSLSocket) -> None:
            try:
                sock.verify_client_post_handshake()
            except ssl.SSLError:
                sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            else:
                sock.sendall(OK + b"Content-Length: 5\r\n\r\nhello")

        own = {"tls_client_cert_file": str(certificate), "tls_client_key_file": str(tmp_path / "key.pem")}
        with _one_by_one(context, say) as port:
            url = f"https://127.0.0.1:{port}/"
            seen = await ask("http", url=url, tls_ca_file=str(certificate), **own)
            assert seen.answer is Answer.GOOD, seen.detail
            seen = await ask("http", url=url, tls_ca_file=str(certificate))
            assert (seen.answer, "HTTP 403" in seen.detail) == (Answer.BAD, True), seen.detail

    async def test_the_days_left_and_the_name(self, ask: Ask, serve: Serve, tmp_path: Path) -> None:
        certificate, context = _certificate(tmp_path)
        url, _ = await serve(OK + b"Content-Length: 5\r\n\r\nhello", context=context)
        seen = await ask("http", url=url, tls_ca_file=str(certificate))
        assert 0.9 < seen.measures["cert_days_left"] <= 1.0, seen.measures
        soon = await ask("http", url=url, tls_ca_file=str(certificate), tls_days_left=14)
        assert (soon.answer, "days left, expected 14" in soon.detail) == (Answer.BAD, True), soon.detail
        by_name = url.replace("127.0.0.1", "localhost")
        assert (await ask("http", url=by_name, tls_ca_file=str(certificate))).answer is Answer.BAD
        named = await ask("http", url=by_name, tls_ca_file=str(certificate), tls_server_name="127.0.0.1")
        assert named.answer is Answer.GOOD, named.detail

    async def test_a_certificate_of_no_version_that_there_is(self, ask: Ask, serve: Serve, tmp_path: Path) -> None:
        certificate, context = _certificate(tmp_path)
        other = ssl.PEM_cert_to_DER_cert(certificate.read_text()).replace(b"\xa0\x03\2\1\2", b"\xa0\x03\2\1\5", 1)
        certificate.write_text(ssl.DER_cert_to_PEM_cert(other))
        context.load_cert_chain(certificate, tmp_path / "key.pem")
        url, _ = await serve(OK + b"Content-Length: 5\r\n\r\nhello", context=context)
        assert (await ask("http", url=url, tls_verify=False)).answer is Answer.GOOD
        counted = await ask("http", url=url, tls_verify=False, tls_days_left=1)
        assert (counted.answer, "no certificate was shown whose days" in counted.detail) == (Answer.BAD, True)

    async def test_connected_and_then_no_handshake(self, ask: Ask, deaf: int) -> None:
        seen = await ask("http", url=f"https://127.0.0.1:{deaf}/", timeout_s=0.5)
        assert (seen.answer, "connected, no response" in seen.detail) == (Answer.SILENT, True), seen.detail


@contextlib.contextmanager
def _one_by_one(context: ssl.SSLContext, say: Callable[[ssl.SSLSocket], None]) -> Iterator[int]:
    """The port of a server whose TLS is a plain socket's: one connection after the other, each of which it answers."""
    over = threading.Event()

    def answer(listener: socket.socket) -> None:
        while True:
            sock, _ = listener.accept()
            with sock, contextlib.suppress(OSError):
                if over.is_set():
                    return
                with context.wrap_socket(sock, server_side=True) as secure:
                    heard = b""
                    while not heard.endswith(b"\r\n\r\n"):
                        heard += secure.recv(4096)
                    say(secure)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join(10)


def _refuse_one(listener: socket.socket, context: ssl.SSLContext) -> None:
    sock, _ = listener.accept()
    with contextlib.suppress(OSError), sock:
        context.wrap_socket(sock, server_side=True)


def _certificate(room: Path) -> tuple[Path, ssl.SSLContext]:
    """One of 127.0.0.1's own, and a server's context with it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = room / "certificate.pem", room / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return certificate, context
